"""How a person stands: the frame of a clip that can take the place of a rest pose, and T-poses."""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.motion.retargeting.frames import Places, angle_between, chest_frame, filled, pelvis_frame, unit

STRAIGHT = 25.0  # degrees; mean deviation of a frame in which a person stands up to any use


def standing_score(places: Places) -> Tensor:
    """Mean deviation from standing straight in degrees, `[T]`: bent trunk, legs, elbows, arms off the side.

    Arms may be anywhere between hanging and level. 0 is a T-pose, an A-pose or a soldier.
    """
    pelvis, chest = filled(pelvis_frame(places)), filled(chest_frame(places))
    up, forward = pelvis[..., 1], pelvis[..., 2]
    parts = [angle_between(pelvis[..., 0], chest[..., 0])]
    if "head" in places and "neck" in places:
        parts.append((angle_between(up, places["head"] - places["neck"]) - 20).clamp(min=0))
    for side, outwards in (("left", chest[..., 0]), ("right", -chest[..., 0])):
        hip, knee, ankle, shoulder, elbow = (
            places[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle", "shoulder", "elbow")
        )
        parts += [angle_between(-up, knee - hip), angle_between(-up, ankle - knee)]
        arm = elbow - shoulder
        across = (unit(arm) * forward).sum(-1)
        parts.append(torch.rad2deg(torch.asin(across.clamp(-1, 1)).abs()))  # off the plane of the body
        parts.append((angle_between(up, arm) - 80).clamp(max=0).abs())  # raised
        parts.append((angle_between(outwards, arm) - 100).clamp(min=0))  # across the body
        if f"{side}_wrist" in places:
            parts.append((angle_between(arm, places[f"{side}_wrist"] - elbow) - 10).clamp(min=0))
        if f"{side}_foot" in places:
            parts.append((angle_between(forward, places[f"{side}_foot"] - ankle) - 45).clamp(min=0))
    return torch.stack(parts).mean(0)


def t_pose(places: Places) -> Tensor:
    """Whether a person stands straight with arms level at the sides, `[T]` bool."""
    pelvis, chest = filled(pelvis_frame(places)), filled(chest_frame(places))
    result = angle_between(pelvis[..., 0], chest[..., 0]) < 20
    for side, outwards in (("left", chest[..., 0]), ("right", -chest[..., 0])):
        hip, knee, ankle, shoulder, elbow = (
            places[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle", "shoulder", "elbow")
        )
        bones = [(-pelvis[..., 1], knee - hip), (-pelvis[..., 1], ankle - knee), (outwards, elbow - shoulder)]
        if f"{side}_wrist" in places:
            bones.append((outwards, places[f"{side}_wrist"] - elbow))
        for expected, bone in bones:
            result = result & (angle_between(expected, bone) < 25)
    return result
