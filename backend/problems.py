"""Every error answer: RFC 9457 ``application/problem+json`` with a stable ``code``."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import islice
from types import MappingProxyType
from typing import Annotated, Final

import pydantic
from flask import Flask, Response, g
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from twinlens.backend.access import Overloaded
from twinlens.backend.mounting import prefix_of_request
from twinlens.backend.problem_kinds import ERRORS_PAGE, KINDS, Code
from twinlens.backend.schemas.base import AT_FAULT, describe_expected
from twinlens.catalog.errors import PictureRejected, TwinLensError, UnencodableItems
from twinlens.catalog.timing import OutOfTime
from twinlens.search.cursor import CursorExpired, CursorInvalid
from twinlens.search.request import LensNotFound, MultiSearchFailed, VideoNotFound

RETRY_AFTER_S: Final = 5
MOST_ERRORS: Final = 1000
MOST_LISTED: Final = 20
# What a picture has to be; in a request it is called `image`.
PICTURE_EXPECTED: Final = "a whole JPEG, PNG, WebP, AVIF, GIF or BMP picture"

_SAID_EVERY_S: Final = 10.0

# Pydantic's error types for a number that is too small or too large.
_BEYOND: Final = frozenset({"greater_than_equal", "less_than_equal"})

_log = logging.getLogger(__name__)


class _Complaints:
    """Logs why no index can be searched; errors of one kind at most once in ten seconds.

    Their text is for the operator: it names paths and hosts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said_at: dict[type[Exception], float] = {}

    def say(self, error: Exception) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._said_at.get(type(error), -math.inf) < _SAID_EVERY_S:
                return
            self._said_at[type(error)] = now
        _log.error("not ready: %s", error)


_complaints = _Complaints()


_BY_STATUS: Final = {
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    408: Code.REQUEST_TIMEOUT,
    413: Code.BODY_TOO_LARGE,
    414: Code.REQUEST_LINE_TOO_LONG,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
    431: Code.HEADERS_TOO_LARGE,
    500: Code.INTERNAL_ERROR,
    501: Code.BAD_REQUEST,  # the server's, of a transfer coding that it doesn't know
    503: Code.NOT_READY,
}

# One search of a multi-search may fail for these without failing the others.
SEARCH_ERRORS: Final = (
    CursorInvalid,
    CursorExpired,
    OutOfTime,
    PictureRejected,
    UnencodableItems,
    VideoNotFound,
)


@dataclass(frozen=True, slots=True)
class FieldError:
    """A field of the request and what is wrong with it."""

    field: Annotated[
        str,
        Field(
            description="Its path in the request: `filter.view_count.gte`; empty where the body as "
            "a whole is at fault."
        ),
    ]
    message: Annotated[str, Field(description="What is wrong with it.")]
    expected: Annotated[
        str | SkipJsonSchema[None],
        Field(description="What would be right; absent where that can't be said."),
    ] = None


class ProblemBody(BaseModel):
    """An error answer, by RFC 9457: ``application/problem+json``."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """Where the code is explained: a path on this server."""
    title: str
    """What went wrong, the same for every problem of one code."""
    status: int
    """The status of the answer."""
    code: Code
    """What went wrong, in a word that never changes."""
    detail: str
    """What went wrong this time, for people."""
    request_id: str
    """The request's id, as in `X-Request-Id`; the server's log has it, too."""
    errors: list[FieldError] | SkipJsonSchema[None] = None
    """The fields at fault, at most 20; absent where none is."""


class Problem(Exception):
    """An error answer on its way to the caller."""

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers


def register_problems(app: Flask) -> None:
    """Make ``app`` answer every error as a problem document."""
    app.register_error_handler(Problem, make_problem_response)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_exception)


def make_problem_body(
    problem: Problem,
    *,
    status: int | None = None,
    request_id: str | None = None,
    prefix: str | None = None,
) -> ProblemBody:
    """Return the document for ``problem``; ``status`` where the code alone doesn't give it.

    ``request_id`` and ``prefix`` are given for a request that never reached the application.
    """
    kind = KINDS[problem.code]
    return ProblemBody(
        type=f"{prefix_of_request() if prefix is None else prefix}{ERRORS_PAGE}#{problem.code}",
        title=kind.title,
        status=status or kind.status,
        code=problem.code,
        detail=_make_printable(problem.detail),
        request_id=g.get("request_id", "") if request_id is None else request_id,
        errors=[
            FieldError(
                _make_printable(error.field),
                _make_printable(error.message),
                _make_printable(error.expected) if error.expected else None,
            )
            for error in problem.errors
        ]
        or None,
    )


def make_problem_response(problem: Problem, *, status: int | None = None) -> Response:
    """Return the answer for ``problem``; ``status`` where the code alone doesn't give it."""
    g.problem_code = problem.code.value
    body = make_problem_body(problem, status=status)
    status = body.status
    response = Response(
        body.model_dump_json(exclude_none=True), status, content_type="application/problem+json"
    )
    if status == KINDS[Code.NOT_READY].status:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    response.headers.update(problem.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


def _answer_http_error(error: HTTPException) -> Response:
    if isinstance(error, RequestRedirect):
        return Response("", error.code, {"Location": error.new_url})
    status = error.code or 500
    code = _choose_code(status)
    # Werkzeug's own words are for the person at a browser.
    own = error.description if error.description != type(error).description else None
    response = make_problem_response(Problem(code, own or _name_cause(code)), status=status)
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value  # Allow, with a 405
    return response


def _choose_code(status: int) -> Code:
    return _BY_STATUS.get(status, Code.BAD_REQUEST if status < 500 else Code.INTERNAL_ERROR)


def _name_cause(code: Code) -> str:
    return KINDS[code].cause.replace("`", "")


def write_refusal(status: int, *, request_id: str, prefix: str) -> bytes:
    """Return the whole HTTP answer to a request refused before the application sees it."""
    code = _choose_code(status)
    problem = Problem(code, _name_cause(code))
    body = make_problem_body(problem, status=status, request_id=request_id, prefix=prefix)
    content = body.model_dump_json(exclude_none=True).encode()
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        f"X-Request-Id: {request_id}",
    ]
    return "\r\n".join([*head, "", ""]).encode("ascii") + content


def _answer_exception(error: Exception) -> Response:
    return make_problem_response(to_problem(error))


def to_problem(error: BaseException) -> Problem:
    """Map an exception to a problem; log it if the caller can't fix it."""
    match error:
        case Problem():
            return error
        case MultiSearchFailed(search=search, __cause__=BaseException() as cause):
            problem = to_problem(cause)
            where = f"searches.{search}"
            return Problem(
                problem.code,
                f"{where}: {problem.detail}",
                errors=[replace(one, field=f"{where}.{one.field}") for one in problem.errors],
            )
        case CursorInvalid():
            return _blame_cursor(Code.CURSOR_INVALID, error)
        case CursorExpired():
            return _blame_cursor(Code.CURSOR_EXPIRED, error)
        case VideoNotFound():
            gone = [repr(shorten(one, 100)) for one in dict.fromkeys(error.missing.values())]
            more = f" and {len(gone) - MOST_LISTED} more" if len(gone) > MOST_LISTED else ""
            return Problem(
                Code.VIDEO_NOT_FOUND,
                f"no video {', '.join(gone[:MOST_LISTED])}{more} in this index",
                errors=[
                    FieldError(field, "not in this index", "the video_id of a video in this index")
                    for field in islice(error.missing, MOST_LISTED)
                ],
            )
        case LensNotFound():
            here = f"one of: {', '.join(error.lenses)}"
            fault = FieldError(f"weights.{error.lens}", "this index has no such lens", here)
            return Problem(Code.VALIDATION_FAILED, f"not valid: {fault.field}", errors=[fault])
        case PictureRejected():
            return Problem(
                Code.PICTURE_REJECTED,
                f"the picture can't be used: {error.detail}",
                errors=[FieldError("image", error.detail, PICTURE_EXPECTED)],
            )
        case UnencodableItems():
            return Problem(
                Code.NOT_ENCODABLE, "nothing can be compared with what was given: it has no vector"
            )
        case Overloaded():
            return Problem(Code.OVERLOADED, "too many searches are waiting; this one waits no more")
        case OutOfTime():
            return Problem(
                Code.OVERLOADED,
                "those before it took too long, and it was not begun; ask for it again",
            )
        case TwinLensError():
            return make_not_ready(error, "no index can be searched at the moment")
        case _:
            _log.error("request %s failed", g.get("request_id"), exc_info=error)
            return Problem(
                Code.INTERNAL_ERROR, "the server made a mistake; its log has this request_id"
            )


def make_not_ready(error: TwinLensError, detail: str) -> Problem:
    """Return a problem that says ``detail``; the log says ``error``, now and then."""
    _complaints.say(error)
    return Problem(Code.NOT_READY, detail)


def _blame_cursor(code: Code, error: CursorInvalid | CursorExpired) -> Problem:
    right = (
        "none, for the first page"
        if code is Code.CURSOR_EXPIRED
        else "next_cursor of the page before, with the rest of the request as it was"
    )
    return Problem(code, str(error), errors=[FieldError("cursor", str(error), right)])


def describe_invalid_fields(
    error: pydantic.ValidationError,
    model: type[BaseModel],
    *,
    renamed: Mapping[str, str | None] | None = None,
    prefix: str = "",
) -> Problem:
    """Return the problem for a failed validation of ``model``: 400 if it isn't JSON, else 422.

    ``renamed`` maps a model's field to the name that the caller uses, or to None where it can't be
    given; ``prefix`` is put before every field.
    """
    if error.error_count() > MOST_ERRORS:
        # To list them would take seconds.
        return Problem(Code.VALIDATION_FAILED, f"not valid: {error.error_count():,} fields")
    renamed = renamed or {}
    found: list[FieldError] = []
    for part in error.errors(include_url=False, include_input=False):
        place, message, kind = part["loc"], part["msg"].removeprefix("Value error, "), part["type"]
        expected = None
        if kind == AT_FAULT:
            expected = part["ctx"]["expected"]
            if names := part["ctx"]["any_of"]:
                here = {} if place else renamed
                called = [one for name in names if (one := here.get(name, name)) is not None]
                listed = f"{', '.join(called[:-1])} or {called[-1]}"
                message = message.replace("{names}", listed)
                place = (*place, names[0])
        first, *rest = [str(step) for step in place] or [""]
        path = ".".join(filter(None, [prefix, renamed.get(first) or first, *rest]))
        if kind == "json_invalid" and not path:
            return Problem(Code.JSON_INVALID, f"the body is not JSON: {part['msg']}")
        expected = expected or describe_expected(
            model, place, unknown=kind == "extra_forbidden", bounds=kind in _BEYOND, renamed=renamed
        )
        found.append(FieldError(shorten(path), message, expected))
    fields = ", ".join(dict.fromkeys(one.field for one in found if one.field))
    return Problem(
        Code.VALIDATION_FAILED,
        f"not valid: {shorten(fields)}" if fields else found[0].message,
        errors=found[:MOST_LISTED],
    )


def shorten(text: str, length: int = 200) -> str:
    """Return ``text``, cut to ``length``, so that a caller's input is not echoed whole."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _make_printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
