"""How many of the demo's titles find their picture, by transformers and Pillow from the files as they are shipped.

    venv/bin/python demo/evaluate.py [--model demo/model]

A title's rank is its right picture's place among all pictures of the corpus by cosine.
"""

import argparse
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import torch
import torch.nn.functional as F
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizerFast

from shown import DEMO, articles, corpus_pictures, ranks, report


class Encoder:
    """A checkpoint in Hugging Face layout, computed in f32."""

    def __init__(self, folder):
        self.model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizerFast.from_pretrained(folder)
        self.processor = CLIPImageProcessor.from_pretrained(folder)

    @torch.no_grad()
    def pictures(self, pictures):
        made = []
        for at in range(0, len(pictures), 64):
            values = self.processor(images=pictures[at : at + 64], return_tensors="pt").pixel_values
            made.append(self.model.visual_projection(self.model.vision_model(pixel_values=values).pooler_output))
        return F.normalize(torch.cat(made), dim=-1)

    @torch.no_grad()
    def texts(self, texts):
        length = self.model.config.text_config.max_position_embeddings
        ids = self.tokenizer(texts, padding="longest", truncation=True, max_length=length, return_tensors="pt")
        read = self.model.text_model(input_ids=ids.input_ids, attention_mask=ids.attention_mask).pooler_output
        return F.normalize(self.model.text_projection(read), dim=-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEMO / "model")
    options = parser.parse_args()
    torch.set_num_threads(2)
    encoder = Encoder(options.model)
    keys, pictures = corpus_pictures()
    titles, right = articles()
    print(f"{len(keys)} pictures")
    scores = encoder.texts(titles) @ encoder.pictures(pictures).T
    report("model", ranks(scores.numpy(), keys, right))


if __name__ == "__main__":
    main()
