"""What moves people: on water, in the air and on roads; and the tents they sleep in.

Every thing is a function `(pen, x, y, s, colour, rng)`: `x`, `y` is where it stands (the middle of its foot), `s` its
height, both in pixels of the finished picture; `colour` is its RGB colour; `rng` decides what the caller does not.
"""

from .pen import BLACK, DARK, GLASS, GOLD, GREY, LIGHT, WHITE, WOOD, shade


def sailing_boat(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    pen.line([(x, y - s * 0.1), (x, y - s)], WOOD, s * 0.03)
    pen.polygon(
        [(x + way * s * 0.03, y - s * 0.98), (x + way * s * 0.03, y - s * 0.24), (x + way * s * 0.42, y - s * 0.24)],
        colour,
    )
    pen.polygon(
        [(x - way * s * 0.03, y - s * 0.9), (x - way * s * 0.03, y - s * 0.24), (x - way * s * 0.3, y - s * 0.24)],
        shade(colour, 0.82),
    )
    pen.polygon([(x - s * 0.42, y - s * 0.2), (x + s * 0.46, y - s * 0.2), (x + s * 0.32, y), (x - s * 0.3, y)], colour)
    pen.box(x - s * 0.41, y - s * 0.2, x + s * 0.44, y - s * 0.16, WHITE if sum(colour) < 600 else DARK)


def ship(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    pen.polygon([at(-0.95, 0.42), at(1.05, 0.5), at(0.8, 0), at(-0.8, 0)], colour)
    for k, crate in enumerate(((196, 84, 60), (90, 130, 150), (210, 176, 90), (110, 140, 96))):
        pen.polygon(
            [
                at(-0.25 + k * 0.26, 0.42),
                at(k * 0.26 - 0.01, 0.42),
                at(k * 0.26 - 0.01, 0.62),
                at(-0.25 + k * 0.26, 0.62),
            ],
            crate,
        )
    pen.polygon([at(-0.85, 0.4), at(-0.35, 0.4), at(-0.35, 0.82), at(-0.85, 0.82)], WHITE)
    for k in range(3):
        pen.oval(*at(-0.76 + k * 0.16, 0.68), s * 0.05, s * 0.05, DARK)
    pen.polygon([at(-0.72, 0.82), at(-0.48, 0.82), at(-0.5, 1.04), at(-0.7, 1.04)], colour)


def rowing_boat(pen, x, y, s, colour, rng):
    for way in (-1, 1):
        pen.line([(x + way * s * 0.1, y - s * 0.45), (x + way * s * 0.85, y - s * 0.02)], WOOD, s * 0.05)
    pen.polygon(
        [
            (x - s * 0.14, y - s * 0.75),
            (x + s * 0.14, y - s * 0.75),
            (x + s * 0.18, y - s * 0.3),
            (x - s * 0.18, y - s * 0.3),
        ],
        (90, 96, 110),
    )
    pen.oval(x, y - s * 0.88, s * 0.12, s * 0.13, (214, 170, 136))
    pen.polygon(
        [(x - s * 0.85, y - s * 0.42), (x + s * 0.85, y - s * 0.42), (x + s * 0.6, y), (x - s * 0.6, y)], colour
    )
    pen.line([(x - s * 0.85, y - s * 0.42), (x + s * 0.85, y - s * 0.42)], shade(colour, 0.6), s * 0.05)


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
    pen.oval(x, y - s * 0.64, s * 0.36, s * 0.36, colour)
    pen.oval(x, y - s * 0.64, s * 0.22, s * 0.36, shade(colour, 0.82))
    pen.oval(x, y - s * 0.64, s * 0.09, s * 0.36, colour)
    pen.box(x - s * 0.09, y - s * 0.14, x + s * 0.09, y, WOOD)


def aeroplane(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    pen.polygon([at(-0.75, 0.5), at(-1.15, 1.0), at(-0.85, 1.0), at(-0.4, 0.55)], shade(colour, 0.8))
    pen.oval(*at(0, 0.45), s * 1.15, s * 0.22, colour)
    for k in range(6):
        pen.oval(*at(-0.5 + k * 0.22, 0.5), s * 0.06, s * 0.06, GLASS if sum(colour) < 600 else DARK)
    pen.polygon([at(0.35, 0.42), at(-0.1, 0.42), at(-0.65, -0.05), at(-0.35, -0.05)], shade(colour, 0.66))


def kite(pen, x, y, s, colour, rng):
    y -= s * 0.45
    lean = rng.choice((-1, 1)) * 0.2 * s
    pen.line(
        [(x, y), (x + lean, y + s * 0.2), (x - lean * 0.4, y + s * 0.32), (x + lean, y + s * 0.45)], DARK, s * 0.03
    )
    pen.polygon([(x, y - s * 0.55), (x + s * 0.4, y - s * 0.15), (x, y + s * 0.2), (x - s * 0.4, y - s * 0.15)], colour)
    pen.polygon([(x, y - s * 0.55), (x + s * 0.4, y - s * 0.15), (x, y - s * 0.15)], shade(colour, 0.75))
    pen.polygon([(x, y - s * 0.15), (x - s * 0.4, y - s * 0.15), (x, y + s * 0.2)], shade(colour, 0.85))


def wheel(pen, x, y, r):
    pen.oval(x, y - r, r, r, BLACK)
    pen.oval(x, y - r, r * 0.5, r * 0.5, GREY)


def car(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    pen.polygon([at(-0.65, 0.6), at(-0.45, 1.0), at(0.35, 1.0), at(0.68, 0.6)], shade(colour, 0.85))
    pen.polygon([at(-0.5, 0.62), at(-0.37, 0.9), at(-0.07, 0.9), at(-0.07, 0.62)], GLASS)
    pen.polygon([at(0.03, 0.62), at(0.03, 0.9), at(0.28, 0.9), at(0.5, 0.62)], GLASS)
    pen.polygon([at(-1, 0.62), at(0.9, 0.62), at(1.05, 0.45), at(1.05, 0.16), at(-1, 0.16)], colour)
    pen.light(*at(0.98, 0.44), s * 0.08, s * 0.08)
    for along in (-0.58, 0.58):
        wheel(pen, x + way * along * s, y, s * 0.24)


def bus(pen, x, y, s, colour, rng):
    pen.box(x - s * 0.85, y - s, x + s * 0.85, y - s * 0.14, colour)
    for k in range(4):
        pen.box(x - s * 0.77 + k * s * 0.4, y - s * 0.9, x - s * 0.45 + k * s * 0.4, y - s * 0.55, GLASS)
    pen.box(x - s * 0.85, y - s * 0.42, x + s * 0.85, y - s * 0.35, WHITE if sum(colour) < 600 else GREY)
    pen.light(x + s * 0.82, y - s * 0.25, s * 0.05, s * 0.06)
    for along in (-0.5, 0.5):
        wheel(pen, x + along * s, y, s * 0.18)


def tractor(pen, x, y, s, colour, rng):
    way = rng.choice((-1, 1))
    at = lambda along, up: (x + way * s * along, y - s * up)
    pen.polygon([at(-0.1, 0.66), at(0.75, 0.66), at(0.75, 0.22), at(-0.1, 0.22)], colour)
    pen.polygon([at(-0.55, 1.0), at(0.05, 1.0), at(0.05, 0.3), at(-0.55, 0.3)], shade(colour, 0.8))
    pen.polygon([at(-0.46, 0.92), at(-0.04, 0.92), at(-0.04, 0.62), at(-0.46, 0.62)], GLASS)
    pen.line([at(0.5, 0.6), at(0.5, 0.98)], DARK, s * 0.07)
    wheel(pen, x - way * s * 0.35, y, s * 0.34)
    wheel(pen, x + way * s * 0.58, y, s * 0.2)


def tent(pen, x, y, s, colour, rng):
    pen.polygon(
        [(x - s * 0.72, y), (x - s * 0.1, y - s), (x + s * 0.25, y - s), (x + s * 0.78, y)], shade(colour, 0.75)
    )
    pen.polygon([(x - s * 0.72, y), (x - s * 0.1, y - s), (x + s * 0.5, y)], colour)
    pen.polygon([(x - s * 0.25, y), (x - s * 0.1, y - s * 0.65), (x + s * 0.08, y)], DARK)
    pen.line([(x - s * 0.1, y - s), (x - s * 0.1, y - s * 1.06)], LIGHT, s * 0.03)
    pen.light(x - s * 0.09, y - s * 0.12, s * 0.06, s * 0.08, GOLD)
