"""Bodies for tests of retargeting: a bundled motion on other joints, axes, units and rest poses.

Rotations are products of numpy matrices written here, so nothing is shared with the code under test but the names of
joints and the features of the sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.source import SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import Retargeted
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, canonical_skeleton

AT = {name: index for index, name in enumerate(JOINT_NAMES)}
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # from y up to z up
CHILD = {0: 3, 9: 12} | {PARENTS[j]: j for j in range(21, 0, -1) if PARENTS[j] not in (0, 9)}  # that a bone leads to


def sample(name: str) -> Motion:
    return next(sample.motion for sample in load_samples() if sample.name == name)


def kinematics(local: np.ndarray, root: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World rotations `[T, 22, 3, 3]` and places `[T, 22, 3]`, joint by joint."""
    world, places = [local[:, 0]], [root]
    for joint in range(1, len(PARENTS)):
        parent = PARENTS[joint]
        world.append(np.einsum("tij,tjk->tik", world[parent], local[:, joint]))
        places.append(places[parent] + np.einsum("tij,j->ti", world[parent], offsets[joint]))
    return np.stack(world, 1), np.stack(places, 1)


def random_turns(count: int, seed: int) -> np.ndarray:
    """`[count, 3, 3]`."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    return q * np.linalg.det(q)[:, None, None]


def folding_turns(offsets: np.ndarray, seed: int) -> np.ndarray:
    """For each joint a turn `B` whose first column is its bone: in its own axes the bone lies along x, `[22, 3, 3]`."""
    turns = random_turns(len(offsets), seed)
    for joint, child in CHILD.items():
        x = offsets[child] / np.linalg.norm(offsets[child])
        y = np.cross(x, turns[joint, :, 0])
        y /= np.linalg.norm(y)
        turns[joint] = np.stack((x, y, np.cross(x, y)), axis=1)
    return turns


@dataclass
class Rig:
    """How a source differs from our own body."""

    axes: np.ndarray | None = None
    scale: float = 1.0
    folded: int | None = None  # a seed
    t_pose: int = 0  # frames before the motion
    places_only: bool = False


def source_of(motion: Motion, rig: Rig) -> SourceMotion:
    """The motion as a reader would hand it on from a file of that kind."""
    local, root = motion.rotations().double().numpy(), motion.root()[0].double().numpy()
    offsets = canonical_skeleton(torch.float64).offsets.numpy()
    if rig.t_pose:
        local = np.concatenate((np.tile(np.eye(3), (rig.t_pose, 22, 1, 1)), local))
        root = np.concatenate((np.tile(root[:1], (rig.t_pose, 1)), root))
    world, places = kinematics(local, root, offsets)
    axes = np.eye(3) if rig.axes is None else rig.axes
    world, places, offsets = axes @ world @ axes.T, rig.scale * places @ axes.T, rig.scale * offsets @ axes.T
    if rig.folded is not None:  # G' = G B, and an offset is seen from the turned parent
        turns = folding_turns(offsets, rig.folded)
        world = world @ turns
        offsets = np.stack([offsets[0], *(turns[PARENTS[j]].T @ offsets[j] for j in range(1, 22))])
    rest = [np.zeros(3)]
    for joint in range(1, 22):
        rest.append(rest[PARENTS[joint]] + offsets[joint])
    return SourceMotion(
        name="source",
        joints=JOINT_NAMES,
        parents=PARENTS,
        times=torch.arange(len(local), dtype=torch.float64) / motion.fps,
        positions=torch.from_numpy(places),
        rotations=None if rig.places_only else torch.from_numpy(world),
        rest=None if rig.places_only else torch.from_numpy(np.stack(rest)),
    )


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees between directions `[..., 3]`."""
    a, b = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)))


def turned(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """Degrees between rotations `[..., 3, 3]`."""
    cosine = (np.einsum("...ij,...ij->...", a.double().numpy(), b.double().numpy()) - 1) / 2
    return np.degrees(np.arccos(cosine.clip(-1, 1)))


LIMBS = [(f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in (
    ("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"), ("shoulder", "elbow"), ("elbow", "wrist"))]  # fmt: skip


def deviations(result: Retargeted) -> dict[str, float]:
    """Degrees between the result and the source's own joints, medians over the clip: the worst limb, hip line, ..."""
    ours, theirs = result.motion.joints().double().numpy(), result.reference.numpy()

    def between(start: str, end: str) -> float:
        a, b = (joints[:, AT[end]] - joints[:, AT[start]] for joints in (ours, theirs))
        return float(np.median(angles(a, b)))

    def trunk(joints: np.ndarray) -> np.ndarray:
        top = joints[:, AT["neck"]]
        if np.isnan(theirs[0, AT["neck"]]).any():
            top = (joints[:, AT["left_shoulder"]] + joints[:, AT["right_shoulder"]]) / 2
        return top - (joints[:, AT["left_hip"]] + joints[:, AT["right_hip"]]) / 2

    def heading(joints: np.ndarray) -> np.ndarray:
        return (joints[:, AT["left_hip"]] - joints[:, AT["right_hip"]]) * (1, 0, 1)

    limbs = [between(*limb) for limb in LIMBS]
    return {
        "limbs": max(value for value in limbs if not np.isnan(value)),
        "hips": between("right_hip", "left_hip"),
        "heading": float(np.median(angles(heading(ours), heading(theirs)))),
        "shoulders": between("right_shoulder", "left_shoulder"),
        "trunk": float(np.median(angles(trunk(ours), trunk(theirs)))),
    }
