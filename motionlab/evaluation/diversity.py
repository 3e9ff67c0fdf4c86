"""How different are motions from one another? Mean distance of poses, in millimetres.

Two numbers, as text-to-motion papers have them: over motions of different captions ("diversity") and over motions of
one caption ("multimodality", Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022). The
papers measure in the space of a learned evaluator. Here the distance is that of the joints, frame by frame, seen from
the body itself: position and heading do not count. High is not always good: noise is diverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.features import POSITIONS


def pose_distance(first: Tensor, second: Tensor) -> float:
    """Mean distance of the 22 joints over the frames that both motions have, in millimetres.

    Args:
        first, second: features `[T, 272]` in physical units; the lengths may differ.

    >>> import torch
    >>> still, moved = torch.zeros(10, 272), torch.zeros(12, 272)
    >>> moved[:, POSITIONS.start] = 0.022  # one coordinate of one joint of 22
    >>> round(pose_distance(still, moved), 6)
    1.0
    """
    frames = min(len(first), len(second))
    if frames == 0:
        raise InputError("motions", found="no frame in common", expected="at least one", fix="Leave empty ones out.")
    change = first[:frames, POSITIONS] - second[:frames, POSITIONS]  # [T, 66]
    return float(change.float().unflatten(-1, (22, 3)).norm(dim=-1).mean()) * 1000


def mean_distance(motions: Sequence[Tensor]) -> float:
    """Mean of `pose_distance` over all pairs.

    Raises:
        InputError: fewer than two motions, or an empty one.
    """
    if len(motions) < 2:
        raise InputError("motions", found=len(motions), expected="two or more", fix="Generate more motions.")
    pairs = [pose_distance(first, second) for first, second in combinations(motions, 2)]
    return sum(pairs) / len(pairs)
