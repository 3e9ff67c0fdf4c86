"""Faults of a motion in numbers: a check of data before it is trained on.

Every number is in metres and seconds, so motions of two frame rates compare. A limit is set well above what real
recordings reach: `CHECKS` has each limit with the largest value of the 55 bundled clips, which hold flips, rolls,
climbs and a cartwheel. A number above its limit is a reason to look at the clip, and `motionlab audit` puts it into
quarantine, which training honours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.motion.contacts import FEET, HIGHEST
from motionlab.motion.features import HEADING, decode_positions, decode_rotations
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, Skeleton, forward_kinematics

FLOOR = 0.05  # the floor is this quantile of the lowest joint: one bad frame does not move it
HIGH = 0.95  # quantile that stands for "nearly always", so that one frame does not decide


@dataclass(frozen=True)
class Check:
    """One number: what it is, the most that passes, and the most that the 55 bundled clips have."""

    meaning: str
    most: float
    bundled: float


CHECKS: dict[str, Check] = {
    "jerk": Check("95 % of the frames have a mean jerk of the joints below this, m/s^3", 5000.0, 2490.0),
    "floating": Check("share of the frames in which no joint is within 25 cm of the floor", 0.9, 0.68),  # climbing
    "skate": Check("mean speed along the floor of the slowest foot near it, m/s", 1.2, 0.69),  # a roll, a dance
    "penetration": Check("depth of the lowest joint below the floor, m", 0.15, 0.06),
    "bone_drift": Check("largest change of the length of a bone, as a share of it", 0.1, 0.02),  # float16 alone: 0.02
    "heading_jump": Check("largest turn from one frame to the next, degrees", 160.0, 146.0),  # pelvis pointing upwards
    "first_frame_jump": Check("speed of the first step above that of the 2nd to 6th, m/s", 2.0, 0.39),
    "disagreement": Check("mean distance of the joints from where the rotations put them, m", 0.05, 0.001),
}
_FEET = [JOINT_NAMES.index(name) for name in FEET]


def measure(motion: Motion) -> dict[str, float]:
    """The numbers of one motion, by name; `CHECKS` says what each is. A number that a clip is too short for is 0."""
    joints = decode_positions(motion.features.double())  # [T, 22, 3]
    lowest = joints[..., 1].amin(-1)  # [T]
    floor = float(torch.quantile(lowest, FLOOR))
    bones = (joints[:, 1:] - joints[:, list(PARENTS[1:])]).norm(dim=-1)  # [T, 21]
    usual = bones.median(dim=0).values.clamp(min=1e-6)
    turns = torch.atan2(motion.features[1:, HEADING][:, 2], motion.features[1:, HEADING][:, 0]).abs()
    rotations, root = decode_rotations(motion.features.double())
    body = Skeleton.measure(joints, rotations)
    turned = forward_kinematics(rotations, root, body.offsets)
    return {
        "jerk": _quantile(_jerk(joints, motion.fps), HIGH),
        "floating": float((lowest > floor + 0.25).double().mean()),
        "skate": _skate(joints, motion.fps, floor),
        "penetration": max(0.0, floor - float(lowest.min())),
        "bone_drift": float(((bones - usual).abs() / usual).amax()),
        "heading_jump": math.degrees(float(turns.max())) if len(turns) else 0.0,
        "first_frame_jump": first_frame_jump(joints, motion.fps),
        "disagreement": float((turned - joints).norm(dim=-1).mean()),
    }


def faults(measures: dict[str, float]) -> list[str]:
    """The numbers that are above their limit, one sentence each; empty for a motion that passes.

    >>> faults({"jerk": 300.0, "bone_drift": 0.4})
    ['bone_drift 0.4, more than 0.1 (largest change of the length of a bone, as a share of it)']
    """
    return [
        f"{name} {value:.3g}, more than {CHECKS[name].most:g} ({CHECKS[name].meaning})"
        for name, value in measures.items()
        if not value <= CHECKS[name].most
    ]


def _quantile(values: Tensor, share: float) -> float:
    return float(torch.quantile(values, share)) if len(values) else 0.0


def _jerk(joints: Tensor, fps: float) -> Tensor:
    """Mean over the joints of the third difference, `[T, 22, 3] -> [T - 3]` m/s^3."""
    jerk: Tensor = joints.diff(n=3, dim=0).norm(dim=-1).mean(-1) * fps**3
    return jerk


def _skate(joints: Tensor, fps: float, floor: float) -> float:
    """Mean horizontal speed of the slowest low foot, over the steps in which a foot is low; 0 when none ever is.

    A body that stands or walks has a foot at rest at every moment. Speed is no condition of "low" here: a foot that
    slides would not count as standing, and the worst clips would look best.
    """
    feet = joints[:, _FEET]  # [T, 4, 3]
    low = feet[..., 1] - floor < feet.new_tensor(HIGHEST)  # [T, 4]
    speed = feet[..., [0, 2]].diff(dim=0).norm(dim=-1) * fps  # [T - 1, 4]
    slowest = speed.masked_fill(~(low[1:] & low[:-1]), math.inf).amin(-1)  # [T - 1]
    slowest = slowest[slowest.isfinite()]
    return float(slowest.mean()) if len(slowest) else 0.0


def first_frame_jump(joints: Tensor, fps: float) -> float:
    """How much faster the fastest joint is in the first step than in the next five, `[T, 22, 3] ->` m/s.

    Recordings often begin with a T-pose or a stray frame.
    """
    steps = joints[:7].diff(dim=0).norm(dim=-1).amax(-1)  # [6]
    if len(steps) < 3:
        return 0.0
    return max(0.0, float(steps[0] - steps[1:6].max())) * fps
