"""Animals; the colour is that of their coat.

Every thing is a function `(pen, x, y, s, colour, rng)`: see `vehicles`.
"""

import math

from .pen import BLACK, DARK, GOLD, LIGHT, WHITE, shade


def beast(pen, x, y, s, coat, rng, *, long, neck, woolly=False, ears=0.1, tail=0.4, humps=0):
    """Four legs, a body of length `long`, a head `neck` above it; all in parts of the height. Returns its `at`."""
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    legs, face = (DARK, DARK) if woolly else (shade(coat, 0.7), coat)
    for along in (-0.8, -0.5, 0.5, 0.8):
        pen.line([at(along * long / 2, 0.45), at(along * long / 2, 0)], legs, s * 0.09)
    pen.line([at(-long / 2, 0.6), at(-long / 2 - 0.12, 0.6 - tail / 2)], shade(coat, 0.7), s * 0.06)
    pen.oval(*at(0, 0.52), s * long / 2, s * 0.22, coat)
    for k in range(humps):
        pen.oval(*at(long * (0.2 - 0.4 * k), 0.74), s * 0.15, s * 0.17, shade(coat, 0.92))
    for k in range(9 if woolly else 0):
        a = k * math.tau / 9
        where = at(long * 0.42 * math.cos(a), 0.55 + 0.14 * math.sin(a))
        pen.oval(*where, s * 0.15, s * 0.14, shade(coat, rng.uniform(0.9, 1.0)))
    up, along = 0.62 + neck, long / 2 + 0.12
    pen.line([at(long / 2 - 0.12, 0.58), at(along, up)], coat, s * 0.18)
    pen.oval(*at(along, up), s * 0.17, s * 0.14, face)
    pen.oval(*at(along + 0.14, up - 0.05), s * 0.1, s * 0.08, shade(face, 0.85))
    pen.polygon(
        [at(along - 0.12, up + 0.06), at(along - 0.1, up + 0.12 + ears), at(along + 0.02, up + 0.1)], shade(face, 0.75)
    )
    pen.oval(*at(along + 0.04, up + 0.04), s * 0.03, s * 0.03, WHITE if sum(face) < 150 else BLACK)
    return at


def cow(pen, x, y, s, colour, rng):
    at = beast(pen, x, y, s, colour, rng, long=1.25, neck=0.1, ears=0.03)
    for along, up, size in ((-0.3, 0.58, 0.13), (0.05, 0.48, 0.1), (0.32, 0.6, 0.09)):
        pen.oval(*at(along, up), s * size, s * size * 0.75, DARK if sum(colour) > 600 else WHITE)
    pen.oval(*at(-0.32, 0.3), s * 0.1, s * 0.07, (236, 170, 170))
    for along in (0.66, 0.8):
        pen.line([at(along, 0.84), at(along + 0.04, 0.97)], LIGHT, s * 0.05)


def sheep(pen, x, y, s, colour, rng):
    beast(pen, x, y, s, colour, rng, long=0.95, neck=0.05, woolly=True, ears=-0.02, tail=0.1)


def horse(pen, x, y, s, colour, rng):
    at = beast(pen, x, y, s, colour, rng, long=0.9, neck=0.3, tail=0.9)
    pen.line([at(0.3, 0.68), at(0.44, 0.98)], shade(colour, 0.5), s * 0.09)


def dog(pen, x, y, s, colour, rng):
    at = beast(pen, x, y, s, colour, rng, long=0.85, neck=0.16, ears=-0.15, tail=-0.6)
    pen.line([at(0.38, 0.55), at(0.5, 0.66)], (214, 40, 44), s * 0.06)
    pen.oval(*at(0.78, 0.74), s * 0.05, s * 0.05, BLACK)


def camel(pen, x, y, s, colour, rng):
    beast(pen, x, y, s, colour, rng, long=0.95, neck=0.28, ears=0.0, tail=0.4, humps=2)


def cat(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    pen.line(
        [(x + way * s * 0.2, y - s * 0.08), (x + way * s * 0.5, y - s * 0.1), (x + way * s * 0.5, y - s * 0.45)],
        shade(colour, 0.85),
        s * 0.1,
    )
    pen.oval(x, y - s * 0.28, s * 0.27, s * 0.3, colour)
    pen.oval(x, y - s * 0.68, s * 0.25, s * 0.21, colour)
    for way in (-1, 1):
        pen.polygon(
            [(x + way * s * 0.24, y - s * 0.72), (x + way * s * 0.21, y - s), (x + way * s * 0.05, y - s * 0.84)],
            shade(colour, 0.9),
        )
        pen.oval(x + way * s * 0.1, y - s * 0.7, s * 0.06, s * 0.065, (120, 200, 80))
        pen.oval(x + way * s * 0.1, y - s * 0.7, s * 0.02, s * 0.055, BLACK)
        pen.line([(x, y - s * 0.6), (x + way * s * 0.34, y - s * 0.57)], LIGHT, 0.5)
        pen.oval(x + way * s * 0.12, y - s * 0.04, s * 0.1, s * 0.05, shade(colour, 0.85))
    pen.oval(x, y - s * 0.61, s * 0.035, s * 0.025, (230, 120, 130))


def duck(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    pen.oval(*at(0, 0.02), s * 0.75, s * 0.08, (150, 190, 214))
    pen.oval(*at(0, 0.3), s * 0.55, s * 0.3, colour)
    pen.polygon([at(-0.4, 0.3), at(-0.75, 0.6), at(-0.3, 0.52)], colour)
    pen.oval(*at(-0.05, 0.34), s * 0.28, s * 0.15, shade(colour, 0.82))
    pen.oval(*at(0.42, 0.75), s * 0.22, s * 0.23, colour)
    pen.polygon(
        [at(0.6, 0.82), at(0.92, 0.7), at(0.6, 0.62)], GOLD if colour[1] < 200 or colour[2] > 200 else (236, 110, 40)
    )
    pen.oval(*at(0.48, 0.8), s * 0.05, s * 0.05, BLACK if sum(colour) > 150 else WHITE)
