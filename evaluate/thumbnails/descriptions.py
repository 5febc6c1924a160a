"""What our encoder learns to give, computed instead: descriptions of how a picture looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.thumbnails.pictures import TRAINING_SIZE, fit_picture

NAME: Final = "descriptions"
_DIM: Final = 128


class Descriptions:
    """The targets of training (``encoders/thumbnails/appearance.py``) as vectors of their own.

    Their axes are fitted to ``training``: uint8 (n, 108, 192, 3). How alike they make pictures
    bounds what the encoder can learn; where damage spoils them, it can do better.
    """

    name = NAME
    bars = "cropped"
    treatment = "oriented gradients and colours, 128 principal components"
    dim = _DIM
    input_size = (TRAINING_SIZE[0] * 3 // 2, TRAINING_SIZE[1] * 2)

    def __init__(self, training: npt.NDArray[np.uint8]) -> None:
        import torch

        from twinlens.encoders.thumbnails.appearance import Appearance

        generator = torch.Generator().manual_seed(0)
        self._describe = Appearance(torch.from_numpy(training), dim=_DIM, generator=generator)

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Float32 (len(items), 128), rows of unit length."""
        import torch

        pixels = np.stack([fit_picture(item, size=TRAINING_SIZE) for item in items])
        described: FloatMatrix = self._describe(torch.from_numpy(pixels)).numpy()
        return described
