"""What is set against each other: any thumbnail encoder, and the baselines, by what was typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.base import ThumbnailEncoder
from twinlens.encoders.load import PACKAGED_DENOISER, load_thumbnail_encoder
from twinlens.evaluate.thumbnails.descriptions import NAME as DESCRIPTIONS
from twinlens.evaluate.thumbnails.descriptions import Descriptions
from twinlens.evaluate.thumbnails.efficientnet import NAME as EFFICIENTNET
from twinlens.evaluate.thumbnails.efficientnet import EfficientNetLite0, is_installed
from twinlens.evaluate.thumbnails.original import Original
from twinlens.evaluate.thumbnails.pixels import (
    COMPONENTS,
    WHITENED_COMPONENTS,
    ColourHistogram,
    PixelComponents,
    Pixels,
)

ORIGINAL: Final = "original:"


class Contender(Protocol):
    """An encoder under measure. Unlike the index's encoders its rows may have any length, or none.

    ``bars`` says whether it sees the black bars of a picture, ``treatment`` what else is done.
    """

    @property
    def name(self) -> str:
        """What a person typed to get it."""
        ...

    @property
    def bars(self) -> str:
        """``cropped``, ``kept``, or what is known of it."""
        ...

    @property
    def treatment(self) -> str:
        """In a few words, what it makes of a picture."""
        ...

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        ...

    @property
    def input_size(self) -> tuple[int, int]:
        """Smallest (width, height) it makes use of; a decoder may stop there."""
        ...

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Float32 (len(items), dim)."""
        ...


class IndexEncoder:
    """An encoder as ``twinlens index`` would use it."""

    def __init__(self, name: str, encoder: ThumbnailEncoder) -> None:
        self.name = name
        self._encoder = encoder
        self.bars = "cropped"  # as all of them do
        self.treatment = f"as indexed, {encoder.fingerprint}"
        self.dim = encoder.dim
        self.input_size = encoder.input_size

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Float32 (len(items), dim), rows of unit length."""
        return self._encoder.encode(items)


def default_names() -> tuple[str, ...]:
    """Ours and every baseline that needs nothing but what is installed."""
    pixels = (Pixels.name, COMPONENTS, WHITENED_COMPONENTS, ColourHistogram.name)
    names = (PACKAGED_DENOISER, *pixels, DESCRIPTIONS)
    return (*names, EFFICIENTNET) if is_installed() else names


class TrainingPictures(Protocol):
    """The pictures that some contenders are fitted to: those that are not held out."""

    @property
    def pixels(self) -> FloatMatrix:
        """As ``Pixels`` gives them."""
        ...

    @property
    def fitted(self) -> npt.NDArray[np.uint8]:
        """Of the size that training takes: uint8 (n, 108, 192, 3)."""
        ...


def load_contender(name: str, *, training: TrainingPictures) -> Contender:
    """The contender called ``name``; ``training`` is read only if it is fitted to pictures.

    Raises:
        EncoderUnavailable: no such model, its files are incomplete, or its package is missing.
    """
    if name == Pixels.name:
        return Pixels()
    if name in {COMPONENTS, WHITENED_COMPONENTS}:
        return PixelComponents(training.pixels, whitened=name == WHITENED_COMPONENTS)
    if name == ColourHistogram.name:
        return ColourHistogram()
    if name == DESCRIPTIONS:
        return Descriptions(training.fitted)
    if name == EFFICIENTNET:
        return EfficientNetLite0()
    if name.startswith(ORIGINAL):
        return Original(Path(name.removeprefix(ORIGINAL)))
    return IndexEncoder(name, load_thumbnail_encoder(name))
