"""Every error answer: RFC 9457 ``application/problem+json`` with a stable ``code``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from itertools import islice
from types import MappingProxyType
from typing import Annotated, Final

import pydantic
from flask import Flask, Response, g
from gunicorn.http.errors import ParseException
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema
from werkzeug.exceptions import ClientDisconnected, HTTPException
from werkzeug.routing import RequestRedirect

from twinlens.backend.arrival import TooSlow
from twinlens.backend.expected import expected_at
from twinlens.backend.limits import Overloaded
from twinlens.backend.schemas.base import AT_FAULT
from twinlens.catalog.errors import PictureRejected, TwinLensError, UnencodableItems
from twinlens.search.budget import OutOfTime
from twinlens.search.cursor import CursorExpired, CursorInvalid
from twinlens.search.request import MultiSearchFailed, VideoNotFound

RETRY_AFTER_S: Final = 5
MOST_ERRORS: Final = 1000
MOST_LISTED: Final = 20
# Where the codes are explained; a problem's `type` is its place there.
ERRORS_PAGE: Final = "/docs/errors"
# What a picture has to be; in a request it is called `image`.
PICTURE_EXPECTED: Final = "a whole JPEG, PNG, WebP, GIF or BMP picture"

# What pydantic calls a number that is too small or too large.
_BEYOND: Final = frozenset({"greater_than_equal", "less_than_equal"})

_log = logging.getLogger(__name__)


class Code(StrEnum):
    """What went wrong, in words that never change."""

    BAD_REQUEST = "bad_request"
    JSON_INVALID = "json_invalid"
    CURSOR_INVALID = "cursor_invalid"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    VIDEO_NOT_FOUND = "video_not_found"
    THUMBNAIL_NOT_FOUND = "thumbnail_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    CURSOR_EXPIRED = "cursor_expired"
    BODY_TOO_LARGE = "body_too_large"
    REQUEST_LINE_TOO_LONG = "request_line_too_long"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    VALIDATION_FAILED = "validation_failed"
    PICTURE_REJECTED = "picture_rejected"
    NOT_ENCODABLE = "not_encodable"
    RATE_LIMITED = "rate_limited"
    HEADERS_TOO_LARGE = "headers_too_large"
    INTERNAL_ERROR = "internal_error"
    NOT_READY = "not_ready"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Kind:
    """What every problem of one code shares: its status, a title, its cause and the remedy.

    Cause and remedy are Markdown, of which backquotes alone are used.
    """

    status: int
    title: str
    cause: str
    remedy: str


KINDS: Final[Mapping[Code, Kind]] = {
    Code.BAD_REQUEST: Kind(
        400,
        "Bad request",
        "HTTP that can't be understood; also other 4xx of HTTP itself",
        "mend the request",
    ),
    Code.JSON_INVALID: Kind(
        400, "Not JSON", "the body is not JSON in UTF-8, or nested too deep", "mend the body"
    ),
    Code.CURSOR_INVALID: Kind(
        400,
        "Not a cursor of this request",
        "the cursor is damaged, or of another request",
        "send it as it came, with its own request",
    ),
    Code.UNAUTHORIZED: Kind(
        401,
        "A key is needed",
        "this server asks for an API key, and none came, or one that it doesn't know",
        "send `Authorization: Bearer KEY`",
    ),
    Code.FORBIDDEN: Kind(
        403, "Not with this key", "the API key doesn't allow this", "send an admin key"
    ),
    Code.NOT_FOUND: Kind(404, "No such route", "no such route", "see the table of routes"),
    Code.VIDEO_NOT_FOUND: Kind(
        404,
        "No such video",
        "no video of this id in the published index",
        "take ids from the answers of this index",
    ),
    Code.THUMBNAIL_NOT_FOUND: Kind(
        404, "No thumbnail", "the video has no thumbnail", "its `thumbnail_url` is null"
    ),
    Code.METHOD_NOT_ALLOWED: Kind(
        405, "Method not allowed", "the route doesn't take this method", "see `Allow`"
    ),
    Code.REQUEST_TIMEOUT: Kind(
        408, "Too slow", "the head or the body did not come in time", "send it again, faster"
    ),
    Code.CURSOR_EXPIRED: Kind(
        409,
        "Cursor of an older index",
        "another index was published since",
        "ask for the first page",
    ),
    Code.BODY_TOO_LARGE: Kind(
        413,
        "Body too large",
        "larger than the server takes, by default 16 MiB, or of too many parts or values",
        "send less, or a smaller picture",
    ),
    Code.REQUEST_LINE_TOO_LONG: Kind(
        414,
        "Request line too long",
        "the request line has more than 8,190 bytes",
        "send long texts and filters by POST",
    ),
    Code.UNSUPPORTED_MEDIA_TYPE: Kind(
        415,
        "Unsupported media type",
        "neither JSON nor multipart, or compressed",
        "set `Content-Type`; send no `Content-Encoding`",
    ),
    Code.VALIDATION_FAILED: Kind(
        422, "Not valid", "a field is missing, unknown or out of range", "see `errors`"
    ),
    Code.PICTURE_REJECTED: Kind(
        422,
        "Picture can't be used",
        "no picture of a known format, cut short, or too large",
        "send another",
    ),
    Code.NOT_ENCODABLE: Kind(
        422,
        "Nothing to compare with",
        "what was given has no direction, so nothing is like it",
        "add words",
    ),
    Code.RATE_LIMITED: Kind(
        429,
        "Too many requests",
        "more requests a minute than a caller is allowed",
        "again after `Retry-After` seconds",
    ),
    Code.HEADERS_TOO_LARGE: Kind(
        431,
        "Headers too large",
        "more than 100 header fields, or one of more than 8,190 bytes",
        "send fewer or shorter ones",
    ),
    Code.INTERNAL_ERROR: Kind(
        500, "Mistake of the server", "a mistake of the server", "its log has the `request_id`"
    ),
    Code.NOT_READY: Kind(
        503,
        "Not ready",
        "no index is published, or the engine doesn't answer",
        "again after `Retry-After` seconds",
    ),
    Code.OVERLOADED: Kind(
        503,
        "Too much to do",
        "more searches are waiting than can be answered in time",
        "again after `Retry-After` seconds",
    ),
}
_BY_STATUS: Final = {
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    408: Code.REQUEST_TIMEOUT,
    413: Code.BODY_TOO_LARGE,
    414: Code.REQUEST_LINE_TOO_LONG,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
    431: Code.HEADERS_TOO_LARGE,
    500: Code.INTERNAL_ERROR,
    501: Code.BAD_REQUEST,  # gunicorn's, of a transfer coding that it doesn't know
    503: Code.NOT_READY,
}

# What one search among several can fail for, whatever becomes of the others.
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
    app.register_error_handler(Problem, problem_response)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(Exception, _from_exception)


def problem_body(
    problem: Problem, *, status: int | None = None, request_id: str | None = None
) -> ProblemBody:
    """The document that ``problem`` is; ``status`` where the code alone doesn't say it.

    ``request_id`` is for what is no request of the application.
    """
    kind = KINDS[problem.code]
    return ProblemBody(
        type=f"{ERRORS_PAGE}#{problem.code}",
        title=kind.title,
        status=status or kind.status,
        code=problem.code,
        detail=_printable(problem.detail),
        request_id=g.get("request_id", "") if request_id is None else request_id,
        errors=[
            FieldError(
                _printable(error.field),
                _printable(error.message),
                _printable(error.expected) if error.expected else None,
            )
            for error in problem.errors
        ]
        or None,
    )


def problem_response(problem: Problem, *, status: int | None = None) -> Response:
    """The answer that ``problem`` stands for; ``status`` where the code alone doesn't say it."""
    g.problem_code = problem.code.value
    body = problem_body(problem, status=status)
    status = body.status
    response = Response(
        body.model_dump_json(exclude_none=True), status, content_type="application/problem+json"
    )
    if status == KINDS[Code.NOT_READY].status:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    response.headers.update(problem.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


def _from_http(error: HTTPException) -> Response:
    if isinstance(error, RequestRedirect):
        return Response("", error.code, {"Location": error.new_url})
    if isinstance(error, ClientDisconnected) and isinstance(error.__context__, TooSlow):
        return problem_response(Problem(Code.REQUEST_TIMEOUT, "the body did not come in time"))
    status = error.code or 500
    response = problem_response(Problem(_code_of(status), error.description or ""), status=status)
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value  # Allow, with a 405
    return response


def _code_of(status: int) -> Code:
    return _BY_STATUS.get(status, Code.BAD_REQUEST if status < 500 else Code.INTERNAL_ERROR)


def refusal(status: int, *, request_id: str) -> bytes:
    """The whole answer to what the server refuses before the application sees it."""
    code = _code_of(status)
    problem = Problem(code, KINDS[code].cause.replace("`", ""))
    body = problem_body(problem, status=status, request_id=request_id)
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


def _from_exception(error: Exception) -> Response:
    return problem_response(as_problem(error))


def as_problem(error: BaseException) -> Problem:
    """What a caller is told of ``error``; what they can't help is logged."""
    match error:
        case Problem():
            return error
        case MultiSearchFailed(search=search, __cause__=BaseException() as cause):
            problem = as_problem(cause)
            where = f"searches.{search}"
            return Problem(
                problem.code,
                f"{where}: {problem.detail}",
                errors=[replace(one, field=f"{where}.{one.field}") for one in problem.errors],
            )
        case CursorInvalid():
            return _at_cursor(Code.CURSOR_INVALID, error)
        case CursorExpired():
            return _at_cursor(Code.CURSOR_EXPIRED, error)
        case VideoNotFound():
            gone = [repr(shortened(one, 100)) for one in dict.fromkeys(error.missing.values())]
            more = f" and {len(gone) - MOST_LISTED} more" if len(gone) > MOST_LISTED else ""
            return Problem(
                Code.VIDEO_NOT_FOUND,
                f"no video {', '.join(gone[:MOST_LISTED])}{more} in this index",
                errors=[
                    FieldError(field, "not in this index", "the video_id of a video in this index")
                    for field in islice(error.missing, MOST_LISTED)
                ],
            )
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
        case ParseException():
            # gunicorn finds out while the application reads: the head was sound, the body is not.
            return Problem(Code.BAD_REQUEST, "the body can't be read: its chunks are malformed")
        case Overloaded():
            return Problem(Code.OVERLOADED, "too many searches are waiting; this one waits no more")
        case OutOfTime():
            return Problem(
                Code.OVERLOADED,
                "those before it took too long, and it was not begun; ask for it again",
            )
        case TwinLensError():
            # The message is for the operator: it names paths and hosts.
            _log.error("not ready: %s", error)
            return Problem(Code.NOT_READY, "no index can be searched at the moment")
        case _:
            _log.error("request %s failed", g.get("request_id"), exc_info=error)
            return Problem(
                Code.INTERNAL_ERROR, "the server made a mistake; its log has this request_id"
            )


def _at_cursor(code: Code, error: CursorInvalid | CursorExpired) -> Problem:
    right = (
        "none, for the first page"
        if code is Code.CURSOR_EXPIRED
        else "next_cursor of the page before, with the rest of the request as it was"
    )
    return Problem(code, str(error), errors=[FieldError("cursor", str(error), right)])


def invalid_fields(
    error: pydantic.ValidationError,
    model: type[BaseModel],
    *,
    renamed: Mapping[str, str | None] | None = None,
    prefix: str = "",
) -> Problem:
    """The problem that a failed validation of ``model`` is: 400 for what isn't JSON, else 422.

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
        expected = expected or expected_at(
            model,
            place,
            unknown=kind == "extra_forbidden",
            bounds=kind in _BEYOND,
            renamed=renamed,
        )
        found.append(FieldError(shortened(path), message, expected))
    fields = ", ".join(dict.fromkeys(one.field for one in found if one.field))
    return Problem(
        Code.VALIDATION_FAILED,
        f"not valid: {shortened(fields)}" if fields else found[0].message,
        errors=found[:MOST_LISTED],
    )


def shortened(text: str, length: int = 200) -> str:
    """``text``, cut where longer than ``length``: what a caller sent is not sent back whole."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
