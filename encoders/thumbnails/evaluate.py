"""How good a thumbnail encoder is: does it find a damaged picture again, are neighbours alike?

Distortions are done to whole pictures with Pillow, apart from training's, and come out the same
every time.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from encoders.base import Encoder, FloatMatrix, unit_rows
from encoders.thumbnails.pictures import fit_picture

Distortion = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What was measured of one encoder.

    ``recall_at_1`` is by distortion, over all pictures asked; ``nearest_neighbour`` is the share
    of pictures whose nearest other picture has their category, ``precision_at_10`` the share of
    the ten nearest. ``effective_rank`` is the exponential of the entropy of the variances.
    """

    recall_at_1: Mapping[str, float]
    nearest_neighbour: float
    precision_at_10: float
    dead_outputs: int
    effective_rank: float
    pictures_per_s: float

    @property
    def mean_recall_at_1(self) -> float:
        """Over all distortions alike."""
        return float(np.mean(list(self.recall_at_1.values())))


class RawPixels:
    """The baseline to beat: the picture at 32x18, its bars off, its pixels as the vector."""

    name = "raw pixels 32x18"
    dim = 32 * 18 * 3
    fingerprint = "baseline"

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        """Centred on each picture's own mean; float32 (len(items), 1728), rows of unit length."""
        rows = np.empty((len(items), self.dim), dtype=np.float32)
        for row, item in zip(rows, items, strict=True):
            row[:] = fit_picture(item, size=(32, 18)).reshape(-1)
            # A flat picture has nothing left once its mean is gone; the first value is kept off 0.
            row -= row.mean()
            row[0] += 1e-3
        return unit_rows(rows)


def evaluate(
    encoder: Encoder[Image.Image],
    pictures: Sequence[Image.Image],
    categories: Sequence[str],
    *,
    asked: Sequence[int],
) -> Score:
    """Measure ``encoder`` over ``pictures``; the questions are those at the places ``asked``.

    Keep ``asked`` to pictures that the encoder was not trained on. Every question is answered
    from all of ``pictures``.
    """
    encoder.encode(pictures[:1])  # so that loading the weights is not timed
    started = time.perf_counter()
    gallery = encoder.encode(pictures)  # (n, dim)
    seconds = time.perf_counter() - started
    places = np.asarray(asked)
    recall = {
        name: recall_at_1(encoder.encode([distort(pictures[i]) for i in asked]), gallery, places)
        for name, distort in DISTORTIONS.items()
    }
    nearest, precision = likeness(gallery, np.asarray(categories), places)
    return Score(
        recall_at_1=MappingProxyType(recall),
        nearest_neighbour=nearest,
        precision_at_10=precision,
        dead_outputs=int((gallery.std(axis=0) < 1e-6).sum()),
        effective_rank=effective_rank(gallery),
        pictures_per_s=len(pictures) / seconds,
    )


def recall_at_1(queries: FloatMatrix, gallery: FloatMatrix, places: npt.NDArray[np.intp]) -> float:
    """Share of ``queries`` whose nearest row of ``gallery`` is the one at their place."""
    return float(np.mean((queries @ gallery.T).argmax(axis=1) == places))


def likeness(
    gallery: FloatMatrix, categories: npt.NDArray[np.str_], places: npt.NDArray[np.intp]
) -> tuple[float, float]:
    """1-nearest-neighbour accuracy and precision@10 by category, each picture left out itself."""
    similarity = gallery[places] @ gallery.T
    similarity[np.arange(len(places)), places] = -np.inf
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :10]
    same = categories[nearest] == categories[places][:, None]
    return float(same[:, 0].mean()), float(same.mean())


def effective_rank(vectors: FloatMatrix) -> float:
    """How many directions the vectors really use, between 1 and their length.

    0 where they are all the same, NaN where some are not finite.

    Source: Roy and Vetterli 2007, over the covariance's eigenvalues.
    """
    if not np.isfinite(vectors).all():
        return float("nan")
    variances = np.linalg.eigvalsh(np.cov(vectors.T.astype(np.float64))).clip(min=0)
    if not variances.any():
        return 0.0
    shares = variances / variances.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _crop(share: float) -> Distortion:
    def crop(image: Image.Image) -> Image.Image:
        width, height = image.size
        x, y = round(width * (1 - share) / 2), round(height * (1 - share) / 2)
        return image.crop((x, y, width - x, height - y))

    return crop


def _noise(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float32)
    noise = np.random.default_rng(0).normal(0.0, 25.0, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def _jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=10)
    return Image.open(buffer).convert("RGB")


def _hue(image: Image.Image) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(level + 25) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _caption(image: Image.Image) -> Image.Image:
    """A band over the lower part of the picture itself, which lies between any bars."""
    captioned = image.copy()
    width, height = image.size
    pen = ImageDraw.Draw(captioned)
    pen.rectangle((0, height * 0.62, width, height * 0.82), fill=(250, 220, 30))
    font = ImageFont.load_default(size=height * 0.13)
    pen.text((width * 0.06, height * 0.64), "YOU WON'T BELIEVE", fill=(20, 20, 20), font=font)
    return captioned


def _letterbox(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, border=(0, image.height // 8), fill=(0, 0, 0))


def _downscale(image: Image.Image) -> Image.Image:
    width, height = image.size
    small = image.resize((max(1, width // 4), max(1, height // 4)), Image.Resampling.BILINEAR)
    return small.resize(image.size, Image.Resampling.BILINEAR)


DISTORTIONS: Final[Mapping[str, Distortion]] = MappingProxyType(
    {
        "crop 80 %": _crop(0.8),
        "crop 60 %": _crop(0.6),
        "blur": lambda image: image.filter(ImageFilter.GaussianBlur(image.height / 60)),
        "noise": _noise,
        "JPEG quality 10": _jpeg,
        "brightness": lambda image: ImageEnhance.Brightness(image).enhance(1.5),
        "hue": _hue,
        "flip": ImageOps.mirror,
        "caption": _caption,
        "letterbox": _letterbox,
        "downscale x4": _downscale,
    }
)
