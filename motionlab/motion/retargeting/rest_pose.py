"""From a pose in which a person stands to the turn of each joint: the least rotation from our T-pose.

A joint angle means something only relative to a rest pose. If `A` turns our rest bone into the direction of the
source's bone in its own rest pose, then `G A` (`G` the source joint's rotation in the world) puts our bone where the
source has its own. Of all such `A` the least rotation is taken, relative to the frame of pelvis or chest, because it
adds no twist about the bone. That is right for a rest pose in which a person stands, with arms at the side, hanging or
between (T, A, N pose); `stands` tells whether one does. Bodies of Bandai-Namco or LAFAN1 lay all bones along one axis.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from motionlab.motion.retargeting.frames import (
    SHORT,
    Places,
    angle_between,
    chest_frame,
    chest_left,
    least_rotation,
    leg_length,
    our_places,
    our_rest,
    pelvis_frame,
)
from motionlab.motion.skeleton import JOINT_NAMES

SPINE = ("spine1", "spine2", "spine3")
SAME = 15.0  # degrees between our limbs and those of a body whose rotations are ours; SMPL's arms are 11 back
_UPPER = ("collar", "shoulder", "elbow", "wrist")
# The bone that gives a joint its direction: the first of these joints that the body has.
_TOWARDS = {
    "hip": ("knee",),
    "knee": ("ankle",),
    "ankle": ("foot",),
    "collar": ("shoulder",),
    "shoulder": ("elbow",),
    "elbow": ("wrist",),
}
OURS = our_places(our_rest())


def towards(name: str, present: Iterable[str]) -> str | None:
    """The other end of a joint's bone; None where it has none, or the body has not."""
    present = set(present)
    if name in SPINE:
        return next((above for above in SPINE[SPINE.index(name) + 1 :] if above in present), "top")
    if name == "neck":
        return "head" if "head" in present else None
    side, _, joint = name.partition("_")
    return next((f"{side}_{end}" for end in _TOWARDS.get(joint, ()) if f"{side}_{end}" in present), None)


def above(name: str) -> bool:
    """Whether a joint moves with the chest rather than with the pelvis."""
    return name == "neck" or name.partition("_")[2] in _UPPER


def pose_rotations(pose: Places) -> dict[str, Tensor]:
    """Rotation in the world `[3, 3]` of our joints in a pose `[3]` each in which a person stands."""
    pelvis, chest = pelvis_frame(pose), chest_frame(pose)
    result: dict[str, Tensor] = {}
    last = last_spine(pose)
    for name in JOINT_NAMES:
        if name not in pose:
            continue
        start = chest if above(name) or name == last else pelvis
        end = towards(name, pose)
        if end is None:
            side, _, joint = name.partition("_")
            parent = {"foot": f"{side}_ankle", "wrist": f"{side}_elbow"}.get(joint)
            result[name] = start if parent is None else result[parent]
            continue
        bone = start @ (OURS[end] - OURS[name])
        result[name] = least_rotation(bone, pose[end] - pose[name]) @ start
    return result


def our_axes(rest: Places) -> Tensor | None:
    """The axes in which a rest pose is our T-pose, as a rotation `[3, 3]` from ours; None where it is another pose.

    A file that has our joints by our names (`write_bvh` makes such files) with limbs that point as ours do has our
    rotations, too. How wide its hips and how long its collars are does not matter then: a least rotation would take
    the slope of such a bone for a turn.
    """
    axes = pelvis_frame(rest).round()
    if not bool((axes.abs().sum(0) == 1).all()) or not bool((axes.abs().sum(1) == 1).all()):
        return None
    for side in ("left", "right"):
        for start, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
            a, b = f"{side}_{start}", f"{side}_{end}"
            if not {a, b} <= set(rest) or float(angle_between(axes @ (OURS[b] - OURS[a]), rest[b] - rest[a])) > SAME:
                return None
    return axes


def last_spine(present: Iterable[str]) -> str | None:
    """The joint that carries the arms."""
    present = set(present)
    return next((name for name in reversed(SPINE) if name in present), None)


def stands(pose: Places) -> bool:
    """Whether least rotation is right for this rest pose: a person who stands, arms not raised.

    Limits are wide: MakeHuman's arms hang 45 degrees down, CMU's legs are 20 degrees apart, some feet point down.
    """
    leg = leg_length(pose)
    left, up = pose["left_hip"] - pose["right_hip"], pose["top"] - pose["middle"]
    if leg <= 0 or min(float(left.norm()), float(up.norm())) < SHORT * leg:
        return False
    frame = pelvis_frame(pose)
    if not bool(torch.isfinite(frame).all()) or abs(float(angle_between(left, up)) - 90) > 30:
        return False
    if float(angle_between(left, chest_left(pose))) > 30:
        return False
    for side, outwards in (("left", frame[:, 0]), ("right", -frame[:, 0])):
        hip, knee, ankle, shoulder, elbow = (
            pose[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle", "shoulder", "elbow")
        )
        if max(float(angle_between(-up, bone)) for bone in (knee - hip, ankle - knee)) > 40:
            return False
        arm = elbow - shoulder
        if float(angle_between(up, arm)) < 50 or float(angle_between(outwards, arm)) > 110:
            return False
        wrist = pose.get(f"{side}_wrist")
        if wrist is not None and float(angle_between(arm, wrist - elbow)) > 60:
            return False
        foot = pose.get(f"{side}_foot")
        if foot is not None and float(angle_between(frame[:, 2], foot - ankle)) > 110:
            return False
    return all(_upwards(pose, name, up, leg) for name in (*SPINE, "neck") if name in pose)


def _upwards(pose: Places, name: str, up: Tensor, leg: float) -> bool:
    end = towards(name, pose)
    if end is None or end not in pose:
        return True
    bone = pose[end] - pose[name]
    return float(bone.norm()) < SHORT * leg or float(angle_between(up, bone)) < 60
