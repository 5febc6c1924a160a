"""Cursors: where the next page of one request over one generation begins."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Final

MAX_CURSOR_LENGTH: Final = 1000
_DIGEST_BYTES: Final = 12


class CursorInvalid(ValueError):
    """The text is not a cursor of this server, or belongs to another request."""


class CursorExpired(ValueError):
    """The cursor was handed out for a generation that is no longer the published one."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a page: ``offset`` hits into the window of ``request`` over ``generation``."""

    generation: str
    request: str
    offset: int

    def encode(self) -> str:
        """The cursor as text that is safe in a URL."""
        body = json.dumps([self.generation, self.request, self.offset]).encode()
        return base64.urlsafe_b64encode(_checksum(body) + body).decode().rstrip("=")


def decode_cursor(text: str, *, generation: str, request: str, most: int) -> Cursor:
    """The cursor that ``text`` stands for, checked to belong to this request and generation.

    ``most`` is how many hits there can be, over all pages.

    The checksum catches what was cut or changed by accident; a cursor holds no right that would be
    worth forging, so there is no key to share between processes.

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
        cursor = Cursor(*json.loads(body))
    except (UnicodeError, binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise CursorInvalid("this is not a cursor of this server") from error
    # Base64 has several spellings of one value; only the one handed out is taken.
    placed = type(cursor.offset) is int and 0 < cursor.offset <= most
    if cursor.encode() != text or not placed:
        raise CursorInvalid("the cursor is damaged")
    if cursor.request != request:
        raise CursorInvalid(
            "the cursor belongs to another request; send it with the request that it came from"
        )
    if cursor.generation != generation:
        raise CursorExpired("the index has changed since; ask for the first page again")
    return cursor


def request_digest(*parts: object) -> str:
    """A short digest that tells one request from another; ``parts`` have a stable ``repr``."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        piece = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(piece).to_bytes(8, "big"))
        digest.update(piece)
    return digest.hexdigest()


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES, person=b"twinlens-cursor").digest()
