"""Thumbnails by a pretrained CLIP model, whose text side understands what a person types."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
from PIL import Image

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.base import mend_text
from twinlens.encoders.fingerprints import make_fingerprint
from twinlens.encoders.model_files import ModelFiles
from twinlens.encoders.thumbnails.pictures import find_box

_INSTEAD: Final = (
    "Without a model hub in reach, choose --thumbnail-model packaged:denoiser, or give the path of "
    "a model's directory"
)
_PREPROCESSING: Final = "bars cropped, normalised, version 1"


class ClipEncoder:
    """Pictures and words in one space, by any CLIP model that sentence-transformers loads.

    The model comes from the hub's cache, the hub, or a local path. Black bars are cropped first;
    the model's own processor then resizes, and crops to its square. Texts are cut at its length,
    77 tokens for the usual ones.

    Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
    Supervision".
    """

    # Above the squares of the usual models (224 to 336), with what bars may take off.
    input_size: Final = (448, 448)

    def __init__(self, model: str, *, threads: int | None = None) -> None:
        self._files = ModelFiles(model, role="thumbnail", instead=_INSTEAD, threads=threads)
        self.name = self._files.name

    @cached_property
    def fingerprint(self) -> str:
        """Identity of weights, tokenizer and preprocessing."""
        return make_fingerprint("clip", self._files.digest, _PREPROCESSING)

    @cached_property
    def dim(self) -> int:
        """Length of its vectors; loads the model."""
        self._require_both_sides()
        return self._files.read_dim()

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Encode pictures as a float32 array of shape (len(items), dim), rows of unit length."""
        pictures = [item.convert("RGB") for item in items]
        return self._encode([picture.crop(find_box(picture)) for picture in pictures])

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode what a person typed, beside pictures: shape (len(texts), dim), unit rows."""
        return self._encode([mend_text(text) for text in texts])

    def _encode(self, items: list[Any]) -> FloatMatrix:
        if not items:
            return np.empty((0, self.dim), dtype=np.float32)
        self._require_both_sides()
        return self._files.encode(items)

    def _require_both_sides(self) -> None:
        modalities = self._files.get_model().modalities
        if not {"text", "image"} <= set(modalities):
            raise EncoderUnavailable(
                f"{self.name} is no CLIP model: it takes {', '.join(modalities)}, and a "
                "thumbnail encoder with a text side takes both text and image"
            )
