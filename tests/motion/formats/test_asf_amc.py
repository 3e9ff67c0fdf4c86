"""ASF/AMC against a recursion over bones with 4 x 4 matrices, which knows nothing of joints that start a bone."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.motion.formats.asf_amc import find_asf
from motionlab.motion.formats.asf_skeleton import AsfSkeleton, parse_asf
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion

ASF = """# a body of four bones
:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 1 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name lfemur
     direction 0.6 -0.8 0
     length 5
     axis 10 20 30 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
     name ltibia
     direction 0 -1 0
     length 7
     axis 0 0 20 XYZ
    dof rx
  end
  begin
     name lfoot
     direction 0 0 1
     length 2
     axis -90 0 20 ZYX
    dof rz rx
  end
  begin
     name ltoes
     direction 0 0 1
     length 1
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root lfemur
    lfemur ltibia
    ltibia lfoot
    lfoot ltoes
  end
"""
AMC = """#!OML:ASF
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 10 20 30
lfemur 5 -10 15
ltibia 40
lfoot 7 -6.5e-1
2
root 2 2 3 15 20 35
lfemur 6 -11 16
ltibia 45
lfoot 8 -1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "02.asf").write_text(ASF)
    (tmp_path / "02_03.amc").write_text(AMC)
    return tmp_path


def read(path: Path, fps: float | None = None) -> tuple[SourceMotion, Reading]:
    (reading,) = read_file(path, ReadOptions(fps=fps))
    assert isinstance(reading.motion, SourceMotion)
    return reading.motion, reading


def turn(axis: str, degrees: float) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]]}
    return np.array(rows.get(axis, [[c, -s, 0], [s, c, 0], [0, 0, 1]]))


def ends_of_bones(skeleton: AsfSkeleton, amc: str) -> list[dict[str, np.ndarray]]:
    """For each frame the place where each bone ends (the root's is its own)."""
    frames: list[dict[str, np.ndarray]] = []
    for block in amc.replace("\r", "").split(":DEGREES\n")[1].split("\nroot ")[1:]:
        rows = {words[0]: [float(word) for word in words[1:]] for line in f"root {block}".splitlines()
                if len(words := line.split()) > 1}  # fmt: skip
        place: dict[int, np.ndarray] = {}
        frame: dict[str, np.ndarray] = {}
        for index, bone in enumerate(skeleton.bones):
            own = np.eye(3)
            for axis, degrees in zip(bone.axes[1].lower(), [bone.axes[0]["XYZ".index(a)] for a in bone.axes[1]],
                                     strict=True):  # fmt: skip
                own = turn(axis, degrees) @ own
            moved, shift = np.eye(3), np.zeros(3)
            for dof, value in zip(bone.dof, rows.get(bone.name, []), strict=bone.name in rows):
                if dof[0] == "r":
                    moved = turn(dof[1], value) @ moved
                else:
                    shift["xyz".index(dof[1])] = value
            here = np.eye(4)
            here[:3, :3] = own @ moved @ own.T
            here[:3, 3] = shift + (skeleton.position if index == 0 else 0)
            reach = np.eye(4)
            reach[:3, 3] = bone.step
            place[index] = (place[bone.parent] if index else np.eye(4)) @ here @ reach
            frame[bone.name] = place[index][:3, 3]
        frames.append(frame)
    return frames


def check(motion: SourceMotion, skeleton: AsfSkeleton, amc: str) -> None:
    frames = ends_of_bones(skeleton, amc)
    assert len(frames) == len(motion)
    for bone in skeleton.bones[1:]:
        above = skeleton.bones[bone.parent].name
        expected = np.stack([frame[above] for frame in frames])  # a bone starts where the one above ends
        found = motion.positions[:, motion.joints.index(bone.name)].numpy()
        assert np.abs(found - expected).max() < 1e-9, bone.name


def test_places_are_those_of_the_recursion(folder: Path) -> None:
    motion, reading = read(folder / "02_03.amc")
    assert motion.joints == ("root", "lfemur", "ltibia", "lfoot", "ltoes") and motion.parents == (-1, 0, 1, 2, 3)
    check(motion, parse_asf(ASF), AMC)
    assert motion.rest is not None and motion.rest[2].tolist() == [3.0, -4.0, 0.0]
    assert motion.metres_per_unit == pytest.approx(0.0254 / 0.45)
    assert motion.times.tolist() == [0, 1 / 120] and "120 frames a second are assumed" in reading.notes[0]
    motion, reading = read(folder / "02_03.amc", fps=60.0)
    assert motion.times.tolist() == [0, 1 / 60] and reading.notes == ()


def test_a_real_motion(real_motion: Callable[[str], Path]) -> None:
    path = real_motion("cmu_02_03_run.amc")
    skeleton = parse_asf(real_motion("cmu_02.asf").read_text())
    motion, _ = read(path)
    assert len(motion.joints) == 31 and len(motion) == 173
    check(motion, skeleton, path.read_text())
    metres = motion.positions * (motion.metres_per_unit or 0)
    at = motion.joints.index
    assert float((metres[0, at("lfemur")] - metres[0, at("ltibia")]).norm()) == pytest.approx(0.4286, abs=1e-4)
    assert -0.02 < float(metres[..., 1].min()) < 0.05  # it runs on the floor
    assert float((metres[-1, 0] - metres[0, 0]).norm() / motion.times[-1]) == pytest.approx(2.6, abs=0.1)  # m/s
    across = metres[:, at("lfemur")] - metres[:, at("rfemur")]
    forward = torch.linalg.cross(across, torch.tensor([0.0, 1.0, 0.0]).double().expand_as(across)).mean(0)
    way = metres[-1, 0] - metres[0, 0]
    assert float(forward @ way / forward.norm() / way.norm()) > 0.98  # and forwards


def test_frames_that_are_missing_take_their_time(folder: Path) -> None:
    (folder / "02_03.amc").write_text(AMC.replace("\n2\n", "\n4\n"))
    assert read(folder / "02_03.amc")[0].times.tolist() == [0, 3 / 120]


@pytest.mark.parametrize("end", ["\nlfoot 8 -1\n", " -1\n", "1\n", "\n", "45\nlfoot 8 -1\n", "2 3 15 20 35"])
def test_a_file_that_was_cut_off_keeps_its_whole_frames(end: str, folder: Path) -> None:
    start = AMC.rindex(end) if end in AMC else len(AMC) - 1
    (folder / "02_03.amc").write_text(AMC[:start])
    motion, reading = read(folder / "02_03.amc")
    assert len(motion) == 1 and "ends within frame 2" in reading.notes[0]


@pytest.mark.parametrize(
    ("asf", "motion", "found"),
    [
        ("02.asf", "02_03.amc", "02.asf"),
        ("CMU_02.ASF", "cmu_02_03_run.amc", "CMU_02.ASF"),
        ("02_03.asf 02.asf", "02_03.amc", "02_03.asf"),
        ("body.asf", "walk.amc", "body.asf"),
    ],
)
def test_the_skeleton_is_found(asf: str, motion: str, found: str, tmp_path: Path) -> None:
    for name in asf.split():
        (tmp_path / name).touch()
    assert find_asf(tmp_path / motion).name == found


@pytest.mark.parametrize("names", ["", "a.asf b.asf"])
def test_no_skeleton_or_several(names: str, tmp_path: Path) -> None:
    for name in names.split():
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"02_03.asf or 02.asf.*Put the .asf file"):
        find_asf(tmp_path / "02_03.amc")


def test_a_lone_skeleton_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"a skeleton without motion.*\.amc files"):
        read(folder / "02.asf")


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "found"),
    [
        ("02_03.amc", "ltibia 40", "tail 40", 7, "'tail'"),
        ("02_03.amc", "ltibia 40", "ltibia 40 1", 7, "2 numbers"),
        ("02_03.amc", "ltibia 40", "ltibia nan", 7, "nan"),
        ("02_03.amc", "ltibia 40\n", "", 12, "other bones than the first ('ltibia')"),
        ("02_03.amc", "\n2\n", "\n1\n", 9, "frame 1 after frame 1"),
        ("02_03.amc", ":DEGREES", ":RADIANS", 3, "':RADIANS'"),
        ("02.asf", "length 5", "length five", 17, "five"),
        ("02.asf", "angle deg", "angle rad", 6, "angle rad"),
        ("02.asf", "dof rx\n", "dof rx l\n", 29, "rx l"),
        ("02.asf", "ZYX", "ZYZ", 35, "axis ZYZ"),
        ("02.asf", "lfemur ltibia", "ltibia lfemur", 47, "'ltibia' in the hierarchy before"),
        ("02.asf", "name ltoes", "name lfoot", 43, "'lfoot'"),
    ],
)
def test_a_wrong_line_is_named(file: str, old: str, new: str, line: int, found: str, folder: Path) -> None:
    path = folder / file
    extra = AMC.split(":DEGREES\n")[1].replace("2\nroot", "4\nroot").replace("1\nroot", "3\nroot")
    (folder / "02_03.amc").write_text(AMC + extra)  # so that the wrong frame is not the last one, which may be cut off
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read(folder / "02_03.amc")
    assert found in caught.value.found
    assert caught.value.where == f"{path}, line {line}"


def test_names_of_a_subject_in_another_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy(folder / "02_03.amc", tmp_path / "other")
    with pytest.raises(InputError, match=r"0 \.asf files"):
        read(tmp_path / "other" / "02_03.amc")
