"""The thumbnail encoder: the encoding half of a trained denoising autoencoder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.encoders.onnx_graph import open_session
from twinlens.encoders.thumbnails.graph import INPUT, OUTPUT, build_graph
from twinlens.encoders.thumbnails.packing import read_encoder_weights, read_model
from twinlens.encoders.thumbnails.pictures import fit_picture
from twinlens.encoders.thumbnails.shape import NetworkShape

PACKAGED_MODEL: Final = Path(__file__).parent / "weights" / "denoiser"

# Pictures per forward pass: bounds the memory of ``encode`` whatever it is given.
_CHUNK: Final = 32


class DenoisingAutoencoder:
    """Pictures as unit vectors that survive crops, captions, noise and recompression.

    ``directory`` holds what ``twinlens train-thumbnails`` wrote. Making an encoder reads those
    files; the first ``encode`` makes a graph of the weights, which ONNX Runtime runs. It may be
    used from several threads.

    Raises:
        EncoderUnavailable: a file is missing, or what it holds is not such a model.
    """

    def __init__(self, directory: Path, *, name: str, threads: int | None = None) -> None:
        self._packed = read_model(directory)
        self.name = name
        self.dim = self._packed.dim
        self.fingerprint = self._packed.fingerprint
        self._threads = threads
        self._session: Any = None
        self._loading = threading.Lock()

    @property
    def input_size(self) -> tuple[int, int]:
        """Half as much again as the network's (width, height), and 4:3: what bars may take off."""
        width = self._packed.width * 3 // 2
        return width, max(self._packed.height * 3 // 2, width * 3 // 4)

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Encode pictures as a float32 array of shape (len(items), dim), rows of unit length.

        A picture gets the same vector (within 1e-5) whatever else is in ``items``.

        Raises:
            EncoderUnavailable: the weights don't fit the config.
        """
        vectors = np.empty((len(items), self.dim), dtype=np.float32)
        if not len(items):
            return vectors
        session = self._load()
        size = (self._packed.width, self._packed.height)
        for start in range(0, len(items), _CHUNK):
            chunk = items[start : start + _CHUNK]
            pixels = np.stack([fit_picture(item, size=size) for item in chunk])
            vectors[start : start + len(chunk)] = session.run([OUTPUT], {INPUT: pixels})[0]
        return unit_rows(vectors)

    def _load(self) -> Any:
        with self._loading:
            if self._session is None:
                weights = read_encoder_weights(self._packed)
                try:
                    graph = build_graph(weights, NetworkShape.from_config(self._packed.shape))
                except (TypeError, ValueError) as error:
                    raise EncoderUnavailable(
                        f"the weights in {self._packed.directory} don't fit its config: {error}"
                    ) from error
                self._session = open_session(graph, threads=self._threads)
            return self._session
