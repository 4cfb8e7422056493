"""What both halves of the training share: scenes as numbers, heads that name them, and a rate that falls."""

import torch
import torch.nn.functional as F

from drawing.scenes import COLOURS, COUNTS, FIELDS, LANDMARKS, LIGHTS, NOTHING, PLACES, THINGS
from muon import Muon

VALUES = tuple(tuple(values) for values in (THINGS, COUNTS, COLOURS, PLACES, LIGHTS, (NOTHING, *LANDMARKS)))
UNSAID = -1


def numbers(facts):
    """A scene or facts as numbers, one a field."""
    said = [getattr(facts, field) for field in FIELDS]
    return [values.index(value) if value is not None else UNSAID for values, value in zip(VALUES, said, strict=True)]


class Heads(torch.nn.Module):
    """Names a scene's attributes, from a tower's pooled output; for texts there is one more value, "not said"."""

    def __init__(self, width, more):
        super().__init__()
        self.sizes = [len(values) + more for values in VALUES]
        self.linear = torch.nn.Linear(width, sum(self.sizes))

    def loss(self, pooled, wanted):
        parts = self.linear(pooled).split(self.sizes, dim=1)
        pairs = zip(parts, wanted.T, self.sizes, strict=True)
        return sum(F.cross_entropy(part, want % size) for part, want, size in pairs)

    @torch.no_grad()
    def right(self, pooled, wanted):
        """The part of each attribute that is named right."""
        parts = self.linear(pooled).split(self.sizes, dim=1)
        pairs = zip(parts, wanted.T, self.sizes, strict=True)
        return [(part.argmax(1) == want % size).float().mean().item() for part, want, size in pairs]


class Optimiser:
    """Muon for the layers' matrices and AdamW for the rest; the rate rises, stays, and falls from half-way on."""

    def __init__(self, module, steps, matrices=3e-3, others=2e-3):
        inner = [p for name, p in module.named_parameters() if p.ndim == 2 and ".layers." in name]
        outer = [p for name, p in module.named_parameters() if not (p.ndim == 2 and ".layers." in name)]
        self.parts = (
            Muon(inner, lr=matrices),
            torch.optim.AdamW(outer, lr=others, betas=(0.9, 0.98), weight_decay=0.02),
        )
        self.full, self.steps, self.done = (matrices, others), steps, 0

    def step(self):
        self.done += 1
        rate = min(1.0, self.done / 60, 2 - 2 * self.done / self.steps)
        for part, full in zip(self.parts, self.full, strict=True):
            for group in part.param_groups:
                group["lr"] = full * rate
            part.step()
            part.zero_grad(set_to_none=True)
