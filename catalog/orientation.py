"""Which way up a picture is: read from its EXIF or XMP, and nothing else of these.

Pillow reads whole EXIF, and writes it anew to turn a picture by it: 15 MB took 20 s and 2.5 GB.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from PIL import ExifTags, Image

# Of XMP no more is looked through. Pillow itself reads no more of one in a PNG.
MAX_XMP: Final = 1024 * 1024

# Orientations that lay a picture on its side.
ON_ITS_SIDE: Final = (5, 6, 7, 8)

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF: Final = b"Exif\0\0"
# By the types BYTE, SHORT and LONG; the standard has it as SHORT.
_NUMBERS: Final = {1: "B", 3: "H", 4: "L"}
_IN_XMP: Final = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def read_orientation(image: Image.Image) -> int:
    """Return the orientation of an opened picture as EXIF has it, 1 (upright) to 8.

    EXIF comes before XMP. What says nothing, or nothing that makes sense, is upright.
    """
    info = image.info
    exif = info.get("exif")
    if exif is None and "Raw profile type exif" in info:
        # As ImageMagick writes it into a PNG: three lines, then digits.
        try:
            exif = bytes.fromhex("".join(info["Raw profile type exif"].split("\n")[3:]))
        except ValueError:
            exif = None
    orientation = _from_exif(exif or b"")
    if orientation is None:
        xmp = info.get("XML:com.adobe.xmp") or info.get("xmp") or b""
        xmp = xmp[:MAX_XMP].encode(errors="replace") if isinstance(xmp, str) else xmp[:MAX_XMP]
        found = _IN_XMP.search(xmp)
        orientation = int(found[1]) if found else 1
    return orientation if orientation in _TURNS else 1


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return ``image`` as it is to be seen: itself, or a turned copy."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def find_strip(
    size: tuple[int, int], orientation: int, top: int, bottom: int
) -> tuple[int, int, int, int]:
    """Return the box of a picture of ``size`` that holds these rows of it once it is upright."""
    width, height = size
    if orientation in (3, 4, 7, 8):  # they are counted from the other side
        end = width if orientation in ON_ITS_SIDE else height
        top, bottom = end - bottom, end - top
    return (top, 0, bottom, height) if orientation in ON_ITS_SIDE else (0, top, width, bottom)


def _from_exif(exif: bytes) -> int | None:
    """Return the tag's value in the first directory of ``exif``, or None."""
    start = 0
    while exif.startswith(_EXIF, start) and start < 2 * len(_EXIF):
        start += len(_EXIF)
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2])
    # Some write the 42 the other way round.
    if order is None or exif[start + 2 : start + 4] not in (b"*\0", b"\0*"):
        return None
    try:
        [at] = struct.unpack_from(order + "L", exif, start + 4)
        [entries] = struct.unpack_from(order + "H", exif, start + at)
        for entry in range(start + at + 2, start + at + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(order + "HHL", exif, entry)
            if tag == ExifTags.Base.Orientation and kind in _NUMBERS and count == 1:
                [value] = struct.unpack_from(order + _NUMBERS[kind], exif, entry + 8)
                return int(value)
    except struct.error:  # cut short
        return None
    return None
