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
from twinlens.catalog.images import decode_image

CACHE_BYTES: Final = 64 * 1024 * 1024
_QUALITY: Final = 80
_NAME: Final = re.compile(r"(?P<sha256>[0-9a-f]{64})\.(?P<extension>jpg|png|webp|gif|bmp)")
_MEDIA_TYPES: Final = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
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
        return named["sha256"] if width is None else f"{named['sha256']}-{width}"

    def read(self, name: str, width: int | None) -> Thumbnail:
        """Return the picture; with ``width`` as WebP of that width, where it is wider than that.

        Raises:
            FileNotFoundError: there is none of this name.
        """
        named = _NAME.fullmatch(name)
        if named is None:
            raise FileNotFoundError(name)
        if width is None:
            data = (self._folder / name).read_bytes()
            return Thumbnail(data, _MEDIA_TYPES[named["extension"]])
        with self._lock:
            kept = self._smaller.get((name, width))
        if kept is None:
            kept = _shrink(self.read(name, None), width)
            with self._lock:
                if len(kept.data) <= CACHE_BYTES:
                    self._smaller[name, width] = kept
        return kept


def _shrink(thumbnail: Thumbnail, width: int) -> Thumbnail:
    try:
        picture = decode_image(thumbnail.data, at_least=(width, width))
    except PictureRejected:
        return thumbnail  # damaged since it was indexed; the caller sees what there is
    if picture.width <= width:
        return thumbnail
    height = max(1, round(picture.height * width / picture.width))
    buffer = io.BytesIO()
    picture.resize((width, height), Image.Resampling.LANCZOS).save(buffer, "WEBP", quality=_QUALITY)
    return Thumbnail(buffer.getvalue(), "image/webp")
