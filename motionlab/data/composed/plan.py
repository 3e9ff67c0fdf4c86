"""Decide what every clip of the corpus will be, before any motion is touched.

Takes are divided first (`held_takes.py`). Then the splits, each named for what it asks:

* `train`; `validation`: sequences of actions that training has seen, to choose the best weights;
* `seen_pairs`: sequences whose neighbouring pairs all occur in train. Does it say again what it has heard?
* `unseen_pairs`: sequences with a pair that never occurs in train, although each single action does. Can it combine?
* `new_takes`: one action alone, by another performance of it. Does the tokenizer, does the judge know new motion?

No take of these three is in train or validation, so they hold only actions that were recorded more than once. The
other actions have `seen_pairs_one_take` and `unseen_pairs_one_take`: every clip of theirs has at least one action with
a single take, which training knows. A generated motion can be judged on them; their *real* motions are no new motions.

Actions take turns in every split: the next clip has the action that had the fewest segments so far. So shares of
actions agree over the splits.

Clips whose pelvis points straight up or down somewhere (`hard_heading`: roll, crawl, backflip, spin, some get-ups)
are left out by default: their heading jumps by up to 146 degrees in one frame, which decodes exactly but puts outliers
into two of the 272 features. `hard_heading=True` takes them in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from motionlab.config import CorpusConfig
from motionlab.data.composed.held_pairs import Labels, beyond, hold_out_pairs, neighbours, only
from motionlab.data.composed.held_takes import Takes, divide_takes
from motionlab.data.composed.mirrored_words import mirror_words, side
from motionlab.data.composed.samples import Sample
from motionlab.errors import InputError

TESTS = ("seen_pairs", "unseen_pairs", "new_takes")
APART = ("seen_pairs_one_take", "unseen_pairs_one_take")
SPLITS = ("train", "validation", *TESTS, *APART)  # the place of a name here is part of the seed of every clip
# Poses that may follow each other. Few clips begin in any other pose, so combinations with it could not be held out.
UPRIGHT = frozenset({"stand", "fight"})
# Turning and walking a few steps cannot be told from "turns left, then walks", so its captions would be ambiguous.
AMBIGUOUS = frozenset({"walk_around"})
# How often a clip is to have one, two, three, ... actions. Many single ones would leave few pairs to learn from.
_COUNT_WEIGHTS = (0.14, 0.52, 0.34)
# Of so many sequences the one whose actions had the fewest segments becomes a test clip.
_TO_CHOOSE_FROM = 4
# Longer sequences with a held-out pair are not listed: there would be too many.
_LONGEST_UNSEEN = 3
# A looping sample is repeated until it lasts about this many frames.
_LOOP_FRAMES = (40, 110)
# One action alone is often shorter than corpus.min_frames.
_SHORTEST_TAKE = 20
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
    def actions(self) -> Labels:
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

    Returns:
        the plans of each split of `SPLITS`; a test split with 0 clips in the settings has none.

    Raises:
        InputError: the settings leave too few combinations.
    """
    return Planner(settings, samples).plan()


class Planner:
    """Draws plans, each with a generator of its own. More clips of one split do not change its earlier ones."""

    def __init__(self, settings: CorpusConfig, samples: Sequence[Sample]) -> None:
        self.settings = settings
        self.takes: Takes = divide_takes(samples, settings.seed)
        self.actions = sorted(self.takes.train)
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
        # Labels of finished clips.
        self.labels = self._labels(self.takes.train)
        self.several = [label for label in self.labels if label in self._labels(self.takes.test)]
        self.held_out = hold_out_pairs(self.labels, self.several, settings.seed)

    def plan(self) -> dict[str, list[Plan]]:
        """The plans of all splits."""
        n, takes = self.settings, self.takes
        train = self._split("train", n.n_train, self._any, takes.train, self.labels)
        known = sorted({plan.actions for plan in train})
        pairs = {pair for actions in known for pair in neighbours(actions)}
        # A pair within a longer sequence is known as well.
        seen = sorted({*pairs, *(actions for actions in known if len(actions) > 1)})
        unseen = self._with_held_out_pairs({label for actions in known for label in actions})
        alone: list[Labels] = [(label,) for label in self.several]
        # Where an action has no take of its own for a side, it is done by one of training.
        validating, testing = {**takes.train, **takes.validation}, {**takes.train, **takes.test}
        several = set(self.several)
        return {
            "train": train,
            "validation": self._listed("validation", n.n_validation, known, validating),
            "seen_pairs": self._listed("seen_pairs", n.n_seen_pairs, only(seen, several), takes.test),
            "unseen_pairs": self._listed("unseen_pairs", n.n_unseen_pairs, only(unseen, several), takes.test),
            "new_takes": self._listed("new_takes", n.n_new_takes, alone, takes.test),
            "seen_pairs_one_take": self._listed("seen_pairs_one_take", n.n_seen_pairs, beyond(seen, several), testing),
            "unseen_pairs_one_take": self._listed(
                "unseen_pairs_one_take", n.n_unseen_pairs, beyond(unseen, several), testing
            ),
        }

    def _with_held_out_pairs(self, trained: set[str]) -> list[Labels]:
        """Every sequence with a held-out pair, of labels that training knows alone."""
        labels = [label for label in self.labels if label in trained]
        found: list[Labels] = []
        for count in range(2, min(self.settings.max_actions, _LONGEST_UNSEEN) + 1):
            found += [one for one in product(labels, repeat=count) if self._is_unseen(one)]
        return found

    def _is_unseen(self, labels: Labels) -> bool:
        pairs = neighbours(labels)
        return all(first != second for first, second in pairs) and any(pair in self.held_out for pair in pairs)

    def _any(self, generator: np.random.Generator, label: str, segments: Counter[str]) -> Labels | None:
        """A sequence for training, with this label somewhere; None if it has a held-out pair."""
        count = _draw_count(generator, range(1, self.settings.max_actions + 1))
        drawn = [self.labels[int(i)] for i in generator.integers(len(self.labels), size=count)]
        drawn[int(generator.integers(count))] = label
        return None if any(pair in self.held_out for pair in neighbours(drawn)) else tuple(drawn)

    def _listed(
        self, split: str, count: int, combinations: Sequence[Labels], takes: dict[str, list[Sample]]
    ) -> list[Plan]:
        """A split of these sequences; each of its labels gets its turn."""
        with_label: dict[str, dict[int, list[Labels]]] = {}  # label -> number of actions -> sequences
        for labels in combinations:
            for label in sorted(set(labels)):
                with_label.setdefault(label, {}).setdefault(len(labels), []).append(labels)

        def draw(generator: np.random.Generator, label: str, segments: Counter[str]) -> Labels:
            some = with_label[label][_draw_count(generator, sorted(with_label[label]))]
            few = [some[int(number)] for number in generator.integers(len(some), size=_TO_CHOOSE_FROM)]
            return min(few, key=lambda labels: sum(segments[other] for other in labels))

        return self._split(split, count, draw, takes, sorted(with_label))

    def _split(
        self,
        split: str,
        count: int,
        draw: Callable[[np.random.Generator, str, Counter[str]], Labels | None],
        takes: dict[str, list[Sample]],
        labels: Sequence[str],
    ) -> list[Plan]:
        if count and not labels:
            raise InputError(
                f"corpus {split}",
                found=f"no combination of actions for it ({self.settings.n_train} training clips)",
                expected="at least one",
                fix=f"Raise corpus.n_train, or ask for none: corpus.n_{split.removesuffix('_one_take')}=0.",
            )
        plans: list[Plan] = []
        segments = Counter(dict.fromkeys(labels, 0))
        for number in range(count):
            seed = (self.settings.seed, SPLITS.index(split), number)
            generator = np.random.default_rng(seed)
            fewest = min(segments[label] for label in labels)
            next_ones = [label for label in labels if segments[label] == fewest]
            label = next_ones[int(generator.integers(len(next_ones)))]
            for _ in range(_MAX_TRIES):
                drawn = draw(generator, label, segments)
                plan = None if drawn is None else self._perform(f"{split}-{number:05d}", seed, generator, drawn, takes)
                if plan is not None:
                    break
            else:
                raise InputError(
                    f"corpus {split}",
                    found=f"no clip after {_MAX_TRIES} tries (number {number}, with {label})",
                    expected=f"clips of {self.settings.min_frames} to {self.settings.max_frames} frames",
                    fix="Widen min_frames and max_frames, or raise n_train so that more combinations are known.",
                )
            plans.append(plan)
            segments.update(plan.actions)
        return plans

    def _perform(
        self,
        name: str,
        seed: tuple[int, ...],
        generator: np.random.Generator,
        labels: Labels,
        takes: dict[str, list[Sample]],
    ) -> Plan | None:
        """A clip that shows these labels, by takes of this side, or None if this draw gives none."""
        settings = self.settings
        mirrored = bool(generator.random() < settings.mirror_probability)
        actions = [side(label, mirrored) for label in labels]  # back to what was recorded
        if any(first == second for first, second in neighbours(actions)):
            return None  # "walks, then walks" is one longer walk
        if not all(action in takes for action in actions):
            return None  # the mirror image of an action that is not in the samples
        steps = []
        for action in actions:
            some = takes[action]
            sample = some[int(generator.integers(len(some)))]
            if mirrored and sample.name in self.unmirrored:
                return None
            speed = round(float(generator.uniform(settings.speed_min, settings.speed_max)), 3)
            target, repeats = int(generator.integers(*_LOOP_FRAMES)), 1
            if sample.looping:
                repeats = max(1, round(target * speed / (len(sample.motion) - 1)))
            steps.append(Step(sample, speed, repeats))
        plan = Plan(name, tuple(steps), mirrored, seed)
        shortest = min(settings.min_frames, _SHORTEST_TAKE) if name.startswith("new_takes") else settings.min_frames
        return plan if shortest <= plan.frames <= settings.max_frames else None

    def _labels(self, takes: dict[str, list[Sample]]) -> list[str]:
        """Labels that a finished clip made from these takes can have."""
        chance = self.settings.mirror_probability
        plain = set(takes) if chance < 1 else set()
        turned = {
            side(action, True) for action, some in takes.items() if any(one.name not in self.unmirrored for one in some)
        }
        return sorted(plain | (turned if chance > 0 else set()))


def _draw_count(generator: np.random.Generator, counts: Sequence[int]) -> int:
    """How many actions a clip has."""
    weights = np.array([_COUNT_WEIGHTS[min(count, 3) - 1] for count in counts])
    return counts[int(generator.choice(len(counts), p=weights / weights.sum()))]
