"""Rotations from places alone: key points, joints of a network, the positions of HumanML3D.

A place says where a bone points and nothing about the turn around it. Three things fill the gap: pelvis and chest are
more than a bone, because hips and shoulders stick out of them; knees and elbows bend one way only, so the plane of a
bent leg tells how its thigh is turned; whatever is left takes the least rotation from the joint above.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.motion.retargeting.frames import (
    Places,
    chest_frame,
    filled,
    frame,
    least_rotation,
    leg_length,
    pelvis_frame,
    unit,
)
from motionlab.motion.retargeting.rest_pose import OURS, SPINE, last_spine, towards
from motionlab.motion.retargeting.standing import standing_score
from motionlab.motion.rotations import axis_angle_to_matrix, matrix_to_quaternion, quaternion_to_matrix, slerp
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

# The axis that a knee or an elbow bends about in our T-pose; `upper x lower` points along it, never against it.
HINGES = {
    "left_hip": (1.0, 0.0, 0.0),
    "right_hip": (1.0, 0.0, 0.0),
    "left_shoulder": (0.0, -1.0, 0.0),
    "right_shoulder": (0.0, 1.0, 0.0),
}
NEARLY_STRAIGHT = 0.35  # sine of the bend, 20 degrees; dancers and kicks reach 13 beyond straight
UPRIGHT = 15.0  # degrees from standing straight, up to which a tilt is that of the body and not that of the pose
STIFF = 0.1  # weight of the least rotation against the sine of the bend: a straight limb has no plane


def rotations_from_places(places: Places) -> dict[str, Tensor]:
    """World rotations `[T, 3, 3]` of all 22 joints from places over time, `[T, 3]` each.

    Bones of the result point where they do in the source, exactly; joints that the source lacks do not bend.
    """
    pelvis, chest = pelvis_over_time(places), chest_over_time(places)
    result = {"pelvis": pelvis}
    last = last_spine(places)
    for name, parent in zip(JOINT_NAMES[1:], PARENTS[1:], strict=True):
        start = result[JOINT_NAMES[parent]]
        end = towards(name, places) if name in places else None
        if name == last:
            result[name] = chest
        elif end is None:
            result[name] = start
        elif name in HINGES:
            result[name] = _hinged(start, name, places)
        else:
            if name in SPINE:  # the twist of the trunk is spread evenly
                start = _between(pelvis, chest, (SPINE.index(name) + 1) / (SPINE.index(last or name) + 1))
            bone = (start @ (OURS[end] - OURS[name])[:, None])[..., 0]  # [T, 3]
            result[name] = least_rotation(bone, places[end] - places[name]) @ start
    return result


def pelvis_over_time(places: Places) -> Tensor:
    """`[T, 3, 3]`. Hips and the first joint of the spine turn together, where there is one above the hips.

    The top of the trunk would tilt the pelvis of a person who bows. On bodies whose spine does not start straight above
    the hips, the tilt is measured while the person stands.
    """
    by_trunk = filled(pelvis_frame(places))
    first = next((places[name] for name in SPINE if name in places), None)
    if first is None:
        return by_trunk
    rise = first - places["middle"]
    if float(rise.norm(dim=-1).median()) < 0.08 * leg_length(places):
        return by_trunk
    frames = filled(frame(places["left_hip"] - places["right_hip"], rise))
    between = frames.mT @ by_trunk  # about the hips only
    tilt = torch.atan2(between[:, 2, 1], between[:, 1, 1])  # [T]
    score = standing_score(places)  # [T]
    straight = score.argsort()[: max(1, len(tilt) // 5)]
    usual = tilt[straight].median()
    if abs(float(usual)) < 0.2 or float(score[straight].median()) > UPRIGHT:
        return frames  # below 11 degrees the body is straight and the person leans; who climbs or sits leans more
    return frames @ axis_angle_to_matrix(torch.stack((usual, usual * 0, usual * 0)))


def chest_over_time(places: Places) -> Tensor:
    """`[T, 3, 3]`: left as the collars or shoulders are, up from the last joint of the spine."""
    chest = filled(chest_frame(places))
    last = last_spine(places)
    if last is None:
        return chest
    bone = (chest @ (OURS["top"] - OURS[last])[:, None])[..., 0]
    end = places["top"] - places[last]
    if float(end.norm(dim=-1).median()) < 0.03 * leg_length(places):
        return chest
    return least_rotation(bone, end) @ chest


def hinge_normal(places: Places, name: str) -> Tensor:
    """`upper x lower` of a limb, `[T, 3]`; its length is the sine of the bend."""
    middle, end = limb(name)
    normal: Tensor = torch.linalg.cross(unit(places[middle] - places[name]), unit(places[end] - places[middle]), dim=-1)
    return normal


def limb(name: str) -> tuple[str, str]:
    """The hinge of a limb and its end: knee and ankle of a hip, elbow and wrist of a shoulder."""
    side, _, joint = name.partition("_")
    middle, end = {"hip": ("knee", "ankle"), "shoulder": ("elbow", "wrist")}[joint]
    return f"{side}_{middle}", f"{side}_{end}"


def along(bone: Tensor, axis: Tensor, our_bone: Tensor, our_axis: Tensor) -> Tensor:
    """The rotation that turns our bone into `bone` and our axis across it as near to `axis` as it goes.

    `[..., 3], [..., 3], [3], [3] -> [..., 3, 3]`.
    """
    return frame(bone, axis) @ frame(our_bone, our_axis).mT


def _hinged(start: Tensor, name: str, places: Places) -> Tensor:
    """Thigh or upper arm: least rotation from the joint above while straight, by the plane of the limb when bent."""
    middle, end = limb(name)
    ours = OURS[middle] - OURS[name]
    bone = places[middle] - places[name]
    least = least_rotation((start @ ours[:, None])[..., 0], bone) @ start  # [T, 3, 3]
    if end not in places:
        return least
    axis = torch.tensor(HINGES[name], dtype=torch.float64)
    usual = (least @ axis[:, None])[..., 0]
    normal = hinge_normal(places, name)
    if name.endswith("hip"):
        # A leg a little more than straight bends "the other way": its plane is the same, not its sign. An arm can turn
        # so far in the shoulder that the other way is real.
        beyond = ((normal * usual).sum(-1) < 0) & (normal.norm(dim=-1) < NEARLY_STRAIGHT)
        normal = torch.where(beyond[:, None], -normal, normal)
    turned = along(bone, STIFF * usual + normal, ours, axis)
    bad = ~torch.isfinite(turned).all(-1).all(-1)
    return torch.where(bad[:, None, None], least, turned)


def _between(start: Tensor, end: Tensor, part: float) -> Tensor:
    return quaternion_to_matrix(slerp(matrix_to_quaternion(start), matrix_to_quaternion(end), part))
