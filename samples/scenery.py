"""What several subjects are drawn with: skies, hills, people, trees and places on a ground."""

from __future__ import annotations

from random import Random
from typing import Final

from twinlens.samples.canvas import HEIGHT, WIDTH, Canvas, Colour, lighten, mix, undulate, vary

Facts = dict[str, str | int]

# The sky from the top down, in two ways.
_SKIES: Final[dict[str, tuple[tuple[Colour, ...], ...]]] = {
    "morning": (
        ((120, 170, 215), (190, 212, 222), (250, 226, 190)),
        ((140, 180, 205), (225, 215, 200), (255, 214, 170)),
    ),
    "noon": (
        ((38, 110, 200), (110, 175, 235), (200, 228, 245)),
        ((60, 140, 215), (150, 200, 240), (225, 240, 248)),
    ),
    "dusk": (
        ((50, 35, 95), (190, 70, 95), (255, 150, 60), (255, 210, 120)),
        ((25, 40, 90), (120, 70, 130), (240, 110, 80), (255, 190, 110)),
        ((90, 30, 70), (220, 80, 50), (255, 170, 50), (255, 225, 130)),
        ((40, 60, 120), (150, 110, 160), (245, 160, 150), (255, 215, 180)),
    ),
    "night": (((8, 4, 26), (24, 14, 56), (52, 34, 84)), ((2, 10, 20), (8, 26, 44), (20, 52, 72))),
    "cloudy": (
        ((120, 132, 145), (165, 174, 182), (205, 210, 212)),
        ((100, 116, 128), (150, 160, 165), (190, 196, 196)),
    ),
}
# The colour of clouds, how much of the sky they take at most, and how opaque they are.
_CLOUDS: Final[dict[str, tuple[Colour, float, float]]] = {
    "morning": ((255, 238, 224), 0.4, 0.7),
    "noon": ((252, 253, 255), 0.4, 0.95),
    "dusk": ((255, 168, 128), 0.4, 0.7),
    "night": ((60, 64, 96), 0.4, 0.5),
    "cloudy": ((234, 237, 240), 0.8, 0.8),
}
# Towards which colour things on the ground go at a time of day, and how much.
_TINTS: Final[dict[str, tuple[Colour, float]]] = {
    "morning": ((255, 220, 180), 0.12),
    "noon": ((255, 255, 255), 0.0),
    "dusk": ((70, 30, 50), 0.45),
    "night": ((8, 12, 30), 0.72),
    "cloudy": ((120, 128, 136), 0.2),
}
# From the shoulder to the hand, outwards and downwards, in shares of a person's height.
_REACHES: Final = {
    "stand": (0.05, 0.32),
    "cheer": (0.1, -0.3),
    "run": (0.22, 0.1),
    "bend": (0.16, 0.27),
}
_SKINS: Final = ((92, 58, 38), (120, 78, 50), (150, 100, 66), (184, 134, 96), (222, 178, 142))


def tint(colour: Colour, time: str) -> Colour:
    """Return ``colour`` in the light of a time of day."""
    return mix(colour, *_TINTS[time])


def scatter(
    rng: Random, count: int, *, top: float, bottom: float = HEIGHT + 4
) -> list[tuple[float, float, float]]:
    """Return places ``(x, y, nearness)`` on a ground, those far away first; nearness is 0 to 1."""
    depths = sorted(rng.random() for _ in range(count))
    return [(rng.uniform(0, WIDTH), top + near * (bottom - top), near) for near in depths]


def paint_sky(canvas: Canvas, rng: Random, time: str, *, horizon: float) -> tuple[Colour, ...]:
    """Fill the sky down to ``horizon`` for a time of day; returns its colours from the top."""
    colours = tuple(vary(rng, colour, 10) for colour in rng.choice(_SKIES[time]))
    canvas.fill(colours, bottom=horizon + 4)
    for x, y, _ in scatter(rng, 60 if time == "night" else 0, top=0, bottom=horizon):
        canvas.circle(x, y, rng.uniform(0.3, 0.9), vary(rng, (215, 215, 235), 40), 0.8)
    colour, most, alpha = _CLOUDS[time]
    cover, stretch = rng.uniform(most / 2, most), rng.uniform(1.6, 4.5)
    if time == "dusk":
        dark = mix(colours[0], (20, 10, 30), 0.3)
        canvas.mottle(rng, dark, bottom=horizon, cover=cover, stretch=stretch)
    canvas.mottle(rng, colour, top=-20, bottom=horizon, cover=cover, alpha=alpha, stretch=stretch)
    return colours


def paint_sun(canvas: Canvas, x: float, y: float, radius: float, colour: Colour) -> None:
    """Draw a sun (or a moon) with light around it."""
    canvas.glow(x, y, radius * 6, radius * 6, lighten(colour, 0.2), 0.6)
    canvas.glow(x, y, radius * 2.2, radius * 2.2, lighten(colour, 0.5), 0.8)
    canvas.circle(x, y, radius, lighten(colour, 0.65))


def paint_hills(canvas: Canvas, rng: Random, near: Colour, far: Colour, *, base: float) -> None:
    """Draw ridges behind each other, paler with distance, the nearest around ``base``."""
    for layer in range(3):
        line = undulate(
            rng, base=base - 12 * (2 - layer), height=rng.uniform(20, 36), bumps=5 - layer
        )
        canvas.flood(line, mix(far, near, 0.3 + 0.25 * layer))


def paint_tree(
    canvas: Canvas, rng: Random, x: float, foot: float, height: float, colour: Colour
) -> None:
    """Draw a round tree of leaf clumps, lit from above."""
    tree = canvas.move(x, foot, height)
    tree.stroke([(0, 0), (rng.gauss(0, 0.03), -0.6)], mix((70, 50, 36), colour, 0.3), 0.08, 0.05)
    for layer in range(3):
        shade = lighten(colour, -0.3 + 0.2 * layer)
        for _ in range(7):
            cx, cy = rng.gauss(0, 0.2 - 0.03 * layer), -0.52 - 0.12 * layer - rng.uniform(0, 0.16)
            size = rng.uniform(0.1, 0.2)
            tree.ellipse(cx, cy, size, size * 0.8, vary(rng, shade, 8))


def paint_person(
    canvas: Canvas, rng: Random, x: float, feet: float, height: float, shirt: Colour,
    *, trousers: Colour | None = None, skin: Colour | None = None, pose: str = "stand",
    hair: Colour = (24, 18, 16),
) -> None:  # fmt: skip
    """Draw somebody in a pose: `stand`, `run`, `cheer` or `bend`."""
    body = canvas.move(x, feet, height, way=rng.choice((-1, 1)))
    skin, trousers = skin or rng.choice(_SKINS), trousers or lighten(shirt, -0.3)
    lean = {"run": 0.1, "bend": 0.2}.get(pose, 0.0)
    stride = 0.2 if pose == "run" else 0.06
    hip, neck = -0.48, -0.74 if pose == "bend" else -0.8
    for foot, lifted in ((-stride, stride - 0.06), (stride, 0.0)):
        knee = (foot * 0.55 + lean * 0.5, -0.26)
        body.stroke([(0, hip), knee, (foot, -lifted)], trousers, 0.1, 0.065)
        body.ellipse(foot + 0.02, -lifted - 0.01, 0.055, 0.025, lighten(trousers, -0.5))
    shoulders = [(lean - 0.13, neck), (lean + 0.13, neck)]
    body.shape([*shoulders, (0.1, hip + 0.02), (-0.1, hip + 0.02)], shirt)
    out, down = _REACHES[pose]
    for side, (start, _) in zip((-1, 1), shoulders, strict=True):
        elbow = (start + side * out * 0.9, neck + 0.03 + down / 2)
        hand = (start + side * out, neck + 0.03 + down)
        body.stroke([(start, neck + 0.03), elbow, hand], lighten(shirt, -0.12), 0.07, 0.05)
        body.circle(*hand, 0.035, skin)
    body.line([(lean, neck), (lean * 1.3, neck - 0.11)], skin, 0.06)
    body.circle(lean * 1.3, neck - 0.125, 0.085, hair)
    body.ellipse(lean * 1.3 + 0.012, neck - 0.1, 0.068, 0.075, skin)
