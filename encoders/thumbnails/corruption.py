"""What happens to thumbnails on their way, done to whole batches: crops, captions, noise, JPEG.

Every draw comes from the generator that is handed in, so a step of training can be repeated.
Pictures are (B, 3, H, W) float32 in [0, 1]; W and H are multiples of 8.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

_CAPTION_COUNT: Final = 256
_LETTERS: Final = "ABCDEFGHIKLMNOPRSTUVWXYZ 0123456789 !?aeinrst "
# ITU-T T.81, annex K: the luminance table that JPEG encoders scale by quality.
_JPEG_TABLE: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


class Corruption:
    """Corrupts batches of pictures at ``size`` (width, height); pictures may come in larger.

    The larger input is what crops take their detail from. Captions are drawn once, here.
    """

    def __init__(self, *, size: tuple[int, int], device: torch.device) -> None:
        self.width, self.height = size
        self.device = device
        self._captions = _draw_captions(size).to(device)  # (N, H, W), 0 to 1
        self._dct = _make_dct_matrix().to(device)  # (8, 8)
        self._quantisation = torch.tensor(_JPEG_TABLE, dtype=torch.float32, device=device) / 255

    def clean(self, pictures: Tensor) -> Tensor:
        """Scale the pictures to ``size``, otherwise leave them as they are."""
        return functional.interpolate(
            pictures, size=(self.height, self.width), mode="bilinear", antialias=True
        )

    def __call__(self, pictures: Tensor, *, generator: torch.Generator) -> Tensor:
        """Corrupted copies at ``size``."""
        rng = _Random(len(pictures), generator, self.device)
        corrupted = self._crop_and_shift(pictures, rng)
        corrupted = self._recolour(corrupted, rng)
        corrupted = self._blur(corrupted, rng)
        corrupted = self._write_over(corrupted, rng)
        corrupted = self._mask(corrupted, rng)
        corrupted = self._recompress(corrupted, rng)
        sigma = rng.sample(0.0, 0.13) * rng.flip(0.4)
        noise = rng.draw_normal(corrupted.shape)
        return (corrupted + noise * sigma.view(-1, 1, 1, 1)).clamp_(0.0, 1.0)

    def _crop_and_shift(self, pictures: Tensor, rng: _Random) -> Tensor:
        """Cut windows of 55 to 130 % of each side, half of them mirrored; one colour around."""
        side = torch.where(rng.flip(0.6) > 0, rng.sample(0.55, 1.0), rng.sample(0.95, 1.05))
        side = torch.where(rng.flip(0.12) > 0, rng.sample(1.05, 1.3), side)
        stretch = torch.exp(rng.sample(-0.08, 0.08))
        across, down = (
            length.clamp(min=0.55, max=1.3) for length in (side * stretch, side / stretch)
        )
        x = rng.sample(-1.0, 1.0) * (1 - across).abs() + rng.sample(-0.03, 0.03)
        y = rng.sample(-1.0, 1.0) * (1 - down).abs() + rng.sample(-0.03, 0.03)
        across = across * (1 - 2 * rng.flip(0.5))
        zero = torch.zeros_like(x)
        theta = torch.stack([torch.stack([across, zero, x], 1), torch.stack([zero, down, y], 1)], 1)
        grid = functional.affine_grid(
            theta, [len(pictures), 3, self.height, self.width], align_corners=False
        )
        # Black half the time. What lies outside is sampled as 0, and so becomes the colour.
        colour = rng.sample(0.0, 1.0, columns=(3,)) * rng.flip(0.5).view(-1, 1)
        colour = colour.view(-1, 3, 1, 1)
        return functional.grid_sample(pictures - colour, grid, align_corners=False) + colour

    def _recolour(self, pictures: Tensor, rng: _Random) -> Tensor:
        """Hue, saturation, white balance, contrast, brightness: a 3x3 matrix and an offset."""
        grey = torch.tensor([0.299, 0.587, 0.114], device=self.device)
        eye = torch.eye(3, device=self.device)
        saturation = rng.sample(0.0, 1.7).view(-1, 1, 1)
        contrast = rng.sample(0.6, 1.7).view(-1, 1, 1)
        balance = torch.exp(rng.sample(-0.35, 0.35, columns=(3,))).view(-1, 3, 1)
        hue = self._make_hue_rotation(rng.sample(-0.9, 0.9) * rng.flip(0.3))
        muted = saturation * eye + (1 - saturation) * grey.expand(3, 3)
        matrix = contrast * balance * (muted @ hue)
        # Contrast turns about black as often as about grey, as a brighter copy does.
        pivot = 0.5 * rng.flip(0.5).view(-1, 1)
        offset = pivot * (1 - contrast.view(-1, 1)) + rng.sample(-0.2, 0.2).view(-1, 1)
        untouched = rng.flip(0.25).view(-1, 1, 1)
        matrix = torch.where(untouched > 0, eye, matrix)
        offset = torch.where(untouched.view(-1, 1) > 0, torch.zeros_like(offset), offset)
        flat = torch.baddbmm(offset.unsqueeze(2).expand(-1, 3, 1), matrix, pictures.flatten(2))
        return flat.view_as(pictures).clamp_(0.0, 1.0)

    def _make_hue_rotation(self, angle: Tensor) -> Tensor:
        """Matrices (B, 3, 3) that turn colours about the grey axis by ``angle`` (Rodrigues)."""
        across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
        across = across.to(self.device) / math.sqrt(3)
        sine, cosine = torch.sin(angle).view(-1, 1, 1), torch.cos(angle).view(-1, 1, 1)
        eye = torch.eye(3, device=self.device)
        return cosine * eye + sine * across + (1 - cosine) / 3

    def _blur(self, pictures: Tensor, rng: _Random) -> Tensor:
        """Blur a third of the pictures by a Gaussian of up to 2 pixels."""
        sigma = rng.sample(0.4, 2.0)
        chosen = torch.nonzero(rng.flip(0.35))[:, 0]
        if not len(chosen):
            return pictures
        reach = torch.arange(-4, 5, device=self.device, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (reach / sigma[chosen, None]) ** 2)
        kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)  # (3n, 9)
        planes = pictures[chosen].reshape(1, -1, self.height, self.width)
        planes = functional.pad(planes, (4, 4, 4, 4), mode="replicate")
        groups = planes.shape[1]
        planes = functional.conv2d(planes, kernel[:, None, None, :], groups=groups)
        planes = functional.conv2d(planes, kernel[:, None, :, None], groups=groups)
        blurred = pictures.clone()
        blurred[chosen] = planes.view(-1, 3, self.height, self.width)
        return blurred

    def _write_over(self, pictures: Tensor, rng: _Random) -> Tensor:
        """Words in one colour, on a band or box of another, over most of the pictures."""
        which = rng.draw_integers(len(self._captions))
        words = torch.roll(
            self._captions[which], shifts=int(rng.draw_integers(self.width)[0]), dims=2
        ).unsqueeze(1)
        # Half of the bands run from side to side, half are opaque, as captions are.
        band = self._draw_box(rng, height=(0.1, 0.35), width=(0.25, 1.75))
        ink = rng.sample(0.0, 1.0, columns=(3,)).view(-1, 3, 1, 1)
        paper = rng.sample(0.0, 1.0, columns=(3,)).view(-1, 3, 1, 1)
        opacity = rng.sample(0.3, 1.7).clamp(max=1.0) * rng.flip(0.7)
        opacity = opacity.view(-1, 1, 1, 1) * band
        written = pictures + (paper - pictures) * opacity
        # Half of the words stay on their band, the others run over the whole picture.
        words = words * torch.where(rng.flip(0.5).view(-1, 1, 1, 1) > 0, band, 1.0)
        written = written + (ink - written) * words
        chosen = rng.flip(0.6).view(-1, 1, 1, 1)
        return torch.where(chosen > 0, written, pictures)

    def _mask(self, pictures: Tensor, rng: _Random) -> Tensor:
        """Up to three flat patches over nearly half of the pictures."""
        some = rng.flip(0.45)
        for share in (1.0, 0.5, 0.3):
            patch = self._draw_box(rng, height=(0.1, 0.45), width=(0.08, 0.4))
            patch = patch * (some * rng.flip(share)).view(-1, 1, 1, 1)
            colour = rng.sample(0.0, 1.0, columns=(3,)).view(-1, 3, 1, 1)
            pictures = pictures + (colour - pictures) * patch
        return pictures

    def _draw_box(
        self, rng: _Random, *, height: tuple[float, float], width: tuple[float, float]
    ) -> Tensor:
        """Draw a rectangle for each picture, sides as shares of its own: (B, 1, H, W), 0 or 1."""
        tall, broad = rng.sample(*height), rng.sample(*width).clamp(max=1.0)
        top, left = rng.sample(0.0, 1.0) * (1 - tall), rng.sample(0.0, 1.0) * (1 - broad)
        y = (torch.arange(self.height, device=self.device) + 0.5) / self.height
        x = (torch.arange(self.width, device=self.device) + 0.5) / self.width
        rows = (y >= top[:, None]) & (y < (top + tall)[:, None])
        columns = (x >= left[:, None]) & (x < (left + broad)[:, None])
        return (rows[:, None, :, None] & columns[:, None, None, :]).float()

    def _recompress(self, pictures: Tensor, rng: _Random) -> Tensor:
        """Blocks of 8x8 cosine terms, rounded as a JPEG of quality 8 to 60 rounds them."""
        quality = rng.sample(8.0, 60.0)
        chosen = torch.nonzero(rng.flip(0.25))[:, 0]
        if not len(chosen):
            return pictures
        quality = quality[chosen]
        scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50).view(-1, 1, 1, 1, 1, 1)
        blocks = pictures[chosen].view(-1, 3, self.height // 8, 8, self.width // 8, 8)
        blocks = blocks.permute(0, 1, 2, 4, 3, 5) - 0.5  # (n, 3, H/8, W/8, 8, 8)
        steps = self._quantisation * scale
        terms = self._dct @ blocks @ self._dct.T
        blocks = self._dct.T @ (torch.round(terms / steps) * steps) @ self._dct + 0.5
        recompressed = pictures.clone()
        recompressed[chosen] = blocks.permute(0, 1, 2, 4, 3, 5).reshape(
            -1, 3, self.height, self.width
        )
        return recompressed


class _Random:
    """Random numbers, one for each picture of a batch; drawn on the CPU, the same everywhere."""

    def __init__(self, count: int, generator: torch.Generator, device: torch.device) -> None:
        self.count = count
        self.generator = generator
        self.device = device

    def sample(self, low: float, high: float, *, columns: tuple[int, ...] = ()) -> Tensor:
        drawn = torch.rand(self.count, *columns, generator=self.generator)
        return (low + (high - low) * drawn).to(self.device)

    def flip(self, probability: float) -> Tensor:
        """1.0 with ``probability``, else 0.0."""
        drawn = torch.rand(self.count, generator=self.generator)
        return (drawn < probability).float().to(self.device)

    def draw_integers(self, below: int) -> Tensor:
        return torch.randint(below, (self.count,), generator=self.generator).to(self.device)

    def draw_normal(self, shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=self.generator).to(self.device)


def _draw_captions(size: tuple[int, int]) -> Tensor:
    """Words at random places and sizes: (N, H, W) in [0, 1]; the same in every run."""
    width, height = size
    rng = np.random.default_rng(20)
    captions = np.zeros((_CAPTION_COUNT, height, width), dtype=np.float32)
    for caption in captions:
        sheet = Image.new("L", size)
        pen = ImageDraw.Draw(sheet)
        letter_height = float(rng.uniform(0.1, 0.4) * height)
        font = ImageFont.load_default(size=letter_height)
        top = float(rng.uniform(-0.05, 0.8) * height)
        for line in range(int(rng.integers(1, 3))):
            letters = rng.choice(list(_LETTERS), size=int(rng.integers(3, 18)))
            left = float(rng.uniform(-0.1, 0.6) * width)
            stroke = int(rng.integers(0, 2))
            spot = (left, top + line * letter_height)
            pen.text(spot, "".join(letters), fill=255, font=font, stroke_width=stroke)
        caption[:] = np.asarray(sheet, dtype=np.float32) / 255
    return torch.from_numpy(captions)


def _make_dct_matrix() -> Tensor:
    """Return the orthonormal 8-point cosine transform: rows are frequencies."""
    position = torch.arange(8, dtype=torch.float32)
    matrix = torch.cos((position + 0.5)[None, :] * position[:, None] * math.pi / 8) / 2
    matrix[0] /= math.sqrt(2)
    return matrix
