"""The model's tokenizer: a byte-level BPE in CLIP's manner, learned from captions; its end token is the highest id."""

import json

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPTokenizerFast

START, END = "<|startoftext|>", "<|endoftext|>"
CONTEXT, SIZE = 77, 2048
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def learn_tokenizer(texts, folder):
    """Writes tokenizer.json and tokenizer_config.json; gives back what reads them."""
    tokenizer = Tokenizer(models.BPE(unk_token=END, continuing_subword_prefix="", end_of_word_suffix="</w>"))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])
    split = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    settings = dict(continuing_subword_prefix="", end_of_word_suffix="</w>", show_progress=False)
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=SIZE - 258, initial_alphabet=alphabet, **settings)
    )

    # The trainer knows `x</w>` only for bytes that ended a word; CLIP's vocabulary has it for every byte.
    learned = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(learned["vocab"], key=learned["vocab"].get)
    tokens += [f"{byte}</w>" for byte in alphabet if f"{byte}</w>" not in learned["vocab"]]
    vocab = {token: id for id, token in enumerate([*tokens, START, END])}
    merges = [tuple(merge) for merge in learned["merges"]]
    suffixes = dict(continuing_subword_prefix="", end_of_word_suffix="</w>")
    tokenizer.model = models.BPE(vocab=vocab, merges=merges, unk_token=END, **suffixes)
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, vocab[END]), (START, vocab[START]), trim_offsets=False, add_prefix_space=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = dict(bos_token=START, eos_token=END, unk_token=END, pad_token=END)
    whole = CLIPTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), model_max_length=CONTEXT, **special)
    whole.save_pretrained(folder)
    return whole
