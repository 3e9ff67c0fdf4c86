"""SMPL parameters in AMASS archives and in tables: our rotations exactly, without a body model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import samples_dir
from motionlab.errors import InputError
from motionlab.motion import features as f
from motionlab.motion.formats.read import find_format, read_file, read_motion
from motionlab.motion.formats.source import ReadOptions
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import axis_angle_to_matrix, matrix_to_axis_angle

SAMPLES = ("walk", "boxing_guard_1", "cartwheel", "cmu_walk_turn_right")
# A point (x, y, z) of a world with z up is (x, z, -y) in ours; written here once more, by hand.
FROM_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def sample(name: str) -> Motion:
    """A bundled clip whose places follow from its rotations (the files are rounded), on the floor."""
    motion = Motion.load(samples_dir() / "motions" / f"{name}.npy").to(dtype=torch.float64)
    joints = motion.joints("rotations")
    joints[..., 1] -= joints[..., 1].amin(-1).quantile(0.05)
    return Motion.from_joints_rotations(joints, motion.rotations(), ground=False).to(dtype=torch.float32)


def parameters(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Axis-angle vectors `[T, 66]` and travel `[T, 3]`, y up."""
    motion = Motion(motion.features.double(), fps=motion.fps)
    return matrix_to_axis_angle(motion.rotations()).flatten(1).numpy(), motion.root()[0].numpy()


def to_z_up(body: np.ndarray, travel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    root = torch.from_numpy(FROM_Z_UP.T) @ axis_angle_to_matrix(torch.from_numpy(body[:, :3]))
    return np.concatenate((matrix_to_axis_angle(root).numpy(), body[:, 3:]), axis=1), travel @ FROM_Z_UP


def read(path: Path, **options: Any) -> Motion:
    (reading,) = read_file(path, ReadOptions(**options))
    assert isinstance(reading.motion, Motion)
    assert any("our own bone lengths" in note for note in reading.notes)
    return reading.motion


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("kind", ["smplh", "smplx", "parts", "smpl"])
def test_a_sample_comes_back_from_amass(tmp_path: Path, name: str, kind: str) -> None:
    motion = sample(name)
    body, travel = to_z_up(*parameters(motion))
    width = {"smplh": 156, "smplx": 165, "smpl": 72, "parts": 66}[kind]
    poses = np.zeros((len(body), width))
    poses[:, :66] = body
    arrays: dict[str, Any] = {"poses": poses}
    if kind == "parts":
        arrays = {"root_orient": body[:, :3], "pose_body": body[:, 3:]}
    rate = {"mocap_framerate": 30.0} if kind == "smplh" else {"mocap_frame_rate": np.array(30)}
    labels = np.array([{"an": "object"}], dtype=object)  # next to the motion, as some archives have: never opened
    arrays |= {"trans": travel, "betas": np.zeros(16), "gender": np.bytes_(b"male"), "labels": labels}
    np.savez(tmp_path / "a.npz", **arrays, **rate)
    assert find_format(tmp_path / "a.npz").name.startswith("AMASS")
    found = read(tmp_path / "a.npz")
    assert found.fps == 30.0 and found.name == "a"
    torch.testing.assert_close(found.features, motion.features, atol=5e-6, rtol=0)  # the same bones: all 272


@pytest.mark.parametrize("width", [85, 322])
def test_a_sample_comes_back_from_a_table(tmp_path: Path, width: int) -> None:
    motion = sample("walk")
    body, travel = parameters(motion)
    at = 72 if width == 85 else 309
    for up in ("y", "z") if width == 322 else ("y",):
        table = np.zeros((len(body), width), dtype=np.float32)
        table[:, :66], table[:, at : at + 3] = (body, travel) if up == "y" else to_z_up(body, travel)
        np.save(tmp_path / "a.npy", table)
        torch.testing.assert_close(read(tmp_path / "a.npy").features, motion.features, atol=5e-6, rtol=0)
        (reading,) = read_file(tmp_path / "a.npy")
        assert any("30 frames a second" in note for note in reading.notes)
        assert (f"stands along {up} in the file" in " ".join(reading.notes)) == (width == 322)


def test_the_layout_of_amass_with_y_up_is_seen(tmp_path: Path) -> None:
    motion = sample("walk")
    body, travel = parameters(motion)
    np.savez(tmp_path / "a.npz", poses=body, trans=travel, mocap_framerate=30.0)
    torch.testing.assert_close(read(tmp_path / "a.npz").features, motion.features, atol=5e-6, rtol=0)
    (reading,) = read_file(tmp_path / "a.npz")
    assert "stands along y in the file, not along z as usual" in reading.notes[-1]


@pytest.mark.parametrize("up", ["y", "z"])
def test_names_of_the_smplx_package(tmp_path: Path, up: str) -> None:
    motion = sample("walk")
    body, travel = parameters(motion) if up == "y" else to_z_up(*parameters(motion))
    arrays: dict[str, Any] = {
        "global_orient": body[:, None, :3],
        "body_pose": body[:, 3:].reshape(-1, 21, 3),
        "transl": travel,
    }
    np.savez(tmp_path / "a.npz", **arrays, fps=30)
    torch.testing.assert_close(read(tmp_path / "a.npz").features, motion.features, atol=5e-6, rtol=0)


def test_one_low_frame_does_not_lift_the_others(tmp_path: Path) -> None:
    body, travel = to_z_up(*parameters(sample("walk")))
    np.savez(tmp_path / "a.npz", poses=body, trans=travel, mocap_framerate=30.0)
    whole = read(tmp_path / "a.npz")
    travel[5, 2] -= 0.5
    np.savez(tmp_path / "a.npz", poses=body, trans=travel, mocap_framerate=30.0)
    change = read(tmp_path / "a.npz").joints()[10:, :, 1] - whole.joints()[10:, :, 1]
    assert float(change.abs().max()) < 0.01


def test_a_table_of_a_body_that_lies_says_no_up(tmp_path: Path) -> None:
    table = np.zeros((4, 322))
    table[:, 2] = np.pi / 2  # turned about z: the head points along -x
    np.save(tmp_path / "a.npy", table)
    with pytest.raises(InputError, match="stands along -x"):
        read(tmp_path / "a.npy")


def test_rotations_heading_and_travel_are_those_of_the_original_scripts(tmp_path: Path, golden: Any) -> None:
    """Features of the golden file were made with the SMPL-X model; places of joints differ by the bone lengths only."""
    values = golden("motion272.npz")
    table, expected = values["smpl85"], torch.from_numpy(values["features"])
    np.save(tmp_path / "table.npy", table)
    body, travel = to_z_up(table[:, :66].astype(float), table[:, 72:75].astype(float))
    poses = np.concatenate((body, np.zeros((len(body), 90))), axis=1)
    np.savez(tmp_path / "archive.npz", poses=poses, trans=travel, mocap_framerate=60.0)
    for found in (read(tmp_path / "table.npy", fps=60.0), read(tmp_path / "archive.npz")):
        away = (found.features.double() - expected).abs()
        assert found.fps == 60.0
        for part in (f.ROOT_VELOCITY, f.HEADING, f.ROTATIONS):
            assert float(away[:, part].max()) < 3e-7
        assert 0.04 < float(away[:, f.POSITIONS].mean()) < 0.06


def test_frames_are_resampled_by_their_times(tmp_path: Path) -> None:
    """100 frames a second are not three times 33: the original scripts take every third and call it 30."""
    seconds = np.arange(201) / 100  # 2 s
    poses = np.zeros((201, 156))
    poses[:, 0] = np.pi / 2  # upright in a world with z up
    travel = np.stack((seconds * 0, -seconds, seconds * 0), axis=1)  # forwards at 1 m/s
    np.savez(tmp_path / "a.npz", poses=poses, trans=travel, mocap_framerate=100.0)
    motion = read_motion(tmp_path / "a.npz", fps=30)
    assert len(motion) == 61
    torch.testing.assert_close(motion.root()[0][-1, [0, 2]], torch.tensor([0.0, 2.0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"poses": np.zeros((5, 63))}, r"poses of shape \(5, 63\)"),
        ({"trans": np.zeros((5, 2))}, r"trans of shape \(5, 2\)"),
        ({"trans": np.zeros((4, 3))}, "5 poses, 4 trans"),
        ({"poses": np.full((5, 156), np.nan)}, "nan in frame 0 of poses"),
        ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "at least one frame"),
        ({"trans": np.full((5, 3), 1e9)}, r"1000000000.0 in frame 0 of trans"),
        ({"mocap_framerate": -1.0}, r"mocap_framerate"),
        ({"mocap_framerate": np.array("fast")}, r"mocap_framerate"),
        ({"mocap_framerate": None}, "Give --fps"),
        ({"poses": np.array([{}], dtype=object)}, "poses of shape"),
    ],
)
def test_wrong_archives(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    arrays: dict[str, Any] = {"poses": np.zeros((5, 156)), "trans": np.zeros((5, 3)), "mocap_framerate": 120.0}
    arrays |= changes
    np.savez(tmp_path / "a.npz", **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(InputError, match=words):
        list(read_file(tmp_path / "a.npz"))


def test_a_given_frame_rate_replaces_that_of_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", poses=np.zeros((5, 156)), trans=np.zeros((5, 3)), mocap_framerate=120.0)
    assert read(tmp_path / "a.npz").fps == 120.0
    assert read(tmp_path / "a.npz", fps=60.0).fps == 60.0


def test_who_crawls_along_y_has_z_up(tmp_path: Path) -> None:
    motion = sample("crawl").place(heading=-np.pi / 2)
    body, travel = to_z_up(*parameters(motion))
    np.savez(tmp_path / "a.npz", poses=np.pad(body, ((0, 0), (0, 90))), trans=travel, mocap_framerate=30.0)
    (reading,) = read_file(tmp_path / "a.npz")
    assert isinstance(reading.motion, Motion) and not any("taken as up" in note for note in reading.notes)
    assert float((reading.motion.features - sample("crawl").features).abs().max()) < 0.02


def test_a_rate_that_was_rounded_loses_no_frame(tmp_path: Path) -> None:
    """AMASS writes 120.00004577636719, and 240 of its intervals are 59.99998 of ours."""
    body, travel = parameters(sample("walk"))
    rows = np.arange(241) % len(body)
    np.savez(tmp_path / "a.npz", poses=body[rows], trans=travel[rows], mocap_framerate=120.00004577636719)
    assert len(read_motion(tmp_path / "a.npz")) == 61
