"""The codes of problems: for each its status, its title, what causes it and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Where the codes are explained; a problem's `type` is its place there.
ERRORS_PAGE: Final = "/docs/errors"


class Code(StrEnum):
    """The machine-readable codes of problems; they never change."""

    BAD_REQUEST = "bad_request"
    JSON_INVALID = "json_invalid"
    CURSOR_INVALID = "cursor_invalid"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    VIDEO_NOT_FOUND = "video_not_found"
    THUMBNAIL_NOT_FOUND = "thumbnail_not_found"
    NO_SUGGESTIONS = "no_suggestions"
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
    """The parts that all problems of one code share: status, title, cause and remedy.

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
        403,
        "Not allowed",
        "neither the key nor the token allows this, or the operator has switched it off",
        "send an admin key, or a token of this person",
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
    Code.NO_SUGGESTIONS: Kind(
        404,
        "No suggestions",
        "the index was published without suggestions, or its file of them is damaged",
        "search; `twinlens index` or `twinlens repair` publishes an index that has them",
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
        "another index, or another model that takes part, was published since",
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
        500, "Internal server error", "a mistake of the server", "its log has the `request_id`"
    ),
    Code.NOT_READY: Kind(
        503,
        "Not ready",
        "no index is published, the engine doesn't answer, or events can't be kept",
        "again after `Retry-After` seconds",
    ),
    Code.OVERLOADED: Kind(
        503,
        "Too much to do",
        "more searches are waiting than can be answered in time",
        "again after `Retry-After` seconds",
    ),
}
