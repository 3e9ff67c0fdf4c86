"""Decide what every clip of the corpus will be, before any motion is touched.

Splits, by the ordered tuple of actions ("combination"):

* `train`, and `validation`: every 20th clip that is drawn for training is kept out of it to choose the best weights,
  because the test splits must not;
* `test_seen`: new clips of combinations that occur among the clips drawn for training;
* `test_unseen`: combinations with a neighbouring pair of actions that never occurs in train, neither alone nor inside
  a longer combination, although each single action does. Held-out pairs come with their mirror images.

Clips whose pelvis points straight up or down somewhere (`hard_heading`: roll, crawl, backflip, spin, some get-ups)
are left out by default: their heading jumps by up to 146 degrees in one frame, which decodes exactly but puts outliers
into two of the 272 features. `hard_heading=True` takes them in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from motionlab.config import CorpusConfig
from motionlab.data.composed.mirrored_words import mirror_caption, mirror_words
from motionlab.data.composed.samples import Sample
from motionlab.errors import InputError

SPLITS = ("train", "validation", "test_seen", "test_unseen")
DRAWN = ("train", "test_seen", "test_unseen")  # the place of a name here is part of the seed of every clip
VALIDATION_EVERY = 20
# Poses that may follow each other. Few clips begin in any other pose, so combinations with it could not be held out.
UPRIGHT = frozenset({"stand", "fight"})
# Turning and walking a few steps cannot be told from "turns left, then walks", so its captions would be ambiguous.
AMBIGUOUS = frozenset({"walk_around"})
HELD_OUT_SHARE = 0.15
# How often a clip has one, two, three, ... actions.
_COUNT_WEIGHTS = (0.25, 0.45, 0.30)
# A looping sample is repeated until it lasts about this many frames.
_LOOP_FRAMES = (40, 110)
_MAX_TRIES = 2000


@dataclass(frozen=True)
class Step:
    """One action of a composed clip."""

    sample: Sample
    speed: float = 1.0
    repeats: int = 1

    @property
    def frames(self) -> int:
        """Frames after the change of speed, all repeats."""
        once = int((len(self.sample.motion) - 1) / self.speed + 1e-6) + 1
        return (once - 1) * self.repeats + 1


@dataclass(frozen=True)
class Plan:
    """The plan of a clip, before any motion is touched."""

    name: str
    steps: tuple[Step, ...]
    mirrored: bool
    seed: tuple[int, ...]

    @property
    def frames(self) -> int:
        return 1 + sum(step.frames - 1 for step in self.steps)

    @property
    def actions(self) -> tuple[str, ...]:
        """Labels as they are seen in the finished clip."""
        return tuple(side(step.sample.action, self.mirrored) for step in self.steps)


def usable_samples(samples: Sequence[Sample], hard_heading: bool = False) -> list[Sample]:
    """The samples that the corpus is made from: upright at both ends, unambiguous, by default with an easy heading."""
    return [
        sample
        for sample in samples
        if {sample.start_pose, sample.end_pose} <= UPRIGHT
        and sample.action not in AMBIGUOUS
        and (hard_heading or not sample.hard_heading)
    ]


def why_unmirrored(sample: Sample) -> str:
    """Why clips with this sample are never mirrored: a word that may or may not be a side. Empty when they may be."""
    unsure = [word for text in (sample.action, *sample.phrases) for word in mirror_words(text).unsure]
    return unsure[0] if unsure else ""


def plan_corpus(settings: CorpusConfig, samples: Sequence[Sample]) -> dict[str, list[Plan]]:
    """Decide every clip of every split. Pure: the same settings and samples give the same plans.

    Raises:
        InputError: the settings leave too few combinations.
    """
    planner = Planner(settings, samples)
    drawn = planner.train()
    known = {plan.actions for plan in drawn}
    return {
        "train": [plan for number, plan in enumerate(drawn) if not validates(number)],
        "validation": [plan for number, plan in enumerate(drawn) if validates(number)],
        "test_seen": planner.seen(known),
        "test_unseen": planner.unseen(known),
    }


def validates(number: int) -> bool:
    """Whether the clip with this number, of those drawn for training, is kept for validation."""
    return number % VALIDATION_EVERY == VALIDATION_EVERY - 1


class Planner:
    """Draws plans. Every clip has its own generator, so adding clips to one split changes no other clip."""

    def __init__(self, settings: CorpusConfig, samples: Sequence[Sample]) -> None:
        self.settings = settings
        self.takes: dict[str, list[Sample]] = {}  # by action as recorded
        for sample in samples:
            self.takes.setdefault(sample.action, []).append(sample)
        self.actions = sorted(self.takes)
        if len(self.actions) < 2:
            raise InputError(
                "corpus",
                found=f"{len(self.actions)} usable actions",
                expected="at least 2, or no combination can be held out",
                fix="Use more samples.",
            )
        # Their mirror image would carry words that may be wrong, so it is left out.
        self.unmirrored = {sample.name: reason for sample in samples if (reason := why_unmirrored(sample))}
        if self.unmirrored and settings.mirror_probability == 1:
            name, reason = next(iter(self.unmirrored.items()))
            raise InputError(
                f"phrases of sample {name}",
                found=f"{reason}, which may or may not be a side",
                expected="phrases that can be mirrored, because corpus.mirror_probability is 1",
                fix="Write the phrase in other words, or lower corpus.mirror_probability.",
            )
        self.held_out = self._hold_out()

    def train(self) -> list[Plan]:
        return self._split("train", self.settings.n_train, lambda plan: not self._has_held_out(plan.actions))

    def seen(self, known: set[tuple[str, ...]]) -> list[Plan]:
        return self._split("test_seen", self.settings.n_test_seen, lambda plan: plan.actions in known, sorted(known))

    def unseen(self, known: set[tuple[str, ...]]) -> list[Plan]:
        trained = {action for actions in known for action in actions}

        def wanted(plan: Plan) -> bool:
            return self._has_held_out(plan.actions) and trained.issuperset(plan.actions)

        return self._split("test_unseen", self.settings.n_test_unseen, wanted)

    def _split(
        self,
        split: str,
        count: int,
        wanted: Callable[[Plan], bool],
        combinations: list[tuple[str, ...]] | None = None,
    ) -> list[Plan]:
        plans = []
        for number in range(count):
            seed = (self.settings.seed, DRAWN.index(split), number)
            generator = np.random.default_rng(seed)
            # Each action in turn must occur, so that all are trained, and about equally often.
            required = self.actions[number % len(self.actions)] if split == "train" else None
            for _ in range(_MAX_TRIES):
                plan = self._draw(f"{split}-{number:05d}", seed, generator, required, combinations)
                if plan is not None and wanted(plan):
                    plans.append(plan)
                    break
            else:
                raise InputError(
                    f"corpus {split}",
                    found=f"no clip after {_MAX_TRIES} tries (number {number}, with {required or 'any action'})",
                    expected=f"clips of {self.settings.min_frames} to {self.settings.max_frames} frames",
                    fix="Widen min_frames and max_frames, or raise n_train so that more combinations are known.",
                )
        return plans

    def _draw(
        self,
        name: str,
        seed: tuple[int, ...],
        generator: np.random.Generator,
        required: str | None,
        combinations: list[tuple[str, ...]] | None,
    ) -> Plan | None:
        settings = self.settings
        mirrored = bool(generator.random() < settings.mirror_probability)
        if combinations is None:
            weights = np.array([_COUNT_WEIGHTS[min(n, 2)] for n in range(settings.max_actions)])
            count = 1 + int(generator.choice(len(weights), p=weights / weights.sum()))
            labels = [self.actions[int(i)] for i in generator.integers(len(self.actions), size=count)]
            if required is not None:
                labels[int(generator.integers(count))] = required
        else:  # labels of finished clips; go back to what was recorded
            labels = [side(label, mirrored) for label in combinations[int(generator.integers(len(combinations)))]]
        if any(first == second for first, second in zip(labels, labels[1:], strict=False)):
            return None  # "walks, then walks" is one longer walk
        if not all(label in self.takes for label in labels):
            return None  # the mirror image of an action that is not in the samples
        steps = []
        for label in labels:
            takes = self.takes[label]
            sample = takes[int(generator.integers(len(takes)))]
            if mirrored and sample.name in self.unmirrored:
                return None
            speed = round(float(generator.uniform(settings.speed_min, settings.speed_max)), 3)
            target, repeats = int(generator.integers(*_LOOP_FRAMES)), 1
            if sample.looping:
                repeats = max(1, round(target * speed / (len(sample.motion) - 1)))
            steps.append(Step(sample, speed, repeats))
        plan = Plan(name, tuple(steps), mirrored, seed)
        return plan if settings.min_frames <= plan.frames <= settings.max_frames else None

    def _hold_out(self) -> set[tuple[str, str]]:
        """Ordered pairs of actions that training must not see, closed under mirroring."""
        labels = sorted({*self.actions, *(side(action, True) for action in self.actions)})
        pairs = [(first, second) for first in labels for second in labels if first != second]
        generator = np.random.default_rng((self.settings.seed, len(DRAWN)))
        wanted = max(1, round(HELD_OUT_SHARE * len(pairs)))
        held_out: set[tuple[str, str]] = set()
        for number in generator.permutation(len(pairs)):
            if len(held_out) >= wanted:
                break
            first, second = pairs[int(number)]
            held_out |= {(first, second), (side(first, True), side(second, True))}
        return held_out

    def _has_held_out(self, actions: tuple[str, ...]) -> bool:
        return any(pair in self.held_out for pair in zip(actions, actions[1:], strict=False))


def side(text: str, mirrored: bool) -> str:
    return mirror_caption(text) if mirrored else text
