"""The API's documentation, served by the API itself and from nowhere else."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, json, render_template, request, send_file
from markupsafe import Markup
from werkzeug.exceptions import NotFound

from twinlens.backend.access import Keys, Role
from twinlens.backend.openapi import DOCUMENT_PATH, openapi_document, problem_example
from twinlens.backend.problems import ERRORS_PAGE, KINDS, Code
from twinlens.catalog.fields import Fields
from twinlens.search.published import PublishedIndex

MAX_AGE_S: Final = 3600
# A package of which only its copy of Swagger UI's files is used; it is never imported.
_ASSETS_PACKAGE: Final = "flask_openapi3_swagger"
_ASSETS: Final = {
    "swagger-ui.css": "templates/swagger/css/swagger-ui.css",
    "swagger-ui-bundle.js": "templates/swagger/js/swagger-ui-bundle.js",
}
# As everywhere, and Swagger UI's style sheet has its icons in itself.
_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


def docs_blueprint(keys: Keys, index: PublishedIndex) -> Blueprint:
    """The OpenAPI document, the page that shows it, and the page of all error codes.

    The document says for what ``keys`` are asked, and which fields the videos of ``index`` have.
    """
    docs = Blueprint("docs", __name__)
    described = cache(lambda fields: _document(keys, fields))
    docs.add_app_template_filter(_code_spans, "code_spans")

    @docs.get(DOCUMENT_PATH)
    def document() -> Response:
        return _kept(Response(described(index.fields()), content_type="application/json"))

    @docs.get("/docs")
    def page() -> Response:
        response = _kept(Response(render_template("docs.html"), content_type="text/html"))
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    @docs.get("/docs/assets/<name>")
    def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise NotFound
        return send_file(_assets_folder() / _ASSETS[name], max_age=MAX_AGE_S)

    @docs.get(ERRORS_PAGE)
    def errors() -> Response:
        shown = problem_example(Code.VALIDATION_FAILED, KINDS[Code.VALIDATION_FAILED])
        text = render_template("errors.html", kinds=KINDS, example=json.dumps(shown, indent=2))
        return _kept(Response(text, content_type="text/html"))

    return docs


def _document(keys: Keys, fields: Fields) -> str:
    document = openapi_document(
        fields,
        key_to_read=keys.to_read is not Role.NOBODY,
        key_to_administrate=keys.to_administrate is not Role.NOBODY,
    )
    return json.dumps(document, ensure_ascii=False, sort_keys=False)


@cache
def _assets_folder() -> Path:
    spec = importlib.util.find_spec(_ASSETS_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NotFound(f"the package {_ASSETS_PACKAGE} is not installed")
    return Path(spec.submodule_search_locations[0])


def _kept(response: Response) -> Response:
    """``response``, which callers may keep, and ask for again by its tag."""
    response.cache_control.max_age = MAX_AGE_S
    response.cache_control.public = True
    response.add_etag()
    response.make_conditional(request)
    return response


def _code_spans(markdown: str) -> Markup:
    """``markdown`` as HTML, of which code in backquotes is all that is understood."""
    parts = re.split(r"`([^`]*)`", markdown)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part
        for number, part in enumerate(parts)
    )
