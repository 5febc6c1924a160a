"""A circuit board, and rice and curry, seen from above."""

from __future__ import annotations

import math
from random import Random
from typing import Final

from twinlens.samples.canvas import HEIGHT, WIDTH, Canvas, Colour, hsv, lighten, vary
from twinlens.samples.scenery import Facts, scatter

_BOARDS: Final[dict[str, Colour]] = {
    "green": (14, 92, 54),
    "blue": (16, 52, 120),
    "black": (28, 30, 34),
    "red": (140, 22, 30),
    "purple": (74, 26, 104),
}
_CANS: Final = ((36, 50, 110), (24, 24, 28), (190, 130, 40), (150, 154, 160))
_TURNS: Final = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


def draw_circuit(canvas: Canvas, rng: Random) -> Facts:
    """Draw a circuit board: traces, chips, capacitors and lit LEDs."""
    name = rng.choice(list(_BOARDS))
    base = vary(rng, _BOARDS[name], 8)
    canvas.fill((lighten(base, 0.12), base, lighten(base, -0.25)))
    trace, gold = lighten(base, rng.uniform(0.2, 0.34)), (222, 184, 84)
    for _ in range(rng.randint(40, 64)):
        x, y, turn = rng.randrange(60) * 8.0, rng.randrange(34) * 8.0, rng.randrange(0, 8, 2)
        points, lanes = [(x, y)], rng.choice((1, 1, 2, 4))
        for leg in range(rng.randint(2, 6)):
            # Every other leg is a short slant, as boards are routed.
            run = rng.choice((8.0, 16.0)) if leg % 2 else rng.randrange(2, 11) * 8.0
            x, y = x + _TURNS[turn][0] * run, y + _TURNS[turn][1] * run
            points.append((x, y))
            turn = (turn + rng.choice((-1, 1))) % 8
        for lane in range(lanes):
            shifted = [(px + lane * 4, py + lane * 4) for px, py in points]
            canvas.line(shifted, trace, 1.5)
            for end in (shifted[0], shifted[-1]):
                canvas.circle(*end, 2.7, gold)
                canvas.circle(*end, 1.1, lighten(base, -0.6))
    for x, y, _ in scatter(rng, rng.randint(14, 40), top=4):
        part, (w, h) = rng.choice(((34, 30, 30), (176, 130, 84))), rng.choice(((11, 5), (5, 11)))
        canvas.rect(x, y, w, h, (214, 214, 216))
        canvas.rect(x + w / 2 - 2.5, y + h / 2 - 2.5, 5, 5, part)
    taken: list[tuple[float, float, float]] = []
    wanted, chips = rng.randint(2, 8), 0
    for number in range(wanted + rng.randint(3, 9)):
        large = number == 0 and rng.random() < 0.7
        half = rng.uniform(44, 62) if large else rng.uniform(18, 30) if number < wanted else 12.0
        x, y = rng.uniform(half, WIDTH - half), rng.uniform(half, HEIGHT - half)
        if any(max(abs(x - ox), abs(y - oy)) < half + other + 10 for ox, oy, other in taken):
            continue
        taken.append((x, y, half))
        if number >= wanted:
            can, tone = canvas.move(x, y, rng.uniform(7, 13)), rng.choice(_CANS)
            can.glow(0.4, 0.5, 1.7, 1.7, (0, 0, 0), 0.8)
            can.circle(0, 0, 1, tone)
            can.circle(0, 0, 0.8, (206, 208, 212))
            continue
        chips += 1
        tall = half if large else half * rng.choice((0.5, 0.7, 1.0))
        _draw_chip(canvas.move(x, y, 1), rng, half, tall)
    if rng.random() < 0.5:
        edge = rng.uniform(40, 200)
        for pin in range(rng.randint(10, 26)):
            canvas.rect(edge + pin * 9, HEIGHT - 24, 6, 30, (226, 190, 90))
    leds = rng.randint(0, 6)
    for x, y, _ in scatter(rng, leds, top=16, bottom=250):
        light: Colour = rng.choice(((255, 50, 40), (70, 255, 90), (70, 150, 255), (255, 210, 60)))
        glow = rng.uniform(28, 50)
        canvas.glow(x, y, glow, glow, light, 0.9)
        canvas.rect(x - 4, y - 3, 8, 6, lighten(light, 0.55), corner=1.5)
    return {"board": name, "chips": chips, "leds": leds}


def _draw_chip(chip: Canvas, rng: Random, half: float, tall: float) -> None:
    body = vary(rng, (32, 32, 36), 8)
    chip.rect(-half + 5, -tall + 6, half * 2, tall * 2, (0, 0, 0), 0.4)
    for pin in range(-int(half / 6), int(half / 6) + 1):
        chip.rect(pin * 5.6 - 1.4, -tall - 5, 2.8, tall * 2 + 10, (196, 198, 202))
        if tall == half:
            chip.rect(-half - 5, pin * 5.6 - 1.4, half * 2 + 10, 2.8, (196, 198, 202))
    chip.rect(-half, -tall, half * 2, tall * 2, body, corner=2)
    chip.polygon([(-half, -tall), (half, -tall), (-half, tall)], lighten(body, 0.1), 0.7)
    if half > 40 and rng.random() < 0.6:
        chip.rect(-half * 0.6, -tall * 0.6, half * 1.2, tall * 1.2, (176, 180, 184), corner=2)
    chip.rect(-half * 0.45, -2, half * rng.uniform(0.5, 0.9), 3, lighten(body, 0.5))
    chip.circle(6 - half, 6 - tall, 2, lighten(body, 0.4))


_DISHES: Final[dict[str, Colour]] = {
    "dhal": (238, 180, 50),
    "chicken": (156, 66, 26),
    "fish": (196, 70, 30),
    "beetroot": (130, 20, 66),
    "greens": (52, 112, 40),
    "potato": (230, 190, 80),
    "pumpkin": (226, 130, 30),
    "sambol": (226, 90, 44),
    "brinjal": (84, 44, 50),
}
_RICE: Final = {"white": (250, 248, 238), "red": (196, 130, 96), "yellow": (246, 204, 76)}
_TABLES: Final = ((130, 84, 50), (84, 52, 34), (196, 180, 160), (52, 58, 64), (60, 100, 110))
_PLATES: Final = ((246, 244, 238), (226, 232, 238), (40, 44, 52), (176, 92, 56), (214, 224, 206))


def draw_curry(canvas: Canvas, rng: Random) -> Facts:
    """Draw rice with curries around it on a plate, a banana leaf or a clay dish."""
    served = rng.choice(("plate", "plate", "leaf", "clay"))
    cloth = hsv(rng.random(), rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.6))
    table = rng.choice((cloth, cloth, vary(rng, rng.choice(_TABLES))))
    canvas.fill((lighten(table, 0.12), lighten(table, -0.18)))
    for tone, stretch in ((-0.35, 14), (0.25, 9)):
        canvas.mottle(rng, lighten(table, tone), top=-50, bottom=320, grain=0.5, stretch=stretch)
    x, y, radius = 240 + rng.uniform(-50, 50), 135 + rng.uniform(-10, 10), rng.uniform(102, 124)
    dish, wide, high = canvas.move(x, y, radius), 0.62, 0.62
    if served == "leaf":
        wide, high = 1.32, 0.6
        dish.glow(0.05, 0.1, 2.4, 1.35, (0, 0, 0), 0.8)
        rim = [(-2, 0), (-1.2, -0.95), (0.6, -1), (2, -0.1), (1.2, 0.95), (-1, 1)]
        dish.shape(rim, (44, 120, 44))
        for vein in range(-13, 14):
            long = 0.85 * math.sqrt(1 - (vein / 15) ** 2)
            dish.line([(vein * 0.13 + 0.12, -long), (vein * 0.13, 0)], (72, 152, 62), 0.012)
            dish.line([(vein * 0.13 + 0.12, long), (vein * 0.13, 0)], (34, 102, 40), 0.012)
        dish.stroke([(-2, 0), (0, 0.02), (1.95, -0.08)], (130, 180, 88), 0.04, 0.015)
    else:
        plate = rng.choice(_PLATES) if served == "plate" else (150, 78, 48)
        dish.glow(0.08, 0.12, 1.5, 1.5, (0, 0, 0), 0.9)
        for size, tone in ((1, -0.2), (0.98, 0.0), (0.83, -0.16), (0.81, -0.06)):
            dish.circle(0, 0, size, lighten(plate, tone))
    curries, turn, heap = rng.randint(3, 7), rng.uniform(0, math.tau), rng.uniform(0.36, 0.46)
    dishes = rng.sample(list(_DISHES), curries)
    for number, food in enumerate(dishes):
        angle = turn + number / curries * math.tau
        cx, cy = x + math.cos(angle) * radius * wide, y + math.sin(angle) * radius * high
        if served == "clay":
            canvas.circle(cx, cy, 33, (104, 48, 30))
            canvas.circle(cx, cy - 1, 30, (150, 76, 48))
        _serve(canvas.move(cx, cy, rng.uniform(22, 30)), rng, _DISHES[food], food)
    rice = rng.choice(list(_RICE))
    dish.glow(0.03, 0.05, heap * 1.5, heap * 1.45, (60, 40, 20), 0.7)
    dish.circle(0, 0, heap, lighten(_RICE[rice], -0.2))
    for _ in range(190):
        angle, away, lie = rng.random() * 7, heap * math.sqrt(rng.random()), rng.random() * 7
        gx, gy = math.cos(angle) * away, math.sin(angle) * away
        end = (gx + math.cos(lie) * 0.06, gy + math.sin(lie) * 0.06)
        dish.line([(gx, gy), end], vary(rng, _RICE[rice], 14), 0.02)
    papadam = rng.random() < 0.45
    if papadam:
        disc = canvas.move(x + rng.choice((-1, 1)) * radius * 0.66, y - radius * 0.6, 34)
        disc.circle(0, 0, 1, (240, 200, 120))
        for _ in range(30):
            disc.circle(rng.gauss(0, 0.4), rng.gauss(0, 0.4), 0.08, (250, 222, 160), 0.8)
    facts: Facts = {"rice": rice, "served": served, "curries": curries, "papadam": int(papadam)}
    return facts | {"first": dishes[0], "second": dishes[1]}


def _serve(portion: Canvas, rng: Random, sauce: Colour, food: str) -> None:
    portion.glow(0.1, 0.15, 1.5, 1.4, (40, 20, 10), 0.6)
    for _ in range(8):
        size = rng.uniform(0.5, 0.72)
        portion.circle(rng.gauss(0, 0.28), rng.gauss(0, 0.25), size, vary(rng, sauce, 8))
    for _ in range(30):
        px, py, piece = rng.gauss(0, 0.4), rng.gauss(0, 0.36), vary(rng, lighten(sauce, 0.22), 18)
        if food in ("greens", "sambol"):
            strand = (px + rng.uniform(-0.2, 0.2), py + rng.uniform(-0.2, 0.2))
            portion.line([(px, py), strand], vary(rng, piece, 20), 0.07)
        elif food in ("dhal", "beetroot") or rng.random() < 0.5:
            portion.circle(px, py, rng.uniform(0.03, 0.09), piece)
        else:
            portion.ellipse(px, py, 0.24, 0.18, lighten(piece, -0.4))
            portion.ellipse(px - 0.03, py - 0.04, 0.2, 0.14, piece)
