"""Every wrong convention is named, on motions of every kind; none is named on motions that follow ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.diagnose import check_motion, diagnose
from motionlab.motion.skeleton import JOINT_NAMES, MIRROR, PARENTS, global_rotations

SAMPLES = {sample.name: sample.motion for sample in load_samples()}
UPRIGHT = ["walk", "run", "dance_b", "cmu_jump_2", "boxing_jab_1"]
ANY = [*UPRIGHT, "cartwheel", "crawl", "getup_faceup", "backflip", "boxing_sit", "cmu_climb_up_2", "cmu_stand"]
Z_UP = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # (x, y, z) to (x, -z, y)
FLIP = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
MIRRORED = list(MIRROR)
Pair = tuple[Tensor, Tensor | None]


def depth_first() -> list[int]:
    """Our joints as a file lists them that finishes each limb before the next."""
    order = [0]
    for joint in order:  # grows
        at = order.index(joint) + 1
        order[at:at] = [child for child, parent in enumerate(PARENTS) if parent == joint]
    return order


def turned_root(rotations: Tensor) -> Tensor:
    return torch.cat((Z_UP @ rotations[:, :1], rotations[:, 1:]), dim=1)


WRONG: dict[str, tuple[Callable[[Tensor, Tensor], Pair], str]] = {
    "world rotations": (lambda j, r: (j, global_rotations(r)), "rotations relative to the world"),
    "transposed": (lambda j, r: (j, r.mT), "transposed rotations"),
    "world and transposed": (lambda j, r: (j, global_rotations(r).mT), "rotations relative to the world, transposed"),
    "cm": (lambda j, r: (100 * j, r), "centimetres"),
    "mm": (lambda j, r: (1000 * j, r), "millimetres"),
    "inches": (lambda j, r: (j / 0.0254, None), "inches"),
    "joints z up": (lambda j, r: (j @ Z_UP.T, r), "joints and rotations in different axes, joints with z up"),
    "root z up": (lambda j, r: (j, turned_root(r)), "joints and rotations in different axes, rotations with z up"),
    "joints swapped": (lambda j, r: (j[:, MIRRORED], r), "left and right swapped in the joints"),
    "rotations swapped": (lambda j, r: (j, r[:, MIRRORED]), "left and right swapped in the rotations"),
    "both swapped": (lambda j, r: (j[:, MIRRORED], r[:, MIRRORED]), "left and right swapped, or a mirrored axis"),
    "swapped, no rotations": (lambda j, r: (j[:, MIRRORED], None), "left and right swapped, or a mirrored axis"),
    "x mirrored": (lambda j, r: (j @ FLIP, r), "x is mirrored in the joints"),
    "z mirrored": (lambda j, r: (j * torch.tensor([1.0, 1, -1]), r), "z is mirrored in the joints"),
    "x mirrored in rotations": (lambda j, r: (j, FLIP @ r @ FLIP), "x is mirrored in the rotations"),
    "both mirrored": (lambda j, r: (j @ FLIP, FLIP @ r @ FLIP), "left and right swapped, or a mirrored axis"),
    "determinant": (lambda j, r: (j, r @ FLIP), "mirrored rotations"),
    "no rotations": (lambda j, r: (j, 2 * r), "matrices that are no rotations"),
    "depth first": (lambda j, r: (j[:, depth_first()], r[:, depth_first()]), "joints in another order"),
    "joints depth first": (lambda j, r: (j[:, depth_first()], r), "joints in another order"),
    "reversed": (lambda j, r: (j.flip(1), None), "joints in another order"),
    "NaN": (lambda j, r: (torch.where(j > 0.5, torch.nan, j), r), "numbers that are not finite"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", ANY)
def test_a_wrong_convention_is_named(name: str, wrong: str) -> None:
    change, fault = WRONG[wrong]
    motion = SAMPLES[name]
    assert [one.fault for one in diagnose(*change(motion.joints(), motion.rotations()))] == [fault]


@pytest.mark.parametrize("name", UPRIGHT)
@pytest.mark.parametrize("with_rotations", [True, False])
def test_z_up_is_seen_from_people_who_stand(name: str, with_rotations: bool) -> None:
    motion = SAMPLES[name]
    joints, rotations = motion.joints() @ Z_UP.T, turned_root(motion.rotations()) if with_rotations else None
    assert [one.fault for one in diagnose(joints, rotations)] == ["z is up"]
    assert [one.fault for one in diagnose(100 * joints, rotations)] == ["centimetres", "z is up"]


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_named_on_a_bundled_sample(name: str) -> None:
    motion = SAMPLES[name]
    assert diagnose(motion.joints(), motion.rotations()) == ()
    assert diagnose(motion.joints()) == ()
    assert diagnose(motion.joints()[:1], motion.rotations()[:1]) == ()
    mirrored = motion.mirror()
    assert diagnose(mirrored.joints(), mirrored.rotations()) == ()


def test_nothing_is_named_on_published_joints(golden: Callable[[str], Any]) -> None:
    """SMPL's proportions differ from ours; its joints in another order, or as row vectors, are found all the same."""
    data = golden("motion272.npz")
    motion = Motion(torch.from_numpy(data["features"]).float())
    joints, rotations = torch.from_numpy(data["joints"]), motion.rotations()
    assert diagnose(joints) == () and diagnose(motion.joints(), rotations) == ()
    assert [one.fault for one in diagnose(joints[:, depth_first()])] == ["joints in another order"]
    assert [one.fault for one in diagnose(motion.joints(), rotations.mT)] == ["transposed rotations"]


def test_a_check_says_all_that_is_wrong_and_what_to_do() -> None:
    motion = SAMPLES["walk"]
    joints, rotations = motion.joints(), motion.rotations()
    check_motion(joints, rotations)
    check_motion(joints)
    with pytest.raises(InputError, match=r"found centimetres; transposed rotations,.* Multiply by 0.01. .* Transpose"):
        check_motion(100 * joints, rotations.mT)
    with pytest.raises(InputError, match=r"rotations of shape \(5, 22, 3, 3\)"):
        check_motion(joints, rotations[:5])
    with pytest.raises(InputError, match=r"joints of shape \(0, 22, 3\)"):
        check_motion(joints[:0])
    assert len(JOINT_NAMES) == len(depth_first())


def test_arrays_are_checked_like_tensors_and_other_things_refused() -> None:
    motion = SAMPLES["walk"]
    joints, rotations = motion.joints().requires_grad_(), motion.rotations()
    check_motion(joints.detach().numpy(), rotations.numpy())
    check_motion(joints.half(), rotations.double())
    with pytest.raises(InputError, match="centimetres"):
        check_motion((100 * joints).detach().numpy().astype("int16"))
    for wrong, words in ((joints.tolist(), "a list"), (joints.to(torch.complex64), "complex64"), (joints > 0, "bool")):
        with pytest.raises(InputError, match=words):
            check_motion(wrong)  # type: ignore[arg-type]
