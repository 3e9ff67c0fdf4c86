"""A training step on a GPU in several precisions: time, tokens a second, memory, and the share of the card's rate.

The rate that a card can reach is measured and not read from a data sheet: one large matrix product in the same
precision. The share of it that a step reaches says how much is left to gain on any card. The work of a step is
counted by torch (`FlopCounterMode`): convolutions and matrix products, forward and backward.

Precisions:
    fp32    float32 with all its 24 bits
    tf32    float32 in memory, 11 bits in the products of the Tensor Cores
    bf16    autocast: 8 bits in the products
    +compile    the same through `torch.compile`
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from support.measuring import MIB, Spread, machine
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from motionlab.files import write_text
from motionlab.tokenizer.model import MotionTokenizer

MODES = ("fp32", "tf32", "bf16", "tf32+compile", "bf16+compile")
BATCHES = (64, 256, 1024)
WINDOW = 96

MakeModel = Callable[[], MotionTokenizer]
MakeStep = Callable[[MotionTokenizer, Tensor], Callable[[], Tensor]]


def main(make_model: MakeModel, make_step: MakeStep, path: Path) -> None:
    """Measure every precision and batch on the first GPU, print and write the rows."""
    device = torch.device("cuda")
    rates = {mode: matmul_rate(mode, device, 8192) for mode in ("fp32", "tf32", "bf16")}
    print(", ".join(f"{mode} {rate / 1e12:.0f} TFLOP/s" for mode, rate in rates.items()), "in one large product")
    rows = []
    for batch in BATCHES:
        for mode in MODES:
            row = measure(mode, make_model, make_step, device, batch, rates[mode.split("+")[0]])
            rows.append(row)
            print(
                f"batch {batch:>5} {mode:<14}{row['ms']['median']:>9.2f} ms per step{row['tokens_per_second']:>13,.0f} "
                f"tokens/s{row['peak_mib']:>9,.0f} MiB{row['rate_fraction']:>8.1%} of the card's rate",
                flush=True,
            )
    facts = machine() | {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    write_text(path, json.dumps({"machine": facts, "matmul_flops": rates, "rows": rows}, indent=1) + "\n")


def measure(
    mode: str,
    make_model: MakeModel,
    make_step: MakeStep,
    device: torch.device,
    batch: int,
    rate: float,
    steps: int = 30,
) -> dict[str, Any]:
    """One row: `steps` steps, each timed separately, after ten that are not counted (compiling is among them)."""
    torch.manual_seed(0)
    x = torch.randn(batch, WINDOW, 272).to(device)
    with precision(mode.split("+")[0], device):
        work = count_flops(make_step(make_model().to(device), x))
        model = make_model().to(device)
        if mode.endswith("compile"):
            model.compile()
        step = make_step(model, x)
        for _ in range(min(10, steps)):
            step()
        wait(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        times = []
        for _ in range(steps):
            began = time.perf_counter()
            step()
            wait(device)
            times.append(1000 * (time.perf_counter() - began))
    spread = Spread.of(times)
    seconds = spread.median / 1000
    return {
        "mode": mode,
        "batch": batch,
        "window": WINDOW,
        "ms": {"median": spread.median, "q1": spread.q1, "q3": spread.q3, "n": spread.n},
        "tokens_per_second": batch * (WINDOW // 2) / seconds,
        "peak_mib": torch.cuda.max_memory_allocated(device) / MIB if device.type == "cuda" else 0.0,
        "flops": work,
        "rate_fraction": work / seconds / rate,
    }


@contextlib.contextmanager
def precision(mode: str, device: torch.device) -> Iterator[None]:
    """Run a block in "fp32", "tf32" or "bf16", and put the switches back."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode != "fp32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=mode == "bf16"):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def matmul_rate(mode: str, device: torch.device, size: int, repeat: int = 10) -> float:
    """Floating-point operations a second in a product of two square matrices; the best of `repeat`."""
    a = torch.randn(size, size, device=device)
    if mode == "bf16":
        a = a.bfloat16()
    best = float("inf")
    with precision(mode, device):
        for _ in range(repeat):
            wait(device)
            began = time.perf_counter()
            a @ a
            wait(device)
            best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def count_flops(step: Callable[[], Any]) -> int:
    """Operations of convolutions and matrix products in one step, a multiplication and an addition counted as two."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def wait(device: torch.device) -> None:
    """Until the device has finished what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
