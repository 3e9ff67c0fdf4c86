"""The loss of each path, on samples of every kind: the numbers that `motionlab convert` prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.formats.loss import Loss, measure_loss
from motionlab.motion.formats.registry import Writer
from motionlab.motion.formats.write import find_writer, write_motion
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import yaw_matrix
from motionlab.motion.skeleton import Skeleton, canonical_skeleton, forward_kinematics

SAMPLES = {sample.name: sample.motion for sample in load_samples()}
NAMES = ("walk", "kick", "spin", "cartwheel", "getup_faceup", "cmu_climb_up_1", "boxing_jab_1", "crawl")


def stiff(motion: Motion) -> Motion:
    """The motion with bones that keep their length: samples are rounded to half precision, up to 1 mm off."""
    return Motion.from_joints_rotations(motion.joints("rotations"), motion.rotations(), name=motion.name, ground=False)


def lost(folder: Path, motion: Motion, name: str, to: str | None = None) -> Loss:
    writer = write_motion(folder / name, motion, to=to)
    written = motion if writer.fps is None else motion.resample(fps=writer.fps)
    return measure_loss(folder / name, written, writer)


@pytest.mark.parametrize("motion", [stiff(SAMPLES[name]) for name in NAMES], ids=lambda motion: motion.name)
def test_formats_with_rotations_lose_nothing(motion: Motion, tmp_path: Path) -> None:
    for name, to in (("a.bvh", None), ("a.glb", None), ("a.npz", "amass"), ("a.npy", "smpl85"), ("b.npy", "272")):
        loss = lost(tmp_path, motion, name, to)
        assert loss.rotations is not None
        assert loss.joints[1] < 0.05 and loss.rotations[1] < 0.01, (name, loss)
        assert (loss.frames, loss.fps) == (len(motion), 30)


@pytest.mark.parametrize("motion", [stiff(SAMPLES[name]) for name in NAMES], ids=lambda motion: motion.name)
def test_formats_of_places_lose_twist(motion: Motion, tmp_path: Path) -> None:
    for name, to in (("a.csv", None), ("a.npz", "joints"), ("a.npy", "263")):
        loss = lost(tmp_path, motion, name, to)
        assert loss.rotations is not None
        assert loss.joints[1] < 1.0, (name, loss)
        assert 0.05 < loss.rotations[0] < 25, (name, loss)
        assert loss.fps == (20 if to == "263" else 30)
        assert loss.frames == (len(motion.resample(fps=20)) - 1 if to == "263" else len(motion))


def test_few_frames_per_second(tmp_path: Path) -> None:
    motion = stiff(SAMPLES["walk"]).resample(fps=5)
    for name in ("a.bvh", "a.glb"):
        loss = lost(tmp_path, motion, name)
        assert loss.joints[1] < 0.05 and loss.frames == len(motion), (name, loss)


def test_smpl_loses_the_bones(tmp_path: Path) -> None:
    motion = SAMPLES["walk"]
    offsets = canonical_skeleton().offsets.clone()
    offsets[4:6] *= 1.2  # longer thighs
    joints = forward_kinematics(motion.rotations(), motion.root()[0], offsets)
    tall = Motion.from_joints_rotations(joints, motion.rotations(), skeleton=Skeleton("tall", offsets))
    assert lost(tmp_path, tall, "a.bvh").joints[1] < 0.05
    loss = lost(tmp_path, tall, "a.npz", "amass")
    assert loss.joints[1] > 20 and loss.rotations is not None and loss.rotations[1] < 0.5


def test_a_loss_is_seen(tmp_path: Path) -> None:
    """A file of another motion: higher and with one arm bent. Where it begins and faces is no loss."""
    motion = stiff(SAMPLES["walk"])
    rotations = motion.rotations().clone()
    rotations[:, 18] = rotations[:, 18] @ yaw_matrix(torch.tensor(0.1))  # left elbow
    joints = forward_kinematics(rotations, motion.root()[0] + torch.tensor([0, 0.5, 0]), canonical_skeleton().offsets)
    other = Motion.from_joints_rotations(joints, rotations, ground=False).place((3.0, 1.0), heading=2.0)
    writer = write_motion(tmp_path / "a.bvh", other)
    loss = measure_loss(tmp_path / "a.bvh", motion, writer)
    assert loss.floor == pytest.approx(500, abs=2)
    assert loss.rotations is not None and loss.rotations[1] == pytest.approx(5.73, abs=0.01)  # 0.1 radians
    assert loss.rotations[0] == pytest.approx(5.73 / 22, abs=0.01)
    moved = 1000 * 0.1 * float(canonical_skeleton().offsets[20].norm())  # the wrist, on a circle around the elbow
    assert 0.8 * moved < loss.joints[1] < moved and "floor moved by +" in str(loss)


def test_a_file_without_a_reader_has_no_number(tmp_path: Path) -> None:
    def write(path: Path, motion: Motion, options: object) -> None:
        path.write_bytes(b"?")

    writer = Writer("other", "other", (".other",), "all", write)
    (tmp_path / "a.other").write_bytes(b"?")
    with pytest.raises(InputError, match="no known format"):
        measure_loss(tmp_path / "a.other", SAMPLES["walk"], writer)
    with pytest.raises(InputError, match="no joint"):
        text = (tmp_path / "b.bvh").write_text
        write_motion(tmp_path / "b.bvh", SAMPLES["walk"])
        text((tmp_path / "b.bvh").read_text().replace("left_wrist", "somewhere"))
        measure_loss(tmp_path / "b.bvh", SAMPLES["walk"], find_writer("b.bvh"))


def test_frames_that_a_format_skips_are_not_compared(tmp_path: Path) -> None:
    motion = SAMPLES["spin"].resample(fps=60)
    writer = write_motion(tmp_path / "a.npz", motion, to="pfnn")
    assert measure_loss(tmp_path / "a.npz", motion, writer).joints[1] < 0.1
    assert measure_loss(tmp_path / "a.npz", motion, replace(writer, skips=0)).joints[1] > 50
