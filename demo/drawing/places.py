"""The ground of each place, from its horizon down to the picture's foot.

Every ground is a function `(pen, horizon, rng)`, `horizon` in pixels.
"""

from .pen import DARK, LEAF, FIR, WATER, WHITE, shade


def waves(pen, top, rng, blue=WATER):
    for k in range(16):
        pen.box(0, top + (pen.height - top) * k / 16, pen.width, pen.height, shade(blue, 1.2 - 0.026 * k))
    for _ in range(26):
        x, y = rng.uniform(0, pen.width), rng.uniform(top + 3, pen.height)
        pen.line([(x, y), (x + rng.uniform(0.03, 0.09) * pen.side, y)], shade(blue, 1.6), 0.7)


def sea(pen, horizon, rng):
    waves(pen, horizon, rng)


def beach(pen, horizon, rng):
    waves(pen, horizon, rng, (46, 130, 170))
    shore = horizon + pen.side * 0.1
    pen.polygon([(0, shore), (pen.width, shore + pen.side * 0.05), (pen.width, pen.height), (0, pen.height)], WHITE)
    shore += pen.side * 0.02
    pen.polygon(
        [(0, shore), (pen.width, shore + pen.side * 0.05), (pen.width, pen.height), (0, pen.height)], (232, 208, 150)
    )


def hills(pen, horizon, green, rng):
    for hill in range(2):
        middle = rng.uniform(0.1, 0.9) * pen.width
        pen.oval(middle, horizon + pen.side * 0.14, pen.width * 0.6, pen.side * 0.2, shade(green, 0.8 + 0.1 * hill))
    pen.box(0, horizon + pen.side * 0.03, pen.width, pen.height, green)


def tufts(pen, horizon, green, rng):
    for _ in range(36):
        x, y = rng.uniform(0, pen.width), rng.uniform(horizon + pen.side * 0.06, pen.height)
        pen.line([(x, y), (x + rng.uniform(-1, 1), y - pen.side * 0.02)], shade(green, rng.uniform(0.75, 1.2)), 0.8)


def lake(pen, horizon, rng):
    hills(pen, horizon, (84, 132, 74), rng)
    for k in range(5):
        x = rng.uniform(0, pen.width)
        pen.oval(x, horizon + pen.side * 0.03, pen.side * 0.06, pen.side * 0.04, shade(FIR, 1.2))
    waves(pen, horizon + pen.side * 0.07, rng, (70, 126, 136))
    for _ in range(9):
        x = rng.choice((rng.uniform(0, 0.12), rng.uniform(0.88, 1.0))) * pen.width
        pen.line(
            [(x, pen.height), (x + rng.uniform(-3, 3), pen.height - pen.side * rng.uniform(0.1, 0.2))],
            shade(LEAF, 0.8),
            1.2,
        )


def meadow(pen, horizon, rng):
    green = (104, 164, 64)
    hills(pen, horizon, green, rng)
    tufts(pen, horizon, green, rng)
    for _ in range(16):
        x, y = rng.uniform(0, pen.width), rng.uniform(horizon + pen.side * 0.1, pen.height)
        pen.oval(x, y, 1.1, 1.1, rng.choice((WHITE, (250, 220, 90), (230, 120, 150))))


def village(pen, horizon, rng):
    hills(pen, horizon, (112, 148, 82), rng)
    x = rng.uniform(-0.1, 0.0) * pen.width
    while x < pen.width:
        w, tall = pen.side * rng.uniform(0.13, 0.2), pen.side * rng.uniform(0.1, 0.15)
        foot = horizon + pen.side * 0.06
        pen.box(x, foot - tall, x + w, foot, rng.choice(((236, 222, 196), (222, 196, 160), (206, 206, 196))))
        pen.polygon(
            [(x - w * 0.1, foot - tall), (x + w / 2, foot - tall * 1.7), (x + w * 1.1, foot - tall)], (166, 84, 62)
        )
        pen.box(x + w * 0.2, foot - tall * 0.7, x + w * 0.4, foot - tall * 0.3, (90, 110, 130))
        pen.light(x + w * 0.3, foot - tall * 0.5, w * 0.09, tall * 0.18)
        x += w * rng.uniform(1.2, 1.9)
    pen.box(0, horizon + pen.side * 0.13, pen.width, pen.height, (186, 168, 138))
    for _ in range(40):
        pen.oval(
            rng.uniform(0, pen.width),
            rng.uniform(horizon + pen.side * 0.15, pen.height),
            1.6,
            0.9,
            shade((186, 168, 138), rng.uniform(0.85, 1.1)),
        )


def mountains(pen, horizon, rng):
    for far in range(2):
        x = rng.uniform(-0.1, 0.1) * pen.width
        while x < pen.width * 1.1:
            w, tall = rng.uniform(0.2, 0.3) * pen.side, rng.uniform(0.16, 0.3) * pen.side * (1 - 0.25 * far)
            top, foot = horizon - tall, horizon + pen.side * 0.05
            pen.polygon([(x - w, foot), (x, top), (x + w, foot)], shade((108, 116, 142), 1.1 - 0.14 * far))
            pen.polygon(
                [
                    (x, top),
                    (x + w * 0.3, top + tall * 0.36),
                    (x + w * 0.08, top + tall * 0.26),
                    (x - w * 0.1, top + tall * 0.38),
                    (x - w * 0.3, top + tall * 0.36),
                ],
                WHITE,
            )
            x += w * rng.uniform(0.9, 1.4)
    hills(pen, horizon, (92, 126, 76), rng)
    for _ in range(10):
        x, y = rng.uniform(0, pen.width), rng.uniform(horizon + pen.side * 0.08, pen.height)
        pen.oval(x, y, pen.side * 0.02, pen.side * 0.012, (140, 140, 138))


def snow(pen, horizon, rng):
    hills(pen, horizon, (214, 224, 238), rng)
    for _ in range(7):
        x, s = rng.uniform(0, pen.width), pen.side * rng.uniform(0.08, 0.13)
        y = horizon + pen.side * 0.07
        for k in range(3):
            w, foot = s * (0.3 - 0.07 * k), y - s * 0.28 * k
            pen.polygon([(x - w, foot), (x + w, foot), (x, foot - s * 0.42)], shade(FIR, 0.9 + 0.12 * k))
    for _ in range(5):
        x, y = rng.uniform(0, pen.width), rng.uniform(horizon + pen.side * 0.15, pen.height)
        pen.oval(x, y, pen.side * 0.16, pen.side * 0.012, (196, 208, 228))


def desert(pen, horizon, rng):
    hills(pen, horizon, (224, 178, 100), rng)
    for _ in range(6):
        x, y = rng.uniform(0, pen.width), rng.uniform(horizon + pen.side * 0.1, pen.height)
        pen.line([(x, y), (x + pen.side * 0.14, y - pen.side * 0.016), (x + pen.side * 0.28, y)], (200, 152, 80), 1.4)
    for _ in range(3):
        x, y, s = rng.uniform(0, pen.width), horizon + pen.side * rng.uniform(0.06, 0.1), pen.side * 0.08
        for part in ([(x, y), (x, y - s)], [(x, y - s * 0.4), (x + s * 0.3, y - s * 0.4), (x + s * 0.3, y - s * 0.75)]):
            pen.line(part, (70, 120, 70), s * 0.16)


def city(pen, horizon, rng):
    x = rng.uniform(-0.1, 0) * pen.width
    while x < pen.width:
        w, top = rng.uniform(0.12, 0.19) * pen.side, horizon - rng.uniform(0.1, 0.26) * pen.side
        wall = shade(
            rng.choice(((168, 120, 104), (150, 148, 146), (188, 174, 150), (122, 132, 150))), rng.uniform(0.85, 1.05)
        )
        pen.box(x, top, x + w, horizon + pen.side * 0.05, wall)
        for column in range(3):
            for row in range(int((horizon - top) / (pen.side * 0.05))):
                cx, cy = x + w * (0.2 + 0.3 * column), top + pen.side * (0.035 + 0.05 * row)
                pen.box(cx - w * 0.09, cy - pen.side * 0.014, cx + w * 0.09, cy + pen.side * 0.014, (92, 108, 126))
                if rng.random() < 0.5:
                    pen.light(cx, cy, w * 0.07, pen.side * 0.011)
        x += w
    pen.box(0, horizon + pen.side * 0.05, pen.width, pen.height, (168, 164, 158))
    road = horizon + pen.side * 0.11
    pen.box(0, road, pen.width, pen.height, (98, 98, 106))
    for k in range(8):
        left = (k + rng.uniform(0, 0.1)) * pen.width / 7
        pen.box(left, pen.height - pen.side * 0.05, left + pen.width / 14, pen.height - pen.side * 0.035, WHITE)


def stadium(pen, horizon, rng):
    stand = horizon - pen.side * 0.1
    pen.box(0, stand, pen.width, horizon + pen.side * 0.06, (96, 104, 124))
    for _ in range(pen.width * 2):
        x, y = rng.uniform(0, pen.width), rng.uniform(stand + 2, horizon + pen.side * 0.05)
        pen.oval(
            x,
            y,
            pen.side * 0.008,
            pen.side * 0.008,
            rng.choice(((210, 90, 80), (230, 210, 110), WHITE, (90, 130, 190), DARK)),
        )
    pen.box(0, horizon + pen.side * 0.05, pen.width, horizon + pen.side * 0.08, WHITE)
    for k in range(9):
        pen.box(
            k * pen.width / 8,
            horizon + pen.side * 0.08,
            (k + 1) * pen.width / 8,
            pen.height,
            (66, 150, 74) if k % 2 else (52, 134, 64),
        )
    pen.ring(*pen.at(0.5, 0.85), pen.side * 0.42, pen.side * 0.12, WHITE, pen.side * 0.008)
