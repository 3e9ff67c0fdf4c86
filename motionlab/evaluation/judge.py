"""The judge of a run: the action classifier, and how long each action lasts in the clips that it learned from.

Its frame labels alone cannot count. Two kicks one after the other are one long run of "kick", and so is one slow kick.
The lengths tell the two apart as far as that is possible: a run that is longer than every kick of the training clips
was probably more than one. The judge knows the actions of its training clips and no others; a motion of another kind
gets the name of whichever of them it resembles most, or none. How often it is right about takes that it never saw is
kept with it, and told whenever it says something.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from torch import Tensor

from motionlab.data.splits import Clips
from motionlab.environment import language
from motionlab.errors import InputError
from motionlab.evaluation.actions import MIN_FRAMES, ActionClassifier
from motionlab.evaluation.judge_accuracy import JudgeAccuracy, describe_accuracy
from motionlab.files.reading import refusing
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.language import tr
from motionlab.motion.motion import Motion
from motionlab.training.checkpoints.tensor_files import load_into

_BETWEEN = re.compile(r"(?:(?<=\d s)|(?<=of them\))), ")  # two actions of `describe_actions`
VERSION = 2  # of the classifier: raise it when an older file gives other answers, or none


@dataclass(frozen=True)
class Lengths:
    """Frames of one action in the training clips."""

    shortest: int
    median: float
    longest: int


@dataclass(frozen=True)
class SeenAction:
    """An action that was recognised in a motion: its frames, and how often it was probably done in them."""

    name: str
    frames: int
    usual: Lengths
    fps: float = Motion.fps

    @property
    def times(self) -> int:
        """1, unless it lasts longer than every training clip of it; then how often the median length fits."""
        if self.frames <= self.usual.longest:
            return 1
        return max(2, round(self.frames / self.usual.median))

    def __str__(self) -> str:
        """
        >>> print(SeenAction("kick", 90, Lengths(36, 44, 57)))
        kick 3.0 s (one lasts 1.2 to 1.9 s in the training clips: about 2 of them)
        """
        text = f"{self.name} {self.frames / self.fps:.1f} s"
        if self.times == 1:
            return text
        usual = f"{self.usual.shortest / self.fps:.1f} to {self.usual.longest / self.fps:.1f} s"
        return f"{text} (one lasts {usual} in the training clips: about {self.times} of them)"


@dataclass(frozen=True)
class Known:
    """The description in the file of a judge.

    Fields:
        lengths: shortest, median and longest of each action in frames.
        accuracy: on takes that it never saw, where there were some.
        version: of the classifier; a file of an earlier one has none.
    """

    actions: list[str]
    lengths: dict[str, tuple[int, float, int]]
    accuracy: JudgeAccuracy | None = None
    version: int = 1


@dataclass(frozen=True)
class Judge:
    """A trained classifier, the lengths of the actions that it knows, and how far it can be trusted.

    Fields:
        accuracy: on real clips of takes that it never saw; None where there were none.
    """

    classifier: ActionClassifier
    lengths: Mapping[str, Lengths]
    accuracy: JudgeAccuracy | None = None

    def actions_in(self, motion: Motion | Tensor | np.ndarray, min_frames: int = MIN_FRAMES) -> list[SeenAction]:
        """The actions of a motion in order; runs shorter than `min_frames` are taken for transitions.

        Args:
            motion: features `[T, 272]` in physical units, joints `[T, 22, 3]` in metres (y up, floor at 0, 30 frames a
                second), or a `Motion`.
        """
        found = self.classifier.spans(motion, min_frames)
        return [SeenAction(name, stop - start, self.lengths[name]) for name, start, stop in found]

    def describe(self) -> str:
        """How far it can be trusted, in half a sentence."""
        return "was not tested on other takes" if self.accuracy is None else describe_accuracy(self.accuracy)

    def save(self, path: str | Path) -> None:
        """Write weights, names, lengths and accuracy as one safetensors file."""
        lengths = {name: [length.shortest, length.median, length.longest] for name, length in self.lengths.items()}
        accuracy = None if self.accuracy is None else asdict(self.accuracy)
        known = {"actions": self.classifier.actions, "lengths": lengths, "accuracy": accuracy, "version": VERSION}
        write_tensors(path, self.classifier.state_dict(), known)

    @classmethod
    def load(cls, path: str | Path) -> Judge:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, not the file of a judge, or one of an earlier version.
        """
        state, description = read_tensors(path)
        fix = "Make it again with: motionlab evaluate."
        with refusing(path, expected="a saved judge", fix=fix):
            known = msgspec.convert(description, Known)
            lengths = {name: Lengths(*known.lengths[name]) for name in known.actions}
        if known.version != VERSION:
            raise InputError(path, found=f"a judge of version {known.version}", expected=f"version {VERSION}", fix=fix)
        classifier = ActionClassifier(known.actions)
        load_into(classifier, state, where=path)
        return cls(classifier.eval(), lengths, known.accuracy)


def action_lengths(clips: Clips) -> dict[str, Lengths]:
    """How long each action lasts, equal neighbours joined: walking on is still one walk."""
    found: dict[str, list[int]] = {}
    for i in range(len(clips)):
        for name, group in groupby(clips.segments(i), lambda segment: segment.action):
            segments = list(group)
            found.setdefault(name, []).append(segments[-1].stop - segments[0].start)
    return {name: Lengths(min(frames), median(frames), max(frames)) for name, frames in found.items()}


def describe_actions(actions: Sequence[SeenAction]) -> str:
    """How many actions were recognised, and which.

    >>> usual = Lengths(36, 44, 57)
    >>> describe_actions([SeenAction("walk", 60, Lengths(32, 77, 130)), SeenAction("kick", 50, usual)])
    '2 actions: walk 2.0 s, kick 1.7 s'
    >>> describe_actions([])
    'no action'
    """
    count = sum(action.times for action in actions)
    if not count:
        return "no action"
    about = "about " if any(action.times > 1 for action in actions) else ""
    return f"{about}{count} {'action' if count == 1 else 'actions'}: {', '.join(map(str, actions))}"


def tell_actions(described: str) -> str:
    """The sentence of `describe_actions` in the language of the reader; names of actions stay as they are."""
    if language() == "en":
        return described
    count, _, actions = described.partition(": ")
    told = [tr(action, __file__) for action in _BETWEEN.split(actions) if action]
    return tr(count, __file__) + tr(": ", __file__) * bool(told) + tr(", ", __file__).join(told)
