"""Does resident memory stay flat over many calls in one process? Generation, reports, and a training.

    python benchmarks/memory_flat.py                     a ci run is made first, then 1,000 generations and 5,000 steps
    python benchmarks/memory_flat.py --run runs/tiny --generations 200 --reports 50 --steps 0

A process that answers requests for a day, or trains for a week, must not grow. Each part warms up for a tenth of its
calls, because caches fill and the first allocations set the size of the heap; then the memory is read ten times. The
goal is that the last reading is at most 5 % above the first.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import torch

from motionlab.config import load_config
from motionlab.jobs.build import make_tokenizer
from motionlab.jobs.generate import generate_file
from motionlab.jobs.main_job import run as main_job
from motionlab.jobs.report import write_report
from motionlab.jobs.run_folder import Run
from motionlab.training.loop import fit
from motionlab.training.stage import FunctionStage, Losses

PROMPTS = ("a person walks forward", "a person kicks", "someone jumps", "a person turns left and walks")
SUFFIXES = (".bvh", ".npy", ".gif", ".html")
READINGS = 10
GOAL = 0.05


def resident() -> float:
    """Resident memory of this process in MiB."""
    return float(psutil.Process().memory_info().rss / 2**20)


class Readings:
    """Memory after the warm-up and then ten times, at equal distances."""

    def __init__(self, name: str, calls: int) -> None:
        self.name, self.calls, self.values = name, calls, list[float]()
        self.warm, self.began = max(1, calls // READINGS), time.perf_counter()

    def after(self, call: int) -> None:
        """Read when it is time; `call` counts from 1."""
        if call >= self.warm and (call - self.warm) * READINGS // max(1, self.calls - self.warm) >= len(self.values):
            self.values.append(resident())

    def line(self) -> str:
        """The result as a line, with the verdict."""
        growth = self.values[-1] / self.values[0] - 1
        verdict = "flat" if growth <= GOAL else "GROWS"
        seconds = time.perf_counter() - self.began
        shown = " ".join(f"{value:.0f}" for value in self.values)
        return f"{self.name:<12} {self.calls:>6,} calls {seconds:>6.0f} s  {growth:>+6.1%} {verdict}  MiB: {shown}"


def repeat(name: str, calls: int, call: Callable[[int], object]) -> str:
    """Call it so often and return the line of the readings."""
    readings = Readings(name, calls)
    for i in range(calls):
        call(i)
        readings.after(i + 1)
    return readings.line()


def measure_training(steps: int) -> str:
    """Steps of the one training loop on a small tokenizer, with validation-free logging and checkpoints as usual."""
    settings = replace(load_config("ci").tokenizer_training, steps=steps, save_every=max(1, steps // 5), log_every=10)
    model = make_tokenizer(load_config("ci").tokenizer, "fsq")
    batches = [torch.randn(8, 64, 272) for _ in range(16)]
    readings = Readings("training", steps)
    done = 0

    def step(batch: torch.Tensor) -> Losses:
        nonlocal done
        done += 1
        readings.after(done)
        output = model(batch)
        return Losses(torch.nn.functional.smooth_l1_loss(output.reconstruction, batch) + output.quantized.loss)

    with tempfile.TemporaryDirectory() as folder:
        fit(FunctionStage(model, lambda i: batches[i % 16], step, title="memory"), settings, folder)
    return readings.line()


def main() -> None:
    parser = argparse.ArgumentParser(description="Resident memory over many calls in one process.")
    parser.add_argument("--run", type=Path, help="a finished run; by default one of the ci preset is made")
    parser.add_argument("--generations", type=int, default=1000)
    parser.add_argument("--reports", type=int, default=100)
    parser.add_argument("--steps", type=int, default=5000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source = place / "run"
        if chosen.run is None:
            main_job(load_config("ci"), source)
        else:
            shutil.copytree(chosen.run, source)  # the reports are written into it
        run = Run.open(source)
        if chosen.generations:

            def generate(i: int) -> object:
                out = place / f"motion{SUFFIXES[i % len(SUFFIXES)]}"
                return generate_file(PROMPTS[i % len(PROMPTS)], source, out, seed=i, max_tokens=20)

            print(repeat("generate", chosen.generations, generate), flush=True)
        if chosen.reports:
            print(repeat("report", chosen.reports, lambda i: write_report(run)), flush=True)
    if chosen.steps:
        print(measure_training(chosen.steps), flush=True)


if __name__ == "__main__":
    main()
