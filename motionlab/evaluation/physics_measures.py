"""The formulas behind `physics.py`, over many clips at once: one number a clip for everything.

Clips of different lengths are laid end to end, `[F, 22, 3]` with the clip of each frame, `[F]`. A difference over time
that reaches from one clip into the next is left out. A clip that has nothing to measure (no toe ever near the floor,
fewer than four frames for jerk) gets nan.

Notation: F frames of all clips, C clips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.motion.contacts import FEET, HIGHEST, foot_contacts
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

MM = 1000.0
_FEET = [JOINT_NAMES.index(name) for name in FEET]
_TOES = [index for index, name in enumerate(FEET) if name.endswith("foot")]  # places in FEET
TOE_HIGHEST = HIGHEST[_TOES[0]]  # metres; a toe below is near the floor
SLIDING = 0.30  # metres a second; a toe that stands, or rolls over its tip, is slower
RATIO_HIGHEST, RATIO_FASTEST = 0.05, 0.5  # metres, and metres a second (2.5 cm a frame at 20 fps), as published
TOLERANCE = 0.005  # metres above or below the floor that do not count, as published
_SIDES = [JOINT_NAMES.index(f"{side}_{name}") for name in ("hip", "shoulder") for side in ("left", "right")]


@dataclass(frozen=True)
class Laid:
    """Clips end to end: `joints [F, 22, 3]` metres, `clip [F]` the number of the clip of each frame, `count` clips."""

    joints: Tensor
    clip: Tensor
    count: int

    @classmethod
    def of(cls, clips: Sequence[Tensor]) -> Laid:
        lengths = torch.tensor([len(clip) for clip in clips])
        return cls(torch.cat(list(clips)), torch.arange(len(clips)).repeat_interleave(lengths), len(clips))

    def mean(self, values: Tensor, skipped: int = 0, where: Tensor | None = None) -> Tensor:
        """Mean of each clip, `[F - skipped, ...] -> [C]`, without what reaches into the next clip.

        Args:
            skipped: frames that `values` lost by taking differences.
            where: what counts, same shape.
        """
        inside = self.clip[skipped:] == self.clip[: len(self.clip) - skipped]  # [F - skipped]
        weight = inside.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
        weight = (weight if where is None else weight & where).double()
        values = torch.where(weight > 0, values.double(), 0.0)
        flat, number = ((t * weight).flatten(1).sum(1) if t.ndim > 1 else t * weight for t in (values, weight))
        clip = self.clip[: len(self.clip) - skipped]
        sums = torch.bincount(clip, flat, minlength=self.count)
        numbers = torch.bincount(clip, number, minlength=self.count)
        return torch.where(numbers > 0, sums / numbers.clamp(min=1), math.nan)


def smoothness(laid: Laid) -> dict[str, Tensor]:
    """Mean length of the second and third differences of the joints, in mm per frame^2 and frame^3."""
    second = laid.joints.diff(n=2, dim=0).norm(dim=-1) * MM  # [F - 2, 22]
    third = laid.joints.diff(n=3, dim=0).norm(dim=-1) * MM  # [F - 3, 22]
    return {"acceleration_mm": laid.mean(second, 2), "jerk_mm": laid.mean(third, 3)}


def skating(laid: Laid, fps: float, floor: Tensor) -> dict[str, Tensor]:
    """Toes that move along the floor while they are near it; speed is no condition of "near".

    Args:
        floor: `[C]` metres.
    """
    feet = laid.joints[:, _FEET]  # [F, 4, 3]
    height = feet[..., 1] - floor[laid.clip, None]  # [F, 4]
    speed = feet[..., [0, 2]].diff(dim=0).norm(dim=-1) * fps  # [F - 1, 4] metres a second
    toes, toe_speed = height[:, _TOES], speed[:, _TOES]
    highest = torch.maximum(toes[1:], toes[:-1])  # of the two frames of a step
    near = highest < TOE_HIGHEST
    weight = (2 - 2 ** (highest / TOE_HIGHEST)).clamp(0, 1)
    bad = ((highest < RATIO_HIGHEST) & (toe_speed > RATIO_FASTEST)).any(1).float()  # [F - 1]
    return {
        "skate_weighted": laid.mean(weight * toe_speed, 1),
        "skate_ratio": laid.mean(bad, 1),
        "sliding": laid.mean((toe_speed > SLIDING).float(), 1, near),
        "near_floor": laid.mean(near.float(), 1),
    }


def skating_contacts(laid: Laid, fps: float, contacts: Tensor) -> dict[str, Tensor]:
    """Speed along the floor of feet whose contact holds in both frames of a step.

    Args:
        contacts: `[F, 4]` bool, in the order of `FEET`.
    """
    speed = laid.joints[:, _FEET][..., [0, 2]].diff(dim=0).norm(dim=-1) * fps  # [F - 1, 4]
    return {
        "skate_contacts": laid.mean(speed, 1, contacts[1:] & contacts[:-1]),
        "in_contact": laid.mean(contacts.any(1).float()),
    }


def contacts_of(clips: Sequence[Tensor], fps: float, floor: Tensor) -> Tensor:
    """`foot_contacts` of every clip, end to end, `[F, 4]`."""
    return torch.cat([foot_contacts(clip, fps, float(height)) for clip, height in zip(clips, floor, strict=True)])


def floor_contact(laid: Laid, floor: Tensor) -> dict[str, Tensor]:
    """How far the lowest joint is above the floor, and below it, in mm, each a mean over all frames."""
    lowest = laid.joints[..., 1].amin(1) - floor[laid.clip]  # [F]
    above = torch.where(lowest > TOLERANCE, lowest, 0.0)
    below = torch.where(lowest < -TOLERANCE, -lowest, 0.0)
    return {"float_mm": laid.mean(above) * MM, "penetration_mm": laid.mean(below) * MM}


def bone_drift(laid: Laid) -> dict[str, Tensor]:
    """How far the bones are from their mean length over the clip, in mm and in percent of it."""
    bones = (laid.joints[:, 1:] - laid.joints[:, list(PARENTS[1:])]).norm(dim=-1)  # [F, 21]
    frames = torch.bincount(laid.clip, minlength=laid.count)
    mean = bones.new_zeros(laid.count, bones.shape[1]).index_add_(0, laid.clip, bones) / frames[:, None]  # [C, 21]
    change = (bones - mean[laid.clip]).abs()
    share = 100 * change / mean[laid.clip].clamp(min=1e-6)
    return {"bone_drift_mm": laid.mean(change) * MM, "bone_drift_percent": laid.mean(share)}


def drift(laid: Laid, reference: Laid) -> dict[str, Tensor]:
    """How far path and heading are from those of a reference of the same frames, after both start alike.

    The reference is moved and turned so that its first frame has the place and the heading of the motion's first.
    Path: distance of the pelvis on the floor, mm. Heading: the angle between the two, degrees.
    """
    first = torch.cat((laid.clip.new_ones(1, dtype=torch.bool), laid.clip.diff() > 0))  # [F]
    starts = first.nonzero().squeeze(1)[laid.clip]  # [F] first frame of the own clip
    heading, other = facing(laid.joints), facing(reference.joints)  # [F]
    turn = (heading - other)[starts]
    places = [(joints[:, 0] - joints[starts, 0])[:, [0, 2]] for joints in (laid.joints, reference.joints)]  # [F, 2]
    x, z = places[1].unbind(-1)
    turned = torch.stack((turn.cos() * x + turn.sin() * z, turn.cos() * z - turn.sin() * x), -1)
    angle = heading - other - turn
    angle = torch.atan2(angle.sin(), angle.cos()).abs().rad2deg()
    return {"path_drift_mm": laid.mean((places[0] - turned).norm(dim=-1)) * MM, "heading_drift_deg": laid.mean(angle)}


def facing(joints: Tensor) -> Tensor:
    """Heading from hips and shoulders, `[..., 22, 3] -> [...]` radians; 0 is +z, as in the features.

    From the joints alone, so that it can be asked of motions in any representation.
    """
    left_hip, right_hip, left_shoulder, right_shoulder = (joints[..., side, :] for side in _SIDES)
    across = left_hip - right_hip + left_shoulder - right_shoulder  # to the left of the body
    return torch.atan2(-across[..., 2], across[..., 0])  # left = (cos, 0, -sin) of the heading
