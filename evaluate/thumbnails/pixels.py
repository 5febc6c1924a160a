"""Encoders that have learned little or nothing: what a network must beat to be worth its weights.

All of them see the picture without its black bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.thumbnails.pictures import fit_picture

COMPONENTS: Final = "pca-128"
WHITENED_COMPONENTS: Final = "pca-128-whitened"
_SIZE: Final = (32, 24)
_PIXEL_VALUES: Final = 32 * 24 * 3
_COMPONENTS: Final = 128
_LEVELS: Final = 8


class Pixels:
    """The picture at 32x24, less its own mean: blind to brightness, as contrast is to cosine."""

    name = "pixels"
    bars = "cropped"
    treatment = "RGB 32x24, each picture's mean taken off"
    dim = _PIXEL_VALUES
    input_size = _SIZE

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Float32 (len(items), 2304)."""
        rows = np.empty((len(items), self.dim), dtype=np.float32)
        for row, item in zip(rows, items, strict=True):
            row[:] = fit_picture(item, size=_SIZE).reshape(-1)
            row -= row.mean()
        return rows


class PixelComponents:
    """The 128 directions in which such pixels vary most over ``training``.

    Fewer where there are not so many pictures. ``whitened`` gives all of them the same variance:
    alike pictures come nearer to each other, damaged ones are found less often.
    """

    bars = "cropped"
    input_size = _SIZE

    def __init__(self, training: FloatMatrix, *, whitened: bool = False) -> None:
        self.name = WHITENED_COMPONENTS if whitened else COMPONENTS
        self.treatment = (
            f"{Pixels.treatment}, then 128 principal components{', whitened' if whitened else ''}"
        )
        self._mean = training.mean(axis=0)
        _, spread, directions = np.linalg.svd(training - self._mean, full_matrices=False)
        self._directions: FloatMatrix = directions[:_COMPONENTS]
        if whitened:
            self._directions = self._directions / spread[:_COMPONENTS, None]

    @property
    def dim(self) -> int:
        """128, or as many as there were pictures to fit them to."""
        return len(self._directions)

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Float32 (len(items), dim)."""
        components: FloatMatrix = (Pixels().encode(items) - self._mean) @ self._directions.T
        return components


class ColourHistogram:
    """How much of the picture has each of 8x8x8 colours, wherever it is."""

    name = "histogram"
    bars = "cropped"
    treatment = "square roots of the shares of 512 RGB colours (Hellinger)"
    dim = _LEVELS**3
    input_size = (128, 96)

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Float32 (len(items), 512)."""
        rows = np.empty((len(items), self.dim), dtype=np.float32)
        for row, item in zip(rows, items, strict=True):
            levels = (fit_picture(item, size=self.input_size) >> 5).reshape(-1, 3).astype(np.intp)
            colours = levels @ np.array([_LEVELS**2, _LEVELS, 1])
            row[:] = _shares(colours, self.dim)
        return np.sqrt(rows)


def _shares(colours: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = np.bincount(colours, minlength=count) / len(colours)
    return shares
