"""The thumbnail encoder: the encoding half of a trained denoising autoencoder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.encoders.thumbnails.packing import read_model
from twinlens.encoders.thumbnails.pictures import fit_picture

if TYPE_CHECKING:
    from twinlens.encoders.thumbnails.network import PictureEncoder

PACKAGED_MODEL: Final = Path(__file__).parent / "weights" / "denoiser"

# Pictures per forward pass: bounds the memory of ``encode`` whatever it is given.
_CHUNK: Final = 32


class DenoisingAutoencoder:
    """Pictures as unit vectors that survive crops, captions, noise and recompression.

    ``directory`` holds what ``twinlens train-thumbnails`` wrote. Making an encoder reads those
    files but doesn't import torch; the first ``encode`` does. It may be used from several
    threads. ``threads`` sets torch's number of threads for the whole process when it is given.

    Raises:
        EncoderUnavailable: a file is missing, or what it holds is not such a model.
    """

    def __init__(self, directory: Path, *, name: str, threads: int | None = None) -> None:
        self._packed = read_model(directory)
        self.name = name
        self.dim = self._packed.dim
        self.fingerprint = self._packed.fingerprint
        self._threads = threads
        self._network: PictureEncoder | None = None
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
        network = self._load()
        import torch

        size = (self._packed.width, self._packed.height)
        for start in range(0, len(items), _CHUNK):
            chunk = items[start : start + _CHUNK]
            pixels = np.stack([fit_picture(item, size=size) for item in chunk])
            with torch.inference_mode():
                # Rows of RGB are torch's channels_last: no copy is made but the one to float.
                pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
                vectors[start : start + len(chunk)] = network(pictures).numpy()
        return unit_rows(vectors)

    def _load(self) -> PictureEncoder:
        with self._loading:
            if self._network is None:
                import torch

                from twinlens.encoders.thumbnails.network import NetworkShape, PictureEncoder
                from twinlens.encoders.thumbnails.packing import read_encoder_weights

                if self._threads is not None:
                    torch.set_num_threads(self._threads)
                weights = read_encoder_weights(self._packed)
                try:
                    network = PictureEncoder(NetworkShape.from_config(self._packed.shape))
                    network.load_state_dict(weights)
                except (TypeError, ValueError, RuntimeError) as error:
                    raise EncoderUnavailable(
                        f"the weights in {self._packed.directory} don't fit its config: {error}"
                    ) from error
                network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                self._network = network.eval()
            return self._network
