"""C3D: joint centres from markers of a sample's skin; gaps, units and incomplete bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import samples_dir
from motionlab.errors import InputError
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import ReadOptions, SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import retarget
from motionlab.motion.skeleton import JOINT_NAMES
from tests.motion.formats.markers import markers, write_c3d

ezc3d = pytest.importorskip("ezc3d")
FROM_Z_UP = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)


def sample(name: str = "walk_forward") -> Motion:
    return Motion.load(samples_dir() / "motions" / f"{name}.npy")


def write(path: Path, values: dict[str, np.ndarray], fps: float = 30.0, **options: Any) -> Path:
    write_c3d(ezc3d, path, values, fps, **options)
    return path


def read(path: Path, **options: Any) -> tuple[SourceMotion, tuple[str, ...]]:
    (reading,) = read_file(path, ReadOptions(**options))
    assert isinstance(reading.motion, SourceMotion)
    return reading.motion, reading.notes


def away(found: SourceMotion, motion: Motion) -> torch.Tensor:
    """Metres between the centres and the sample's joints, `[T, J]`."""
    index = [JOINT_NAMES.index(name) for name in found.joints]
    return (found.positions @ FROM_Z_UP.T - motion.joints().double()[:, index]).norm(dim=-1)


@pytest.mark.parametrize("name", ["walk", "run", "cmu_walk_turn_right", "cartwheel", "dance_a", "boxing_guard_1"])
def test_joints_of_a_sample(tmp_path: Path, name: str) -> None:
    motion = sample(name)
    found, notes = read(write(tmp_path / "a.c3d", markers(motion), subject="Subject 1:"))
    assert len(found) == len(motion) and found.fps == pytest.approx(30.0) and found.metres_per_unit == 1.0
    assert len(found.joints) == 18 and found.rotations is None
    assert notes == ("Joint centres were estimated from markers on the skin.",)
    distance = away(found, motion)
    assert float(distance.mean()) < 0.012 and float(distance.mean(0).max()) < 0.04 and float(distance.max()) < 0.05
    at = dict(zip(found.joints, found.parents, strict=True))
    assert found.joints[at["left_shoulder"]] == "spine3" and found.joints[at["spine3"]] == "pelvis"


def test_medial_markers_give_the_middle(tmp_path: Path) -> None:
    motion = sample()
    values = markers(motion)
    for side, joint in (("L", "left_knee"), ("R", "right_knee")):
        centre = 1000 * (motion.joints()[:, JOINT_NAMES.index(joint)].double() @ FROM_Z_UP).numpy()
        values[f"{side}KNM"] = 2 * centre - values[f"{side}KNE"]
    found, _ = read(write(tmp_path / "a.c3d", values))
    assert float(away(found, motion)[:, found.joints.index("left_knee")].max()) < 1e-5


@pytest.mark.parametrize(
    ("written", "up"), [("+Z", "z"), ("-Y", "-y"), ("Z", "z"), ("", None), (None, None), ("up", None)]
)
def test_up_is_what_a_screen_shows_upwards(tmp_path: Path, written: str | None, up: str | None) -> None:
    assert read(write(tmp_path / "a.c3d", markers(sample()), up=written))[0].up == up


def test_a_person_who_sits_is_turned_by_the_axis_of_the_file(tmp_path: Path) -> None:
    motion = sample("boxing_sit")
    found, _ = read(write(tmp_path / "a.c3d", markers(motion), up="+Z"))
    made = retarget(found, keep_start=True).motion
    away = (made.joints() - made.joints()[:, :1]) - (motion.joints() - motion.joints()[:, :1])
    assert float(away[..., 1].abs().mean()) < 0.05


def test_units_are_those_of_the_file_unless_given(tmp_path: Path) -> None:
    in_metres = {name: value / 1000 for name, value in markers(sample()).items()}
    found, _ = read(write(tmp_path / "a.c3d", in_metres, unit="m"))
    assert float(away(found, sample()).mean()) < 0.012
    write(tmp_path / "b.c3d", in_metres, unit="miles")
    with pytest.raises(InputError, match="unit 'miles', expected m, cm, mm, in. Give --unit"):
        read(tmp_path / "b.c3d")
    assert float(away(read(tmp_path / "b.c3d", unit="m")[0], sample()).mean()) < 0.012


def test_short_gaps_are_closed_and_ends_cut(tmp_path: Path) -> None:
    motion, values = sample(), markers(sample())
    values["LKNE"][10:15] = np.nan  # 0.17 s
    values["C7"][:3] = np.nan
    values["RTOE"][-2:] = np.nan
    found, notes = read(write(tmp_path / "a.c3d", values))
    assert len(found) == len(motion) - 5
    assert any("first 3 frames were cut" in note for note in notes) and any("last 2 frames" in note for note in notes)
    assert any("5 hidden places" in note for note in notes)
    whole, _ = read(write(tmp_path / "b.c3d", markers(motion)))
    assert float((found.positions - whole.positions[3:-2]).norm(dim=-1).max()) < 0.05


def test_long_gaps_are_refused(tmp_path: Path) -> None:
    values = markers(sample())
    values["LKNE"][10:17] = np.nan
    with pytest.raises(InputError, match=r"marker LKNE hidden for 0.23 s, expected gaps up to 0.2 s"):
        read(write(tmp_path / "a.c3d", values))
    values = markers(sample())
    values["LBHD"][10:17] = np.nan  # not needed
    assert len(read(write(tmp_path / "a.c3d", values))[0]) == len(sample())
    values["T10"][:] = np.nan
    with pytest.raises(InputError, match="no frame that shows T10"):
        read(write(tmp_path / "a.c3d", values))


def test_a_part_of_a_body_is_refused_by_its_markers(tmp_path: Path) -> None:
    values = {name: value for name, value in markers(sample()).items() if name[1:] not in ("SHO", "ELB", "WRA", "WRB")}
    with pytest.raises(InputError, match="no marker LSHO, LELB, LWRA, LWRB, RSHO"):
        read(write(tmp_path / "a.c3d", values))


def test_files_that_claim_more_than_they_hold(tmp_path: Path) -> None:
    content = write(tmp_path / "a.c3d", markers(sample())).read_bytes()
    changed = bytearray(content)
    changed[2:4] = (4000).to_bytes(2, "little")
    cases = {
        "no header of a C3D file": b"x" * 2000,
        "frames of": content[: len(content) // 2],
        "frames of 64,000 bytes": bytes(changed),
        "parameters at byte": b"\xff" + content[1:],
        "processor type": content[:515] + b"\x00" + content[516:],
    }
    for words, damaged in cases.items():
        (tmp_path / "b.c3d").write_bytes(damaged)
        with pytest.raises(InputError, match=words):
            read(tmp_path / "b.c3d")
