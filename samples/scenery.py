"""What several subjects are drawn with: skies, people, trees and boats."""

from __future__ import annotations

import math
from random import Random
from typing import Final

from twinlens.samples.draw import HEIGHT, WIDTH, Canvas, Colour, hsv, lighter, mix, varied

Facts = dict[str, str | int]

SKIES: Final[dict[str, tuple[tuple[Colour, ...], ...]]] = {
    "morning": (
        ((120, 170, 215), (190, 212, 222), (250, 226, 190)),
        ((140, 180, 205), (225, 215, 200), (255, 214, 170)),
    ),
    "noon": (
        ((38, 110, 200), (110, 175, 235), (200, 228, 245)),
        ((60, 140, 215), (150, 200, 240), (225, 240, 248)),
        ((20, 90, 170), (90, 160, 220), (180, 215, 235)),
    ),
    "dusk": (
        ((50, 35, 95), (190, 70, 95), (255, 150, 60), (255, 210, 120)),
        ((25, 40, 90), (120, 70, 130), (240, 110, 80), (255, 190, 110)),
        ((90, 30, 70), (220, 80, 50), (255, 170, 50), (255, 225, 130)),
        ((40, 60, 120), (150, 110, 160), (245, 160, 150), (255, 215, 180)),
    ),
    "night": (
        ((4, 6, 22), (12, 18, 48), (30, 38, 78)),
        ((8, 4, 26), (24, 14, 56), (52, 34, 84)),
        ((2, 10, 20), (8, 26, 44), (20, 52, 72)),
    ),
    "cloudy": (
        ((120, 132, 145), (165, 174, 182), (205, 210, 212)),
        ((100, 116, 128), (150, 160, 165), (190, 196, 196)),
    ),
}


def paint_sky(canvas: Canvas, rng: Random, time: str, *, horizon: float) -> tuple[Colour, ...]:
    """Fill the sky down to ``horizon`` for a time of day; returns its colours from the top."""
    colours = tuple(varied(rng, colour, 10) for colour in rng.choice(SKIES[time]))
    canvas.gradient(colours, bottom=horizon + 4)
    if time == "night":
        for _ in range(rng.randint(20, 70)):
            shine = rng.randint(120, 255)
            x, y = rng.uniform(0, WIDTH), rng.uniform(0, horizon)
            canvas.circle(x, y, rng.uniform(0.4, 0.9), (shine, shine, min(255, shine + 15)))
    clouds = {"noon": 4, "cloudy": 9, "morning": 3, "dusk": 4, "night": 1}[time]
    for _ in range(rng.randint(0 if time != "cloudy" else 5, clouds)):
        paint_cloud(
            canvas,
            rng,
            x=rng.uniform(0, WIDTH),
            y=rng.uniform(0.08, 0.75) * horizon,
            size=rng.uniform(18, 48),
            colour={
                "noon": (250, 252, 255),
                "cloudy": (222, 226, 230),
                "morning": (255, 240, 228),
                "dusk": (255, 176, 130),
                "night": (52, 56, 84),
            }[time],
            alpha=0.85 if time in ("noon", "cloudy") else 0.5,
        )
    return colours


def paint_cloud(
    canvas: Canvas, rng: Random, *, x: float, y: float, size: float, colour: Colour, alpha: float
) -> None:
    """A flat-bottomed heap of soft puffs."""
    for _ in range(rng.randint(4, 7)):
        dx = rng.gauss(0, 0.9) * size
        puff = size * rng.uniform(0.5, 1.0) * max(0.35, 1 - abs(dx) / (3 * size))
        canvas.soft_ellipse(x + dx, y - puff * 0.15, puff * 1.5, puff * 0.75, colour, alpha)


def paint_sun(canvas: Canvas, x: float, y: float, radius: float, colour: Colour) -> None:
    """A sun with light around it."""
    canvas.glow(x, y, radius * 5, lighter(colour, 0.2), 0.6)
    canvas.glow(x, y, radius * 2.2, lighter(colour, 0.5), 0.8)
    canvas.circle(x, y, radius, lighter(colour, 0.65))


def paint_moon(canvas: Canvas, rng: Random, x: float, y: float, radius: float) -> None:
    """A full moon with light around it."""
    canvas.glow(x, y, radius * 3.5, (170, 180, 215), 0.5)
    canvas.circle(x, y, radius, (242, 240, 226))
    for _ in range(4):
        angle, away = rng.uniform(0, math.tau), rng.uniform(0, 0.6) * radius
        canvas.circle(
            x + away * math.cos(angle),
            y + away * math.sin(angle),
            radius * rng.uniform(0.1, 0.25),
            (214, 212, 200),
        )


SKINS: Final[tuple[Colour, ...]] = (
    (92, 58, 38),
    (120, 78, 50),
    (150, 100, 66),
    (184, 134, 96),
    (222, 178, 142),
)


def paint_person(
    canvas: Canvas,
    rng: Random,
    x: float,
    feet: float,
    height: float,
    *,
    shirt: Colour,
    trousers: Colour,
    skin: Colour | None = None,
    pose: str = "stand",
    hair: Colour = (24, 18, 16),
) -> None:
    """Somebody in a pose: `stand`, `run`, `cheer`, `bend` or `point`."""
    skin = skin if skin is not None else rng.choice(SKINS)
    side = rng.choice((-1, 1))
    head = height * 0.085
    hip, shoulder = feet - height * 0.47, feet - height * 0.81
    lean = side * height * {"run": 0.1, "bend": 0.24}.get(pose, 0.0)
    if pose == "bend":
        shoulder += height * 0.12
    stride = height * {"run": 0.2, "stand": 0.06, "cheer": 0.08, "bend": 0.07, "point": 0.05}[pose]
    limb = max(0.8, height * 0.075)
    back = feet - (height * 0.1 if pose == "run" else 0)
    canvas.line(
        [(x, hip), (x + stride * 0.7, (hip + feet) / 2), (x + stride, feet)], trousers, limb
    )
    canvas.line(
        [(x, hip), (x - stride * 0.6, (hip + feet) / 2), (x - stride, back)],
        lighter(trousers, -0.15),
        limb,
    )
    chest, waist = height * 0.115, height * 0.085
    canvas.polygon(
        [
            (x + lean - chest, shoulder),
            (x + lean + chest, shoulder),
            (x + waist, hip + height * 0.03),
            (x - waist, hip + height * 0.03),
        ],
        shirt,
    )
    arm = height * 0.3
    for hand in (-1, 1):
        start = (x + lean + hand * chest, shoulder + limb / 2)
        if pose == "cheer":
            end = (start[0] + hand * arm * 0.45, start[1] - arm)
        elif pose == "point" and hand == side:
            end = (start[0] + hand * arm * 0.85, start[1] - arm * 0.5)
        elif pose == "run":
            end = (start[0] + hand * arm * 0.7, start[1] + arm * 0.5 * -hand * side)
        elif pose == "bend":
            end = (start[0] + side * arm * 0.5, start[1] + arm * 0.8)
        else:
            end = (start[0] + hand * arm * 0.2, start[1] + arm)
        canvas.line([start, end], lighter(shirt, -0.12), limb * 0.8)
        canvas.circle(end[0], end[1], limb * 0.5, skin)
    neck = x + lean * 1.25
    canvas.circle(neck, shoulder - head * 1.15, head, skin)
    canvas.pie(neck, shoulder - head * 1.2, head * 1.08, head * 1.08, hair, 180, 360)


def paint_palm(
    canvas: Canvas, rng: Random, x: float, foot: float, height: float, colour: Colour
) -> None:
    """A leaning coconut palm."""
    lean = rng.uniform(-0.35, 0.35) * height
    trunk = []
    for step in range(9):
        t = step / 8
        trunk.append((x + lean * t * t, foot - height * t))
    for (x0, y0), (x1, y1), step in zip(trunk, trunk[1:], range(8), strict=False):
        canvas.line([(x0, y0), (x1, y1)], colour, height * (0.05 - 0.0028 * step))
    top_x, top_y = trunk[-1]
    leaves = rng.randint(8, 11)
    reach = height * rng.uniform(0.36, 0.46)
    for leaf in range(leaves):
        angle = math.pi * (leaf / (leaves - 1)) * 1.3 - math.pi * 1.15 + rng.uniform(-0.1, 0.1)
        end_x = top_x + math.cos(angle) * reach
        end_y = top_y + math.sin(angle) * reach * 0.75 + reach * 0.28
        mid_x = top_x + math.cos(angle) * reach * 0.55
        mid_y = top_y + math.sin(angle) * reach * 0.75 - reach * 0.06
        canvas.polygon(
            [
                (top_x, top_y),
                (mid_x, mid_y - reach * 0.05),
                (end_x, end_y),
                (mid_x, mid_y + reach * 0.11),
            ],
            varied(rng, colour, 8),
        )
    for _ in range(rng.randint(0, 4)):
        canvas.circle(top_x + rng.uniform(-3, 3), top_y + rng.uniform(0, 4), height * 0.022, colour)


def paint_tree(
    canvas: Canvas, rng: Random, x: float, foot: float, height: float, colour: Colour
) -> None:
    """A round tree of leaf clumps, lit from above."""
    canvas.rect(x - height * 0.04, foot - height * 0.5, height * 0.08, height * 0.5, (70, 50, 36))
    for layer in range(3):
        shade = lighter(colour, -0.28 + 0.2 * layer)
        for _ in range(6):
            canvas.circle(
                x + rng.gauss(0, 0.2) * height,
                foot - height * (0.55 + 0.12 * layer) - rng.uniform(0, 0.16) * height,
                height * rng.uniform(0.11, 0.2),
                varied(rng, shade, 8),
            )


def paint_boat(
    canvas: Canvas, rng: Random, x: float, water: float, length: float, colour: Colour
) -> None:
    """A fishing boat, with a mast and perhaps a sail."""
    depth = length * 0.18
    canvas.polygon(
        [
            (x - length / 2, water - depth),
            (x + length / 2, water - depth * 1.2),
            (x + length * 0.36, water),
            (x - length * 0.38, water),
        ],
        colour,
    )
    canvas.line([(x, water - depth), (x, water - length * 0.8)], colour, max(0.7, length * 0.03))
    if rng.random() < 0.6:
        canvas.polygon(
            [
                (x + length * 0.03, water - length * 0.8),
                (x + length * 0.4, water - depth * 1.6),
                (x + length * 0.03, water - depth * 1.4),
            ],
            mix(colour, hsv(rng.random(), 0.5, 0.9), 0.5),
        )


def paint_birds(canvas: Canvas, rng: Random, *, bottom: float, colour: Colour, count: int) -> None:
    """A loose flock far away."""
    x, y = rng.uniform(60, WIDTH - 120), rng.uniform(20, max(24.0, bottom * 0.5))
    for _ in range(count):
        bx, by, span = x + rng.gauss(0, 34), y + rng.gauss(0, 13), rng.uniform(3, 7)
        canvas.line(
            [(bx - span, by - span * 0.4), (bx, by), (bx + span, by - span * 0.5)], colour, 0.9
        )


def speckle(
    canvas: Canvas,
    rng: Random,
    colour: Colour,
    *,
    top: float,
    bottom: float = HEIGHT,
    count: int,
    size: float = 1.2,
    alpha: float = 0.5,
) -> None:
    """Scatter small flat marks over the full width: grass, pebbles, ripples."""
    for _ in range(count):
        y = rng.uniform(top, bottom)
        near = 0.4 + (y - top) / max(1.0, bottom - top)
        x = rng.uniform(0, WIDTH)
        canvas.ellipse(x, y, size * near * 2, size * near * 0.6, varied(rng, colour, 14), alpha)
