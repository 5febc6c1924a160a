"""The denoising autoencoder's two halves. Shapes: B pictures, H x W pixels, D code length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkShape:
    """Everything that decides the shapes of the weights."""

    width: int = 128
    height: int = 72
    dim: int = 128
    channels: tuple[int, ...] = (32, 64, 128, 192)
    pooled: tuple[int, int] = (3, 4)
    decoder_channels: int = 64

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> NetworkShape:
        """The shape as ``dataclasses.asdict`` and JSON left it.

        Raises:
            TypeError: a name is unknown, or a value is no number or list of numbers.
        """
        rows, columns = config["pooled"]
        known = dict(config) | {
            "channels": tuple(config["channels"]),
            "pooled": (rows, columns),
        }
        return cls(**known)


class PictureEncoder(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1] become unit codes (B, D).

    The code is linear: no activation can silence an output for good, and every input has one.
    """

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        inward = 3
        for number, outward in enumerate(shape.channels):
            kernel = 5 if number == 0 else 3
            stages.append(Halving(inward, outward, kernel=kernel, residual=number > 0))
            inward = outward
        self.stages = nn.Sequential(*stages)
        self.pooled = shape.pooled
        self.code = nn.Linear(inward * shape.pooled[0] * shape.pooled[1], shape.dim)

    def forward(self, pictures: Tensor) -> Tensor:
        """Codes (B, D) of unit length, float32."""
        features = self.stages((pictures - 0.5) * 4.0)  # (B, C, H/16, W/16)
        pooled = functional.adaptive_avg_pool2d(features, self.pooled)
        code: Tensor = self.code(pooled.flatten(1))
        return functional.normalize(code.float(), dim=1)


class PictureDecoder(nn.Module):
    """Unit codes (B, D) become pictures (B, 3, H, W), unbounded; trained towards [0, 1]."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        depth = len(shape.channels)
        self.sizes = [_halved((shape.height, shape.width), times) for times in range(depth, 0, -1)]
        channels = shape.decoder_channels
        self.channels = channels
        rows, columns = self.sizes[0]
        self.unfold = nn.Linear(shape.dim, channels * rows * columns)
        self.refine = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1), _norm(channels), nn.SiLU(inplace=True)
            )
            for _ in self.sizes
        )
        self.paint = nn.Sequential(nn.Conv2d(channels, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, codes: Tensor) -> Tensor:
        """Pictures (B, 3, H, W)."""
        features = self.unfold(codes).view(len(codes), self.channels, *self.sizes[0])
        for size, refine in zip(self.sizes, self.refine, strict=True):
            if features.shape[-2:] != size:
                features = functional.interpolate(features, size=size, mode="nearest")
            features = refine(features)
        pictures: Tensor = self.paint(features)
        return pictures


class Halving(nn.Module):
    """Half the resolution, then one residual convolution at the new size."""

    def __init__(self, inward: int, outward: int, *, kernel: int, residual: bool) -> None:
        super().__init__()
        self.down = nn.Conv2d(inward, outward, kernel, stride=2, padding=kernel // 2)
        self.norm = _norm(outward)
        self.residual = (
            nn.Sequential(
                nn.Conv2d(outward, outward, 3, padding=1), _norm(outward), nn.SiLU(inplace=True)
            )
            if residual
            else None
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, inward, H, W) to (B, outward, H/2, W/2), rounded up."""
        features = functional.silu(self.norm(self.down(features)))
        if self.residual is not None:
            features = features + self.residual(features)
        return features


class Autoencoder(nn.Module):
    """Both halves together, as they are trained."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.encoder = PictureEncoder(shape)
        self.decoder = PictureDecoder(shape)


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(8, channels)


def _halved(size: tuple[int, int], times: int) -> tuple[int, int]:
    rows, columns = size
    for _ in range(times):
        rows, columns = -(-rows // 2), -(-columns // 2)
    return rows, columns
