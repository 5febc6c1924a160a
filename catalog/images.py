"""Pictures: from untrusted bytes to an RGB image, within limits."""

from __future__ import annotations

import io
import threading
from contextlib import ExitStack
from typing import Final

from PIL import Image, ImageFile, UnidentifiedImageError

from twinlens.catalog.containers import refuse_endless
from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.orientation import ON_ITS_SIDE, find_strip, read_orientation, turn_upright

MAX_PIXELS: Final = 40_000_000
# Rows cost apart from their pixels, and a strip is at least a row.
MAX_SIDE: Final = 32_767
MAX_BYTES: Final = 20 * 1024 * 1024
# What is decoded in C takes a second at most: of these a PNG unpacks 0.1 GB a second, a WebP 10 MB.
MAX_UNPACKED: Final = 84_000_000
MAX_WEBP_BYTES: Final = 8_000_000
# While a picture is decoded; besides, up to 60 MB are its bytes, its texts and a strip of it.
MAX_MEMORY: Final = 340_000_000
# Those that take more than this are decoded one at a time.
LARGE_MEMORY: Final = 64_000_000
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
# A strip is shrunk along its long side alone once that is this many times what is asked for.
_STRIP: Final = 8
# What a piece has at a time, where the rest is not yet converted.
_STRIP_PIXELS: Final = 2_100_000

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

    That takes at most about a second of a core and 400 MB, whatever the bytes. What takes more than
    ``LARGE_MEMORY`` is decoded one at a time in a process.

    Raises:
        PictureRejected: not a picture of a known format, cut short, or beyond the limits.
    """
    if len(data) > max_bytes:
        raise PictureRejected(
            RejectReason.PICTURE_TOO_LARGE, f"{len(data)} bytes; at most {max_bytes} are read"
        )
    coefficients = refuse_endless(data)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened, ExitStack() as alone:
            _refuse_costly(opened, len(data), max_pixels)
            if at_least is not None:
                on_its_side = read_orientation(opened) in ON_ITS_SIDE
                opened.draft("RGB", at_least[::-1] if on_its_side else at_least)
            taken = _weigh(opened, coefficients, at_least)
            if taken > MAX_MEMORY:
                raise PictureRejected(
                    RejectReason.PICTURE_TOO_LARGE,
                    f"a {opened.format} that takes {taken / 1e6:.0f} MB of memory to decode;"
                    f" at most {MAX_MEMORY / 1e6:.0f} MB are spent",
                )
            if taken > LARGE_MEMORY:
                alone.enter_context(_one_large)
            opened.load()
            return _lay_upright(opened, at_least)  # EXIF of a PNG may stand behind the pixels
    except PictureRejected:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureRejected(RejectReason.PICTURE_TOO_LARGE, str(error)) from error
    except UnidentifiedImageError as error:
        raise PictureRejected(
            RejectReason.PICTURE_UNREADABLE,
            f"a {find_extension(data)} that is broken, or of a kind that is not supported",
        ) from error
    except Exception as error:
        raise PictureRejected(
            RejectReason.PICTURE_UNREADABLE,
            str(error) or f"a broken {find_extension(data)} ({type(error).__name__})",
        ) from error


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


def _refuse_costly(opened: ImageFile.ImageFile, size: int, max_pixels: int) -> None:
    """Return if an opened picture of ``size`` bytes takes at most about a second to decode.

    Raises:
        PictureRejected: it takes more.
    """
    width, height = opened.size
    if width * height > max_pixels or max(opened.size) > MAX_SIDE:
        raise PictureRejected(
            RejectReason.PICTURE_TOO_LARGE,
            f"{width}x{height} pixels; at most {max_pixels} are decoded, {MAX_SIDE} in a row",
        )
    if any(tile.codec_name in Image.DECODERS for tile in opened.tile):
        # Pillow's own in Python, which take seconds and keep all others from being served.
        raise PictureRejected(
            RejectReason.PICTURE_UNREADABLE, f"a {opened.format} with run-length encoding"
        )
    if opened.format == "WEBP" and size > MAX_WEBP_BYTES:
        raise PictureRejected(
            RejectReason.PICTURE_TOO_LARGE,
            f"a WebP of {size} bytes; of a WebP at most {MAX_WEBP_BYTES} are read",
        )
    if opened.format == "PNG":
        deep = 2 if str(opened.tile[0].args).endswith(";16B") else 1
        # What is clear anywhere is laid over black as RGBA, and grey of 16 bits shrunk in 32.
        wide = opened.has_transparency_data or opened.mode.startswith("I")
        bands = 4 if wide else len(opened.getbands())
        unpacked = width * height * bands * deep
        if unpacked > MAX_UNPACKED:
            raise PictureRejected(
                RejectReason.PICTURE_TOO_LARGE,
                f"a PNG that unpacks to {unpacked} bytes; at most {MAX_UNPACKED} are unpacked",
            )


def _weigh(opened: Image.Image, coefficients: int, at_least: tuple[int, int] | None) -> int:
    """Return how many bytes decoding and shrinking an opened picture takes at most."""
    pixels = opened.width * opened.height
    across, down = _find_factors(opened.size, at_least)
    left = (opened.width // across + 1) * (opened.height // down + 1)
    # That of WebP keeps two canvases, and returns a third; its pixels are a fourth.
    meanwhile = 12 * pixels if opened.format == "WEBP" else coefficients
    return 4 * pixels + max(meanwhile, 4 * left)


def _lay_upright(image: Image.Image, at_least: tuple[int, int] | None) -> Image.Image:
    """Return ``image`` as a new RGB one, upright and shrunk, made strip by strip.

    Converted, laid over black or turned in one piece it would take two to four times the memory.
    """
    orientation = read_orientation(image)
    size = image.size[::-1] if orientation in ON_ITS_SIDE else image.size
    factors = across, down = _find_factors(size, at_least)

    def finish(strip: Image.Image) -> Image.Image:
        rgb = turn_upright(_to_rgb(strip), orientation)
        return rgb if factors == (1, 1) else rgb.reduce(factors)

    high = max(1, _STRIP_PIXELS // size[0] // down) * down
    if high >= size[1]:
        return finish(image)
    whole = Image.new("RGB", (-(-size[0] // across), -(-size[1] // down)))
    for top in range(0, size[1], high):
        box = find_strip(image.size, orientation, top, min(top + high, size[1]))
        whole.paste(finish(image.crop(box)), (0, top // down))
    return whole


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return ``image`` in RGB, laid over black."""
    if image.has_transparency_data:
        # Times its alpha is what lies over black, at a third of alpha_composite's time.
        return Image.merge("RGB", image.convert("RGBA").convert("RGBa").split()[:3])
    if image.mode.startswith("I"):
        # Sixteen bits of grey, which convert would clip at 255.
        image = image.convert("I").point(lambda level: level * (1 / 257))
    return image.convert("RGB")


def _find_factors(size: tuple[int, int], at_least: tuple[int, int] | None) -> tuple[int, int]:
    """Return by what whole numbers (across, down) a picture is shrunk; see ``decode_image``."""
    if at_least is None:
        return 1, 1
    across, down = size[0] // at_least[0], size[1] // at_least[1]
    both = max(1, min(across, down))
    return max(both, across // _STRIP), max(both, down // _STRIP)
