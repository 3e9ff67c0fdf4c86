"""Six kinds of files: each is what its name says, the guess is wrong, and the package is right."""

from __future__ import annotations

import re

import pytest
import torch

from lessons.motion_data.dialects import OFFSETS, dialect_rows, fold, limb_error, read_dialects, speed
from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.bvh import read_bvh
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import PARENTS, forward_kinematics


@pytest.fixture(scope="module")
def dance() -> Motion:
    return next(sample.motion for sample in load_samples() if sample.name == "dance_b")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dialects")


@pytest.fixture(scope="module")
def dialects(dance, folder):
    return read_dialects(folder, dance)


def test_a_folded_body_stands_where_the_other_does(dance: Motion) -> None:
    rotations, pelvis = dance.rotations().double(), dance.joints()[:, 0].double()
    folded, offsets = fold(rotations, OFFSETS)
    there = forward_kinematics(folded, pelvis, offsets)
    assert torch.allclose(there, forward_kinematics(rotations, pelvis, OFFSETS), atol=1e-6)
    first = [next(c for c, p in enumerate(PARENTS) if p == at) for at in (1, 4, 12, 16)]  # hip, knee, neck, shoulder
    bones = offsets[first] / offsets[first].norm(dim=1, keepdim=True)
    assert torch.allclose(bones, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).expand(4, 3), atol=1e-9)


def test_the_files_are_what_they_are_called(dialects, folder) -> None:
    assert read_bvh(folder / "z_up.bvh").joints()[0, :, 2].max() > 120  # centimetres, and z is up
    fast = read_bvh(folder / "fast.bvh")
    assert fast.fps == 120 and torch.equal(fast.rotations[0], torch.eye(3).double().expand(22, 3, 3))


def test_guesses_are_wrong_and_the_package_is_right(dialects, dance: Motion) -> None:
    for dialect in dialects:
        assert limb_error(dialect.guessed, dialect.guessed_fps, dance) > 20, dialect.name
        assert limb_error(dialect.read.joints(), dialect.read.fps, dance) < 1, dialect.name
        assert speed(dialect.read.joints(), dialect.read.fps) == pytest.approx(speed(dance.joints(), 30), rel=0.05)
    assert limb_error(dance.joints(), 30.0, dance) < 0.1
    assert limb_error(dance.place(heading=2.0).joints(), 30.0, dance) < 0.1  # a direction at the start is free
    rows = dialect_rows(dialects, dance)
    assert len(rows) == 7 and all(re.search(r"≈\S+ m/s", row[-1]) for row in rows[1:])
