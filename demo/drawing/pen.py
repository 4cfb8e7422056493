"""A pen that draws smooth forms, and the colours that most things share."""

from PIL import Image, ImageDraw

BLACK, DARK, GREY, LIGHT, WHITE = (20, 20, 24), (52, 50, 56), (128, 128, 132), (205, 205, 205), (246, 246, 242)
WOOD, SKIN, LEAF, FIR, LAMP = (112, 78, 48), (226, 182, 148), (70, 128, 52), (32, 84, 58), (255, 226, 130)
GOLD, WATER, GLASS, BRICK = (244, 190, 52), (42, 98, 150), (176, 206, 222), (150, 66, 48)


class Pen:
    """Draws in coordinates of the finished picture, on a picture three times as large, which `picture` makes smooth.

    What matters stands in the square in the middle of the picture, `side` wide: `at` and `up` measure in it.
    """

    SCALE = 3

    def __init__(self, width, height):
        self.width, self.height, self.side = width, height, min(width, height)
        self.left, self.top = (width - self.side) / 2, (height - self.side) / 2
        self.large = Image.new("RGB", (width * self.SCALE, height * self.SCALE))
        self.draw = ImageDraw.Draw(self.large)
        # What the light makes of every colour that is drawn.
        self.tone = (1.0, 1.0, 1.0)
        # Drawn at the end, so that fog does not cover them.
        self.lights = []

    def at(self, across, down):
        """A point of the middle square, from parts of its side."""
        return self.left + across * self.side, self.top + down * self.side

    def seen(self, fill):
        return tuple(min(255, round(c * f)) for c, f in zip(fill, self.tone, strict=True))

    def polygon(self, points, fill):
        self.draw.polygon([(x * self.SCALE, y * self.SCALE) for x, y in points], self.seen(fill))

    def box(self, left, top, right, bottom, fill):
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def oval(self, x, y, rx, ry, fill):
        k = self.SCALE
        self.draw.ellipse([(x - rx) * k, (y - ry) * k, (x + rx) * k, (y + ry) * k], self.seen(fill))

    def ring(self, x, y, rx, ry, fill, width, start=0, end=360):
        k = self.SCALE
        bounds = [(x - rx) * k, (y - ry) * k, (x + rx) * k, (y + ry) * k]
        self.draw.arc(bounds, start, end, self.seen(fill), max(1, round(width * k)))

    def line(self, points, fill, width):
        points = [(x * self.SCALE, y * self.SCALE) for x, y in points]
        self.draw.line(points, self.seen(fill), max(1, round(width * self.SCALE)), joint="curve")

    def light(self, x, y, rx, ry, fill=LAMP):
        self.lights.append((x, y, rx, ry, fill))

    def veil(self, colour, part):
        """Lays fog over what is drawn so far."""
        self.large = Image.blend(self.large, Image.new("RGB", self.large.size, colour), part)
        self.draw = ImageDraw.Draw(self.large)

    def picture(self):
        self.tone = (1.0, 1.0, 1.0)
        for light in self.lights:
            self.oval(*light)
        return self.large.reduce(self.SCALE)


def shade(colour, factor):
    return tuple(max(0, min(255, round(c * factor))) for c in colour)
