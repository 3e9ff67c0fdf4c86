"""`Motion`: views, files, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion import features as f
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.formats.read import read_motion
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import axis_angle_to_matrix
from motionlab.motion.skeleton import Skeleton, canonical_skeleton, forward_kinematics


@pytest.fixture
def motion() -> Motion:
    generator = torch.Generator().manual_seed(0)
    angles = torch.randn(1, 22, 3, generator=generator) * 0.3 + torch.randn(50, 22, 3, generator=generator) * 0.05
    rotations = axis_angle_to_matrix(angles)
    root = torch.stack((torch.linspace(0, 1, 50), torch.full((50,), 0.9), torch.linspace(0, 2, 50)), -1)
    joints = forward_kinematics(rotations, root, canonical_skeleton().offsets)
    return Motion.from_joints_rotations(joints, rotations, fps=25, name="test")


def test_both_paths_show_the_same_body(motion):
    assert len(motion) == 50 and motion.duration == 2.0
    torch.testing.assert_close(motion.joints("rotations"), motion.joints("positions"), atol=1e-5, rtol=0)
    positions, heading = motion.root()
    torch.testing.assert_close(positions, motion.joints()[:, 0], atol=1e-6, rtol=0)
    assert heading.shape == (50,) and motion.rotations().shape == (50, 22, 3, 3)
    assert motion.joints()[..., 1].min().item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(InputError, match="'positions' or 'rotations'"):
        motion.joints("rotation")


def test_rotations_path_uses_the_given_skeleton(motion):
    tall = Motion(motion.features, skeleton=Skeleton("tall", canonical_skeleton().offsets * 2))
    spine = (tall.joints("rotations")[:, 3] - tall.joints("rotations")[:, 0]).norm(dim=-1)
    torch.testing.assert_close(spine, torch.full((50,), 0.2))


def test_crop_mirror_resample(motion):
    cut = motion.crop(10, 30)
    assert len(cut) == 20 and cut.name == "test" and cut.fps == 25
    assert cut.root()[0][0, [0, 2]].tolist() == [0, 0]
    assert torch.equal(motion.mirror().mirror().features, motion.features)
    assert len(motion.resample(speed=2)) == 25
    doubled = motion.resample(fps=50)
    assert doubled.fps == 50 and len(doubled) == 99
    assert doubled.duration == pytest.approx(motion.duration, abs=0.03)
    assert motion.place((1.0, 2.0)).joints()[0, 0, [0, 2]].tolist() == [1, 2]


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_files_round_trip(motion, tmp_path, suffix):
    path = tmp_path / f"walk{suffix}"
    motion.save(path)
    loaded = Motion.load(path, fps=25)
    assert torch.equal(loaded.features, motion.features)
    assert loaded.fps == 25
    assert loaded.name == ("test" if suffix == ".npz" else "walk")


def test_a_normalised_motion_keeps_its_state_in_npz_and_is_refused_as_npy(motion, tmp_path):
    normalised = Motion(motion.features, normalized=True)
    normalised.save(tmp_path / "a.npz")
    assert Motion.load(tmp_path / "a.npz").normalized
    with pytest.raises(InputError, match="denormalize"):
        normalised.save(tmp_path / "a.npy")
    assert not (tmp_path / "a.npy").exists()


@pytest.mark.parametrize("view", ["joints", "rotations", "root", "mirror", "resample", "place"])
def test_views_of_a_normalised_motion_are_refused(motion, view):
    with pytest.raises(InputError, match="denormalize"):
        getattr(Motion(motion.features, normalized=True), view)()


def test_bad_values_are_input_errors(motion):
    with pytest.raises(InputError, match=r"found shape \(2, 50, 272\)"):
        Motion(motion.features.expand(2, 50, 272))
    with pytest.raises(InputError, match="fps 0"):
        Motion(motion.features, fps=0)
    with pytest.raises(InputError, match=r"rotations of shape \(49, 22, 3, 3\)"):
        Motion.from_joints_rotations(torch.zeros(50, 22, 3), torch.zeros(49, 22, 3, 3))


def test_bad_files_are_named(tmp_path):
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 not a zip")
    text = tmp_path / "text.npy"
    text.write_text("hello")
    empty = tmp_path / "empty.npy"
    empty.touch()
    other = tmp_path / "other.npz"
    np.savez(other, poses=np.zeros(3))
    smpl = tmp_path / "smpl.npy"
    np.save(smpl, np.zeros((4, 85)))
    integers = tmp_path / "integers.npy"
    np.save(integers, np.zeros((4, 272), dtype=int))
    nan = tmp_path / "nan.npy"
    values = np.zeros((4, f.DIM))
    values[2, 3] = np.nan
    np.save(nan, values)
    expected = {
        tmp_path / "missing.npy": "no file",
        broken: "magic string",
        text: "magic string",
        empty: "read 0 bytes|EOF",
        other: "poses",
        smpl: r"\(4, 85\)",
        integers: "int64",
        nan: r"frame 2, feature 3 \(heading\)",
    }
    for path, message in expected.items():
        with pytest.raises(InputError, match=message) as error:
            Motion.load(path)
        assert str(error.value).startswith(str(path))


def test_unknown_suffix_is_refused(motion, tmp_path):
    with pytest.raises(InputError, match=r"\.npy or \.npz"):
        motion.save(tmp_path / "walk.txt")


def test_another_body_keeps_its_bones(tmp_path: Path) -> None:
    """A file of 272 numbers made on another body: its rotations path gives its own joints, not ours."""
    sample = load_samples()[0].motion
    other = Skeleton("other", canonical_skeleton().offsets * torch.linspace(0.8, 1.3, 22)[:, None])
    rotations, (root, _) = sample.rotations(), sample.root()
    joints = forward_kinematics(rotations, root, other.offsets)
    motion = Motion.from_joints_rotations(joints, rotations)
    assert (motion.joints("rotations") - motion.joints()).norm(dim=-1).max() > 0.05  # with our bones
    motion.save(tmp_path / "other.npy")
    loaded = Motion.load(tmp_path / "other.npy")
    assert loaded.skeleton is not None
    assert (loaded.joints("rotations") - loaded.joints()).norm(dim=-1).max() < 1e-4
    loaded.save(tmp_path / "other.npz")
    again = Motion.load(tmp_path / "other.npz")
    assert again.skeleton is not None and torch.equal(again.skeleton.offsets, loaded.skeleton.offsets)


def test_our_own_body_and_bones_that_change_have_no_skeleton(tmp_path: Path) -> None:
    sample = load_samples()[0].motion
    sample.save(tmp_path / "ours.npy")
    assert Motion.load(tmp_path / "ours.npy").skeleton is None
    network = Motion(sample.features + 0.02 * torch.randn(sample.features.shape, generator=torch.manual_seed(0)))
    network.save(tmp_path / "network.npy")
    assert Motion.load(tmp_path / "network.npy").skeleton is None


def test_a_stored_skeleton_is_checked(tmp_path: Path) -> None:
    features = load_samples()[0].motion.features.numpy()
    np.savez(tmp_path / "a.npz", features=features, skeleton=np.zeros((21, 3), np.float32))
    with pytest.raises(InputError, match=r"a\.npz: found a skeleton of shape \(21, 3\)"):
        Motion.load(tmp_path / "a.npz")


def test_a_file_of_any_format_becomes_a_motion(tmp_path: Path) -> None:
    motion = load_samples()[0].motion
    write_bvh(tmp_path / "walk.bvh", motion, unit="cm")
    read = read_motion(tmp_path / "walk.bvh")
    assert len(read) == len(motion) and read.fps == 30.0
    torch.testing.assert_close(read.joints(), motion.joints(), atol=0.02, rtol=0)
    (tmp_path / "walk.doc").write_text("a letter")
    with pytest.raises(InputError, match="a file of no known format"):
        read_motion(tmp_path / "walk.doc")
