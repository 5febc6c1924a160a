"""The autoencoder that this project grows from, as it was: the baseline to beat.

Greyscale 480x360 with its black bars, six 3x3 convolutions, one linear layer of 44 million
weights, and a ReLU over the code, which silences most of its outputs for good.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError, safe_open

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.files import write_atomically
from twinlens.catalog.vectors import FloatMatrix

if TYPE_CHECKING:
    from torch import Tensor, nn

FULL_SIZE: Final = (480, 360)
CODE_LENGTH: Final = 64
WEIGHTS_NAME: Final = "original.safetensors"
CONFIG_NAME: Final = "original.json"
# (channels in, channels out, stride) of the encoder's convolutions; the decoder mirrors them.
_CONVOLUTIONS: Final = ((1, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1))
# Its activations take 100 MB a picture at full size; with few at a time they stay in the cache.
CHUNK: Final = 2


def encoder_network(size: tuple[int, int] = FULL_SIZE) -> nn.Sequential:
    """Pictures (B, 1, H, W) in [0, 1] to codes (B, 64), none below 0.

    ``size`` is (width, height), both multiples of 4; at 480x360 it has 44,308,656 weights.
    """
    from torch import nn

    layers: list[nn.Module] = []
    for inward, outward, stride in _CONVOLUTIONS:
        layers += [nn.Conv2d(inward, outward, 3, stride=stride, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(_flat(size), CODE_LENGTH), nn.ReLU())


def decoder_network(size: tuple[int, int] = FULL_SIZE) -> nn.Sequential:
    """Codes (B, 64) to pictures (B, 1, H, W): the encoder's layers in the mirror."""
    from torch import nn

    width, height = size
    layers: list[nn.Module] = [
        nn.Linear(CODE_LENGTH, _flat(size)),
        nn.ReLU(),
        nn.Unflatten(1, (64, height // 4, width // 4)),
    ]
    for outward, inward, stride in reversed(_CONVOLUTIONS):
        layers += [
            nn.ConvTranspose2d(
                inward, outward, 3, stride=stride, padding=1, output_padding=stride - 1
            ),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers[:-1])


def grey_pixels(images: Sequence[Image.Image], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Greyscale copies, stretched to ``size``, bars and all: uint8 (n, 1, H, W)."""
    width, height = size
    pixels = np.empty((len(images), 1, height, width), dtype=np.uint8)
    for row, image in zip(pixels, images, strict=True):
        row[0] = np.asarray(image.convert("L").resize(size, Image.Resampling.BILINEAR))
    return pixels


class Original:
    """Its codes for pictures, as they come out of the ReLU: not of unit length, often all zero.

    ``directory`` holds what ``python -m twinlens.evaluate.thumbnails.train_original`` wrote;
    without one, the weights are fresh, which is enough to measure speed. ``chunk`` is how many
    pictures go through the network at a time, with their channels last in memory: twice as fast as
    PyTorch's default layout.

    Raises:
        EncoderUnavailable: there is no such model in ``directory``.
    """

    bars = "kept"
    dim = CODE_LENGTH

    def __init__(self, directory: Path | None = None, *, chunk: int = CHUNK) -> None:
        self._directory = directory
        self._chunk = chunk
        self.training: Mapping[str, Any] = {} if directory is None else _read_config(directory)
        width, height = self.training.get("size", FULL_SIZE)
        self.input_size = (int(width), int(height))
        self._network: nn.Module | None = None

    @property
    def name(self) -> str:
        """What a person typed to get it."""
        return "original" if self._directory is None else f"original:{self._directory}"

    @property
    def treatment(self) -> str:
        """What it makes of a picture."""
        width, height = self.input_size
        trained = f"{self.training['epochs']} epochs" if self.training else "untrained"
        return f"greyscale {width}x{height}, {trained}"

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Codes as float32 (len(items), 64), none below 0."""
        import torch

        codes = np.empty((len(items), self.dim), dtype=np.float32)
        network = self._load()
        for start in range(0, len(items), self._chunk):
            pixels = grey_pixels(items[start : start + self._chunk], self.input_size)
            with torch.inference_mode():
                pictures = torch.from_numpy(pixels).float().div_(255)
                pictures = pictures.to(memory_format=torch.channels_last)
                codes[start : start + len(pixels)] = network(pictures).numpy()
        return codes

    def _load(self) -> nn.Module:
        if self._network is None:
            import torch

            network = encoder_network(self.input_size)
            if self._directory is not None:
                network.load_state_dict(_read_weights(self._directory))
            self._network = network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        return self._network


def write_original(directory: Path, network: nn.Module, training: Mapping[str, Any]) -> None:
    """Write the encoder's weights and how they came about; each file is replaced whole."""
    from safetensors.torch import save

    weights = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / WEIGHTS_NAME, save(weights))
    write_atomically(directory / CONFIG_NAME, json.dumps(training, indent=1) + "\n")


def _read_config(directory: Path) -> Mapping[str, Any]:
    path = directory / CONFIG_NAME
    try:
        config: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _width, _height = config["size"]
        _epochs = config["epochs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderUnavailable(f"{path} is no original autoencoder's: {error!r}") from error
    return config


def _read_weights(directory: Path) -> dict[str, Tensor]:
    path = directory / WEIGHTS_NAME
    try:
        with safe_open(path, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise EncoderUnavailable(f"{path} can't be read: {error}") from error


def _flat(size: tuple[int, int]) -> int:
    """Length of the encoder's last feature map: two strides halve each side twice."""
    width, height = size
    return 64 * (width // 4) * (height // 4)
