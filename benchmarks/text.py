"""Text features: encoding by length, opening a large folder, and random batches from it.

    python benchmarks/text.py                  400 captions are encoded; folders of 100,000 and 1,000,000 captions
    python benchmarks/text.py --captions 0 --sizes 100000

Peers: batches in the given order and batches sorted by length, both padded, and captions one by one (the published
training does that); and one dictionary of rows in memory, filled from one file, as earlier versions had it. Times are
CPU seconds of one thread. Features of the folders are made up. Memory is that of a process that does nothing else, from
its start to the end of the opening; private memory is what the system cannot take back and read again from a file.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from motionlab.text.cache import TextCache
from motionlab.text.encoder import TextFeatures, encode_blocks
from motionlab.text.minilm import MiniLM

DIM, TOKENS, BATCH, BATCHES = 384, 2, 64, 200
ROUNDS = 3  # interleaved; the fastest counts
VERBS = ("walks", "runs", "kicks", "jumps", "turns left", "waves both hands", "sits down on a chair", "bows")


def captions_of(count: int, seed: int = 0) -> list[str]:
    """Different captions of 5 to 40 tokens."""
    drawn = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found["a person " + ", then ".join(drawn.choice(VERBS) for _ in range(drawn.randint(1, 9)))] = None
    return list(found)


class MadeUp:
    """No encoder at all: for folders whose captions are all there."""

    name, dim, max_tokens = "made up", DIM, TOKENS

    def encode(self, captions: list[str]) -> TextFeatures:
        raise RuntimeError("a caption is not there")


def padded(ids: list[list[int]], run: Callable[[Tensor, Tensor], Tensor], order: list[int], size: int = 128) -> int:
    """Batches in this order, padded to their longest; how many tokens were computed."""
    tokens = 0
    for start in range(0, len(order), size):
        rows = [ids[i] for i in order[start : start + size]]
        width = max(map(len, rows))
        block = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
        run(block, torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None])
        tokens += block.numel()
    return tokens


def measure_encoding(count: int) -> None:
    """Captions a CPU second, and tokens computed for one that is needed, in each way."""
    tokenizer, model = MiniLM()._loaded
    ids: list[list[int]] = tokenizer(captions_of(count))["input_ids"]
    needed, tokens = sum(map(len, ids)), 0

    def run(block: Tensor, mask: Tensor) -> Tensor:
        nonlocal tokens
        tokens += block.numel()
        states: Tensor = model(input_ids=block, attention_mask=mask).last_hidden_state
        return states

    ways: dict[str, Callable[[], object]] = {
        "in the given order, padded": lambda: padded(ids, run, list(range(count))),
        "sorted by length, padded": lambda: padded(ids, run, sorted(range(count), key=lambda i: len(ids[i]))),
        "one by one": lambda: [run(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.bool)) for row in ids],
        "blocks of one length": lambda: encode_blocks(ids, run),
    }
    best, computed = dict.fromkeys(ways, float("inf")), dict.fromkeys(ways, 0)
    with torch.no_grad():
        ways["blocks of one length"]()  # warm
        for _ in range(ROUNDS):
            for name, way in ways.items():
                tokens, began = 0, time.process_time()
                way()
                best[name], computed[name] = min(best[name], time.process_time() - began), tokens
    for name, seconds in best.items():
        share = computed[name] / needed
        print(
            f"{name:<28} {count / seconds:>7.0f} captions a CPU second, {share:.2f} tokens computed for one", flush=True
        )


def fill(folder: Path, count: int) -> None:
    """A folder of `count` captions with `TOKENS` tokens each, and the same as one file of an earlier version."""
    cache, at_once = TextCache(folder, MadeUp()), 50_000  # type: ignore[arg-type]
    random_numbers = torch.Generator().manual_seed(0)
    for start in range(0, count, at_once):
        names = [f"caption {i}" for i in range(start, min(count, start + at_once))]
        states = torch.randn(len(names), TOKENS, DIM, generator=random_numbers).half()
        cache._store.add(names, list(states))
    captions = [f"caption {i}" for i in range(count)]
    (folder / "old.json").write_text(json.dumps({"captions": captions, "lengths": [TOKENS] * count}))
    save_file({"states": torch.zeros(count * TOKENS, DIM, dtype=torch.float16)}, folder / "old.safetensors")


def dictionary(folder: Path) -> dict[str, Tensor]:
    """The rows as earlier versions kept them."""
    index = json.loads((folder / "old.json").read_text())
    states = load_file(folder / "old.safetensors")["states"]
    return dict(zip(index["captions"], states.split(index["lengths"]), strict=True))


def measure_opening(kind: str, folder: Path, count: int) -> dict[str, Any]:
    """In a process of its own: open, then read random batches."""
    torch.set_num_threads(1)
    before, began, processor = private(), time.perf_counter(), time.process_time()
    if kind == "folder":
        cache = TextCache(folder, MadeUp())  # type: ignore[arg-type]
        read: Callable[[list[str]], TextFeatures] = cache.features
    else:
        rows = dictionary(folder)
        read = lambda captions: TextFeatures.from_rows([rows[caption] for caption in captions])  # noqa: E731
    opened, seconds, cpu = private(), time.perf_counter() - began, time.process_time() - processor
    result = {"seconds": seconds, "cpu": cpu, "mb": opened - before}
    draws = np.random.default_rng(0).integers(0, count, (BATCHES, BATCH)).tolist()
    for again in ("first", "again"):  # what is read for the first time is compared with its checks
        processor = time.process_time()
        for some in draws:
            read([f"caption {i}" for i in some])
        result[again] = BATCHES / (time.process_time() - processor)
    result["after_mb"] = private() - before
    return result


def private() -> float:
    """Megabytes of this process that are no pages of files."""
    memory = psutil.Process().memory_info()
    return float(memory.rss - getattr(memory, "shared", 0)) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Encoding, opening and reading text features.")
    parser.add_argument("--captions", type=int, default=400, help="captions to encode with MiniLM; 0 for none")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000], help="captions of the folders")
    parser.add_argument("--child", nargs=3, metavar=("KIND", "FOLDER", "COUNT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        kind, folder, count = chosen.child
        print(json.dumps(measure_opening(kind, Path(folder), int(count))))
        return
    torch.set_num_threads(1)
    if chosen.captions:
        measure_encoding(chosen.captions)
    for count in chosen.sizes:
        with tempfile.TemporaryDirectory() as place:
            began = time.process_time()
            fill(Path(place), count)
            print(f"{count:,} captions of {TOKENS} x {DIM} numbers written in {time.process_time() - began:.0f} CPU s")
            for kind in ("folder", "dictionary"):
                command = [sys.executable, __file__, "--child", kind, place, str(count)]
                found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                print(
                    f"  {kind:<11} opened in {found['seconds']:.3f} s ({found['cpu']:.3f} CPU s) with "
                    f"{found['mb']:.1f} MB of private memory, {found['after_mb']:.1f} after reading; "
                    f"{found['first']:.0f} new batches of {BATCH} a CPU second, {found['again']:.0f} known ones"
                )


if __name__ == "__main__":
    main()
