"""Parse the cell of a picture: bytes, a file's path, or the address where it can be had."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.sources.values import (
    find_link,
    is_no_value,
    is_web_url,
    quote,
    to_text,
    unwrap,
)

# How JPEG, PNG, GIF and WebP begin once base64 encoded.
_BASE64_PICTURE: Final = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")
_BASE64_MIN_LENGTH: Final = 64
_SEVERAL: Final = re.compile(r"[\s,;|]https?://", re.IGNORECASE)
_SIZES: Final = re.compile(
    r"(https?://[^\s|]+?)(?:\s+(\d+(?:\.\d+)?)[wx])?[,;|]*(?=\s|[,;|]+\s*https?://|\||\Z)",
    re.IGNORECASE,
)
_ADDRESSES: Final = ("url", "link", "src", "href", "contentUrl")
# Lists and objects of sizes lie at most so deep: {"pictures": {"sizes": [{"link": …}]}}.
_DEPTH: Final = 4


def parse_picture(
    value: object, *, folder: Path | None, root: Path | None
) -> bytes | Path | str | None:
    """Parse a picture cell: encoded bytes, the path of a file, or (as str) a web address.

    A cell is bytes; a mapping of ``bytes`` and ``path`` as Hugging Face writes pictures; sizes of
    one picture, of which the widest or the last is taken; or text: an address, base64 (with or
    without ``data:``), or a path that starts at ``folder``.

    Raises:
        PictureRejected: a path that leaves ``root``, bad base64, or nothing of these.
    """
    value = unwrap(value) if isinstance(value, Mapping) else value
    if isinstance(value, Mapping) and ("bytes" in value or "path" in value):
        content = value.get("bytes")
        if content is None:
            return parse_picture(value.get("path"), folder=folder, root=root)
        return _from_base64(content) if isinstance(content, str) else _to_bytes(content)
    if isinstance(value, Mapping | list | tuple):
        sizes = list(_list_sizes(value, _DEPTH))
        if value and not sizes:
            raise PictureRejected(
                RejectReason.PICTURE_UNREADABLE,
                f"a picture is bytes, a path or an address, not {quote(value)}",
            )
        return max(reversed(sizes), key=lambda size: size[0])[1] if sizes else None
    if is_no_value(value):
        return None
    if not isinstance(value, str):
        return _to_bytes(value)
    text = to_text(value, "thumbnail").strip()
    if not text:
        return None
    if (link := find_link(text)) is not None:
        text = link[0]
    if is_web_url(text):
        return pick_address(text)
    if text.startswith("//"):
        return f"https:{text}"
    if text[:5].casefold() == "data:":
        return _from_base64(text.partition(",")[2])
    if len(text) >= _BASE64_MIN_LENGTH and text.startswith(_BASE64_PICTURE):
        return _from_base64(text)
    return _locate(_to_path(text), folder, root)


def pick_address(text: str) -> str:
    """Return the widest of several sizes' addresses, as in HTML's ``srcset``, else the first."""
    if text.count("://") > 1 and _SEVERAL.search(text):
        sizes = {match[1]: float(match[2] or 0) for match in _SIZES.finditer(text)}
        return max(sizes, key=sizes.__getitem__)
    return text


def _to_path(text: str) -> str:
    """Return the path of a ``file:`` address, and any other text as it is."""
    if text[:5].casefold() != "file:":
        return text
    address = urlsplit(text)
    if address.netloc not in ("", "localhost"):
        raise PictureRejected(RejectReason.PICTURE_MISSING, f"{quote(text)} is on another machine")
    return url2pathname(address.path)


def _locate(text: str, folder: Path | None, root: Path | None) -> Path:
    if folder is None or root is None:
        raise PictureRejected(
            RejectReason.PICTURE_MISSING, f"{quote(text)} names a file, but there is no folder"
        )
    if "\0" in text:
        raise PictureRejected(RejectReason.PICTURE_MISSING, f"{quote(text)} names no file")
    # By the names alone: a link that the owner put into the folder may lead elsewhere (the hub's
    # cache is made of them), a text in a row may not.
    path = Path(os.path.normpath(folder / text))
    # Unlike Path's, this one answers of a name that is too long.
    if "\\" in text and not os.path.exists(path):  # noqa: PTH110
        # As Windows writes it; a name may hold a backslash elsewhere.
        path = Path(os.path.normpath(folder / text.replace("\\", "/")))
    if not path.is_relative_to(root):
        raise PictureRejected(
            RejectReason.PICTURE_MISSING, f"{quote(text)} lies outside the source's folder {root}"
        )
    return path


def _list_sizes(value: object, depth: int) -> Iterable[tuple[float, str]]:
    """Yield width and address of every size of a picture."""
    if isinstance(value, str):
        if is_web_url(value) or value.startswith("//"):
            yield 0.0, f"https:{value}" if value.startswith("//") else value
    elif isinstance(value, Mapping):
        width = value.get("width") or 0
        address = next((value[key] for key in _ADDRESSES if isinstance(value.get(key), str)), None)
        if address is not None:
            sized = float(width) if isinstance(width, int | float) else 0.0
            yield from ((sized, found) for _, found in _list_sizes(address, depth))
        elif depth:
            for inner in value.values():
                if isinstance(inner, Mapping | list):
                    yield from _list_sizes(inner, depth - 1)
    elif isinstance(value, list | tuple) and depth:
        for inner in value:
            yield from _list_sizes(inner, depth - 1)


def _to_bytes(value: object) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise PictureRejected(
        RejectReason.PICTURE_UNREADABLE, f"a picture is bytes or a path, not {quote(value)}"
    )


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PictureRejected(RejectReason.PICTURE_UNREADABLE, f"not base64: {error}") from error
