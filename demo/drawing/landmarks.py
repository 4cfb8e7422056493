"""What stands further back, one at most in a picture.

Every landmark is a function `(pen, x, y, s, rng)`: `x`, `y` is the middle of its foot, `s` its height, in pixels.
"""

import math

from .pen import BRICK, DARK, GOLD, GREY, LEAF, LIGHT, WHITE, WOOD, shade

STONE = (150, 144, 138)


def lighthouse(pen, x, y, s, rng):
    edge = lambda part: s * (0.15 - 0.07 * part)
    pen.oval(x, y, s * 0.45, s * 0.09, (104, 98, 90))
    for k in range(5):
        low, high = k / 6, (k + 1) / 6
        corners = [(-edge(low), low), (edge(low), low), (edge(high), high), (-edge(high), high)]
        pen.polygon([(x + dx, y - s * up) for dx, up in corners], (206, 54, 48) if k % 2 == 0 else WHITE)
    pen.box(x - s * 0.11, y - s * 0.86, x + s * 0.11, y - s * 0.82, DARK)
    pen.polygon([(x - s * 0.1, y - s * 0.93), (x, y - s * 1.02), (x + s * 0.1, y - s * 0.93)], DARK)
    pen.light(x, y - s * 0.89, s * 0.06, s * 0.05)


def castle(pen, x, y, s, rng):
    pen.box(x - s * 0.4, y - s * 0.5, x + s * 0.4, y, STONE)
    for k in range(5):
        pen.box(x - s * 0.4 + k * s * 0.18, y - s * 0.57, x - s * 0.31 + k * s * 0.18, y - s * 0.5, STONE)
    for along, high in ((-0.42, 0.72), (0.42, 0.72), (0.0, 0.8)):
        pen.box(x + s * (along - 0.1), y - s * high, x + s * (along + 0.1), y, shade(STONE, 0.86))
        pen.polygon(
            [
                (x + s * (along - 0.14), y - s * high),
                (x + s * along, y - s * (high + 0.22)),
                (x + s * (along + 0.14), y - s * high),
            ],
            (84, 72, 110),
        )
        pen.light(x + s * along, y - s * (high - 0.14), s * 0.03, s * 0.05)
    pen.oval(x, y - s * 0.12, s * 0.08, s * 0.13, DARK)


def wind_turbine(pen, x, y, s, rng):
    hub = (x, y - s * 0.68)
    pen.polygon([(x - s * 0.035, y), (x + s * 0.035, y), (x + s * 0.02, hub[1]), (x - s * 0.02, hub[1])], WHITE)
    turn = rng.uniform(0, math.tau / 3)
    for k in range(3):
        a = turn + k * math.tau / 3
        tip = (hub[0] + s * 0.36 * math.cos(a), hub[1] + s * 0.36 * math.sin(a))
        pen.line([hub, tip], WHITE, s * 0.05)
    pen.oval(*hub, s * 0.045, s * 0.045, LIGHT)


def church(pen, x, y, s, rng):
    wall = (226, 214, 190)
    pen.box(x - s * 0.1, y - s * 0.36, x + s * 0.45, y, wall)
    pen.polygon(
        [(x - s * 0.1, y - s * 0.36), (x, y - s * 0.54), (x + s * 0.4, y - s * 0.54), (x + s * 0.5, y - s * 0.36)],
        BRICK,
    )
    pen.box(x - s * 0.34, y - s * 0.6, x - s * 0.06, y, shade(wall, 0.9))
    pen.polygon([(x - s * 0.38, y - s * 0.6), (x - s * 0.2, y - s), (x - s * 0.02, y - s * 0.6)], BRICK)
    pen.oval(x - s * 0.2, y - s * 0.48, s * 0.07, s * 0.07, WHITE)
    for along in (0.02, 0.17, 0.32):
        pen.box(x + s * along, y - s * 0.27, x + s * (along + 0.07), y - s * 0.09, (80, 90, 120))
        pen.light(x + s * (along + 0.035), y - s * 0.18, s * 0.03, s * 0.08)


def windmill(pen, x, y, s, rng):
    pen.polygon(
        [(x - s * 0.22, y), (x + s * 0.22, y), (x + s * 0.12, y - s * 0.6), (x - s * 0.12, y - s * 0.6)], (170, 120, 84)
    )
    pen.polygon([(x - s * 0.15, y - s * 0.6), (x, y - s * 0.76), (x + s * 0.15, y - s * 0.6)], DARK)
    pen.box(x - s * 0.06, y - s * 0.16, x + s * 0.06, y, WOOD)
    turn = rng.uniform(0.3, math.pi / 2 - 0.3)
    hub = (x, y - s * 0.62)
    for k in range(4):
        a = turn + k * math.pi / 2
        tip = (hub[0] + s * 0.42 * math.cos(a), hub[1] + s * 0.42 * math.sin(a))
        side = (-math.sin(a) * s * 0.12, math.cos(a) * s * 0.12)
        pen.polygon(
            [hub, tip, (tip[0] + side[0], tip[1] + side[1]), (hub[0] + side[0], hub[1] + side[1])], (240, 232, 214)
        )
        pen.line([hub, tip], WOOD, s * 0.03)


def ferris_wheel(pen, x, y, s, rng):
    hub, r = (x, y - s * 0.56), s * 0.42
    for way in (-1, 1):
        pen.line([hub, (x + way * s * 0.26, y)], GREY, s * 0.05)
    pen.ring(*hub, r, r, (200, 60, 110), s * 0.045)
    turn = rng.uniform(0, math.tau / 8)
    for k in range(8):
        a = turn + k * math.tau / 8
        rim = (hub[0] + r * math.cos(a), hub[1] + r * math.sin(a))
        pen.line([hub, rim], GREY, s * 0.015)
        pen.oval(*rim, s * 0.065, s * 0.065, (GOLD, (60, 130, 200), (230, 80, 70), (90, 170, 90))[k % 4])
        pen.light(*rim, s * 0.03, s * 0.03)


def palm(pen, x, y, s, rng):
    lean = rng.choice((-1, 1)) * rng.uniform(0.08, 0.16) * s
    pen.line([(x, y), (x + lean * 0.3, y - s * 0.4), (x + lean, y - s * 0.75)], WOOD, s * 0.08)
    for k in range(7):
        a = math.pi * (0.02 + 0.16 * k)
        end = (x + lean + s * 0.36 * math.cos(a), y - s * 0.74 - s * 0.2 * math.sin(a))
        low = (end[0] + s * 0.1 * math.cos(a), end[1] + s * 0.18)
        pen.line([(x + lean, y - s * 0.75), end, low], shade((52, 132, 60), rng.uniform(0.8, 1.1)), s * 0.07)


def pyramid(pen, x, y, s, rng):
    y += s * 0.03
    pen.polygon([(x - s * 0.62, y), (x - s * 0.02, y - s * 0.85), (x + s * 0.25, y)], (212, 170, 96))
    pen.polygon([(x - s * 0.02, y - s * 0.85), (x + s * 0.25, y), (x + s * 0.62, y)], (150, 112, 64))
    for k in range(1, 5):
        pen.line(
            [
                (x - s * (0.02 + 0.12 * k), y - s * (0.85 - 0.17 * k)),
                (x - s * (0.02 - 0.054 * k), y - s * (0.85 - 0.17 * k)),
            ],
            (190, 148, 82),
            s * 0.012,
        )


def tower(pen, x, y, s, rng):
    """A television tower: a needle with a ball."""
    pen.polygon([(x - s * 0.07, y), (x + s * 0.07, y), (x + s * 0.02, y - s * 0.7), (x - s * 0.02, y - s * 0.7)], LIGHT)
    pen.oval(x, y - s * 0.66, s * 0.13, s * 0.11, (120, 130, 150))
    pen.box(x - s * 0.13, y - s * 0.67, x + s * 0.13, y - s * 0.64, (210, 70, 60))
    pen.line([(x, y - s * 0.75), (x, y - s * 1.02)], (210, 70, 60), s * 0.03)
    for along in (-0.07, 0, 0.07):
        pen.light(x + s * along, y - s * 0.62, s * 0.02, s * 0.02)


def factory(pen, x, y, s, rng):
    for along in (-0.28, -0.04):
        pen.polygon(
            [
                (x + s * (along - 0.07), y),
                (x + s * (along + 0.07), y),
                (x + s * (along + 0.05), y - s * 0.74),
                (x + s * (along - 0.05), y - s * 0.74),
            ],
            BRICK,
        )
        pen.box(x + s * (along - 0.055), y - s * 0.68, x + s * (along + 0.055), y - s * 0.62, WHITE)
        for k in range(3):
            pen.oval(
                x + s * (along + 0.06 * k),
                y - s * (0.8 + 0.08 * k),
                s * (0.06 + 0.025 * k),
                s * (0.05 + 0.02 * k),
                (170, 170, 176),
            )
    for k in range(3):
        left = x + s * (-0.42 + 0.3 * k)
        pen.polygon(
            [(left, y), (left, y - s * 0.24), (left + s * 0.3, y - s * 0.36), (left + s * 0.3, y)], (150, 110, 96)
        )
        pen.box(left + s * 0.08, y - s * 0.16, left + s * 0.22, y - s * 0.08, (96, 128, 152))
        pen.light(left + s * 0.15, y - s * 0.12, s * 0.06, s * 0.035)


def oak(pen, x, y, s, rng):
    pen.polygon([(x - s * 0.08, y), (x + s * 0.08, y), (x + s * 0.04, y - s * 0.5), (x - s * 0.04, y - s * 0.5)], WOOD)
    for k in range(7):
        a = k * math.tau / 7
        pen.oval(
            x + s * 0.22 * math.cos(a),
            y - s * 0.66 + s * 0.18 * math.sin(a),
            s * 0.19,
            s * 0.17,
            shade(LEAF, rng.uniform(0.7, 1.0)),
        )
    pen.oval(x, y - s * 0.68, s * 0.22, s * 0.19, shade(LEAF, 0.85))
