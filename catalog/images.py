"""Pictures: from untrusted bytes to an RGB image, within limits."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from catalog.errors import PictureRejected, RejectReason

MAX_PIXELS: Final = 40_000_000
MAX_BYTES: Final = 20 * 1024 * 1024
# Formats whose decoders are safe and common; what else Pillow reads (EPS runs Ghostscript) is not.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
EXTENSIONS: Final = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}


def decode_image(
    data: bytes,
    *,
    at_least: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> Image.Image:
    """An upright RGB picture from encoded bytes; transparency is laid over black.

    ``at_least`` (width, height) lets a JPEG be decoded at a half, a quarter or an eighth of its
    size while it stays at least so large, which costs a fraction of the time.

    Raises:
        PictureRejected: not a picture of a known format, cut short, or beyond the limits.
    """
    if len(data) > max_bytes:
        raise PictureRejected(
            RejectReason.PICTURE_TOO_LARGE, f"{len(data)} bytes; at most {max_bytes} are read"
        )
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > max_pixels:
                raise PictureRejected(
                    RejectReason.PICTURE_TOO_LARGE,
                    f"{width}x{height} pixels; at most {max_pixels} are decoded",
                )
            if at_least is not None:
                opened.draft("RGB", at_least)
            upright = ImageOps.exif_transpose(opened)
            return _to_rgb(upright)
    except PictureRejected:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureRejected(RejectReason.PICTURE_TOO_LARGE, str(error)) from error
    except UnidentifiedImageError as error:
        raise PictureRejected(
            RejectReason.PICTURE_UNREADABLE, f"not one of {', '.join(FORMATS)}"
        ) from error
    except Exception as error:  # noqa: BLE001 - decoders of untrusted bytes raise anything
        raise PictureRejected(RejectReason.PICTURE_UNREADABLE, str(error) or repr(error)) from error


def image_extension(data: bytes) -> str:
    """The file name extension for encoded picture bytes, by their first bytes: ``jpg``, ...

    Raises:
        PictureRejected: not a known format.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            return EXTENSIONS[opened.format or ""]
    except Exception as error:  # noqa: BLE001 - decoders of untrusted bytes raise anything
        raise PictureRejected(RejectReason.PICTURE_UNREADABLE, str(error)) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image.copy() if image.readonly else image
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        backdrop = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return Image.alpha_composite(backdrop, rgba).convert("RGB")
    return image.convert("RGB")
