"""The stored thumbnails of an index: as they were indexed, or smaller."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cachetools
from PIL import Image

from twinlens.catalog.errors import PictureRejected
from twinlens.catalog.images import MAX_SIDE, decode_image, may_be_clear

CACHE_BYTES: Final = 64 * 1024 * 1024
_QUALITY: Final = 80
_BACKDROP: Final = 128
_NAME: Final = re.compile(
    r"(?P<sha256>[0-9a-f]{64})\.(?P<extension>jpg|png|webp|gif|bmp|avif|heic)"
)
_MEDIA_TYPES: Final = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "avif": "image/avif",
    "heic": "image/heic",
}


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An encoded picture."""

    data: bytes
    media_type: str


class Thumbnails:
    """The pictures of one folder, by the names that an index gives them.

    Those made smaller are kept in memory, the ones asked for last, up to ``CACHE_BYTES``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._smaller: cachetools.LRUCache[tuple[str, int], Thumbnail] = cachetools.LRUCache(
            CACHE_BYTES, getsizeof=lambda kept: len(kept.data)
        )

    @staticmethod
    def make_tag(name: str | None, width: int | None) -> str | None:
        """Return what changes with the picture; None where ``name`` is no thumbnail's."""
        # The name is data from an index: nothing but a content address may become a path.
        named = _NAME.fullmatch(name or "")
        if named is None:
            return None
        return named["sha256"] if width is None else f"{named['sha256']}-w{width}"

    def read(self, name: str, width: int | None) -> Thumbnail:
        """Return the picture; with ``width`` as WebP of that width, where it is wider than that.

        What has transparency is then laid over a grey that shows black and white alike. HEIC, which
        few browsers show, is always WebP.

        Raises:
            FileNotFoundError: there is none of this name.
        """
        named = _NAME.fullmatch(name)
        if named is None:
            raise FileNotFoundError(name)
        if width is None and named["extension"] != "heic":
            return self._read_whole(name)
        width = width or MAX_SIDE
        with self._lock:
            kept = self._smaller.get((name, width))
        if kept is None:
            kept = _shrink(self._read_whole(name), width)
            with self._lock:
                if len(kept.data) <= CACHE_BYTES:
                    self._smaller[name, width] = kept
        return kept

    def _read_whole(self, name: str) -> Thumbnail:
        data = (self._folder / name).read_bytes()
        return Thumbnail(data, _MEDIA_TYPES[name.rpartition(".")[2]])


def _shrink(thumbnail: Thumbnail, width: int) -> Thumbnail:
    try:
        picture = decode_image(thumbnail.data, at_least=(width, width), over=_BACKDROP)
        if picture.width <= width and not may_be_clear(thumbnail.data):
            return thumbnail
    except PictureRejected:
        return thumbnail  # damaged since it was indexed; the caller sees what there is
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=_QUALITY)
    return Thumbnail(buffer.getvalue(), "image/webp")
