"""The first half of the training: the vision tower learns to name what is in a picture.

Six linear heads on its pooled output name thing, count, colour, place, light and landmark; they are dropped afterwards.
Two processes of one thread each halve every batch and share their gradients: on few cores that is faster than threads.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as group
import torch.nn.functional as F
from transformers import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModel

from cache import SIDE
from drawing.scenes import FIELDS
from learning import Heads, Optimiser, numbers

SEED, BATCH, PROCESSES, REPORT = 11, 128, 2, 250
VISION = dict(
    hidden_size=128,
    intermediate_size=384,
    num_hidden_layers=5,
    num_attention_heads=4,
    image_size=SIDE,
    patch_size=12,
    hidden_act="gelu",
)
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
DEVIATION = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


def pixels(pictures):
    values = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255
    return (values - MEAN) / DEVIATION


def varied(values, rng):
    """Each mirrored or not, and brighter or darker; all moved by the same few pixels."""
    mirrored = torch.rand(len(values), generator=rng) < 0.5
    values = torch.where(mirrored[:, None, None, None], values.flip(-1), values)
    shift, side = 4, values.shape[-1]
    dx, dy = torch.randint(0, 2 * shift + 1, (2,), generator=rng).tolist()
    values = F.pad(values, (shift,) * 4, mode="replicate")[:, :, dy : dy + side, dx : dx + side]
    factor = 1 + 0.06 * torch.randn(len(values), 1, 1, 1, generator=rng)
    return values * factor + 0.05 * torch.randn(len(values), 1, 1, 1, generator=rng)


@torch.no_grad()
def pooled_of(tower, pictures, mirrored=False):
    """The tower's pooled outputs, by 250."""
    parts = [pixels(pictures[at : at + 250]) for at in range(0, len(pictures), 250)]
    return torch.cat([tower(part.flip(-1) if mirrored else part).pooler_output for part in parts])


def shared(module):
    """Averages the gradients of all processes."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    group.all_reduce(flat)
    at = 0
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient) / PROCESSES)
        at += gradient.numel()


def new_tower():
    torch.manual_seed(SEED)
    tower = CLIPVisionModel(CLIPVisionConfig(**VISION))
    return torch.nn.ModuleDict({"tower": tower, "heads": Heads(VISION["hidden_size"], 0)})


def learn(process, meeting, train, held, steps, until, out):
    """One of the processes; the first one reports and writes the tower's weights to `out`."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    group.init_process_group("gloo", init_method=f"file://{meeting}", rank=process, world_size=PROCESSES)
    module = new_tower()
    optimiser = Optimiser(module, steps)
    scenes, pictures = train
    seen = torch.tensor([numbers(scene) for scene in scenes])
    held_seen = torch.tensor([numbers(scene) for scene in held[0]])
    order, chance = np.random.default_rng(SEED), torch.Generator().manual_seed(SEED + process)
    rest, started, losses = np.zeros(0, dtype=int), time.monotonic(), []
    for step in range(1, until + 1):
        if len(rest) < BATCH:
            rest = np.concatenate([rest, order.permutation(len(scenes))])
        rows, rest = rest[process:BATCH:PROCESSES], rest[BATCH:]
        module.train()
        loss = module["heads"].loss(module["tower"](varied(pixels(pictures[rows]), chance)).pooler_output, seen[rows])
        loss.backward()
        shared(module)
        optimiser.step()
        losses.append(loss.item())
        if process == 0 and step % 25 == 0:
            print(
                f"step {step}: {sum(losses) / len(losses):.3f}, {(time.monotonic() - started) / step:.2f} s a step",
                flush=True,
            )
            losses = []
        if process == 0 and (step % REPORT == 0 or step == until):
            module.eval()
            named = module["heads"].right(pooled_of(module["tower"], held[1]), held_seen)
            print(
                f"named after {step}: " + ", ".join(f"{field} {part:.3f}" for field, part in zip(FIELDS, named)),
                flush=True,
            )
            unfinished = Path(out).with_suffix(".unfinished")
            torch.save(module.state_dict(), unfinished)
            unfinished.replace(out)
    group.destroy_process_group()


def learn_to_see(train, held, steps, until, out):
    """Trains the tower on (scenes, pictures), reporting on held-out ones, and writes its weights to `out`.

    The rate is planned for `steps`, of which `until` are made.
    """
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(learn, (f"{folder}/meeting", train, held, steps, until, str(out)), nprocs=PROCESSES)
