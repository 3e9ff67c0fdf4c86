"""The pelvis of a BVH file is written with its rest height on top: the body sinks into the floor."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.data.composed.samples import load_samples

REST = torch.tensor([-0.0018, -0.2233, 0.0282])  # where SMPL's rest pose has its pelvis, metres


def broken(pelvis: Tensor, rest: Tensor) -> Tensor:
    """The position channels of the root, `[T, 3]` metres: read as an offset from the rest pose."""
    return pelvis + rest


def fixed(pelvis: Tensor, rest: Tensor) -> Tensor:
    """Position channels of a BVH root ARE its place."""
    return pelvis


def _walk() -> Tensor:
    walk = next(sample for sample in load_samples() if sample.name == "walk")
    return walk.motion.joints()[:60]  # [T, 22, 3]


def symptom(export: Callable[..., Tensor]) -> Seen:
    joints = _walk()
    moved = export(joints[:, 0], REST) - joints[:, 0]  # the whole body hangs on its root
    lowest = (joints + moved[:, None])[..., 1].amin(1)  # [T]
    return Seen(float(lowest.min()), lowest.tolist())


def test(export: Callable[..., Tensor]) -> None:
    pelvis = torch.tensor([[0.3, 0.9, -0.2]])
    assert torch.allclose(export(pelvis, REST), pelvis), "the root of the file is not where the pelvis was"


PITFALL = Pitfall(
    name="bvh_pelvis_twice",
    title="rest height added to the root of a BVH file",
    topic="data",
    seen="272-dim-Motion-Representation and MotionMillion, BVH export",
    lesson="01",
    fix="write the pelvis itself (ml.write_bvh does)",
    measure="lowest joint of a walk, m",
    height="lowest joint, m",
    axis="frame",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.2,
)
