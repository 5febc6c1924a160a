"""Cursors: where the next page of one request over one generation begins."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from twinlens.catalog.digests import join_with_lengths
from twinlens.catalog.errors import TwinLensError

MAX_CURSOR_LENGTH: Final = 1000
_DIGEST_BYTES: Final = 12


class CursorInvalid(TwinLensError, ValueError):
    """The text is not a cursor of this server, or belongs to another request."""


class CursorExpired(TwinLensError, ValueError):
    """The cursor was handed out for a generation that is no longer the published one."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a page: ``offset`` hits into the window of ``request`` over ``generation``."""

    generation: str
    request: str
    offset: int

    def encode(self) -> str:
        """Return the cursor as text that is safe in a URL."""
        return encode_place(self.offset, generation=self.generation, request=self.request)


def decode_cursor(text: str, *, generation: str, request: str, most: int) -> Cursor:
    """Return the cursor that ``text`` stands for, checked to belong to this request and generation.

    ``most`` is how many hits there can be, over all pages.

    Raises:
        CursorInvalid: changed, cut short, or handed out for another request.
        CursorExpired: handed out for another generation.
    """
    offset = decode_place(text, generation=generation, request=request)
    if type(offset) is not int or not 0 < offset <= most:
        raise CursorInvalid("the cursor is damaged")
    return Cursor(generation, request, offset)


def encode_place(place: object, *, generation: str, request: str) -> str:
    """Return a place, any JSON value, within ``request`` over ``generation``, as text for a URL."""
    body = json.dumps([generation, request, place]).encode()
    return base64.urlsafe_b64encode(_checksum(body) + body).decode().rstrip("=")


def decode_place(text: str, *, generation: str, request: str) -> Any:
    """Return the place that ``text`` stands for, checked to belong to this request and generation.

    The checksum catches cursors that were cut or changed by accident. A cursor grants nothing worth
    forging, so there is no secret key to share between processes. The caller validates the place.

    Raises:
        CursorInvalid: changed, cut short, or handed out for another request.
        CursorExpired: handed out for another generation.
    """
    try:
        raw = base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
        checksum, body = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if checksum != _checksum(body):
            raise CursorInvalid("the cursor is damaged")
        its_generation, its_request, place = json.loads(body)
        # Base64 and JSON can spell one value in several ways; accept only ours.
        same = encode_place(place, generation=its_generation, request=its_request) == text
    except (UnicodeError, binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise CursorInvalid("this is not a cursor of this server") from error
    if not same:
        raise CursorInvalid("the cursor is damaged")
    if its_request != request:
        raise CursorInvalid(
            "the cursor belongs to another request; send it with the request that it came from"
        )
    if its_generation != generation:
        raise CursorExpired(
            "the index or the model has changed since; ask for the first page again"
        )
    return place


def digest_request(*parts: object) -> str:
    """Return a short digest that identifies a request; ``parts`` must have a stable ``repr``."""
    pieces = (part if isinstance(part, bytes) else repr(part).encode() for part in parts)
    joined = join_with_lengths(pieces, byteorder="big")
    return hashlib.blake2b(joined, digest_size=_DIGEST_BYTES).hexdigest()


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES, person=b"twinlens-cursor").digest()
