"""Canvas tools: shapes, gradients, soft light and grain, drawn at twice the size and halved.

Coordinates are in pixels of the finished 480x270 picture, y downwards; they may be fractions and
may lie outside. Colours are ``(red, green, blue)``; ``alpha`` is opacity in [0, 1].
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from random import Random
from typing import Final

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]

WIDTH: Final = 480
HEIGHT: Final = 270
# Twice the size and a 2x2 mean is the cheapest anti-aliasing that covers every shape alike.
_OVERSAMPLING: Final = 2
_GRAIN_TILE: Final = (WIDTH * 2, HEIGHT * 2)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``first`` with ``share`` (0 to 1) of ``second`` mixed in."""
    r = round(first[0] + (second[0] - first[0]) * share)
    g = round(first[1] + (second[1] - first[1]) * share)
    b = round(first[2] + (second[2] - first[2]) * share)
    return r, g, b


def lighter(colour: Colour, share: float) -> Colour:
    """``colour`` moved towards white, or towards black where ``share`` is negative."""
    return mix(colour, (255, 255, 255) if share >= 0 else (0, 0, 0), abs(share))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """The colour of a hue in turns, with saturation and value in [0, 1]."""
    r, g, b = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(r * 255), round(g * 255), round(b * 255)


def varied(rng: Random, colour: Colour, amount: int = 12) -> Colour:
    """``colour`` with each part moved by up to ``amount``."""
    # Thousands of calls a picture: a scaled random() is a fifth of the price of randint().
    span = 2 * amount + 1
    r = min(255, max(0, colour[0] - amount + int(rng.random() * span)))
    g = min(255, max(0, colour[1] - amount + int(rng.random() * span)))
    b = min(255, max(0, colour[2] - amount + int(rng.random() * span)))
    return r, g, b


def ridge(rng: Random, *, base: float, height: float, bumps: float = 3.0) -> list[Point]:
    """Points of a rolling skyline from the left edge to the right, around ``base``."""
    phases = [rng.uniform(0, math.tau) for _ in range(4)]
    weights = [rng.uniform(0.5, 1.0) / (k + 1) for k in range(4)]
    points = []
    for x in range(-10, WIDTH + 11, 10):
        turn = x / WIDTH * math.tau * bumps / 2
        wave = sum(
            w * math.sin(turn * (k + 1) * 0.8 + p)
            for k, (w, p) in enumerate(zip(weights, phases, strict=True))
        )
        points.append((float(x), base - height * wave / 2))
    return points


def crags(rng: Random, start: Point, end: Point, *, height: float, rounds: int = 5) -> list[Point]:
    """Points of a jagged line between two ends, by midpoint displacement."""
    points = [start, end]
    for _ in range(rounds):
        refined = [points[0]]
        for left, right in pairwise(points):
            middle = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2)
            refined += [(middle[0], middle[1] + rng.uniform(-height, height)), right]
        points = refined
        height *= 0.52
    return points


class Canvas:
    """One picture being drawn."""

    def __init__(self) -> None:
        size = (WIDTH * _OVERSAMPLING, HEIGHT * _OVERSAMPLING)
        self._image = Image.new("RGB", size)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def gradient(
        self, colours: Sequence[Colour], *, top: float = 0, bottom: float = HEIGHT
    ) -> None:
        """Fill the full width between two heights, from the first colour down to the last."""
        low, high = round(top * _OVERSAMPLING), round(bottom * _OVERSAMPLING)
        if high <= low:
            return
        self._image.paste(
            _column(tuple(colours), high - low).resize(
                (WIDTH * _OVERSAMPLING, high - low), Image.Resampling.NEAREST
            ),
            (0, low),
        )

    def polygon(self, points: Sequence[Point], colour: Colour, alpha: float = 1.0) -> None:
        """Fill a polygon."""
        self._draw.polygon(_scaled(points), fill=_paint(colour, alpha))

    def below(self, points: Sequence[Point], colour: Colour, alpha: float = 1.0) -> None:
        """Fill everything below a line that runs from left to right."""
        outline = [*points, (points[-1][0], HEIGHT + 5.0), (points[0][0], HEIGHT + 5.0)]
        self.polygon(outline, colour, alpha)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, alpha: float = 1.0
    ) -> None:
        """Fill an ellipse around (x, y)."""
        self._draw.ellipse(
            _scaled([(x - rx, y - ry), (x + rx, y + ry)]), fill=_paint(colour, alpha)
        )

    def circle(self, x: float, y: float, radius: float, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a circle around (x, y)."""
        self.ellipse(x, y, radius, radius, colour, alpha)

    def ring(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: Colour,
        width: float,
        *,
        start: float = 0,
        end: float = 360,
    ) -> None:
        """Draw (part of) the outline of an ellipse; angles in degrees, clockwise from the right."""
        self._draw.arc(
            _scaled([(x - rx, y - ry), (x + rx, y + ry)]),
            start,
            end,
            fill=colour,
            width=max(1, round(width * _OVERSAMPLING)),
        )

    def pie(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, start: float, end: float
    ) -> None:
        """Fill a sector of an ellipse; angles in degrees, clockwise from the right."""
        self._draw.pieslice(_scaled([(x - rx, y - ry), (x + rx, y + ry)]), start, end, fill=colour)

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        colour: Colour,
        alpha: float = 1.0,
        *,
        corner: float = 0,
    ) -> None:
        """Fill a rectangle whose top left corner is (x, y)."""
        if width <= 0 or height <= 0:
            return
        box = _scaled([(x, y), (x + width, y + height)])
        paint = _paint(colour, alpha)
        if corner:
            self._draw.rounded_rectangle(box, radius=corner * _OVERSAMPLING, fill=paint)
        else:
            self._draw.rectangle(box, fill=paint)

    def line(
        self, points: Sequence[Point], colour: Colour, width: float, alpha: float = 1.0
    ) -> None:
        """Draw a line through ``points``."""
        self._draw.line(
            _scaled(points),
            fill=_paint(colour, alpha),
            width=max(1, round(width * _OVERSAMPLING)),
            joint="curve" if width > 2 and len(points) > 2 else None,
        )

    def glow(self, x: float, y: float, radius: float, colour: Colour, alpha: float = 1.0) -> None:
        """Lay soft light (or shadow) around (x, y), fading to nothing at ``radius``."""
        self.soft_ellipse(x, y, radius, radius, colour, alpha)

    def soft_ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, alpha: float = 1.0
    ) -> None:
        """Lay an ellipse that fades towards its edge."""
        # Sizes go in steps so that the masks of a run are few and kept.
        width, height = _stepped(rx * 2 * _OVERSAMPLING), _stepped(ry * 2 * _OVERSAMPLING)
        mask = _soft_mask(width, height, round(alpha * 20))
        left = round(x * _OVERSAMPLING - width / 2)
        top = round(y * _OVERSAMPLING - height / 2)
        self._image.paste(colour, (left, top), mask)

    def text(
        self, x: float, y: float, words: str, colour: Colour, size: float, *, centred: bool = False
    ) -> None:
        """Write Latin text with its left (or its middle) at x and its middle at height y."""
        self._draw.text(
            (x * _OVERSAMPLING, y * _OVERSAMPLING),
            words,
            fill=colour,
            font=_font(round(size * _OVERSAMPLING)),
            anchor="mm" if centred else "lm",
        )

    def finish(self, rng: Random, *, grain: float = 1.0, vignette: bool = True) -> Image.Image:
        """The finished 480x270 RGB picture, with grain, uneven light and darker corners."""
        picture = self._image.reduce(_OVERSAMPLING)
        if vignette:
            picture = ImageChops.multiply(picture, _light(rng.randrange(6)))
        if grain:
            tile = _grain(2 if grain > 1 else 1)
            x = rng.randrange(_GRAIN_TILE[0] - WIDTH)
            y = rng.randrange(_GRAIN_TILE[1] - HEIGHT)
            # The tile is centred on 128, so that grain neither lightens nor darkens.
            picture = ImageChops.add(
                picture, tile.crop((x, y, x + WIDTH, y + HEIGHT)), scale=1, offset=-128
            )
        return picture


def _scaled(points: Sequence[Point]) -> list[Point]:
    return [(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in points]


def _stepped(size: float) -> int:
    step = 8 if size < 96 else 32
    return max(8, round(size / step) * step)


def _paint(colour: Colour, alpha: float) -> tuple[int, ...]:
    # An opaque colour without alpha takes Pillow's faster path.
    return colour if alpha >= 1 else (*colour, round(alpha * 255))


def _column(colours: tuple[Colour, ...], height: int) -> Image.Image:
    stops = np.linspace(0, height - 1, len(colours)) if len(colours) > 1 else np.zeros(1)
    parts = np.array(colours, dtype=np.float64)
    rows = np.arange(height)
    column = np.stack([np.interp(rows, stops, parts[:, k]) for k in range(3)], axis=1)
    return Image.fromarray(np.rint(column).astype(np.uint8)[:, None, :], "RGB")


@lru_cache(maxsize=512)
def _soft_mask(width: int, height: int, strength: int) -> Image.Image:
    return _fading_disc(strength).resize((width, height), Image.Resampling.BILINEAR)


@cache
def _fading_disc(strength: int) -> Image.Image:
    # The inscribed circle lies at level 181 of Pillow's gradient; beyond it, all is clear.
    levels = [max(0.0, 1 - level / 181) ** 1.5 * 255 * strength / 20 for level in range(256)]
    return Image.radial_gradient("L").reduce(2).point([round(level) for level in levels])


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@cache
def _grain(strength: int) -> Image.Image:
    noise = np.random.default_rng(2026).normal(0.0, 1.0, (*_GRAIN_TILE[::-1], 1))
    soft = (noise + np.roll(noise, 1, axis=0) + np.roll(noise, 1, axis=1)) / math.sqrt(3)
    tile = 128 + np.repeat(soft, 3, axis=2) * 1.2 * strength
    return Image.fromarray(np.clip(tile, 0, 255).astype(np.uint8), "RGB")


@cache
def _light(kind: int) -> Image.Image:
    """A map to multiply with: brightest at a place that depends on ``kind``, darker in corners."""
    bright_x, bright_y = (
        (0.5, 0.45, 0.35, 0.65, 0.55, 0.5)[kind],
        (0.4, 0.5, 0.35, 0.35, 0.6, 0.45)[kind],
    )
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    distance = np.hypot((x / WIDTH - bright_x) * 1.1, y / HEIGHT - bright_y)
    light = 255 - 95 * np.clip(distance - 0.25, 0, None) ** 1.4
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8), "L").convert("RGB")
