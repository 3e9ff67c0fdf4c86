"""HumanML3D's 263 features: written here from joints by the published recipe, read back to the same places."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionlab.data.composed.samples import samples_dir
from motionlab.errors import InputError
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import ReadOptions, SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES


def facing(joints: np.ndarray) -> np.ndarray:
    """Angle about y `[T]`, 0 for +z, from hips and shoulders as the recipe has it: up x (right to left)."""
    at = {name: joints[:, JOINT_NAMES.index(name)] for name in JOINT_NAMES}
    across = at["left_hip"] - at["right_hip"] + at["left_shoulder"] - at["right_shoulder"]
    # x left, z forward: a body that faces (sin a, cos a) has its left at (cos a, -sin a).
    return np.arctan2(-across[:, 2], across[:, 0])


def turned(vectors: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Vectors `[T, ..., 3]` about y by `[T]`."""
    angles = angles.reshape(-1, *[1] * (vectors.ndim - 2))
    c, s = np.cos(angles), np.sin(angles)
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack((c * x + s * z, y, -s * x + c * z), axis=-1)


def humanml263(joints: np.ndarray) -> np.ndarray:
    """`[T, 22, 3] -> [T - 1, 263]`: the body faces +z above the origin in frame 0; rotations are noise, as nobody may
    read them."""
    angle = facing(joints)
    local = joints - joints[:, :1] * [1, 0, 1]
    local = turned(local, -angle)
    velocity = turned(joints[1:] - joints[:-1], -angle[:-1])
    travel = turned(joints[1:, 0] - joints[:-1, 0], -angle[1:])
    step = -(angle[1:] - angle[:-1])  # of the quaternion that turns the world to the body
    rows = np.random.default_rng(0).normal(size=(len(joints) - 1, 263))
    rows[:, 0] = np.arcsin(np.sin(step / 2))
    rows[:, 1:3] = travel[:, [0, 2]]
    rows[:, 3] = joints[:-1, 0, 1]
    rows[:, 4:67] = local[:-1, 1:].reshape(-1, 63)
    rows[:, 193:259] = velocity.reshape(-1, 66)
    rows[:, 259:] = 1.0
    return rows


@pytest.fixture(scope="module")
def joints() -> np.ndarray:
    """A walk that turns, starting above the origin and facing +z by hips and shoulders."""
    motion = Motion.load(samples_dir() / "motions" / "cmu_walk_turn_right.npy")
    joints = motion.joints().double().numpy()
    joints = joints - joints[:1, :1] * [1, 0, 1]
    return turned(joints, np.full(len(joints), -facing(joints)[0]))


def read(path: Path, **options: Any) -> Any:
    (reading,) = read_file(path, ReadOptions(**options))
    return reading


def test_places_come_back(tmp_path: Path, joints: np.ndarray) -> None:
    assert np.ptp(np.unwrap(facing(joints))) > 1.0  # it does turn
    np.save(tmp_path / "a.npy", humanml263(joints))
    reading = read(tmp_path / "a.npy")
    found = reading.motion
    assert isinstance(found, SourceMotion) and found.joints == JOINT_NAMES and found.rotations is None
    assert found.fps == pytest.approx(20.0) and found.metres_per_unit == 1.0
    assert np.abs(found.positions.numpy() - joints[:-1]).max() < 1e-12
    assert any("20 frames" in note for note in reading.notes)
    np.save(tmp_path / "a.npy", humanml263(joints).astype(np.float32))
    assert np.abs(read(tmp_path / "a.npy").motion.positions.numpy() - joints[:-1]).max() < 1e-5
    assert read(tmp_path / "a.npy", fps=30).motion.fps == pytest.approx(30.0)


def test_normalised_features_are_refused(tmp_path: Path, joints: np.ndarray) -> None:
    rows = humanml263(joints)
    np.save(tmp_path / "a.npy", (rows - rows.mean(0)) / (rows.std(0) + 1e-3))
    with pytest.raises(InputError, match="were normalised, .* Multiply by HumanML3D's Std.npy"):
        read(tmp_path / "a.npy")


def test_kit_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 251)))
    with pytest.raises(InputError, match="251 features, those of KIT-ML"):
        read(tmp_path / "a.npy")


def test_a_number_that_is_not_finite_is_named(tmp_path: Path, joints: np.ndarray) -> None:
    rows = humanml263(joints)
    rows[3, 200] = math.nan
    np.save(tmp_path / "a.npy", rows)
    with pytest.raises(InputError, match="nan in frame 3"):
        read(tmp_path / "a.npy")
