"""The second half of the training: titles learn to meet the pictures that they are true of.

The vision tower stays as it is, so every picture's pooled output is computed once. What learns is the text tower, the
two projections and the logit scale, by CLIP's contrastive loss with many more pictures than titles in a batch: a title
has to find its own among CROWD, where those that it is true of as well are left out.
"""

import random
import time

import numpy as np
import torch
import torch.nn.functional as F

from drawing.scenes import FIELDS
from headlines import caption, facts_of, headline, query
from learning import UNSAID, Heads, Optimiser, numbers
from tokenizer import CONTEXT

SEED, BATCH, CROWD, REPORT = 12, 192, 2048, 200
# Noise on pooled outputs, in parts of their deviation: pictures that were trained on look clearer than others.
NOISE = 0.25


def text_of(scene, rng):
    """A headline, a caption or a query, and the facts that it says: mostly all, often some are left out."""
    draw = rng.random()
    optional = [field for field in FIELDS if field != "thing"]
    unsaid = rng.sample(optional, 0 if draw < 0.35 else rng.randint(1, 2) if draw < 0.75 else rng.randint(3, 5))
    if rng.random() < 0.04:
        unsaid = ["thing", *rng.sample(optional, rng.randint(1, 4))]
    facts = facts_of(scene, unsaid)
    draw = rng.random()
    say = query if draw < 0.2 else headline if facts.thing and draw < 0.7 else caption
    return say(facts, rng), facts


def tokens_of(tokenizer, texts):
    ids = tokenizer(texts, padding="longest", truncation=True, max_length=CONTEXT, return_tensors="pt")
    return dict(input_ids=ids.input_ids, attention_mask=ids.attention_mask)


def holding(said, seen):
    """Texts x pictures: whether a text is true of a picture."""
    return ((said[:, None] == UNSAID) | (said[:, None] == seen[None])).all(-1)


def losses(model, text, image, true):
    """Text to picture among all pictures of the crowd; picture to text among the texts, whose pictures come first."""
    logits = model.logit_scale.exp() * F.normalize(text, dim=-1) @ F.normalize(image, dim=-1).T
    own = torch.arange(len(text))
    true = true.clone()
    true[own, own] = False
    logits = logits.masked_fill(true, float("-inf"))
    return F.cross_entropy(logits, own) + 0.5 * F.cross_entropy(logits[:, : len(text)].T, own)


@torch.no_grad()
def hits(model, tokenizer, texts, said, pooled, seen):
    """How many texts find first a picture that they are true of."""
    text = model.text_projection(model.text_model(**tokens_of(tokenizer, texts)).pooler_output)
    image = F.normalize(model.visual_projection(pooled), dim=-1)
    found = (text @ image.T).argmax(1)
    return holding(said, seen)[torch.arange(len(texts)), found].float().mean().item()


def learn_to_meet(model, tokenizer, scenes, views, held, held_pooled, steps, report):
    """`views`: pooled outputs of the same pictures, drawn from at random; `report()` is called now and then."""
    words, order = random.Random(SEED), np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    seen = torch.tensor([numbers(scene) for scene in scenes])
    held_seen = torch.tensor([numbers(scene) for scene in held])
    held_facts = [facts_of(scene) for scene in held]
    held_texts, held_said = (
        [headline(facts, words) for facts in held_facts],
        torch.tensor([numbers(f) for f in held_facts]),
    )
    deviation = views[0].std(0) * NOISE

    heads = Heads(model.config.text_config.hidden_size, 1)
    learning = torch.nn.ModuleDict(
        {"text": model.text_model, "words": model.text_projection, "sight": model.visual_projection, "heads": heads}
    )
    learning.scale = model.logit_scale
    optimiser, started, past = Optimiser(learning, steps), time.monotonic(), []
    for step in range(1, steps + 1):
        model.text_model.train()
        rows = order.choice(len(scenes), CROWD, replace=False)
        texts, facts = zip(*(text_of(scenes[row], words) for row in rows[:BATCH]))
        said = torch.tensor([numbers(fact) for fact in facts])
        pooled = views[step % len(views)][rows]
        image = model.visual_projection(pooled + deviation * torch.randn_like(pooled))
        read = model.text_model(**tokens_of(tokenizer, list(texts))).pooler_output
        meet = losses(model, model.text_projection(read), image, holding(said, seen[rows]))
        (meet + 0.1 * heads.loss(read, said)).backward()
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=4.6)
        past.append(meet.item())
        if step % REPORT == 0 or step == steps:
            model.eval()
            part = hits(model, tokenizer, held_texts, held_said, held_pooled, held_seen)
            print(
                f"meeting, step {step}: {sum(past) / len(past):.3f}, validation Hits@1 {part:.3f}, "
                f"{(time.monotonic() - started) / step:.2f} s a step",
                flush=True,
            )
            past = []
            report()
