"""Canvas tools: shapes, gradients, soft light, mottling and reflections, drawn large and halved.

Coordinates are in pixels of the finished 480x270 picture, y downwards; they may be fractions and
may lie outside. `Canvas.move` gives the same picture with coordinates of its own, for a figure.
Colours are ``(red, green, blue)``; ``alpha`` is opacity in [0, 1].
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
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

WIDTH: Final = 480
HEIGHT: Final = 270
# Twice the size and a 2x2 mean is the cheapest anti-aliasing that covers every shape alike.
_OVERSAMPLING: Final = 2


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return ``first`` with ``share`` (0 to 1) of ``second`` mixed in."""
    r, g, b = (round(one + (two - one) * share) for one, two in zip(first, second, strict=True))
    return r, g, b


def lighten(colour: Colour, share: float) -> Colour:
    """Return ``colour`` moved towards white, or towards black where ``share`` is negative."""
    return mix(colour, (255, 255, 255) if share >= 0 else (0, 0, 0), abs(share))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return the colour of a hue in turns, with saturation and value in [0, 1]."""
    r, g, b = (round(part * 255) for part in colorsys.hsv_to_rgb(hue % 1.0, saturation, value))
    return r, g, b


def vary(rng: Random, colour: Colour, amount: int = 12) -> Colour:
    """Return ``colour`` with each part moved by up to ``amount``."""
    # Many calls a picture: a scaled random() is a fifth of the price of randint().
    span = 2 * amount + 1
    r, g, b = (min(255, max(0, part - amount + int(rng.random() * span))) for part in colour)
    return r, g, b


def undulate(rng: Random, *, base: float, height: float, bumps: float = 3.0) -> list[Point]:
    """Return points of a rolling skyline from the left edge to the right, around ``base``."""
    waves = [(rng.uniform(0.5, 1.0) / k, k * 0.8, rng.uniform(0, math.tau)) for k in range(1, 5)]
    turns = [(float(x), x / WIDTH * math.pi * bumps) for x in range(-10, WIDTH + 11, 10)]
    return [
        (x, base - height / 2 * sum(w * math.sin(turn * k + p) for w, k, p in waves))
        for x, turn in turns
    ]


def smooth(corners: Sequence[Point], *, closed: bool = True) -> list[Point]:
    """Return a smooth line through ``corners`` (a Catmull-Rom spline), six points to each."""
    if len(corners) == 2:
        return list(corners)
    last = corners[:2] if closed else corners[-1:]
    ring = np.array([corners[-1] if closed else corners[0], *corners, *last])
    a, b, c, d = ring[:-3], ring[1:-2], ring[2:-1], ring[3:]
    t = np.arange(6)[:, None, None] / 6
    pull, bend = 2 * a - 5 * b + 4 * c - d, 3 * (b - c) + d - a
    curve = b + t / 2 * (c - a + t * (pull + t * bend))
    points = [(x, y) for x, y in curve.transpose(1, 0, 2).reshape(-1, 2).tolist()]
    return points if closed else [*points, corners[-1]]


class Canvas:
    """One picture being drawn, seen in some coordinates."""

    def __init__(self) -> None:
        self._image = Image.new("RGB", (WIDTH * _OVERSAMPLING, HEIGHT * _OVERSAMPLING))
        # Blending, even with nothing to blend, takes three times as long.
        self._solid, self._clear = ImageDraw.Draw(self._image), ImageDraw.Draw(self._image, "RGBA")
        self._x, self._y = 0.0, 0.0
        self._scale, self._way = float(_OVERSAMPLING), 1

    def move(self, x: float, y: float, scale: float, *, way: int = 1) -> Canvas:
        """Return this picture with its origin at (x, y), in units of ``scale``; -1 mirrors."""
        figure = object.__new__(Canvas)
        figure._image, figure._solid, figure._clear = self._image, self._solid, self._clear
        ((figure._x, figure._y),) = self._place([(x, y)])
        figure._scale, figure._way = self._scale * scale, self._way * way
        return figure

    def fill(self, colours: Sequence[Colour], *, top: float = 0, bottom: float = HEIGHT) -> None:
        """Fill the full width between two heights, from the first colour down to the last."""
        low, high = round(top * _OVERSAMPLING), round(bottom * _OVERSAMPLING)
        rows, stops = np.arange(high - low), np.linspace(0, high - low - 1, len(colours))
        column = np.stack([np.interp(rows, stops, part) for part in np.array(colours).T], axis=1)
        filled = Image.fromarray(np.rint(column).astype(np.uint8)[:, None, :])
        size = (WIDTH * _OVERSAMPLING, high - low)
        self._image.paste(filled.resize(size, Image.Resampling.NEAREST), (0, low))

    def mottle(
        self, rng: Random, colour: Colour, *, top: float = 0, bottom: float = HEIGHT,
        cover: float = 0.5, alpha: float = 0.5, grain: float = 1.0, stretch: float = 1.0,
    ) -> None:  # fmt: skip
        """Lay irregular patches over the full width: clouds, ripples, wood, grass or mist.

        About ``cover`` of the area gets some; patches are as large as ``grain`` says, and
        ``stretch`` times as wide as high. Towards both heights they fade.
        """
        # Made at the finished size, which no eye can tell from more: a fourth of the time.
        height, noise = round(bottom - top), _make_patches(round(cover * 20), round(alpha * 20))
        w = min(noise.width - 1, round(2 * WIDTH / grain / stretch**0.5))
        h = min(noise.height - 1, round(2 * height / grain * stretch**0.5))
        x, y = rng.randrange(noise.width - w), rng.randrange(noise.height - h)
        box, smooth = (x, y, x + w, y + h), Image.Resampling.BILINEAR
        mask = noise.transform((WIDTH, height), Image.Transform.EXTENT, box, smooth)
        size = (WIDTH * _OVERSAMPLING, height * _OVERSAMPLING)
        mask = ImageChops.multiply(mask, _make_fade(height)).resize(size, Image.Resampling.NEAREST)
        self._image.paste(colour, (0, round(top * _OVERSAMPLING)), mask)

    def reflect(
        self, rng: Random, line: float, colours: Sequence[Colour], *, alpha: float = 0.5
    ) -> None:
        """Fill everything below ``line`` with water that mirrors what is above, in ripples."""
        low, (width, height) = round(line) * _OVERSAMPLING, self._image.size
        above = np.asarray(self._image.crop((0, 0, width, low)).reduce(_OVERSAMPLING))[::-1]
        rows = np.arange((height - low) // _OVERSAMPLING)
        sway = np.sin(rows**0.72 * 2.4 + rng.uniform(0, 6)) * (1 + rows * 0.04) + np.sin(rows * 1.8)
        columns = np.arange(WIDTH) + np.rint(sway).astype(int)[:, None]
        mirrored = above[np.minimum(rows, len(above) - 1)[:, None], columns % WIDTH]
        self.fill(colours, top=round(line))
        water = self._image.crop((0, low, width, height))
        ripples = Image.fromarray(mirrored).resize(water.size, Image.Resampling.NEAREST)
        self._image.paste(Image.blend(water, ripples, alpha), (0, low))

    def polygon(self, points: Sequence[Point], colour: Colour, alpha: float = 1.0) -> None:
        """Fill a polygon."""
        self._choose_pen(alpha).polygon(self._place(points), fill=_mix_ink(colour, alpha))

    def shape(self, corners: Sequence[Point], colour: Colour, alpha: float = 1.0) -> None:
        """Fill the smooth outline through ``corners``."""
        self.polygon(smooth(corners), colour, alpha)

    def bar(
        self, start: Point, end: Point, colour: Colour, alpha: float = 1.0, *,
        widths: tuple[float, float],
    ) -> None:  # fmt: skip
        """Fill a level-ended bar that is as wide as ``widths`` says at its two ends."""
        (x0, y0), (x1, y1), (w0, w1) = start, end, (widths[0] / 2, widths[1] / 2)
        self.polygon([(x0 - w0, y0), (x0 + w0, y0), (x1 + w1, y1), (x1 - w1, y1)], colour, alpha)

    def band(
        self, line: Sequence[Point], colour: Colour, low: float, high: float, alpha: float = 1.0
    ) -> None:
        """Fill between ``low`` and ``high`` below a line that runs from left to right."""
        under = [(x, y + high) for x, y in reversed(line)]
        self.polygon([*((x, y + low) for x, y in line), *under], colour, alpha)

    def flood(self, points: Sequence[Point], colour: Colour, alpha: float = 1.0) -> None:
        """Fill everything below a line that runs from left to right."""
        self.band(points, colour, 0, HEIGHT, alpha)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, alpha: float = 1.0
    ) -> None:
        """Fill an ellipse around (x, y)."""
        box = self._place_box(x - rx, y - ry, x + rx, y + ry)
        self._choose_pen(alpha).ellipse(box, fill=_mix_ink(colour, alpha))

    def circle(self, x: float, y: float, radius: float, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a circle around (x, y)."""
        self.ellipse(x, y, radius, radius, colour, alpha)

    def rect(
        self, x: float, y: float, width: float, height: float, colour: Colour,
        alpha: float = 1.0, *, corner: float = 0,
    ) -> None:  # fmt: skip
        """Fill a rectangle whose top left corner is (x, y)."""
        box, radius = self._place_box(x, y, x + width, y + height), corner * self._scale
        self._choose_pen(alpha).rounded_rectangle(box, radius, fill=_mix_ink(colour, alpha))

    def line(
        self, points: Sequence[Point], colour: Colour, width: float, alpha: float = 1.0
    ) -> None:
        """Draw a line through ``points``."""
        thick, ink = max(1, round(width * self._scale)), _mix_ink(colour, alpha)
        self._choose_pen(alpha).line(self._place(points), fill=ink, width=thick)

    def stroke(self, corners: Sequence[Point], colour: Colour, thick: float, thin: float) -> None:
        """Draw a round-ended stroke along a smooth line, from ``thick`` to ``thin``."""
        points = smooth(corners, closed=False)
        self.circle(*points[0], thick / 2, colour)
        for step, (start, end) in enumerate(pairwise(points)):
            width = thick + (thin - thick) * step / len(points)
            self.line([start, end], colour, width)
            self.circle(*end, width / 2, colour)

    def glow(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, alpha: float = 1.0
    ) -> None:
        """Lay soft light (or shadow) around (x, y): an ellipse that fades towards its edge."""
        # Sizes go in steps so that the masks of a run are few and kept.
        width, height = (max(1, round(size * self._scale / 8)) * 16 for size in (rx, ry))
        ((left, top),) = self._place([(x, y)])
        mask = _make_glow(width, height, round(alpha * 20))
        self._image.paste(colour, (round(left - width / 2), round(top - height / 2)), mask)

    def finish(self, rng: Random) -> Image.Image:
        """Return the finished 480x270 RGB picture, with grain and darker corners."""
        light, grain = _make_film()
        y, x = rng.randrange(HEIGHT // 4), rng.randrange(WIDTH // 4)
        pixels = np.asarray(self._image.reduce(_OVERSAMPLING)) * light[y:, x:][:HEIGHT, :WIDTH]
        y, x = rng.randrange(HEIGHT), rng.randrange(WIDTH)
        pixels += grain[y:, x:][:HEIGHT, :WIDTH]
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

    def _choose_pen(self, alpha: float) -> ImageDraw.ImageDraw:
        return self._solid if alpha >= 1 else self._clear

    def _place(self, points: Sequence[Point]) -> list[Point]:
        across, down = self._scale * self._way, self._scale
        return [(self._x + x * across, self._y + y * down) for x, y in points]

    def _place_box(self, left: float, top: float, right: float, bottom: float) -> list[float]:
        x0, x1 = (self._x + x * self._scale * self._way for x in (left, right)[:: self._way])
        return [x0, self._y + top * self._scale, x1, self._y + bottom * self._scale]


def _mix_ink(colour: Colour, alpha: float) -> tuple[int, ...]:
    return colour if alpha >= 1 else (*colour, round(alpha * 255))


@lru_cache(maxsize=512)
def _make_glow(width: int, height: int, strength: int) -> Image.Image:
    # The inscribed circle lies at level 181 of Pillow's gradient; beyond it, all is clear.
    levels = [max(0.0, 1 - level / 181) ** 1.5 * 255 * strength / 20 for level in range(256)]
    disc = Image.radial_gradient("L").reduce(2).point([round(level) for level in levels])
    return disc.resize((width, height), Image.Resampling.BILINEAR)


@cache
def _make_film() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return light, darker in the corners, and grain; each picture takes some part of them."""
    shape = (HEIGHT * 2, WIDTH * 2, 1)
    grain = np.random.default_rng(2026).standard_normal(shape, dtype=np.float32) * 1.8
    y, x = np.mgrid[0 : HEIGHT * 1.25, 0 : WIDTH * 1.25].astype(np.float32)
    far = np.hypot(x / WIDTH * 2 - 1.25, y / HEIGHT * 2 - 1.25)
    return (1 - 0.24 * np.clip(far - 0.55, 0, None))[:, :, None], grain


@cache
def _add_octaves() -> NDArray[np.float32]:
    """Return a sum of smooth noise, each octave finer and not as strong."""
    draws, total = np.random.default_rng(2026), np.zeros((1600, 1600), dtype=np.float32)
    for octave in range(6):
        coarse = Image.fromarray(draws.random((7 * 2**octave,) * 2, dtype=np.float32))
        total += np.asarray(coarse.resize((1600, 1600), Image.Resampling.BICUBIC)) / 1.7**octave
    return total


@cache
def _make_patches(cover: int, alpha: int) -> Image.Image:
    """Return a mask of patches; both measures in twentieths."""
    noise = _add_octaves()
    edge = np.quantile(noise, 1 - cover / 20)
    level = np.clip((noise - edge) / (noise.max() - edge) * 1.8, 0, 1)
    return Image.fromarray((level * 255 * alpha / 20).astype(np.uint8))


@lru_cache(maxsize=512)
def _make_fade(height: int) -> Image.Image:
    share = np.arange(height)[:, None] / height
    fade = np.clip(np.minimum(share, 1 - share) * 5, 0, 1) * 255
    return Image.fromarray(np.repeat(fade.astype(np.uint8), WIDTH, axis=1))
