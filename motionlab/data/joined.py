"""Several splits as one, for a model that may learn from the clips of both and chooses nothing with either."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from motionlab.data.clip import Segment
from motionlab.data.splits import Clips
from motionlab.errors import InputError


class JoinedClips:
    """The clips of several splits in the order of their names; nothing is copied.

    Ordered by name, the result is the same whichever clips a source keeps for validation.

    Args:
        parts: splits of one frame rate, with at least one clip between them.
    """

    def __init__(self, *parts: Clips) -> None:
        names = [part.name(i) for part in parts for i in range(len(part))]
        if not names:
            raise InputError("joined splits", found="no clips", expected="at least one", fix="Add clips.")
        self.parts = parts
        order = np.array(sorted(range(len(names)), key=names.__getitem__))
        here = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        numbers = np.concatenate([np.arange(len(part)) for part in parts])
        self._places = np.stack((here, numbers), axis=1)[order]  # [N, 2]: part, clip in it
        self.lengths = np.concatenate([part.lengths for part in parts])[order].astype(np.int64)
        self.fps = parts[0].fps
        self.digest = hashlib.sha256(" ".join(part.digest for part in parts).encode()).hexdigest()
        self.has_segments = all(part.has_segments for part in parts if len(part))

    def __len__(self) -> int:
        return len(self._places)

    def place(self, index: int) -> tuple[int, int]:
        """Number of the part that holds a clip, and the clip's number in it."""
        at, i = self._places[index]
        return int(at), int(i)

    def name(self, index: int) -> str:
        at, i = self.place(index)
        return self.parts[at].name(i)

    def features(self, index: int) -> Tensor:
        at, i = self.place(index)
        return self.parts[at].features(i)

    def captions(self, index: int) -> list[str]:
        at, i = self.place(index)
        return self.parts[at].captions(i)

    def segments(self, index: int) -> list[Segment]:
        at, i = self.place(index)
        return self.parts[at].segments(i)

    def source(self, index: int) -> str | None:
        at, i = self.place(index)
        return self.parts[at].source(i)

    def windows(self, indices: Sequence[int] | np.ndarray, starts: Sequence[int] | np.ndarray, length: int) -> Tensor:
        """`[B, length, 272]`: one gather from each part."""
        places, first = self._places[np.asarray(indices, dtype=np.int64)], np.asarray(starts, dtype=np.int64)
        result: Tensor | None = None
        for at, part in enumerate(self.parts):
            here = np.flatnonzero(places[:, 0] == at)
            if len(here):
                found = part.windows(places[here, 1], first[here], length)  # [len(here), length, 272]
                if result is None:
                    result = found.new_empty(len(places), *found.shape[1:])
                result[torch.from_numpy(here)] = found
        return self.parts[0].windows([], [], length) if result is None else result
