"""Pictures: from untrusted bytes to an RGB image, within limits."""

from __future__ import annotations

import io
import threading
from contextlib import ExitStack
from typing import Final

from PIL import Image, UnidentifiedImageError

from twinlens.catalog.containers import refuse_endless
from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.orientation import read_orientation, turn_upright

MAX_PIXELS: Final = 40_000_000
LARGE_PIXELS: Final = 4_000_000
MAX_BYTES: Final = 20 * 1024 * 1024
# Formats whose decoders are safe and common; what else Pillow reads (EPS runs Ghostscript) is not.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_SIGNATURES: Final = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"BM": "bmp",
}
EXTENSIONS: Final = (*dict.fromkeys(_SIGNATURES.values()), "webp")
# Orientations of EXIF that lay a picture on its side.
_ON_ITS_SIDE: Final = (5, 6, 7, 8)
# A strip is shrunk along its long side alone once that is this many times what is asked for.
_STRIP: Final = 8

_one_large: Final = threading.Lock()


def decode_image(
    data: bytes,
    *,
    at_least: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> Image.Image:
    """Return an upright RGB picture from encoded bytes; transparency is laid over black.

    With ``at_least`` (width, height) a larger picture is shrunk by a whole number while it stays at
    least so large. What is left is at most twice as wide or as high as asked for, and has no more
    than 32 times the pixels. A JPEG is decoded at a half, a quarter or an eighth of its size
    right away, which costs a fraction of the time.

    What is then still larger than ``LARGE_PIXELS`` is decoded one at a time in a process: it takes
    up to 20 bytes a pixel meanwhile.

    Raises:
        PictureRejected: not a picture of a known format, cut short, or beyond the limits.
    """
    if len(data) > max_bytes:
        raise PictureRejected(
            RejectReason.PICTURE_TOO_LARGE, f"{len(data)} bytes; at most {max_bytes} are read"
        )
    refuse_endless(data)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > max_pixels:
                raise PictureRejected(
                    RejectReason.PICTURE_TOO_LARGE,
                    f"{width}x{height} pixels; at most {max_pixels} are decoded",
                )
            if any(tile.codec_name in Image.DECODERS for tile in opened.tile):
                # Pillow's own in Python, which take seconds and keep all others from being served.
                raise PictureRejected(
                    RejectReason.PICTURE_UNREADABLE, f"a {opened.format} with run-length encoding"
                )
            with ExitStack() as alone:
                # Of a JPEG the draft below is what is decoded.
                if opened.format != "JPEG" and width * height > LARGE_PIXELS:
                    alone.enter_context(_one_large)
                if opened.format == "PNG":
                    opened.load()  # its EXIF may stand behind the pixels
                orientation = read_orientation(opened)
                if at_least is not None:
                    on_its_side = orientation in _ON_ITS_SIDE
                    opened.draft("RGB", at_least[::-1] if on_its_side else at_least)
                if opened.format == "JPEG" and opened.width * opened.height > LARGE_PIXELS:
                    alone.enter_context(_one_large)
                opened.load()
                rgb = _to_rgb(turn_upright(opened, orientation))
                return rgb if at_least is None else _shrink(rgb, at_least)
    except PictureRejected:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureRejected(RejectReason.PICTURE_TOO_LARGE, str(error)) from error
    except UnidentifiedImageError as error:
        raise PictureRejected(
            RejectReason.PICTURE_UNREADABLE, f"not one of {', '.join(FORMATS)}"
        ) from error
    except Exception as error:
        raise PictureRejected(RejectReason.PICTURE_UNREADABLE, str(error) or repr(error)) from error


def find_extension(data: bytes) -> str:
    """Return the file name extension for encoded picture bytes, by their first bytes: ``jpg``, ...

    Raises:
        PictureRejected: not the beginning of a known format.
    """
    for signature, extension in _SIGNATURES.items():
        if data.startswith(signature):
            return extension
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    raise PictureRejected(RejectReason.PICTURE_UNREADABLE, f"not one of {', '.join(FORMATS)}")


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return a new RGB image."""
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        backdrop = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return Image.alpha_composite(backdrop, rgba).convert("RGB")
    if image.mode.startswith("I"):
        # Sixteen bits of grey, which convert would clip at 255.
        return image.convert("I").point(lambda level: level * (1 / 257)).convert("RGB")
    # A copy where there is nothing to convert: what Pillow opened clings to its file.
    return image.convert("RGB")


def _shrink(image: Image.Image, at_least: tuple[int, int]) -> Image.Image:
    """``image``, or a smaller one in its place; see ``decode_image``."""
    across, down = image.width // at_least[0], image.height // at_least[1]
    both = max(1, min(across, down))
    factors = max(both, across // _STRIP), max(both, down // _STRIP)
    return image if factors == (1, 1) else image.reduce(factors)
