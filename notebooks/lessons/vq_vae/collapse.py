"""The experiment of lesson 02: what makes the codebook of a small VQ-VAE die, and what saves it.

    cd notebooks && python -m lessons.vq_vae.collapse --out results/vq_collapse.json

trains every condition with five seeds (one to three seconds each) and writes one JSON file, which the lesson shows. The
lesson trains some of them again before the reader's eyes. The network is in `chunk_vqvae.py`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lessons.shared.results import read_result
from lessons.vq_vae.chunk_vqvae import (
    BETA,
    CODES,
    STEPS,
    WIDTH,
    Chunks,
    SmallTokenizer,
    Trained,
    load_chunks,
    train_chunks,
    train_small_tokenizer,
)
from lessons.vq_vae.published_rescue import PublishedRescue
from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.quantizers.base import Quantizer
from motionlab.quantizers.cosine_vq import CosineVQ
from motionlab.quantizers.rotation_vq import RotationVQ
from motionlab.quantizers.simvq import SimVQ
from motionlab.quantizers.vq import VQ
from motionlab.quantizers.vq_ema import VQEMA
from motionlab.runtime import set_threads

SEEDS = (0, 1, 2, 3, 4)
COMMAND = "cd notebooks && python -m lessons.vq_vae.collapse --out results/vq_collapse.json"


def _ema(**changes: float | bool | str) -> Callable[[], Quantizer]:
    settings = {"commitment": BETA, "reset": False, **changes}
    return lambda: VQEMA(CODES, WIDTH, **settings)  # type: ignore[arg-type]


# name -> how to make the quantizer. Without a word about it: moving averages with decay 0.99, beta 0.25, a start from
# the first batch, and no rescue.
CONDITIONS: dict[str, Callable[[], Quantizer]] = {
    "no rescue": _ema(),
    "frozen encoder": _ema(),
    "frozen encoder, start random": _ema(start="random"),
    "decay 0.999": _ema(decay=0.999),
    "decay 0.9": _ema(decay=0.9),
    "decay 0.5": _ema(decay=0.5),
    "beta 0": _ema(commitment=0.0),
    "beta 0.02": _ema(commitment=0.02),
    "beta 1": _ema(commitment=1.0),
    "start random": _ema(start="random"),
    "start k-means": _ema(start="kmeans"),
    "gradient": lambda: VQ(CODES, WIDTH, commitment=BETA),
    "gradient, start random": lambda: VQ(CODES, WIDTH, commitment=BETA, start="random"),
    "rescue": _ema(reset=True),
    "published rescue": lambda: PublishedRescue(CODES, WIDTH, commitment=BETA),
    "cosine": lambda: CosineVQ(CODES, WIDTH, commitment=BETA, reset=False),
    "rotation": lambda: RotationVQ(CODES, WIDTH, commitment=BETA, reset=False),
    "SimVQ": lambda: SimVQ(CODES, WIDTH, commitment=BETA),
    "rescue, decay 0.9": _ema(reset=True, decay=0.9),
    # These two are the tokenizer of stage 1, see `train_small_tokenizer`.
    "tokenizer, no rescue": _ema(),
    "tokenizer, rescue": _ema(reset=True),
}


@dataclass(frozen=True)
class Point:
    """One condition and seed: codes in use over all training chunks, and the joint error on the test chunks."""

    condition: str
    seed: int
    used: int
    perplexity: float
    spread: float
    error_mm: float


def train_condition(condition: str, chunks: Chunks, *, seed: int = 0, steps: int = STEPS) -> Trained:
    """Train the small network under one of `CONDITIONS`."""
    if condition not in CONDITIONS:
        raise InputError("condition", found=repr(condition), expected=", ".join(CONDITIONS), fix="Choose one of these.")
    learn = not condition.startswith("frozen encoder")
    return train_chunks(CONDITIONS[condition], chunks, seed=seed, steps=steps, learn_encoder=learn)


def measure(condition: str, chunks: Chunks, seed: int) -> Point:
    """Train one condition and keep its numbers."""
    run: Trained | SmallTokenizer
    if condition.startswith("tokenizer"):
        run = train_small_tokenizer(CONDITIONS[condition], chunks, seed=seed)
    else:
        run = train_condition(condition, chunks, seed=seed)
    numbers = (round(run.usage.perplexity, 2), round(run.spread, 4), round(run.error_mm, 2))
    return Point(condition, seed, run.usage.used, *numbers)


def load_points(path: str | Path) -> list[Point]:
    """The points of a result file.

    Raises:
        InputError: the file is missing or not of this form.
    """
    return read_result(path, lambda kept: [Point(**row) for row in kept["points"]], COMMAND)


def collapse_rows(points: Sequence[Point], conditions: Sequence[str]) -> list[tuple[str, ...]]:
    """A table of some conditions: codes in use and error, each as smallest to largest over the seeds."""
    rows: list[tuple[str, ...]] = [("condition", "codes used", "perplexity", "spread", "error (mm)")]
    for condition in conditions:
        here = [point for point in points if point.condition == condition]
        used = [point.used for point in here]
        cells = [f"{min(used)} to {max(used)}"]
        for field, form in (("perplexity", ".0f"), ("spread", ".2f"), ("error_mm", ".0f")):
            values = [getattr(point, field) for point in here]
            cells.append(f"{min(values):{form}} to {max(values):{form}}")
        rows.append((condition, *cells))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the conditions of lesson 02.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write; points that it holds are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=list(CONDITIONS))
    arguments = parser.parse_args()
    set_threads(1)  # one thread: the same sums in the same order on every machine
    points = {(p.condition, p.seed): p for p in load_points(arguments.out)} if arguments.out.exists() else {}
    chunks = load_chunks()
    order = list(CONDITIONS)
    for seed in arguments.seeds:
        for condition in arguments.conditions:
            if (condition, seed) in points:
                continue
            points[condition, seed] = measure(condition, chunks, seed)
            kept = sorted(points.values(), key=lambda p: (order.index(p.condition), p.seed))
            rows = ",\n".join("  " + json.dumps(asdict(point)) for point in kept)
            head = json.dumps(
                {"command": COMMAND, "torch": torch.__version__, "steps": STEPS, "codes": CODES}, indent=1
            )
            write_text(arguments.out, head[:-2] + ',\n "points": [\n' + rows + "\n ]\n}\n")
            print(points[condition, seed], flush=True)


if __name__ == "__main__":
    main()
