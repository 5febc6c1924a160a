"""Damage that a picture may have taken since it was indexed, by Pillow, always the same.

Each distortion is done apart from training's corruptions, by other code. Half of their kinds are
never trained for (``seen`` is false): they tell what was learned beyond the list.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps
from PIL.Image import Quantize, Resampling, Transform

from twinlens.encoders.thumbnails.pictures import find_box

_BICUBIC: Final = Resampling.BICUBIC
_BILINEAR: Final = Resampling.BILINEAR
_NEAREST: Final = Resampling.NEAREST
Change = Callable[[Image.Image], Image.Image]


class Distortion(NamedTuple):
    """``apply`` gives a new RGB picture; ``seen`` says that training corrupts in this way, too."""

    name: str
    seen: bool
    apply: Change


def _keep_bars(change: Change) -> Change:
    """``change`` done to the picture between its black bars, then put back in its frame.

    That is what becomes of an edited video: its host scales it and adds the bars again.
    """

    def change_inside(image: Image.Image) -> Image.Image:
        box = find_box(image)
        inside = image.crop(box)
        whole = image.copy()
        whole.paste(change(inside).resize(inside.size, _BICUBIC), box)
        return whole

    return change_inside


def _crop(share: float) -> Change:
    def crop(image: Image.Image) -> Image.Image:
        x, y = (round(side * (1 - share) / 2) for side in image.size)
        return ImageOps.crop(image, (x, y, x, y))

    return _keep_bars(crop)


def _add(image: Image.Image, light: npt.NDArray[np.float64]) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float32) + light
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _add_noise(image: Image.Image) -> Image.Image:
    rng = np.random.default_rng(zlib.crc32(image.tobytes()))
    return _add(image, rng.normal(0.0, 25.0, (image.height, image.width, 3)))


def _compress(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=10)
    return Image.open(buffer).convert("RGB")


def _turn_hue(image: Image.Image) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(level + 25) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _add_caption(image: Image.Image) -> Image.Image:
    captioned = image.copy()
    width, height = image.size
    pen = ImageDraw.Draw(captioned)
    pen.rectangle((0, height * 0.62, width, height * 0.88), fill=(250, 220, 30))
    font = ImageFont.load_default(size=height * 0.17)
    pen.text((width * 0.04, height * 0.64), "YOU WON'T BELIEVE", fill=(20, 20, 20), font=font)
    return captioned


def _shrink(image: Image.Image, by: int, down: Resampling, up: Resampling) -> Image.Image:
    """Made smaller ``by`` so much, and then as large as before."""
    width, height = (max(1, side // max(1, by)) for side in image.size)
    return image.resize((width, height), down).resize(image.size, up)


def _tilt(image: Image.Image) -> Image.Image:
    """As a screen looks from the side: the right edge at four fifths of its height."""
    width, height = image.size
    seen_at = (0, 0, 0, height, width, height * 1.125, width, -height * 0.125)
    ground = (40, 40, 40)
    return image.transform(image.size, Transform.QUAD, seen_at, _BICUBIC, fillcolor=ground)


def _add_frame(image: Image.Image) -> Image.Image:
    width, height = image.size
    inside = image.resize((round(width * 0.85), round(height * 0.85)), _BICUBIC)
    framed = Image.new("RGB", image.size, (60, 90, 160))
    framed.paste(inside, ((width - inside.width) // 2, (height - inside.height) // 2))
    return framed


def _add_glare(image: Image.Image) -> Image.Image:
    """Mirror a lamp in the screen: white in the upper right, less with the distance from it."""
    width, height = image.size
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    light = 255 * np.exp(-(((x - 0.7) / 0.25) ** 2) - ((y - 0.35) / 0.35) ** 2)
    return _add(image, light[..., None])


def _smear(image: Image.Image) -> Image.Image:
    """Streaks from side to side, a twentieth of the width."""
    pixels = np.asarray(image, dtype=np.float32)
    reach = image.width // 40
    padded = np.pad(pixels, ((0, 0), (reach, reach), (0, 0)), mode="edge")
    shifted = [padded[:, by : by + image.width] for by in range(2 * reach + 1)]
    return Image.fromarray(np.mean(shifted, axis=0).astype(np.uint8))


_GAMMA: Final = [round(255 * (level / 255) ** 1.8) for level in range(256)]
# As hosts sharpen what they have scaled, and a good deal more.
_UNSHARP: Final = ImageFilter.UnsharpMask(radius=4, percent=250, threshold=0)

DISTORTIONS: Final = (
    Distortion("crop 80 %", True, _crop(0.8)),
    Distortion("blur", True, lambda it: it.filter(ImageFilter.GaussianBlur(it.height / 60))),
    Distortion("noise", True, _add_noise),
    Distortion("JPEG quality 10", True, _compress),
    Distortion("brightness x1.5", True, lambda it: ImageEnhance.Brightness(it).enhance(1.5)),
    Distortion("caption", True, _keep_bars(_add_caption)),
    Distortion("crop 60 %", True, _crop(0.6)),
    Distortion("flip", True, ImageOps.mirror),
    Distortion("greyscale", True, lambda it: it.convert("L").convert("RGB")),
    Distortion("hue 35 degrees", True, _turn_hue),
    Distortion("frame", True, _keep_bars(_add_frame)),
    Distortion("letterbox", False, lambda it: ImageOps.expand(it, border=(0, it.height // 8))),
    Distortion("downscale x4", False, lambda it: _shrink(it, 4, _BILINEAR, _BILINEAR)),
    Distortion("rotation 5 degrees", False, _keep_bars(lambda it: it.rotate(5, _BICUBIC))),
    Distortion("rotation 15 degrees", False, _keep_bars(lambda it: it.rotate(15, _BICUBIC))),
    Distortion("perspective", False, _keep_bars(_tilt)),
    Distortion("16 colours", False, lambda it: it.quantize(16, Quantize.MEDIANCUT).convert("RGB")),
    Distortion("gamma 1.8", False, lambda it: it.point(_GAMMA * 3)),
    Distortion("glare", False, _keep_bars(_add_glare)),
    # Blocks a twentieth of the height.
    Distortion("pixelated", False, lambda it: _shrink(it, it.height // 20, _BICUBIC, _NEAREST)),
    Distortion("motion blur", False, _smear),
    Distortion("sharpened", False, lambda it: it.filter(_UNSHARP)),
)
