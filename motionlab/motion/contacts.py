"""Which foot stands on the floor: a joint of the foot that is low and slow.

Scripts in use compare squared displacements per frame with a constant. Such a limit means another speed at every frame
rate, and the published one (0.05 m^2 a frame, 6.7 m/s at 30 fps) is true of every foot. Here limits are metres and
metres per second.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.skeleton import JOINT_COUNT, JOINT_NAMES

FEET: tuple[str, ...] = ("left_ankle", "left_foot", "right_ankle", "right_foot")
HIGHEST = (0.13, 0.07, 0.13, 0.07)  # metres above the floor; a foot flat on it: ankle 0.05-0.09, toe 0-0.03
FASTEST = 0.35  # metres a second: a foot that rolls over its toes reaches 0.3, one that swings 1 to 4
SMOOTHED = 0.1  # seconds; shorter contacts, and shorter gaps in one, are noise


def foot_contacts(joints: Tensor, fps: float = 30.0, floor: float = 0.0) -> Tensor:
    """Contacts of ankles and toes with the floor, `[T, 22, 3] -> [T, 4]` bool, in the order of `FEET`.

    Args:
        joints: metres, y up.
        fps: frames a second.
        floor: height of the floor in metres; motions of a data set stand at 0.

    Raises:
        InputError: joints of another shape.

    >>> still = torch.zeros(30, 22, 3)
    >>> bool(foot_contacts(still).all()), bool(foot_contacts(still + 1.0).any())
    (True, False)
    """
    if joints.ndim != 3 or tuple(joints.shape[1:]) != (JOINT_COUNT, 3) or len(joints) == 0:
        raise InputError(
            "joints",
            found=f"shape {tuple(joints.shape)}",
            expected=f"(frames, {JOINT_COUNT}, 3)",
            fix="Pass motion.joints().",
        )
    feet = joints[:, [JOINT_NAMES.index(name) for name in FEET]]  # [T, 4, 3]
    low = feet[..., 1] - floor < feet.new_tensor(HIGHEST)  # [T, 4]
    contact = low & (_speed(feet, fps) < FASTEST)
    return _majority(contact, round(SMOOTHED * fps / 2))


def _speed(places: Tensor, fps: float) -> Tensor:
    """Metres a second between the frames before and after, `[T, n, 3] -> [T, n]`."""
    if len(places) == 1:
        return torch.zeros_like(places[..., 0])
    (velocity,) = torch.gradient(places, spacing=1 / fps, dim=0)
    speed: Tensor = velocity.norm(dim=-1)
    return speed


def _majority(contact: Tensor, reach: int) -> Tensor:
    """A median over `2 reach + 1` frames; ends are repeated. `[T, n] -> [T, n]`."""
    if reach == 0:
        return contact
    first, last = contact[:1].expand(reach, -1), contact[-1:].expand(reach, -1)
    windows = torch.cat((first, contact, last)).unfold(0, 2 * reach + 1, 1)  # [T, n, 2 reach + 1]
    return windows.sum(-1) > reach
