"""`Splits`: the motions that a job sees, wherever they come from.

A source of motions (the composed corpus, a folder of your own, a published data set) gives one `Splits`. Jobs train on
`train`, choose the best weights on `validation` and report on every split in `tests`; they know nothing else about the
source. A split is anything with the members of `Clips`; a `MotionStore` is one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from motionlab.data.clip import Segment
from motionlab.errors import InputError
from motionlab.motion.frame_rate import same_rate


class Clips(Protocol):
    """A sequence of clips: features, captions, and what else is known about each.

    Attributes:
        lengths: `[N]` int64, frames of each clip.
        fps: frames a second, the same for all.
        digest: changes when any feature, caption or segment changes.
        has_segments: whether every clip says which action fills which frames.
    """

    lengths: np.ndarray
    fps: float
    digest: str
    has_segments: bool

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """The name of a clip."""

    def features(self, index: int) -> Tensor:
        """`[T, 272]` float32 of a clip, in physical units."""

    def windows(self, indices: Sequence[int] | np.ndarray, starts: Sequence[int] | np.ndarray, length: int) -> Tensor:
        """`[B, length, 272]`: a window of each of `B` clips, from the frames `starts`; the caller may change it."""

    def captions(self, index: int) -> list[str]:
        """The captions of a clip."""

    def segments(self, index: int) -> list[Segment]:
        """Which action fills which frames; empty where that is not known."""

    def source(self, index: int) -> str | None:
        """The recording or data set that a clip comes from, if that is known."""


class CaptionsOf(Sequence[list[str]]):
    """The captions of every clip of a split, each read when it is asked for: lists of millions would fill the memory.

    Args:
        clips: of the split.
        count: of its clips, from the first one; None for all.
    """

    def __init__(self, clips: Clips, count: int | None = None) -> None:
        self.clips, self._numbers = clips, range(len(clips))[:count]

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        """The captions of one clip; a slice gives a list of them."""
        numbers = self._numbers[index]
        return self.clips.captions(numbers) if isinstance(numbers, int) else list(map(self.clips.captions, numbers))


SHORTEST = 3  # frames: fewer have no acceleration, which is among the errors that are measured


@dataclass(frozen=True)
class Splits:
    """Clips to learn from, clips that choose the best weights, and any number of named test splits.

    Args:
        name: of the source, for messages.
        train, validation: no test split may have a part in either, but for those in `apart`.
        tests: name to clips, in the order of the report. A name becomes part of file names.
        apart: test splits whose real motions training knows in part; a report shows them apart from the others.
        note: what a reader of the report should know about these motions, in whole sentences.

    Raises:
        InputError: no clip in train or in a test split, a name that cannot be one, splits of different frame rates, or
            a clip of fewer than 3 frames.
    """

    name: str
    train: Clips
    validation: Clips
    tests: Mapping[str, Clips]
    note: str = ""
    apart: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, clips in self.tests.items():
            if len(clips) == 0:
                where = f"{self.name}, test split {name}"
                raise InputError(where, found="no clips", expected="at least one", fix="Add clips or leave it out.")
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name in ("train", "validation"):
                raise InputError(
                    f"test split {name!r}",
                    found="a name that cannot be used",
                    expected="letters, digits, _ and -, and not train or validation",
                    fix="Rename the split.",
                )
        if len(self.train) == 0:
            raise InputError(f"{self.name}, split train", found="no clips", expected="at least one", fix="Add clips.")
        rates = {name: clips.fps for name, clips in self.named().items() if len(clips)}
        if not same_rate(min(rates.values()), max(rates.values())):
            raise InputError(
                self.name,
                found=", ".join(f"{name} at {rate:.9g} fps" for name, rate in rates.items()),
                expected="one frame rate",
                fix="Resample the motions before they are packed.",
            )
        for name, clips in self.named().items():
            for index in np.flatnonzero(clips.lengths < SHORTEST)[:1]:
                raise InputError(
                    self.clip_name(name, int(index)),
                    found=f"{clips.lengths[index]} frames",
                    expected=f"{SHORTEST} or more",
                    fix="Leave such clips out.",
                )

    def clip_name(self, split: str, index: int) -> str:
        """A clip as messages call it: source, split, number and name."""
        return f"{self.name}, split {split}, clip {index} ({self.named()[split].name(index)})"

    def require_captions(self, *names: str) -> None:
        """Make sure, before any work on text, that every clip of these splits has captions, and none is blank.

        Raises:
            InputError: names the first clip without.
        """
        for name in names:
            clips = self.named()[name]
            for index in range(len(clips)):
                captions = clips.captions(index)
                if not captions or not all(caption.strip() for caption in captions):
                    raise InputError(
                        self.clip_name(name, index),
                        found="a blank caption" if captions else "no captions",
                        expected="at least one sentence, and none that is blank",
                        fix="Caption the clip or leave it out.",
                    )

    def named(self) -> dict[str, Clips]:
        """Every split by its name: train, validation, then the test splits."""
        return {"train": self.train, "validation": self.validation, **self.tests}

    @cached_property
    def digests(self) -> dict[str, str]:
        """The digest of every split; nothing is read for it."""
        return {name: clips.digest for name, clips in self.named().items()}

    @property
    def digest(self) -> str:
        """The digest of all splits together."""
        return hashlib.sha256(json.dumps(self.digests, sort_keys=True).encode()).hexdigest()

    def described(self) -> dict[str, dict[str, float]]:
        """Clips and minutes of every split, for a report."""
        return {
            name: {"clips": len(clips), "minutes": float(clips.lengths.sum()) / clips.fps / 60}
            for name, clips in self.named().items()
        }

    @property
    def longest(self) -> int:
        """Frames of the longest clip that a model learns from or is validated on."""
        return max(int(clips.lengths.max()) for clips in (self.train, self.validation) if len(clips))
