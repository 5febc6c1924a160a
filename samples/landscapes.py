"""A beach at dusk, and tea hills."""

from __future__ import annotations

import math
from random import Random

from twinlens.samples.canvas import HEIGHT, WIDTH, Canvas, Colour, hsv, lighten, mix, undulate, vary
from twinlens.samples.scenery import (
    Facts,
    paint_hills,
    paint_person,
    paint_sky,
    paint_sun,
    paint_tree,
    scatter,
    tint,
)


def draw_beach(canvas: Canvas, rng: Random) -> Facts:
    """Draw a sea at dusk with the sun low, palms, boats and people against the light."""
    horizon, dark = rng.uniform(112, 160), vary(rng, (26, 15, 26), 8)
    sky = paint_sky(canvas, rng, "dusk", horizon=horizon)
    sun_x = rng.uniform(70, 410)
    paint_sun(canvas, sun_x, horizon - rng.uniform(-4, 40), rng.uniform(10, 24), sky[-1])
    boats = rng.choice((0, 0, 1, 1, 2, 3))
    for _ in range(boats):
        sail = mix(dark, hsv(rng.random(), 0.6, 0.9), rng.choice((0.0, 0.5)))
        boat = canvas.move(rng.uniform(40, 440), horizon + rng.uniform(1, 8), rng.uniform(22, 46))
        boat.bar((0.05, -0.2), (0, 0.02), dark, widths=(1.05, 0.76))
        boat.line([(0, 0), (0, -0.9)], dark, 0.035)
        boat.polygon([(0.03, -0.9), (0.45, -0.26), (0.03, -0.22)], sail)
    water = (mix(sky[-1], dark, 0.35), mix(sky[1], dark, 0.6), mix(sky[0], dark, 0.5))
    canvas.reflect(rng, horizon, water)
    for _, y, near in scatter(rng, 90, top=horizon, bottom=HEIGHT):
        x, wide = rng.gauss(sun_x, 9 + near * 55), rng.uniform(4, 10) * (0.4 + near)
        canvas.ellipse(x, y, wide, 0.5 + near, lighten(sky[-1], 0.3), 0.6)
    shore, tilt, turn = rng.uniform(218, 256), rng.uniform(-0.1, 0.1), rng.uniform(0, 6)
    sand = mix(vary(rng, (150, 104, 84), 16), sky[1], 0.28)
    edge = [(x, shore + tilt * (x - 240) + 4 * math.sin(x / 47 + turn)) for x in range(-9, 499, 9)]
    for gap, alpha in ((34, 0.1), (18, 0.15), (7, 0.25), (3, 0.4)):
        foam = [(x, y - gap * (0.6 + 0.4 * math.sin(x / 60 + gap))) for x, y in edge]
        canvas.flood(foam, (255, 228, 208), alpha)
    canvas.flood(edge, sand)
    canvas.mottle(rng, lighten(sand, -0.3), top=shore - 4, bottom=HEIGHT + 20, grain=0.5, stretch=4)
    people, spot = rng.choice((0, 0, 1, 2, 2)), rng.uniform(120, 360)
    for person in range(people):
        paint_person(canvas, rng, spot + person * 15, shore + 12, 42, dark, skin=dark)
    palms, side = rng.choice((0, 1, 1, 2, 3, 4)), rng.choice((0, WIDTH))
    for palm in range(palms):
        x, tall = abs(side - rng.uniform(12, 100) - palm * 16), rng.uniform(130, 225)
        _paint_palm(canvas.move(x, HEIGHT + 4, tall, way=rng.choice((-1, 1))), rng, dark)
    return {"palms": palms, "boats": boats, "people": people}


def _paint_palm(palm: Canvas, rng: Random, colour: Colour) -> None:
    lean, leaves = rng.uniform(0.05, 0.4), rng.randint(9, 12)
    palm.stroke([(0, 0), (lean * 0.25, -0.5), (lean, -1)], colour, 0.055, 0.03)
    for leaf in range(leaves):
        angle = math.pi * (-1.2 + 1.4 * leaf / (leaves - 1)) + rng.uniform(-0.12, 0.12)
        reach = rng.uniform(0.36, 0.46)
        across, up = math.cos(angle) * reach, math.sin(angle) * reach * 0.8
        for step in range(11):
            t = step / 10
            x, y = lean + across * t, -1 + up * t + reach * 0.5 * t * t
            hang = 0.02 + 0.12 * math.sin(t * math.pi)
            palm.polygon([(x - 0.014, y), (x + 0.016, y), (x + across * 0.14, y + hang)], colour)
            palm.polygon(
                [(x, y), (x + across * 0.12, y + 0.02), (x + across * 0.2, y - hang * 0.3)], colour
            )


def draw_tea(canvas: Canvas, rng: Random) -> Facts:
    """Draw rows of tea bushes over hills, with pluckers at work."""
    time = rng.choice(("noon", "morning", "dusk", "cloudy"))
    horizon = rng.uniform(66, 106)
    sky = paint_sky(canvas, rng, time, horizon=horizon)
    leaf = hsv(rng.uniform(0.25, 0.36), rng.uniform(0.55, 0.8), rng.uniform(0.4, 0.6))
    green, haze = tint(leaf, time), mix(sky[-1], (130, 160, 180), 0.4)
    paint_hills(canvas, rng, mix(green, (60, 96, 110), 0.5), haze, base=horizon)
    slopes = rng.randint(3, 4)
    for slope in range(slopes):
        base = horizon + 14 + (HEIGHT - horizon) * 0.8 * slope / slopes
        line = undulate(rng, base=base, height=rng.uniform(26, 56), bumps=rng.uniform(1.4, 3))
        tone = mix(vary(rng, green, 10), haze, 0.3 - 0.3 * slope / slopes)
        canvas.flood(line, lighten(tone, -0.42))
        lean, gap = rng.uniform(-0.014, 0.014), 5 + 3.2 * slope
        for row in range(int((HEIGHT + 60 - base) / gap)):
            grown = 1 + row * 0.03
            path = [(x, y + row * (gap * grown + lean * (x - 240))) for x, y in line]
            shine = lighten(tone, 0.16 - 0.2 * abs(math.sin(row * 1.3)))
            canvas.band(path, shine, -gap * 0.36 * grown, gap * 0.36 * grown)
        for x, y in rng.sample(line, rng.randint(0, 3)):
            paint_tree(
                canvas, rng, x, y + 6, rng.uniform(20, 34) + 9 * slope, lighten(green, -0.25)
            )
    pluckers = rng.choice((0, 1, 2, 2, 3, 4, 5))
    for x, y, _ in scatter(rng, pluckers, top=horizon + 74, bottom=HEIGHT - 8):
        height, sari = 20 + (y - horizon) * 0.32, hsv(rng.random(), 0.8, 0.92)
        pose, shawl = rng.choice(("stand", "bend")), lighten(sari, 0.4)
        paint_person(canvas, rng, 30 + x * 0.88, y, height, sari, pose=pose, hair=shawl)
        picker = canvas.move(30 + x * 0.88, y, height)
        picker.ellipse(0.17, -0.5, 0.15, 0.22, (190, 146, 84))
        picker.ellipse(0, 0, 0.5, 0.15, lighten(green, -0.2))
        picker.ellipse(0, -0.04, 0.45, 0.12, green)
    mist = rng.random() < 0.45
    if mist:
        low, high = horizon - 30, horizon + 110
        canvas.mottle(rng, (242, 247, 247), top=low, bottom=high, cover=0.75, alpha=1, stretch=5)
    return {"time": time, "pluckers": pluckers, "mist": int(mist)}
