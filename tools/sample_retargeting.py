"""The retargeting that made the bundled samples; `build_samples.py` needs it unchanged, to the last bit.

It knows two bodies by name and takes their rest pose for one that stands. The package's own retargeting, which knows
bodies of any kind, is `motionlab/motion/retargeting/`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.formats.bvh import BvhClip
from motionlab.motion.retargeting.resampling import frame_times, sample_linear, sample_quaternions
from motionlab.motion.rotations import axis_angle_to_matrix, matrix_to_quaternion, quaternion_to_matrix
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, canonical_skeleton, forward_kinematics

ROUNDED = 1e-6  # of a frame that a duration may lack: less than the readers allow, or the samples would get frames more

# The bone that gives a joint its direction. The pelvis and the head keep the source's rotation as it is; feet and
# wrists end the tree and use the correction of the joint above.
_BONE_TO = {
    "left_hip": "left_knee",
    "left_knee": "left_ankle",
    "left_ankle": "left_foot",
    "spine1": "spine2",
    "spine2": "spine3",
    "spine3": "neck",
    "neck": "head",
    "left_collar": "left_shoulder",
    "left_shoulder": "left_elbow",
    "left_elbow": "left_wrist",
}
_SAME_AS = {"left_foot": "left_ankle", "left_wrist": "left_elbow"}
for _table in (_BONE_TO, _SAME_AS):
    _table.update({k.replace("left", "right"): v.replace("left", "right") for k, v in list(_table.items())})


@dataclass(frozen=True)
class BvhMap:
    """Which joint of a BVH body plays which of the 22 joints. Joints that are not named do not bend.

    Args:
        name: what to call this kind of body in messages.
        joints: our joint name to the file's joint name; the pelvis, hips, knees and ankles are needed.
        axes: rows of the rotation from the file's axes to (x left, y up, z forward).
    """

    name: str
    joints: dict[str, str]
    axes: tuple[tuple[float, float, float], ...] = field(default=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))


def _both_sides(middle: dict[str, str], left: dict[str, str]) -> dict[str, str]:
    """Add the right side: the same names with the word for left replaced."""
    right = {k.replace("left", "right"): v.replace("Left", "Right").replace("left", "right") for k, v in left.items()}
    return {**middle, **left, **right}


CMU_MAP = BvhMap(
    "CMU (cgspeed)",
    _both_sides(
        {
            "pelvis": "Hips",
            "spine1": "LowerBack",
            "spine2": "Spine",
            "spine3": "Spine1",
            "neck": "Neck",
            "head": "Head",
        },
        {
            "left_hip": "LeftUpLeg",
            "left_knee": "LeftLeg",
            "left_ankle": "LeftFoot",
            "left_foot": "LeftToeBase",
            "left_collar": "LeftShoulder",
            "left_shoulder": "LeftArm",
            "left_elbow": "LeftForeArm",
            "left_wrist": "LeftHand",
        },
    ),
)
TOES_MAP = BvhMap(
    "21 joints with toes",
    _both_sides(
        {"pelvis": "Hips", "spine2": "Ab", "spine3": "Chest", "neck": "Neck", "head": "Head"},
        {
            "left_hip": "LeftHip",
            "left_knee": "LeftKnee",
            "left_ankle": "LeftAnkle",
            "left_foot": "LeftToes",
            "left_collar": "LeftCollar",
            "left_shoulder": "LeftShoulder",
            "left_elbow": "LeftElbow",
            "left_wrist": "LeftWrist",
        },
    ),
)


def retarget_bvh(clip: BvhClip, body: BvhMap, fps: float = 30.0) -> tuple[Tensor, Tensor]:
    """A BVH clip on the 22 joints, at a steady frame rate, scaled so that the legs have our length.

    The pelvis is put in the middle between the hips: there the scaled legs reach the floor wherever the source's do.
    (Bodies differ in how far their hips sit below their root: 10 cm in the CMU files, 0 here.)

    Returns:
        local rotations `[T, 22, 3, 3]` and pelvis position `[T, 3]` in metres, float64.

    Raises:
        InputError: the file lacks a joint that the map names, or its legs have no length.
    """
    missing = [name for name in body.joints.values() if name not in clip.names]
    if missing:
        raise InputError(
            f"BVH body {body.name}",
            found="no joint " + ", ".join(missing),
            expected="all joints of the map",
            fix="Use another BvhMap.",
        )
    source = {ours: clip.names.index(theirs) for ours, theirs in body.joints.items()}
    axes = torch.tensor(body.axes, dtype=torch.float64)
    rest = _rest_positions(clip) @ axes.T  # [J, 3]
    corrections = _rest_corrections(source, rest)

    moments = frame_times((len(clip) - 1) / clip.fps, fps, len(clip), ROUNDED)
    times = torch.arange(len(clip), dtype=torch.float64) / clip.fps
    local = sample_quaternions(matrix_to_quaternion(clip.rotations), times, moments)
    resampled = BvhClip(
        names=clip.names,
        parents=clip.parents,
        offsets=clip.offsets,
        rotations=quaternion_to_matrix(local),
        root_position=sample_linear(clip.root_position, times, moments),
        fps=fps,
    )
    world = axes @ resampled.world_rotations() @ axes.T  # [T, J, 3, 3]

    ours: list[Tensor] = []  # world rotations, [T, 3, 3] each
    rotations: list[Tensor] = []
    for joint, name in enumerate(JOINT_NAMES):
        parent = PARENTS[joint]
        if name in source:
            turn = world[:, source[name]] @ corrections[name]
        else:
            turn = ours[parent]  # not in the file: does not bend
        ours.append(turn)
        rotations.append(turn if parent < 0 else ours[parent].mT @ turn)

    scale = _leg_length(_rest_of_ours(), {name: joint for joint, name in enumerate(JOINT_NAMES)}) / _leg_length(
        rest, source
    )
    places = resampled.joints() @ axes.T  # [T, J, 3]
    hips = (places[:, source["left_hip"]] + places[:, source["right_hip"]]) / 2
    return torch.stack(rotations, dim=1), hips * scale


def _rest_positions(clip: BvhClip) -> Tensor:
    """`[J, 3]`, all rotations zero."""
    places: list[Tensor] = []
    for joint, parent in enumerate(clip.parents):
        places.append(torch.zeros_like(clip.offsets[0]) if parent < 0 else places[parent] + clip.offsets[joint])
    return torch.stack(places)


def _rest_corrections(source: dict[str, int], rest: Tensor) -> dict[str, Tensor]:
    """For every mapped joint the least rotation `[3, 3]` from our rest bone to the source's."""
    offsets = canonical_skeleton(torch.float64).offsets
    result = {name: torch.eye(3, dtype=torch.float64) for name in JOINT_NAMES}
    for name, child in _BONE_TO.items():
        if name in source and child in source:
            theirs = rest[source[child]] - rest[source[name]]
            result[name] = least_rotation(offsets[JOINT_NAMES.index(child)], theirs)
    for name, above in _SAME_AS.items():
        result[name] = result[above]
    return result


def least_rotation(start: Tensor, end: Tensor) -> Tensor:
    """The smallest rotation `[3, 3]` that turns direction `start` into direction `end`; identity for a zero vector.

    >>> turned = least_rotation(torch.tensor([0.0, 2.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]))
    >>> print([round(x) for x in (turned @ torch.tensor([0.0, 1.0, 0.0])).tolist()])
    [1, 0, 0]
    """
    lengths = start.norm() * end.norm()
    if float(lengths) < 1e-9:
        return torch.eye(3, dtype=start.dtype)
    cross = torch.linalg.cross(start, end) / lengths
    cosine = (start @ end) / lengths
    sine = cross.norm()
    if float(sine) < 1e-9:
        if float(cosine) > 0:
            return torch.eye(3, dtype=start.dtype)
        # Opposite directions: any axis across `start` will do; take the one furthest from it.
        axis = torch.linalg.cross(start, torch.eye(3, dtype=start.dtype)[start.abs().argmin()])
        return axis_angle_to_matrix(math.pi * axis / axis.norm())
    return axis_angle_to_matrix(cross / sine * torch.atan2(sine, cosine))


def _rest_of_ours() -> Tensor:
    """`[22, 3]`, the T-pose."""
    rest = torch.eye(3, dtype=torch.float64).expand(len(JOINT_NAMES), 3, 3)
    offsets = canonical_skeleton(torch.float64).offsets
    return forward_kinematics(rest, torch.zeros(3, dtype=torch.float64), offsets)


def _leg_length(rest: Tensor, index: dict[str, int]) -> float:
    """Hip to knee to ankle, mean of both legs, in the units of `rest` `[J, 3]`."""
    length = 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (rest[index[f"{side}_{joint}"]] for joint in ("hip", "knee", "ankle"))
        length += float((knee - hip).norm() + (ankle - knee).norm()) / 2
    if length <= 0:
        raise InputError(
            "BVH", found="legs without length", expected="offsets from hip to ankle", fix="Check the OFFSET lines."
        )
    return length
