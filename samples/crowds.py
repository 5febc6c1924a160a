"""Cricket, a concert and a city at night."""

from __future__ import annotations

from random import Random
from typing import Final

from twinlens.samples.canvas import HEIGHT, WIDTH, Canvas, Colour, hsv, lighten, mix, vary
from twinlens.samples.scenery import (
    Facts,
    paint_person,
    paint_sky,
    paint_sun,
    paint_tree,
    scatter,
    tint,
)

_KITS: Final = ((28, 62, 160), (244, 200, 30), (16, 110, 70), (196, 30, 40), (240, 120, 26))
_WHITES: Final = (244, 244, 238)


def draw_cricket(canvas: Canvas, rng: Random) -> Facts:
    """Draw a match, seen along the pitch, at a village ground or in a stadium."""
    time = rng.choice(("noon", "noon", "dusk", "night", "cloudy"))
    match = rng.choice(("t20", "odi", "test") if time != "night" else ("t20", "odi"))
    horizon, ground = rng.uniform(84, 116), rng.choice(("village", "stadium", "stadium"))
    paint_sky(canvas, rng, time, horizon=horizon)
    if ground == "village":
        for x, y, near in scatter(rng, 34, top=horizon, bottom=horizon + 5):
            tree = tint(vary(rng, (46, 96, 44), 16), "night" if time == "night" else "noon")
            paint_tree(canvas, rng, x, y, 30 + 34 * near, tree)
    else:
        _paint_stand(canvas, rng, horizon - rng.uniform(30, 52), horizon, night=time == "night")
    for x in (rng.uniform(30, 90), rng.uniform(390, 450)) if time == "night" else ():
        canvas.line([(x, horizon), (x, 24)], (90, 94, 104), 3)
        canvas.glow(x, 20, 76, 66, (225, 232, 255), 0.8)
        for lamp in range(10):
            canvas.circle(x - 13 + lamp % 5 * 6.5, 16 + lamp // 5 * 8, 2.7, (255, 255, 240))
    grass = vary(rng, rng.choice(((92, 160, 62), (112, 158, 70), (78, 148, 70))), 10)
    canvas.fill((lighten(grass, 0.1), grass, lighten(grass, -0.22)), top=horizon)
    centre, lean, turns = 240 + rng.uniform(-70, 70), rng.uniform(-60, 60), rng.uniform(60, 110)
    for stripe in range(-12, 13):
        ends = (centre + stripe * 26, horizon), (centre + lean + stripe * turns * 1.4, HEIGHT + 5)
        canvas.bar(*ends, lighten(grass, 0.18), 0.45, widths=(13, turns * 0.7))
    canvas.mottle(rng, lighten(grass, -0.3), top=horizon, bottom=310, alpha=0.3, grain=0.4)
    clay = vary(rng, rng.choice(((206, 178, 122), (190, 156, 104), (216, 192, 146))), 10)
    far, near = rng.uniform(30, 46), rng.uniform(120, 180)
    far_y = horizon + rng.uniform(18, 30)
    canvas.bar((centre, far_y), (centre + lean, HEIGHT + 5), clay, widths=(far, near))
    canvas.mottle(rng, grass, top=far_y, bottom=320, cover=0.2, alpha=0.4, grain=0.3)
    for y, wide in ((far_y + 10, far), (HEIGHT - 36.0, near * 0.9)):
        x = centre + lean * (y - far_y) / (HEIGHT - far_y)
        canvas.line([(x - wide / 2, y), (x + wide / 2, y)], (250, 250, 250), 1.6)
    for x in (centre - 4, centre, centre + 4):
        canvas.line([(x, far_y + 8), (x, far_y - 9)], (240, 212, 140), 1.6)
    shirt, other = (_WHITES, _WHITES) if match == "test" else rng.sample(_KITS, 2)
    players = rng.randint(3, 11)
    for x, y, depth in scatter(rng, players - 3, top=horizon + 12, bottom=horizon + 76):
        pose = rng.choice(("stand", "stand", "run", "bend"))
        paint_person(canvas, rng, x, y, 20 + 27 * depth, shirt, trousers=shirt, pose=pose)
    batter, bowler = (centre + 13, far_y + 20), (centre + lean + rng.choice((-50, 50)), 256.0)
    tall, pose = rng.uniform(96, 124), rng.choice(("run", "run", "cheer"))
    paint_person(canvas, rng, centre - 18, far_y + 3, 30, shirt, trousers=shirt, pose="bend")
    paint_person(canvas, rng, *batter, 44, other, trousers=other, pose="bend")
    bat = canvas.move(batter[0] - 8, batter[1] - 19, 18)
    bat.stroke([(0, 0), (-0.4, 1)], (228, 196, 128), 0.17, 0.2)
    paint_person(canvas, rng, *bowler, tall, shirt, trousers=shirt, pose=pose)
    ball: Colour = (170, 24, 28) if match == "test" else (250, 250, 250)
    canvas.circle(centre + rng.uniform(-50, 50), rng.uniform(far_y, 200), 3.2, ball)
    return {"time": time, "match": match, "players": players, "ground": ground}


def _paint_stand(canvas: Canvas, rng: Random, top: float, foot: float, *, night: bool) -> None:
    shade = -0.45 if night else 0.0
    canvas.rect(0, top, WIDTH, foot - top, lighten((80, 84, 100), shade))
    roof = [(-5, top - 8), (485, top - rng.uniform(4, 16))]
    canvas.band(roof, lighten((160, 166, 178), shade), -5, 9)
    crowd = [lighten(vary(rng, colour, 30), shade) for colour in (*_KITS, _WHITES, (60, 40, 30))]
    for row in range(int((foot - top - 12) / 5)):
        for seat in range(70):
            if rng.random() < 0.84:
                x, y = seat * 7 + row % 2 * 3.5 + rng.uniform(-1, 1), top + 9 + row * 5
                canvas.circle(x, y, 2.2, rng.choice(crowd))
    for board in range(8):
        canvas.rect(board * 60, foot - 8, 58, 8, lighten(vary(rng, rng.choice(_KITS), 20), shade))


_LIGHTS: Final = {"red": 0, "yellow": 0.15, "green": 0.35, "blue": 0.6, "purple": 0.76, "pink": 0.9}


def draw_concert(canvas: Canvas, rng: Random) -> Facts:
    """Draw a lit stage with beams of light, performers and a crowd of raised hands."""
    light, stage = rng.choice(list(_LIGHTS)), rng.uniform(156, 186)
    hue, width = _LIGHTS[light] + rng.uniform(-0.02, 0.02), rng.uniform(150, 260)
    canvas.fill((hsv(hue, 0.8, 0.08), hsv(hue, 0.85, 0.32), hsv(hue, 0.7, 0.55)), bottom=stage)
    if rng.random() < 0.5:
        other = hue + rng.uniform(0.2, 0.6)
        canvas.rect(240 - width / 2, stage - 120, width, 94, hsv(other, 0.6, 0.5))
        for _ in range(14):
            x, y = 240 + width * rng.uniform(-0.42, 0.42), stage - rng.uniform(42, 104)
            canvas.circle(x, y, rng.uniform(4, 14), hsv(rng.gauss(other, 0.06), 0.4, 1), 0.5)
    smoke = hsv(hue, 0.25, 0.95)
    canvas.mottle(rng, smoke, top=20, bottom=stage + 30, cover=0.6, alpha=0.35, stretch=3)
    beams, fan = rng.randint(5, 10), rng.uniform(-0.7, 0.9)
    for beam in range(beams):
        x = (beam + 0.5) / beams * WIDTH
        ray = hsv(hue + rng.choice((0.0, 0.0, 0.06, 0.5)), rng.uniform(0.3, 0.8), 1.0)
        target = (x + (240 - x) * fan + rng.uniform(-50, 50), stage + 30)
        for wide, alpha in ((70, 0.12), (40, 0.14), (16, 0.2)):
            canvas.bar((x, 12), target, ray, alpha, widths=(4, wide))
        canvas.glow(x, 12, 24, 24, lighten(ray, 0.4), 0.95)
    canvas.fill((hsv(hue, 0.5, 0.5), hsv(hue, 0.7, 0.14)), top=stage)
    canvas.glow(240, stage + 4, 270, 34, hsv(hue + 0.05, 0.3, 1.0), 0.8)
    performers = rng.randint(1, 5)
    drums, gap = performers > 2 and rng.random() < 0.7, rng.uniform(60, 78)
    for number in range(performers):
        x = 240 + (number - (performers - 1) / 2) * gap
        suit = mix(hsv(rng.random(), 0.7, 0.5), (20, 16, 24), 0.4)
        pose = rng.choice(("stand", "cheer", "stand"))
        if drums and number == performers // 2:
            paint_person(canvas, rng, x, stage + 2, 66, suit, pose="cheer")
            for dx, dy, r in (
                (-32, -24, 2.5),
                (32, -24, 2.5),
                (-17, 2, 10),
                (17, 2, 10),
                (0, 6, 15),
            ):
                canvas.ellipse(x + dx, stage + dy, max(r, 12), r, (240, 206, 90))
                canvas.ellipse(x + dx, stage + dy - 1, max(r, 12) * 0.8, r * 0.8, _WHITES)
            continue
        paint_person(canvas, rng, x, stage + 12, rng.uniform(74, 88), suit, pose=pose)
        if rng.random() < 0.6:
            guitar = canvas.move(x, stage - 22, 10, way=rng.choice((-1, 1)))
            guitar.line([(0, 0), (3.4, -1.8)], (70, 44, 26), 0.3)
            guitar.ellipse(-0.4, 0.2, 1.1, 0.8, vary(rng, (176, 84, 30), 30))
        else:
            canvas.line([(x + 8, stage + 12), (x + 8, stage - 50)], (200, 200, 205), 1.3)
            canvas.circle(x + 8, stage - 51, 3, (40, 40, 44))
    floor = rng.uniform(216, 242)
    for row in range(3):
        tone = hsv(hue, 0.5, 0.12 - 0.04 * row)
        for head in range(27):
            x, y = head * 18.5 + rng.uniform(-5, 5), floor + row * 15 + rng.uniform(-6, 6)
            canvas.circle(x, y, 6.6, tone)
            canvas.rect(x - 11, y + 7, 22, 70, tone, corner=8)
            if rng.random() < 0.32:
                hand = (x + rng.uniform(5, 13), y - rng.uniform(18, 30))
                canvas.stroke([(x + 7, y + 10), hand], tone, 4.5, 3)
    return {"performers": performers, "drums": int(drums), "light": light}


def draw_city(canvas: Canvas, rng: Random) -> Facts:
    """Draw towers with lit windows at night, above water or a road of lights."""
    base, front = rng.uniform(166, 206), rng.choice(("water", "road"))
    paint_sky(canvas, rng, "night", horizon=base)
    haze = vary(rng, rng.choice(((220, 110, 60), (150, 70, 180), (60, 130, 200), (210, 80, 130))))
    canvas.glow(rng.uniform(120, 360), base, 360, 110, haze, 0.7)
    moon, tower = rng.random() < 0.4, rng.random() < 0.45
    if moon:
        x, y, size = rng.uniform(50, 430), rng.uniform(26, 56), rng.uniform(9, 17)
        paint_sun(canvas, x, y, size, (216, 220, 226))
    for layer in range(3):
        x = rng.uniform(-30, 0)
        while x < WIDTH:
            width = rng.uniform(22, 52)
            height = rng.uniform(26, 80) + (2 - layer) * 34 * rng.random()
            wall, shine = mix((14, 16, 32), haze, 0.3 - 0.12 * layer), 0.35 + 0.3 * layer
            _paint_tower(canvas.move(x, base - height, 1), rng, width, height, wall, shine)
            x += width + rng.uniform(-2, 12) * (1 + layer)
    if tower:
        x, glow = rng.uniform(70, 410), hsv(rng.random(), 0.75, 1.0)
        lotus = canvas.move(x, rng.uniform(30, 56), 1)
        lotus.glow(0, 26, 56, 56, glow, 0.6)
        lotus.bar((0, 30), (0, base), mix(glow, (30, 30, 50), 0.6), widths=(7, 18))
        lotus.line([(0, 16), (0, -26)], (230, 230, 240), 1.6)
        for petal in (-3, 3, -2, 2, -1, 1, 0):
            leaf = [(petal * 1.6, 42), (petal * 9, 14 + abs(petal) * 1.5), (petal * 4.4, 34)]
            lotus.shape(leaf, lighten(glow, 0.12 * (3 - abs(petal))))
        lotus.ellipse(0, 17, 26, 5, lighten(glow, 0.35))
    if front == "water":
        canvas.reflect(rng, base, (mix(haze, (8, 10, 26), 0.6), (4, 6, 18)), alpha=0.6)
        canvas.mottle(rng, (4, 6, 18), top=base, bottom=300, alpha=0.6, stretch=8)
    else:
        _paint_road(canvas, rng, base)
    return {"front": front, "tower": int(tower), "moon": int(moon)}


def _paint_road(canvas: Canvas, rng: Random, base: float) -> None:
    canvas.fill(((30, 30, 42), (12, 12, 18)), top=base)
    vanish = rng.uniform(140, 340)
    for lane in range(12):
        side = 1 if lane % 2 else -1
        trail: Colour = (255, 60, 44) if side > 0 else (255, 236, 190)
        end = (vanish + side * (30 + lane * 48) + rng.uniform(-16, 16), HEIGHT + 6)
        canvas.bar((vanish + side * 2, base + 2), end, trail, 0.85, widths=(0.6, rng.uniform(2, 6)))
    for lamp in range(16):
        t, side = (lamp // 2 / 7) ** 1.7, 1 if lamp % 2 else -1
        x, y = vanish + side * (12 + 330 * t), base - 4 - 64 * t
        canvas.line([(x, y), (x, base + 8 + 60 * t)], (60, 58, 66), 0.8 + 2 * t)
        canvas.glow(x, y, 6 + 26 * t, 6 + 26 * t, (255, 200, 110), 0.9)


def _paint_tower(
    tower: Canvas, rng: Random, width: float, height: float, wall: Colour, shine: float
) -> None:
    lit: Colour = rng.choice(((255, 214, 130), (255, 232, 176), (170, 214, 255), (255, 190, 110)))
    share, step = rng.uniform(0.25, 0.7), rng.choice((5.0, 6.0, 8.0))
    tower.rect(0, 0, width, height, wall)
    tower.rect(width * 0.7, 0, width * 0.3, height, lighten(wall, -0.25))
    tower.line([(width / 2, 0), (width / 2, -14)], wall, 1.6)
    window = mix(wall, lit, shine)
    for row in range(int((height - 6) / step)):
        for column in range(int((width - 5) / step)):
            if rng.random() < share:
                tower.rect(4 + column * step, 5 + row * step, step * 0.5, step * 0.55, window)
