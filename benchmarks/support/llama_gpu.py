"""The decoder on a GPU at two published sizes: training steps and writing, their memory, measured and by formula.

The rate that a card can reach is measured, see `gpu.py`. For training, the share of it that a step reaches is the
utilisation ("MFU") against what this card really does, not against its data sheet. After the measured peak comes what
is certain before the first step: weights, gradients and AdamW's moments; the rest is activations.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from support.decoders import TEXT_DIM, our_step, random_text, random_tokens, training_flops
from support.gpu import matmul_rate, precision, wait
from support.measuring import MIB, Spread, machine

from motionlab.cost.kv_cache import cache_bytes
from motionlab.cost.parameters import training_memory
from motionlab.files import write_text
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.llama.sizes import SIZES
from motionlab.training.optimizer import make_optimizer

CODES, LENGTH = 64000, 301
TRAIN_MODES = ("fp32", "tf32", "bf16", "bf16+compile")
WRITE_BATCHES = (1, 8, 64)

Work = Callable[[], Any]


def main(path: Path) -> None:
    """Measure both sizes on the first GPU, print and write the rows."""
    device = torch.device("cuda")
    rates = {mode: matmul_rate(mode, device, 8192) for mode in ("fp32", "tf32", "bf16")}
    print(", ".join(f"{mode} {rate / 1e12:.0f} TFLOP/s" for mode, rate in rates.items()), "in one large product")
    rows: list[dict[str, Any]] = []
    for name, batch in (("111M", 32), ("1B", 16)):
        for row in size_rows(name, batch, device, rates):
            rows.append(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    facts = machine() | {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    write_text(path, json.dumps({"machine": facts, "matmul_flops": rates, "rows": rows}, indent=1) + "\n")


def size_rows(
    name: str,
    batch: int,
    device: torch.device,
    rates: dict[str, float],
    codes: int = CODES,
    length: int = LENGTH,
    repeat: int = 20,
) -> Iterator[dict[str, Any]]:
    """Training in every precision, then writing in bfloat16, plain and compiled."""
    for mode in TRAIN_MODES:
        if mode.split("+")[0] in rates:
            try:
                yield train_row(make(name, codes, length, device), name, mode, batch, rates, repeat)
            except torch.OutOfMemoryError:
                yield {"what": "train", "size": name, "mode": mode, "batch": batch, "error": "out of memory"}
    model = make(name, codes, length, device).bfloat16()
    for rows in WRITE_BATCHES:
        for compiled in (False, True):
            yield write_row(model, name, rows, length - 2, compiled)


def make(name: str, codes: int, length: int, device: torch.device) -> MotionLlama:
    """A decoder of a published size with random weights."""
    torch.manual_seed(0)
    with device:
        return MotionLlama(codes, **SIZES[name]._asdict(), text_dim=TEXT_DIM, max_length=length)


def train_row(
    model: MotionLlama, name: str, mode: str, batch: int, rates: dict[str, float], repeat: int
) -> dict[str, Any]:
    """Steps of `batch` full sequences with AdamW, each timed separately."""
    device = model.llama_proj.weight.device
    tokens = random_tokens(model, batch, model.max_length)
    kind = mode.split("+")[0]
    optimizer = make_optimizer(model.train(), lr=1e-4)
    with precision(kind, device):
        step = our_step(model, tokens, compiled=mode.endswith("compile"))

        def whole() -> None:
            step()
            optimizer.step()

        spread, peak = timed(whole, device, repeat)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {
        "what": "train",
        "size": name,
        "mode": mode,
        "batch": batch,
        "ms": spread.median * 1000,
        "tokens_per_second": tokens.numel() / spread.median,
        "utilisation": training_flops(model, *tokens.shape) / spread.median / rates[kind],
        "peak_mib": peak,
        "certain_mib": training_memory(parameters).total / MIB,
    }


def write_row(model: MotionLlama, name: str, batch: int, tokens: int, compiled: bool) -> dict[str, Any]:
    """Writing `tokens` codes for `batch` texts; END is forbidden."""
    device = model.llama_proj.weight.device
    text, mask = random_text(model, batch)
    sampling = Sampling(max_tokens=tokens, greedy=True)

    def run() -> None:
        generate(model, text, mask, sampling, lengths=[tokens] * batch, compiled=compiled)

    spread, peak = timed(run, device, 3)
    weights = sum(parameter.nbytes for parameter in model.parameters())
    cache = cache_bytes(
        n_layer=len(model.blocks),
        batch=batch,
        n_kv_heads=model.n_kv_heads,
        length=1 + tokens,
        head_dim=model.head_dim,
        number_bytes=model.llama_proj.weight.element_size(),
    )
    return {
        "what": "write",
        "size": name,
        "mode": "compiled" if compiled else "modules",
        "batch": batch,
        "ms_a_token": spread.median * 1000 / tokens,
        "tokens_per_second": batch * tokens / spread.median,
        "peak_mib": peak,
        "certain_mib": (weights + cache) / MIB,
    }


def timed(run: Work, device: torch.device, repeat: int) -> tuple[Spread, float]:
    """Seconds of `run` after warming up (compiling is part of that), and its peak of memory in MiB (0 on a CPU)."""
    for _ in range(min(3, repeat)):
        run()
    wait(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        run()
        wait(device)
        times.append(time.perf_counter() - began)
    return Spread.of(times), torch.cuda.max_memory_allocated(device) / MIB if device.type == "cuda" else 0.0
