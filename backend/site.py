"""What is served beside the API: the page, its documentation, and what operators ask for."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from flask import Response, current_app, json, render_template, request, send_file
from markupsafe import Markup
from werkzeug.exceptions import NotFound

from twinlens.backend import examples
from twinlens.backend.access import Keys, Role
from twinlens.backend.metrics import Metrics
from twinlens.backend.openapi import openapi_document, problem_example
from twinlens.backend.problem_kinds import ERRORS_PAGE, KINDS, Code
from twinlens.backend.routes import Route
from twinlens.backend.schemas.answers import HealthAnswer
from twinlens.catalog.fields import Fields
from twinlens.search.published import PublishedIndex

DOCUMENT_PATH: Final = "/openapi.json"
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


class SiteViews:
    """The page, liveness and metrics: what is neither the API nor its documentation."""

    def __init__(self, index: PublishedIndex, metrics: Metrics) -> None:
        self._index = index
        self._metrics = metrics

    @Route("get", "/")
    def page(self) -> Response:
        """Answer the page."""
        return current_app.send_static_file("index.html")

    @Route(
        "get",
        "/healthz",
        name="healthz",
        tag="operation",
        summary="The process answers",
        answer=HealthAnswer,
        answers=examples.HEALTHZ_ANSWERS,
    )
    def healthz(self) -> Response:
        """Answer that the process lives."""
        return _health_response(HealthAnswer(status="ok"))

    @Route(
        "get",
        "/readyz",
        name="readyz",
        tag="operation",
        summary="The engine answers, with an index",
        description="A Qdrant server is asked twice, for 3 seconds each.",
        answer=HealthAnswer,
        problems=frozenset({Code.NOT_READY}),
        answers=examples.READYZ_ANSWERS,
    )
    def readyz(self) -> Response:
        """Answer that the engine does."""
        with self._index.borrow() as snapshot:
            # Looking for one id is the cheapest question; a store that is away can't answer it.
            snapshot.reader.get(["readyz"])
            return _health_response(HealthAnswer(status="ready", generation=snapshot.generation))

    @Route(
        "get",
        "/metrics",
        name="metrics",
        tag="operation",
        summary="Numbers for Prometheus",
        description="Requests, seconds per stage, what waits, the generation.",
        media_types=("text/plain", "application/openmetrics-text"),
        problems=frozenset({Code.UNAUTHORIZED, Code.FORBIDDEN, Code.RATE_LIMITED}),
    )
    def metrics(self) -> Response:
        """Answer the numbers of all processes."""
        accept = request.headers.get("Accept", "")
        response = self._metrics.exposition(self._index, accept=accept)
        response.headers["Cache-Control"] = "no-store"
        return response


class DocsViews:
    """The OpenAPI document, the page that shows it, and the page of all error codes.

    The document describes ``routes``: which of them ask for ``keys``, and which fields videos of
    ``index`` have.
    """

    def __init__(self, routes: Sequence[Route], keys: Keys, index: PublishedIndex) -> None:
        self._index = index
        self._describe = cache(lambda fields: _write_document(routes, keys, fields))

    @Route("get", DOCUMENT_PATH)
    def document(self) -> Response:
        """Answer the OpenAPI document."""
        return _cacheable(
            Response(self._describe(self._index.fields()), content_type="application/json")
        )

    @Route("get", "/docs")
    def docs(self) -> Response:
        """Answer the page that shows the document."""
        response = _cacheable(Response(render_template("docs.html"), content_type="text/html"))
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    @Route("get", "/docs/assets/<name>")
    def asset(self, name: str) -> Response:
        """Answer a file of that page."""
        if name not in _ASSETS:
            raise NotFound
        return send_file(_find_assets() / _ASSETS[name], max_age=MAX_AGE_S)

    @Route("get", ERRORS_PAGE)
    def errors(self) -> Response:
        """Answer the page of all error codes."""
        shown = problem_example(Code.VALIDATION_FAILED, KINDS[Code.VALIDATION_FAILED])
        text = render_template(
            "errors.html",
            kinds=KINDS,
            example=json.dumps(shown, indent=2),
            code_spans=_code_spans,
        )
        return _cacheable(Response(text, content_type="text/html"))


def _health_response(answer: HealthAnswer) -> Response:
    response = Response(answer.model_dump_json(exclude_none=True), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _write_document(routes: Sequence[Route], keys: Keys, fields: Fields) -> str:
    document = openapi_document(
        routes,
        fields,
        key_to_read=keys.to_read is not Role.NOBODY,
        key_to_administrate=keys.to_administrate is not Role.NOBODY,
    )
    return json.dumps(document, ensure_ascii=False, sort_keys=False)


@cache
def _find_assets() -> Path:
    spec = importlib.util.find_spec(_ASSETS_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NotFound(f"the package {_ASSETS_PACKAGE} is not installed")
    return Path(spec.submodule_search_locations[0])


def _cacheable(response: Response) -> Response:
    """Return ``response``, which callers may keep, and ask for again by its tag."""
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
