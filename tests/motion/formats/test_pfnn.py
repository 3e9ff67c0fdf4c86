"""PFNN vectors: their sizes, their meaning column by column, and the way back."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.formats.pfnn import (
    SHORTEST,
    WINDOW,
    X_COLUMNS,
    Y_COLUMNS,
    decode_pfnn,
    pfnn_vectors,
    read_pfnn,
    write_pfnn,
)
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import yaw_matrix
from motionlab.motion.skeleton import JOINT_COUNT, canonical_skeleton, forward_kinematics

MOTIONS = {sample.name: sample.motion for sample in load_samples()}
LONG = [name for name, motion in MOTIONS.items() if 2 * len(motion) - 1 >= SHORTEST]


def curve(turn: float, speed: float = 1.0, frames: int = 200) -> Motion:
    """A stiff body that slides along a circle at 60 fps: `speed` metres and `turn` radians per second."""
    heading = torch.arange(frames, dtype=torch.float64) * turn / 60
    step = torch.stack((heading.sin(), 0 * heading, heading.cos()), dim=1) * speed / 60
    pelvis = torch.cat((step.new_zeros(1, 3), step[:-1].cumsum(0))) + torch.tensor([0, 0.8814, 0.0])
    rotations = torch.eye(3, dtype=torch.float64).repeat(frames, JOINT_COUNT, 1, 1)
    rotations[:, 0] = yaw_matrix(heading)
    joints = forward_kinematics(rotations, pelvis, canonical_skeleton(torch.float64).offsets)
    return Motion.from_joints_rotations(joints.float(), rotations.float(), fps=60)


def test_sizes_follow_the_number_of_joints() -> None:
    assert (len(X_COLUMNS), len(Y_COLUMNS)) == (156 + 6 * JOINT_COUNT, 32 + 9 * JOINT_COUNT)
    assert (156 + 6 * 31, 32 + 9 * 31) == (342, 311)  # those of the paper
    assert len(set(X_COLUMNS)) == len(X_COLUMNS) and len(set(Y_COLUMNS)) == len(Y_COLUMNS)
    assert X_COLUMNS.index("gait_stand_-60") == 48 and X_COLUMNS.index("position_pelvis_x") == 120
    assert Y_COLUMNS.index("contact_left_ankle") == 4 and Y_COLUMNS.index("trajectory_x_+1") == 8


@pytest.mark.parametrize("name", LONG)
def test_the_way_back_gives_the_same_joints(name: str) -> None:
    motion = MOTIONS[name]
    vectors = pfnn_vectors(motion)
    joints = motion.resample(fps=60).joints().double()[WINDOW : WINDOW + len(vectors)]
    again = decode_pfnn(vectors)
    # The vectors begin at the origin, facing +z by hips and shoulders: one turn about y and one shift for all frames.
    wanted, found = (value - value[:1, :1] * value.new_tensor([1.0, 0, 1]) for value in (joints, again))
    covariance = wanted[..., [0, 2]].flatten(0, 1).T @ found[..., [0, 2]].flatten(0, 1)  # [2, 2]
    angle = math.atan2(float(covariance[0, 1] - covariance[1, 0]), float(covariance[0, 0] + covariance[1, 1]))
    turned = found @ yaw_matrix(torch.tensor(angle, dtype=torch.float64)).mT
    assert float((turned - wanted).norm(dim=-1).max()) < 2e-4


def test_a_body_that_slides_along_a_circle() -> None:
    turn = 0.5  # radians a second, to the left
    vectors = pfnn_vectors(curve(turn))
    assert len(vectors) == 200 - SHORTEST + 1
    row = dict(zip(Y_COLUMNS, vectors.y[40].tolist(), strict=True))
    assert row["root_velocity_z"] == pytest.approx(100 / 60, abs=0.01)  # centimetres per frame
    assert abs(row["root_velocity_x"]) < 0.02
    assert row["root_turn"] == pytest.approx(-turn / 60, rel=1e-3)  # minus the turn of the body
    assert row["position_pelvis_y"] == pytest.approx(88.14, abs=0.01)
    x = dict(zip(X_COLUMNS, vectors.x[40].tolist(), strict=True))
    assert (x["trajectory_x_+0"], x["trajectory_z_+0"]) == (0, 0)
    assert x["trajectory_direction_z_+0"] == pytest.approx(1, abs=1e-6)
    for t in (-60, -30, 50):
        angle, radius = turn * t / 60, 100 / turn
        assert x[f"trajectory_x_{t:+d}"] == pytest.approx(radius * (1 - math.cos(angle)), abs=0.6)
        assert x[f"trajectory_z_{t:+d}"] == pytest.approx(radius * math.sin(angle), abs=0.6)
        assert x[f"trajectory_direction_x_{t:+d}"] == pytest.approx(math.sin(angle), abs=0.03)
    assert x["gait_walk_+0"] == pytest.approx(1, abs=1e-3) and x["gait_stand_+0"] == pytest.approx(0, abs=1e-3)


def test_y_of_a_row_is_the_past_of_the_next_row() -> None:
    """X of frame i holds the joints of frame i - 1, which are those in Y of the row before."""
    vectors = pfnn_vectors(MOTIONS["spin"])
    names = [name for name in X_COLUMNS if name.startswith(("position", "velocity"))]
    x = vectors.x[1:, [X_COLUMNS.index(name) for name in names]]
    y = vectors.y[:-1, [Y_COLUMNS.index(name) for name in names]]
    assert torch.equal(x, y)


def test_phase_steps_add_up_and_terrain_is_flat() -> None:
    vectors = pfnn_vectors(MOTIONS["spin"])
    total = vectors.phase[0] + vectors.y[:-1, Y_COLUMNS.index("phase_step")].cumsum(0)
    between = (total - vectors.phase[1:] + 0.5) % 1 - 0.5
    assert float(between.abs().max()) < 1e-4
    assert not vectors.x[:, -36:].any()
    gait = vectors.x[:, 48:120].unflatten(1, (6, 12))
    torch.testing.assert_close(gait[:, [0, 1, 2, 4]].sum(1), torch.ones(len(vectors), 12), atol=1e-4, rtol=0)
    assert not gait[:, 5].any()  # bump


def test_the_file_has_the_arrays_of_the_public_script(tmp_path: Path) -> None:
    vectors = pfnn_vectors(MOTIONS["spin"])
    write_pfnn(tmp_path / "spin.npz", vectors)
    with np.load(tmp_path / "spin.npz", allow_pickle=False) as arrays:
        assert arrays["Xun"].shape == (len(vectors), 288) and arrays["Yun"].shape == (len(vectors), 230)
        assert arrays["Pun"].shape == (len(vectors),) and arrays["Xun"].dtype == np.float32
        assert tuple(arrays["x_columns"]) == X_COLUMNS and tuple(arrays["y_columns"]) == Y_COLUMNS
        assert float(arrays["fps"]) == 60 and str(arrays["unit"]) == "cm"
    again = read_pfnn(tmp_path / "spin.npz")
    assert torch.equal(again.x, vectors.x) and torch.equal(again.y, vectors.y)


def test_a_motion_that_is_too_short() -> None:
    with pytest.raises(InputError, match=r"121 frames at 60 fps, expected at least 122"):
        pfnn_vectors(curve(0.5, frames=121))
    assert len(pfnn_vectors(curve(0.5, frames=122))) == 1


@pytest.mark.parametrize("change", ["missing", "narrow", "nan"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, change: str) -> None:
    arrays = {"Xun": np.zeros((2, 288)), "Yun": np.zeros((2, 230)), "Pun": np.zeros(2)}
    if change == "missing":
        del arrays["Yun"]
    elif change == "narrow":
        arrays["Xun"] = arrays["Xun"][:, :-1]
    else:
        arrays["Pun"][1] = np.nan
    np.savez(tmp_path / "other.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"other\.npz"):
        read_pfnn(tmp_path / "other.npz")
