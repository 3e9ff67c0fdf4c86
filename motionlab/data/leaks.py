"""Does a test ask about motion that training has seen? The takes that two splits share.

A take is what `takes.py` and `composed/held_takes.py` keep whole: one performance, with its mirrored twins, re-timed
copies and parts. Equal clips count as one take, whatever they are called.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from motionlab.data.splits import Clips, Splits
from motionlab.data.takes import take_of, whole_clip


def takes_in(clips: Clips, index: int) -> set[str]:
    """The takes that a clip was made from: those of its segments where they are known, else that of its name."""
    named = {segment.sample for segment in clips.segments(index) if segment.sample}
    return {take_of(name) for name in named} if named else {take_of(whole_clip(clips.name(index)))}


def shared_takes(splits: Splits, *, features: bool = True) -> Mapping[str, set[str]]:
    """For every test split the takes that it shares with the training clips; those of `splits.apart` share some.

    Args:
        features: also compare the motions themselves, which reads every clip once.
    """
    known = _takes(splits.train, features)
    shared = {}
    for name, clips in splits.tests.items():
        here = _takes(clips, features)
        shared[name] = {take for key, take in here.items() if key in known}
    return shared


def _takes(clips: Clips, features: bool) -> dict[str, str]:
    """Everything that identifies a clip (its takes, the digest of its motion), each with the name of a take."""
    found: dict[str, str] = {}
    for index in range(len(clips)):
        takes = takes_in(clips, index)
        found |= {take: take for take in takes}
        if features:
            digest = hashlib.sha256(clips.features(index).numpy().tobytes()).hexdigest()
            found[digest] = " + ".join(sorted(takes))
    return found
