"""Encoded pictures for tests, and their pieces."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.images import decode_image


def picture(
    kind: str = "JPEG",
    *,
    size: tuple[int, int] = (64, 48),
    colour: Any = (200, 30, 30),
    mode: str = "RGB",
    **options: Any,
) -> bytes:
    return saved(Image.new(mode, size, colour), kind, **options)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(size: tuple[int, int]) -> Image.Image:
    """A picture that no encoder makes small."""
    pixels = np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """A chunk of a PNG; those of its head are done after 33 bytes."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *more: bytes, packed: bytes | None = None) -> bytes:
    """A PNG that claims a size, whatever is in it."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", packed or zlib.compress(pixels))
    return b"".join([b"\x89PNG\r\n\x1a\n", head, *more, data, chunk(b"IEND")])


def resized(data: bytes, width: int, height: int) -> bytes:
    """The same AVIF or HEIC in a box that says another size."""
    at = data.index(b"ispe") + 8
    return data[:at] + width.to_bytes(4) + height.to_bytes(4) + data[at + 8 :]


def run_lengths_in_a_bmp(side: int) -> bytes:
    """Of rows that each end at once, which Pillow decodes in Python, pixel by pixel."""
    rows = b"\0\0" * side + b"\0\1"
    start = 14 + 40 + 1024
    head = struct.pack("<IHHI", start + len(rows), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(rows), 0, 0, 256, 256)
    return b"BM" + head + info + bytes(1024) + rows


def segment(kind: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, kind]) + (len(content) + 2).to_bytes(2) + content


def rejected(data: bytes, **options: Any) -> RejectReason:
    """Why ``data`` is not decoded."""
    with pytest.raises(PictureRejected) as caught:
        decode_image(data, **options)
    assert str(caught.value)
    return caught.value.reason
