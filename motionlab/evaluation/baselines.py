"""Motions that a score has to beat: real training motions, chosen by ever better rules that generate nothing.

A score alone says little. "Chance", the motion of another caption, is the weakest thing to compare with: where most
captions name two actions, half of the points are to be had with one action, and a corpus whose test captions ask for
known sequences can be looked up. So every report has these rows, judged by the same judge on the same captions:

| name | the motion | knows |
|---|---|---|
| other caption | what was generated for the other captions of the split, on average | nothing of the caption |
| one right action | the first action that the caption asks for, cut out of a training clip | one action |
| nearest caption | the training clip whose caption is nearest by the text features | the text |
| same actions | a training clip with the same actions in the same order, where there is one | the actions |
| cut and paste | a training take of each action, joined as the corpus is composed | the actions and how to join |

The last two are told the actions; a text-to-motion model has to read them off the caption. They are the ceiling that a
look-up and an editor reach without learning anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from motionlab.data.composed.join import join
from motionlab.data.splits import Clips
from motionlab.errors import InputError
from motionlab.evaluation.action_lists import wanted_actions
from motionlab.motion.features import crop
from motionlab.text.encoder import TextFeatures

OTHER_CAPTION = "other caption"
BASELINES = (OTHER_CAPTION, "one right action", "nearest caption", "same actions", "cut and paste")
_SHORTEST = 12  # frames of an action that is cut out; shorter ones were squeezed by their clip
_AT_ONCE = 512  # captions whose word states are in memory together

Encode = Callable[[Sequence[str]], TextFeatures]


class TrainingMotions:
    """Looks up real motions of a training split.

    Args:
        clips: with segments.
        encode: captions to features; those of training are in the cache of the run.
        blend_frames: of the joins of `cut_and_paste`, as in the corpus.
    """

    def __init__(self, clips: Clips, encode: Encode, blend_frames: int) -> None:
        if not clips.has_segments:
            raise InputError(
                "baselines",
                found="clips that do not say which action fills which frames",
                expected="clips with segments",
                fix="Leave these baselines out.",
            )
        self.clips, self.encode, self.blend_frames = clips, encode, blend_frames

    @cached_property
    def _sequences(self) -> dict[tuple[str, ...], list[int]]:
        """The clips of every sequence of actions."""
        found: dict[tuple[str, ...], list[int]] = {}
        for index in range(len(self.clips)):
            found.setdefault(tuple(wanted_actions(self.clips.segments(index))), []).append(index)
        return found

    @cached_property
    def _takes(self) -> dict[str, list[tuple[int, int, int]]]:
        """Where each action is shown: (clip, first frame, one after its last). Those that begin a clip come first,
        because nothing is blended into them."""
        begin: dict[str, list[tuple[int, int, int]]] = {}
        later: dict[str, list[tuple[int, int, int]]] = {}
        for index in range(len(self.clips)):
            for number, segment in enumerate(self.clips.segments(index)):
                if segment.stop - segment.start >= _SHORTEST:
                    place = (index, segment.start, segment.stop)
                    (later if number else begin).setdefault(segment.action, []).append(place)
        return {name: begin.get(name, []) or later[name] for name in {**later, **begin}}

    def take(self, action: str, number: int = 0) -> Tensor | None:
        """One action alone, `[T, 272]`; another `number` gives another take of it. None if training has none."""
        places = self._takes.get(action)
        if not places:
            return None
        index, start, stop = places[number % len(places)]
        return crop(self.clips.features(index), start, stop - start)

    def same_actions(self, actions: Sequence[str], number: int = 0) -> Tensor | None:
        """A training clip with these actions in this order, `[T, 272]`; None if there is none."""
        some = self._sequences.get(tuple(actions))
        return None if not some else self.clips.features(some[number % len(some)])

    def cut_and_paste(self, actions: Sequence[str], number: int = 0) -> Tensor | None:
        """A take of each action, joined, `[T, 272]`; None if an action has none."""
        takes = [self.take(action, number + place) for place, action in enumerate(actions)]
        there = [take for take in takes if take is not None]
        if not there or len(there) < len(takes):
            return None
        return join([take.double() for take in there], self.blend_frames)[0].float()

    @cached_property
    def _captions(self) -> tuple[Tensor, Tensor]:
        """Every caption: the number of its clip `[N]`, and its sentence vector `[N, dim]`."""
        numbers: list[int] = []
        vectors: list[Tensor] = []
        waiting: list[str] = []
        for index in range(len(self.clips)):
            some = self.clips.captions(index)
            numbers += [index] * len(some)
            waiting += some
            if waiting and (len(waiting) >= _AT_ONCE or index == len(self.clips) - 1):
                vectors.append(self.encode(waiting).sentences())
                waiting = []
        return torch.tensor(numbers), torch.cat(vectors)

    def nearest_captions(self, captions: Sequence[str]) -> list[int]:
        """For each caption the training clip that has the nearest caption, by cosine of the mean word state."""
        numbers, known = self._captions
        asked = self.encode(captions).sentences()  # [A, dim]
        return [int(number) for number in numbers[(asked @ known.T).argmax(1)]]  # [A, N] -> A

    def motions(self, wanted: Sequence[Sequence[str]], captions: Sequence[str]) -> dict[str, list[Tensor | None]]:
        """The motions of every baseline but "other caption", for each clip of a split; None where it has none.

        Args:
            wanted: the actions that each caption asks for.
            captions: as many.
        """
        nearest = self.nearest_captions(captions)
        return {
            "one right action": [self.take(actions[0], number) for number, actions in enumerate(wanted)],
            "nearest caption": [self.clips.features(index) for index in nearest],
            "same actions": [self.same_actions(actions, number) for number, actions in enumerate(wanted)],
            "cut and paste": [self.cut_and_paste(actions, number) for number, actions in enumerate(wanted)],
        }
