"""People, most of them at sport; the colour is that of what they wear or carry.

Every thing is a function `(pen, x, y, s, colour, rng)`: see `vehicles`.
"""

import math

from .pen import BLACK, DARK, GREY, SKIN, WHITE, WOOD, shade


def head(pen, x, y, s, rng):
    pen.oval(x, y, s * 0.1, s * 0.11, rng.choice((SKIN, shade(SKIN, 0.7), shade(SKIN, 0.5))))
    pen.ring(x, y - s * 0.01, s * 0.1, s * 0.11, rng.choice((BLACK, WOOD)), s * 0.05, 180, 360)


def torso(pen, shoulder, hip, s, colour):
    """A thick shirt from shoulder to hip."""
    pen.line([shoulder, hip], colour, s * 0.28)
    pen.oval(*shoulder, s * 0.14, s * 0.12, colour)
    pen.oval(*hip, s * 0.14, s * 0.1, colour)


def runner(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    pen.line([at(-0.03, 0.42), at(0.22, 0.3), at(0.14, 0.02), at(0.24, 0.02)], DARK, s * 0.1)
    pen.line([at(-0.03, 0.42), at(-0.1, 0.2), at(-0.36, 0.16)], DARK, s * 0.1)
    pen.line([at(0.04, 0.7), at(-0.2, 0.56), at(-0.26, 0.72)], SKIN, s * 0.07)
    torso(pen, at(0.05, 0.7), at(-0.03, 0.46), s, colour)
    pen.line([at(0.05, 0.7), at(0.24, 0.54), at(0.36, 0.66)], SKIN, s * 0.07)
    head(pen, *at(0.1, 0.9), s, rng)


def footballer(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    pen.line([at(-0.08, 0.4), at(-0.14, 0.02)], SKIN, s * 0.1)
    pen.line([at(-0.04, 0.4), at(0.14, 0.26), at(0.26, 0.1)], SKIN, s * 0.1)
    pen.line([at(-0.16, 0.42), at(0.06, 0.42), at(0.08, 0.32)], WHITE, s * 0.14)
    torso(pen, at(-0.08, 0.72), at(-0.06, 0.48), s, colour)
    for reach in (-0.34, 0.2):
        pen.line([at(-0.08, 0.74), at(reach, 0.56)], colour, s * 0.09)
    head(pen, *at(-0.06, 0.91), s, rng)
    ball = at(0.5, 0.13)
    pen.oval(*ball, s * 0.13, s * 0.13, BLACK)
    pen.oval(*ball, s * 0.115, s * 0.115, WHITE)
    pen.oval(*ball, s * 0.05, s * 0.05, BLACK)


def skier(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    for shift in (-0.08, 0.08):
        pen.line(
            [at(-0.5 + shift, 0.1), at(0.45 + shift, 0.0), at(0.55 + shift, 0.06)],
            (220, 60, 50) if shift < 0 else (40, 40, 50),
            s * 0.05,
        )
    pen.line([at(-0.1, 0.42), at(0.14, 0.28), at(0.0, 0.06)], DARK, s * 0.12)
    pen.line([at(0.2, 0.55), at(-0.3, 0.2)], GREY, s * 0.035)
    torso(pen, at(0.1, 0.7), at(-0.08, 0.47), s, colour)
    pen.line([at(0.1, 0.7), at(0.3, 0.5)], colour, s * 0.1)
    pen.line([at(0.3, 0.55), at(0.34, 0.02)], GREY, s * 0.035)
    head(pen, *at(0.18, 0.89), s, rng)
    pen.ring(*at(0.18, 0.91), s * 0.1, s * 0.11, colour, s * 0.09, 180, 360)


def surfer(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    pen.oval(*at(-0.1, 0.06), s * 0.8, s * 0.16, (206, 230, 238))
    pen.polygon([at(-0.6, 0.22), at(0.5, 0.12), at(0.75, 0.26), at(0.45, 0.3), at(-0.55, 0.32)], colour)
    for along in (-0.2, 0.2):
        pen.line([at(along * 0.4, 0.55), at(along * 1.2, 0.4), at(along, 0.27)], (44, 50, 66), s * 0.1)
    torso(pen, at(0.04, 0.76), at(0, 0.57), s * 0.8, (44, 50, 66))
    pen.line([at(-0.34, 0.84), at(0.04, 0.78), at(0.4, 0.7)], SKIN, s * 0.07)
    head(pen, *at(0.08, 0.92), s * 0.85, rng)


def cyclist(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    for along in (-0.34, 0.34):
        pen.ring(*at(along, 0.22), s * 0.22, s * 0.22, BLACK, s * 0.045)
    pen.line([at(-0.34, 0.22), at(-0.14, 0.5), at(0.22, 0.5), at(0.34, 0.22)], shade(colour, 0.8), s * 0.05)
    pen.line([at(-0.14, 0.5), at(0.0, 0.22), at(0.22, 0.5)], shade(colour, 0.8), s * 0.05)
    pen.line([at(-0.14, 0.56), at(0.1, 0.42), at(0.02, 0.18)], DARK, s * 0.1)
    torso(pen, at(0.08, 0.8), at(-0.12, 0.58), s, colour)
    pen.line([at(0.08, 0.8), at(0.3, 0.58)], colour, s * 0.08)
    head(pen, *at(0.2, 0.92), s * 0.9, rng)
    pen.ring(*at(0.2, 0.93), s * 0.1, s * 0.1, colour, s * 0.08, 180, 360)


def umbrella(pen, x, y, s, colour, rng):
    coat = rng.choice((DARK, (70, 76, 96), (92, 84, 76)))
    for way in (-1, 1):
        pen.line([(x, y - s * 0.3), (x + way * s * 0.07, y)], DARK, s * 0.07)
    pen.polygon(
        [
            (x - s * 0.09, y - s * 0.6),
            (x + s * 0.09, y - s * 0.6),
            (x + s * 0.15, y - s * 0.22),
            (x - s * 0.15, y - s * 0.22),
        ],
        coat,
    )
    head(pen, x, y - s * 0.66, s * 0.75, rng)
    pen.line([(x + s * 0.12, y - s * 0.4), (x + s * 0.04, y - s)], DARK, s * 0.03)
    arch = [
        (x + s * 0.04 + s * 0.46 * math.cos(a), y - s * 0.68 - s * 0.3 * math.sin(a))
        for a in [k * math.pi / 12 for k in range(13)]
    ]
    pen.polygon(arch, colour)
    for k in (3, 6, 9):
        pen.line([arch[k], (x + s * 0.04, y - s * 0.68)], shade(colour, 0.75), s * 0.02)
