"""What people make: boats, balloons, buildings, vehicles, what stands on a table.

Every thing is a function `(pen, x, y, s, colour, rng)`: `x`, `y` is where it stands (the middle of its foot), `s` its
height, both in pixels of the finished picture; `colour` is its RGB colour; `rng` decides what the caller does not.
"""

import math

from .pen import BLACK, DARK, GREY, LIGHT, WHITE, WOOD, LEAF, GOLD, WATER, shade
from .nature import flower


def sailing_boat(pen, x, y, s, colour, rng):
    pen.line([(x, y - s * 0.1), (x, y - s)], WOOD, s * 0.03)
    pen.polygon([(x + s * 0.03, y - s * 0.97), (x + s * 0.03, y - s * 0.25), (x + s * 0.42, y - s * 0.25)], WHITE)
    pen.polygon([(x - s * 0.03, y - s * 0.9), (x - s * 0.03, y - s * 0.25), (x - s * 0.3, y - s * 0.25)], LIGHT)
    pen.polygon([(x - s * 0.42, y - s * 0.2), (x + s * 0.5, y - s * 0.2), (x + s * 0.32, y), (x - s * 0.3, y)], colour)


def ship(pen, x, y, s, colour, rng):
    pen.box(x - s * 0.5, y - s * 0.62, x + s * 0.4, y - s * 0.35, WHITE)
    for k in range(5):
        pen.oval(x - s * 0.4 + k * s * 0.17, y - s * 0.48, s * 0.04, s * 0.04, DARK)
    pen.box(x - s * 0.1, y - s, x + s * 0.1, y - s * 0.6, shade(colour, 0.8))
    pen.box(x - s * 0.1, y - s * 0.92, x + s * 0.1, y - s * 0.84, WHITE)
    pen.polygon([(x - s * 0.9, y - s * 0.4), (x + s, y - s * 0.4), (x + s * 0.75, y), (x - s * 0.75, y)], colour)
    for k in range(4):
        pen.oval(x + k * s * 0.16, y - s * 1.1 - k * s * 0.07, s * (0.07 + 0.03 * k), s * (0.05 + 0.02 * k), GREY)


def balloon(pen, x, y, s, colour, rng):
    pen.polygon(
        [
            (x - s * 0.3, y - s * 0.5),
            (x + s * 0.3, y - s * 0.5),
            (x + s * 0.08, y - s * 0.18),
            (x - s * 0.08, y - s * 0.18),
        ],
        shade(colour, 0.75),
    )
    pen.oval(x, y - s * 0.65, s * 0.36, s * 0.36, colour)
    pen.oval(x, y - s * 0.65, s * 0.2, s * 0.36, rng.choice((WHITE, GOLD, shade(colour, 0.6))))
    pen.oval(x, y - s * 0.65, s * 0.08, s * 0.36, colour)
    pen.box(x - s * 0.08, y - s * 0.12, x + s * 0.08, y, WOOD)


def aeroplane(pen, x, y, s, colour, rng):
    pen.polygon(
        [
            (x - s * 1.2, y - s * 0.1),
            (x - s * 1.45, y - s * 0.55),
            (x - s * 1.15, y - s * 0.5),
            (x - s * 0.8, y - s * 0.1),
        ],
        colour,
    )
    pen.oval(x, y, s * 1.3, s * 0.2, WHITE)
    pen.polygon([(x + s * 0.3, y), (x - s * 0.2, y), (x - s * 0.75, y + s * 0.6), (x - s * 0.5, y + s * 0.6)], colour)
    for k in range(7):
        pen.oval(x - s * 0.7 + k * s * 0.22, y - s * 0.06, s * 0.05, s * 0.05, DARK)


def kite(pen, x, y, s, colour, rng):
    pen.line([(x, y), (x - s * 0.3, y + s * 0.6), (x + s * 0.2, y + s * 1.2), (x - s * 0.2, y + s * 2)], DARK, 0.6)
    pen.polygon([(x, y - s), (x + s * 0.5, y - s * 0.45), (x, y + s * 0.3), (x - s * 0.5, y - s * 0.45)], colour)
    pen.polygon([(x, y - s), (x + s * 0.5, y - s * 0.45), (x, y - s * 0.45)], GOLD)


def rocket(pen, x, y, s, colour, rng):
    for k in range(6):
        pen.oval(x + rng.uniform(-0.2, 0.2) * s, y + k * s * 0.1, s * (0.1 + 0.05 * k), s * 0.1, LIGHT)
    pen.polygon([(x - s * 0.1, y), (x + s * 0.1, y), (x, y + s * 0.35)], GOLD)
    pen.polygon([(x - s * 0.28, y), (x - s * 0.1, y - s * 0.4), (x + s * 0.1, y - s * 0.4), (x + s * 0.28, y)], colour)
    pen.box(x - s * 0.12, y - s * 0.75, x + s * 0.12, y, WHITE)
    pen.polygon([(x - s * 0.12, y - s * 0.75), (x, y - s), (x + s * 0.12, y - s * 0.75)], colour)
    pen.oval(x, y - s * 0.55, s * 0.06, s * 0.06, WATER)


def windows(pen, left, top, right, bottom, columns, rows, rng, lit=0.4):
    wide, high = (right - left) / columns, (bottom - top) / rows
    for column in range(columns):
        for row in range(rows):
            x, y = left + (column + 0.5) * wide, top + (row + 0.5) * high
            pen.box(x - wide * 0.27, y - high * 0.3, x + wide * 0.27, y + high * 0.3, (96, 128, 152))
            if rng.random() < lit:
                pen.light(x, y, wide * 0.22, high * 0.24)


def house(pen, x, y, s, colour, rng):
    w, wall = s * rng.uniform(0.42, 0.6), y - s * 0.62
    pen.box(x - w, wall, x + w, y, colour)
    pen.polygon(
        [(x - w * 1.15, wall), (x - w * 0.15, y - s), (x + w * 0.15, y - s), (x + w * 1.15, wall)],
        rng.choice(((150, 66, 48), (96, 62, 56), DARK)),
    )
    pen.box(x + w * 0.5, y - s * 1.02, x + w * 0.68, y - s * 0.75, (140, 80, 66))
    windows(pen, x - w, wall, x + w * 0.25, y - s * 0.12, 2, 1, rng)
    pen.box(x + w * 0.35, y - s * 0.4, x + w * 0.7, y, WOOD)


def tower_block(pen, x, y, s, colour, rng):
    w = s * rng.uniform(0.16, 0.26)
    pen.box(x - w, y - s, x + w, y, shade(colour, 0.4 + 0.5 * rng.random()))
    windows(pen, x - w, y - s, x + w, y - s * 0.1, rng.randint(2, 4), rng.randint(5, 9), rng)


def church(pen, x, y, s, colour, rng):
    pen.box(x - s * 0.1, y - s * 0.42, x + s * 0.5, y, colour)
    pen.polygon(
        [(x - s * 0.1, y - s * 0.42), (x, y - s * 0.6), (x + s * 0.45, y - s * 0.6), (x + s * 0.55, y - s * 0.42)],
        (128, 60, 50),
    )
    pen.box(x - s * 0.34, y - s * 0.65, x - s * 0.08, y, shade(colour, 0.9))
    pen.polygon([(x - s * 0.38, y - s * 0.65), (x - s * 0.21, y - s), (x - s * 0.04, y - s * 0.65)], DARK)
    pen.oval(x - s * 0.21, y - s * 0.52, s * 0.07, s * 0.07, WHITE)
    windows(pen, x - s * 0.06, y - s * 0.36, x + s * 0.48, y - s * 0.08, 3, 1, rng)


def lighthouse(pen, x, y, s, colour, rng):
    edge = lambda part: s * (0.15 - 0.07 * part)
    pen.oval(x, y, s * 0.5, s * 0.09, (104, 98, 90))
    for k in range(5):
        low, high = k / 6, (k + 1) / 6
        band = colour if k % 2 == 0 else WHITE
        pen.polygon(
            [
                (x - edge(low), y - s * low),
                (x + edge(low), y - s * low),
                (x + edge(high), y - s * high),
                (x - edge(high), y - s * high),
            ],
            band,
        )
    pen.box(x - s * 0.1, y - s * 0.86, x + s * 0.1, y - s * 0.83, DARK)
    pen.polygon([(x - s * 0.09, y - s * 0.93), (x, y - s), (x + s * 0.09, y - s * 0.93)], DARK)
    pen.light(x, y - s * 0.88, s * 0.05, s * 0.05)


def windmill(pen, x, y, s, colour, rng):
    pen.polygon(
        [(x - s * 0.2, y), (x + s * 0.2, y), (x + s * 0.11, y - s * 0.65), (x - s * 0.11, y - s * 0.65)], colour
    )
    pen.polygon([(x - s * 0.14, y - s * 0.65), (x, y - s * 0.78), (x + s * 0.14, y - s * 0.65)], DARK)
    turn = rng.uniform(0, math.pi / 2)
    for k in range(4):
        a = turn + k * math.pi / 2
        tip, side = (
            (x + s * 0.4 * math.cos(a), y - s * 0.65 + s * 0.4 * math.sin(a)),
            (-math.sin(a) * s * 0.09, math.cos(a) * s * 0.09),
        )
        pen.polygon(
            [(x, y - s * 0.65), tip, (tip[0] + side[0], tip[1] + side[1]), (x + side[0], y - s * 0.65 + side[1])], LIGHT
        )
        pen.line([(x, y - s * 0.65), tip], WOOD, s * 0.02)


def bridge(pen, x, y, s, colour, rng):
    left, right, deck = 0, pen.width, y - s * 0.45
    for tower in (pen.width * 0.28, pen.width * 0.72):
        pen.box(tower - s * 0.05, y - s, tower + s * 0.05, y, colour)
        for reach in range(1, 8):
            for way in (-1, 1):
                pen.line(
                    [(tower, y - s * 0.97), (tower + way * reach * pen.width * 0.034, deck)], shade(colour, 0.8), 0.6
                )
    pen.box(left, deck, right, deck + s * 0.08, shade(colour, 0.7))


def wheel(pen, x, y, r):
    pen.oval(x, y - r, r, r, BLACK)
    pen.oval(x, y - r, r * 0.5, r * 0.5, GREY)


def car(pen, x, y, s, colour, rng):
    pen.polygon(
        [(x - s * 0.6, y - s * 0.55), (x - s * 0.4, y - s), (x + s * 0.35, y - s), (x + s * 0.7, y - s * 0.55)],
        shade(colour, 0.85),
    )
    pen.polygon(
        [
            (x - s * 0.48, y - s * 0.58),
            (x - s * 0.33, y - s * 0.9),
            (x - s * 0.03, y - s * 0.9),
            (x - s * 0.03, y - s * 0.58),
        ],
        (170, 200, 220),
    )
    pen.polygon(
        [
            (x + s * 0.05, y - s * 0.58),
            (x + s * 0.05, y - s * 0.9),
            (x + s * 0.3, y - s * 0.9),
            (x + s * 0.52, y - s * 0.58),
        ],
        (170, 200, 220),
    )
    pen.box(x - s, y - s * 0.58, x + s * 1.05, y - s * 0.18, colour)
    pen.light(x + s, y - s * 0.42, s * 0.07, s * 0.07)
    for at in (-0.6, 0.6):
        wheel(pen, x + at * s, y, s * 0.22)


def bus(pen, x, y, s, colour, rng):
    pen.box(x - s * 1.2, y - s, x + s * 1.2, y - s * 0.15, colour)
    for k in range(5):
        pen.box(x - s * 1.1 + k * s * 0.45, y - s * 0.88, x - s * 0.75 + k * s * 0.45, y - s * 0.52, (176, 206, 222))
    pen.box(x - s * 1.2, y - s * 0.45, x + s * 1.2, y - s * 0.38, WHITE)
    pen.light(x + s * 1.17, y - s * 0.3, s * 0.05, s * 0.06)
    for at in (-0.75, 0.75):
        wheel(pen, x + at * s, y, s * 0.18)


def bicycle(pen, x, y, s, colour, rng):
    r = s * 0.36
    left, right, seat, bar, crank = (
        (x - s * 0.55, y - r),
        (x + s * 0.55, y - r),
        (x - s * 0.2, y - s * 0.85),
        (x + s * 0.38, y - s * 0.85),
        (x - s * 0.05, y - r),
    )
    for centre in (left, right):
        pen.ring(*centre, r, r, BLACK, s * 0.05)
    for line in ([left, seat, crank, left], [seat, bar, crank], [right, bar, (bar[0] - s * 0.05, y - s)]):
        pen.line(line, colour, s * 0.06)
    pen.line([(seat[0] - s * 0.12, seat[1] - s * 0.04), (seat[0] + s * 0.1, seat[1] - s * 0.04)], BLACK, s * 0.07)


def tractor(pen, x, y, s, colour, rng):
    pen.box(x - s * 0.1, y - s * 0.65, x + s * 0.75, y - s * 0.25, colour)
    pen.box(x - s * 0.5, y - s, x + s * 0.05, y - s * 0.35, shade(colour, 0.8))
    pen.box(x - s * 0.42, y - s * 0.92, x - s * 0.03, y - s * 0.6, (176, 206, 222))
    pen.line([(x + s * 0.5, y - s * 0.6), (x + s * 0.5, y - s * 0.95)], DARK, s * 0.06)
    wheel(pen, x - s * 0.35, y, s * 0.32)
    wheel(pen, x + s * 0.6, y, s * 0.2)


def apple(pen, x, y, s, colour, rng):
    pen.oval(x - s * 0.16, y - s * 0.42, s * 0.32, s * 0.42, colour)
    pen.oval(x + s * 0.16, y - s * 0.42, s * 0.32, s * 0.42, colour)
    pen.oval(x - s * 0.2, y - s * 0.58, s * 0.08, s * 0.1, shade(colour, 1.5))
    pen.line([(x, y - s * 0.78), (x + s * 0.06, y - s)], WOOD, s * 0.06)
    pen.oval(x + s * 0.2, y - s * 0.92, s * 0.14, s * 0.06, LEAF)


def cup(pen, x, y, s, colour, rng):
    pen.oval(x, y - s * 0.03, s * 0.75, s * 0.1, WHITE)
    pen.ring(x + s * 0.42, y - s * 0.42, s * 0.22, s * 0.2, colour, s * 0.08)
    pen.polygon(
        [
            (x - s * 0.45, y - s * 0.75),
            (x + s * 0.45, y - s * 0.75),
            (x + s * 0.3, y - s * 0.05),
            (x - s * 0.3, y - s * 0.05),
        ],
        colour,
    )
    pen.oval(x, y - s * 0.75, s * 0.45, s * 0.1, shade(colour, 0.8))
    pen.oval(x, y - s * 0.74, s * 0.38, s * 0.07, (72, 44, 28))
    for k in (-1, 1):
        pen.line(
            [(x + k * s * 0.12, y - s * 0.85), (x + k * s * 0.2, y - s * 1.05), (x + k * s * 0.08, y - s * 1.25)],
            LIGHT,
            0.8,
        )


def vase(pen, x, y, s, colour, rng):
    for k in range(5):
        flower(
            pen,
            x + (k - 2) * s * 0.13,
            y - s * 0.4,
            s * (0.55 - 0.05 * abs(k - 2)),
            rng.choice(((214, 60, 70), GOLD, (150, 80, 180), WHITE)),
            rng,
        )
    pen.polygon(
        [
            (x - s * 0.13, y - s * 0.5),
            (x + s * 0.13, y - s * 0.5),
            (x + s * 0.24, y - s * 0.2),
            (x + s * 0.15, y),
            (x - s * 0.15, y),
            (x - s * 0.24, y - s * 0.2),
        ],
        colour,
    )


def cake(pen, x, y, s, colour, rng):
    pen.oval(x, y - s * 0.03, s * 0.95, s * 0.1, LIGHT)
    pen.box(x - s * 0.75, y - s * 0.55, x + s * 0.75, y - s * 0.05, colour)
    pen.box(x - s * 0.75, y - s * 0.6, x + s * 0.75, y - s * 0.42, WHITE)
    for k in range(9):
        pen.oval(x - s * 0.68 + k * s * 0.17, y - s * 0.42, s * 0.085, s * rng.uniform(0.06, 0.15), WHITE)
    for k in range(5):
        pen.line(
            [(x - s * 0.5 + k * s * 0.25, y - s * 0.6), (x - s * 0.5 + k * s * 0.25, y - s * 0.85)],
            (90, 150, 200),
            s * 0.05,
        )
        pen.light(x - s * 0.5 + k * s * 0.25, y - s * 0.92, s * 0.04, s * 0.07)


def book(pen, x, y, s, colour, rng):
    pen.polygon([(x - s * 0.7, y), (x + s * 0.6, y), (x + s * 0.8, y - s * 0.35), (x - s * 0.5, y - s * 0.35)], colour)
    pen.polygon(
        [
            (x - s * 0.6, y - s * 0.06),
            (x + s * 0.02, y - s * 0.02),
            (x + s * 0.14, y - s * 0.4),
            (x - s * 0.42, y - s * 0.42),
        ],
        WHITE,
    )
    pen.polygon(
        [
            (x + s * 0.02, y - s * 0.02),
            (x + s * 0.58, y - s * 0.06),
            (x + s * 0.74, y - s * 0.42),
            (x + s * 0.14, y - s * 0.4),
        ],
        (232, 230, 222),
    )
