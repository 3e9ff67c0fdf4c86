"""How each joint of a file is turned when ours is in its T-pose: the correction between two bodies.

`G_j C_j` is our joint's rotation in the world, `G_j` the source's; `C_j` never changes over a clip. Where the file's
rest pose is a person who stands, `C_j` comes from it. Where all bones of the rest pose lie along one axis, or helper
joints between pelvis and hips were turned by a network, it says nothing, and two things of the clip itself are used.
The frame in which the person stands straightest takes the place of the rest pose. Knees and elbows, which bend about
one axis only, tell how thigh and shin, upper arm and forearm are turned about their length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.motion.retargeting.frames import Places, angle_between, chest_left, leg_length
from motionlab.motion.retargeting.places import (
    HINGES,
    along,
    chest_over_time,
    hinge_normal,
    limb,
    pelvis_over_time,
    rotations_from_places,
)
from motionlab.motion.retargeting.rest_pose import OURS, last_spine, our_axes, pose_rotations, stands
from motionlab.motion.retargeting.standing import STRAIGHT, standing_score
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

LOOSE = 10.0  # degrees that hips may turn against the pelvis, or collars against the chest
BENDS = 3.0  # degrees that a bone may turn against the joint that carries it
POSED = 5.0  # degrees; a person nearer to a T-pose than this is in one, and it serves as a rest pose would
ONE_AXIS = 0.9  # length of the mean of a hinge's directions; 1 for a perfect hinge
BENT = 0.2  # sine of the bend from which a limb shows its plane


@dataclass(frozen=True, eq=False)
class Calibration:
    """Args:
    corrections: our joint name to `C_j`, `[3, 3]`.
    loose: whether hips or collars move against the joint that should carry them, so that pelvis and chest must be
        taken from places in each frame.
    notes: how it was found, where the rest pose did not tell.
    limbs: joints whose bone moves against them, so that a helper below turns it; taken from places, too.
    """

    corrections: dict[str, Tensor]
    loose: bool
    notes: tuple[str, ...] = ()
    limbs: tuple[str, ...] = ()


def calibrate(
    world: Mapping[str, Tensor], places: Places, rest: Places | None, times: Tensor, our_joints: bool = False
) -> Calibration:
    """Corrections for the joints of a source.

    Args:
        world: our joint name to the source joint's rotation in the world, `[T, 3, 3]`.
        places: of the same joints over time, `[T, 3]`, in the same axes.
        rest: their places when all rotations are the identity, `[3]`.
        times: `[T]` seconds, for notes.
        our_joints: whether the source has our 22 joints by our names, in our tree.
    """
    if rest is not None and stands(rest) and _agrees(world, places, rest):
        axes = our_axes(rest) if our_joints else None
        pose = pose_rotations(rest) if axes is None else dict.fromkeys(world, axes)
        return Calibration({name: turn for name, turn in pose.items() if name in world}, loose=False)
    score = standing_score(places)  # [T]
    at = int(score.argmin())
    pose = pose_rotations({name: value[at] for name, value in places.items()})
    corrections = {name: world[name][at].mT @ pose[name] for name in world}
    hinged = []
    if float(score[at]) > POSED:
        hinged = [name for name in HINGES if _use_hinge(corrections, world, places, name)]
    for side in ("left", "right"):
        elbow, wrist = f"{side}_elbow", f"{side}_wrist"
        if elbow in world and wrist in world:  # a hand points where its forearm points
            corrections[wrist] = world[wrist][at].mT @ world[elbow][at] @ corrections[elbow]
    why = "The rest pose of the file does not stand" if rest is not None else "The file has no rest pose"
    notes = [f"{why}; turns about the length of bones are measured from the pose at {float(times[at]):.2f} s."]
    if hinged:
        notes.append("Knees and elbows tell them for " + ", ".join(name.replace("_", " ") for name in hinged) + ".")
    if float(score[at]) > STRAIGHT:
        notes.append("Nobody stands straight in this motion, so turns about the length of bones may be off.")
    loose = not (_rigid(world, places))
    if loose:
        notes.append("Hips or collars move against pelvis and chest; these two are taken from places of joints.")
    limbs = tuple(
        name
        for name, bone, ours in _limbs(world, places, OURS)
        if ours is not None
        and float(angle_between(_seen_from(world[name], bone), corrections[name] @ ours).median()) > BENDS
    )
    if limbs:
        notes.append("Bones move against " + ", ".join(limbs).replace("_", " ") + "; these are taken from places.")
    return Calibration(corrections, loose, tuple(notes), limbs)


def world_of_ours(world: Mapping[str, Tensor], places: Places, calibration: Calibration, rows: Tensor) -> Tensor:
    """Rotations in the world of all 22 joints at some rows, `[R, 22, 3, 3]`. A joint that is missing does not bend."""
    turned = {name: world[name][rows] @ correction for name, correction in calibration.corrections.items()}
    if calibration.loose or "pelvis" not in turned:
        turned["pelvis"] = pelvis_over_time(places)[rows]
        last = last_spine(places)
        if last is not None:
            turned[last] = chest_over_time(places)[rows]
    if calibration.limbs:
        solved = rotations_from_places(places)
        turned |= {name: solved[name][rows] for name in calibration.limbs}
    result: list[Tensor] = []
    for name, parent in zip(JOINT_NAMES, PARENTS, strict=True):
        result.append(turned[name] if name in turned else result[parent])
    return torch.stack(result, dim=1)


def _agrees(world: Mapping[str, Tensor], places: Places, rest: Places) -> bool:
    """Whether hips, collars and limbs sit in the poses where the rest pose has them."""
    return not any(
        resting is not None and _turns(_seen_from(world[name], line), resting)
        for name, line, resting in (*_carried(world, places, rest), *_limbs(world, places, rest))
    )


def _rigid(world: Mapping[str, Tensor], places: Places) -> bool:
    """Whether pelvis and chest carry hips and collars without turning against them."""
    for name, line, _ in _carried(world, places, None):
        seen = _seen_from(world[name], line)
        if _turns(seen, seen.mean(0)):
            return False
    return "pelvis" in world


def _turns(seen: Tensor, usual: Tensor) -> bool:
    return float(angle_between(seen, usual).median()) > LOOSE


def _limbs(world: Mapping[str, Tensor], places: Places, rest: Places | None) -> list[tuple[str, Tensor, Tensor | None]]:
    """Joint, its bone `[T, 3]`, the same in the rest pose `[3]`."""
    result: list[tuple[str, Tensor, Tensor | None]] = []
    for start in HINGES:
        for name, end in zip((start, limb(start)[0]), limb(start), strict=True):
            if name in world and end in places:
                result.append((name, places[end] - places[name], None if rest is None else rest[end] - rest[name]))
    return result


def _carried(
    world: Mapping[str, Tensor], places: Places, rest: Places | None
) -> list[tuple[str, Tensor, Tensor | None]]:
    """Joint, the line that it carries `[T, 3]`, the same in the rest pose `[3]`."""
    result: list[tuple[str, Tensor, Tensor | None]] = []
    if "pelvis" in world:
        line = places["left_hip"] - places["right_hip"]
        result.append(("pelvis", line, None if rest is None else rest["left_hip"] - rest["right_hip"]))
    last = last_spine(world)
    if last is not None and "left_collar" in places and "right_collar" in places:
        line = places["left_collar"] - places["right_collar"]
        if float(line.norm(dim=-1).median()) > 0.03 * leg_length(places):
            result.append((last, line, None if rest is None else chest_left(rest)))
    return result


def _seen_from(turn: Tensor, vector: Tensor) -> Tensor:
    """A vector in the axes of a joint, `[T, 3, 3], [T, 3] -> [T, 3]`."""
    return (turn.mT @ vector[..., None])[..., 0]


def _use_hinge(corrections: dict[str, Tensor], world: Mapping[str, Tensor], places: Places, name: str) -> bool:
    """Turn both bones of a limb about their length until its hinge has our axis; False where the limb does not tell."""
    middle, end = limb(name)
    if not {name, middle} <= set(world) or end not in places:
        return False
    normal = hinge_normal(places, name)  # [T, 3]
    bent = normal.norm(dim=-1) > BENT
    if int(bent.sum()) < 2:
        return False
    axis = torch.tensor(HINGES[name], dtype=torch.float64)
    found = {}
    for joint, child in ((name, middle), (middle, end)):
        seen = _seen_from(world[joint], normal)[bent]  # [n, 3], axes of the source joint
        mean = seen.sum(0) / seen.norm(dim=-1).sum()
        if float(mean.norm()) < ONE_AXIS:
            continue
        ours = OURS[child] - OURS[joint]
        bone = corrections[joint] @ ours
        found[joint] = along(bone, mean, ours, axis)
    if name not in found:
        return False
    corrections.update(found)
    return True
