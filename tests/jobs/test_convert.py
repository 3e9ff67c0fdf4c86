"""`motionlab convert`: from any file to any file, the loss measured; bad requests leave nothing behind."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab import cli
from motionlab.data.composed.samples import load_samples, samples_dir
from motionlab.errors import InputError
from motionlab.jobs import convert as job
from motionlab.jobs.convert import convert
from motionlab.motion.formats.bvh import read_bvh
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.formats.deepmimic import QUATERNIONS, ROW_LENGTH
from motionlab.motion.formats.registry import WriteOptions
from motionlab.motion.formats.source import Reading, ReadOptions
from motionlab.motion.motion import Motion

SPIN = next(sample.motion for sample in load_samples() if sample.name == "spin")
OUTPUTS = [
    ("a.bvh", None), ("a.glb", None), ("a.csv", None), ("a.npz", "joints"), ("a.npz", "amass"), ("a.npz", "pfnn"),
    ("a.npy", "smpl85"), ("a.npy", "272"), ("a.npy", "263"), ("a.gif", None), ("a.html", None),
]  # fmt: skip


@pytest.fixture
def spin(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    write_bvh(folder / "spin.bvh", SPIN)
    return folder / "spin.bvh"


@pytest.mark.parametrize(("name", "to"), OUTPUTS)
def test_every_format(spin: Path, tmp_path: Path, name: str, to: str | None) -> None:
    out = tmp_path / "out" / name
    (done,) = convert(spin, out, to=to)
    assert done.path == out and out.stat().st_size > 100 and os.listdir(out.parent) == [name]
    assert done.motion.fps == {"263": 20, "pfnn": 60}.get(str(to), 30)
    assert done.lines()[0].startswith(f"written: {out} ({len(done.motion)} frames at {done.motion.fps:g} fps")
    assert all("\n" not in line for line in done.lines())


def test_bvh_to_bvh_is_the_same_motion(spin: Path, tmp_path: Path) -> None:
    (done,) = convert(spin, tmp_path / "b.bvh", options=WriteOptions(unit="cm", order="YXZ", up="z"))
    assert done.loss is not None and done.loss.joints[1] < 0.05 and done.loss.rotations is not None
    assert done.loss.rotations[1] < 0.01 and done.loss.frames == len(done.motion)
    assert "lost: 0.0 mm (at most 0.0), 0.00 degrees (at most 0.00)" in done.lines()
    one, two = read_bvh(spin).joints(), read_bvh(tmp_path / "b.bvh").joints()
    assert one.shape == two.shape
    pelvis, wrist = 0, read_bvh(spin).names.index("left_wrist")
    torch.testing.assert_close(  # a distance within the body, in centimetres
        (two[:, wrist] - two[:, pelvis]).norm(dim=-1), 100 * (one[:, wrist] - one[:, pelvis]).norm(dim=-1),
        atol=0.1, rtol=0,
    )  # fmt: skip


def test_other_rates(spin: Path, tmp_path: Path) -> None:
    (done,) = convert(spin, tmp_path / "b.bvh", fps=60)
    assert (len(done.motion), done.source_frames) == (265, 133) and done.source_fps == pytest.approx(30)
    assert "(265 frames at 60 fps, from 133 at 30)" in done.lines()[0]
    assert done.loss is not None and done.loss.fps == 60
    (slow,) = convert(spin, tmp_path / "c.bvh", source_fps=15)
    assert slow.motion.fps == 15 and len(slow.motion) == 133
    with pytest.raises(InputError, match="--fps: found 30, expected 20, as HumanML3D 263 always has"):
        convert(spin, tmp_path / "d.npy", to="263", fps=30)


def test_a_source_on_the_22_joints(tmp_path: Path) -> None:
    row = [0.0] * ROW_LENGTH
    row[0], row[2] = 0.1, 0.9
    for start in QUATERNIONS.values():
        row[start] = 1.0
    source = tmp_path / "clip.txt"
    source.write_text(json.dumps({"Loop": "none", "Frames": [row] * 5}))
    (done,) = convert(source, tmp_path / "a.glb")
    assert len(done.motion) == 13 and done.motion.skeleton is not None


def test_several_motions_are_several_files(spin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def three(path: Path, options: ReadOptions | None = None) -> Iterator[Reading]:
        for number in range(3):
            yield Reading(replace(SPIN.crop(0, 30 + number), name=f"clip {number}"), notes=(f"Note {number}.",))

    monkeypatch.setattr(job, "read_file", three)
    done = list(convert(spin, tmp_path / "out" / "clip.bvh"))
    assert sorted(os.listdir(tmp_path / "out")) == ["clip-0001.bvh", "clip-0002.bvh", "clip-0003.bvh"]
    assert [len(one.motion) for one in done] == [30, 31, 32] and done[1].lines()[-1] == "Note 1."
    monkeypatch.setattr(job, "read_file", lambda path, options: iter(()))
    with pytest.raises(InputError, match="found no motion"):
        convert(spin, tmp_path / "x.bvh")


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("a.fbx", {}, r"found ending '\.fbx', expected \.bvh \.csv \.gif \.glb \.html \.npy \.npz"),
        ("a.npz", {}, "which 3 formats share"),
        ("a.gif", {"options": WriteOptions(unit="cm")}, "found unit cm"),
        ("a.bvh", {"fps": 0.0}, "--fps: found 0, expected 1 to 1000"),
        ("a.bvh", {"fps": float("nan")}, "--fps: found nan"),
        ("a.bvh", {"source_fps": 1e9}, r"--source-fps: found 1e\+09"),
        ("a.bvh", {"body": "mine"}, "--body: found 'mine', expected canonical or own"),
        ("in", {}, "found ending ''"),
        ("in/spin.bvh", {}, "found the file that is read"),
        ("in/../in/spin.bvh", {}, "found the file that is read"),
    ],
)
def test_bad_requests_write_nothing(
    spin: Path, tmp_path: Path, out: str, options: dict[str, Any], message: str
) -> None:
    before = spin.read_bytes()
    with pytest.raises(InputError, match=message) as caught:
        convert(spin, tmp_path / out, **options)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["in"] and os.listdir(spin.parent) == ["spin.bvh"] and spin.read_bytes() == before


def test_a_link_to_the_source_is_the_source(spin: Path, tmp_path: Path) -> None:
    (tmp_path / "link.bvh").symlink_to(spin)
    with pytest.raises(InputError, match="found the file that is read"):
        convert(spin, tmp_path / "link.bvh")


def test_a_folder_is_no_file(spin: Path, tmp_path: Path) -> None:
    (tmp_path / "some.bvh").mkdir()
    with pytest.raises(InputError, match="found a folder"):
        convert(spin, tmp_path / "some.bvh")


def test_a_full_disk_is_one_line(spin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for name, to in OUTPUTS:
        with pytest.raises(InputError, match="found No space left on device while writing"):
            list(convert(spin, tmp_path / "out" / name, to=to))
    assert os.listdir(tmp_path / "out") == []


def test_a_loss_that_cannot_be_measured_is_no_number(
    spin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*args: Any) -> None:
        raise InputError("a.bvh", found="no reader", expected="one", fix="Write one.")

    monkeypatch.setattr(job, "measure_loss", refuses)
    (done,) = convert(spin, tmp_path / "a.bvh")
    assert done.loss is None and done.notes[-1].startswith("The loss was not measured: a.bvh: found no reader")
    assert not any("lost" in line for line in done.lines())


def test_the_command(spin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(
            ["convert", str(spin), "--out", str(tmp_path / "a.bvh"), "--order", "XZY", "--unit", "cm", "--up", "z"]
        )
    assert not end.value.code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"written: {tmp_path / 'a.bvh'} (133 frames at 30 fps)"
    assert lines[1] == "lost: 0.0 mm (at most 0.0), 0.00 degrees (at most 0.00)"
    with pytest.raises(SystemExit) as end:
        cli.main(["convert", str(tmp_path / "none.bvh"), "--out", str(tmp_path / "b.bvh")])
    assert end.value.code == 2 and "none.bvh" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["cmu_12_01_walk.bvh", "mvn_chain_z_up_dab.bvh", "mixed_orders_z_up.bvh", "rokoko_dance.bvh", "no_neck_walk.bvh"],
)
def test_real_files(real_motion: Any, tmp_path: Path, name: str) -> None:
    (done,) = convert(real_motion(name), tmp_path / "a.bvh", options=WriteOptions(order="XYZ"))
    assert done.loss is not None and done.loss.joints[1] < 0.1 and done.loss.rotations is not None
    assert done.loss.rotations[1] < 0.1 and done.loss.frames == len(done.motion)


def test_samples_of_the_project_convert(tmp_path: Path) -> None:
    """The bundled clips are .npy files of 272 features."""
    source = samples_dir() / "motions" / "walk.npy"
    motion = Motion.load(source)
    (done,) = convert(source, tmp_path / "a.bvh")
    assert len(done.motion) == len(motion)
    torch.testing.assert_close(done.motion.features, motion.features)
