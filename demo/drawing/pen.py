"""A pen that draws smooth forms, and the colours that most things share."""

from PIL import Image, ImageDraw

BLACK, DARK, GREY, LIGHT, WHITE = (20, 20, 24), (52, 50, 56), (128, 128, 132), (205, 205, 205), (246, 246, 242)
WOOD, SKIN, LEAF, FIR, LAMP = (112, 78, 48), (226, 182, 148), (70, 128, 52), (32, 84, 58), (255, 226, 130)
GOLD, WATER = (244, 190, 52), (42, 98, 150)


class Pen:
    """Draws in coordinates of the finished picture, on a picture three times as large, which `picture` makes smooth."""

    SCALE = 3

    def __init__(self, width, height):
        self.width, self.height = width, height
        self.large = Image.new("RGB", (width * self.SCALE, height * self.SCALE))
        self.draw = ImageDraw.Draw(self.large)
        # Drawn at the end, so that darkness does not cover them.
        self.lights = []

    def polygon(self, points, fill):
        self.draw.polygon([(x * self.SCALE, y * self.SCALE) for x, y in points], fill)

    def box(self, left, top, right, bottom, fill):
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def oval(self, x, y, rx, ry, fill):
        k = self.SCALE
        self.draw.ellipse([(x - rx) * k, (y - ry) * k, (x + rx) * k, (y + ry) * k], fill)

    def ring(self, x, y, rx, ry, fill, width, start=0, end=360):
        k = self.SCALE
        bounds = [(x - rx) * k, (y - ry) * k, (x + rx) * k, (y + ry) * k]
        self.draw.arc(bounds, start, end, fill, max(1, round(width * k)))

    def line(self, points, fill, width):
        points = [(x * self.SCALE, y * self.SCALE) for x, y in points]
        self.draw.line(points, fill, max(1, round(width * self.SCALE)), joint="curve")

    def light(self, x, y, rx, ry, fill=LAMP):
        self.lights.append((x, y, rx, ry, fill))

    def tint(self, red, green, blue):
        bands = [
            band.point(lambda v, f=f: round(v * f))
            for band, f in zip(self.large.split(), (red, green, blue), strict=True)
        ]
        self.large = Image.merge("RGB", bands)
        self.draw = ImageDraw.Draw(self.large)

    def picture(self):
        for light in self.lights:
            self.oval(*light)
        return self.large.resize((self.width, self.height), Image.Resampling.LANCZOS)


def shade(colour, factor):
    return tuple(max(0, min(255, round(c * factor))) for c in colour)
