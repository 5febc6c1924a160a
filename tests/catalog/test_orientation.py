"""Pictures are turned upright as Pillow would, without its reading or writing whole EXIF."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import pytest
from PIL import Image, ImageOps

from tests.catalog.encoded import chunk, noise, saved
from twinlens.catalog.images import decode_image
from twinlens.catalog.orientation import read_orientation

ORIENTATION = 0x112
NOISE = noise((50, 30))
PNG = saved(NOISE, "PNG")
NUMBERS = {3: "H", 4: "L"}


def tiff(orientation: int, *, order: str = "<", kind: int = 3, more: bytes = b"") -> bytes:
    """EXIF of two tags; the second one's value is ``more``, RATIONALs behind the directory."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "L", 8)
    number = struct.pack(order + NUMBERS[kind], orientation).ljust(4, b"\0")
    tags = struct.pack(order + "HHHL", 2, ORIENTATION, kind, 1) + number
    tags += struct.pack(order + "HHLL", 0x502, 5, len(more) // 8, 8 + 2 + 24 + 4)
    return head + tags + bytes(4) + more


def as_pillow_turns_it(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as opened:
        return ImageOps.exif_transpose(opened).convert("RGB").tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("number", [3, 4])
@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_gives_the_pixels_that_pillow_gives(
    kind: str, order: str, number: int, orientation: int
) -> None:
    exif = b"Exif\0\0" + tiff(orientation, order=order, kind=number, more=bytes(range(80)))
    data = saved(NOISE, kind, exif=exif)
    image = decode_image(data)
    assert image.tobytes() == as_pillow_turns_it(data)
    assert image.size == ((30, 50) if orientation in range(5, 9) else (50, 30))


def in_other_places(orientation: int) -> Iterator[bytes]:
    """In XMP, as ImageMagick writes it into a PNG, and in a PNG behind the pixels."""
    for form in ('<x tiff:Orientation="%d"/>', "<tiff:Orientation>%d</tiff:Orientation>"):
        xmp = (form % orientation).encode()
        yield saved(NOISE, "JPEG", xmp=xmp)
        yield saved(NOISE, "WEBP", xmp=xmp)
        yield PNG[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp) + PNG[33:]
    exif = tiff(orientation)
    digits = (b"Exif\0\0" + exif).hex()
    raw = zlib.compress(f"\nexif\n{len(digits) // 2:8}\n{digits}\n".encode())
    yield PNG[:33] + chunk(b"zTXt", b"Raw profile type exif\0\0" + raw) + PNG[33:]
    yield PNG[:-12] + chunk(b"eXIf", exif) + PNG[-12:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_in_every_other_place(orientation: int) -> None:
    for data in in_other_places(orientation):
        assert decode_image(data).tobytes() == as_pillow_turns_it(data)


def test_exif_comes_before_xmp() -> None:
    xmp = b'<x tiff:Orientation="6"/>'
    assert decode_image(saved(NOISE, "JPEG", xmp=xmp)).size == (30, 50)
    assert decode_image(saved(NOISE, "JPEG", xmp=xmp, exif=b"Exif\0\0" + tiff(1))).size == (50, 30)


@pytest.mark.parametrize("cut", range(34))
def test_what_is_cut_short_is_upright_or_turned(cut: int) -> None:
    image = Image.new("RGB", (2, 2))
    image.info["exif"] = b"Exif\0\0" + tiff(6)[:cut]
    assert read_orientation(image) == (6 if cut >= 20 else 1)
