"""Parts the scenes that can be drawn into three, by combination of thing, count, colour, place and light.

A combination belongs to one part wholly, whatever stands behind: what is tested was not trained on.
"""

import hashlib

from drawing.scenes import all_scenes

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def part_of(scene):
    """Of ten combinations one is for the corpus, a quarter for validation, the others for training."""
    byte = hashlib.sha256("/".join(map(str, scene.combination)).encode()).digest()[0]
    return TEST if byte < 28 else VALIDATION if byte < 34 else TRAIN


def scenes_of(part):
    return [scene for scene in all_scenes() if part_of(scene) == part]


def assert_disjoint(tested, trained):
    """No combination of a tested scene is a trained scene's."""
    both = {scene.combination for scene in tested} & {scene.combination for scene in trained}
    assert not both, f"{len(both)} combinations are tested and trained on, one is {min(both)}"
