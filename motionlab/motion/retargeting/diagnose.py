"""Conventions that joints and rotations may follow by mistake: found by trying, and named.

Joints of a person carry more than their numbers say. Bones keep their lengths, knees and feet point where the face
points, people stand on their feet most of the time, and a rotation turns the bone below its joint. So for each wrong
convention there is a correction, and only for the right one do the numbers become a person again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.retargeting.frames import angle_between, leg_length, our_places, unit
from motionlab.motion.skeleton import JOINT_NAMES, MIRROR, PARENTS, canonical_skeleton, global_rotations

MOST_FRAMES = 64  # evenly spaced; a convention holds for a whole clip
LEG_METRES = (0.4, 1.3)  # hip to ankle: a child of three, a giant
_UNITS = {"centimetres": 0.01, "millimetres": 0.001, "inches": 0.0254}
_AXES = (("x", 0, 1.0), ("y", 1, 1.0), ("z", 2, 1.0), ("-x", 0, -1.0), ("-y", 1, -1.0), ("-z", 2, -1.0))
_MISFIT = 0.5  # mean logarithm of how far bones are from usual proportions; a SMPL body has 0.14, other orders 0.8
_AGREES = 30.0  # degrees on average; a body of other proportions with a T-pose has about 10
_BETTER = (0.6, 8.0)  # a correction has to leave less than this part of the angle, and that many degrees less


@dataclass(frozen=True)
class Finding:
    """A wrong convention.

    Args:
        fault: its name in a few words; the same for every clip.
        sentence: what was seen and what to do, for a person.
        certain: the numbers contradict each other otherwise. Not certain: a person may have done so on purpose.
    """

    fault: str
    sentence: str
    certain: bool = True


def diagnose(joints: Tensor, rotations: Tensor | None = None) -> tuple[Finding, ...]:
    """The wrong conventions of a clip; empty when nothing speaks against it.

    Args:
        joints: `[T, 22, 3]`, which should be metres, y up, in the order of `JOINT_NAMES`.
        rotations: `[T, 22, 3, 3]`, which should be relative to the parent, for column vectors, with a T-pose as rest.

    >>> from motionlab.motion.skeleton import forward_kinematics
    >>> still = torch.eye(3).expand(2, 22, 3, 3)
    >>> joints = forward_kinematics(still, torch.tensor([[0.0, 0.9, 0.0]] * 2), canonical_skeleton().offsets)
    >>> diagnose(joints, still), [one.fault for one in diagnose(100 * joints, still)]
    ((), ['centimetres'])
    """
    some = torch.linspace(0, len(joints) - 1, min(len(joints), MOST_FRAMES)).round().long()
    joints = joints[some].detach().double()
    rotations = None if rotations is None else rotations[some].detach().double()
    if not bool(torch.isfinite(joints).all()) or not (rotations is None or bool(torch.isfinite(rotations).all())):
        return (Finding("numbers that are not finite", "There are NaN or infinite numbers; leave the clip out."),)
    found: list[Finding] = []
    order, finding = _order(joints)
    if finding is not None:
        found.append(finding)
        if order is None:
            return tuple(found)
        joints = joints[:, order]
        if rotations is not None:  # they may be in the same order, or in ours
            both = (rotations[:, order], rotations)
            rotations = min(both, key=lambda one: disagreement(joints, global_rotations(one)))
    found += _unit(joints)
    turned = [] if rotations is None else _rotations(joints, rotations)
    found += turned
    if not any("left" in one.fault or "mirrored" in one.fault for one in turned):
        found += _sides(joints)
    if not any("different axes" in one.fault for one in turned):
        found += _up(joints)
    return tuple(found)


def check_motion(
    joints: Tensor | np.ndarray, rotations: Tensor | np.ndarray | None = None, where: str = "motion"
) -> None:
    """Refuse joints and rotations that follow another convention than `Motion.from_joints_rotations` expects.

    Args:
        joints, rotations: as in `diagnose`.

    Raises:
        InputError: another shape, or a wrong convention, which the message names.
    """
    joints = _as_tensor("joints", joints, where)
    rotations = None if rotations is None else _as_tensor("rotations", rotations, where)
    for what, value, shape in (("joints", joints, (22, 3)), ("rotations", rotations, (22, 3, 3))):
        if value is not None and (
            not value.ndim or tuple(value.shape[1:]) != shape or len(value) != len(joints) or not len(value)
        ):
            raise InputError(
                where,
                found=f"{what} of shape {tuple(value.shape)}",
                expected=f"(frames, {', '.join(map(str, shape))})",
                fix="Give one pose of 22 joints per frame.",
            )
    findings = diagnose(joints, rotations)
    if findings:
        raise InputError(
            where,
            found="; ".join(one.fault for one in findings),
            expected="metres, y up, rotations relative to the parent, the joints in the order of JOINT_NAMES",
            fix=" ".join(one.sentence for one in findings),
        )


def _as_tensor(what: str, value: Tensor | np.ndarray, where: str) -> Tensor:
    """Numbers as a tensor on the CPU."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        value = torch.from_numpy(np.ascontiguousarray(value, dtype=np.float64))
    if not isinstance(value, Tensor) or value.is_complex() or value.dtype == torch.bool or value.is_meta:
        found = f"{what} that are a {kind}" if not isinstance(value, Tensor) else f"{what} of dtype {value.dtype}"
        raise InputError(where, found=found, expected="a tensor or array of real numbers", fix="Convert it first.")
    return value.detach().cpu()


def facing(joints: Tensor) -> Tensor:
    """Where the body faces by its joints: left x up, `[..., 22, 3] -> [..., 3]`, length 1 or 0."""
    left = _between(joints, "right_hip", "left_hip") + _between(joints, "right_shoulder", "left_shoulder")
    return unit(torch.linalg.cross(left, _between(joints, "pelvis", "neck")))


def feet_forward(joints: Tensor) -> float:
    """Median over frames and feet of the cosine between foot and facing; negative when left is taken for right."""
    ahead = facing(joints)
    cosines = [(unit(_between(joints, f"{side}_ankle", f"{side}_foot")) * ahead).sum(-1) for side in ("left", "right")]
    return float(torch.cat(cosines).nanmedian())


def knees_forward(joints: Tensor) -> float:
    """Mean, in legs, of how far the knees are in front of the line from hip to ankle; negative for a bird's knees."""
    ahead = facing(joints)
    total = joints.new_zeros(())
    for side in ("left", "right"):
        thigh, shin = _between(joints, f"{side}_hip", f"{side}_knee"), _between(joints, f"{side}_knee", f"{side}_ankle")
        length = (thigh.norm(dim=-1) + shin.norm(dim=-1)).mean().clamp(min=1e-9)
        total = total + (((thigh - shin) / 2 * ahead).sum(-1) / length).nanmean() / 2
    return float(total)


def _order(joints: Tensor) -> tuple[list[int] | None, Finding | None]:
    """Where our joints are in the array, if they are in another order that is known, and what to say."""
    distances = (joints[:, :, None] - joints[:, None]).norm(dim=-1)  # [T, 22, 22]
    mean = distances.mean(0).clamp(min=1e-9)
    varies = distances.std(0, correction=0) / mean
    ours = _misfit(mean, varies, list(range(len(JOINT_NAMES))))
    if ours < _MISFIT:
        return list(range(len(JOINT_NAMES))), None
    best = min(_misfit(mean, varies, order) for order, _ in _other_orders())
    good = [(order, how) for order, how in _other_orders() if _misfit(mean, varies, order) < best + 0.02]
    order, how = max(good, key=lambda one: feet_forward(joints[:, one[0]]))
    if best < _MISFIT and best < 0.6 * ours:
        text = f"The joints come in another order ({how}). Sort them as in JOINT_NAMES."
        return order, Finding("joints in another order", text)
    text = "Bones between these joints change their length or are as long as no person's. Sort them as JOINT_NAMES."
    return None, Finding("joints in another order", text)


def _misfit(mean: Tensor, varies: Tensor, order: Sequence[int]) -> float:
    """How little the bones of an order look like bones: their proportions, and how much their length changes."""
    index = torch.tensor(order)
    child, parent = index[1:], index[list(PARENTS[1:])]
    lengths = mean[child, parent]
    wanted = canonical_skeleton(torch.float64).offsets[1:].norm(dim=-1)
    ratio = (lengths / lengths.median()).log() - (wanted / wanted.median()).log()
    return float((ratio - ratio.median()).abs().clamp(max=2.0).mean() + 2 * varies[child, parent].mean())


@cache
def _other_orders() -> tuple[tuple[list[int], str], ...]:
    """Depth-first orders, as in BVH files: where our joint is in each, and how to call it."""
    number = {name: joint for joint, name in enumerate(JOINT_NAMES)}
    legs = {side: [f"{side}_{part}" for part in ("hip", "knee", "ankle", "foot")] for side in ("left", "right")}
    arms = {side: [f"{side}_{part}" for part in ("collar", "shoulder", "elbow", "wrist")] for side in ("left", "right")}
    found = []
    for upper in itertools.permutations((arms["left"], arms["right"], ["neck", "head"])):
        trunk = ["spine1", "spine2", "spine3", *itertools.chain.from_iterable(upper)]
        for parts in itertools.permutations((legs["left"], legs["right"], trunk)):
            names = ["pelvis", *itertools.chain.from_iterable(parts)]
            place = {number[name]: at for at, name in enumerate(names)}
            how = f"one limb after the other: {', '.join(names[:6])}, ..."
            found.append(([place[joint] for joint in range(len(names))], how))
    return tuple(found)


def _unit(joints: Tensor) -> list[Finding]:
    leg = leg_length(our_places(joints))
    if LEG_METRES[0] <= leg <= LEG_METRES[1]:
        return []
    fits = {name: abs(math.log(leg * scale / 0.83)) for name, scale in _UNITS.items() if leg > 0}
    name = min(fits, key=fits.__getitem__, default="")
    if name and LEG_METRES[0] <= leg * _UNITS[name] <= LEG_METRES[1]:
        text = f"The legs are {leg:.3g} long: these are {name}. Multiply by {_UNITS[name]:g}."
        return [Finding(name, text)]
    return [
        Finding("no unit of length", f"The legs are {leg:.3g} long, which is no person in metres, cm, mm or inches.")
    ]


def _sides(joints: Tensor) -> list[Finding]:
    """Feet and knees point against left x up: a left that is right, or a mirrored axis. Joints cannot tell which."""
    feet, knees = feet_forward(joints), knees_forward(joints)
    # A body whose file has no toes was given feet that point forward; its knees still tell.
    if (feet < -0.3 and knees < 0.05) or knees < -0.06:
        text = (
            "Feet and knees point backwards: left and right are swapped, or one axis is mirrored. Exchange the sides."
        )
        return [Finding("left and right swapped, or a mirrored axis", text, certain=False)]
    return []


def standing_shares(joints: Tensor) -> dict[str, float]:
    """For each axis, the share of frames in which trunk and legs point along it: "x" ... "-z" to a share of 1."""
    trunk = unit(_between(joints, "pelvis", "neck"))
    ankles = (_joint(joints, "left_ankle") + _joint(joints, "right_ankle")) / 2
    legs = unit(_joint(joints, "pelvis") - ankles)
    stands = torch.minimum(trunk, legs)
    falls = torch.maximum(trunk, legs)
    return {
        name: float(((stands if sign > 0 else -falls)[:, axis] > 0.7).double().mean()) for name, axis, sign in _AXES
    }


def _up(joints: Tensor) -> list[Finding]:
    """An axis along which the person stands, while never along y."""
    shares = standing_shares(joints)
    name, axis, sign = max(_AXES, key=lambda one: shares[one[0]])
    enough = 0.8 if name == "-y" else 0.4  # legs up in the air are half of a person upside down
    if name == "y" or shares[name] < enough or shares["y"] > 0.05:
        return []
    joints = joints * (0.83 / max(leg_length(our_places(joints)), 1e-9))  # about metres, whatever the unit
    lowest = (sign * joints[..., axis]).min()
    travel = torch.stack([joints[:, 0, other].max() - joints[:, 0, other].min() for other in range(3) if other != axis])
    # A person who lies still all the time looks the same; a lying one rests at y = 0 and does not travel.
    lies = name != "-y" and float(joints[..., 1].min().abs()) <= float(lowest.abs()) and float(travel.max()) < 1.0
    if lies:
        return []
    fix = {"z": "Turn the axes: (x, y, z) becomes (x, z, -y).", "-y": "Turn the axes: (x, y, z) becomes (x, -y, -z)."}
    text = f"The person stands along {name} in {shares[name]:.0%} of the frames, and never along y."
    return [Finding(f"{name} is up", f"{text} {fix.get(name, 'Turn the axes so that y is up.')}", certain=False)]


def _rotations(joints: Tensor, rotations: Tensor) -> list[Finding]:
    """Which correction lets the rotations turn the bones to where the joints are."""
    identity = torch.eye(3, dtype=rotations.dtype)
    if float((rotations @ rotations.mT - identity).abs().amax(dim=(-2, -1)).median()) > 0.05:
        text = "The matrices are not orthogonal; convert 6D, quaternions or axis-angle to matrices first."
        return [Finding("matrices that are no rotations", text)]
    if float(torch.linalg.det(rotations).median()) < 0:
        return [Finding("mirrored rotations", "The matrices have determinant -1: one axis is mirrored in them.")]
    before = disagreement(joints, global_rotations(rotations))
    if before < _BETTER[1]:
        return []
    after = {fault: disagreement(*corrected) for fault, corrected in _corrections(joints, rotations).items()}
    fault = min(after, key=after.__getitem__)
    if after[fault] < min(_AGREES, _BETTER[0] * before, before - _BETTER[1]):
        numbers = f"Bones are {before:.0f} degrees away from where the rotations turn them, {after[fault]:.0f} if that"
        return [Finding(fault, f"{numbers} is corrected. {_FIXES[fault]}")]
    if before < _AGREES:
        return []
    text = f"The rotations turn bones {before:.0f} degrees away from where the joints are (another rest pose?)."
    return [Finding("rotations that do not belong to the joints", text)]


_FIXES = {
    "rotations relative to the world": "Local ones are expected: parent.mT @ child.",
    "transposed rotations": "Transpose the matrices: they are for row vectors.",
    "rotations relative to the world, transposed": "Transpose the matrices, then make them local: parent.mT @ child.",
    "left and right swapped in the joints": "Exchange left and right in the joints.",
    "left and right swapped in the rotations": "Exchange left and right in the rotations.",
    "left and right swapped, or a mirrored axis": "Exchange left and right, or mirror the axis, in both.",
    "x is mirrored in the joints": "Change the sign of x in the joints, or mirror the rotations, too.",
    "z is mirrored in the joints": "Change the sign of z in the joints, or mirror the rotations, too.",
    "x is mirrored in the rotations": "Mirror the rotations: S R S with S = diag(-1, 1, 1).",
    "joints and rotations in different axes, joints with z up": "Turn the joints: (x, y, z) becomes (x, z, -y).",
    "joints and rotations in different axes, rotations with z up": "Turn the root: C R with C = (x, z, -y).",
}


def _corrections(joints: Tensor, rotations: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Each fault to joints `[T, 22, 3]` and world rotations `[T, 22, 3, 3]` without it."""
    world, swap = global_rotations(rotations), list(MIRROR)
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=joints.dtype))
    lie = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=joints.dtype)  # (x, y, z) to (x, z, -y)
    backwards = joints * joints.new_tensor([1.0, 1.0, -1.0])
    tried = (
        (joints, rotations),
        (joints, global_rotations(rotations.mT)),
        (joints, rotations.mT),
        (joints[:, swap], world),
        (joints, global_rotations(rotations[:, swap])),
        (joints[:, swap], global_rotations(rotations[:, swap])),
        (joints @ flip, world),
        (backwards, world),
        (joints, flip @ world @ flip),
        (joints @ lie.mT, world),
        (joints, lie @ world),
    )
    return dict(zip(_FIXES, tried, strict=True))


# From a joint, to a joint, the joint that turns what is between them, and where that points in the rest pose. Lines
# across the body stand for the bones from the pelvis and the chest, whose directions differ from body to body.
def _lines() -> list[tuple[int, int, int, Tensor]]:
    offsets = canonical_skeleton(torch.float64).offsets
    number = {name: joint for joint, name in enumerate(JOINT_NAMES)}
    left = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    lines = [
        (number["right_hip"], number["left_hip"], number["pelvis"], left),
        (number["right_collar"], number["left_collar"], number["spine3"], left),
    ]
    for joint, parent in enumerate(PARENTS):
        if joint and "hip" not in JOINT_NAMES[joint] and "collar" not in JOINT_NAMES[joint]:
            lines.append((parent, joint, parent, offsets[joint]))
    return lines


def disagreement(joints: Tensor, world: Tensor) -> float:
    """Mean angle in degrees between bones and where world rotations turn those of a T-pose.

    Args:
        joints: `[T, 22, 3]`.
        world: `[T, 22, 3, 3]`.
    """
    angles = []
    size = leg_length(our_places(joints))
    for start, end, driver, rest in _lines():
        bone = joints[:, end] - joints[:, start]
        long_enough = bone.norm(dim=-1) > 0.01 * size
        if bool(long_enough.any()):
            angles.append(angle_between(bone[long_enough], (world[:, driver] @ rest)[long_enough]).mean())
    return float(torch.stack(angles).mean()) if angles else 0.0


def _joint(joints: Tensor, name: str) -> Tensor:
    return joints[..., JOINT_NAMES.index(name), :]


def _between(joints: Tensor, start: str, end: str) -> Tensor:
    return _joint(joints, end) - _joint(joints, start)
