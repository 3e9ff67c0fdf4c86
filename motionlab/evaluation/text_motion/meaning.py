"""Which captions say the same: such clips are no rivals of each other, in training and in retrieval.

A batch of composed clips holds many that show the same actions in the same order, and a data set has many clips of "a
person walks forward". To push such a pair apart teaches the encoders to tell what cannot be told, and R@k that counts
the second clip as a miss measures how many twins a test has. Two clips mean the same when

* they share a caption, letter for letter, or
* both say which action fills which frames, and the actions are the same in the same order.

Where actions are not known, captions that are merely alike are left out of the rivals, too (TMR, Petrovich et al.,
ICCV 2023: cosine of sentence embeddings above 0.8). Where they are known that would throw away the best lessons: "turns
left" and "turns right" are more alike, for a sentence encoder, than two ways to say either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from motionlab.data.splits import Clips
from motionlab.evaluation.action_lists import wanted_actions
from motionlab.text.encoder import TextFeatures


def meanings(clips: Clips, numbers: Sequence[int] | None = None) -> np.ndarray:
    """A group for each of the clips (all of them unless `numbers` are given), `[N]` int64; equal groups mean the same.

    Groups are numbered in the order of their first clip.
    """
    chosen = range(len(clips)) if numbers is None else numbers
    keys = []
    for i in chosen:
        told: list[object] = list(clips.captions(i))
        if clips.has_segments:
            told.append(tuple(wanted_actions(clips.segments(i))))
        keys.append(told)
    return joined(keys)


def joined(keys: Sequence[Sequence[object]]) -> np.ndarray:
    """The connected parts of things that share keys, `[N]` int64.

    >>> joined([["a"], ["b", "c"], ["a", "d"], ["c"], ["e"]]).tolist()
    [0, 1, 0, 1, 2]
    """
    above = list(range(len(keys)))

    def root(at: int) -> int:
        while above[at] != at:
            above[at] = above[above[at]]
            at = above[at]
        return at

    first: dict[object, int] = {}
    for at, some in enumerate(keys):
        for key in some:
            low, high = sorted((root(at), root(first.setdefault(key, at))))
            above[high] = low
    roots = [root(at) for at in range(len(keys))]
    order = {name: number for number, name in enumerate(dict.fromkeys(roots))}
    return np.array([order[name] for name in roots], dtype=np.int64)


def sentences(features: TextFeatures) -> Tensor:
    """One vector of length 1 a caption: the mean over its tokens, `[N, dim]`."""
    mask = features.mask[..., None]
    mean = (features.states * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(mean, dim=-1)


def alike(features: TextFeatures, threshold: float) -> Tensor:
    """Pairs of captions whose cosine is above the threshold, `[N, N]` bool."""
    vectors = sentences(features)
    return vectors @ vectors.T > threshold
