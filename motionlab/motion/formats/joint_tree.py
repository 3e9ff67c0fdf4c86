"""Forward kinematics of any tree of joints: from turns relative to the parent to turns and places in the world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from motionlab.errors import InputError

MOST = 30_000_000  # joints of all frames together: 31 joints for more than two hours at 120 frames a second


def check_size(where: object, frames: int, joints: int) -> None:
    """Refuse a motion whose matrices would fill gigabytes; small files can describe such.

    Raises:
        InputError: more than 30 million joints in all frames together.
    """
    if frames * joints > MOST:
        raise InputError(
            where, found=f"{frames:,} frames of {joints:,} joints", expected=f"at most {MOST:,} of both multiplied",
            fix="Cut the motion into several files.",
        )  # fmt: skip


def world_rotations(parents: Sequence[int], rotations: Tensor) -> Tensor:
    """`[T, J, 3, 3]` relative to the parent -> relative to the world. Parents come before children, -1 for none."""
    result: list[Tensor] = []
    for joint, parent in enumerate(parents):
        local = rotations[:, joint]
        result.append(local if parent < 0 else result[parent] @ local)
    return torch.stack(result, dim=1)


def world_places(
    parents: Sequence[int], world: Tensor, offsets: Tensor, tracks: Mapping[int, Tensor] | None = None
) -> Tensor:
    """`[T, J, 3]`, places of the joints.

    Args:
        world: `[T, J, 3, 3]`, as `world_rotations` gives them.
        offsets: `[J, 3]`, of each joint from its parent in the axes of the parent; its place, without a parent.
        tracks: `[T, 3]` in the place of the offset, for joints that move in the axes of their parent.
    """
    result: list[Tensor] = []
    for joint, parent in enumerate(parents):
        track = (tracks or {}).get(joint)
        if parent < 0:
            result.append(offsets[joint].expand(len(world), 3) if track is None else track)
        elif track is None:
            result.append(result[parent] + world[:, parent] @ offsets[joint])
        else:
            result.append(result[parent] + (world[:, parent] @ track[..., None])[..., 0])
    return torch.stack(result, dim=1)


def rest_places(parents: Sequence[int], offsets: Tensor) -> Tensor:
    """`[J, 3] -> [J, 3]`: places when nothing is turned, from the steps between parent and child. Roots are at zero."""
    result: list[Tensor] = []
    for joint, parent in enumerate(parents):
        result.append(torch.zeros_like(offsets[joint]) if parent < 0 else result[parent] + offsets[joint])
    return torch.stack(result)


def unique_names(names: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Names of which no two are the same, and a note where some were: the first keeps it, then `name#2`, `name#3` ...

    >>> unique_names(("hip", "hip", "hip#2"))[0]
    ('hip', 'hip#3', 'hip#2')
    """
    taken, seen = set(names), Counter[str]()
    result, renamed = [], []
    for name in names:
        seen[name] += 1
        unique = name
        if seen[name] > 1:
            while (unique := f"{name}#{seen[name]}") in taken:
                seen[name] += 1
            taken.add(unique)
            renamed.append(unique)
        result.append(unique)
    told = f"{len(renamed)} joints have the name of another one and got a number: {', '.join(renamed[:10])}."
    return tuple(result), [told] if renamed else []
