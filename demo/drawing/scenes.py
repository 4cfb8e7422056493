"""Composes the demo's pictures: so many things of a colour, in a place, in a light, with a landmark or none behind.

A `Scene` says what can be seen in a picture, and all of it can be seen; `compose` draws it. The same scene and the same
generator give the same picture.
"""

import io
from dataclasses import astuple, dataclass

import numpy as np
from PIL import Image

from . import animals, landmarks, people, places, vehicles
from .pen import Pen
from .skies import LIGHTS, draw_fall, draw_sky

COLOURS = {
    "red": (214, 32, 38),
    "blue": (34, 82, 222),
    "yellow": (252, 214, 36),
    "green": (16, 140, 62),
    "white": (250, 250, 246),
    "black": (26, 26, 30),
    "purple": (138, 56, 182),
    "pink": (250, 128, 182),
    "brown": (124, 74, 38),
    "ginger": (236, 132, 36),
}
PAINTS = ("red", "blue", "yellow", "green", "white", "black", "purple", "pink")
COATS = ("white", "black", "brown")
COUNTS = (1, 2, 3, 4)
UNSEEN = {("black", "night"), ("black", "storm"), ("white", "fog")}


@dataclass(frozen=True)
class Thing:
    draw: callable
    colours: tuple = PAINTS
    # Its width, and its height against that of others.
    wide: float = 1.0
    tall: float = 1.0
    flies: bool = False


THINGS = {
    "sailing boat": Thing(vehicles.sailing_boat, wide=0.9, tall=1.1),
    "cargo ship": Thing(vehicles.ship, wide=2.0),
    "rowing boat": Thing(vehicles.rowing_boat, wide=1.75, tall=0.8),
    "hot air balloon": Thing(vehicles.balloon, wide=0.75, flies=True),
    "aeroplane": Thing(vehicles.aeroplane, wide=2.3, flies=True),
    "kite": Thing(vehicles.kite, wide=0.85, tall=0.85, flies=True),
    "car": Thing(vehicles.car, wide=2.1, tall=0.8),
    "bus": Thing(vehicles.bus, wide=1.7),
    "tractor": Thing(vehicles.tractor, wide=1.5),
    "tent": Thing(vehicles.tent, wide=1.5, tall=0.85),
    "cyclist": Thing(people.cyclist, wide=1.1, tall=1.05),
    "runner": Thing(people.runner, wide=0.75, tall=1.05),
    "footballer": Thing(people.footballer, wide=1.0, tall=1.05),
    "skier": Thing(people.skier, wide=1.05, tall=1.0),
    "surfer": Thing(people.surfer, wide=1.5, tall=1.0),
    "umbrella": Thing(people.umbrella, wide=0.9, tall=1.05),
    "cow": Thing(animals.cow, COATS, wide=1.75, tall=0.9),
    "sheep": Thing(animals.sheep, COATS, wide=1.35, tall=0.8),
    "horse": Thing(animals.horse, COATS, wide=1.4, tall=1.05),
    "dog": Thing(animals.dog, COATS, wide=1.4, tall=0.8),
    "camel": Thing(animals.camel, ("white", "brown"), wide=1.5, tall=1.05),
    "cat": Thing(animals.cat, ("white", "black", "brown", "ginger"), wide=0.85, tall=0.9),
    "duck": Thing(animals.duck, ("white", "brown", "yellow", "black"), wide=1.55, tall=0.75),
}
# What may be in a place, and which landmarks may stand behind.
PLACES = {
    "sea": (
        ("sailing boat", "cargo ship", "rowing boat", "surfer", "aeroplane", "kite"),
        ("lighthouse", "castle", "wind turbine"),
    ),
    "beach": (
        ("kite", "umbrella", "dog", "horse", "footballer", "runner", "tent", "cyclist"),
        ("lighthouse", "palm tree", "ferris wheel"),
    ),
    "lake": (("sailing boat", "rowing boat", "duck", "hot air balloon", "kite"), ("castle", "church", "windmill")),
    "meadow": (
        ("cow", "sheep", "horse", "tractor", "hot air balloon", "kite", "cyclist", "tent"),
        ("windmill", "church", "wind turbine", "oak tree"),
    ),
    "village": (("car", "bus", "tractor", "cat", "cyclist", "dog", "umbrella"), ("church", "windmill", "oak tree")),
    "mountains": (
        ("cow", "sheep", "hot air balloon", "aeroplane", "cyclist", "bus", "tent", "runner"),
        ("castle", "church", "wind turbine"),
    ),
    "snow": (("skier", "dog", "tent", "car", "horse", "bus"), ("church", "castle", "lighthouse")),
    "desert": (
        ("camel", "car", "hot air balloon", "horse", "tent", "aeroplane", "cyclist"),
        ("palm tree", "pyramid", "factory"),
    ),
    "city": (
        ("bus", "car", "cyclist", "umbrella", "runner", "cat", "aeroplane", "hot air balloon"),
        ("ferris wheel", "television tower", "factory"),
    ),
    "stadium": (
        ("footballer", "runner", "cyclist", "horse", "umbrella"),
        ("ferris wheel", "television tower", "wind turbine"),
    ),
}
LANDMARKS = {
    "lighthouse": landmarks.lighthouse,
    "castle": landmarks.castle,
    "wind turbine": landmarks.wind_turbine,
    "palm tree": landmarks.palm,
    "ferris wheel": landmarks.ferris_wheel,
    "church": landmarks.church,
    "windmill": landmarks.windmill,
    "oak tree": landmarks.oak,
    "pyramid": landmarks.pyramid,
    "factory": landmarks.factory,
    "television tower": landmarks.tower,
}
NOTHING = "nothing"

SIZES = (
    (240, 160),
    (240, 180),
    (256, 192),
    (300, 200),
    (320, 213),
    (180, 240),
    (160, 240),
    (200, 200),
    (192, 256),
    (224, 168),
    (280, 160),
)


@dataclass(frozen=True)
class Scene:
    thing: str
    count: int
    colour: str
    place: str
    light: str
    behind: str

    @property
    def combination(self):
        """What a scene is held out by: all but the landmark."""
        return astuple(self)[:5]


FIELDS = tuple(Scene.__dataclass_fields__)


def all_scenes():
    """Every scene whose things can be seen well."""
    return [
        Scene(thing, count, colour, place, light, behind)
        for place, (things, behinds) in PLACES.items()
        for thing in things
        for colour in THINGS[thing].colours
        for count in COUNTS
        for light in LIGHTS
        if (colour, light) not in UNSEEN
        for behind in (NOTHING, *behinds)
    ]


def spots(thing, count, side, rng):
    """Where the middles of `count` things are, and the widest they may be.

    A place is -0.5 to 0.5 across and 0 (back) to 1 (front) down. A single one stands a little off the landmark, which is on
    `side` (-1 or 1).
    """
    wide = THINGS[thing].wide
    if count == 1:
        return [(-side * rng.uniform(-0.02, 0.15), rng.uniform(0.4, 0.9))], 0.66
    if count == 2:
        return [(-0.24, rng.uniform(0.35, 0.95)), (0.24, rng.uniform(0.35, 0.95))], 0.44
    if wide > 1.2 or rng.random() < 0.35:
        rows = (
            [[(0.0, 0.05), (-0.24, 0.95), (0.24, 0.95)], [(-0.24, 0.05), (0.24, 0.05), (0.0, 0.95)]]
            if count == 3
            else [[(-0.22, 0.05), (0.26, 0.05), (-0.26, 0.95), (0.22, 0.95)]]
        )
        return rng.choice(rows), 0.42
    return [((k + 0.5) / count - 0.5, rng.uniform(0.45, 0.95)) for k in range(count)], 0.9 / count


def stand(pen, scene, horizon, side, rng):
    """Draws the things, those further back first."""
    thing = THINGS[scene.thing]
    where, widest = spots(scene.thing, scene.count, side, rng)
    tall = {1: 0.44, 2: 0.37, 3: 0.31, 4: 0.27}[scene.count] * thing.tall
    if len({down for _, down in where}) < len(where):
        tall = min(tall, 0.25)
    for across, down in sorted(where, key=lambda spot: spot[1]):
        s = min(tall, widest / thing.wide) * rng.uniform(0.92, 1.04)
        across += rng.uniform(-0.02, 0.02)
        down += rng.uniform(-0.04, 0.04)
        if thing.flies:
            foot = 0.05 + s + down * max(0.02, 0.42 - s)
        else:
            foot = horizon + 0.12 + down * (0.96 - horizon - 0.12)
        x, y = pen.at(0.5 + across, foot)
        thing.draw(pen, x, y, s * pen.side, COLOURS[scene.colour], rng)


def draw(scene, size, rng):
    pen, light = Pen(*size), LIGHTS[scene.light]
    horizon = rng.uniform(0.66, 0.7) if THINGS[scene.thing].flies else rng.uniform(0.46, 0.52)
    line = pen.at(0, horizon)[1]
    side = rng.choice((-1, 1))
    draw_sky(pen, scene.light, line, -side, rng)
    pen.tone = light.far
    getattr(places, scene.place)(pen, line, rng)
    if scene.behind != NOTHING:
        pen.tone = tuple((far + near) / 2 for far, near in zip(light.far, light.near, strict=True))
        x, y = pen.at(0.5 + side * rng.uniform(0.26, 0.32), horizon + 0.06)
        tall = rng.uniform(0.36, 0.4) if THINGS[scene.thing].flies else rng.uniform(0.41, 0.46)
        LANDMARKS[scene.behind](pen, x, y, tall * pen.side, rng)
    if light.fog:
        pen.veil(*light.fog[:2])
    pen.tone = light.near
    if not light.lamps:
        pen.lights.clear()
    stand(pen, scene, horizon, side, rng)
    draw_fall(pen, scene.light, rng)
    if light.fog:
        pen.veil(light.fog[0], light.fog[2])
        pen.lights.clear()
    elif not light.lamps:
        pen.lights.clear()
    return pen.picture()


def photographed(picture, rng):
    """The darker corners of a lens and a sensor's grain."""
    values = np.asarray(picture, dtype=np.float32)
    height, width, _ = values.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    values = values * (rng.uniform(0.94, 1.05) - 0.07 * (x * x + y * y))[..., None]
    values += np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(0.5, 1.5), (height, width, 1))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def compose(scene, rng):
    """The picture of a scene, as JPEG; `rng` is a `random.Random`."""
    picture = photographed(draw(scene, rng.choice(SIZES), rng), rng)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=rng.randint(60, 76), progressive=rng.random() < 0.15, optimize=True)
    return file.getvalue()
