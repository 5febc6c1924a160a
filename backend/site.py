"""The page, its documentation, health and metrics: all that is served beside the API.

The parts of the page and of its client's types that depend on fields or lenses are written when
they are served, so that they match the open index.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Final

from flask import Response, json, render_template, request, send_file
from markupsafe import Markup
from werkzeug.exceptions import NotFound

from twinlens.backend import examples
from twinlens.backend.access import Keys, Role
from twinlens.backend.content_types import with_own_type
from twinlens.backend.observing import Metrics
from twinlens.backend.openapi import describe_api, make_problem_example
from twinlens.backend.problem_kinds import ERRORS_PAGE, KINDS, Code
from twinlens.backend.problems import to_problem
from twinlens.backend.routes import Route
from twinlens.backend.schemas.answers import HealthAnswer, NewerBody
from twinlens.catalog.errors import TwinLensError
from twinlens.catalog.fields import Field, FieldKind, Fields
from twinlens.encoders.lens import Lens
from twinlens.encoders.lenses import find_lenses
from twinlens.recommender.pages import Feeds
from twinlens.search.published import PublishedIndex
from twinlens.search.rules import NO_GUIDANCE, Guidance

STATIC: Final = Path(__file__).parent / "static"
DOCUMENT_PATH: Final = "/openapi.json"
MAX_AGE_S: Final = 3600
# Only this package's copy of Swagger UI's files is used; it is never imported.
_ASSETS_PACKAGE: Final = "flask_openapi3_swagger"
_ASSETS: Final = {
    "swagger-ui.css": "templates/swagger/css/swagger-ui.css",
    "swagger-ui-bundle.js": "templates/swagger/js/swagger-ui-bundle.js",
}
# The policy of all pages, plus data: images, for the icons in Swagger UI's style sheet.
_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)

_PAGE_DATA: Final = '<script type="application/json" id="{}">{}</script>'
_TYPES: Final = re.compile(r"(?<=// ---- fields\n).*?(?=\n// ---- end of fields)", re.DOTALL)


class SiteViews:
    """The page, liveness and metrics: what is neither the API nor its documentation."""

    def __init__(
        self,
        index: PublishedIndex,
        feeds: Feeds,
        metrics: Metrics,
        guidance: Guidance = NO_GUIDANCE,
    ) -> None:
        self._index = index
        self._guidance = guidance
        self._feeds = feeds
        self._metrics = metrics

    @Route("get", "/")
    def page(self) -> Response:
        """Answer the page, with the fields of the videos and the lenses of the index in it."""
        lenses = describe_lenses(self._index.read_lenses().values())
        page = write_page(self._index.read_fields(), lenses)
        return _send_text(page, "index.html")

    @Route("get", "/static/client.d.ts")
    def client_types(self) -> Response:
        """Answer the types of the page's client, for these fields and the lenses installed."""
        types = write_types(self._index.read_fields(), tuple(find_lenses()))
        return _send_text(types, "client.d.ts")

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
        return _answer_health(HealthAnswer(status="ok"))

    @Route(
        "get",
        "/readyz",
        name="readyz",
        tag="operation",
        summary="The engine answers, with an index",
        description="As it was about a second ago; a Qdrant server is asked every second.",
        answer=HealthAnswer,
        problems=frozenset({Code.NOT_READY}),
        answers=examples.READYZ_ANSWERS,
    )
    def readyz(self) -> Response:
        """Answer that the engine does."""
        newer = self._index.newer
        try:
            generation = self._index.check()
        except TwinLensError as error:
            problem = to_problem(error)
            if newer is not None:  # in a word, as paths are nobody's business
                which = newer.generation or "what CURRENT names"
                problem.detail += f": {which} is published, and {newer.state}; the log says more"
            raise problem from error
        shown = NewerBody(generation=newer.generation, state=newer.state) if newer else None
        rules = self._guidance.problem
        answer = HealthAnswer(status="ready", generation=generation, newer=shown, rules=rules)
        return _answer_health(answer)

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
        response = self._metrics.expose(self._index, self._feeds, accept=accept)
        response.headers["Cache-Control"] = "no-store"
        return response


class DocsViews:
    """The OpenAPI document, the page that shows it, and the page of all error codes.

    The document describes ``routes``: which of them ask for ``keys``, and which fields videos of
    ``index`` have.
    """

    def __init__(self, routes: Sequence[Route], keys: Keys, index: PublishedIndex) -> None:
        self._index = index
        self._describe = lru_cache(maxsize=8)(partial(_write_document, routes, keys))

    @Route("get", DOCUMENT_PATH)
    def document(self) -> Response:
        """Answer the OpenAPI document."""
        written = self._describe(self._index.read_fields(), request.script_root)
        return _make_cacheable(Response(written, content_type="application/json"))

    @Route("get", "/docs")
    def docs(self) -> Response:
        """Answer the page that shows the document."""
        response = _make_cacheable(Response(render_template("docs.html"), content_type="text/html"))
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    @Route("get", "/docs/assets/<name>")
    def asset(self, name: str) -> Response:
        """Answer a file of that page."""
        if name not in _ASSETS:
            raise NotFound
        return with_own_type(send_file(_find_assets() / _ASSETS[name], max_age=MAX_AGE_S), name)

    @Route("get", ERRORS_PAGE)
    def errors(self) -> Response:
        """Answer the page of all error codes."""
        shown = make_problem_example(
            Code.VALIDATION_FAILED, KINDS[Code.VALIDATION_FAILED], request.script_root
        )
        text = render_template(
            "errors.html", kinds=KINDS, example=json.dumps(shown, indent=2), code_spans=_mark_code
        )
        return _make_cacheable(Response(text, content_type="text/html"))


def _answer_health(answer: HealthAnswer) -> Response:
    response = Response(answer.model_dump_json(exclude_none=True), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _write_document(routes: Sequence[Route], keys: Keys, fields: Fields, prefix: str) -> str:
    document = describe_api(
        routes,
        fields,
        key_to_read=keys.to_read is not Role.NOBODY,
        key_to_administrate=keys.to_administrate is not Role.NOBODY,
        prefix=prefix,
    )
    return json.dumps(document, ensure_ascii=False, sort_keys=False)


@cache
def _find_assets() -> Path:
    spec = importlib.util.find_spec(_ASSETS_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NotFound(f"the package {_ASSETS_PACKAGE} is not installed")
    return Path(spec.submodule_search_locations[0])


def _make_cacheable(response: Response) -> Response:
    """Return ``response``, which callers may keep, and ask for again by its tag."""
    response.cache_control.max_age = MAX_AGE_S
    response.cache_control.public = True
    response.vary.add("X-Forwarded-Prefix")
    response.add_etag()
    response.make_conditional(request)
    return response


def _mark_code(markdown: str) -> Markup:
    """Return ``markdown`` as HTML; code in backquotes is the only markup understood."""
    parts = re.split(r"`([^`]*)`", markdown)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part
        for number, part in enumerate(parts)
    )


# ---- the page and the types, by fields


def describe_lenses(lenses: Iterable[Lens[Any]]) -> str:
    """Return what the page knows of ``lenses``, as JSON. It is text, to keep no model loaded."""
    return json.dumps([_describe_lens(lens) for lens in lenses], ensure_ascii=False)


@lru_cache(maxsize=8)
def write_page(fields: Fields, lenses: str) -> str:
    """Return the page of videos that have ``fields`` and are ranked by ``lenses``, as described."""
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    rows = [row.to_json() | ({"sorts": row.sort_labels} if row.sortable else {}) for row in fields]
    for name, written in {"fields": json.dumps(rows, ensure_ascii=False), "lenses": lenses}.items():
        # In HTML, a script ends at the first "</script", wherever that stands.
        safe = written.replace("<", r"\u003c")
        text = text.replace(_PAGE_DATA.format(name, "[]"), _PAGE_DATA.format(name, safe))
    return text


def _describe_lens(lens: Lens[Any]) -> dict[str, str | float | bool]:
    return {
        "name": lens.name,
        "label": lens.name.replace("_", " ").capitalize(),
        "about": lens.about,
        "weight": lens.weight,
        "sparse": lens.dim is None,
    }


@lru_cache(maxsize=8)
def write_types(fields: Fields, lenses: tuple[str, ...]) -> str:
    """Return the types of the client of a server whose videos have ``fields``."""
    text = (STATIC / "client.d.ts").read_text(encoding="utf-8")
    written = "\n".join([*_list_types(fields), "", f"export type Lens = {_write_one_of(lenses)};"])
    return _TYPES.sub(lambda _: written, text)


def _list_types(fields: Fields) -> list[str]:
    counted = [row for row in fields.facets if row.kind.is_counted]
    ranged = [row for row in fields.facets if row.kind.is_ordered]
    return [
        "export interface Video {",
        "  video_id: string;",
        *(f"{_write_comment(row)}\n  {row.name}: {_VIDEO_TYPES[row.kind]};" for row in fields),
        "  /** A path on the server; `thumbnailUrl()` makes an address of it. */",
        "  thumbnail_url: string | null;",
        "}",
        "",
        f"export type CountedFacet = {_write_one_of(row.name for row in counted)};",
        f"export type RangedFacet = {_write_one_of(row.name for row in ranged)};",
        f"export type SortedField = {_write_one_of(row.name for row in fields.sortable)};",
        "",
        "/** Everything given holds together; of a list, one value is enough. */",
        "export interface Filter {",
        *(
            f"{_write_comment(row)}\n  {row.name}?: {_FILTER_TYPES[row.kind]};"
            for row in fields.filterable
        ),
        "  /** Whether it has a picture. */",
        "  has_thumbnail?: boolean;",
        "  and?: Filter[];",
        "  or?: Filter[];",
        "  not?: Filter;",
        "}",
        "",
        "export interface Facets extends",
        "  Partial<Record<CountedFacet, { values: { value: string; count: number }[] }>> {",
        *(f"  {row.name}?: {_EXTENT_TYPES[row.kind]};" for row in ranged),
        "}",
    ]


_WORDS_TYPE: Final = "string | string[]"
_QUANTITY_TYPE: Final = "number | Bounds<number>"
_EXTENT_TYPE: Final = "{{ min: {0} | null; max: {0} | null }}"
_VIDEO_TYPES: Final = dict.fromkeys(FieldKind, "string | null") | {
    FieldKind.KEYWORDS: "string[]",
    FieldKind.COUNT: "number | null",
    FieldKind.DURATION: "number | null",
}
_FILTER_TYPES: Final = {
    FieldKind.KEYWORD: _WORDS_TYPE,
    FieldKind.KEYWORDS: _WORDS_TYPE,
    FieldKind.MOMENT: "Bounds<string>",
    FieldKind.COUNT: _QUANTITY_TYPE,
    FieldKind.DURATION: _QUANTITY_TYPE,
}
_EXTENT_TYPES: Final = {
    FieldKind.MOMENT: _EXTENT_TYPE.format("string"),
    FieldKind.COUNT: _EXTENT_TYPE.format("number"),
    FieldKind.DURATION: _EXTENT_TYPE.format("number"),
}


def _write_comment(row: Field) -> str:
    said = row.help.replace("*/", "* /")
    if row.kind is FieldKind.MOMENT:
        said += " RFC 3339 with an offset; in a filter also a date."
    return f"  /** {said} */"


def _write_one_of(names: Iterable[str]) -> str:
    return " | ".join(f'"{name}"' for name in names) or "never"


def _send_text(text: str, name: str) -> Response:
    """Answer ``text`` as if it were the file ``name`` among the static ones."""
    data = text.encode()
    tag = hashlib.blake2b(data, digest_size=16).hexdigest()
    return with_own_type(send_file(io.BytesIO(data), download_name=name, etag=tag), name)
