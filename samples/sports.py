"""Cricket and football."""

from __future__ import annotations

import math
from random import Random
from typing import Final

from twinlens.samples.draw import HEIGHT, WIDTH, Canvas, Colour, lighter, mix, varied
from twinlens.samples.scenery import (
    Facts,
    paint_moon,
    paint_person,
    paint_sky,
    paint_sun,
    paint_tree,
)

KITS: Final[dict[str, Colour]] = {
    "blue": (28, 62, 160),
    "yellow": (244, 200, 30),
    "green": (16, 110, 70),
    "red": (196, 30, 40),
    "maroon": (110, 20, 44),
    "orange": (240, 120, 26),
    "black": (30, 30, 34),
}


def _stand(canvas: Canvas, rng: Random, *, top: float, bottom: float, night: bool) -> None:
    """A grandstand full of people."""
    shade = -0.45 if night else 0.0
    canvas.rect(0, top, WIDTH, bottom - top, lighter((96, 100, 116), shade))
    canvas.polygon(
        [
            (-5, top - 12),
            (WIDTH + 5, top - rng.uniform(4, 20)),
            (WIDTH + 5, top + 5),
            (-5, top + 5),
        ],
        lighter((150, 156, 168), shade),
    )
    crowd = [varied(rng, rng.choice(list(KITS.values())), 40) for _ in range(9)]
    crowd += [(230, 225, 220), (240, 240, 245)]
    rows = max(2, int((bottom - top - 8) / 6))
    for row in range(rows):
        y = top + 8 + row * 6
        for column in range(60):
            if rng.random() < 0.82:
                x = column * 8.1 + (row % 2) * 4 + rng.uniform(-1.4, 1.4)
                canvas.circle(x, y, 2.3, lighter(rng.choice(crowd), shade))
    canvas.rect(0, bottom - 7, WIDTH, 7, (240, 240, 240) if not night else (120, 124, 140))
    for panel in range(0, WIDTH, 60):
        canvas.rect(panel, bottom - 7, 57, 7, varied(rng, rng.choice(list(KITS.values())), 20))


def _floodlights(canvas: Canvas, rng: Random, *, foot: float) -> None:
    for x in (rng.uniform(30, 90), rng.uniform(390, 450)):
        top = rng.uniform(10, 26)
        canvas.line([(x, foot), (x, top)], (90, 94, 104), 3)
        canvas.rect(x - 17, top - 8, 34, 17, (70, 74, 84))
        for row in range(2):
            for column in range(5):
                canvas.circle(x - 13 + column * 6.5, top - 4 + row * 8, 2.7, (255, 255, 240))
        canvas.glow(x, top, 62, (225, 232, 255), 0.75)


def cricket(canvas: Canvas, rng: Random) -> Facts:
    """A match on the ground's pitch, seen from behind the bowler or from the boundary."""
    time = rng.choice(("noon", "noon", "dusk", "night", "cloudy"))
    night = time == "night"
    match = rng.choice(("t20", "odi", "test")) if not night else rng.choice(("t20", "odi"))
    horizon = rng.uniform(70, 118)
    paint_sky(canvas, rng, time, horizon=horizon)
    if time == "dusk":
        paint_sun(canvas, rng.uniform(80, 400), horizon - 34, 9, (255, 190, 90))
    village = rng.random() < 0.3
    if village:
        for _ in range(26):
            green = varied(rng, (46, 96, 44) if not night else (14, 34, 22), 14)
            paint_tree(canvas, rng, rng.uniform(0, WIDTH), horizon + 3, rng.uniform(26, 60), green)
    else:
        _stand(canvas, rng, top=horizon - rng.uniform(26, 48), bottom=horizon, night=night)
    if night:
        _floodlights(canvas, rng, foot=horizon)
    grass = varied(rng, rng.choice(((92, 160, 62), (112, 158, 70), (78, 148, 70))), 10)
    if time == "dusk":
        grass = mix(grass, (170, 120, 50), 0.25)
    canvas.gradient((lighter(grass, 0.1), grass, lighter(grass, -0.18)), top=horizon)
    for band in range(rng.randint(4, 7)):
        y = horizon + (HEIGHT - horizon) * (band / 6) ** 1.5
        canvas.rect(0, y, WIDTH, 4 + band * 3.0, lighter(grass, 0.16), 0.35)
    centre = WIDTH / 2 + rng.uniform(-70, 70)
    clay = varied(rng, rng.choice(((206, 178, 122), (190, 156, 104), (216, 192, 146))), 10)
    kit = rng.choice([name for name in KITS if name != "black"])
    shirt = (244, 244, 238) if match == "test" else KITS[kit]
    other = (244, 244, 238) if match == "test" else KITS[rng.choice([k for k in KITS if k != kit])]
    players = rng.randint(3, 11)

    end_on = rng.random() < 0.65
    places: list[tuple[float, float]] = []
    if end_on:
        near, far = rng.uniform(95, 150), rng.uniform(24, 40)
        far_y = horizon + rng.uniform(16, 28)
        lean = rng.uniform(-40, 40)
        canvas.polygon(
            [
                (centre - far / 2, far_y),
                (centre + far / 2, far_y),
                (centre + lean + near / 2, HEIGHT + 5),
                (centre + lean - near / 2, HEIGHT + 5),
            ],
            clay,
        )
        for y, spread in ((far_y + 9, far * 0.9), (HEIGHT - 34.0, near * 0.95)):
            middle = centre + lean * (y - far_y) / (HEIGHT - far_y)
            canvas.line([(middle - spread / 2, y), (middle + spread / 2, y)], (250, 250, 250), 1.6)
        _wicket(canvas, centre, far_y + 8, 15)
        batter = (centre + 9, far_y + 15, 36.0)
        keeper = (centre - 14, far_y + 4, 26.0)
        bowler = (
            centre + lean + rng.choice((-44, 44)),
            rng.uniform(232, 262),
            rng.uniform(84, 112),
        )
        places += [(rng.uniform(20, WIDTH - 20), 0.0) for _ in range(players)]
    else:
        y = horizon + (HEIGHT - horizon) * rng.uniform(0.42, 0.6)
        length, depth = rng.uniform(210, 300), rng.uniform(18, 30)
        skew = rng.uniform(-26, 26)
        left, right = centre - length / 2, centre + length / 2
        canvas.polygon(
            [
                (left + skew, y - depth),
                (right + skew, y - depth),
                (right, y + depth),
                (left, y + depth),
            ],
            clay,
        )
        for x in (left + 26, right - 26):
            canvas.line([(x + skew, y - depth), (x, y + depth)], (250, 250, 250), 1.6)
        _wicket(canvas, left + 12, y + 3, 20)
        _wicket(canvas, right - 12, y + 3, 20)
        batter = (right - 34, y + 12, rng.uniform(56, 70))
        keeper = (right + 34, y + 6, 44.0)
        bowler = (left + rng.uniform(40, 80), y + 10, rng.uniform(56, 72))
        places += [(rng.uniform(20, WIDTH - 20), 0.0) for _ in range(players)]

    drawn = 0
    for x, _ in places[: max(0, players - 3)]:
        feet = rng.uniform(horizon + 12, horizon + 60)
        height = 17 + (feet - horizon) * 0.36
        paint_person(
            canvas,
            rng,
            x,
            feet,
            height,
            shirt=shirt,
            trousers=shirt,
            pose=rng.choice(("stand", "stand", "run", "bend")),
        )
        drawn += 1
    paint_person(canvas, rng, *keeper, shirt=shirt, trousers=shirt, pose="bend")
    paint_person(canvas, rng, *batter, shirt=other, trousers=lighter(other, -0.06), pose="bend")
    x, feet, height = batter
    canvas.line(
        [(x - height * 0.2, feet - height * 0.4), (x - height * 0.42, feet - height * 0.02)],
        (224, 190, 120),
        max(1.6, height * 0.08),
    )
    canvas.circle(x, feet - height * 0.84, height * 0.1, lighter(other, -0.4))
    paint_person(
        canvas, rng, *bowler, shirt=shirt, trousers=shirt, pose=rng.choice(("run", "cheer", "run"))
    )
    ball_x = centre + rng.uniform(-60, 60)
    canvas.circle(
        ball_x,
        rng.uniform(horizon + 10, 220),
        3.2,
        (170, 24, 28) if match == "test" else (250, 250, 250),
    )
    return {
        "time": time,
        "match": match,
        "players": drawn + 3,
        "ground": "village" if village else "stadium",
    }


def _wicket(canvas: Canvas, x: float, foot: float, height: float) -> None:
    for stump in (-0.26, 0.0, 0.26):
        canvas.line(
            [(x + stump * height, foot), (x + stump * height, foot - height)],
            (236, 206, 130),
            max(1.2, height * 0.1),
        )
    canvas.line(
        [(x - 0.3 * height, foot - height), (x + 0.3 * height, foot - height)], (250, 230, 170), 1.2
    )


def football(canvas: Canvas, rng: Random) -> Facts:
    """A goal mouth from the pitch, or the whole pitch from above."""
    return _football_above(canvas, rng) if rng.random() < 0.4 else _goal_mouth(canvas, rng)


def _grass_stripes(canvas: Canvas, rng: Random, *, top: float, tilt: float) -> Colour:
    grass = varied(rng, rng.choice(((40, 140, 52), (30, 124, 58), (58, 150, 50))), 10)
    canvas.gradient((lighter(grass, 0.06), lighter(grass, -0.12)), top=top)
    stripes = rng.randint(6, 11)
    for stripe in range(0, stripes, 2):
        x, width = stripe * WIDTH / stripes, WIDTH / stripes
        canvas.polygon(
            [
                (x + tilt * 0.3, top),
                (x + width + tilt * 0.3, top),
                (x + width - tilt, HEIGHT + 5),
                (x - tilt, HEIGHT + 5),
            ],
            lighter(grass, 0.16),
            0.55,
        )
    return grass


def _football_above(canvas: Canvas, rng: Random) -> Facts:
    _grass_stripes(canvas, rng, top=0, tilt=rng.uniform(-20, 20))
    white: Colour = (244, 250, 244)
    left, top = rng.uniform(14, 50), rng.uniform(12, 34)
    right, bottom = WIDTH - rng.uniform(14, 50), HEIGHT - rng.uniform(12, 34)
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    canvas.line([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], white, 2)
    canvas.line([(middle_x, top), (middle_x, bottom)], white, 2)
    canvas.ring(middle_x, middle_y, 36, 36, white, 2)
    canvas.circle(middle_x, middle_y, 3, white)
    for edge, inwards in ((left, 1), (right, -1)):
        for depth, half in ((58, 58), (24, 28)):
            canvas.line(
                [
                    (edge, middle_y - half),
                    (edge + inwards * depth, middle_y - half),
                    (edge + inwards * depth, middle_y + half),
                    (edge, middle_y + half),
                ],
                white,
                2,
            )
    home, away = rng.sample(list(KITS), 2)
    players = rng.randint(10, 22)
    for player in range(players):
        x, y = rng.uniform(left + 8, right - 8), rng.uniform(top + 8, bottom - 8)
        colour = KITS[home if player % 2 == 0 else away]
        canvas.soft_ellipse(x + 5, y + 5, 10, 6, (10, 40, 16), 0.7)
        canvas.ellipse(x, y, 6.4, 4.6, colour)
        canvas.circle(x, y - 1, 2.8, (60, 40, 30))
    canvas.circle(rng.uniform(left, right), rng.uniform(top, bottom), 3.4, (255, 255, 255))
    return {"view": "above", "players": players, "home": home, "away": away, "time": "noon"}


def _goal_mouth(canvas: Canvas, rng: Random) -> Facts:
    time = rng.choice(("noon", "night", "night", "dusk", "cloudy"))
    night = time == "night"
    horizon = rng.uniform(74, 112)
    paint_sky(canvas, rng, time, horizon=horizon)
    _stand(canvas, rng, top=horizon - rng.uniform(40, 66), bottom=horizon, night=night)
    if night:
        _floodlights(canvas, rng, foot=horizon)
        if rng.random() < 0.3:
            paint_moon(canvas, rng, rng.uniform(160, 320), 20, 9)
    _grass_stripes(canvas, rng, top=horizon, tilt=rng.uniform(30, 150))
    white: Colour = (250, 250, 250)
    x, width = rng.uniform(70, 230), rng.uniform(170, 240)
    foot, height = horizon + rng.uniform(34, 62), rng.uniform(64, 92)
    top = foot - height
    canvas.polygon(
        [(x - 60, foot + 36), (x + width + 60, foot + 36), (x + width + 20, foot), (x - 20, foot)],
        white,
        0.1,
    )
    mesh: Colour = (225, 230, 235)
    for step in range(15):
        share = step / 14
        nx = x + width * share
        canvas.line([(nx, top), (nx + (0.5 - share) * 26, foot - 8)], mesh, 0.6, 0.6)
    for step in range(8):
        ny = top + height * step / 8
        canvas.line([(x, ny), (x + width, ny)], mesh, 0.6, 0.6)
    canvas.line([(x, foot), (x, top), (x + width, top), (x + width, foot)], white, 4)
    canvas.line([(-5, foot), (WIDTH + 5, foot)], white, 1.8)
    canvas.line([(x - 90, foot + 60), (x + width + 90, foot + 60)], white, 2.4)
    home, away = rng.sample(list(KITS), 2)
    players = rng.randint(3, 8)
    keeper_shirt: Colour = rng.choice(((255, 110, 30), (160, 240, 60), (250, 80, 160)))
    paint_person(
        canvas,
        rng,
        x + width * rng.uniform(0.2, 0.8),
        foot + 4,
        62,
        shirt=keeper_shirt,
        trousers=(30, 30, 36),
        pose=rng.choice(("cheer", "run")),
    )
    feet = sorted(rng.uniform(foot + 14, HEIGHT + 6) for _ in range(players - 1))
    for player, y in enumerate(feet):
        shirt = KITS[home if player % 2 == 0 else away]
        paint_person(
            canvas,
            rng,
            rng.uniform(24, WIDTH - 24),
            y,
            60 + (y - foot) * 0.42,
            shirt=shirt,
            trousers=rng.choice((white, shirt, (30, 30, 36))),
            pose=rng.choice(("run", "run", "stand", "cheer")),
        )
    bx, by, radius = rng.uniform(60, 420), rng.uniform(foot + 20, HEIGHT - 12), rng.uniform(5, 10)
    canvas.soft_ellipse(bx, by + radius, radius * 2, radius * 0.8, (10, 30, 10), 0.8)
    canvas.circle(bx, by, radius, (255, 255, 255))
    for spoke in range(5):
        angle = spoke / 5 * math.tau
        canvas.circle(
            bx + math.cos(angle) * radius * 0.72,
            by + math.sin(angle) * radius * 0.72,
            radius * 0.2,
            (30, 30, 34),
        )
    canvas.circle(bx, by, radius * 0.28, (30, 30, 34))
    return {"view": "goal", "players": players, "home": home, "away": away, "time": time}
