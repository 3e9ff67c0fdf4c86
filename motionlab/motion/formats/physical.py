"""Tell features in metres from normalised ones: only in metres do bones keep their length.

Normalised features look like motion: finite, smooth, of the right shape. Read as metres they are nonsense. No file says
which it holds, but the thighs and shins do: in metres they are 20 to 80 cm long in every frame, and after
`(x - mean) / std` they are neither.
"""

from __future__ import annotations

from torch import Tensor

from motionlab.motion.skeleton import JOINT_NAMES

_LEGS = [
    (JOINT_NAMES.index(f"{side}_{above}"), JOINT_NAMES.index(f"{side}_{below}"))
    for side in ("left", "right")
    for above, below in (("hip", "knee"), ("knee", "ankle"))
]
SHORTEST, LONGEST = 0.1, 1.0  # metres of a thigh or a shin: a small child, a giant
MOST_CHANGE = 0.25  # standard deviation over mean; generated motion has up to 0.1


def has_bones(joints: Tensor) -> bool:
    """Whether places `[T, 22, 3]` are those of a body in metres."""
    above, below = zip(*_LEGS, strict=True)
    lengths = (joints[:, list(above)] - joints[:, list(below)]).norm(dim=-1)  # [T, 4]
    mean = lengths.mean(0)
    steady = lengths.std(0, correction=0) < MOST_CHANGE * mean
    return bool(((mean > SHORTEST) & (mean < LONGEST) & steady).all())
