"""The experiment of lesson 13: how well a tokenizer gives back what it has seen, and what it has not.

    cd notebooks && python -m lessons.evaluation.fit results/fit.json

The same small tokenizer learns from 3, 6, 12 or all 24 training takes of the bundled actions, half a minute each. On
the way its error is measured on clips that it learns from and on takes that it never sees.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lessons.shared.results import Point as Work
from lessons.shared.results import Record, main, read_result, short
from motionlab.config import load_config
from motionlab.data.batches import WindowBatches
from motionlab.data.composed.corpus import Corpus, build_corpus
from motionlab.data.leaks import takes_in
from motionlab.data.splits import Clips
from motionlab.evaluation.reconstruction import mpjpe
from motionlab.evaluation.tokenizer import measure_tokenizer
from motionlab.jobs.build import make_tokenizer
from motionlab.motion.features import decode_positions
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import seeded
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer

TAKES = (3, 6, 12, 24)
SEEDS = (0, 1, 2)
LOOKS = (25, 50, 100, 200, 400)  # steps after which the errors are measured
CLIPS = 24  # that each error is a mean over
SETTINGS = [
    "corpus.n_train=2400", "corpus.max_actions=2", "corpus.n_new_takes=64", "tokenizer.width=48", "tokenizer.depth=1",
    "tokenizer.down_t=1", "tokenizer.codebook_size=1000", "tokenizer.code_dim=32",
]  # fmt: skip
COMMAND = "cd notebooks && python -m lessons.evaluation.fit results/fit.json"


@dataclass(frozen=True)
class Curve:
    """Errors along one training, heading aligned, as shares of the error of a body that stays in the mean pose.

    Fields:
        clips: how many it learned from.
        known, new: after each of `steps`, on clips that were learned from and on new takes.
    """

    takes: int
    seed: int
    clips: int
    steps: list[int]
    known: list[float]
    new: list[float]


class Chosen:
    """Some clips of a split."""

    def __init__(self, clips: Clips, numbers: Sequence[int]) -> None:
        self.clips, self.numbers = clips, np.asarray(numbers)
        self.lengths, self.fps = clips.lengths[self.numbers], clips.fps
        self.digest, self.has_segments = clips.digest, clips.has_segments

    def __len__(self) -> int:
        return len(self.numbers)

    def features(self, index: int) -> Tensor:
        return self.clips.features(int(self.numbers[index]))

    def windows(self, indices: Any, starts: Any, length: int) -> Tensor:
        return self.clips.windows(self.numbers[np.asarray(indices)], starts, length)


@functools.cache
def material() -> Corpus:
    """The composed corpus of the experiment."""
    return build_corpus(load_config("ci", SETTINGS).corpus)


def clips_of(corpus: Corpus, count: int, seed: int) -> Chosen:
    """The training clips that are made from `count` takes alone; which ones, follows the seed."""
    names = sorted(corpus.takes["train"])
    chosen = {names[int(i)] for i in np.random.default_rng(seed).permutation(len(names))[:count]}
    return Chosen(corpus.train, [i for i in range(len(corpus.train)) if takes_in(corpus.train, i) <= chosen])


def train(takes: int, seed: int, looks: Sequence[int] = LOOKS, corpus: Corpus | None = None) -> Curve:
    """Train one tokenizer and measure it on the way."""
    corpus = material() if corpus is None else corpus
    clips, config = clips_of(corpus, takes, seed), load_config("ci", SETTINGS)
    normalizer = Normalizer.fit(clips.features(i) for i in range(len(clips)))
    batches = WindowBatches(clips, normalizer, window=config.tokenizer.window, batch_size=32, seed=seed)  # type: ignore[arg-type]
    with seeded(seed):
        model = make_tokenizer(config.tokenizer, "fsq")
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        known, new = [], []
        still = [_mean_pose_error(some, normalizer) for some in (clips, corpus.new_takes)]
        for step in range(max(looks)):
            x = batches(step)  # [32, window, 272]
            model.train()
            loss = tokenizer_losses(model(x), x, LossWeights())["total"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step + 1 in looks:
                known.append(short(_error(model, clips, normalizer) / still[0]))
                new.append(short(_error(model, corpus.new_takes, normalizer) / still[1]))
    return Curve(takes, seed, len(clips), list(looks), known, new)


def _error(model: MotionTokenizer, clips: Any, normalizer: Normalizer) -> float:
    return measure_tokenizer(model, clips, normalizer, _some(clips))[0]["mpjpe_heading_mm"]


def _mean_pose_error(clips: Any, normalizer: Normalizer) -> float:
    """The error of the mean of all features, in mm: whoever is no better has learned nothing about these clips."""
    real = [clips.features(i) for i in _some(clips)]
    errors = [
        float(mpjpe(decode_positions(normalizer.mean.expand_as(one)), decode_positions(one), "heading")) * len(one)
        for one in real
    ]
    return sum(errors) / sum(map(len, real))


def _some(clips: Any) -> list[int]:
    """Numbers of `CLIPS` clips, evenly spread."""
    return list(range(0, len(clips), max(1, len(clips) // CLIPS)))[:CLIPS]


def load_curves(path: str | Path) -> list[Curve]:
    """The curves of a result file.

    Raises:
        InputError: the file is missing or not of this form.
    """
    return read_result(path, lambda kept: [Curve(**row) for row in kept["curves"]], COMMAND)


def points() -> list[Work]:
    """The list of trainings to run, in this order."""

    def compute(takes: int, seed: int) -> Work:
        def add(record: Record) -> None:
            record.setdefault("curves", []).append(asdict(train(takes, seed)))

        return f"{takes} takes, seed {seed}", add

    return [compute(takes, seed) for seed in SEEDS for takes in TAKES]


if __name__ == "__main__":
    main(__doc__ or "", points(), {"takes": TAKES, "seeds": SEEDS, "looks": LOOKS, "overrides": SETTINGS})
