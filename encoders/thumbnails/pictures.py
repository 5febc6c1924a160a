"""From a picture to the network's input: black bars off, then one fixed size."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Box = tuple[int, int, int, int]
Pixels = npt.NDArray[np.uint8]

# What training crops from: larger than what the network sees, so that crops have detail.
TRAINING_SIZE: Final = (192, 108)
# Part of every fingerprint: raise it whenever ``fit_picture`` would give other pixels of the same
# image. How far decoding shrinks an image is not counted: it always differed between formats.
PREPROCESSING_VERSION: Final = 1

# A bar is a run of rows (or columns) at the rim that are near black, flat, and all of the level
# of the outermost one. Means over eight stretches of a row keep sensor noise and JPEG artefacts
# from hiding a bar, while a faint picture (a night sky, a dim stage) is not flat and stays.
_STRETCHES: Final = 8
_BLACK: Final = 28.0
_FLAT: Final = 10.0
_ALIKE: Final = 6.0
# Thinner than this is no bar; more than this is a dark picture, not bars. A 2.39:1 film in 4:3
# has 44 % of bars, an upright 9:16 clip in 16:9 has 68 %.
_THINNEST: Final = 0.02
_MOST_ROWS: Final = 0.5
_MOST_COLUMNS: Final = 0.7
# Bars are looked for at about this many rows; finer only costs time.
_SEARCH_SIDE: Final = 360


def fit_picture(image: Image.Image, *, size: tuple[int, int]) -> Pixels:
    """Return the picture at ``size`` (width, height), its black bars cut: uint8 (height, width, 3).

    What is left is stretched to ``size``; ``image`` is not changed.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    # Cropped first: given a box, Pillow's resize lets what lies around it bleed in.
    fitted = rgb.crop(find_box(rgb)).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.array(fitted, dtype=np.uint8)


def find_box(image: Image.Image) -> Box:
    """Return the part of ``image`` between its black bars as (left, top, right, bottom) in pixels.

    Bars come in pairs of equal size, above and below or left and right; a dark rim on one side
    only is part of the picture. A picture that is black all over is left whole.
    """
    width, height = image.size
    shrink = max(1, min(width, height) // _SEARCH_SIDE)
    grey = (image.reduce(shrink) if shrink > 1 else image).convert("L")
    columns, rows = grey.size
    if min(rows, columns) < 2 * _STRETCHES:
        return 0, 0, width, height
    box = Image.Resampling.BOX
    by_row = np.asarray(grey.resize((_STRETCHES, rows), box), dtype=np.float32)
    y = _measure_bar(by_row, most=_MOST_ROWS)
    # Columns are judged on the rows between the bars, or a letterbox would hide a pillarbox.
    inner = grey.resize((columns, _STRETCHES), box, box=(0, y, columns, rows - y))
    x = _measure_bar(np.asarray(inner, dtype=np.float32).T, most=_MOST_COLUMNS)
    return x * shrink, y * shrink, width - x * shrink, height - y * shrink


def _measure_bar(profile: npt.NDArray[np.float32], *, most: float) -> int:
    """Thickness of the equal bars at both ends of ``profile`` (lines, stretches); 0 for none."""
    lines = len(profile)
    thickness = min(_count_bar_lines(profile), _count_bar_lines(profile[::-1]))
    share = thickness / lines
    return thickness if share >= _THINNEST and 2 * share <= most else 0


def _count_bar_lines(profile: npt.NDArray[np.float32]) -> int:
    """Return how many lines at the start of ``profile`` are one flat near-black bar."""
    level = profile.mean(axis=1)
    barred = (
        (profile.max(axis=1) <= _BLACK)
        & (np.ptp(profile, axis=1) <= _FLAT)
        & (np.abs(level - level[0]) <= _ALIKE)
    )
    return len(barred) if barred.all() else int(np.argmin(barred))
