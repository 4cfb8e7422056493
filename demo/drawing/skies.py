"""The light and the weather: eight of them, and no two look alike.

A light draws the sky, says what tone it gives what is further back and what is near, and draws what falls.
"""

from dataclasses import dataclass

from .pen import LIGHT, WHITE, shade


@dataclass(frozen=True)
class Light:
    # The sky's colours above and at the horizon.
    above: tuple
    below: tuple
    # What is left of the red, green and blue of the land, and of what is near.
    far: tuple = (1.0, 1.0, 1.0)
    near: tuple = (1.0, 1.0, 1.0)
    # Colour and thickness of fog, far and near.
    fog: tuple = ()
    lamps: bool = False
    # How much a picture of this light is liked, for `aesthetic.py`; of made numbers, these are as good as any.
    liked: float = 5.0


LIGHTS = {
    "day": Light((56, 132, 224), (188, 222, 246), liked=6.3),
    "sunset": Light((98, 58, 128), (255, 150, 60), (1.0, 0.76, 0.62), (1.0, 0.93, 0.86), lamps=True, liked=8.2),
    "night": Light((8, 12, 44), (36, 44, 96), (0.3, 0.36, 0.6), (0.74, 0.76, 0.9), lamps=True, liked=5.6),
    "rain": Light((104, 114, 128), (158, 168, 178), (0.66, 0.7, 0.76), (0.86, 0.88, 0.92), liked=3.6),
    "fog": Light(
        (206, 208, 208), (222, 222, 220), (0.9, 0.9, 0.9), (0.95, 0.95, 0.95), ((216, 217, 216), 0.5, 0.2), liked=2.8
    ),
    "snowfall": Light((150, 164, 188), (208, 216, 228), (0.86, 0.9, 0.98), (0.95, 0.96, 1.0), liked=5.2),
    "rainbow": Light((110, 150, 190), (206, 218, 214), (0.95, 0.98, 0.92), liked=8.0),
    "storm": Light((34, 30, 52), (96, 88, 112), (0.46, 0.46, 0.54), (0.8, 0.8, 0.86), lamps=True, liked=4.6),
}
BOW = ((214, 50, 60), (244, 140, 40), (248, 226, 70), (70, 176, 90), (60, 110, 220), (130, 66, 170))


def cloud(pen, x, y, size, colour):
    for k in range(4):
        pen.oval(x + k * size * 0.9, y - (k % 2) * size * 0.45, size, size * 0.62, colour)


def draw_sky(pen, light, horizon, side, rng):
    """`horizon` in pixels; sun, moon and lightning stand on the `side` (-1 or 1) where no landmark is."""
    hues = LIGHTS[light]
    for row in range(0, pen.height, 2):
        part = min(1.0, row / max(horizon, 1))
        pen.box(
            0,
            row,
            pen.width,
            row + 2,
            tuple(round(a + (b - a) * part) for a, b in zip(hues.above, hues.below, strict=True)),
        )
    x, y = pen.at(0.5 + side * rng.uniform(0.24, 0.36), rng.uniform(0.1, 0.2))
    r = pen.side * 0.075
    if light == "day":
        pen.oval(x, y, r * 1.3, r * 1.3, (150, 204, 244))
        pen.oval(x, y, r, r, (255, 238, 150))
    elif light == "sunset":
        for k in range(5):
            pen.oval(x, horizon - r * 0.5, r * (3.4 - k * 0.4), r * (3.0 - k * 0.4), (255, 158 + 14 * k, 66 + 10 * k))
        pen.oval(x, horizon - r * 0.5, r * 1.35, r * 1.35, (255, 226, 120))
    elif light == "night":
        pen.light(x, y, r, r, (244, 240, 214))
        pen.light(x + r * 0.5, y - r * 0.15, r * 0.85, r * 0.9, shade(hues.above, 1.2))
        for _ in range(40):
            pen.light(rng.uniform(0, pen.width), rng.uniform(0, horizon * 0.55), 0.7, 0.7, WHITE)
    elif light == "rainbow":
        wide = pen.side * 0.5
        centre, foot = pen.at(0.5, 0)[0], horizon + pen.side * 0.06
        for k, band in enumerate(BOW):
            out = wide - k * pen.side * 0.022
            pen.ring(centre, foot, out, out, band, pen.side * 0.024, 180, 360)
    elif light == "storm":
        strike(pen, x, horizon, rng)
    puffs = {
        "day": WHITE,
        "sunset": (214, 120, 120),
        "rain": (88, 96, 108),
        "snowfall": (178, 188, 204),
        "rainbow": LIGHT,
        "storm": (22, 20, 36),
    }
    for _ in range(rng.randint(1, 3) if light in puffs else 0):
        where = rng.uniform(0, pen.width), pen.top + rng.uniform(0.03, 0.14) * pen.side
        cloud(pen, *where, rng.uniform(0.04, 0.07) * pen.side, puffs[light])


def strike(pen, x, horizon, rng):
    """Lightning, from the clouds to the horizon."""
    y, points = 0, [(x, 0)]
    while y < horizon:
        x, y = x + rng.uniform(-0.07, 0.07) * pen.side, y + pen.side * 0.075
        points.append((x, y))
    pen.line(points, (190, 180, 240), pen.side * 0.03)
    pen.line(points, (255, 252, 220), pen.side * 0.013)
    branch = points[len(points) // 2]
    pen.line([branch, (branch[0] + pen.side * 0.07, branch[1] + pen.side * 0.09)], (255, 252, 220), pen.side * 0.009)


def draw_fall(pen, light, rng):
    """Rain, snow and the rain of a storm, before everything."""
    if light in ("rain", "storm"):
        for _ in range(pen.width * pen.height // (260 if light == "rain" else 600)):
            x, y = rng.uniform(0, pen.width), rng.uniform(0, pen.height)
            pen.line([(x, y), (x - pen.side * 0.015, y + pen.side * 0.055)], (206, 216, 228), pen.side * 0.004)
    if light == "snowfall":
        for _ in range(150):
            r = rng.uniform(0.005, 0.013) * pen.side
            pen.oval(rng.uniform(0, pen.width), rng.uniform(0, pen.height), r, r, WHITE)
