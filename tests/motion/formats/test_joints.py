"""Places of joints, in numpy files: the same places, names and times come back, or the reason is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import samples_dir
from motionlab.errors import InputError
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

FRAMES = 12


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    return Motion.load(samples_dir() / "motions" / "dance_a.npy").joints()[:FRAMES].double().numpy()


def read(path: Path, **options: Any) -> tuple[SourceMotion, Reading]:
    (reading,) = read_file(path, ReadOptions(**options))
    assert isinstance(reading.motion, SourceMotion)
    return reading.motion, reading


@pytest.mark.parametrize("count", [22, 24, 52, 55])
def test_an_npy_of_the_smpl_family(tmp_path: Path, places: np.ndarray, count: int) -> None:
    more = np.concatenate((places, np.full((FRAMES, count - 22, 3), 7.0)), axis=1)
    np.save(tmp_path / "a.npy", more[None])  # a batch of one
    found, reading = read(tmp_path / "a.npy", fps=20, unit="cm")
    assert np.array_equal(found.positions.numpy(), places)
    assert found.joints == JOINT_NAMES and found.parents == PARENTS and found.rotations is None
    assert found.fps == pytest.approx(20.0) and found.metres_per_unit == 0.01
    assert f"its {count} were taken for those of SMPL" in reading.notes[0]


def test_a_frame_rate_has_to_be_given(tmp_path: Path, places: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", places)
    with pytest.raises(InputError, match=r"no frame rate, .* Give --fps \(HumanML3D's new_joints have 20"):
        read(tmp_path / "a.npy")


def test_other_bodies_need_names(tmp_path: Path, places: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", places[:, :17])
    with pytest.raises(InputError, match="17 joints without names"):
        read(tmp_path / "a.npy", fps=30)
    names = [f"joint {j}" for j in range(17)]
    np.savez(tmp_path / "a.npz", keypoints3d=places[:, :17], joint_names=names, fps=50)
    found, reading = read(tmp_path / "a.npz")
    assert found.joints == tuple(names) and found.parents == (-1,) * 17 and reading.notes == ()
    assert found.fps == pytest.approx(50.0)


def test_a_tree_follows_from_our_names_in_any_order(tmp_path: Path, places: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", joints=places, joint_names=[name.upper() for name in JOINT_NAMES], fps=30)
    assert read(tmp_path / "a.npz")[0].parents == PARENTS
    np.savez(tmp_path / "a.npz", joints=places[:, ::-1], joint_names=JOINT_NAMES[::-1], fps=30)
    assert read(tmp_path / "a.npz")[0].parents == (-1,) * 22  # children first: no tree that a SourceMotion may have


def test_an_archive_may_have_a_tree(tmp_path: Path, places: np.ndarray) -> None:
    values: dict[str, Any] = {"joints": places[:, :3], "names": ["a", "b", "c"], "fps": 30}
    np.savez(tmp_path / "a.npz", parents=np.array([-1, 0, 1]), **values)
    assert read(tmp_path / "a.npz")[0].parents == (-1, 0, 1)
    np.savez(tmp_path / "a.npz", parents=np.array([2, 0, 1]), **values)
    with pytest.raises(InputError, match="parents come after"):
        read(tmp_path / "a.npz")


def test_times_of_an_archive(tmp_path: Path, places: np.ndarray) -> None:
    times = 3.0 + np.cumsum(np.linspace(0.01, 0.05, FRAMES))
    np.savez(tmp_path / "a.npz", joints=places, times=times)
    assert np.allclose(read(tmp_path / "a.npz")[0].times.numpy(), times - times[0])
    assert read(tmp_path / "a.npz", fps=10)[0].fps == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"joint_names": ["a", "b"]}, "2 names for 22 joints"),
        ({"joint_names": ["a"] * 22}, "joint 'a' twice"),
        ({"fps": 0}, "fps 0"),
        ({"joints": np.full((3, 22, 3), np.inf)}, "inf in frame 0 of joints"),
        ({"joints": np.zeros((0, 22, 3))}, "at least one frame"),
        ({"times": np.zeros(FRAMES)}, "time that does not move on"),
        ({"times": np.zeros(3)}, "positions of shape"),
    ],
)
def test_wrong_archives(tmp_path: Path, places: np.ndarray, changes: dict[str, Any], words: str) -> None:
    values: dict[str, Any] = {"joints": places, "fps": 30}
    np.savez(tmp_path / "a.npz", **(values | changes))
    with pytest.raises(InputError, match=words):
        read(tmp_path / "a.npz")


def test_places_survive_to_the_last_bit(tmp_path: Path, places: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", places.astype(np.float32))
    assert torch.equal(
        read(tmp_path / "a.npy", fps=30)[0].positions.float(), torch.from_numpy(places.astype(np.float32))
    )
