"""Put motion of any body on the 22 joints.

The road: which joint is which (`names.py`), whether it is a person and how large (`body.py`), which way is up
(`up.py`), where the motion begins (`start.py`), how joints are turned (`calibration.py` from rotations, `places.py`
without), a steady frame rate (`resampling.py`), the floor (`floor.py`). Directions of bones are kept. With the
canonical body, places are not: bones have our lengths afterwards, so hands end up a few centimetres away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.formats.source import SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.body import check_person, own_skeleton, scale_of, without_direction
from motionlab.motion.retargeting.calibration import calibrate, world_of_ours
from motionlab.motion.retargeting.floor import floor_height
from motionlab.motion.retargeting.frames import leg_length, places_by_name
from motionlab.motion.retargeting.names import find_joints
from motionlab.motion.retargeting.places import rotations_from_places
from motionlab.motion.retargeting.resampling import frame_times, needed_rows, sample_linear, sample_quaternions
from motionlab.motion.retargeting.start import first_frame
from motionlab.motion.retargeting.up import upright
from motionlab.motion.rotations import heading_vector, matrix_to_quaternion, quaternion_to_matrix, yaw_matrix_of
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, canonical_skeleton, forward_kinematics

BODIES = ("canonical", "own")


@dataclass(frozen=True, eq=False)
class Retargeted:
    """A motion on our 22 joints, and what it was made from.

    Args:
        motion: on the 22 joints, in metres, y up.
        mapping: our joint name to the name in the source.
        reference: `[T, 22, 3]` places of the source's own joints at the frames of `motion`, scaled to metres, in the
            world of `motion.joints()`; NaN where the source has no such joint. The verdict compares the two.
        notes: what was assumed, dropped or repaired, in whole sentences.
        doubts: what may be wrong, so that a person should look at the motion, in whole sentences.
    """

    motion: Motion
    mapping: dict[str, str]
    reference: Tensor
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def retarget(
    source: SourceMotion,
    fps: float = 30.0,
    *,
    mapping: Mapping[str, str] | None = None,
    up: str | None = None,
    metres_per_unit: float | None = None,
    body: str = "canonical",
    keep_start: bool = False,
    keep_heights: bool = False,
) -> Retargeted:
    """A motion of any body on the 22 joints, at a steady frame rate.

    Args:
        mapping: our joint name to the source's, for joints that are not found by name.
        up: axis of the source that points up, "y", "z", "-y", ...; the source's own word, or the poses, when not given.
        metres_per_unit: replaces what the source says.
        body: "canonical" gives every motion our bones, scaled by the length of the legs, so that the motions of a data
            set share one body. "own" keeps the source's bones (`Motion.skeleton`).
        keep_start: keep T-poses before the motion.
        keep_heights: keep heights as the source has them, instead of putting the floor at 0.

    Raises:
        InputError: the body is not a person, or is not understood; the message says which joint is missing.
    """
    if body not in BODIES:
        raise InputError("body", found=repr(body), expected=" or ".join(BODIES), fix="Choose one of these.")
    notes: list[str | None] = []
    index = find_joints(source.joints, source.parents, source.name, mapping)
    places = places_by_name(source.positions.double(), index)
    for foot in without_direction(places):
        notes.append(
            f"{source.joints[index.pop(foot)]} lies in the ankle, so the foot follows the ankle's rotation alone."
        )
        del places[foot]
    check_person(places, source.name)
    rest = None if source.rest is None else places_by_name(source.rest.double(), index)
    standing = upright(places, source.times.double(), rest, up or source.up)
    notes.append(standing.note)
    axes = standing.axes
    leg = leg_length(places if rest is None else rest) or leg_length(places)  # a rest pose has bones exactly
    scale, note = scale_of(leg, body, metres_per_unit or source.metres_per_unit)
    notes.append(note)

    begin, note = (0, None) if keep_start else first_frame(places, source.times, scale)
    notes.append(note)
    times = source.times[begin:].double() - float(source.times[begin])
    moments = frame_times(float(times[-1]), fps, len(times))
    rows = needed_rows(times, moments)  # the others are not looked at again
    times = times[rows]

    if source.rotations is None:
        solved = rotations_from_places(places)
        world = torch.stack([solved[name][begin + rows] for name in JOINT_NAMES], dim=1)  # [R, 22, 3, 3]
        notes.append("The source has places only; turns about the length of straight limbs are a guess.")
    else:
        turns = {name: source.rotations[:, at].double() for name, at in index.items()}
        calibration = calibrate(turns, places, rest, source.times, our_joints=_has_our_joints(source))
        world = world_of_ours(turns, places, calibration, begin + rows)
        notes += calibration.notes

    # y up and metres from here on
    world = axes @ world
    places = {name: scale * value[begin + rows] @ axes.T for name, value in places.items()}
    skeleton = own_skeleton(world, places, source.name) if body == "own" else None
    offsets = (skeleton or canonical_skeleton(torch.float64)).offsets
    local = quaternion_to_matrix(sample_quaternions(matrix_to_quaternion(_local(world)), times, moments))
    # Our pelvis is the point between our hips: there, scaled legs reach the floor wherever the source's do.
    pelvis = sample_linear(places["pelvis" if skeleton else "middle"], times, moments)
    joints = forward_kinematics(local, pelvis, offsets)  # [T', 22, 3]
    reference = torch.full_like(joints, torch.nan)
    for name in index:
        reference[:, JOINT_NAMES.index(name)] = sample_linear(places[name], times, moments)

    floor = 0.0 if keep_heights else floor_height(joints)
    joints[..., 1] -= floor
    reference[..., 1] -= floor
    motion = Motion.from_joints_rotations(
        joints.float(), local.float(), fps=fps, name=source.name, skeleton=skeleton, ground=False
    )
    return Retargeted(
        motion,
        {name: source.joints[at] for name, at in index.items()},
        _as_decoded(reference, joints, local),
        tuple(text for text in notes if text),
        ()
        if standing.certain
        else (f"Which way is up is not certain; {standing.name} was taken. If another axis is, say so with --up.",),
    )


def _has_our_joints(source: SourceMotion) -> bool:
    """Our 22 names and nothing else, each below the joint that is its parent with us."""
    above = {
        joint: source.joints[parent] if parent >= 0 else ""
        for joint, parent in zip(source.joints, source.parents, strict=True)
    }
    return above == {
        joint: JOINT_NAMES[parent] if parent >= 0 else "" for joint, parent in zip(JOINT_NAMES, PARENTS, strict=True)
    }


def _local(world: Tensor) -> Tensor:
    """Rotations in the world to rotations relative to the parent, `[T, 22, 3, 3]`."""
    rest = world[:, PARENTS[1:]].mT @ world[:, 1:]
    return torch.cat((world[:, :1], rest), dim=1)


def _as_decoded(points: Tensor, joints: Tensor, local: Tensor) -> Tensor:
    """Points `[T, n, 3]` moved as the 272 features move a clip: start above the origin, facing +z."""
    start = joints[0, 0].clone()
    start[1] = 0
    cosine, sine = heading_vector(local[0, 0])
    return (points - start) @ yaw_matrix_of(cosine, -sine).mT
