"""Position channels of joints below the root: in the place of the OFFSET, or on top of it.

The format's description leaves it open. Blender and MotionBuilder take them in the place of the OFFSET, and nearly all
files are written so: a joint that does not move repeats its OFFSET in every row. MakeHuman's files have zeros there,
and mean "no more than the OFFSET": read as Blender reads them, all bones but a few would have no length. Which of the
two a file means is told by all of its joints together, because a few may truly move.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_NEAR = 0.01  # of the OFFSET's length
ADDED = "Position channels of joints below the root are near 0, so they were added to the OFFSETs."


def are_added(channels: Mapping[int, Mapping[int, Tensor]], offsets: Tensor) -> bool:
    """Whether a file's position channels come on top of the OFFSETs: most joints that have a bone have zeros there.

    Args:
        channels: joint to axis (0, 1, 2) to values `[T]`, without the root's.
        offsets: `[J, 3]`.

    >>> offsets = torch.tensor([[0.0, 0, 0], [0, 10, 0]])
    >>> are_added({1: {1: torch.tensor([10.0, 10.0])}}, offsets), are_added({1: {1: torch.zeros(2)}}, offsets)
    (False, True)
    """
    zeros = bones = 0
    for joint, axes in channels.items():
        bone = offsets[joint, list(axes)]
        if float(bone.norm()) > _NEAR * float(offsets[joint].norm()):  # else both readings say the same
            bones += 1
            zeros += float(torch.stack(list(axes.values())).abs().max()) < _NEAR * float(bone.norm())
    return zeros > bones / 2


def track_of(axes: Mapping[int, Tensor], offset: Tensor, *, added: bool) -> Tensor:
    """A joint's place relative to its parent, `[T, 3]`; an axis without a channel keeps the OFFSET's."""
    track = offset.repeat(len(next(iter(axes.values()))), 1)
    for axis, values in axes.items():
        track[:, axis] = offset[axis] + values if added else values
    return track
