"""Kitchen, classroom, circuit board, rice and curry, and cats."""

from __future__ import annotations

import math
from random import Random
from typing import Final

from twinlens.samples.draw import HEIGHT, WIDTH, Canvas, Colour, hsv, lighter, mix, varied
from twinlens.samples.scenery import Facts, paint_person, paint_sky

CABINETS: Final[dict[str, Colour]] = {
    "white": (236, 234, 228),
    "blue": (70, 104, 142),
    "green": (104, 136, 108),
    "wooden": (166, 112, 66),
    "red": (168, 48, 44),
    "grey": (122, 126, 132),
}


def kitchen(canvas: Canvas, rng: Random) -> Facts:
    """A kitchen front: cabinets, a stove with pots, a window or shelves, things on the counter."""
    wall = varied(
        rng, rng.choice(((240, 226, 200), (214, 226, 226), (236, 214, 196), (226, 226, 216))), 8
    )
    canvas.gradient((lighter(wall, 0.1), lighter(wall, -0.12)))
    counter = rng.uniform(160, 178)
    tile = rng.choice((16.0, 20.0, 26.0))
    tint = varied(
        rng, rng.choice(((230, 236, 238), (180, 206, 210), (232, 206, 170), (244, 240, 230))), 8
    )
    canvas.rect(0, 92, WIDTH, counter - 92, tint)
    for column in range(int(WIDTH / tile) + 1):
        canvas.line([(column * tile, 92), (column * tile, counter)], lighter(tint, -0.13), 0.8)
    for row in range(int((counter - 92) / tile) + 1):
        canvas.line([(0, 92 + row * tile), (WIDTH, 92 + row * tile)], lighter(tint, -0.13), 0.8)
    name = rng.choice(list(CABINETS))
    paint = varied(rng, CABINETS[name], 8)
    stove_x = rng.uniform(60, 300)
    window_x = rng.uniform(20, 320)
    while abs(window_x + 60 - stove_x - 50) < 110:
        window_x = rng.uniform(-20, 380)
    time = rng.choice(("noon", "noon", "dusk", "night"))
    x = -20.0
    while x < WIDTH:
        width = rng.uniform(54, 76)
        if not (x < stove_x + 96 and x + width > stove_x + 4):
            canvas.rect(x, 0, width - 2, 84, paint)
            canvas.rect(x + 6, 8, width - 14, 68, lighter(paint, -0.1))
            canvas.rect(x + 8, 10, width - 18, 64, lighter(paint, 0.06))
            canvas.rect(x + width - 14, 60, 3, 14, (90, 86, 80))
        x += width
    canvas.rect(0, 84, WIDTH, 3, lighter(paint, -0.4))
    canvas.rect(window_x, 6, 124, 112, (250, 250, 246))
    glass = {
        "noon": ((120, 190, 240), (220, 240, 250)),
        "dusk": ((150, 80, 120), (255, 180, 100)),
        "night": ((8, 12, 34), (30, 40, 76)),
    }[time]
    for step in range(13):
        canvas.rect(window_x + 6, 12 + step * 7.7, 112, 7.9, mix(glass[0], glass[1], step / 12))
    for _ in range(7):
        canvas.circle(
            window_x + rng.uniform(20, 104),
            rng.uniform(92, 106),
            rng.uniform(6, 12),
            mix((70, 130, 66), glass[0], 0.3),
        )
    canvas.rect(window_x + 60, 8, 4, 108, (250, 250, 246))
    canvas.rect(window_x - 6, 116, 136, 7, (244, 244, 240))
    if rng.random() < 0.6:
        curtain = hsv(rng.random(), 0.5, 0.9)
        for side in (0, 1):
            cx = window_x + (0 if side == 0 else 124)
            canvas.polygon(
                [
                    (cx, 4),
                    (cx + (44 if side == 0 else -44), 4),
                    (cx + (10 if side == 0 else -10), 112),
                    (cx, 112),
                ],
                curtain,
                0.9,
            )
    metal: Colour = (88, 90, 94)
    canvas.polygon(
        [(stove_x + 14, 62), (stove_x + 86, 62), (stove_x + 102, 88), (stove_x - 2, 88)],
        (172, 176, 180),
    )
    canvas.rect(stove_x + 34, 0, 32, 62, (186, 190, 194))
    stone = rng.choice(((66, 62, 62), (206, 200, 192), (150, 104, 66), (44, 48, 56)))
    canvas.rect(0, counter, WIDTH, 12, stone)
    canvas.rect(0, counter, WIDTH, 3, lighter(stone, 0.25))
    canvas.rect(0, counter + 12, WIDTH, HEIGHT, lighter(paint, -0.08))
    x = -14.0
    while x < WIDTH:
        width = rng.uniform(58, 84)
        canvas.rect(x + 3, counter + 18, width - 6, 74, lighter(paint, 0.04))
        canvas.rect(x + 9, counter + 26, width - 18, 58, lighter(paint, -0.06))
        canvas.rect(x + width / 2 - 9, counter + 22, 18, 3, (80, 76, 70))
        x += width
    canvas.rect(stove_x, counter - 2, 100, 110, metal)
    canvas.rect(stove_x + 10, counter + 34, 80, 46, (34, 34, 38))
    canvas.glow(stove_x + 50, counter + 58, 38, (255, 150, 60), 0.5 if rng.random() < 0.5 else 0.05)
    for knob in range(5):
        canvas.circle(stove_x + 14 + knob * 18, counter + 16, 4.6, (220, 220, 222))
    pots = rng.randint(1, 3)
    for pot in range(pots):
        px = stove_x + 50 + (pot - (pots - 1) / 2) * 40
        _pot(canvas, rng, px, counter - 2, rng.uniform(28, 38))
    spots = [x for x in range(26, 470, 36) if not stove_x - 22 < x < stove_x + 122]
    items = rng.sample(
        ("kettle", "fruit", "board", "jars", "bottles", "plant", "bread", "knives"),
        rng.randint(2, 5),
    )
    for item, x0 in zip(items, rng.sample(spots, len(items)), strict=True):
        _counter_item(canvas, rng, item, x0, counter)
    if rng.random() < 0.4:
        for lamp in range(rng.randint(1, 3)):
            lx = 110 + lamp * 130 + rng.uniform(-20, 20)
            canvas.line([(lx, 0), (lx, 40)], (60, 56, 52), 1.4)
            canvas.pie(lx, 54, 18, 18, hsv(rng.random(), 0.6, 0.7), 180, 360)
            canvas.glow(lx, 56, 36, (255, 230, 160), 0.6)
    cook = rng.random() < 0.4
    if cook:
        cx = rng.choice((stove_x - 34, stove_x + 134))
        shirt = hsv(rng.random(), 0.6, 0.85)
        paint_person(canvas, rng, cx, 318, 236, shirt=shirt, trousers=(50, 50, 60), pose="stand")
        canvas.rect(cx - 18, 160, 36, 76, (248, 246, 240), corner=5)
    return {"cabinets": name, "pots": pots, "time": time, "cook": int(cook)}


def _pot(canvas: Canvas, rng: Random, x: float, foot: float, width: float) -> None:
    colour = rng.choice(
        ((176, 180, 184), (186, 46, 40), (170, 110, 64), (44, 46, 52), (60, 110, 150))
    )
    tall = width * rng.uniform(0.55, 0.85)
    canvas.rect(x - width / 2, foot - tall, width, tall, colour, corner=3)
    canvas.rect(
        x - width * 0.36, foot - tall * 0.9, width * 0.12, tall * 0.7, lighter(colour, 0.45)
    )
    if rng.random() < 0.5:
        canvas.pie(x, foot - tall, width * 0.52, width * 0.18, lighter(colour, -0.15), 180, 360)
        canvas.circle(x, foot - tall - width * 0.2, 2.6, (40, 36, 34))
    else:
        canvas.ellipse(
            x,
            foot - tall,
            width * 0.5,
            4,
            rng.choice(((200, 100, 30), (220, 170, 60), (120, 140, 60))),
        )
    for side in (-1, 1):
        canvas.rect(x + side * width * 0.56 - 3, foot - tall * 0.8, 6, 4, (40, 36, 34))
    for puff in range(4):
        canvas.soft_ellipse(
            x + math.sin(puff * 1.4) * 6,
            foot - tall - 10 - puff * 13,
            9 + puff * 4,
            10 + puff * 3,
            (255, 255, 255),
            0.6,
        )


def _counter_item(canvas: Canvas, rng: Random, item: str, x: float, foot: float) -> None:
    if item == "kettle":
        colour = hsv(rng.random(), 0.6, 0.8)
        canvas.pie(x, foot, 17, 34, colour, 180, 360)
        canvas.ring(x, foot - 26, 12, 14, (40, 36, 36), 2.6, start=180, end=360)
        canvas.polygon([(x + 12, foot - 16), (x + 26, foot - 28), (x + 15, foot - 8)], colour)
    elif item == "fruit":
        for _ in range(6):
            canvas.circle(
                x + rng.uniform(-15, 15),
                foot - 17 - rng.uniform(0, 9),
                7.4,
                rng.choice(((226, 60, 40), (250, 170, 40), (150, 190, 60), (244, 210, 60))),
            )
        canvas.pie(x, foot - 15, 25, 15, (206, 170, 120), 0, 180)
    elif item == "board":
        canvas.rect(x - 26, foot - 5, 52, 5, (196, 146, 92))
        for slice_ in range(5):
            canvas.ellipse(
                x - 18 + slice_ * 9,
                foot - 9,
                5,
                4.4,
                rng.choice(((240, 130, 40), (90, 170, 70), (220, 50, 50))),
            )
    elif item == "jars":
        for jar in range(3):
            filled = rng.choice(((200, 80, 30), (220, 180, 70), (120, 80, 40), (90, 120, 60)))
            canvas.rect(x - 24 + jar * 17, foot - 26, 14, 26, (226, 232, 232), corner=2)
            canvas.rect(x - 22 + jar * 17, foot - 18, 10, 16, filled)
            canvas.rect(x - 24 + jar * 17, foot - 30, 14, 5, (140, 96, 60))
    elif item == "bottles":
        for bottle in range(2):
            glass = rng.choice(((60, 110, 60), (150, 90, 30), (220, 200, 100)))
            canvas.rect(x - 12 + bottle * 15, foot - 30, 11, 30, glass, corner=3)
            canvas.rect(x - 9 + bottle * 15, foot - 44, 5, 16, glass)
    elif item == "plant":
        for _ in range(10):
            canvas.line(
                [(x, foot - 18), (x + rng.uniform(-18, 18), foot - rng.uniform(28, 48))],
                varied(rng, (60, 136, 60), 24),
                3.2,
            )
        canvas.polygon(
            [(x - 13, foot - 20), (x + 13, foot - 20), (x + 9, foot), (x - 9, foot)], (190, 96, 60)
        )
    elif item == "bread":
        canvas.rect(x - 26, foot - 18, 52, 18, (196, 132, 66), corner=8)
        for cut in range(4):
            canvas.line(
                [(x - 16 + cut * 10, foot - 16), (x - 10 + cut * 10, foot - 8)], (236, 196, 140), 2
            )
    else:
        canvas.polygon(
            [(x - 11, foot), (x - 16, foot - 26), (x + 6, foot - 30), (x + 11, foot)], (120, 76, 46)
        )
        for knife in range(3):
            canvas.rect(x - 13 + knife * 7, foot - 38, 4, 12, (36, 34, 36))


TOPICS: Final[dict[str, tuple[str, ...]]] = {
    "algebra": ("y = m x + c", "3x + 7 = 22", "x (x - 5) = 6", "2a + 3b = 12", "(a + b)(a - b)"),
    "geometry": ("A = b h / 2", "a + b + c = 180°", "AB = BC = CA", "angle = 60°", "P = 2(l + w)"),
    "physics": ("F = m a", "V = I R", "v = u + a t", "W = F s", "P = V I"),
    "chemistry": ("2H2 + O2 = 2H2O", "NaCl", "pH = 7", "CO2 + H2O", "HCl + NaOH"),
    "english": ("go - went - gone", "a / an / the", "He goes to school", "I am / You are"),
}


def classroom(canvas: Canvas, rng: Random) -> Facts:
    """A lesson at a white, green or black board, with a teacher and pupils' heads."""
    wall = varied(
        rng, rng.choice(((226, 216, 190), (196, 214, 218), (232, 226, 216), (214, 200, 180))), 8
    )
    canvas.gradient((wall, lighter(wall, -0.12)))
    canvas.gradient(((170, 140, 110), (120, 92, 70)), top=222)
    board = rng.choice(("white", "green", "black"))
    face: Colour = {"white": (250, 251, 252), "green": (34, 86, 64), "black": (42, 44, 48)}[board]
    frame: Colour = (150, 154, 160) if board == "white" else (132, 90, 52)
    x, y = rng.uniform(24, 90), rng.uniform(16, 36)
    width, height = rng.uniform(300, 372), rng.uniform(130, 158)
    canvas.rect(x - 6, y - 6, width + 12, height + 12, frame)
    canvas.rect(x, y, width, height, face)
    canvas.soft_ellipse(x + width * 0.3, y + height * 0.3, 120, 60, lighter(face, 0.5), 0.4)
    topic = rng.choice(list(TOPICS))
    inks: tuple[Colour, ...] = (
        ((20, 60, 170), (190, 30, 40), (20, 20, 24), (20, 120, 70))
        if board == "white"
        else ((244, 244, 236), (250, 226, 130), (170, 220, 250))
    )
    for line, words in enumerate(rng.sample(TOPICS[topic], rng.randint(2, 4))):
        canvas.text(
            x + 14 + rng.uniform(0, 14),
            y + 22 + line * 33,
            words,
            rng.choice(inks),
            rng.uniform(17, 23),
        )
    fx, fy, ink = (
        x + width * rng.uniform(0.72, 0.82),
        y + height * rng.uniform(0.4, 0.6),
        rng.choice(inks),
    )
    if topic == "geometry":
        canvas.line(
            [(fx - 34, fy + 28), (fx + 36, fy + 28), (fx + 36, fy - 34), (fx - 34, fy + 28)], ink, 2
        )
        canvas.rect(fx + 29, fy + 21, 7, 7, mix(ink, face, 0.5))
    elif topic == "algebra":
        canvas.line([(fx - 38, fy), (fx + 40, fy)], ink, 1.4)
        canvas.line([(fx, fy - 40), (fx, fy + 38)], ink, 1.4)
        bend = rng.uniform(0.02, 0.06)
        canvas.line(
            [(fx + k, fy + 24 - bend * k * k) for k in range(-30, 31, 4)], rng.choice(inks), 2.2
        )
    elif topic == "physics":
        canvas.line(
            [(fx - 40, fy + 26), (fx + 40, fy + 26), (fx + 40, fy - 20), (fx - 40, fy + 26)], ink, 2
        )
        canvas.rect(fx + 2, fy - 22, 20, 16, rng.choice(inks))
    elif topic == "chemistry":
        canvas.polygon(
            [
                (fx - 8, fy - 34),
                (fx + 8, fy - 34),
                (fx + 8, fy - 8),
                (fx + 28, fy + 30),
                (fx - 28, fy + 30),
                (fx - 8, fy - 8),
            ],
            mix(ink, face, 0.75),
        )
        canvas.polygon(
            [(fx - 18, fy + 10), (fx + 18, fy + 10), (fx + 28, fy + 30), (fx - 28, fy + 30)],
            hsv(rng.random(), 0.7, 0.9),
        )
    else:
        for row in range(5):
            canvas.line(
                [(fx - 36, fy - 30 + row * 15), (fx + rng.uniform(6, 38), fy - 30 + row * 15)],
                ink,
                2,
            )
    if rng.random() < 0.6:
        canvas.circle(WIDTH - 26, 30, 17, (250, 250, 248))
        canvas.ring(WIDTH - 26, 30, 17, 17, (60, 60, 66), 2)
        for hand in (11, 8):
            turn = rng.uniform(0, math.tau)
            canvas.line(
                [
                    (WIDTH - 26, 30),
                    (WIDTH - 26 + math.cos(turn) * hand, 30 + math.sin(turn) * hand),
                ],
                (30, 30, 34),
                1.6,
            )
    if rng.random() < 0.5:
        canvas.rect(430, 70, 42, 58, hsv(rng.random(), 0.35, 0.9))
        canvas.circle(451, 96, 13, hsv(rng.random(), 0.6, 0.7))
    teacher = rng.random() < 0.8
    if teacher:
        side = rng.choice((-1, 1))
        tx = x + width * (0.5 + side * rng.uniform(0.3, 0.46))
        dress = hsv(rng.random(), 0.6, 0.75)
        paint_person(
            canvas,
            rng,
            tx,
            246,
            172,
            shirt=dress,
            trousers=lighter(dress, -0.3) if rng.random() < 0.5 else (40, 40, 52),
            pose=rng.choice(("stand", "point", "point")),
        )
    pupils = rng.randint(0, 9)
    for pupil in range(pupils):
        px = (pupil + 0.5) / max(1, pupils) * WIDTH + rng.uniform(-12, 12)
        size = rng.uniform(19, 25)
        canvas.ellipse(px, HEIGHT + 22, size * 1.7, size * 1.7, (246, 246, 250))
        canvas.circle(px, HEIGHT - 26, size, (26, 20, 18))
        for ear in (-1, 1):
            canvas.circle(px + ear * size, HEIGHT - 24, size * 0.2, (120, 80, 54))
        if rng.random() < 0.3:
            canvas.line([(px - size, HEIGHT - 36), (px - size * 1.5, HEIGHT - 4)], (26, 20, 18), 6)
            canvas.line([(px + size, HEIGHT - 36), (px + size * 1.5, HEIGHT - 4)], (26, 20, 18), 6)
    return {"topic": topic, "board": board, "pupils": pupils, "teacher": int(teacher)}


BOARDS: Final[dict[str, Colour]] = {
    "green": (14, 92, 54),
    "blue": (16, 52, 120),
    "black": (28, 30, 34),
    "red": (140, 22, 30),
    "purple": (74, 26, 104),
}


def circuit(canvas: Canvas, rng: Random) -> Facts:
    """A circuit board from above: traces, vias, chips, capacitors and lit LEDs."""
    name = rng.choice(list(BOARDS))
    base = varied(rng, BOARDS[name], 8)
    canvas.gradient((lighter(base, 0.12), base, lighter(base, -0.25)))
    trace = lighter(base, rng.uniform(0.2, 0.34))
    gold: Colour = rng.choice(((222, 184, 84), (206, 206, 210)))
    for _ in range(rng.randint(30, 54)):
        x, y = rng.randrange(0, 60) * 8.0, rng.randrange(0, 34) * 8.0
        points = [(x, y)]
        way = rng.choice(((1, 0), (0, 1), (-1, 0), (0, -1)))
        for _ in range(rng.randint(1, 3)):
            run = rng.randrange(2, 11) * 8.0
            x, y = x + way[0] * run, y + way[1] * run
            points.append((x, y))
            turn = rng.choice((8.0, 16.0))
            side = rng.choice((-1, 1))
            slant = (way[0] + side * way[1], way[1] + side * way[0])
            x, y = x + slant[0] * turn, y + slant[1] * turn
            points.append((x, y))
        lanes = rng.choice((1, 1, 2, 4))
        for lane in range(lanes):
            shifted = [(px + lane * 4, py + lane * 4) for px, py in points]
            canvas.line(shifted, trace, 1.5)
            for px, py in (shifted[0], shifted[-1]):
                canvas.circle(px, py, 2.7, gold)
                canvas.circle(px, py, 1.1, lighter(base, -0.6))
    taken: list[tuple[float, float, float, float]] = []

    def free(width: float, height: float) -> tuple[float, float] | None:
        for _ in range(12):
            x, y = rng.uniform(6, WIDTH - width - 6), rng.uniform(6, HEIGHT - height - 6)
            if all(
                x + width + 12 < left
                or left + wide + 12 < x
                or y + height + 12 < top
                or top + tall + 12 < y
                for left, top, wide, tall in taken
            ):
                taken.append((x, y, width, height))
                return x, y
        return None

    chips = 0
    for _ in range(rng.randint(1, 7)):
        big = chips == 0 and rng.random() < 0.7
        width = rng.uniform(84, 130) if big else rng.uniform(34, 72)
        height = width if big or rng.random() < 0.4 else rng.uniform(22, 34)
        spot = free(width, min(height, 150))
        if spot is None:
            continue
        chips += 1
        _chip(canvas, rng, *spot, width, min(height, 150))
    for _ in range(rng.randint(2, 9)):
        radius = rng.uniform(7, 15)
        spot = free(radius * 2, radius * 2)
        if spot:
            x, y = spot[0] + radius, spot[1] + radius
            canvas.soft_ellipse(x + 5, y + 6, radius * 1.6, radius * 1.6, (0, 0, 0), 0.7)
            can = rng.choice(((36, 50, 110), (24, 24, 28), (190, 130, 40), (150, 154, 160)))
            canvas.circle(x, y, radius, can)
            canvas.circle(x, y, radius * 0.8, (206, 208, 212))
            canvas.line([(x - radius * 0.5, y), (x + radius * 0.5, y)], (140, 144, 150), 1)
            canvas.line([(x, y - radius * 0.5), (x, y + radius * 0.5)], (140, 144, 150), 1)
    for _ in range(rng.randint(10, 34)):
        x, y = rng.uniform(6, 470), rng.uniform(6, 262)
        wide = rng.random() < 0.5
        w, h = (11, 5) if wide else (5, 11)
        canvas.rect(x, y, w, h, (214, 214, 216))
        canvas.rect(
            x + (2.4 if wide else 0),
            y + (0 if wide else 2.4),
            w - (4.8 if wide else 0),
            h - (0 if wide else 4.8),
            rng.choice(((30, 28, 28), (176, 130, 84))),
        )
    if rng.random() < 0.5:
        edge = rng.uniform(40, 200)
        for pin in range(rng.randint(10, 26)):
            canvas.rect(edge + pin * 9, HEIGHT - 24, 6, 26, (226, 190, 90))
    leds = rng.randint(0, 6)
    for _ in range(leds):
        light = rng.choice(((255, 50, 40), (70, 255, 90), (70, 150, 255), (255, 210, 60)))
        x, y = rng.uniform(20, 460), rng.uniform(16, 250)
        canvas.glow(x, y, rng.uniform(24, 44), light, 0.9)
        canvas.rect(x - 4, y - 3, 8, 6, lighter(light, 0.55), corner=1.5)
    return {"board": name, "chips": chips, "leds": leds}


def _chip(canvas: Canvas, rng: Random, x: float, y: float, width: float, height: float) -> None:
    step = 6.0
    for pin in range(1, int(width / step)):
        canvas.rect(x + pin * step - 1.4, y - 5, 2.8, height + 10, (196, 198, 202))
    if height > 40:
        for pin in range(1, int(height / step)):
            canvas.rect(x - 5, y + pin * step - 1.4, width + 10, 2.8, (196, 198, 202))
    body = rng.choice(((24, 24, 28), (34, 34, 38), (46, 44, 46)))
    canvas.rect(x, y, width, height, body, corner=2)
    canvas.polygon([(x, y), (x + width, y), (x, y + height)], lighter(body, 0.1), 0.7)
    if width > 80 and rng.random() < 0.6:
        canvas.rect(
            x + width * 0.2, y + height * 0.2, width * 0.6, height * 0.6, (176, 180, 184), corner=2
        )
        body = (90, 92, 96)
    canvas.circle(x + 6, y + 6, 2, lighter(body, 0.4))
    if height > 20:
        words = f"{rng.choice('ATMXSLKR')}{rng.choice('TCXL')}{rng.randint(100, 9999)}"
        canvas.text(
            x + width / 2,
            y + height / 2,
            words,
            lighter(body, 0.6) if sum(body) < 200 else (50, 50, 54),
            min(13, width / 6),
            centred=True,
        )


def curry(canvas: Canvas, rng: Random) -> Facts:
    """Rice and curries from above, on a plate, in clay dishes or on a banana leaf."""
    table = rng.choice(
        ((120, 76, 46), (84, 52, 34), (196, 180, 160), (52, 58, 64), (150, 40, 40), (60, 100, 110))
    )
    canvas.gradient((lighter(table, 0.12), lighter(table, -0.18)))
    if rng.random() < 0.7:
        for _ in range(26):
            y = rng.uniform(0, HEIGHT)
            canvas.line(
                [(0, y), (WIDTH / 2, y + rng.uniform(-3, 3)), (WIDTH, y + rng.uniform(-6, 6))],
                lighter(table, rng.uniform(-0.2, 0.15)),
                1.4,
                0.5,
            )
    served = rng.choice(("plate", "plate", "leaf", "clay"))
    x, y = WIDTH / 2 + rng.uniform(-50, 50), HEIGHT / 2 + rng.uniform(-12, 12)
    radius = rng.uniform(100, 124)
    if served == "leaf":
        canvas.soft_ellipse(x + 6, y + 10, 260, 150, (0, 0, 0), 0.7)
        canvas.ellipse(x, y, 214, 116, (46, 122, 46))
        for vein in range(-12, 13):
            reach = 110 * math.sqrt(max(0.0, 1 - ((vein * 16 + 14) / 214) ** 2))
            canvas.line(
                [(x + vein * 16, y), (x + vein * 16 + 14, y - reach)], (72, 150, 60), 1, 0.6
            )
            canvas.line(
                [(x + vein * 16, y), (x + vein * 16 + 14, y + reach)], (34, 104, 40), 1, 0.6
            )
        canvas.line([(x - 212, y), (x + 212, y)], (126, 176, 84), 3)
        rx, ry = 1.35, 0.72
    else:
        plate = (
            rng.choice(
                ((246, 244, 238), (226, 232, 238), (40, 44, 52), (176, 92, 56), (214, 224, 206))
            )
            if served == "plate"
            else (150, 78, 48)
        )
        canvas.soft_ellipse(x + 8, y + 12, radius * 1.4, radius * 1.4, (0, 0, 0), 0.8)
        canvas.circle(x, y, radius, plate)
        canvas.ring(x, y, radius - 3, radius - 3, lighter(plate, -0.2), 1.6)
        canvas.circle(x, y, radius * 0.82, lighter(plate, -0.07))
        rx = ry = 0.62
    rice = rng.choice(("white", "red", "yellow"))
    grain: Colour = {"white": (250, 248, 238), "red": (196, 130, 96), "yellow": (246, 204, 76)}[
        rice
    ]
    heap = radius * rng.uniform(0.34, 0.44)
    curries = rng.randint(3, 7)
    turn = rng.uniform(0, math.tau)
    dishes = rng.sample(
        ("dhal", "chicken", "fish", "beetroot", "greens", "potato", "pumpkin", "sambol", "brinjal"),
        curries,
    )
    for number, dish in enumerate(dishes):
        angle = turn + number / curries * math.tau
        dx, dy = x + math.cos(angle) * radius * rx, y + math.sin(angle) * radius * ry
        if served == "clay":
            canvas.circle(dx, dy, 33, (116, 56, 34))
            canvas.circle(dx, dy, 29, (146, 74, 46))
        _dish(canvas, rng, dish, dx, dy, rng.uniform(22, 30))
    canvas.soft_ellipse(x + 4, y + 6, heap * 1.5, heap * 1.4, (60, 40, 20), 0.6)
    canvas.circle(x, y, heap, lighter(grain, -0.16))
    for _ in range(150):
        angle, away = rng.uniform(0, math.tau), heap * math.sqrt(rng.random())
        gx, gy, lie = (
            x + math.cos(angle) * away,
            y + math.sin(angle) * away,
            rng.uniform(0, math.pi),
        )
        canvas.line(
            [
                (gx - math.cos(lie) * 3, gy - math.sin(lie) * 3),
                (gx + math.cos(lie) * 3, gy + math.sin(lie) * 3),
            ],
            varied(rng, grain, 12),
            2,
        )
    papadam = rng.random() < 0.45
    if papadam:
        px, py = x + rng.choice((-1, 1)) * radius * 0.66, y - radius * 0.6
        canvas.circle(px, py, 34, (240, 200, 120))
        for _ in range(26):
            canvas.circle(
                px + rng.gauss(0, 13),
                py + rng.gauss(0, 13),
                rng.uniform(1.4, 4),
                (250, 222, 160),
                0.8,
            )
        canvas.ring(px, py, 34, 34, (206, 156, 80), 1.6)
    if rng.random() < 0.5:
        gx = rng.choice((34.0, 446.0))
        canvas.circle(gx, 40, 25, (214, 230, 236))
        canvas.circle(gx, 40, 20, rng.choice(((240, 246, 250), (250, 190, 90), (190, 110, 60))))
    if rng.random() < 0.5:
        sx = rng.choice((30.0, 452.0))
        canvas.line([(sx, 120), (sx, 236)], (206, 208, 212), 4)
        canvas.ellipse(sx, 112, 10, 17, (220, 222, 226))
    return {
        "rice": rice,
        "served": served,
        "curries": curries,
        "first": dishes[0],
        "second": dishes[1],
        "papadam": int(papadam),
    }


def _dish(canvas: Canvas, rng: Random, dish: str, x: float, y: float, size: float) -> None:
    sauce: Colour = {
        "dhal": (238, 180, 50),
        "chicken": (156, 66, 26),
        "fish": (196, 70, 30),
        "beetroot": (130, 20, 66),
        "greens": (52, 112, 40),
        "potato": (230, 190, 80),
        "pumpkin": (226, 130, 30),
        "sambol": (226, 90, 44),
        "brinjal": (84, 44, 50),
    }[dish]
    for _ in range(7):
        canvas.circle(
            x + rng.gauss(0, 0.3) * size,
            y + rng.gauss(0, 0.26) * size,
            size * rng.uniform(0.5, 0.7),
            varied(rng, sauce, 8),
        )
    for _ in range(26):
        px, py = x + rng.gauss(0, 0.42) * size, y + rng.gauss(0, 0.38) * size
        if dish in ("chicken", "fish", "potato", "pumpkin", "brinjal") and rng.random() < 0.4:
            piece = lighter(sauce, 0.24)
            canvas.ellipse(px, py, size * 0.22, size * 0.16, lighter(piece, -0.3))
            canvas.ellipse(px - 1, py - 1, size * 0.2, size * 0.14, varied(rng, piece, 12))
        elif dish in ("greens", "sambol"):
            canvas.line(
                [(px, py), (px + rng.uniform(-5, 5), py + rng.uniform(-5, 5))],
                varied(rng, lighter(sauce, 0.15), 30),
                1.8,
            )
        else:
            canvas.circle(px, py, rng.uniform(0.9, 2.2), varied(rng, lighter(sauce, 0.2), 20))
    if rng.random() < 0.6:
        for _ in range(3):
            canvas.ellipse(
                x + rng.gauss(0, 0.3) * size, y + rng.gauss(0, 0.3) * size, 3.6, 1.8, (40, 110, 36)
            )


COATS: Final[dict[str, Colour]] = {
    "ginger": (226, 140, 60),
    "black": (40, 38, 42),
    "grey": (134, 138, 146),
    "white": (244, 240, 234),
}


def cats(canvas: Canvas, rng: Random) -> Facts:
    """One or a few cats on a sofa, a window sill, a rug or in the garden."""
    place = rng.choice(("sofa", "window", "rug", "garden"))
    wall = hsv(rng.random(), rng.uniform(0.12, 0.4), rng.uniform(0.7, 0.92))
    floor = 226.0
    if place == "window":
        canvas.gradient((lighter(wall, -0.2), lighter(wall, -0.35)))
        time = rng.choice(("noon", "dusk", "night", "cloudy"))
        paint_sky(canvas, rng, time, horizon=200)
        for _ in range(12):
            canvas.circle(
                rng.uniform(60, 420),
                rng.uniform(170, 214),
                rng.uniform(14, 30),
                mix(varied(rng, (60, 116, 60), 16), (10, 14, 30), 0.6 if time == "night" else 0.1),
            )
        frame = lighter(wall, 0.7)
        for x in (0.0, 236.0, 440.0):
            canvas.rect(x if x else -6, 0, 14 if x == 236 else 46, HEIGHT, frame)
        canvas.rect(0, 0, WIDTH, 16, frame)
        canvas.rect(0, floor - 8, WIDTH, 60, frame)
        canvas.rect(0, floor - 8, WIDTH, 4, lighter(frame, -0.15))
    elif place == "garden":
        canvas.gradient(((150, 200, 230), (200, 226, 220)), bottom=122)
        for _ in range(46):
            canvas.circle(
                rng.uniform(0, WIDTH),
                rng.uniform(50, 130),
                rng.uniform(14, 32),
                varied(rng, (66, 128, 56), 22),
            )
        canvas.gradient(((110, 170, 70), (64, 120, 46)), top=120)
        for _ in range(160):
            x, y = rng.uniform(0, WIDTH), rng.uniform(126, HEIGHT)
            canvas.line(
                [(x, y), (x + rng.uniform(-2, 2), y - rng.uniform(4, 10))],
                varied(rng, (90, 150, 60), 30),
                1.2,
            )
        for _ in range(rng.randint(8, 30)):
            canvas.circle(
                rng.uniform(0, WIDTH),
                rng.uniform(112, 200),
                rng.uniform(2, 4),
                hsv(rng.random(), 0.6, 1.0),
            )
    else:
        canvas.gradient((wall, lighter(wall, -0.15)), bottom=190)
        if rng.random() < 0.6:
            x = rng.uniform(40, 360)
            canvas.rect(x, 16, 74, 54, (90, 64, 44))
            canvas.rect(x + 5, 21, 64, 44, hsv(rng.random(), 0.4, 0.85))
            canvas.circle(x + 38, 46, 13, hsv(rng.random(), 0.5, 0.7))
        wood = varied(rng, (164, 118, 78), 16)
        canvas.gradient((wood, lighter(wood, -0.25)), top=188)
        for board in range(5):
            canvas.line([(0, 196 + board * 17), (WIDTH, 196 + board * 17)], lighter(wood, -0.3), 1)
        if place == "sofa":
            cloth = hsv(rng.random(), rng.uniform(0.35, 0.75), rng.uniform(0.45, 0.85))
            canvas.rect(24, 92, 432, 120, lighter(cloth, -0.12), corner=18)
            for cushion in range(3):
                canvas.rect(50 + cushion * 128, 104, 122, 84, cloth, corner=12)
            canvas.rect(40, 184, 400, 56, lighter(cloth, 0.1), corner=12)
            for arm in (6, 430):
                canvas.rect(arm, 136, 46, 112, lighter(cloth, -0.05), corner=16)
            floor = 204.0
        else:
            rug = hsv(rng.random(), 0.65, 0.7)
            for ring_ in range(4):
                canvas.ellipse(
                    240,
                    232,
                    214 - ring_ * 36,
                    46 - ring_ * 8,
                    mix(rug, (250, 236, 210), 0.3 * (ring_ % 2)),
                )
            floor = 240.0
    count = rng.choice((1, 1, 1, 2, 2, 3))
    coat = rng.choice(list(COATS))
    for cat in range(count):
        size = rng.uniform(76, 108) * (1.0 if count == 1 else 0.82 if count == 2 else 0.7)
        x = WIDTH / 2 + (cat - (count - 1) / 2) * 136 + rng.uniform(-24, 24)
        name = coat if cat == 0 or rng.random() < 0.5 else rng.choice(list(COATS))
        canvas.soft_ellipse(x, floor + 4, size * 0.9, size * 0.22, (10, 8, 12), 0.7)
        _cat(canvas, rng, x, floor + rng.uniform(0, 6), size, varied(rng, COATS[name], 10))
    if rng.random() < 0.35:
        bx = rng.uniform(60, 420)
        yarn = hsv(rng.random(), 0.7, 0.9)
        canvas.circle(bx, floor + 12, 13, yarn)
        for turn in range(4):
            canvas.ring(bx, floor + 12, 12 - turn * 3, 6 + turn * 2, lighter(yarn, -0.3), 1)
    facts: Facts = {"cats": count, "place": place}
    # One cat has one colour; several need not.
    return facts | {"coat": coat} if count == 1 else facts


def _cat(canvas: Canvas, rng: Random, x: float, foot: float, size: float, coat: Colour) -> None:
    dark, pale = lighter(coat, -0.28), lighter(coat, 0.35)
    lying = rng.random() < 0.3
    way = rng.choice((-1, 1))
    body = size * (0.42 if lying else 0.5)
    if lying:
        canvas.ellipse(x - way * size * 0.34, foot - size * 0.24, size * 0.7, size * 0.3, coat)
        canvas.line(
            [
                (x - way * size * 0.9, foot - size * 0.1),
                (x - way * size * 1.15, foot - size * 0.02),
                (x - way * size * 0.7, foot),
            ],
            dark,
            size * 0.1,
        )
        head_x, head_y = x + way * size * 0.3, foot - size * 0.48
    else:
        tail = [
            (x - way * size * 0.3, foot - size * 0.1),
            (x - way * size * 0.74, foot - size * 0.16),
            (x - way * size * 0.8, foot - size * 0.62),
        ]
        canvas.line(tail, dark, size * 0.12)
        canvas.circle(*tail[-1], size * 0.06, dark)
        canvas.ellipse(x, foot - size * 0.42, size * 0.4, body * 0.9, coat)
        canvas.ellipse(x + way * size * 0.06, foot - size * 0.5, size * 0.17, size * 0.3, pale, 0.8)
        for paw in (-0.17, 0.17):
            canvas.rect(
                x + paw * size - size * 0.09,
                foot - size * 0.42,
                size * 0.18,
                size * 0.42,
                coat,
                corner=size * 0.08,
            )
            canvas.ellipse(x + paw * size, foot - size * 0.02, size * 0.13, size * 0.07, pale)
        head_x, head_y = x + way * size * 0.05, foot - size * 1.02
    if rng.random() < 0.5 and not lying:
        for stripe in range(4):
            canvas.ring(
                x,
                foot - size * (0.3 + stripe * 0.12),
                size * 0.36,
                size * 0.1,
                dark,
                size * 0.03,
                start=190 if way > 0 else 290,
                end=250 if way > 0 else 350,
            )
    for ear in (-1, 1):
        ex = head_x + ear * size * 0.21
        canvas.polygon(
            [
                (ex - size * 0.15, head_y - size * 0.14),
                (ex + size * 0.15, head_y - size * 0.14),
                (ex + ear * size * 0.07, head_y - size * 0.5),
            ],
            coat,
        )
        canvas.polygon(
            [
                (ex - size * 0.08, head_y - size * 0.18),
                (ex + size * 0.08, head_y - size * 0.18),
                (ex + ear * size * 0.05, head_y - size * 0.4),
            ],
            (232, 160, 150),
        )
    canvas.ellipse(head_x, head_y, size * 0.36, size * 0.31, coat)
    if rng.random() < 0.6:
        for stripe in (-1, 0, 1):
            canvas.line(
                [
                    (head_x + stripe * size * 0.08, head_y - size * 0.3),
                    (head_x + stripe * size * 0.06, head_y - size * 0.16),
                ],
                dark,
                size * 0.035,
            )
    canvas.ellipse(head_x, head_y + size * 0.13, size * 0.18, size * 0.12, pale)
    iris: Colour = rng.choice(((120, 200, 90), (240, 190, 50), (90, 170, 220)))
    asleep = lying and rng.random() < 0.5
    for eye in (-1, 1):
        ex, ey = head_x + eye * size * 0.155, head_y - size * 0.03
        if asleep:
            canvas.ring(
                ex,
                ey,
                size * 0.075,
                size * 0.05,
                (20, 16, 16),
                max(1.0, size * 0.02),
                start=10,
                end=170,
            )
        else:
            canvas.ellipse(ex, ey, size * 0.08, size * 0.075, iris)
            canvas.ellipse(ex, ey, size * 0.028, size * 0.068, (10, 10, 12))
            canvas.circle(ex + size * 0.02, ey - size * 0.03, size * 0.014, (255, 255, 255))
    canvas.polygon(
        [
            (head_x - size * 0.04, head_y + size * 0.08),
            (head_x + size * 0.04, head_y + size * 0.08),
            (head_x, head_y + size * 0.13),
        ],
        (220, 120, 120),
    )
    for whisker in (-1, 1):
        for lift in (-0.05, 0.02):
            canvas.line(
                [
                    (head_x + whisker * size * 0.14, head_y + size * 0.13),
                    (head_x + whisker * size * 0.46, head_y + size * (0.12 + lift * 2)),
                ],
                (250, 250, 250) if sum(coat) < 500 else (120, 110, 104),
                0.8,
            )
