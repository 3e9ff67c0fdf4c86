"""One point of the comparison of training strategies: a decoder trained in one way, and what it can do then.

Every point starts from the same tokenizer and the same codes, those of a finished run, and has the model and the
training settings of that run. Two points differ in the strategy, the seed, and what else they name. Every strategy
takes the same number of optimizer steps; what a step costs is measured too, because some need two passes.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from motionlab.config import TrainConfig
from motionlab.data.joined import JoinedClips
from motionlab.data.splits import CaptionsOf, Clips, Splits
from motionlab.errors import InputError
from motionlab.evaluation.actions import ActionClassifier, train_classifier
from motionlab.evaluation.baselines import TrainingMotions
from motionlab.files.litter import temporary_folder
from motionlab.jobs.build import make_llama
from motionlab.jobs.evaluate import why_unscored
from motionlab.jobs.prepare import check_tests, prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.tokens import Codes, training_codes
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.strategies import (
    MaskedModelling,
    RandomReplacement,
    ScheduledSampling,
    Strategy,
    TeacherForcing,
)
from motionlab.llama.sequence import SequenceBatches, Sequences, build_sequences
from motionlab.runtime import choose_device, seed_everything
from motionlab.training.loop import fit
from motionlab.training.stage import FunctionStage, Losses

STRATEGIES: dict[str, Strategy] = {
    "teacher_forcing": TeacherForcing(),
    "keep_90": RandomReplacement(0.9),
    "keep_50": RandomReplacement(0.5),  # what T2M-GPT trains with
    "keep_batch": RandomReplacement(0.0, "batch"),  # the published pkeep=-1
    "keep_sample": RandomReplacement(0.0, "sample"),
    "scheduled_sampling": ScheduledSampling(0.5),  # as many codes change as with keep_50; only what they become differs
    "masked": MaskedModelling(),
    "label_smoothing": TeacherForcing(label_smoothing=0.1),
}
STEPS = 250  # optimizer steps of a point that names none


@dataclass(frozen=True)
class Ground:
    """Shared by all points of one run; made once per process."""

    run: Run
    splits: Splits
    codes: Codes

    @functools.cached_property
    def codebook_size(self) -> int:
        """K of the run's tokenizer."""
        return self.run.tokenizer().codebook_size

    @functools.cached_property
    def judge(self) -> ActionClassifier:
        """The action classifier that `motionlab evaluate` trains for this run: same data, steps and seed."""
        config = self.run.config
        return train_classifier(
            JoinedClips(self.splits.train, self.splits.validation),
            steps=config.evaluation.classifier_steps,
            seed=config.seed,
        )

    @functools.cached_property
    def training_motions(self) -> TrainingMotions:
        """Looks up training clips by their captions."""
        return TrainingMotions(self.splits.train, self.run.text.features, self.run.config.corpus.blend_frames)

    @functools.cached_property
    def tests(self) -> dict[str, Clips]:
        """The test splits that are measured: "seen" and "unseen" (pairs) of the composed corpus, else the first.

        Raises:
            InputError: these motions have no test split.
        """
        check_tests(self.splits)
        there = self.splits.tests
        composed = {name: there[f"{name}_pairs"] for name in ("seen", "unseen") if f"{name}_pairs" in there}
        return composed if len(composed) == 2 else {"seen": next(iter(there.values()))}

    def judges(self, name: str) -> bool:
        """Whether the judge can score what is generated for the clips of a test split."""
        return name not in self._unscored

    @functools.cached_property
    def _unscored(self) -> dict[str, str]:
        return why_unscored(JoinedClips(self.splits.train, self.splits.validation), self.tests)

    def batch(self, numbers: Sequence[int], *, held_out: bool = False) -> Sequences:
        """Training clips, or validation clips, as one batch with their first captions; nothing is drawn."""
        clips = self.splits.validation if held_out else self.splits.train
        codes = self.codes.validation if held_out else self.codes.train
        text = self.run.text.features([clips.captions(i)[0] for i in numbers])
        return build_sequences([codes[i].long() for i in numbers], text, self.codebook_size, max_length=10_000)

    def batches(self, count: int, size: int = 32, *, held_out: bool = False) -> list[Sequences]:
        """The first `count` clips in several batches, each with its own seed."""
        return [
            self.batch(range(at, min(at + size, count)), held_out=held_out).seeded(number)
            for number, at in enumerate(range(0, count, size))
        ]


@functools.lru_cache(maxsize=1)
def open_ground(folder: str | Path) -> Ground:
    """The run, its corpus from the cache, and its codes."""
    run = Run.open(folder)
    splits = prepare(run.config)
    return Ground(run, splits, training_codes(run, splits))


def point_settings(run: Run, steps: int, seed: int) -> TrainConfig:
    """The training settings of the run with other steps and seed; the warm-up is a quarter of the steps at most."""
    settings = run.config.llama_training
    return replace(
        settings,
        steps=steps,
        seed=seed,
        warmup_steps=min(settings.warmup_steps, steps // 4),
        val_every=steps,
        save_every=steps,
    )


@dataclass(frozen=True)
class TrainedDecoder:
    """A decoder after the last step (no best checkpoint is chosen), and what its training took."""

    model: MotionLlama
    seconds: float
    seconds_a_step: float


def train_decoder(ground: Ground, strategy: str, *, seed: int, steps: int, clips: int | None) -> TrainedDecoder:
    """Train one decoder on the first `clips` training clips, or on all.

    The seconds of a step are the median of the time from one step to the next, with the batch and the optimizer in it.
    """
    run, train = ground.run, STRATEGIES[strategy]
    settings, device = point_settings(run, steps, seed), torch.device(choose_device(run.config.device).value)
    clips = len(ground.splits.train) if clips is None else min(clips, len(ground.splits.train))
    seed_everything(seed)
    model = make_llama(
        run.config,
        codebook_size=ground.codebook_size,
        text_dim=run.text.dim,
        longest=ground.splits.longest,
        mask_token=isinstance(train, MaskedModelling),
    )
    batches = SequenceBatches(
        ground.codes.train[:clips],
        CaptionsOf(ground.splits.train, clips),
        run.text,
        codebook_size=ground.codebook_size,
        batch_size=settings.batch_size,
        seed=seed,
        per_step=settings.grad_accum_steps,
        max_length=model.max_length,
        text_drop=run.config.llama.text_drop,
        edge_drop=run.config.llama.edge_drop,
    )
    ticks: list[float] = []

    def step(batch: Sequences) -> Losses:
        ticks.append(time.perf_counter())
        losses = train(model, batch.to(device))
        return Losses(losses.loss, {"accuracy": losses.accuracy})

    began = time.perf_counter()
    with temporary_folder("training") as folder:  # the numbers are kept, the weights are not
        stage = FunctionStage(
            model, batches, step, count=lambda batch: train.count(batch, ground.codebook_size), title=strategy
        )
        fit(stage, settings, folder, device=device)
    seconds = time.perf_counter() - began
    gaps = [after - before for before, after in zip(ticks, ticks[1:], strict=False)]
    return TrainedDecoder(model.eval(), seconds, statistics.median(gaps) if gaps else seconds)


def check_point(point: dict[str, Any]) -> None:
    """Raise an InputError for values that no point may have."""
    seed, steps, clips = point["seed"], point["steps"], point["clips"]
    for key, good, expected in (
        ("strategy", point["strategy"] in STRATEGIES, ", ".join(STRATEGIES)),
        ("seed", type(seed) is int and seed >= 0, "a whole number from 0 on"),  # not bool, which is an int too
        ("steps", type(steps) is int and steps >= 1, "1 or more"),
        ("clips", clips is None or (type(clips) is int and clips >= 1), "1 or more, or null for all"),
    ):
        if not good:
            raise InputError(f"grid axis {key}", found=repr(point[key]), expected=expected, fix="Change the grid.")


def curve_clips(ground: Ground, count: int) -> list[int]:
    """Clips for the curves: the first validation clips, which no point trains on."""
    return list(range(min(count, len(ground.splits.validation))))
