"""Splits by take: clips of one recording, mirrored twins and equal clips stay together.

A test is worth nothing when training has seen a mirrored twin, a copy or another part of the clip that is asked for.
So clips are put together into takes first, and a take goes to one side as a whole. Which side is decided by a hash of
its name: the same folder gives the same splits on every machine, and a new take moves no old one.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
_NUMBERED = re.compile(r"M(\d+)")


@dataclass(frozen=True)
class Entry:
    """All that a decision about a clip needs: its name, its take, and a digest of its features."""

    name: str
    take: str
    digest: bytes


@dataclass(frozen=True)
class Decision:
    """Where clips go.

    Args:
        sides: for each clip "train", "validation", "test", or a sentence that says why it is left out.
        notes: how the splits were made, in whole sentences.
        also: test split or validation split -> the split whose clips it shares, where there are too few takes.
    """

    sides: list[str]
    notes: list[str]
    also: dict[str, str]


def take_of(name: str) -> str:
    """The name of a take from the name of a clip: that of a mirrored twin is the name of its original.

    >>> take_of("Mirror_MotionGV/folder5/a"), take_of("M000012"), take_of("walk_mirrored"), take_of("Marching")
    ('MotionGV/folder5/a', '000012', 'walk', 'Marching')
    """
    parts = [part.removeprefix("Mirror_") or part for part in name.split("/")]
    last = parts[-1]
    numbered = _NUMBERED.fullmatch(last)
    for ending in ("_mirrored", "_mirror"):
        last = last.removesuffix(ending) or last
    return "/".join([*parts[:-1], numbered[1] if numbered else last])


def split_by_take(
    entries: Sequence[Entry], *, validation_share: float = 0.05, test_share: float = 0.1, seed: int = 0
) -> Decision:
    """Put takes into the three splits by the hash of their names.

    With three takes or more each split that has a share gets at least one. With two, one is held out and serves for
    both validation and test; with one, all splits are the same clips. The notes say so.
    """
    group = tied_takes(entries)
    order = sorted(set(group), key=lambda name: _place(name, seed))
    count = len(order)
    notes, also = [], dict[str, str]()
    if count >= 3:
        tests, held = (
            max(1, sum(low <= _place(name, seed) < high for name in order)) if high > low else 0
            for low, high in ((0.0, test_share), (test_share, test_share + validation_share))
        )
        tests = min(tests, count - 1 - (validation_share > 0))
        held = min(held, count - 1 - tests)
        side = dict.fromkeys(order, TRAIN)
        side |= dict.fromkeys(order[:tests], TEST) | dict.fromkeys(order[tests : tests + held], VALIDATION)
        notes.append(
            f"Takes are kept whole: {count - tests - held:,} to learn from, {held:,} to validate on and {tests:,} to "
            "test on; clips of one recording, mirrored twins and equal clips are one take."
        )
    elif count == 2:
        side = {order[0]: VALIDATION, order[1]: TRAIN}
        also = {TEST: VALIDATION}
        notes.append(
            "There are only two takes: one is learned from, the other one both chooses the best weights and is tested "
            "on, so its scores are optimistic. With three takes or more each split gets its own."
        )
    else:
        side = dict.fromkeys(order, TRAIN)
        also = {VALIDATION: TRAIN, TEST: TRAIN}
        notes.append(
            "There is only one take, so the same clips are learned from, validated on and tested on: the scores say "
            "how well it was learned by heart. With three takes or more each split gets its own."
        )
    also = {name: other for name, other in also.items() if (test_share if name == TEST else validation_share) > 0}
    return Decision([side[name] for name in group], notes, also)


def split_by_list(entries: Sequence[Entry], listed: Mapping[str, Iterable[str]]) -> Decision:
    """Put clips where lists of names say, and leave out clips whose twin or copy is on the side of the tests.

    The test split stays as published; validation loses the clips that have a twin in it, and train those that have one
    in either. (The published lists of MotionMillion have such pairs: with them 876,766 clips, without 716,589.)

    Args:
        listed: names of clips for "train", "validation" and "test".
    """
    wanted = {name: split for split in SPLITS for name in listed.get(split, ())}  # twice: where it is held out
    group = tied_takes(entries)
    sides = [wanted.get(entry.name, wanted.get(whole_clip(entry.name), "in no split file")) for entry in entries]
    there: dict[str, set[str]] = {}
    for name, side in zip(group, sides, strict=True):
        there.setdefault(name, set()).add(side)
    kept, leaks = [], Counter[str]()
    for name, side in zip(group, sides, strict=True):
        above = {TRAIN: {VALIDATION, TEST}, VALIDATION: {TEST}}.get(side, set())
        if above & there[name]:
            leaks[side] += 1
            kept.append("its mirrored twin or copy is in " + " and ".join(sorted(above & there[name])))
        else:
            kept.append(side)
    notes = ["Splits are those of the split files."]
    if leaks:
        told = " and ".join(f"{leaks[split]:,} of {split}" for split in SPLITS if leaks[split])
        notes.append(
            f"{told} were left out, because a mirrored twin or an equal clip is in a split that is held out from them."
        )
    return Decision(kept, notes, {})


def whole_clip(name: str) -> str:
    """The clip that a part (`name@2-3.5`) was cut from."""
    return name.rpartition("@")[0] or name


def tied_takes(entries: Sequence[Entry]) -> list[str]:
    """For each clip the first name, in order of the alphabet, of all takes that are tied to its own."""
    above: dict[str, str] = {}

    def root(name: str) -> str:
        while (upper := above.setdefault(name, name)) != name:
            above[name] = above[upper]
            name = above[name]
        return name

    first: dict[bytes, str] = {}
    for entry in entries:
        one, other = root(entry.take), root(first.setdefault(entry.digest, entry.take))
        low, high = min(one, other), max(one, other)
        above[high] = low
    return [root(entry.take) for entry in entries]


def _place(name: str, seed: int) -> float:
    """A number from 0 to 1 for the name of a take."""
    digest = hashlib.sha256(f"{seed}:{name}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)
