"""Composes the demo's pictures: a place, a light, a weather, and a few things that belong there.

The same generator gives the same picture, title and tags.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from . import made, nature
from .pen import DARK, GREY, LEAF, LIGHT, WATER, WHITE, WOOD, Pen, shade

SIZES = [(240, 160), (240, 180), (256, 192), (320, 240), (300, 200), (180, 240), (160, 240), (200, 200), (160, 120)]
NUMBERS = {1: "a", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
COLOURS = {
    "red": (200, 44, 44),
    "blue": (44, 84, 190),
    "yellow": (236, 196, 52),
    "green": (48, 140, 72),
    "orange": (230, 120, 36),
    "white": (240, 238, 230),
    "black": (38, 38, 44),
    "purple": (128, 64, 160),
    "pink": (228, 130, 168),
    "turquoise": (50, 170, 170),
}


@dataclass(frozen=True)
class Thing:
    draw: callable
    singular: str
    plural: str
    # Height, in parts of the picture's; least and most.
    height: tuple
    most: int = 4
    # Whether it is drawn in any colour, which is then worth a word in the title.
    coloured: bool = True
    # Whether it is in the sky, and not on the ground.
    flies: bool = False


def thing(draw, singular, plural=None, height=(0.2, 0.3), **more):
    return Thing(draw, singular, plural or singular + "s", height, **more)


BOAT = thing(made.sailing_boat, "sailing boat", height=(0.2, 0.4))
SHIP = thing(made.ship, "ship", height=(0.16, 0.24), most=2)
LIGHTHOUSE = thing(made.lighthouse, "lighthouse", height=(0.5, 0.7), most=1)
DUCK = thing(nature.duck, "duck", height=(0.1, 0.18), most=6)
FISH = thing(nature.fish, "fish", "fish", height=(0.1, 0.2), most=6)
BIRD = thing(nature.bird, "bird", height=(0.05, 0.1), most=6, coloured=False, flies=True)
BALLOON = thing(made.balloon, "hot air balloon", height=(0.25, 0.45), flies=True)
PLANE = thing(made.aeroplane, "aeroplane", height=(0.12, 0.2), most=2, flies=True)
KITE = thing(made.kite, "kite", height=(0.12, 0.18), flies=True)
ROCKET = thing(made.rocket, "rocket", height=(0.5, 0.75), most=1)
HOUSE = thing(made.house, "house", height=(0.28, 0.45))
TOWERS = thing(made.tower_block, "tower block", height=(0.45, 0.75), most=6, coloured=False)
CHURCH = thing(made.church, "church", "churches", height=(0.4, 0.6), most=1, coloured=False)
WINDMILL = thing(made.windmill, "windmill", height=(0.4, 0.6), most=3)
BRIDGE = thing(made.bridge, "bridge", height=(0.5, 0.65), most=1)
TREE = thing(nature.tree, "tree", height=(0.35, 0.6), most=5, coloured=False)
FIR = thing(nature.fir, "fir tree", height=(0.3, 0.6), most=6, coloured=False)
PALM = thing(nature.palm, "palm tree", height=(0.4, 0.65), most=3, coloured=False)
CACTUS = thing(nature.cactus, "cactus", "cacti", height=(0.25, 0.5), coloured=False)
FLOWER = thing(nature.flower, "flower", height=(0.2, 0.35), most=6)
COW = thing(nature.cow, "cow", height=(0.18, 0.3), coloured=False)
SHEEP = thing(nature.sheep, "sheep", "sheep", height=(0.14, 0.22), most=6, coloured=False)
HORSE = thing(nature.horse, "horse", height=(0.25, 0.38), most=3, coloured=False)
DOG = thing(nature.dog, "dog", height=(0.18, 0.3), most=3, coloured=False)
CAT = thing(nature.cat, "cat", height=(0.3, 0.5), most=3, coloured=False)
PERSON = thing(nature.person, "person", "people", height=(0.3, 0.45), most=6, coloured=False)
UMBRELLA = thing(nature.umbrella, "umbrella", height=(0.32, 0.45))
CAR = thing(made.car, "car", height=(0.13, 0.2))
BUS = thing(made.bus, "bus", "buses", height=(0.2, 0.28), most=2)
BICYCLE = thing(made.bicycle, "bicycle", height=(0.2, 0.3), most=3)
TRACTOR = thing(made.tractor, "tractor", height=(0.22, 0.32), most=2)
APPLE = thing(made.apple, "apple", height=(0.18, 0.28), most=6)
CUP = thing(made.cup, "cup of coffee", "cups of coffee", height=(0.22, 0.35), most=3)
VASE = thing(made.vase, "vase of flowers", "vases of flowers", height=(0.55, 0.75), most=2)
CAKE = thing(made.cake, "birthday cake", height=(0.3, 0.45), most=1)
BOOK = thing(made.book, "open book", height=(0.3, 0.4), most=1)


@dataclass(frozen=True)
class Place:
    words: str
    # Where the ground begins, in parts of the picture's height.
    horizon: float
    ground: callable
    # What the picture is about, and what stands further back.
    subjects: tuple
    behind: tuple = ()
    outdoors: bool = True


def sea(pen, horizon, rng):
    for k in range(24):
        top = horizon + (pen.height - horizon) * k / 24
        pen.box(0, top, pen.width, pen.height, shade(WATER, 1.25 - 0.022 * k))
    for _ in range(40):
        x, y = rng.uniform(0, pen.width), rng.uniform(horizon + 3, pen.height)
        pen.line([(x, y), (x + rng.uniform(4, 16), y)], shade(WATER, 1.6), 0.7)


def beach(pen, horizon, rng):
    sea(pen, horizon, rng)
    shore = horizon + (pen.height - horizon) * 0.35
    pen.polygon(
        [(0, shore), (pen.width, shore + pen.height * 0.08), (pen.width, pen.height), (0, pen.height)], (222, 200, 150)
    )


def grass(pen, horizon, rng, green=(96, 148, 66)):
    for hill in range(2):
        middle = rng.uniform(0.1, 0.9) * pen.width
        pen.oval(
            middle, horizon + pen.height * 0.16, pen.width * 0.7, pen.height * 0.22, shade(green, 0.8 + 0.1 * hill)
        )
    pen.box(0, horizon + pen.height * 0.06, pen.width, pen.height, green)
    for _ in range(60):
        x, y = rng.uniform(0, pen.width), rng.uniform(horizon + pen.height * 0.08, pen.height)
        pen.line([(x, y), (x + rng.uniform(-1, 1), y - 3)], shade(green, rng.uniform(0.75, 1.2)), 0.7)


def mountains(pen, horizon, rng):
    for far in range(3):
        x = rng.uniform(-0.1, 0.2) * pen.width
        while x < pen.width * 1.1:
            w, top = (
                rng.uniform(0.18, 0.32) * pen.width,
                horizon - rng.uniform(0.16, 0.42) * pen.height * (1 - 0.2 * far),
            )
            pen.polygon(
                [(x - w, horizon + 4), (x, top), (x + w, horizon + 4)], shade((104, 112, 134), 1.1 - 0.14 * far)
            )
            pen.polygon(
                [
                    (x, top),
                    (x + w * 0.22, top + (horizon - top) * 0.22),
                    (x, top + (horizon - top) * 0.16),
                    (x - w * 0.22, top + (horizon - top) * 0.22),
                ],
                WHITE,
            )
            x += w * rng.uniform(0.9, 1.5)
    grass(pen, horizon, rng, (86, 128, 72))


def snow_field(pen, horizon, rng):
    grass(pen, horizon, rng, (226, 232, 240))


def desert(pen, horizon, rng):
    grass(pen, horizon, rng, (218, 176, 104))


def street(pen, horizon, rng):
    x = 0
    while x < pen.width:
        w, top = rng.uniform(0.1, 0.2) * pen.width, horizon - rng.uniform(0.15, 0.5) * pen.height
        pen.box(
            x,
            top,
            x + w,
            horizon,
            shade(
                rng.choice(((176, 120, 96), (160, 152, 140), (196, 180, 150), (120, 126, 140))), rng.uniform(0.8, 1.1)
            ),
        )
        made.windows(pen, x, top, x + w, horizon - pen.height * 0.04, 2, rng.randint(3, 6), rng)
        x += w
    pen.box(0, horizon, pen.width, pen.height, (150, 148, 144))
    road = horizon + (pen.height - horizon) * 0.25
    pen.box(0, road, pen.width, pen.height, (84, 84, 90))
    for k in range(7):
        pen.box(
            k * pen.width / 6,
            (road + pen.height) / 2,
            k * pen.width / 6 + pen.width / 12,
            (road + pen.height) / 2 + 2,
            WHITE,
        )


def railing(pen, horizon, rng):
    sea(pen, horizon, rng)
    pen.box(0, horizon - 3, pen.width, horizon + 3, shade(LEAF, 0.6))


def table(pen, horizon, rng):
    wall = rng.choice(((214, 200, 176), (150, 176, 186), (188, 146, 128), (120, 134, 112)))
    pen.box(0, 0, pen.width, horizon, wall)
    for k in range(9):
        pen.line([(k * pen.width / 8, 0), (k * pen.width / 8, horizon)], shade(wall, 0.94), 1.5)
    pen.box(0, horizon, pen.width, pen.height, shade(WOOD, 1.4))
    for _ in range(9):
        y = rng.uniform(horizon, pen.height)
        pen.line([(0, y), (pen.width, y + rng.uniform(-4, 4))], shade(WOOD, 1.25), 1)


def open_sky(pen, horizon, rng):
    grass(pen, horizon, rng)


def chart(pen, horizon, rng):
    """A curve of prices on a screen, up or down."""
    pen.box(0, 0, pen.width, pen.height, (18, 26, 40))
    for k in range(1, 8):
        pen.line([(0, k * pen.height / 8), (pen.width, k * pen.height / 8)], (44, 56, 76), 0.7)
        pen.line([(k * pen.width / 8, 0), (k * pen.width / 8, pen.height)], (44, 56, 76), 0.7)
    rising = rng.random() < 0.5
    level, points = (0.8, []) if rising else (0.2, [])
    for k in range(25):
        level += rng.uniform(-0.05, 0.05) + (-0.025 if rising else 0.025)
        points.append((k * pen.width / 24, min(0.95, max(0.05, level)) * pen.height))
        pen.box(
            k * pen.width / 24,
            pen.height * rng.uniform(0.86, 0.98),
            (k + 0.6) * pen.width / 24,
            pen.height,
            (60, 80, 110),
        )
    pen.line(points, (90, 220, 130) if rising else (236, 84, 76), 2.2)
    return "A rising" if rising else "A falling"


PLACES = (
    Place("on the sea", 0.5, sea, (BOAT, SHIP), (LIGHTHOUSE, BIRD)),
    Place("at the beach", 0.4, beach, (PERSON, UMBRELLA, DOG, PALM, KITE), (BOAT, BIRD)),
    Place("in a meadow", 0.5, grass, (COW, SHEEP, HORSE, FLOWER, TRACTOR, WINDMILL), (TREE, HOUSE, BALLOON)),
    Place("in a village", 0.45, grass, (HOUSE, CHURCH, BICYCLE, CAT), (TREE, BIRD)),
    Place("in the mountains", 0.55, mountains, (HOUSE, FIR, HORSE, PERSON, SHEEP), (BALLOON, FIR)),
    Place("in the snow", 0.5, snow_field, (FIR, HOUSE, PERSON, DOG), (FIR, BIRD)),
    Place("in the desert", 0.55, desert, (CACTUS, CAR, ROCKET, PALM), (BALLOON, BIRD)),
    Place("in the street", 0.55, street, (CAR, BUS, BICYCLE, PERSON, UMBRELLA), ()),
    Place("over the city", 0.75, street, (BALLOON, PLANE, TOWERS), (TOWERS, BIRD)),
    Place("by the river", 0.55, railing, (BRIDGE, DUCK, BOAT), (TREE,)),
    Place("in clear water", 0.06, sea, (FISH,), (), outdoors=False),
    Place("on a table", 0.6, table, (APPLE, CUP, VASE, CAKE, BOOK, CAT), (), outdoors=False),
    Place("in the sky", 0.88, open_sky, (BALLOON, PLANE, KITE, BIRD), (TREE,)),
)
# Words, the sky's colours above and at the horizon, what they make of the land, and how often.
GREY_SKY = (" under a grey sky", (140, 146, 154), (190, 194, 198), (0.82, 0.84, 0.88), 3)
LIGHTS = (
    ("", (84, 150, 220), (200, 224, 240), (1.0, 1.0, 1.0), 6),
    (" at sunset", (92, 70, 130), (250, 158, 84), (1.0, 0.8, 0.68), 3),
    (" at dawn", (120, 150, 200), (250, 206, 196), (0.98, 0.9, 0.92), 2),
    (" at night", (12, 16, 44), (40, 48, 88), (0.36, 0.4, 0.58), 3),
    GREY_SKY,
)
RAIN, SNOW, FOG, RAINBOW, STORM = (
    " in the rain",
    " in falling snow",
    " in the fog",
    " with a rainbow",
    " in a thunderstorm",
)
WEATHERS = (("", 9), (RAIN, 2), (SNOW, 1), (FOG, 2), (RAINBOW, 1), (STORM, 1))


@dataclass(frozen=True)
class Scene:
    jpeg: bytes
    title: str
    description: str
    tags: tuple


def pick(rng, weighted):
    return rng.choices(weighted, [row[-1] for row in weighted])[0]


def sky(pen, horizon, above, below, rng, light):
    for row in range(0, pen.height, 2):
        part = min(1.0, row / max(horizon, 1))
        pen.box(0, row, pen.width, row + 2, tuple(round(a + (b - a) * part) for a, b in zip(above, below, strict=True)))
    x, y, r = rng.uniform(0.12, 0.88) * pen.width, rng.uniform(0.12, 0.3) * pen.height, pen.height * 0.07
    if light == " at night":
        pen.light(x, y, r, r, (240, 238, 220))
        pen.light(x + r * 0.45, y - r * 0.1, r * 0.85, r * 0.9, shade(above, 0.6))
        for _ in range(35):
            pen.light(rng.uniform(0, pen.width), rng.uniform(0, horizon * 0.7), 0.6, 0.6, WHITE)
    elif light in (" at sunset", " at dawn"):
        pen.oval(x, horizon - r * 0.4, r * 1.3, r * 1.3, (255, 214, 120))
    elif not light:
        pen.oval(x, y, r, r, (255, 240, 170))
    for _ in range(0 if light == " at night" else rng.randint(0, 3)):
        cx, cy, size = rng.uniform(0, pen.width), rng.uniform(0.05, 0.6) * horizon, rng.uniform(0.03, 0.06) * pen.width
        for k in range(4):
            pen.oval(cx + k * size * 1.1, cy - (k % 2) * size * 0.5, size, size * 0.7, WHITE if not light else LIGHT)


def arrange(pen, what, count, horizon, rng, colour, back):
    """Stands `count` things beside each other, further back ones smaller, none on top of another if there is room."""
    for k in range(count):
        s = pen.height * rng.uniform(*what.height) * (0.55 if back else 1.0) * (1.0 if count < 4 else 0.8)
        x = pen.width * (k + 0.5 + rng.uniform(-0.15, 0.15)) / count
        if what.flies:
            y = rng.uniform(0.25, 0.8) * horizon + (s * 0.3 if what is BALLOON else 0)
        else:
            y = horizon + (pen.height - horizon) * (rng.uniform(0.12, 0.3) if back else rng.uniform(0.5, 0.92))
        if what is BRIDGE:
            y = horizon + (pen.height - horizon) * 0.4
        what.draw(pen, x, y, s, colour if colour else rng.choice((DARK, GREY, *COLOURS.values())), rng)


def fall(pen, weather, horizon, rng):
    area = pen.width * pen.height
    if weather in (RAIN, STORM):
        for _ in range(area // 220):
            x, y = rng.uniform(0, pen.width), rng.uniform(0, pen.height)
            pen.line([(x, y), (x - 2.5, y + 8)], (186, 198, 212), 0.5)
    if weather == SNOW:
        for _ in range(area // 350):
            r = rng.uniform(0.5, 1.8)
            pen.oval(rng.uniform(0, pen.width), rng.uniform(0, pen.height), r, r, WHITE)
    if weather == RAINBOW:
        r = pen.width * 0.45
        for k, band in enumerate(
            ((210, 60, 60), (236, 150, 50), (240, 224, 80), (80, 170, 90), (70, 110, 200), (120, 70, 160))
        ):
            pen.ring(pen.width * 0.5, horizon, r - k * 2.5, r - k * 2.5, band, 2.5, 180, 360)
    if weather == STORM:
        x, y = rng.uniform(0.2, 0.8) * pen.width, 0
        points = [(x, y)]
        while y < horizon:
            x, y = x + rng.uniform(-0.06, 0.06) * pen.width, y + pen.height * 0.07
            points.append((x, y))
        pen.line(points, (250, 248, 210), 1.8)


def photographed(picture, rng, fog, grey):
    """Fog, the darker corners of a lens and a sensor's grain."""
    values = np.asarray(picture, dtype=np.float32)
    height, width, _ = values.shape
    if fog:
        values = values * 0.45 + np.float32([206, 210, 214]) * 0.55
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    values = values * (1 - 0.12 * (x * x + y * y))[..., None]
    values += np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(1, 3), (height, width, 1))
    picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    return picture.convert("L") if grey else picture


def jpeg(picture, rng):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=rng.randint(72, 86), progressive=rng.random() < 0.15, optimize=True)
    return file.getvalue()


def compose(rng):
    """One scene; `rng` is a `random.Random`."""
    pen = Pen(*rng.choice(SIZES))
    grey = rng.random() < 0.05
    if rng.random() < 0.03:
        direction = chart(pen, 0, rng)
        picture = photographed(pen.picture(), rng, fog=False, grey=False)
        return Scene(
            jpeg(picture, rng),
            f"{direction} curve of prices on a screen",
            "Figures are invented.",
            ("chart", "prices", "economy"),
        )

    place = rng.choice(PLACES)
    light, above, below, tint, _ = pick(rng, LIGHTS) if place.outdoors else LIGHTS[0]
    weather, _ = pick(rng, WEATHERS) if place.outdoors and not light.startswith(" at ") else WEATHERS[0]
    if weather and weather != RAINBOW:
        light, above, below, tint, _ = GREY_SKY
    subject = rng.choice(place.subjects)
    count = rng.randint(1, subject.most)
    colour = rng.choice(list(COLOURS)) if subject.coloured else None
    shown = colour if not grey else None
    behind = rng.choice((None, *place.behind))
    horizon = pen.height * place.horizon

    sky(pen, horizon, above, below, rng, light)
    if weather == RAINBOW:
        fall(pen, weather, horizon, rng)
    place.ground(pen, horizon, rng)
    if behind and behind is not subject:
        arrange(pen, behind, rng.randint(1, min(3, behind.most)), horizon, rng, None, back=True)
    arrange(pen, subject, count, horizon, rng, COLOURS.get(colour), back=False)
    if tint != (1.0, 1.0, 1.0):
        pen.tint(*tint)
    else:
        pen.lights.clear()
    if weather != RAINBOW:
        fall(pen, weather, horizon, rng)
    picture = photographed(pen.picture(), rng, fog=weather == FOG, grey=grey)

    name = subject.singular if count == 1 else subject.plural
    colour_words = f"{shown} " if shown else ""
    light_words = light if weather in ("", RAINBOW) else ""
    title = f"{NUMBERS[count]} {colour_words}{name} {place.words}{light_words}{weather}".capitalize()
    if count == 1 and title[2] in "aeiou":
        title = "An" + title[1:]
    further_back = f" Further back: {behind.plural}." if behind and behind is not subject else ""
    tags = [name, place.words.split()[-1], *(words.split()[-1] for words in (light_words, weather) if words)]
    tags += [shown] if shown else []
    tags += ["black and white"] if grey else []
    return Scene(jpeg(picture, rng), title, f"{title}, drawn by a program.{further_back}", tuple(tags))
