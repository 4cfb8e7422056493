"""CLIP's towers on the CPU: ours, ONNX Runtime and PyTorch in turns, the same pixels and titles for all.

    pip install torch transformers onnx onnxruntime onnxscript   # torch 2.15, transformers 5.23, onnxruntime 1.32

    python bench/encode.py ENCODE_ROUNDS MODEL [ROUNDS]

Prints the median of pictures (or titles) a second over the rounds, the median of the rounds' ratios (in a round
all three run one after the other, so that what else the machine does weighs on each), and the CPU time that a
picture takes where one thread works, which other load moves least. Then how far our unit vectors are from
PyTorch's.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import CLIPModel, CLIPTokenizerFast

BATCHES = (1, 8, 32)
TITLES = 64
TOKENS = 16
# Before each measurement, for the threads of the one before to go to sleep.
PAUSE = 0.05


class Pictures(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixels):
        return self.model.get_image_features(pixel_values=pixels).pooler_output


class Titles(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model.get_text_features(input_ids=ids).pooler_output


class Ours:
    """A process for each number of threads."""

    def __init__(self, program, model, pixels, titles, threads):
        environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
        self.process = subprocess.Popen(
            [program, model, pixels, titles], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, request):
        print(request, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def own_cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def export(module, example, name, folder):
    """The module as an ONNX file, its batch of any size."""
    file = str(Path(folder) / f"{name}.onnx")
    torch.onnx.export(
        module, (example,), file, input_names=["x"], output_names=["y"], dynamic_shapes=({0: torch.export.Dim("n")},),
        dynamo=True, verbose=False,
    )
    return file


def session(file, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def compare(what, count, threads, rounds, contestants):
    """`contestants`: name -> (seconds of a round, CPU seconds so far)."""
    rates = {name: [] for name in contestants}
    cpu = dict.fromkeys(contestants, 0.0)
    for index in range(rounds + 1):
        for name, (run, spent) in contestants.items():
            time.sleep(PAUSE)
            before = spent()
            seconds = run()
            # The first round warms up.
            if index:
                rates[name].append(count / seconds)
                cpu[name] += spent() - before
    ratio = {name: statistics.median(a / b for a, b in zip(rates["ours"], rates[name])) for name in contestants}
    line = f"| {what} {count} | {threads} |"
    line += "".join(f" {statistics.median(rates[name]):.1f} |" for name in contestants)
    line += f" {ratio['onnx']:.2f} | {ratio['torch']:.2f} |"
    if threads == 1:
        line += "".join(f" {1000 * cpu[name] / (rounds * count):.1f} |" for name in contestants)
    else:
        line += " | | |"
    print(line, flush=True)


def main():
    program, model_folder = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 9
    threads_of = [int(threads) for threads in os.environ.get("THREADS", "1 2").split()]
    torch.manual_seed(7)
    model = CLIPModel.from_pretrained(model_folder, dtype=torch.float32).eval()
    tokenizer = CLIPTokenizerFast.from_pretrained(model_folder)
    side = model.config.vision_config.image_size
    pixels = torch.randn(max(BATCHES), 3, side, side)
    titles = [title_of(tokenizer, index) for index in range(TITLES)]
    ids = tokenizer(titles, return_tensors="pt").input_ids
    assert ids.shape == (TITLES, TOKENS), ids.shape

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        pixel_file, title_file = Path(folder) / "pixels", Path(folder) / "titles"
        pixels.numpy().tofile(pixel_file)
        title_file.write_text("\n".join(titles))
        with torch.inference_mode(False), torch.no_grad():
            picture_onnx = export(Pictures(model), torch.randn(2, 3, side, side), "pictures", folder)
            title_onnx = export(Titles(model), ids[:2].clone(), "titles", folder)
        ours = {threads: Ours(program, model_folder, str(pixel_file), str(title_file), threads) for threads in threads_of}

        print("| | threads | ours/s | ONNX Runtime/s | PyTorch/s | ours / ONNX Runtime | ours / PyTorch | CPU ms: ours | ONNX Runtime | PyTorch |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for threads in threads_of:
            torch.set_num_threads(threads)
            mine = ours[threads]
            run = session(picture_onnx, threads)
            for count in BATCHES:
                part = pixels[:count].contiguous()
                array = part.numpy()
                compare("pictures", count, threads, rounds, {
                    "ours": (lambda: mine.ask(f"pictures {count}"), mine.cpu),
                    "onnx": (lambda: timed(lambda: run.run(None, {"x": array})), own_cpu),
                    "torch": (lambda: timed(lambda: model.get_image_features(pixel_values=part)), own_cpu),
                })
            run = session(title_onnx, threads)
            array = ids.numpy()
            compare("titles", TITLES, threads, rounds, {
                "ours": (lambda: mine.ask(f"titles {TITLES}"), mine.cpu),
                "onnx": (lambda: timed(lambda: run.run(None, {"x": array})), own_cpu),
                "torch": (lambda: timed(lambda: model.get_text_features(input_ids=ids)), own_cpu),
            })

        features = model.get_image_features(pixel_values=pixels).pooler_output
        expected = (features / features.norm(dim=-1, keepdim=True)).numpy()
        for threads, mine in ours.items():
            vectors = Path(folder) / "vectors"
            mine.ask(f"vectors {vectors}")
            got = np.fromfile(vectors, dtype="<f4").reshape(expected.shape)
            print(f"largest difference from PyTorch's unit vectors, {threads} threads: {np.abs(got - expected).max():.1e}")


def title_of(tokenizer, index):
    """A title of exactly TOKENS tokens."""
    words = f"number {index} of the pictures that a boat took of the harbour at night in winter and later".split()
    for end in range(len(words), 0, -1):
        title = " ".join(words[:end])
        if len(tokenizer(title).input_ids) <= TOKENS:
            while len(tokenizer(title).input_ids) < TOKENS:
                title += " ,"
            return title
    raise ValueError("the tokenizer knows none of these words")


if __name__ == "__main__":
    main()
