"""Beach, snow, reef, tea hills and elephants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from twinlens.samples.draw import (
    HEIGHT,
    WIDTH,
    Canvas,
    Colour,
    Point,
    crags,
    hsv,
    lighter,
    mix,
    ridge,
    varied,
)
from twinlens.samples.scenery import (
    Facts,
    paint_birds,
    paint_boat,
    paint_palm,
    paint_person,
    paint_sky,
    paint_sun,
    paint_tree,
    speckle,
)


def beach(canvas: Canvas, rng: Random) -> Facts:
    """A sea at dusk with the sun low, palms and boats against the light."""
    horizon = rng.uniform(112, 168)
    sky = paint_sky(canvas, rng, "dusk", horizon=horizon)
    sun_x, sun_y = rng.uniform(70, 410), horizon - rng.uniform(-4, 34)
    radius = rng.uniform(11, 24)
    paint_sun(canvas, sun_x, sun_y, radius, sky[-1])
    canvas.gradient(
        (
            mix(sky[-1], (90, 60, 90), 0.35),
            mix(sky[1], (30, 40, 80), 0.5),
            mix(sky[0], (10, 20, 40), 0.4),
        ),
        top=horizon,
    )
    if rng.random() < 0.4:
        hill = ridge(rng, base=horizon - 3, height=rng.uniform(8, 22), bumps=1.4)
        start = rng.randrange(0, 20)
        span = hill[start : start + 26]
        part = [
            (x, horizon - (6 + max(0.0, horizon - y)) * math.sin(math.pi * step / (len(span) - 1)))
            for step, (x, y) in enumerate(span)
        ]
        canvas.polygon(part, mix(sky[0], (40, 20, 40), 0.5))
    for _ in range(90):
        share = rng.random() ** 1.4
        y = horizon + 1 + share * (HEIGHT - horizon)
        spread = 10 + share * 60
        canvas.ellipse(
            sun_x + rng.gauss(0, spread),
            y,
            rng.uniform(4, 10) * (0.5 + share * 2),
            0.6 + share * 1.2,
            lighter(sky[-1], 0.3),
            0.55,
        )
    boats = rng.choice((0, 0, 1, 1, 2, 3))
    for _ in range(boats):
        y = horizon + rng.uniform(4, 34)
        paint_boat(canvas, rng, rng.uniform(40, 440), y, 22 + (y - horizon) * 1.5, (36, 22, 34))
    shore = rng.uniform(222, 262)
    tilt = rng.uniform(-18, 18)
    sand = mix(varied(rng, (176, 126, 92), 16), sky[1], 0.28)
    line = [
        (float(x), shore + tilt * (x / WIDTH - 0.5) * 2 + 3 * math.sin(x / 31))
        for x in range(-10, 500, 10)
    ]
    canvas.below([(x, y - 6) for x, y in line], (250, 226, 206), 0.7)
    canvas.below(line, sand)
    for _ in range(rng.randint(1, 2)):
        gap = rng.uniform(10, 34)
        canvas.line([(x, y - gap) for x, y in line], (255, 226, 204), 1.6, 0.5)
    speckle(canvas, rng, lighter(sand, -0.25), top=shore + 4, count=26, alpha=0.4)
    palms = rng.choice((0, 1, 1, 2, 3, 4))
    side = rng.choice((0, WIDTH))
    for palm in range(palms):
        away = rng.uniform(12, 110) + palm * 16
        paint_palm(canvas, rng, abs(side - away), HEIGHT + 4, rng.uniform(130, 235), (24, 14, 22))
    people = rng.choice((0, 0, 0, 1, 2, 2))
    spot = rng.uniform(120, 360)
    for person in range(people):
        paint_person(
            canvas,
            rng,
            spot + person * 19,
            shore + rng.uniform(8, 14),
            44,
            shirt=(34, 20, 30),
            trousers=(24, 14, 22),
            skin=(40, 24, 26),
        )
    if rng.random() < 0.5:
        paint_birds(canvas, rng, bottom=horizon, colour=(40, 24, 40), count=rng.randint(3, 8))
    return {"palms": palms, "boats": boats, "people": people}


def snow(canvas: Canvas, rng: Random) -> Facts:
    """Snowy peaks above forests or a lake."""
    time = rng.choice(("noon", "noon", "morning", "dusk", "night", "cloudy"))
    horizon = rng.uniform(170, 214)
    sky = paint_sky(canvas, rng, time, horizon=horizon)
    dark = {"night": 0.62, "dusk": 0.25, "cloudy": 0.15}.get(time, 0.0)
    shine = {"dusk": (255, 196, 170), "morning": (255, 232, 210)}.get(time, (250, 252, 255))
    peaks = rng.randint(1, 4)
    far = ridge(rng, base=horizon - 50, height=50, bumps=5)
    canvas.below(far, mix(mix((150, 172, 200), sky[-1], 0.4), (10, 14, 34), dark))
    slots = [(k + 0.5) / peaks * WIDTH + rng.uniform(-34, 34) for k in range(peaks)]
    for slot in sorted(slots, key=lambda _: rng.random()):
        top = rng.uniform(26, 88) + (peaks - 1) * 6
        half = rng.uniform(110, 210) / (1 + 0.16 * (peaks - 1))
        left, right, peak = (slot - half, horizon + 6.0), (slot + half, horizon + 6.0), (slot, top)
        up, down = crags(rng, left, peak, height=16), crags(rng, peak, right, height=16)
        rock = mix(varied(rng, (96, 104, 124), 12), (8, 12, 30), dark)
        canvas.polygon([*up, *down], rock)
        snowline = top + (horizon - top) * rng.uniform(0.5, 0.85)
        white = mix(shine, (20, 28, 60), dark)
        cap = [p for p in up if p[1] < snowline] + [p for p in down if p[1] < snowline]
        if len(cap) > 3:
            hem = []
            x = cap[-1][0]
            while x > cap[0][0]:
                hem.append((x, snowline + rng.uniform(-16, 15)))
                x -= rng.uniform(6, 13)
            canvas.polygon([*cap, *hem], white)
        fold = crags(rng, peak, (slot + rng.uniform(-14, 26), horizon), height=9)
        shaded = [*fold, *[p for p in reversed(down) if p[1] < horizon]]
        canvas.polygon(shaded, mix((70, 90, 140), (4, 6, 20), dark), 0.38)
    ground = rng.choice(("forest", "lake", "field"))
    if ground == "lake":
        canvas.gradient(
            (mix(sky[-1], (60, 100, 140), 0.55), mix(sky[0], (10, 40, 70), 0.5)), top=horizon
        )
        for _ in range(46):
            y = rng.uniform(horizon + 3, HEIGHT)
            canvas.ellipse(rng.uniform(0, WIDTH), y, rng.uniform(10, 40), 0.8, shine, 0.3)
    else:
        canvas.gradient(
            (mix((244, 248, 252), (16, 24, 52), dark), mix((196, 212, 232), (10, 16, 40), dark)),
            top=horizon,
        )
    trees = {"forest": rng.randint(26, 50), "lake": rng.randint(6, 16), "field": rng.randint(2, 8)}[
        ground
    ]
    low = horizon + 14 if ground == "lake" else HEIGHT - 14.0
    pine = mix(varied(rng, (28, 62, 54), 10), (4, 10, 20), dark)
    for y in sorted(rng.uniform(horizon + 2, low) for _ in range(trees)):
        height = 16 + (y - horizon) * rng.uniform(0.7, 1.1)
        x = rng.uniform(0, WIDTH)
        for layer in range(3):
            base, width = y - height * 0.26 * layer, height * (0.3 - 0.07 * layer)
            canvas.polygon(
                [(x - width, base), (x + width, base), (x, base - height * 0.5)],
                lighter(pine, 0.05 * layer),
            )
        canvas.polygon(
            [
                (x - height * 0.08, y - height * 0.8),
                (x + height * 0.08, y - height * 0.8),
                (x, y - height * 1.02),
            ],
            mix(shine, pine, dark),
        )
    cabin = ground != "lake" and rng.random() < 0.35
    if cabin:
        x, y, size = rng.uniform(80, 400), rng.uniform(228, 252), rng.uniform(30, 48)
        canvas.rect(
            x - size / 2, y - size * 0.5, size, size * 0.5, mix((120, 72, 44), (10, 8, 16), dark)
        )
        canvas.polygon(
            [(x - size * 0.66, y - size * 0.46), (x + size * 0.66, y - size * 0.46), (x, y - size)],
            mix((246, 250, 255), (40, 50, 90), dark),
        )
        canvas.rect(x - size * 0.12, y - size * 0.34, size * 0.24, size * 0.22, (255, 214, 120))
    if rng.random() < 0.4:
        for _ in range(90):
            canvas.circle(
                rng.uniform(0, WIDTH),
                rng.uniform(0, HEIGHT),
                rng.uniform(0.7, 1.9),
                (255, 255, 255),
                0.8,
            )
    return {"time": time, "peaks": peaks, "ground": ground, "cabin": int(cabin)}


def reef(canvas: Canvas, rng: Random) -> Facts:
    """Fish over corals, light falling from above; now and then a turtle."""
    hue = rng.uniform(0.48, 0.6)
    canvas.gradient(
        (
            hsv(hue, 0.45, rng.uniform(0.8, 0.95)),
            hsv(hue + 0.02, 0.8, 0.66),
            hsv(hue + 0.05, 0.92, rng.uniform(0.26, 0.42)),
        )
    )
    source = rng.uniform(60, 420)
    for _ in range(rng.randint(4, 8)):
        x, width = source + rng.gauss(0, 70), rng.uniform(12, 34)
        fall = (x - source) * 1.6
        canvas.polygon(
            [(x, -5), (x + width, -5), (x + width * 2.4 + fall, HEIGHT), (x + fall, HEIGHT)],
            (225, 250, 255),
            0.09,
        )
    floor = ridge(rng, base=rng.uniform(206, 236), height=26, bumps=4)
    canvas.below(
        [(x, y - 22) for x, y in ridge(rng, base=205, height=40, bumps=5)],
        hsv(hue + 0.06, 0.8, 0.3),
        0.7,
    )
    sand = mix((210, 196, 150), hsv(hue, 0.7, 0.6), 0.45)
    canvas.below(floor, sand)
    for _ in range(rng.randint(9, 20)):
        x = rng.uniform(-6, WIDTH + 6)
        foot = rng.uniform(216, HEIGHT + 4)
        _coral(canvas, rng, x, foot, rng.uniform(22, 66))
    turtles = 1 if rng.random() < 0.22 else 0
    kind = "turtle" if turtles else rng.choice(("shoal", "mixed", "clown"))
    fish = {
        "turtle": rng.randint(3, 9),
        "shoal": rng.randint(18, 40),
        "mixed": rng.randint(5, 14),
        "clown": rng.randint(2, 6),
    }[kind]
    if turtles:
        _turtle(canvas, rng, rng.uniform(130, 350), rng.uniform(70, 150), rng.uniform(46, 74))
    shoal_hue, facing = rng.random(), rng.choice((-1, 1))
    centre_x, centre_y = rng.uniform(120, 360), rng.uniform(60, 150)
    for _ in range(fish):
        if kind == "shoal":
            _fish(
                canvas,
                rng,
                centre_x + rng.gauss(0, 80),
                centre_y + rng.gauss(0, 32),
                rng.uniform(9, 15),
                hsv(shoal_hue, 0.55, 0.95),
                facing,
            )
        elif kind == "clown":
            _fish(
                canvas,
                rng,
                rng.uniform(60, 420),
                rng.uniform(50, 190),
                rng.uniform(24, 46),
                (250, 122, 24),
                rng.choice((-1, 1)),
                bands=True,
            )
        else:
            _fish(
                canvas,
                rng,
                rng.uniform(20, 460),
                rng.uniform(24, 200),
                rng.uniform(12, 32),
                hsv(rng.random(), 0.75, 1.0),
                rng.choice((-1, 1)),
                bands=rng.random() < 0.35,
            )
    for _ in range(rng.randint(6, 26)):
        x, y, size = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(1, 4.4)
        canvas.ring(x, y, size, size, (215, 245, 250), 0.7)
    return {"fish": fish, "kind": kind}


def _coral(canvas: Canvas, rng: Random, x: float, foot: float, height: float) -> None:
    colour = hsv(
        rng.choice((0.95, 0.03, 0.08, 0.78, 0.13, 0.88, 0.3)) + rng.uniform(-0.03, 0.03),
        rng.uniform(0.5, 0.85),
        rng.uniform(0.6, 0.95),
    )
    shape = rng.randrange(4)
    if shape == 0:
        for _ in range(rng.randint(6, 10)):
            angle = rng.uniform(-2.5, -0.64)
            end = (x + math.cos(angle) * height * 0.7, foot + math.sin(angle) * height)
            canvas.line(
                [(x, foot), (x + (end[0] - x) * 0.4, foot - height * 0.4), end],
                varied(rng, colour, 14),
                height * 0.1,
            )
            canvas.circle(end[0], end[1], height * 0.07, lighter(colour, 0.3))
    elif shape == 1:
        canvas.pie(x, foot, height * 0.8, height * 0.75, colour, 180, 360)
        for step in range(-3, 4):
            canvas.ring(
                x + step * height * 0.2,
                foot - height * 0.1,
                height * 0.1,
                height * 0.4,
                lighter(colour, -0.25),
                1.2,
                start=180,
                end=360,
            )
    elif shape == 2:
        for step in range(rng.randint(3, 6)):
            tube = x + (step - 2) * height * 0.2
            tall = height * rng.uniform(0.5, 1.0)
            canvas.rect(
                tube,
                foot - tall,
                height * 0.16,
                tall + 4,
                varied(rng, colour, 12),
                corner=height * 0.06,
            )
            canvas.ellipse(
                tube + height * 0.08,
                foot - tall + 2,
                height * 0.07,
                height * 0.04,
                lighter(colour, -0.5),
            )
    else:
        for _ in range(rng.randint(4, 8)):
            blade = x + rng.uniform(-0.3, 0.3) * height
            sway = rng.uniform(-0.3, 0.3) * height
            canvas.line(
                [
                    (blade, foot),
                    (blade + sway, foot - height * 0.5),
                    (blade + sway * 0.2, foot - height * 1.2),
                ],
                hsv(0.33 + rng.uniform(-0.05, 0.05), 0.7, 0.5),
                height * 0.07,
            )


def _fish(
    canvas: Canvas,
    rng: Random,
    x: float,
    y: float,
    length: float,
    colour: Colour,
    facing: int,
    *,
    bands: bool = False,
) -> None:
    deep = length * rng.uniform(0.26, 0.4)
    tail = x - facing * length * 0.42
    canvas.polygon(
        [
            (tail, y),
            (tail - facing * length * 0.34, y - deep),
            (tail - facing * length * 0.34, y + deep),
        ],
        lighter(colour, -0.18),
    )
    canvas.polygon(
        [
            (x - length * 0.15, y - deep * 0.8),
            (x + length * 0.2, y - deep * 0.8),
            (x - facing * length * 0.2, y - deep * 1.6),
        ],
        lighter(colour, -0.25),
    )
    canvas.ellipse(x, y, length * 0.5, deep, colour)
    canvas.ellipse(x, y + deep * 0.3, length * 0.42, deep * 0.55, lighter(colour, 0.3), 0.5)
    if bands:
        for band in (-0.12, 0.2):
            bx = x + facing * length * band
            canvas.ellipse(bx, y, length * 0.06, deep * 0.92, (250, 250, 250))
    canvas.circle(
        x + facing * length * 0.33, y - deep * 0.2, max(0.9, length * 0.055), (250, 250, 250)
    )
    canvas.circle(
        x + facing * length * 0.34, y - deep * 0.2, max(0.6, length * 0.032), (10, 10, 14)
    )


def _turtle(canvas: Canvas, rng: Random, x: float, y: float, size: float) -> None:
    facing = rng.choice((-1, 1))
    skin, shell = varied(rng, (118, 148, 92), 12), varied(rng, (88, 96, 52), 14)
    for dx, dy, sweep in (
        (0.5, 0.5, 0.9),
        (0.5, -0.45, 0.7),
        (-0.6, 0.42, 0.4),
        (-0.6, -0.36, 0.36),
    ):
        canvas.polygon(
            [
                (x + facing * dx * size * 0.7, y + dy * size * 0.3),
                (x + facing * dx * size * 1.1, y + dy * size * 0.3),
                (x + facing * (dx - 0.55) * size, y + dy * size * (1 + sweep)),
            ],
            skin,
        )
    canvas.ellipse(x + facing * size * 1.02, y - size * 0.06, size * 0.25, size * 0.18, skin)
    canvas.circle(x + facing * size * 1.12, y - size * 0.1, size * 0.035, (14, 14, 14))
    canvas.ellipse(x, y, size * 0.86, size * 0.54, shell)
    for column in (-0.45, 0.0, 0.45):
        for row in (-0.2, 0.2):
            canvas.ellipse(
                x + column * size, y + row * size, size * 0.2, size * 0.16, lighter(shell, 0.22)
            )


def tea(canvas: Canvas, rng: Random) -> Facts:
    """Rows of tea bushes over hills, with pluckers, mist and shade trees."""
    time = rng.choice(("morning", "noon", "cloudy", "morning"))
    horizon = rng.uniform(66, 110)
    sky = paint_sky(canvas, rng, time, horizon=horizon + 40)
    if time == "morning" and rng.random() < 0.6:
        paint_sun(canvas, rng.uniform(60, 420), horizon - 10, 11, (255, 226, 170))
    for layer in range(rng.randint(1, 3)):
        far = ridge(rng, base=horizon - 6 + layer * 12, height=rng.uniform(30, 66), bumps=3)
        canvas.below(far, mix((70, 128, 110), sky[-1], 0.6 - 0.2 * layer))
    green = varied(rng, rng.choice(((74, 146, 46), (92, 160, 52), (58, 130, 54))), 10)
    hills = rng.randint(2, 3)
    for hill in range(hills):
        base = horizon + 26 + hill * (HEIGHT - horizon) * 0.32
        crest = ridge(rng, base=base, height=rng.uniform(20, 46), bumps=rng.uniform(1.2, 2.6))
        leaf = lighter(green, -0.12 + 0.1 * hill)
        canvas.below(crest, lighter(leaf, -0.38))
        gap = 7.5 + hill * 5.5
        bend = rng.uniform(-0.2, 0.2)
        # Lower rows lie behind the next hill.
        deep = HEIGHT - base + 40 if hill == hills - 1 else (HEIGHT - horizon) * 0.32 + 50
        for row in range(1, int(deep / gap) + 1):
            y0 = row * gap * (1 + row * 0.03)
            tone = varied(rng, lighter(leaf, 0.07), 7)
            line = [(x, y + y0 + bend * (x - 240) * row * 0.03) for x, y in crest[::2]]
            _band(canvas, line, tone, gap * 0.66)
            lit = [(x, y - gap * 0.18) for x, y in line]
            _band(canvas, lit, lighter(tone, 0.2), gap * 0.18)
    for _ in range(rng.randint(0, 6)):
        y = rng.uniform(horizon + 34, 210)
        paint_tree(
            canvas,
            rng,
            rng.uniform(0, WIDTH),
            y,
            20 + (y - horizon) * 0.4,
            varied(rng, (44, 92, 48), 12),
        )
    pluckers = rng.randint(0, 6)
    for y in sorted(rng.uniform(horizon + 70, HEIGHT - 6) for _ in range(pluckers)):
        x, height = rng.uniform(30, 450), 22 + (y - horizon) * 0.3
        sari = hsv(rng.random(), 0.8, 0.9)
        canvas.ellipse(
            x + height * 0.2, y - height * 0.42, height * 0.2, height * 0.26, (196, 152, 88)
        )
        paint_person(
            canvas,
            rng,
            x,
            y,
            height,
            shirt=sari,
            trousers=lighter(sari, -0.25),
            skin=(96, 60, 40),
            pose=rng.choice(("stand", "bend")),
            hair=lighter(sari, 0.4),
        )
        canvas.soft_ellipse(x, y, height * 0.5, height * 0.2, lighter(green, -0.4), 0.7)
        canvas.rect(
            x - height * 0.3,
            y - height * 0.12,
            height * 0.6,
            height * 0.2,
            green,
            corner=height * 0.08,
        )
    mist = rng.random() < 0.45
    if mist:
        for _ in range(rng.randint(4, 8)):
            canvas.soft_ellipse(
                rng.uniform(0, WIDTH),
                horizon + rng.uniform(-10, 70),
                rng.uniform(90, 190),
                rng.uniform(12, 34),
                (240, 246, 246),
                0.75,
            )
    if rng.random() < 0.25:
        x, y = rng.uniform(80, 400), horizon + rng.uniform(34, 60)
        canvas.rect(x - 26, y - 18, 52, 20, (240, 240, 232))
        canvas.polygon(
            [(x - 30, y - 18), (x + 30, y - 18), (x + 22, y - 29), (x - 22, y - 29)], (178, 66, 50)
        )
        for window in range(5):
            canvas.rect(x - 22 + window * 10, y - 13, 5, 7, (90, 110, 130))
    return {"time": time, "pluckers": pluckers, "mist": int(mist)}


def _band(canvas: Canvas, line: Sequence[Point], colour: Colour, width: float) -> None:
    """A line of even height; for lines that run from left to right, much cheaper than joints."""
    half = width / 2
    over, under = [(x, y - half) for x, y in line], [(x, y + half) for x, y in reversed(line)]
    canvas.polygon([*over, *under], colour)


def elephants(canvas: Canvas, rng: Random) -> Facts:
    """Elephants in dry grassland or at the water."""
    time = rng.choice(("noon", "dusk", "morning", "cloudy"))
    horizon = rng.uniform(92, 136)
    sky = paint_sky(canvas, rng, time, horizon=horizon)
    if time == "dusk":
        paint_sun(canvas, rng.uniform(60, 420), horizon - 22, 15, (255, 200, 100))
    canvas.below(ridge(rng, base=horizon - 8, height=26, bumps=3), mix((88, 112, 96), sky[-1], 0.4))
    for _ in range(rng.randint(6, 18)):
        tint = mix(varied(rng, (70, 100, 52), 12), (60, 34, 30), 0.4 if time == "dusk" else 0)
        paint_tree(canvas, rng, rng.uniform(0, WIDTH), horizon + 6, rng.uniform(16, 42), tint)
    place = rng.choice(("grass", "water"))
    dry = varied(rng, rng.choice(((188, 164, 92), (160, 160, 84), (200, 150, 90))), 12)
    canvas.gradient((lighter(dry, 0.12), dry, lighter(dry, -0.25)), top=horizon)
    if place == "water":
        bank = rng.uniform(0.35, 0.6) * (HEIGHT - horizon) + horizon
        canvas.gradient(
            (mix(sky[-1], (110, 130, 140), 0.4), mix(sky[0], (70, 90, 100), 0.5)), top=bank
        )
        speckle(canvas, rng, lighter(sky[-1], 0.3), top=bank, count=50, size=5, alpha=0.28)
    else:
        for _ in range(150):
            x, y = rng.uniform(0, WIDTH), rng.uniform(horizon + 6, HEIGHT + 6)
            tall = 3 + (y - horizon) * 0.07
            canvas.line([(x, y), (x + rng.uniform(-3, 3), y - tall)], varied(rng, dry, 30), 1)
    count = rng.randint(1, 6)
    calves = rng.randint(1, 2) if count > 1 and rng.random() < 0.5 else 0
    spots = []
    for number in range(count):
        scale = rng.uniform(0.9, 1.3) if count <= 2 else rng.uniform(0.6, 0.95)
        size = 74 * scale * (0.5 if number < calves else 1.0)
        x = (number + 0.5) / count * WIDTH * 0.86 + 34 + rng.uniform(-14, 14)
        spots.append((rng.uniform(200, 250) if count > 2 else rng.uniform(218, 254), x, size))
    for feet, x, size in sorted(spots):
        skin = varied(rng, (112, 106, 104), 10)
        if time == "dusk":
            skin = mix(skin, (70, 36, 40), 0.45)
        _elephant(canvas, rng, x, feet, size, skin)
        if place == "water":
            canvas.soft_ellipse(x, feet, size * 0.9, size * 0.12, lighter(sky[-1], 0.3), 0.8)
        else:
            canvas.soft_ellipse(x, feet + 2, size * 0.8, size * 0.12, (40, 30, 16), 0.7)
    if rng.random() < 0.3:
        paint_birds(canvas, rng, bottom=horizon, colour=(50, 50, 56), count=rng.randint(3, 7))
    return {"time": time, "elephants": count, "calves": calves, "ground": place}


def _elephant(
    canvas: Canvas, rng: Random, x: float, feet: float, size: float, skin: Colour
) -> None:
    way = rng.choice((-1, 1))
    body_y = feet - size * 0.72
    dark = lighter(skin, -0.2)
    for dx, shade in ((-0.34, dark), (0.3, dark), (-0.5, skin), (0.44, skin)):
        canvas.rect(
            x + way * dx * size - size * 0.1,
            body_y,
            size * 0.2,
            feet - body_y,
            shade,
            corner=size * 0.05,
        )
    canvas.ellipse(x, body_y - size * 0.04, size * 0.72, size * 0.42, skin)
    canvas.ellipse(
        x - way * size * 0.1, body_y - size * 0.2, size * 0.5, size * 0.2, lighter(skin, 0.14), 0.7
    )
    canvas.line(
        [(x - way * size * 0.7, body_y - size * 0.1), (x - way * size * 0.82, body_y + size * 0.3)],
        dark,
        max(1.0, size * 0.04),
    )
    head_x, head_y = x + way * size * 0.76, body_y - size * 0.2
    trunk = [(head_x + way * size * 0.2, head_y)]
    curl = rng.choice((-0.2, 0.15, 0.45))
    for step in range(1, 7):
        t = step / 6
        trunk.append(
            (
                head_x + way * size * (0.24 + 0.16 * math.sin(t * 2.2) + curl * t * t * 0.6),
                head_y + size * 0.84 * t - size * curl * t * t * 0.7,
            )
        )
    for (x0, y0), (x1, y1), step in zip(trunk, trunk[1:], range(7), strict=False):
        canvas.line([(x0, y0), (x1, y1)], skin, size * (0.24 - 0.026 * step))
        canvas.circle(x1, y1, size * (0.12 - 0.013 * step), skin)
    canvas.ellipse(head_x, head_y, size * 0.34, size * 0.34, skin)
    canvas.line(
        [
            (head_x + way * size * 0.24, head_y + size * 0.22),
            (head_x + way * size * 0.5, head_y + size * 0.36),
        ],
        (240, 234, 214),
        size * 0.05,
    )
    canvas.ellipse(head_x - way * size * 0.2, head_y + size * 0.06, size * 0.22, size * 0.34, dark)
    canvas.ellipse(
        head_x - way * size * 0.19,
        head_y + size * 0.07,
        size * 0.16,
        size * 0.27,
        mix(dark, (180, 130, 120), 0.3),
    )
    canvas.circle(
        head_x + way * size * 0.15, head_y - size * 0.06, max(1.0, size * 0.03), (16, 12, 12)
    )
