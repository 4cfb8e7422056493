"""How far colours alone get: titles are matched with colour histograms, by ridge regression.

    venv/bin/python demo/baseline.py [--folder FOLDER]

A title is its bag of words and pairs of neighbouring words. A picture is its joint histogram of hue, saturation and
value beside that of red, green and blue; square roots are taken, so that rare colours count. Ridge regression maps the
former to the latter; it is fitted on the training scenes, its strength is chosen on the validation scenes, and a title
takes the picture nearest by cosine.

A second, stronger one is told where the colours are as well: it also has the histograms of the upper, middle and lower
third.
"""

import argparse
import random
import re
import sys
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
import numpy as np
from PIL import Image

from cache import FOLDER, SIDE, pictures_of
from headlines import facts_of, headline
from shown import articles, corpus_pictures, ranks, report
from split import TRAIN, VALIDATION

SEED, TITLES_EACH = 3, 2
STRENGTHS = (1, 10, 100, 1000)
WHOLE = 192 + 64


def histogram(picture):
    """Of a picture of SIDE x SIDE x 3: WHOLE numbers of the whole, then those of its thirds."""
    hsv = np.asarray(Image.fromarray(np.array(picture)).convert("HSV"), dtype=int)
    rgb = np.asarray(picture, dtype=int)
    bins = (
        hsv[..., 0] * 12 // 256 * 16 + hsv[..., 1] * 4 // 256 * 4 + hsv[..., 2] * 4 // 256,
        rgb[..., 0] * 4 // 256 * 16 + rgb[..., 1] * 4 // 256 * 4 + rgb[..., 2] * 4 // 256,
    )
    third, parts = SIDE // 3, []
    for rows in (slice(None), slice(third), slice(third, 2 * third), slice(2 * third, None)):
        for values, size in zip(bins, (192, 64), strict=True):
            parts.append(np.bincount(values[rows].ravel(), minlength=size) / values[rows].size)
    return np.sqrt(np.concatenate(parts)).astype(np.float32)


def words_of(title):
    words = re.findall(r"[a-z]+", title.lower())
    return words + [f"{a} {b}" for a, b in zip(words, words[1:])]


def bags(titles, vocabulary):
    rows = np.zeros((len(titles), len(vocabulary) + 1), dtype=np.float32)
    rows[:, -1] = 1
    for row, title in zip(rows, titles, strict=True):
        for word in words_of(title):
            if word in vocabulary:
                row[vocabulary[word]] = 1
    return rows


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def cropped(picture):
    """The middle square of a picture, as the training's pictures are kept."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    rng = random.Random(SEED)
    scenes, pictures = pictures_of(TRAIN, options.folder)
    colours = np.stack([histogram(picture) for picture in pictures])
    titles = [headline(facts_of(scene), rng) for scene in scenes for _ in range(TITLES_EACH)]
    counted = Counter(word for title in titles for word in words_of(title))
    vocabulary = {word: place for place, word in enumerate(sorted(word for word, n in counted.items() if n >= 5))}
    rows = bags(titles, vocabulary)
    print(f"{len(titles)} titles, {len(vocabulary)} words and pairs")

    held, held_pictures = pictures_of(VALIDATION, options.folder)
    held_rows = bags([headline(facts_of(scene), rng) for scene in held], vocabulary)
    held_colours = np.stack([histogram(picture) for picture in held_pictures])
    keys, shown = corpus_pictures()
    shown = np.stack([histogram(cropped(picture)) for picture in shown])
    titles, right = articles()
    asked, own = bags(titles, vocabulary), [str(number) for number in range(len(held))]

    square = rows.T @ rows
    for name, used in (("colours alone", slice(WHOLE)), ("colours and where they are", slice(None))):
        centre = colours[:, used].mean(0)
        product = rows.T @ np.repeat(colours[:, used] - centre, TITLES_EACH, axis=0)
        near = lambda bag, weights, pictures: unit(bag @ weights) @ unit(pictures[:, used] - centre).T
        tried = []
        for strength in STRENGTHS:
            weights = np.linalg.solve(square + strength * np.eye(len(square), dtype=np.float32), product)
            found = ranks(near(held_rows, weights, held_colours), own, own)
            tried.append((np.mean([1 / (rank + 1) for rank in found]), strength, weights))
        _, strength, weights = max(tried, key=lambda one: one[0])
        report(f"{name}, strength {strength}", ranks(near(asked, weights, shown), keys, right))


if __name__ == "__main__":
    main()
