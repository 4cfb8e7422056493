"""Reads the demo's corpus and articles as they are shipped, and counts hits."""

import csv
import io
import sys
import warnings
import zipfile
from pathlib import Path

sys.dont_write_bytecode = True
from PIL import Image

DEMO = Path(__file__).resolve().parent


def corpus_pictures():
    """(keys, pictures in RGB) of the sound entries, in the order of shards and entries."""
    warnings.simplefilter("ignore")
    found = {}
    for shard in sorted((DEMO / "corpus" / "images").glob("*.zip")):
        with zipfile.ZipFile(shard) as archive:
            for entry in archive.infolist():
                key = Path(entry.filename).stem
                try:
                    picture = Image.open(io.BytesIO(archive.read(entry)))
                    sound = key.startswith(shard.stem) and ".." not in entry.filename and max(picture.size) < 5000
                    if sound and key not in found:
                        found[key] = picture.convert("RGB")
                except (OSError, SyntaxError, zipfile.BadZipFile, Image.DecompressionBombError):
                    pass
    return list(found), list(found.values())


def articles():
    """(titles, keys of their right pictures); titles as they stand, with their entities."""
    with open(DEMO / "articles.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["article_title"] for row in rows], [row["image_id"] for row in rows]


def ranks(scores, keys, right):
    """The rank, from 0, of each title's right picture; `scores`: titles x pictures, as a numpy array."""
    places = {key: place for place, key in enumerate(keys)}
    return [int((row > row[places[key]]).sum()) for row, key in zip(scores, right, strict=True)]


def report(name, found):
    at = lambda k: sum(rank < k for rank in found) / len(found)
    mean = sum(1 / (rank + 1) for rank in found) / len(found)
    print(
        f"{name}: Hits@1 {at(1):.3f}, Hits@5 {at(5):.3f}, Hits@10 {at(10):.3f}, mean reciprocal rank {mean:.3f}, "
        f"{len(found)} titles"
    )
