"""Pictures of the training and validation parts, drawn once, prepared as the model wants them and kept in a folder.

    python demo/cache.py [--folder FOLDER]      # draws those that are missing

A picture is one row of `{part}-{side}.npy`, side x side x 3 bytes: the JPEG decoded, its shortest edge resized
bicubically to the side, the middle cut out, as the model's preprocessor_config.json says. Scene and drawing of row N
follow from the seed and N alone.
"""

import argparse
import io
import random
import sys
import tempfile
from multiprocessing import Pool
from pathlib import Path

sys.dont_write_bytecode = True
import numpy as np
from PIL import Image

from drawing.scenes import compose
from split import TRAIN, VALIDATION, scenes_of

SEED, SIDE = 7, 96
COUNTS = {TRAIN: 14000, VALIDATION: 1000}
FOLDER = Path(tempfile.gettempdir()) / "imagefleet-demo"


def rows_of(part):
    """The scenes of a part's rows, in a random order."""
    scenes = scenes_of(part)
    random.Random(f"{SEED}/{part}").shuffle(scenes)
    return scenes[: COUNTS[part]]


def prepare(jpeg, side=SIDE):
    """What CLIPImageProcessor makes of a picture, before it is normalised."""
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    width, height = picture.size
    shortest = min(width, height)
    picture = picture.resize((int(side * width / shortest), int(side * height / shortest)), Image.Resampling.BICUBIC)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side)))


def draw_row(job):
    part, number, scene = job
    return prepare(compose(scene, random.Random(f"{SEED}/{part}/{number}")))


def pictures_of(part, folder, processes=2):
    """(scenes, pictures) of a part; the pictures are read from the folder, or drawn and kept there."""
    scenes, file = rows_of(part), Path(folder) / f"{part}-{SIDE}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        jobs = [(part, number, scene) for number, scene in enumerate(scenes)]
        with Pool(processes) as pool:
            pictures = np.stack(list(pool.imap(draw_row, jobs, chunksize=50)))
        unfinished = file.with_suffix(".unfinished.npy")
        np.save(unfinished, pictures)
        unfinished.replace(file)
    return scenes, np.load(file, mmap_mode="r")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    for part in COUNTS:
        scenes, pictures = pictures_of(part, options.folder)
        print(f"{part}: {len(scenes)} scenes, {pictures.nbytes / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
