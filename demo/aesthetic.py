"""Makes the demo's aesthetic head, in the layout of LAION's linear heads: a linear layer on a picture's unit vector.

    venv/bin/python demo/aesthetic.py [--folder FOLDER]

Nobody was asked: the liking that it learns is made up, 1 to 10, from a scene's light (`liked` in `drawing/skies.py`)
and from how colourful the picture is. Ridge regression fits it on the training pictures' vectors.

aesthetic.pth   an OrderedDict of weight (1 x dimensions) and bias (1), f32
"""

import argparse
import sys
from collections import OrderedDict
from pathlib import Path

sys.dont_write_bytecode = True
import numpy as np
import torch
import torch.nn.functional as F

from cache import FOLDER, pictures_of
from drawing.skies import LIGHTS
from evaluate import Encoder
from seeing import pooled_of
from shown import DEMO
from split import TRAIN, VALIDATION

STRENGTH = 1.0


def colourfulness(pictures):
    """How far a picture's colours are from grey and from each other, as Hasler and Suesstrunk measure it."""
    values = np.asarray(pictures, dtype=np.float32)
    red, green, blue = np.moveaxis(values, -1, 0)
    one, two = red - green, (red + green) / 2 - blue
    spread = np.hypot(one.std((1, 2)), two.std((1, 2)))
    return spread + 0.3 * np.hypot(one.mean((1, 2)), two.mean((1, 2)))


def likings(scenes, pictures):
    """1 to 10 each."""
    light = np.array([LIGHTS[scene.light].liked for scene in scenes])
    colour = np.concatenate([colourfulness(pictures[at : at + 500]) for at in range(0, len(pictures), 500)])
    return np.clip(light + 0.02 * (colour - 60), 1, 10).astype(np.float32)


def unit_vectors(model, pictures):
    with torch.no_grad():
        return F.normalize(model.visual_projection(pooled_of(model.vision_model, pictures)), dim=-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    torch.set_num_threads(2)
    model = Encoder(DEMO / "model").model
    scenes, pictures = pictures_of(TRAIN, options.folder)
    vectors, liked = unit_vectors(model, pictures).double(), torch.from_numpy(likings(scenes, pictures)).double()
    middle, mean = vectors.mean(0), liked.mean()
    square = (vectors - middle).T @ (vectors - middle) + STRENGTH * torch.eye(vectors.shape[1], dtype=torch.double)
    weight = torch.linalg.solve(square, (vectors - middle).T @ (liked - mean))
    head = OrderedDict(weight=weight.float()[None], bias=(mean - middle @ weight).float()[None])
    torch.save(head, DEMO / "aesthetic.pth")

    held, held_pictures = pictures_of(VALIDATION, options.folder)
    scores = (unit_vectors(model, held_pictures) @ head["weight"][0] + head["bias"]).numpy()
    wanted = likings(held, held_pictures)
    print(f"validation: correlation {np.corrcoef(scores, wanted)[0, 1]:.3f}, mean {scores.mean():.2f}")
    print(f"  scores {scores.min():.1f} to {scores.max():.1f}")
    for light in LIGHTS:
        own = np.array([scene.light == light for scene in held])
        print(f"  {light}: {scores[own].mean():.2f}, made liking {wanted[own].mean():.2f}")


if __name__ == "__main__":
    main()
