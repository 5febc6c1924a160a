"""Coral reef and elephants."""

from __future__ import annotations

import math
from random import Random

from twinlens.samples.canvas import HEIGHT, Canvas, Colour, hsv, lighten, mix, undulate, vary
from twinlens.samples.scenery import (
    Facts,
    paint_hills,
    paint_sky,
    paint_sun,
    paint_tree,
    scatter,
    tint,
)


def draw_reef(canvas: Canvas, rng: Random) -> Facts:
    """Draw fish over corals, light falling from above."""
    hue, value = rng.uniform(0.4, 0.64), rng.uniform(0.6, 0.95)
    deep, bright = hsv(hue + 0.05, 0.92, value - 0.5), hsv(hue, 0.45, value)
    canvas.fill((bright, hsv(hue + 0.02, 0.8, 0.66), deep))
    source = rng.uniform(60, 420)
    for _ in range(rng.randint(6, 10)):
        x, wide = rng.gauss(source, 70), rng.uniform(12, 34)
        foot = (x + (x - source) * 1.6, HEIGHT)
        canvas.bar((x, -5), foot, (225, 250, 255), 0.08, widths=(wide, wide * 2.4))
    canvas.flood(undulate(rng, base=186, height=44, bumps=5), mix(deep, bright, 0.15), 0.7)
    sand = mix((214, 200, 156), hsv(hue, 0.7, 0.6), 0.45)
    canvas.flood(undulate(rng, base=rng.uniform(214, 236), height=22, bumps=4), sand)
    canvas.mottle(rng, lighten(sand, -0.35), top=210, bottom=HEIGHT + 20, grain=0.5, stretch=3)
    for x, y, near in scatter(rng, rng.randint(12, 22), top=206):
        _draw_coral(canvas.move(x, y, rng.uniform(24, 48) * (0.7 + near * 0.7)), rng)
    kind = rng.choice(("shoal", "mixed", "clown"))
    fish = rng.randint(*{"shoal": (18, 40), "mixed": (5, 14), "clown": (2, 6)}[kind])
    tint, facing = rng.random(), rng.choice((-1, 1))
    centre = rng.uniform(120, 360), rng.uniform(60, 140)
    for _ in range(fish):
        x, y, long = rng.gauss(centre[0], 80), rng.gauss(centre[1], 32), rng.uniform(12, 19)
        colour = (250, 122, 24) if kind == "clown" else hsv(tint, 0.5, 0.97)
        if kind != "shoal":
            x, y, facing = rng.uniform(40, 440), rng.uniform(30, 186), rng.choice((-1, 1))
            long, tint = rng.uniform(20, 46), rng.random()
        bands = kind == "clown" or (kind == "mixed" and rng.random() < 0.4)
        _draw_fish(canvas.move(x, y, long, way=facing), rng, vary(rng, colour, 8), bands=bands)
    for x, y, near in scatter(rng, rng.randint(6, 26), top=0):
        canvas.circle(x, y, 1 + near * 3, (215, 245, 250), 0.35)
    return {"fish": fish, "kind": kind}


def _draw_coral(coral: Canvas, rng: Random) -> None:
    hue = rng.choice((0.95, 0.03, 0.08, 0.78, 0.13, 0.88)) + rng.uniform(-0.03, 0.03)
    colour, kind = hsv(hue, rng.uniform(0.5, 0.85), rng.uniform(0.6, 0.95)), rng.randrange(4)
    if kind == 0:
        coral.ellipse(0, 0, 0.85, 0.75, lighten(colour, -0.2))
        for k in range(26):
            x, y = (0.15 * k**0.5 * turn(k * 2.4) for turn in (math.cos, math.sin))
            coral.ellipse(x, y * 0.8, 0.07, 0.05, lighten(colour, 0.25))
        return
    for _ in range(rng.randint(4, 9)):
        x, up, tone = rng.uniform(-0.8, 0.8), rng.uniform(0.6, 1.1), vary(rng, colour, 16)
        if kind == 1:
            coral.stroke([(0, 0), (x * 0.3, -up * 0.5), (x, -up)], tone, 0.14, 0.07)
            coral.circle(x, -up, 0.05, lighten(colour, 0.45))
        elif kind == 2:
            coral.stroke([(x * 0.4, 0.1), (x * 0.6, -up)], tone, 0.16, 0.24)
            coral.ellipse(x * 0.6, -up, 0.08, 0.05, lighten(tone, -0.55))
        else:
            weed = hsv(0.33 + rng.uniform(-0.08, 0.08), 0.7, rng.uniform(0.4, 0.6))
            leaf = [(x / 3, 0.1), (x, -up / 2), (x / 4, -up), (x, -up - 0.3)]
            coral.stroke(leaf, weed, 0.1, 0.03)


def _draw_fish(fish: Canvas, rng: Random, colour: Colour, *, bands: bool) -> None:
    deep, fins = rng.uniform(0.24, 0.36), lighten(colour, -0.2)
    fish.shape([(-0.36, 0), (-0.72, -deep), (-0.62, 0), (-0.72, deep)], fins)
    fish.shape([(-0.25, -deep * 0.7), (-0.2, -deep * 1.5), (0.2, -deep * 0.9)], fins)
    back, belly = [(-0.1, -deep), (0.3, -deep * 0.75)], [(0.3, deep * 0.75), (-0.1, deep)]
    fish.shape([(-0.5, 0), *back, (0.5, 0), *belly], colour)
    fish.shape([(-0.4, deep * 0.1), (0.45, deep * 0.1), *belly], lighten(colour, 0.35), 0.7)
    if bands:
        fish.ellipse(-0.2, 0, 0.055, deep * 0.8, (250, 250, 250))
        fish.ellipse(0.14, 0, 0.055, deep * 0.92, (250, 250, 250))
    fish.circle(0.33, -deep * 0.2, 0.065, (250, 250, 250))
    fish.circle(0.345, -deep * 0.2, 0.04, (10, 10, 14))


def draw_elephants(canvas: Canvas, rng: Random) -> Facts:
    """Draw elephants in dry grassland or at the water."""
    time = rng.choice(("noon", "dusk", "morning", "cloudy"))
    horizon, ground = rng.uniform(96, 136), rng.choice(("grass", "water"))
    sky = paint_sky(canvas, rng, time, horizon=horizon)
    if time == "dusk":
        paint_sun(canvas, rng.uniform(60, 420), horizon - 30, 14, (255, 200, 100))
    haze = mix(sky[-1], (130, 150, 160), 0.4)
    paint_hills(canvas, rng, tint((88, 112, 96), time), haze, base=horizon)
    for x, y, near in scatter(rng, rng.randint(8, 20), top=horizon + 2, bottom=horizon + 12):
        paint_tree(canvas, rng, x, y, 18 + 26 * near, tint(vary(rng, (70, 100, 52), 12), time))
    dry = tint(vary(rng, rng.choice(((196, 166, 94), (124, 146, 62), (202, 150, 92)))), time)
    canvas.fill((lighten(dry, 0.12), dry, lighten(dry, -0.3)), top=horizon + 8)
    canvas.mottle(rng, lighten(dry, -0.3), top=horizon, bottom=HEIGHT + 30, grain=0.5, stretch=5)
    count, line = rng.randint(1, 6), rng.uniform(206, 234)
    calves = rng.randint(1, 2) if count > 1 and rng.random() < 0.5 else 0
    small = set(rng.sample(range(count), calves))
    for number in rng.sample(range(count), count):
        size = rng.uniform(84, 104) * (1 if count < 3 else 0.8) * (0.55 if number in small else 1)
        x = 34 + (number + 0.5) / count * 412 + rng.uniform(-16, 16)
        feet, skin = line + rng.uniform(-8, 8), tint(vary(rng, (116, 110, 108), 10), time)
        canvas.glow(x, feet, size * 0.9, size * 0.14, (40, 30, 16), 0.8)
        _draw_elephant(canvas.move(x, feet, size, way=rng.choice((-1, 1))), rng, skin)
    if ground == "water":
        water = (mix(sky[-1], (110, 130, 140), 0.5), mix(sky[0], (60, 80, 96), 0.6))
        canvas.reflect(rng, line - 10, water, alpha=0.55)
        for x, y, near in scatter(rng, 40, top=line - 8):
            canvas.ellipse(x, y, 8 + near * 18, 0.5 + near, lighten(sky[-1], 0.3), 0.4)
    else:
        for x, y, near in scatter(rng, 220, top=line - 10, bottom=HEIGHT + 12):
            tip = (x + rng.uniform(-4, 4), y - 6 - near * 14)
            canvas.line([(x, y), tip], vary(rng, lighten(dry, 0.05), 26), 0.8)
    return {"time": time, "elephants": count, "calves": calves, "ground": ground}


def _draw_elephant(body: Canvas, rng: Random, skin: Colour) -> None:
    dark, step, flap = lighten(skin, -0.25), rng.uniform(-0.08, 0.08), rng.uniform(-0.05, 0.1)
    for x, tone in ((step - 0.42, dark), (0.24 - step, dark), (-0.52 - step, skin), (0.34, skin)):
        body.stroke([(x * 0.95, -0.6), (x, -0.3), (x, -0.05)], tone, 0.26, 0.19)
        body.rect(x - 0.1, -0.08, 0.2, 0.08, tone, corner=0.03)
    body.stroke([(-0.66, -0.8), (-0.76, -0.6), (-0.74, -0.36)], dark, 0.05, 0.02)
    back = [(-0.7, -0.75), (-0.55, -1.04), (-0.1, -1.1), (0.3, -1.08), (0.6, -1.0)]
    body.shape([*back, (0.6, -0.6), (0.3, -0.4), (-0.2, -0.34), (-0.6, -0.42)], skin)
    body.shape([*back[1:4], (0.1, -0.9), (-0.3, -0.86)], lighten(skin, 0.14), 0.6)
    tip = rng.choice((-0.1, 0.1, 0.35))
    trunk = [(0.8, -0.95), (0.99, -0.66), (0.98, -0.4), (1.02 + tip * 0.4, -0.22)]
    body.stroke([*trunk, (1.02 + tip, -0.2 - abs(tip) * 0.5)], skin, 0.28, 0.08)
    brow = [(0.5, -1.0), (0.62, -1.22), (0.86, -1.22), (1.0, -1.02)]
    body.shape([*brow, (0.98, -0.76), (0.75, -0.62), (0.55, -0.7)], skin)
    body.stroke([(0.9, -0.7), (1.06, -0.58), (1.2, -0.6)], (242, 236, 216), 0.06, 0.02)
    rim, inner = [(0.42 - flap, -1.2), (0.26 - flap, -0.94)], [(0.43, -1.1), (0.32 - flap, -0.92)]
    body.shape([(0.66, -1.14), *rim, (0.36, -0.66), (0.56, -0.58), (0.68, -0.8)], dark)
    body.shape(
        [(0.62, -1.08), *inner, (0.4, -0.72), (0.55, -0.66)], mix(dark, (190, 130, 120), 0.2)
    )
    body.circle(0.86, -0.98, 0.03, (16, 12, 12))
