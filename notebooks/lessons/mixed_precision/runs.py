"""The longer runs of lesson 09, kept as JSON.

    cd notebooks && python -m lessons.mixed_precision.runs results/mixed_precision.json

A point that is already in the file is not computed again, so the command can be stopped and given again. Sections:

    final    loss at the end (mean of ten steps) by kind and learning rate, a list over seeds 0, 1, 2
    moved    the share of norm scales and of matrix entries that changed, for the same runs
    fixed    the same loss of fp16 trainings with one fixed loss scale 2^e
    gradients, scaler    ceilings and lost shares of a real fp16 training, and the scales that its GradScaler had
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator

import torch

from lessons.mixed_precision.experiment import KINDS, logits_loss, moved_share, scan_scales, train
from lessons.shared.results import Point, Record, keep, main
from lessons.shared.small_models import sequence_batches, small_decoder
from motionlab.training.optimizer import make_optimizer

SEEDS = (0, 1, 2)
STEPS, SHORT = 120, 30
SMALL_RATE = ("fp32", "bf16 weights", "frozen norms")  # kinds worth comparing at a rate of 1e-4
FIXED = (-20, -16, -12, -8, 0, 8, 16, 20)
EXPONENTS = (-16, -8, 0, 8, 12, 13, 14, 15, 16, 17, 18, 19, 20)
REAL_STEPS, REAL_INTERVAL = 30, 4
SETTINGS = {"steps": STEPS, "fixed_steps": SHORT, "batch": 16, "seeds": list(SEEDS)}


def points() -> Iterator[Point]:
    """Every computation."""
    for lr, kind in [*((1e-3, kind) for kind in KINDS), *((1e-4, kind) for kind in SMALL_RATE)]:
        for seed in SEEDS:
            yield f"final: {kind}, lr {lr:g}, seed {seed}", functools.partial(_final, kind=kind, lr=lr, seed=seed)
    for exponent, seed in itertools.product(FIXED, SEEDS):
        yield f"fixed: {exponent}, seed {seed}", functools.partial(_fixed, exponent=exponent, seed=seed)
    yield "gradients: measured", _gradients


def _final(record: Record, kind: str, lr: float, seed: int) -> None:
    done = train(kind, seed=seed, steps=STEPS, lr=lr)
    name = f"{kind}, lr {lr:g}"
    keep(record, "final", name, done.final)
    for group, share in moved_share(small_decoder(seed), done.model).items():
        keep(record, "moved", f"{name}, {group}", share)


def _fixed(record: Record, exponent: int, seed: int) -> None:
    done = train("fp16", seed=seed, steps=SHORT, scale=2.0**exponent)
    keep(record, "fixed", str(exponent), done.final)
    keep(record, "fixed skipped", str(exponent), done.skipped)


def _gradients(record: Record) -> None:
    """One fp16 training; before each step its batch is tried at every scale."""
    model, batches = small_decoder(0), sequence_batches(16)
    optimizer = make_optimizer(model, lr=1e-3, betas=(0.9, 0.999))
    scaler = torch.amp.GradScaler("cpu", growth_interval=REAL_INTERVAL)
    ceilings, lost, scales = [], [], []
    for step in range(REAL_STEPS):
        batch = batches(step)
        ceiling, shares = scan_scales(model, batch, EXPONENTS)
        ceilings.append(ceiling)
        lost.append([round(share, 6) for share in shares])
        scales.append(math.log2(scaler.get_scale()))
        scaler.scale(logits_loss(model, batch, torch.float16)).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    name = "small decoder, fp16, measured"
    record["gradients"] = {"name": name, "exponents": list(EXPONENTS), "ceiling": ceilings, "lost": lost}
    record["scaler"] = {"growth_interval": REAL_INTERVAL, "log2_scale": scales}


if __name__ == "__main__":
    main(__doc__, points(), SETTINGS)
