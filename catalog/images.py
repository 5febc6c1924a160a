"""Pictures: from untrusted bytes to an RGB image, within limits."""

from __future__ import annotations

import io
import threading
from contextlib import ExitStack
from typing import Final

from PIL import Image, ImageChops, ImageFile, UnidentifiedImageError

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
# Those that a process of their own decodes, by the brands that their first box names.
_BRANDS: Final = {
    "AVIF": (b"avif", b"avis"),
    "HEIF": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
}
_BOXED: Final = {"AVIF": "avif", "HEIF": "heic"}
_SIGNATURES: Final = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"BM": "bmp",
}
EXTENSIONS: Final = (*dict.fromkeys(_SIGNATURES.values()), "webp", *_BOXED.values())
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
    over: int = 0,
) -> Image.Image:
    """Return an upright RGB picture from encoded bytes; transparency is laid over black.

    Where it is to be seen by people it may lie ``over`` another grey, up to 255 for white.

    With ``at_least`` (width, height) a larger picture is shrunk by a whole number while it stays at
    least so large. What is left is at most twice as wide or as high as asked for, and has no more
    than 32 times the pixels. A JPEG is decoded at a half, a quarter or an eighth of its size
    right away, which costs a fraction of the time.

    That takes at most about a second of a core and 400 MB, whatever the bytes. What takes more than
    ``LARGE_MEMORY`` is decoded one at a time in a process. AVIF and HEIC are decoded by a process
    of their own, which is ended at two seconds.

    Raises:
        PictureRejected: not a picture of a known format, cut short, or beyond the limits.
    """
    if len(data) > max_bytes:
        raise PictureRejected(
            RejectReason.PICTURE_TOO_LARGE, f"{len(data)} bytes; at most {max_bytes} are read"
        )
    kind = _find_boxed(data)
    if kind is not None:
        from twinlens.catalog.decoding_apart import decode_apart  # which decodes by this module

        return decode_apart(data, kind, at_least=at_least, max_pixels=max_pixels, over=over)
    return decode_here(data, FORMATS, at_least=at_least, max_pixels=max_pixels, over=over)


def decode_here(
    data: bytes,
    formats: tuple[str, ...],
    *,
    at_least: tuple[int, int] | None,
    max_pixels: int,
    over: int,
) -> Image.Image:
    """Do the same in this process, for these of Pillow's formats."""
    coefficients = refuse_endless(data)
    try:
        with Image.open(io.BytesIO(data), formats=formats) as opened, ExitStack() as alone:
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
            return _lay_upright(opened, at_least, over)  # EXIF of a PNG may stand behind the pixels
    except PictureRejected:
        raise
    except MemoryError as error:
        raise PictureRejected(
            RejectReason.PICTURE_TOO_LARGE, "it takes more memory to decode than there is"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureRejected(RejectReason.PICTURE_TOO_LARGE, str(error)) from error
    except UnidentifiedImageError as error:
        raise PictureRejected(
            RejectReason.PICTURE_UNREADABLE,
            f"{_name(data)} that is broken, or of a kind that is not supported",
        ) from error
    except Exception as error:
        raise PictureRejected(
            RejectReason.PICTURE_UNREADABLE,
            str(error) or f"{_name(data)} that is broken ({type(error).__name__})",
        ) from error


def may_be_clear(data: bytes) -> bool:
    """Return whether a picture that can be decoded has transparency somewhere, by its head."""
    if _find_boxed(data) is not None:
        return True
    with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        return opened.has_transparency_data


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
    kind = _find_boxed(data)
    if kind is not None:
        return _BOXED[kind]
    every = ", ".join([*FORMATS, *map(str.upper, _BOXED.values())])
    raise PictureRejected(RejectReason.PICTURE_UNREADABLE, f"not one of {every}")


def _name(data: bytes) -> str:
    extension = find_extension(data)
    return f"an {extension}" if extension.startswith("a") else f"a {extension}"


def _find_boxed(data: bytes) -> str | None:
    """Return which of Pillow's formats in boxes (ISO 14496-12) begins so; None where none does."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4]), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    return next((kind for kind, own in _BRANDS.items() if brands.intersection(own)), None)


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


def _lay_upright(image: Image.Image, at_least: tuple[int, int] | None, over: int) -> Image.Image:
    """Return ``image`` as a new RGB one, upright and shrunk, made strip by strip.

    Converted, laid over black or turned in one piece it would take two to four times the memory.
    """
    orientation = read_orientation(image)
    size = image.size[::-1] if orientation in ON_ITS_SIDE else image.size
    factors = across, down = _find_factors(size, at_least)

    def finish(strip: Image.Image) -> Image.Image:
        rgb = turn_upright(_to_rgb(strip, over), orientation)
        return rgb if factors == (1, 1) else rgb.reduce(factors)

    high = max(1, _STRIP_PIXELS // size[0] // down) * down
    if high >= size[1]:
        return finish(image)
    whole = Image.new("RGB", (-(-size[0] // across), -(-size[1] // down)))
    for top in range(0, size[1], high):
        box = find_strip(image.size, orientation, top, min(top + high, size[1]))
        whole.paste(finish(image.crop(box)), (0, top // down))
    return whole


def _to_rgb(image: Image.Image, over: int) -> Image.Image:
    """Return ``image`` in RGB, laid over that grey."""
    if image.has_transparency_data:
        # Times its alpha is what lies over black, at a third of alpha_composite's time.
        *bands, alpha = image.convert("RGBA").convert("RGBa").split()
        if over:
            shines_through = alpha.point(lambda level: (255 - level) * over / 255)
            bands = [ImageChops.add(band, shines_through) for band in bands]
        return Image.merge("RGB", bands)
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
