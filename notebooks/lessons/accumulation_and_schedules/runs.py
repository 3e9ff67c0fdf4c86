"""The longer runs of lesson 10, kept as JSON.

    cd notebooks && python -m lessons.accumulation_and_schedules.runs results/accumulation.json

Every number is a validation loss in nats per token; each list runs over seeds 0, 1, 2. Sections:

    ways    AdamW, by way of accumulating or counting;   sgd    the same with SGD, for the ways that AdamW may hide
    batch   by batch size and peak learning rate, 16 epochs each
    warm-up by learning rate and share of the run
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

from lessons.accumulation_and_schedules.experiment import WAYS, train, train_batch
from lessons.shared.results import Point, Record, keep, main

SEEDS = (0, 1, 2)
EPOCHS = 10
SGD_WAYS = ("right", "zero_grad inside", "no divisor", "tail over A")
RATES = {3: (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3), 12: (5e-4, 1e-3, 2e-3, 4e-3, 8e-3), 48: (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)}
WARMUPS = (0.0, 0.05, 0.125, 0.25)
WARMUP_RATES = (1e-2, 4e-3)
RATE = 3e-3
SETTINGS = {"epochs": EPOCHS, "batch_epochs": 16, "lr": RATE, "seeds": list(SEEDS)}


def points() -> Iterator[Point]:
    """Every computation."""
    for way, seed in itertools.product(WAYS, SEEDS):
        yield f"ways: {way}, seed {seed}", functools.partial(_way, way=way, seed=seed, sgd=False)
    for batch, rates in RATES.items():
        for lr, seed in itertools.product(rates, SEEDS):
            yield f"batch: {batch}, lr {lr:g}, seed {seed}", functools.partial(_batch, batch=batch, lr=lr, seed=seed)
    for way, seed in itertools.product(SGD_WAYS, SEEDS):
        yield f"sgd: {way}, seed {seed}", functools.partial(_way, way=way, seed=seed, sgd=True)
    for lr, share, seed in itertools.product(WARMUP_RATES, WARMUPS, SEEDS):
        yield f"warm-up: lr {lr:g}, {share:g}, seed {seed}", functools.partial(_warmup, lr=lr, share=share, seed=seed)
    for seed in SEEDS:
        yield f"ways: right at twice the rate, seed {seed}", functools.partial(_twice, seed=seed)


def _way(record: Record, way: str, seed: int, sgd: bool) -> None:
    keep(record, "sgd" if sgd else "ways", way, train(way, seed=seed, epochs=EPOCHS, lr=RATE, sgd=sgd).loss)


def _batch(record: Record, batch: int, lr: float, seed: int) -> None:
    keep(record, "batch", f"batch {batch}, lr {lr:g}", train_batch(batch, lr, seed=seed))


def _warmup(record: Record, lr: float, share: float, seed: int) -> None:
    keep(record, "warm-up", f"lr {lr:g}, {share:g}", train_batch(12, lr, seed=seed, warmup_share=share))


def _twice(record: Record, seed: int) -> None:
    keep(record, "ways", "right at twice the rate", train("right", seed=seed, epochs=EPOCHS, lr=2 * RATE).loss)


if __name__ == "__main__":
    main(__doc__, points(), SETTINGS)
