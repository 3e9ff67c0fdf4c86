"""Kimodo's archives: names from the number of joints, a rest pose from places and rotations, text from meta.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import samples_dir
from motionlab.errors import InputError
from motionlab.motion.formats.kimodo import SKELETONS
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import ReadOptions, SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES, canonical_skeleton, global_rotations


def arrays(name: str = "walk") -> dict[str, Any]:
    motion = Motion.load(samples_dir() / "motions" / f"{name}.npy")
    turns = global_rotations(motion.rotations())
    return {"posed_joints": motion.joints("rotations").numpy(), "global_rot_mats": turns.numpy()}


def read(path: Path, **options: Any) -> Any:
    (reading,) = read_file(path, ReadOptions(**options))
    assert isinstance(reading.motion, SourceMotion)
    return reading


def test_a_real_file(real_motion: Callable[[str], Path]) -> None:
    found = read(real_motion("kimodo_soma_motion.npz")).motion
    assert len(found) == 150 and found.fps == pytest.approx(30.0) and found.metres_per_unit == 1.0
    assert found.joints[0] == "Hips" and found.joints[3] == "Chest" and found.joints[-1] == "RightToeBase"
    for joint, parent in enumerate(found.parents):
        if parent >= 0:  # in another order or tree, bones would change their length
            bone = (found.positions[:, joint] - found.positions[:, parent]).norm(dim=-1)
            assert float(bone.max() - bone.min()) < 1e-5
            turned = found.rotations[:, parent] @ (found.rest[joint] - found.rest[parent])
            assert float((found.positions[:, parent] + turned - found.positions[:, joint]).abs().max()) < 1e-5
    at = {name: found.rest[joint] for joint, name in enumerate(found.joints)}
    assert at["LeftHand"][0] > 0.5 > 0 > at["RightHand"][0]  # a T-pose that faces z
    assert at["Head"][1] > 0.4 and at["LeftFoot"][1] < -0.8


def test_skeletons_are_trees_of_the_right_size() -> None:
    for count, (names, parents) in SKELETONS.items():
        assert len(names) == len(parents) == len(set(names)) == count
        assert parents[0] == -1 and all(0 <= parent < joint for joint, parent in enumerate(parents) if joint)
    small, large = SKELETONS[30], SKELETONS[77]
    assert set(small[0]) < set(large[0])
    assert large[0][7] == "HeadEnd" and large[0][24] == "LeftHandMiddle1" and large[0][-1] == "RightToeEnd"


def test_a_sample_comes_back_with_its_rest_pose_and_text(tmp_path: Path) -> None:
    values = arrays()
    np.savez(tmp_path / "motion.npz", **values, foot_contacts=np.zeros((len(values["posed_joints"]), 4), dtype=bool))
    (tmp_path / "meta.json").write_text(json.dumps({"text": " A person walks forward. ", "seed": 42}))
    reading = read(tmp_path / "motion.npz")
    assert reading.captions == ("A person walks forward.",) and reading.notes == ()
    assert reading.motion.joints == JOINT_NAMES
    assert np.array_equal(reading.motion.positions.numpy(), values["posed_joints"].astype(float))
    bones = reading.motion.rest[1:] - reading.motion.rest[list(reading.motion.parents)[1:]]
    torch.testing.assert_close(bones, canonical_skeleton(torch.float64).offsets[1:], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("meta", "captions"), [('{"texts": ["one", "two"]}', ("one", "two")), ('{"text": 3}', ()), ("{", ()), ("[]", ())]
)
def test_a_meta_file_does_not_cost_the_motion(tmp_path: Path, meta: str, captions: tuple[str, ...]) -> None:
    np.savez(tmp_path / "motion.npz", **arrays())
    (tmp_path / "meta.json").write_text(meta)
    reading = read(tmp_path / "motion.npz")
    assert reading.captions == captions
    assert [note.startswith("No caption was read") for note in reading.notes] == ([] if captions else [True])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"posed_joints": np.zeros((3, 34, 3))}, "the robot G1"),
        ({"posed_joints": np.zeros((3, 31, 3))}, r"posed_joints of shape \(3, 31, 3\)"),
        ({"global_rot_mats": np.zeros((38, 22, 3, 3))}, "that are no rotations"),
        ({"global_rot_mats": np.zeros((3, 22, 4))}, r"global_rot_mats: \(3, 22, 4\)"),
        ({"global_rot_mats": None}, "global_rot_mats: nothing"),
        ({"global_rot_mats": np.tile(np.eye(3), (3, 22, 1, 1))}, "38 poses and 3 rotations"),
        ({"global_rot_mats": -np.tile(np.eye(3), (38, 22, 1, 1))}, "that are no rotations"),
    ],
)
def test_wrong_archives(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    values = arrays() | changes
    np.savez(tmp_path / "a.npz", **{name: value for name, value in values.items() if value is not None})
    with pytest.raises(InputError, match=words):
        read(tmp_path / "a.npz")
