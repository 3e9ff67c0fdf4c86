"""Demonstrations: what a motion is."""

from __future__ import annotations

import torch

import motionlab as ml
from lessons.glossary.kit import kit
from lessons.glossary.registry import shows
from motionlab.motion.features import decode_heading
from motionlab.motion.formats.gait import GROUPS, gait_weights, step_phase
from motionlab.motion.retargeting.verdict import judge as verdict_on
from motionlab.motion.rotations import axis_angle_to_quaternion as quaternion
from motionlab.motion.rotations import (
    matrix_from_6d,
    matrix_to_6d,
    matrix_to_axis_angle,
    quaternion_to_axis_angle,
    slerp,
)
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, canonical_skeleton, forward_kinematics


@shows("272 features")
def _features() -> str:
    parts = ", ".join(f"{name} {part.stop - part.start}" for name, part in ml.FEATURE_SLICES.items())
    return f"{tuple(kit.walk.features.shape)} = frames x ({parts})"


@shows("6D rotation")
def _six() -> str:
    matrix = kit.walk.rotations()[0, 1]  # [3, 3], a hip
    six = matrix_to_6d(matrix)  # [6]
    back = matrix_from_6d(six)
    return f"9 numbers -> {len(six)} -> 9 again, the same: {torch.allclose(matrix, back, atol=1e-5)}"


@shows("corpus")
def _corpus() -> str:
    actions = {sample.action for sample in kit.samples.values()}
    captions = sum(len(sample.captions) for sample in kit.samples.values())
    return f"{len(kit.samples)} bundled clips, {len(actions)} actions, {captions} English captions"


@shows("forward kinematics")
def _kinematics() -> str:
    rotations, root = kit.walk.rotations(), kit.walk.joints()[:, 0]
    joints = forward_kinematics(rotations, root, canonical_skeleton().offsets)  # [T, 22, 3]
    far = float((joints - kit.walk.joints("rotations")).norm(dim=-1).max())
    return f"22 rotations and bone lengths -> 22 places; within a millimetre of the clip: {far < 1e-3}"


@shows("frame rate")
def _rate() -> str:
    path = kit.walk.joints()[:, 0, [0, 2]].diff(dim=0).norm(dim=-1).sum()
    at_30, at_60 = (float(path) * fps / (len(kit.walk.features) - 1) for fps in (30, 60))
    return f"the same frames: {ml.about(at_30, 2)} m/s if read at 30 a second, {ml.about(at_60, 2)} m/s if read at 60"


@shows("gait")
def _gait() -> str:
    told = []
    for name in ("cmu_stand", "walk", "run"):
        joints = kit.samples[name].motion.joints()
        weights = gait_weights(joints, ml.Motion.fps, standing=1.5).mean(0)  # [T, 6] -> [6]
        told.append(f"{name}: {GROUPS[int(weights.argmax())]} {ml.about(float(weights.max()), 2)}")
    return f"the largest of six weights, over a clip: {', '.join(told)}"


@shows("heading")
def _heading() -> str:
    turn = kit.samples["cmu_turn_around_left"].motion
    degrees = torch.rad2deg(decode_heading(turn.features)[-1])
    return f"a person turns around on the spot: the heading ends {ml.about(float(degrees), 3)} degrees from its start"


@shows("heading drift")
def _drift() -> str:
    frames, error = 300, 0.2  # a fifth of a degree, in every frame
    return f"{error} degrees too much in each of {frames} frames: {frames * error:.0f} degrees at the end"


@shows("normalisation")
def _normalisation() -> str:
    raw, x = kit.walk.features, kit.normal_walk[0]
    spread = [float(part.std(0).max() / part.std(0).clamp(min=1e-6).median()) for part in (raw, x)]
    back = kit.run.normalizer.denormalize(x)
    return (
        f"widest channel / median one: {ml.about(spread[0], 2)} before, {ml.about(spread[1], 2)} after; "
        f"can be undone: {torch.allclose(back, raw, atol=1e-4)}"
    )


@shows("PFNN")
def _pfnn() -> str:
    vectors = ml.pfnn_vectors(kit.samples["spin"].motion)
    return f"a frame asks with {vectors.x.shape[1]} numbers and a phase, and is answered with {vectors.y.shape[1]}"


@shows("phase")
def _phase() -> str:
    phase = step_phase(kit.walk.joints(), kit.walk.fps)  # [T], 0 to 1
    wraps = int((phase.diff() < 0).sum())
    return f"38 frames of walking; always in 0..1: {bool(((phase >= 0) & (phase < 1)).all())}; rounds: ≈{wraps}"


@shows("positions")
def _positions() -> str:
    head = kit.walk.joints()[0, JOINT_NAMES.index("head")]
    return f"[T, 22, 3] = {tuple(kit.walk.joints().shape)}; the head is {ml.about(float(head[1]), 3)} m above the floor"


@shows("resampling")
def _resampling() -> str:
    slow = kit.walk.resample(speed=0.5)
    return f"{len(kit.walk.features)} frames at half the speed: {len(slow.features)} frames"


@shows("rest pose")
def _rest() -> str:
    nothing = torch.eye(3).expand(1, 22, 3, 3)
    joints = forward_kinematics(nothing, torch.zeros(1, 3), canonical_skeleton().offsets)[0]
    left, right = (joints[JOINT_NAMES.index(f"{side}_wrist")] for side in ("left", "right"))
    return f"no joint turned: the arms stretch {ml.about(float((left - right).norm()), 3)} m from wrist to wrist"


@shows("retargeting")
def _retargeting() -> str:
    rotations, offsets = kit.walk.rotations(), canonical_skeleton().offsets
    heads = []
    for scale in (1.0, 1.2):  # the same angles on a body that is a fifth larger
        joints = forward_kinematics(rotations, scale * kit.walk.joints()[:, 0], scale * offsets)
        heads.append(float(joints[0, JOINT_NAMES.index("head"), 1]))
    return f"the same angles, heads at {ml.about(heads[0], 3)} m and {ml.about(heads[1], 3)} m"


@shows("root")
def _root() -> str:
    way = float(kit.walk.joints()[-1, 0, [0, 2]].norm())
    return f"joint 0, {JOINT_NAMES[0]}, has no parent; in this clip it goes {ml.about(way, 2)} m"


@shows("rotation matrix")
def _matrix() -> str:
    matrix, bone = kit.walk.rotations()[5, 4], torch.tensor([0.0, -0.4, 0.0])
    same = torch.allclose((matrix @ bone).norm(), bone.norm(), atol=1e-5)
    one = torch.allclose(matrix @ matrix.T, torch.eye(3), atol=1e-4)
    return f"a bone of 0.4 m is as long after the turn: {same}; M times its transpose is 1: {one}"


@shows("rotations")
def _rotations() -> str:
    bend = torch.rad2deg(matrix_to_axis_angle(kit.walk.rotations()[:, JOINT_NAMES.index("left_knee")]).norm(dim=-1))
    return f"{tuple(kit.walk.rotations().shape)}; the left knee bends up to {ml.about(float(bend.max()), 2)} degrees"


@shows("skeleton")
def _skeleton() -> str:
    chain, joint = ["left_wrist"], JOINT_NAMES.index("left_wrist")
    while joint:
        joint = PARENTS[joint]
        chain.append(JOINT_NAMES[joint])
    return " -> ".join(chain)


@shows("slerp")
def _slerp() -> str:
    start, end = (quaternion(torch.tensor([0.0, angle, 0.0])) for angle in (0.0, 1.0))
    half = quaternion_to_axis_angle(slerp(start, end, 0.5))
    return f"half way from 0 to 1 radian about y: {ml.about(float(half[1]), 3)}"


@shows("standard deviation")
def _deviation() -> str:
    height, way = (kit.walk.joints()[:, 0, axis].std() for axis in (1, 2))
    return f"of the pelvis: {ml.about(float(height), 2)} m up and down, {ml.about(float(way), 2)} m along its way"


@shows("take")
def _take() -> str:
    one = kit.samples["walk"].motion
    family = {"half the speed": one.resample(speed=0.5), "mirrored": one.mirror(), "a piece": one.crop(0, 20)}
    lengths = ", ".join(f"{name}: {len(motion.features)} frames" for name, motion in family.items())
    return f"all from one take, so all on one side of a split: {lengths}"


@shows("verdict")
def _verdict() -> str:
    walk = kit.walk
    shrunk = ml.Motion.from_joints_rotations(walk.joints() / 100, walk.rotations())  # metres that were taken for cm
    (right, _), (word, why) = ((found.verdict, found.reasons) for found in map(verdict_on, (walk, shrunk)))
    return f"a walk: {right}; a hundred times smaller: {word}, because: {why[0]}"
