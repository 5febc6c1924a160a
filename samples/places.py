"""Night city, dagoba, hill train, concert stage and news studio."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Final

from twinlens.samples.draw import HEIGHT, WIDTH, Canvas, Colour, hsv, lighter, mix, ridge, varied
from twinlens.samples.scenery import (
    SKINS,
    Facts,
    paint_birds,
    paint_moon,
    paint_person,
    paint_sky,
    paint_sun,
    paint_tree,
    speckle,
)


def city(canvas: Canvas, rng: Random) -> Facts:
    """Towers with lit windows at night, above water or a road of lights."""
    base = rng.uniform(166, 222)
    sky = paint_sky(canvas, rng, "night", horizon=base)
    haze = rng.choice(((220, 110, 60), (150, 70, 180), (60, 130, 200), (210, 80, 130)))
    canvas.soft_ellipse(rng.uniform(120, 360), base, 330, 100, haze, 0.6)
    moon = rng.random() < 0.4
    if moon:
        paint_moon(canvas, rng, rng.uniform(50, 430), rng.uniform(26, 56), rng.uniform(9, 17))
    for layer in range(2):
        x = rng.uniform(-30, 0)
        while x < WIDTH:
            width = rng.uniform(20, 52)
            height = rng.uniform(30, 110) + (48 if layer == 0 else 0) * rng.random()
            wall = mix((16, 18, 34), haze, 0.26 - 0.16 * layer)
            canvas.rect(x, base - height, width, height, wall)
            _windows(canvas, rng, x, base - height, width, height, dim=layer == 0)
            if rng.random() < 0.2:
                canvas.line(
                    [(x + width / 2, base - height), (x + width / 2, base - height - 20)], wall, 1.6
                )
                canvas.circle(x + width / 2, base - height - 20, 1.6, (255, 60, 50))
            x += width + rng.uniform(-2, 9)
    tower = rng.random() < 0.45
    if tower:
        _lotus_tower(canvas, rng, rng.uniform(70, 410), base)
    front = rng.choice(("water", "road"))
    if front == "water":
        canvas.gradient((mix(haze, (8, 10, 26), 0.66), (4, 6, 18)), top=base)
        for _ in range(70):
            x, light = (
                rng.uniform(0, WIDTH),
                rng.choice(((255, 214, 130), (255, 170, 90), haze, (150, 210, 255))),
            )
            y = base + rng.random() ** 1.6 * (HEIGHT - base)
            canvas.rect(x, y, rng.uniform(2, 12), rng.uniform(0.8, 1.8), light, 0.6)
    else:
        canvas.gradient(((26, 26, 36), (12, 12, 18)), top=base)
        vanish = rng.uniform(140, 340)
        for lane in range(10):
            side = -1 if lane < 5 else 1
            light = (255, 236, 190) if side < 0 else (255, 50, 40)
            end = vanish + side * (24 + (lane % 5) * 56) * 1.9
            canvas.line(
                [(vanish + side * 3, base + 2), (end, HEIGHT + 6)],
                light,
                rng.uniform(0.8, 2.6),
                0.8,
            )
        for lamp in range(7):
            t = (lamp / 6) ** 1.7
            for side in (-1, 1):
                canvas.glow(
                    vanish + side * (10 + 330 * t),
                    base - 4 - 60 * t,
                    5 + 24 * t,
                    (255, 200, 110),
                    0.8,
                )
    _ = sky
    return {"front": front, "tower": int(tower), "moon": int(moon)}


def _windows(
    canvas: Canvas, rng: Random, x: float, y: float, width: float, height: float, *, dim: bool
) -> None:
    warm = rng.choice(((255, 214, 130), (255, 232, 176), (170, 214, 255), (255, 190, 110)))
    share = rng.uniform(0.3, 0.75)
    step = rng.choice((6.0, 7.0, 9.0))
    for row in range(int((height - 6) / step)):
        for column in range(int((width - 5) / step)):
            if rng.random() < share:
                canvas.rect(
                    x + 4 + column * step,
                    y + 5 + row * step,
                    step * 0.45,
                    step * 0.5,
                    warm,
                    0.45 if dim else 0.95,
                )


def _lotus_tower(canvas: Canvas, rng: Random, x: float, base: float) -> None:
    top = rng.uniform(16, 44)
    glow = hsv(rng.random(), 0.75, 1.0)
    canvas.glow(x, top + 36, 52, glow, 0.5)
    canvas.polygon(
        [(x - 4, top + 42), (x + 4, top + 42), (x + 9, base), (x - 9, base)],
        mix(glow, (30, 30, 50), 0.6),
    )
    for petal in range(-3, 4):
        canvas.polygon(
            [
                (x + petal * 1.6, top + 50),
                (x + petal * 8.5, top + 24 + abs(petal) * 1.5),
                (x + petal * 4.4, top + 44),
            ],
            lighter(glow, 0.1 * (3 - abs(petal))),
        )
    canvas.ellipse(x, top + 26, 24, 5, lighter(glow, 0.35))
    canvas.line([(x, top + 26), (x, top - 10)], (230, 230, 240), 1.6)


def dagoba(canvas: Canvas, rng: Random) -> Facts:
    """A white stupa with its spire, at some time of day, with flags, trees, lamps or pilgrims."""
    time = rng.choice(("noon", "noon", "morning", "dusk", "night"))
    horizon = rng.uniform(186, 222)
    sky = paint_sky(canvas, rng, time, horizon=horizon)
    x, half = WIDTH / 2 + rng.uniform(-110, 110), rng.uniform(72, 128)
    if time == "night":
        paint_moon(canvas, rng, 60 if x > 240 else 420, rng.uniform(30, 60), rng.uniform(12, 20))
    elif time in ("dusk", "morning"):
        paint_sun(canvas, rng.choice((50, 430)), horizon - rng.uniform(20, 60), 12, sky[-1])
    for _ in range(rng.randint(8, 18)):
        tone = varied(rng, (52, 98, 52), 14)
        if time in ("night", "dusk"):
            tone = mix(tone, (10, 14, 28), 0.6)
        paint_tree(canvas, rng, rng.uniform(0, WIDTH), horizon + 3, rng.uniform(26, 66), tone)
    white = {
        "noon": (248, 248, 244),
        "morning": (252, 240, 222),
        "dusk": (244, 196, 160),
        "night": (206, 210, 232),
    }[time]
    shade = {
        "noon": (150, 170, 196),
        "morning": (190, 168, 160),
        "dusk": (120, 74, 100),
        "night": (52, 60, 112),
    }[time]
    if time == "night":
        canvas.glow(x, horizon - half * 0.5, half * 2, (255, 214, 140), 0.4)
    tall = min(half * rng.uniform(0.92, 1.25), (horizon - 46) / 1.7)
    canvas.rect(x - half * 1.35, horizon - 12, half * 2.7, 22, mix(white, shade, 0.3))
    for terrace in range(3):
        width = half * (1.16 - terrace * 0.07)
        canvas.rect(
            x - width, horizon - 19 - terrace * 7, width * 2, 8, mix(white, shade, 0.12 * terrace)
        )
    foot = horizon - 32
    bulge = rng.choice(("bubble", "bell", "heap"))
    outline = []
    for step in range(41):
        t = step / 40 * 2 - 1
        arch = {
            "bubble": math.sqrt(max(0.0, 1 - t * t)),
            "heap": 1 - t * t,
            "bell": (1 - abs(t) ** 1.7) ** 1.1,
        }[bulge]
        outline.append((x + t * half, foot - tall * 0.95 * arch))
    canvas.polygon(outline, white)
    # The side away from the light.
    away = rng.choice((-1, 1))
    for step in range(1, 10):
        dark = [(px, py) for px, py in outline if (px - x) * away > half * step / 10 - 1]
        if len(dark) > 2:
            canvas.polygon([*dark, (dark[0 if away > 0 else -1][0], foot)], shade, 0.09)
    top = foot - tall * 0.93
    box = half * 0.2
    canvas.rect(x - box, top - box * 1.1, box * 2, box * 1.3, mix(white, shade, 0.16))
    canvas.rect(x - box * 1.12, top - box * 1.25, box * 2.24, box * 0.24, mix(white, shade, 0.4))
    spire = tall * rng.uniform(0.5, 0.72)
    canvas.polygon(
        [(x - box * 0.6, top - box * 1.2), (x + box * 0.6, top - box * 1.2), (x, top - spire)],
        mix(white, shade, 0.1),
    )
    for ringed in range(1, 7):
        y = top - box * 1.2 - (spire - box * 1.2) * ringed / 8
        width = box * 0.6 * (1 - ringed / 8)
        canvas.line([(x - width, y), (x + width, y)], mix(white, shade, 0.5), 1)
    canvas.polygon(
        [(x - 2, top - spire), (x + 2, top - spire), (x, top - spire - 10)], (236, 190, 70)
    )
    ground = {
        "noon": (206, 178, 130),
        "morning": (190, 160, 120),
        "dusk": (110, 72, 70),
        "night": (30, 34, 56),
    }[time]
    canvas.gradient((ground, lighter(ground, -0.2)), top=horizon + 3)
    canvas.rect(x - half * 1.35, horizon, half * 2.7, 10, mix(white, shade, 0.3))
    speckle(canvas, rng, lighter(ground, 0.2), top=horizon + 10, count=40)
    flags = rng.random() < 0.5
    if flags:
        low = horizon - rng.uniform(10, 40)
        for side in (-1, 1):
            for flag in range(15):
                t = flag / 14
                fx = x + side * (10 + t * 220)
                fy = top - box + (low - top) * t + 22 * math.sin(t * math.pi)
                canvas.rect(
                    fx,
                    fy,
                    8,
                    8,
                    ((30, 60, 170), (250, 210, 40), (200, 30, 40), (250, 250, 250), (240, 120, 30))[
                        flag % 5
                    ],
                )
    pilgrims = rng.randint(0, 9)
    for y in sorted(rng.uniform(horizon + 14, HEIGHT + 2) for _ in range(pilgrims)):
        monk = rng.random() < 0.25
        robe: Colour = (226, 120, 30) if monk else (246, 244, 240)
        if time in ("night", "dusk"):
            robe = mix(robe, (40, 36, 60), 0.4)
        paint_person(
            canvas,
            rng,
            rng.uniform(20, WIDTH - 20),
            y,
            26 + (y - horizon) * 0.36,
            shirt=robe,
            trousers=lighter(robe, -0.08),
            hair=SKINS[1] if monk else (24, 18, 16),
        )
    if time == "night":
        for lamp in range(rng.randint(14, 34)):
            lx = (lamp * 37.7) % WIDTH
            ly = horizon + 14 + (lamp * 17.3) % 40
            canvas.glow(lx, ly, 9, (255, 190, 90), 0.9)
            canvas.circle(lx, ly, 1.6, (255, 240, 190))
    if rng.random() < 0.3 and time != "night":
        paint_birds(canvas, rng, bottom=90, colour=(70, 70, 80), count=rng.randint(3, 8))
    return {"time": time, "pilgrims": pilgrims, "flags": int(flags), "lamps": int(time == "night")}


TRAINS: Final[dict[str, Colour]] = {
    "blue": (28, 84, 168),
    "red": (186, 36, 36),
    "green": (40, 110, 70),
    "brown": (138, 72, 40),
}


def train(canvas: Canvas, rng: Random) -> Facts:
    """A train on a hillside or on a viaduct of arches, in the hill country."""
    time = rng.choice(("morning", "noon", "cloudy", "dusk"))
    horizon = rng.uniform(90, 130)
    sky = paint_sky(canvas, rng, time, horizon=horizon + 20)
    for layer in range(3):
        far = ridge(
            rng, base=horizon - 20 + layer * 18, height=rng.uniform(40, 80), bumps=rng.uniform(2, 4)
        )
        canvas.below(
            far,
            mix(mix((38, 92, 62), (60, 110, 120), 0.5 - 0.2 * layer), sky[-1], 0.5 - 0.17 * layer),
        )
    green = varied(rng, (58, 116, 52), 12)
    if time == "dusk":
        green = mix(green, (80, 50, 40), 0.4)
    bridge = rng.random() < 0.5
    y = rng.uniform(120, 150) if bridge else rng.uniform(168, 196)
    slope = rng.uniform(-0.09, 0.09)
    canvas.below(ridge(rng, base=y + (78 if bridge else 10), height=24, bumps=2.4), green)
    for _ in range(rng.randint(8, 18)):
        foot = y + rng.uniform(60, 110) if bridge else y + rng.uniform(-14, 2)
        paint_tree(
            canvas, rng, rng.uniform(0, WIDTH), foot, rng.uniform(24, 60), varied(rng, green, 14)
        )

    def rail(x: float) -> float:
        return y + slope * (x - WIDTH / 2)

    if bridge:
        stone = varied(rng, rng.choice(((150, 130, 112), (172, 150, 130), (136, 128, 122))), 10)
        canvas.polygon(
            [
                (-5, rail(-5)),
                (WIDTH + 5, rail(WIDTH + 5)),
                (WIDTH + 5, HEIGHT + 5),
                (-5, HEIGHT + 5),
            ],
            stone,
        )
        arches = rng.randint(4, 9)
        span = (WIDTH + 40) / arches
        for arch in range(arches):
            x = -20 + (arch + 0.5) * span
            top = rail(x) + 24
            through = mix(mix(green, sky[-1], 0.35), (60, 90, 80), 0.3)
            half = span * 0.38
            canvas.ellipse(x, top + half, half, half, through)
            canvas.rect(x - half, top + half, half * 2, HEIGHT, through)
            canvas.rect(x - half, top + half * 1.6 + 40, half * 2, HEIGHT, mix(through, green, 0.7))
            canvas.ring(
                x,
                top + half,
                half + 2.5,
                half + 2.5,
                lighter(stone, -0.25),
                2.5,
                start=180,
                end=360,
            )
        canvas.polygon(
            [
                (-5, rail(-5) - 2),
                (WIDTH + 5, rail(485) - 2),
                (WIDTH + 5, rail(485) + 7),
                (-5, rail(-5) + 7),
            ],
            lighter(stone, 0.16),
        )
    else:
        canvas.polygon(
            [
                (-5, rail(-5)),
                (WIDTH + 5, rail(485)),
                (WIDTH + 5, rail(485) + 16),
                (-5, rail(-5) + 16),
            ],
            (122, 106, 92),
        )
        canvas.line([(-5, rail(-5) + 3), (WIDTH + 5, rail(485) + 3)], (196, 190, 184), 1.6)
        canvas.line([(-5, rail(-5) + 9), (WIDTH + 5, rail(485) + 9)], (196, 190, 184), 2)
        for hedge in range(60):
            hx = hedge * 8.3
            canvas.circle(
                hx, rail(hx) + 26 + rng.uniform(-3, 22), rng.uniform(7, 15), varied(rng, green, 16)
            )
        canvas.below([(float(px), rail(px) + 44) for px in (-10, 490)], lighter(green, -0.12))
        for _ in range(90):
            canvas.ellipse(
                rng.uniform(0, WIDTH),
                rng.uniform(y + 50, HEIGHT),
                9,
                4,
                varied(rng, green, 20),
                0.8,
            )
    name = rng.choice(list(TRAINS))
    paint = varied(rng, TRAINS[name], 8)
    carriages = rng.randint(2, 7)
    length, tall = rng.uniform(62, 92), rng.uniform(26, 34)
    way = rng.choice((-1, 1))
    x = rng.uniform(60, 180) if way > 0 else rng.uniform(300, 420)
    start = x + way * length * (0.3 + carriages * 0.2)
    for carriage in range(carriages + 1):
        cx = start - way * carriage * (length + 3)
        _carriage(canvas, rng, cx, length, tall, paint, rail, engine=carriage == 0, way=way)
    if rng.random() < 0.4:
        for puff in range(9):
            canvas.soft_ellipse(
                start - way * puff * 17,
                rail(start) - tall - 9 - puff * 4,
                10 + puff * 5,
                7 + puff * 3,
                (236, 236, 236),
                0.75,
            )
    mist = rng.random() < 0.35
    if mist:
        for _ in range(6):
            canvas.soft_ellipse(
                rng.uniform(0, WIDTH),
                rng.uniform(70, 150),
                rng.uniform(90, 170),
                rng.uniform(14, 30),
                (240, 244, 246),
                0.6,
            )
    return {"time": time, "bridge": int(bridge), "train": name, "mist": int(mist)}


def _carriage(
    canvas: Canvas,
    rng: Random,
    x: float,
    length: float,
    tall: float,
    paint: Colour,
    rail: Callable[[float], float],
    *,
    engine: bool,
    way: int,
) -> None:
    left, right = x - length / 2, x + length / 2
    bl, br = rail(left) - 2, rail(right) - 2
    tl, tr = bl - tall, br - tall

    def at(share: float, height: float) -> tuple[float, float]:
        return left + length * share, bl + (br - bl) * share - tall * height

    for wheel in (0.14, 0.28, 0.72, 0.86):
        wx, wy = at(wheel, 0.02)
        canvas.circle(wx, wy, 3.4, (34, 32, 34))
    if engine:
        nose = 0.12 if way < 0 else 0.88
        canvas.polygon(
            [
                (left, bl),
                (right, br),
                at(1 if way < 0 else 1.0, 0.5 if way > 0 else 1),
                at(nose, 1),
                at(1 - nose, 1),
                at(0, 1 if way > 0 else 0.5),
            ],
            lighter(paint, -0.1),
        )
    else:
        canvas.polygon([(left, bl), (right, br), (right, tr), (left, tl)], paint)
    canvas.polygon([at(0.02, 1), at(0.98, 1), at(0.96, 1.12), at(0.04, 1.12)], (196, 196, 198))
    canvas.polygon([at(0, 0.24), at(1, 0.24), at(1, 0.34), at(0, 0.34)], (244, 224, 160))
    for window in range(6):
        share = 0.08 + window * 0.15
        canvas.polygon(
            [at(share, 0.48), at(share + 0.1, 0.48), at(share + 0.1, 0.82), at(share, 0.82)],
            rng.choice(((36, 44, 60), (70, 86, 104), (244, 226, 160))),
        )


def concert(canvas: Canvas, rng: Random) -> Facts:
    """A lit stage with beams of light, performers and a crowd of raised hands."""
    hue = rng.random()
    canvas.gradient(
        (hsv(hue, 0.8, 0.1), hsv(hue, 0.85, 0.32), hsv(hue + 0.08, 0.7, 0.5)), bottom=190
    )
    stage = rng.uniform(158, 190)
    if rng.random() < 0.5:
        screen_hue = hue + rng.uniform(0.2, 0.6)
        width = rng.uniform(150, 260)
        left = WIDTH / 2 - width / 2
        canvas.rect(left, stage - 118, width, 92, hsv(screen_hue, 0.6, 0.55))
        for _ in range(9):
            canvas.circle(
                left + rng.uniform(16, width - 16),
                stage - 118 + rng.uniform(14, 78),
                rng.uniform(4, 13),
                hsv(screen_hue + rng.uniform(-0.1, 0.1), 0.4, 1.0),
                0.5,
            )
    canvas.rect(0, 8, WIDTH, 5, (30, 28, 36))
    beams = rng.randint(5, 10)
    spread = rng.uniform(0.5, 1.5)
    for beam in range(beams):
        x = (beam + 0.5) / beams * WIDTH
        light = hsv(hue + rng.choice((0.0, 0.08, 0.45, 0.55)), rng.uniform(0.3, 0.8), 1.0)
        target = x + (rng.uniform(-130, 130) if rng.random() < 0.6 else (240 - x)) * spread
        canvas.polygon(
            [(x - 2, 12), (x + 2, 12), (target + 30, stage + 30), (target - 30, stage + 30)],
            light,
            0.2,
        )
        canvas.polygon(
            [(x - 1, 12), (x + 1, 12), (target + 10, stage + 30), (target - 10, stage + 30)],
            light,
            0.22,
        )
        canvas.glow(x, 12, 22, lighter(light, 0.4), 0.95)
    canvas.gradient((hsv(hue, 0.5, 0.5), hsv(hue, 0.7, 0.14)), top=stage, bottom=HEIGHT)
    canvas.soft_ellipse(WIDTH / 2, stage + 4, 260, 30, hsv(hue + 0.05, 0.3, 1.0), 0.7)
    performers = rng.randint(1, 5)
    drums = performers > 2 and rng.random() < 0.7
    for performer in range(performers):
        x = WIDTH / 2 + (performer - (performers - 1) / 2) * rng.uniform(62, 78)
        suit = mix(hsv(rng.random(), 0.7, 0.5), (20, 16, 24), 0.4)
        tall = rng.uniform(72, 86)
        if drums and performer == performers // 2:
            for dx, r in ((-17, 9), (17, 9), (0, 14)):
                canvas.ellipse(x + dx, stage + 6, r, r, hsv(hue + 0.5, 0.6, 0.6))
                canvas.ellipse(x + dx, stage + 4, r * 0.8, r * 0.8, (236, 232, 226))
            for dx in (-30, 30):
                canvas.ellipse(x + dx, stage - 20, 12, 2.6, (240, 206, 90))
                canvas.line([(x + dx, stage - 20), (x + dx, stage + 14)], (190, 190, 190), 1)
            paint_person(
                canvas, rng, x, stage - 2, tall * 0.8, shirt=suit, trousers=suit, pose="cheer"
            )
            continue
        paint_person(
            canvas,
            rng,
            x,
            stage + 12,
            tall,
            shirt=suit,
            trousers=lighter(suit, -0.3),
            pose=rng.choice(("stand", "cheer", "stand")),
        )
        if rng.random() < 0.6:
            body = varied(rng, (176, 84, 30), 30)
            canvas.ellipse(x - 4, stage - 20, 9, 7, body)
            canvas.ellipse(x + 6, stage - 24, 6, 5, body)
            canvas.line([(x + 5, stage - 24), (x + 34, stage - 40)], (70, 44, 26), 2.4)
        else:
            canvas.line([(x + 9, stage + 12), (x + 9, stage - 48)], (200, 200, 205), 1.3)
            canvas.circle(x + 9, stage - 49, 2.8, (40, 40, 44))
    crowd: Colour = hsv(hue, 0.5, 0.07)
    depth = rng.uniform(26, 52)
    for row in range(3):
        y0 = HEIGHT - depth + row * 15
        for head in range(27):
            x = head * 18.5 + rng.uniform(-5, 5)
            y = y0 + rng.uniform(-6, 6)
            tone = lighter(crowd, 0.08 - 0.03 * row)
            canvas.circle(x, y, 6.6, tone)
            canvas.ellipse(x, y + 17, 11, 12, tone)
            if rng.random() < 0.32:
                reach = rng.uniform(18, 30)
                canvas.line([(x + 7, y + 8), (x + rng.uniform(5, 13), y - reach)], tone, 3.4)
            elif rng.random() < 0.08:
                canvas.rect(x + 6, y - 20, 5, 8, (190, 220, 255))
    return {"performers": performers, "drums": int(drums), "light": _hue_name(hue)}


def _hue_name(hue: float) -> str:
    for limit, name in (
        (0.045, "red"),
        (0.12, "orange"),
        (0.19, "yellow"),
        (0.45, "green"),
        (0.7, "blue"),
        (0.82, "purple"),
        (0.94, "pink"),
        (1.01, "red"),
    ):
        if hue < limit:
            return name
    return "red"


def news(canvas: Canvas, rng: Random) -> Facts:
    """A studio with presenters behind a desk, a screen and a headline bar."""
    hue = rng.choice((0.58, 0.62, 0.66, 0.0, 0.52, 0.75, 0.08))
    canvas.gradient((hsv(hue, 0.8, 0.3), hsv(hue, 0.75, 0.6), hsv(hue, 0.6, 0.36)))
    for _ in range(rng.randint(3, 7)):
        x, width = rng.uniform(-40, WIDTH), rng.uniform(14, 60)
        canvas.polygon(
            [(x, 0), (x + width, 0), (x + width - 60, HEIGHT), (x - 60, HEIGHT)],
            hsv(hue, 0.4, 1.0),
            0.1,
        )
    screen_x, screen_w = (
        rng.choice(((24, 200), (256, 200), (110, 260))) if rng.random() < 0.9 else (40, 400)
    )
    screen_y, screen_h = rng.uniform(16, 30), rng.uniform(104, 130)
    canvas.rect(screen_x - 4, screen_y - 4, screen_w + 8, screen_h + 8, (226, 230, 236))
    topic = rng.choice(("weather", "market", "world", "election"))
    canvas.rect(screen_x, screen_y, screen_w, screen_h, hsv(hue + 0.03, 0.7, 0.42))
    if topic == "weather":
        for _ in range(5):
            land = [
                (
                    screen_x + screen_w * (0.5 + 0.2 * math.cos(k) * rng.uniform(0.7, 1.2)),
                    screen_y + screen_h * (0.5 + 0.4 * math.sin(k) * rng.uniform(0.8, 1.1)),
                )
                for k in (0.0, 0.9, 1.7, 2.4, 3.1, 3.9, 4.7, 5.5)
            ]
        canvas.polygon(land, (92, 170, 84))
        canvas.circle(screen_x + 30, screen_y + 28, 13, (255, 214, 60))
        canvas.ellipse(screen_x + screen_w - 42, screen_y + 34, 22, 11, (240, 244, 250))
        for drop in range(4):
            dx = screen_x + screen_w - 56 + drop * 9
            canvas.line([(dx, screen_y + 48), (dx - 4, screen_y + 62)], (150, 210, 255), 1.6)
    elif topic == "market":
        points = [
            (screen_x + 12 + k * (screen_w - 24) / 11, screen_y + screen_h * rng.uniform(0.2, 0.8))
            for k in range(12)
        ]
        for px, py in points:
            canvas.rect(px - 5, py, 9, screen_y + screen_h - 6 - py, (70, 190, 130), 0.65)
        canvas.line(points, (255, 220, 70), 3)
    elif topic == "world":
        radius = screen_h * 0.42
        cx, cy = screen_x + screen_w / 2, screen_y + screen_h / 2
        canvas.circle(cx, cy, radius, (60, 140, 220))
        for _ in range(7):
            angle, away = rng.uniform(0, math.tau), rng.uniform(0, 0.6) * radius
            canvas.ellipse(
                cx + away * math.cos(angle),
                cy + away * math.sin(angle),
                rng.uniform(8, 18),
                rng.uniform(5, 12),
                (90, 180, 96),
            )
        for k in (0.35, 0.7, 1.0):
            canvas.ring(cx, cy, radius * k, radius, (200, 230, 250), 0.8)
    else:
        for bar in range(5):
            tall = screen_h * rng.uniform(0.2, 0.8)
            canvas.rect(
                screen_x + 16 + bar * (screen_w - 30) / 5,
                screen_y + screen_h - 8 - tall,
                (screen_w - 60) / 5,
                tall,
                hsv(bar / 5, 0.75, 0.95),
            )
    anchors = rng.choice((1, 1, 2, 2, 3))
    middle = (
        WIDTH / 2
        if anchors > 1 or screen_w > 220
        else (WIDTH * 0.74 if screen_x < 100 else WIDTH * 0.26)
    )
    gap = rng.uniform(96, 128)
    for anchor in range(anchors):
        x = middle + (anchor - (anchors - 1) / 2) * gap
        _presenter(canvas, rng, x, 196)
    desk = rng.uniform(180, 192)
    wood = rng.choice(((232, 236, 242), (64, 40, 30), (30, 36, 52), (200, 206, 216)))
    canvas.polygon(
        [
            (-5, desk + 8),
            (60, desk),
            (420, desk),
            (WIDTH + 5, desk + 8),
            (WIDTH + 5, HEIGHT),
            (-5, HEIGHT),
        ],
        wood,
    )
    canvas.polygon(
        [
            (-5, desk + 8),
            (60, desk),
            (420, desk),
            (WIDTH + 5, desk + 8),
            (WIDTH + 5, desk + 15),
            (-5, desk + 15),
        ],
        lighter(wood, 0.35 if sum(wood) < 400 else -0.15),
    )
    for _ in range(rng.randint(1, 3)):
        px = rng.uniform(110, 360)
        canvas.polygon(
            [(px, desk + 2), (px + 34, desk + 2), (px + 28, desk + 8), (px - 8, desk + 8)],
            (250, 250, 250),
        )
    banner: Colour = rng.choice(((200, 20, 30), (20, 60, 150), (16, 20, 40)))
    canvas.rect(0, 226, WIDTH, 26, banner)
    canvas.rect(0, 252, WIDTH, 18, (246, 246, 248))
    canvas.rect(0, 226, 92, 26, lighter(banner, -0.35))
    canvas.text(46, 239, rng.choice(("LIVE", "NEWS", "TODAY")), (255, 255, 255), 17, centred=True)
    canvas.text(
        104,
        239,
        {
            "weather": "WEATHER UPDATE",
            "market": "MARKETS AT CLOSE",
            "world": "WORLD REPORT",
            "election": "ELECTION RESULTS",
        }[topic],
        (255, 255, 255),
        15,
    )
    canvas.text(
        10,
        261,
        f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}   * * *   drawn, not a broadcast",
        (60, 60, 66),
        10,
    )
    return {"anchors": anchors, "topic": topic}


def _presenter(canvas: Canvas, rng: Random, x: float, base: float) -> None:
    skin, jacket = (
        rng.choice(SKINS),
        rng.choice(((30, 34, 50), (120, 24, 40), (40, 70, 130), (60, 60, 66), (20, 90, 86))),
    )
    hair: Colour = rng.choice(((20, 16, 16), (50, 32, 22), (90, 90, 94)))
    long = rng.random() < 0.5
    if long:
        canvas.ellipse(x, base - 72, 24, 34, hair)
    canvas.polygon(
        [
            (x - 46, base + 8),
            (x - 36, base - 34),
            (x - 12, base - 44),
            (x + 12, base - 44),
            (x + 36, base - 34),
            (x + 46, base + 8),
        ],
        jacket,
    )
    canvas.polygon([(x - 12, base - 44), (x + 12, base - 44), (x, base - 6)], (244, 244, 248))
    if not long:
        canvas.polygon(
            [
                (x - 3.4, base - 40),
                (x + 3.4, base - 40),
                (x + 5, base - 12),
                (x, base - 4),
                (x - 5, base - 12),
            ],
            hsv(rng.random(), 0.8, 0.7),
        )
    canvas.rect(x - 7, base - 56, 14, 16, lighter(skin, -0.15))
    canvas.ellipse(x, base - 76, 17.5, 23, skin)
    canvas.pie(x, base - 82, 19.5, 20, hair, 180, 360)
    for eye in (-6.5, 6.5):
        canvas.ellipse(x + eye, base - 77, 2.6, 1.7, (250, 250, 250))
        canvas.circle(x + eye, base - 77, 1.4, (20, 14, 12))
    canvas.ring(x, base - 68, 6, 4.5, (140, 50, 50), 1.4, start=20, end=160)
