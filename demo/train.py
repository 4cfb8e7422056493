"""Trains the demo's CLIP from nothing on drawn scenes, and writes it as Hugging Face does.

    venv/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors tokenizers    # and what make.py needs
    venv/bin/python demo/train.py [--seeing STEPS] [--until STEP] [--meeting STEPS] [--folder FOLDER] [--out demo/model]

First the vision tower learns to name what is in pictures (`seeing.py`), then the text tower learns to say the same
(`meeting.py`). Pictures, and the tower between the halves, are kept in --folder; `--seeing 0` takes the tower
from there.
Weights are written as f16. Everything is seeded, but the tokenizer's trainer orders equally frequent tokens anew each
time, and sums depend on the machine.
"""

import argparse
import random
import shutil
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from cache import FOLDER, SIDE, pictures_of
from meeting import learn_to_meet, text_of
from seeing import VISION, learn_to_see, new_tower, pooled_of
from split import TRAIN, VALIDATION
from tokenizer import CONTEXT, learn_tokenizer

SEED, DIMENSIONS = 13, 128


def new_model(vocab, eos):
    text = dict(
        vocab_size=vocab,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        hidden_act=VISION["hidden_act"],
        bos_token_id=eos - 1,
        eos_token_id=eos,
        pad_token_id=eos,
    )
    torch.manual_seed(SEED)
    return CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=DIMENSIONS))


def write(model, tokenizer_folder, out):
    """Replaces the model in `out` as a whole; README.md stays."""
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(tokenizer_folder, fresh)
    half = CLIPModel(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(fresh)
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(fresh)
    if (out / "README.md").exists():
        shutil.copy(out / "README.md", fresh)
    for file in fresh.iterdir():
        file.chmod(0o644)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeing", type=int, default=2000)
    parser.add_argument("--until", type=int, help="leave the first half after this step of its --seeing")
    parser.add_argument("--meeting", type=int, default=600)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "model")
    options = parser.parse_args()
    started = time.monotonic()
    train, held = pictures_of(TRAIN, options.folder), pictures_of(VALIDATION, options.folder)
    tower_file = options.folder / "tower.pt"
    if options.seeing:
        learn_to_see(train, held, options.seeing, options.until or options.seeing, tower_file)
        print(f"seeing took {(time.monotonic() - started) / 60:.1f} minutes", flush=True)

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    words = random.Random(SEED)
    texts = (text_of(scene, words)[0] for scene in train[0] for _ in range(3))
    tokenizer = learn_tokenizer(texts, options.folder / "tokenizer")
    model = new_model(len(tokenizer), tokenizer.eos_token_id)
    seer = new_tower()
    seer.load_state_dict(torch.load(tower_file))
    model.vision_model.load_state_dict(seer["tower"].state_dict())
    model.vision_model.requires_grad_(False)
    for part in ("vision_model", "text_model"):
        print(f"{part}: {sum(p.numel() for p in getattr(model, part).parameters()) / 1e6:.2f} million parameters")
    model.eval()
    views = [pooled_of(model.vision_model, train[1], mirrored) for mirrored in (False, True)]
    learn_to_meet(
        model,
        tokenizer,
        train[0],
        views,
        held[0],
        pooled_of(model.vision_model, held[1]),
        options.meeting,
        lambda: write(model, options.folder / "tokenizer", options.out),
    )
    print(f"{(time.monotonic() - started) / 60:.1f} minutes in all")


if __name__ == "__main__":
    main()
