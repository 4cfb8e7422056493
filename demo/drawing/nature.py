"""Plants, animals and people.

Every thing is a function `(pen, x, y, s, colour, rng)`: `x`, `y` is where it stands (the middle of its foot), `s` its
height, both in pixels of the finished picture; `colour` is its RGB colour; `rng` decides what the caller does not.
"""

import math

from .pen import BLACK, DARK, GREY, LIGHT, WHITE, WOOD, SKIN, LEAF, FIR, GOLD, shade


def tree(pen, x, y, s, colour, rng):
    leaf = rng.choice((LEAF, shade(LEAF, 0.8), shade(LEAF, 1.2), (176, 128, 40), (186, 84, 36)))
    pen.polygon([(x - s * 0.06, y), (x + s * 0.06, y), (x + s * 0.03, y - s * 0.5), (x - s * 0.03, y - s * 0.5)], WOOD)
    for k in range(7):
        a = k * math.tau / 7
        pen.oval(
            x + s * 0.2 * math.cos(a),
            y - s * 0.66 + s * 0.17 * math.sin(a),
            s * 0.18,
            s * 0.16,
            shade(leaf, rng.uniform(0.8, 1.15)),
        )
    pen.oval(x, y - s * 0.68, s * 0.2, s * 0.18, leaf)


def fir(pen, x, y, s, colour, rng):
    pen.box(x - s * 0.04, y - s * 0.15, x + s * 0.04, y, WOOD)
    for k in range(4):
        w, foot = s * (0.28 - 0.055 * k), y - s * (0.12 + 0.2 * k)
        pen.polygon([(x - w, foot), (x + w, foot), (x, foot - s * 0.32)], shade(FIR, 0.85 + 0.1 * k))


def palm(pen, x, y, s, colour, rng):
    lean = rng.uniform(-0.2, 0.2) * s
    pen.line([(x, y), (x + lean * 0.3, y - s * 0.4), (x + lean, y - s * 0.75)], WOOD, s * 0.06)
    for k in range(7):
        a = math.pi * (0.05 + 0.15 * k)
        end = (x + lean + s * 0.38 * math.cos(a), y - s * 0.7 - s * 0.22 * math.sin(a))
        low = (end[0] + s * 0.1 * math.cos(a), end[1] + s * 0.16)
        pen.line([(x + lean, y - s * 0.75), end, low], shade(LEAF, rng.uniform(0.7, 1.1)), s * 0.05)


def cactus(pen, x, y, s, colour, rng):
    green = (62, 118, 66)
    pen.line([(x, y), (x, y - s * 0.95)], green, s * 0.16)
    pen.oval(x, y - s * 0.95, s * 0.08, s * 0.08, green)
    for way, foot in ((-1, 0.35), (1, 0.5)):
        pen.line(
            [(x, y - s * foot), (x + way * s * 0.25, y - s * foot), (x + way * s * 0.25, y - s * (foot + 0.3))],
            green,
            s * 0.1,
        )


def flower(pen, x, y, s, colour, rng):
    pen.line([(x, y), (x + rng.uniform(-0.08, 0.08) * s, y - s * 0.7)], LEAF, s * 0.06)
    pen.oval(x + s * 0.12, y - s * 0.3, s * 0.13, s * 0.05, LEAF)
    for k in range(6):
        a = k * math.tau / 6
        pen.oval(x + s * 0.17 * math.cos(a), y - s * 0.75 + s * 0.17 * math.sin(a), s * 0.13, s * 0.13, colour)
    pen.oval(x, y - s * 0.75, s * 0.1, s * 0.1, GOLD)


def duck(pen, x, y, s, colour, rng):
    pen.oval(x, y - s * 0.3, s * 0.55, s * 0.3, colour)
    pen.polygon([(x - s * 0.5, y - s * 0.35), (x - s * 0.75, y - s * 0.6), (x - s * 0.3, y - s * 0.5)], colour)
    pen.oval(x + s * 0.42, y - s * 0.75, s * 0.22, s * 0.22, shade(colour, 0.85))
    pen.polygon([(x + s * 0.6, y - s * 0.8), (x + s * 0.9, y - s * 0.7), (x + s * 0.6, y - s * 0.64)], GOLD)
    pen.oval(x + s * 0.48, y - s * 0.8, s * 0.04, s * 0.04, BLACK)


def fish(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    y -= s * 0.5
    pen.oval(x, y, s, s * 0.45, colour)
    pen.polygon([(x - way * s * 0.8, y), (x - way * s * 1.4, y - s * 0.5), (x - way * s * 1.4, y + s * 0.5)], colour)
    pen.polygon(
        [(x, y - s * 0.4), (x - way * s * 0.4, y - s * 0.75), (x - way * s * 0.5, y - s * 0.3)], shade(colour, 0.8)
    )
    pen.oval(x + way * s * 0.6, y - s * 0.1, s * 0.13, s * 0.13, WHITE)
    pen.oval(x + way * s * 0.62, y - s * 0.1, s * 0.06, s * 0.06, BLACK)


def bird(pen, x, y, s, colour, rng):
    lift = rng.uniform(0.15, 0.5)
    for way in (-1, 1):
        pen.line(
            [(x, y), (x + way * s * 0.5, y - s * lift), (x + way * s, y - s * lift * 0.6)], colour, max(1, s * 0.12)
        )
    pen.oval(x, y, s * 0.16, s * 0.12, colour)


def beast(pen, x, y, s, coat, rng, *, long, neck, spots=None, woolly=False, ears=0.1, tail=0.4):
    """Four legs, a body of length `long`, a head `neck` above it; all in parts of the height."""
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    for along in (-0.8, -0.5, 0.5, 0.8):
        pen.line(
            [at(along * long / 2, 0.45), at(along * long / 2, 0)], shade(coat, 0.7) if not woolly else DARK, s * 0.09
        )
    pen.line([at(-long / 2, 0.6), at(-long / 2 - 0.12, 0.6 - tail / 2)], shade(coat, 0.7), s * 0.05)
    pen.oval(*at(0, 0.52), s * long / 2, s * 0.22, coat)
    if woolly:
        for k in range(9):
            a = k * math.tau / 9
            pen.oval(
                *at(long * 0.42 * math.cos(a), 0.55 + 0.14 * math.sin(a)),
                s * 0.15,
                s * 0.14,
                shade(coat, rng.uniform(0.92, 1.0)),
            )
    for _ in range(5 if spots else 0):
        pen.oval(*at(rng.uniform(-0.35, 0.35) * long, rng.uniform(0.42, 0.65)), s * 0.1, s * 0.07, spots)
    head = (long / 2 + 0.12, 0.62 + neck)
    pen.line([at(long / 2 - 0.12, 0.58), at(*head)], coat, s * 0.18)
    face = DARK if woolly else coat
    pen.oval(*at(*head), s * 0.17, s * 0.14, face)
    pen.oval(*at(head[0] + 0.14, head[1] - 0.05), s * 0.1, s * 0.08, shade(face, 0.85))
    pen.polygon(
        [
            at(head[0] - 0.12, head[1] + 0.06),
            at(head[0] - 0.1, head[1] + 0.12 + ears),
            at(head[0] + 0.02, head[1] + 0.1),
        ],
        shade(face, 0.75),
    )
    pen.oval(*at(head[0] + 0.04, head[1] + 0.04), s * 0.025, s * 0.025, BLACK)


def cow(pen, x, y, s, colour, rng):
    coat, spots = rng.choice(((WHITE, BLACK), (WHITE, (120, 70, 40)), ((140, 86, 52), WHITE)))
    beast(pen, x, y, s, coat, rng, long=1.2, neck=0.1, spots=spots)


def sheep(pen, x, y, s, colour, rng):
    beast(pen, x, y, s, (238, 234, 222), rng, long=0.95, neck=0.05, woolly=True, tail=0.1)


def horse(pen, x, y, s, colour, rng):
    beast(pen, x, y, s, rng.choice(((96, 58, 36), (60, 44, 38), (206, 196, 182))), rng, long=1.0, neck=0.32, tail=0.8)


def dog(pen, x, y, s, colour, rng):
    beast(
        pen, x, y, s, rng.choice(((150, 104, 62), (70, 60, 54), (214, 190, 150))), rng, long=0.95, neck=0.2, tail=-0.5
    )


def cat(pen, x, y, s, colour, rng):
    coat = rng.choice(((222, 140, 62), (92, 92, 96), (40, 38, 40), (232, 226, 214)))
    pen.line([(x + s * 0.2, y - s * 0.08), (x + s * 0.5, y - s * 0.1), (x + s * 0.5, y - s * 0.4)], coat, s * 0.09)
    pen.oval(x, y - s * 0.28, s * 0.26, s * 0.3, coat)
    pen.oval(x, y - s * 0.68, s * 0.23, s * 0.2, coat)
    for way in (-1, 1):
        pen.polygon(
            [(x + way * s * 0.22, y - s * 0.72), (x + way * s * 0.19, y - s), (x + way * s * 0.05, y - s * 0.84)], coat
        )
        pen.oval(x + way * s * 0.09, y - s * 0.7, s * 0.05, s * 0.055, (150, 200, 90))
        pen.oval(x + way * s * 0.09, y - s * 0.7, s * 0.018, s * 0.05, BLACK)
        pen.line([(x, y - s * 0.6), (x + way * s * 0.32, y - s * 0.57)], LIGHT, 0.5)
    pen.oval(x, y - s * 0.62, s * 0.03, s * 0.02, (220, 130, 130))


def person(pen, x, y, s, colour, rng):
    for way in (-1, 1):
        pen.line([(x, y - s * 0.42), (x + way * s * rng.uniform(0.05, 0.14), y)], DARK, s * 0.09)
        pen.line([(x, y - s * 0.7), (x + way * s * 0.2, y - s * rng.uniform(0.4, 0.85))], colour, s * 0.07)
    pen.polygon(
        [
            (x - s * 0.12, y - s * 0.76),
            (x + s * 0.12, y - s * 0.76),
            (x + s * 0.13, y - s * 0.38),
            (x - s * 0.13, y - s * 0.38),
        ],
        colour,
    )
    pen.oval(x, y - s * 0.88, s * 0.1, s * 0.11, rng.choice((SKIN, shade(SKIN, 0.7), shade(SKIN, 0.5))))
    pen.ring(x, y - s * 0.89, s * 0.1, s * 0.11, rng.choice((BLACK, WOOD, GOLD)), s * 0.05, 180, 360)


def umbrella(pen, x, y, s, colour, rng):
    person(pen, x, y, s * 0.8, rng.choice((DARK, GREY, (70, 80, 120))), rng)
    pen.line([(x + s * 0.12, y - s * 0.4), (x + s * 0.12, y - s * 0.9)], DARK, s * 0.03)
    pen.polygon(
        [
            (x + s * 0.12 + s * 0.42 * math.cos(a), y - s * 0.72 - s * 0.28 * math.sin(a))
            for a in [k * math.pi / 12 for k in range(13)]
        ],
        colour,
    )
