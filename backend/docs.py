"""The API's documentation, served by the API itself."""

from __future__ import annotations

import re
from typing import Final

from flask import Blueprint, render_template
from markupsafe import Markup

from backend.problems import ERRORS_PAGE, KINDS, Code, FieldError, ProblemBody

EXAMPLE: Final = ProblemBody(
    type=f"{ERRORS_PAGE}#{Code.VALIDATION_FAILED}",
    title=KINDS[Code.VALIDATION_FAILED].title,
    status=KINDS[Code.VALIDATION_FAILED].status,
    code=Code.VALIDATION_FAILED,
    detail="not valid: limit",
    request_id="9f2c1e8a4b7d4c0f8e6a5b3c2d1f0e9a",
    errors=[
        FieldError("limit", "Input should be less than or equal to 100", "a whole number, 1 to 100")
    ],
)


def docs_blueprint() -> Blueprint:
    """The page of all error codes."""
    docs = Blueprint("docs", __name__)
    docs.add_app_template_filter(_code_spans, "code_spans")

    @docs.get(ERRORS_PAGE)
    def errors() -> str:
        example = EXAMPLE.model_dump_json(indent=2)
        return render_template("errors.html", kinds=KINDS, example=example)

    return docs


def _code_spans(markdown: str) -> Markup:
    """``markdown`` as HTML, of which code in backquotes is all that is understood."""
    parts = re.split(r"`([^`]*)`", markdown)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part
        for number, part in enumerate(parts)
    )
