"""The denoising autoencoder's two halves. Shapes: B pictures, H x W pixels, D code length."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from twinlens.encoders.thumbnails.shape import NetworkShape, halve


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
            stages.append(Halving(inward, outward, kernel=kernel, residual=number > 1))
            inward = outward
        self.stages = nn.Sequential(*stages)
        self.squeeze = nn.Conv2d(inward, shape.squeezed, 1)
        rows, columns = halve((shape.height, shape.width), len(shape.channels))
        self.code = nn.Linear(shape.squeezed * rows * columns, shape.dim)

    def forward(self, pictures: Tensor) -> Tensor:
        """Codes (B, D) of unit length, float32, of the pictures as they stand."""
        features = self.stages((pictures - 0.5) * 4.0)  # (B, C, H/16, W/16)
        squeezed = functional.silu(self.squeeze(features))
        code: Tensor = self.code(squeezed.flatten(1))
        return functional.normalize(code.float(), dim=1)


class PictureDecoder(nn.Module):
    """Unit codes (B, D) become pictures (B, 3, H, W), unbounded; trained towards [0, 1]."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        depth = len(shape.channels)
        self.sizes = [halve((shape.height, shape.width), times) for times in range(depth, 0, -1)]
        inward = shape.decoder_channels[0]
        rows, columns = self.sizes[0]
        self.unfold = nn.Linear(shape.dim, inward * rows * columns)
        self.refine = nn.ModuleList()
        for outward in shape.decoder_channels[1:]:
            self.refine.append(_convolve(inward, outward))
            inward = outward
        self.paint = nn.Sequential(nn.Conv2d(inward, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, codes: Tensor) -> Tensor:
        """Decode into pictures (B, 3, H, W)."""
        features = self.unfold(codes).unflatten(1, (-1, *self.sizes[0]))
        for refine, finer in zip(self.refine, self.sizes[1:], strict=True):
            features = functional.interpolate(refine(features), size=finer, mode="nearest")
        pictures: Tensor = self.paint(features)
        return pictures


class Halving(nn.Module):
    """Half the resolution, then one residual convolution at the new size."""

    def __init__(self, inward: int, outward: int, *, kernel: int, residual: bool) -> None:
        super().__init__()
        self.down = _convolve(inward, outward, kernel=kernel, stride=2)
        self.residual = _convolve(outward, outward) if residual else None

    def forward(self, features: Tensor) -> Tensor:
        """(B, inward, H, W) to (B, outward, H/2, W/2), rounded up."""
        features = self.down(features)
        if self.residual is not None:
            features = features + self.residual(features)
        return features


class Autoencoder(nn.Module):
    """Both halves together, as they are trained."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.encoder = PictureEncoder(shape)
        self.decoder = PictureDecoder(shape)


def _convolve(inward: int, outward: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    # The normalisation brings its own bias.
    convolution = nn.Conv2d(inward, outward, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outward), nn.SiLU(inplace=True))
