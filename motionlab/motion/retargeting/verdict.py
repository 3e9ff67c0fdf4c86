"""Is a motion right? Measures of a clip on our 22 joints, and a verdict with its reasons.

Two kinds of measures. Against the reference, the places of the file's own joints: whether retargeting kept every
direction. And of the motion alone: whether a person could have moved like that. A fall, a cartwheel or a crawl is
right; a walk of 70 km/h, a body without a floor or feet that point backwards are not.

The limits of the first kind are those by which retargeting of real files was judged by hand. Those of the second kind
leave room around all that 55 bundled clips and golden files of the published data set do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.diagnose import (
    Finding,
    diagnose,
    facing,
    feet_forward,
    knees_forward,
)
from motionlab.motion.retargeting.frames import angle_between, leg_length, our_places
from motionlab.motion.rotations import yaw_matrix
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

Word = Literal["right", "doubtful", "refused"]


@dataclass(frozen=True)
class Limit:
    """The range of a measure.

    Args:
        measure: its name; the unit is the end of the name.
        low, high: the first value that is doubtful below, and above.
        sentence: said of a value outside; `{value}` and `{limit}` are filled in.
    """

    measure: str
    low: float | None
    high: float | None
    sentence: str


LIMITS: tuple[Limit, ...] = (
    Limit("limb_angle_deg", None, 10, "A limb is {value:.0f} degrees off the file's (limit {limit:g})."),
    Limit("hip_line_angle_deg", None, 15, "The hips are turned {value:.0f} degrees off the file's (limit {limit:g})."),
    Limit(
        "shoulder_line_angle_deg", None, 20,
        "The shoulders are turned {value:.0f} degrees off the file's (limit {limit:g}).",
    ),
    Limit("trunk_angle_deg", None, 20, "The trunk is {value:.0f} degrees off the file's (limit {limit:g})."),
    Limit("heading_angle_deg", None, 15, "The heading is {value:.0f} degrees off the file's (limit {limit:g})."),
    Limit("source_fps", 10, None, "The file says {value:.3g} frames a second, which are key frames; give --fps."),
    Limit("source_fps", None, 480, "The file says {value:.4g} frames a second, more than cameras take; give --fps."),
    Limit("speed_m_s", None, 10, "The body travels at {value:.1f} m/s, faster than people run (limit {limit:g})."),
    Limit("step_m_s", None, 25, "The pelvis is {value:.0f} m/s fast between two frames: a cut or a lost frame."),
    Limit("first_jump_cm", None, 20, "A joint jumps {value:.0f} cm after the first frame: a T-pose left in front?"),
    Limit("floor_cm", -25, None, "The lowest joint is at {value:.0f} cm, below the floor."),
    Limit("floor_cm", None, 100, "The body is {value:.0f} cm above the floor nearly always."),
    Limit("walking_height_cm", None, 20, "The body travels {value:.0f} cm above the floor (limit {limit:g})."),
    Limit("below_floor_share", None, 0.3, "In {value:.0%} of the frames the body is in the floor (limit {limit:.0%})."),
    Limit("bone_drift_share", None, 0.1, "A bone changes its length by {value:.0%} (limit {limit:.0%})."),
    Limit(
        "bone_sides_share", None, 0.3,
        "A bone of one side is {value:.0%} longer than that of the other (limit {limit:.0%}).",
    ),
    Limit("trunk_twist_deg", None, 110, "The shoulders are turned {value:.0f} degrees against the hips."),
    Limit("neck_bend_deg", None, 120, "The head is bent {value:.0f} degrees from the trunk: it points into the body."),
    Limit("height_m", 0.8, None, "The body is {value:.2f} m long, smaller than a person; the unit may be wrong."),
    Limit("height_m", None, 2.4, "The body is {value:.2f} m long, larger than a person; the unit may be wrong."),
    Limit("upside_down_share", None, 0.5, "The head is below the hips in {value:.0%} of the frames."),
    Limit("jerk_m_s3", None, 2000, "The motion trembles: a jerk of {value:,.0f} m/s^3 (limit {limit:,.0f})."),
)  # fmt: skip

# Measure to the lines, each from a joint to another one, whose largest angle it is.
_LINES: dict[str, tuple[tuple[str, str], ...]] = {
    "limb_angle_deg": tuple(
        (f"{side}_{start}", f"{side}_{end}")
        for side in ("left", "right")
        for start, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
    ),
    "hip_line_angle_deg": (("right_hip", "left_hip"),),
    "shoulder_line_angle_deg": (("right_shoulder", "left_shoulder"),),
    "trunk_angle_deg": (("pelvis", "neck"),),
}
_IN_THE_FLOOR = 0.15  # metres; a person on a soft mat is a little below the floor
_TRAVELS = 2.0  # metres; who stands on a table all the time does not walk that far
_FEW = 3  # frames below which nothing is said about speed


@dataclass(frozen=True)
class Verdict:
    """Whether a clip is right.

    Args:
        verdict: "right"; "doubtful" when a person should look at it; "refused" when it is certainly not what it says.
        reasons: why it is not right, in whole sentences; empty when it is.
        measures: name to value; the unit is the end of the name. Only what could be measured is in it.
    """

    verdict: Word
    reasons: tuple[str, ...]
    measures: dict[str, float]


def judge(
    motion: Motion, reference: Tensor | None = None, source_fps: float | None = None, doubts: Sequence[str] = ()
) -> Verdict:
    """Measure a motion and compare every measure with its limit.

    Args:
        motion: on the 22 joints, physical units.
        reference: `[T, 22, 3]` metres, y up, NaN where the source has no such joint: `Retargeted.reference`. Turned
            about the vertical axis and moved, it may be different; `judge` aligns it.
        source_fps: frames a second that the file says; None or 0 when it says none, or has a single frame.
        doubts: of retargeting, `Retargeted.doubts`; each makes the clip doubtful.

    >>> still = Motion.from_joints_rotations(torch.zeros(9, 22, 3), torch.eye(3).expand(9, 22, 3, 3))
    >>> judge(still).verdict
    'refused'
    """
    joints, rotations = motion.joints().double(), motion.rotations().double()
    measures = _of_the_motion(joints, motion.fps)
    if source_fps:
        measures["source_fps"] = source_fps
    if reference is not None and len(reference) == len(joints):
        measures["bone_drift_share"] = max(measures["bone_drift_share"], _drift(reference.double()))
        measures["bone_sides_share"] = _sides(reference.double())
        measures |= _against(joints, motion.root()[1].double(), reference.double())
    reasons = list(doubts)
    for limit in LIMITS:
        value = measures.get(limit.measure)
        if value is None:
            continue
        if limit.low is not None and not value >= limit.low:
            reasons.append(limit.sentence.format(value=value, limit=limit.low))
        if limit.high is not None and not value <= limit.high:
            reasons.append(limit.sentence.format(value=value, limit=limit.high))
    found = diagnose(joints, rotations)
    return Verdict(_word(found, reasons), tuple(one.sentence for one in found) + tuple(reasons), measures)


def _word(found: Sequence[Finding], reasons: Sequence[str]) -> Word:
    if any(one.certain for one in found):
        return "refused"
    return "doubtful" if found or reasons else "right"


def _of_the_motion(joints: Tensor, fps: float) -> dict[str, float]:
    """Measures of `[T, 22, 3]` alone."""
    frames = len(joints)
    lowest = joints[..., 1].amin(-1)  # [T] whatever touches the floor: hands in a cartwheel
    up = _line(joints, "pelvis", "neck")[:, 1]
    bones = (joints[:, 1:] - joints[:, list(PARENTS[1:])]).norm(dim=-1)  # [T, 21]
    length = bones.median(0).values
    measures = {
        "height_m": _height(length),
        "floor_cm": 100 * float(torch.quantile(lowest, 0.05)),
        "below_floor_share": float((lowest < -_IN_THE_FLOOR).double().mean()),
        "bone_drift_share": float(((bones - length).abs().mean(0) / length.clamp(min=0.02)).max()),
        "bone_sides_share": _sides(joints),
        "trunk_twist_deg": _median(
            _line(joints, "right_hip", "left_hip"), _line(joints, "right_shoulder", "left_shoulder")
        ),
        "neck_bend_deg": _median(_line(joints, "pelvis", "neck"), _line(joints, "neck", "head")),
        "upside_down_share": float((up < -0.2).double().mean()),
        "feet_forward_cosine": feet_forward(joints),
        "knees_forward_share": knees_forward(joints),
        "leg_m": leg_length(our_places(joints)),
    }
    if frames < _FEW:
        return measures
    steps = (joints[1:] - joints[:-1]).norm(dim=-1)  # [T-1, 22] metres
    window = max(1, round(fps / 2))
    root = joints[:, 0][:, [0, 2]]
    travel = float((root.amax(0) - root.amin(0)).norm())
    far = (root[window:] - root[:-window]).norm(dim=-1) * fps / window if frames > window else root.new_zeros(1)
    measures |= {
        "speed_m_s": float(far.max()),
        "walking_height_cm": measures["floor_cm"] if travel > _TRAVELS else 0.0,
        "step_m_s": float(steps[:, 0].max()) * fps,
        "first_jump_cm": 100 * _first_jump(steps),
        "static_share": float((steps.amax(-1) * fps < 0.05).double().mean()),
        "movement_cm": 100 * float((joints - joints[:1]).norm(dim=-1).max()),
        "backwards_share": _backwards(joints, fps),
    }
    if frames > _FEW:
        jerk = joints.diff(n=3, dim=0).norm(dim=-1) * fps**3  # [T-3, 22]
        measures["jerk_m_s3"] = float(jerk.mean(-1).median())
    return measures


def _limbs(joints: Tensor) -> Tensor:
    """Lengths of the bones of the limbs, which no body changes, left and right: `[T, 22, 3] -> [T, 4, 2]`, NaN where
    the source lacks a joint."""
    lengths = torch.stack([_line(joints, *ends).norm(dim=-1) for ends in _LINES["limb_angle_deg"]], dim=-1)
    sides: Tensor = lengths.unflatten(-1, (2, 4))  # [T, 2, 4]
    return sides.mT


def _drift(reference: Tensor) -> float:
    """Mean change of the most elastic bone of a limb, as a part of its length. Bones of the result never change."""
    lengths = _limbs(reference).flatten(1)  # [T, 8]
    usual = lengths.nanmedian(0).values
    return float(((lengths - usual).abs().mean(0) / usual.clamp(min=0.02)).nan_to_num(0).max())


def _sides(joints: Tensor) -> float:
    """By which part the longer of two like bones is longer."""
    pairs = _limbs(joints).nanmedian(0).values.clamp(min=1e-3)  # [4, 2]
    return float((pairs.amax(-1) / pairs.amin(-1) - 1).nan_to_num(0).max())


def _median(one: Tensor, other: Tensor) -> float:
    return float(angle_between(one, other).median())


def _first_jump(steps: Tensor) -> float:
    """Metres of the joint that moves most after the first frame, unless the motion continues like that.

    A clip may be cut out of a fast motion. A T-pose in front is another matter: afterwards it moves much less.
    """
    first, later = float(steps[0].max()), float(steps[1:6].amax()) if len(steps) > 1 else 0.0
    return first if first > 2.5 * later else 0.0


def _backwards(joints: Tensor, fps: float) -> float:
    """Share of the travelling frames in which the body travels against where it faces; people do walk backwards."""
    travel = (joints[1:, 0] - joints[:-1, 0])[:, [0, 2]] * fps  # [T-1, 2] m/s
    ahead = facing(joints)[:-1][:, [0, 2]]
    moving = travel.norm(dim=-1) > 0.3
    return float(((travel * ahead).sum(-1) < 0)[moving].double().mean()) if bool(moving.any()) else 0.0


def _against(joints: Tensor, heading: Tensor, reference: Tensor) -> dict[str, float]:
    """Angles in degrees between a motion and its reference, both `[T, 22, 3]`: medians over the frames.

    Features begin facing +z wherever the file did, so the motion is turned as a whole first. The heading `[T]` is that
    of the pelvis' rotation; the file's is where its joints face. So a pelvis that is turned wrongly is seen in it.
    """
    yaw = _yaw(joints, reference)
    joints = joints @ yaw_matrix(yaw).mT
    measures: dict[str, float] = {}
    for measure, ends in _LINES.items():
        angles = [
            float(angle[known].median())
            for start, end in ends
            for angle in (angle_between(_line(joints, start, end), _line(reference, start, end)),)
            if bool((known := ~_line(reference, start, end).isnan().any(-1)).any())
        ]
        if angles:
            measures[measure] = max(angles)
    # Where the pelvis faces, [T, 2]; NaN where the source lacks one of the joints. A trunk may be twisted against it.
    across = torch.linalg.cross(_line(reference, "right_hip", "left_hip"), _line(reference, "pelvis", "neck"))
    theirs = across[:, [0, 2]] / across.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    level = theirs.norm(dim=-1) > 0.5  # where the body faces up or down there is no heading
    if bool(level.any()):
        turned = (heading + yaw)[level]
        apart = turned - torch.atan2(theirs[level, 0], theirs[level, 1])
        measures["heading_angle_deg"] = float(torch.atan2(apart.sin(), apart.cos()).abs().rad2deg().median())
    return measures


def _yaw(joints: Tensor, reference: Tensor) -> Tensor:
    """The turn about the vertical axis that brings the bones of one as near as possible to those of the other."""
    one, other = (x[:, 1:] - x[:, list(PARENTS[1:])] for x in (joints, reference))  # [T, 21, 3]
    sine = (other[..., 0] * one[..., 2] - other[..., 2] * one[..., 0]).nansum()
    return torch.atan2(sine, (other[..., 0] * one[..., 0] + other[..., 2] * one[..., 2]).nansum())


def _height(lengths: Tensor) -> float:
    """Sole to head, stretched out, from `[21]` bone lengths in metres."""
    chain = ("spine1", "spine2", "spine3", "neck", "head", "left_knee", "left_ankle")
    return float(sum(lengths[JOINT_NAMES.index(name) - 1] for name in chain))


def _line(joints: Tensor, start: str, end: str) -> Tensor:
    return joints[:, JOINT_NAMES.index(end)] - joints[:, JOINT_NAMES.index(start)]
