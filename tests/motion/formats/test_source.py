"""A person's word about rate, unit and axes counts wherever a file leaves the question open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.formats.glb_write import write_glb
from motionlab.motion.formats.humanml_write import encode_263
from motionlab.motion.formats.joints_write import write_joints_csv, write_joints_npz
from motionlab.motion.formats.read import read_file, read_motion
from motionlab.motion.formats.source import ReadOptions, SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import retarget
from motionlab.motion.rotations import matrix_to_axis_angle
from motionlab.motion.skeleton import global_rotations
from tests.motion.formats.markers import markers, write_c3d
from tests.motion.formats.test_asf_amc import AMC, ASF
from tests.motion.retargeting.bodies import Z_UP, sample

WALK = sample("walk")


def _asf(path: Path) -> None:
    path.with_name("a.asf").write_text(ASF)
    path.write_text(AMC)


def _kimodo(path: Path) -> None:
    turns = global_rotations(WALK.rotations()).numpy()
    np.savez(path, posed_joints=WALK.joints("rotations").numpy(), global_rot_mats=turns)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "a.bvh": lambda path: write_bvh(path, WALK),
    "a.glb": lambda path: write_glb(path, WALK),
    "a.csv": lambda path: write_joints_csv(path, WALK),
    "joints.npz": lambda path: write_joints_npz(path, WALK),
    "263.npy": lambda path: np.save(path, encode_263(WALK.joints()).numpy()),
    "kimodo.npz": _kimodo,
    "a.amc": _asf,
}


def source(path: Path, **options: Any) -> SourceMotion:
    (reading,) = read_file(path, ReadOptions(**options))
    assert isinstance(reading.motion, SourceMotion)
    return reading.motion


@pytest.mark.parametrize("name", WRITERS)
def test_unit_and_up_of_every_format_on_its_own_body(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    plain = source(tmp_path / name, fps=30.0)
    said = source(tmp_path / name, fps=30.0, unit="cm", up="-z")
    assert said.metres_per_unit == 0.01 and plain.metres_per_unit != 0.01
    assert said.up == "-z" and plain.up in (None, "y")
    assert torch.equal(said.positions, plain.positions)


def test_unit_and_up_of_markers(tmp_path: Path) -> None:
    """Joint centres need metres, so the reader has used the unit already."""
    ezc3d = pytest.importorskip("ezc3d")
    write_c3d(ezc3d, tmp_path / "a.c3d", markers(WALK), 30.0, unit="cm", up="+Z")
    said = source(tmp_path / "a.c3d", unit="mm", up="z")
    assert said.metres_per_unit == 1.0 and said.up == "z"
    tall = retarget(said, body="own").motion.skeleton
    assert tall is not None and 0.3 < float(tall.offsets[4].norm()) < 0.5


def test_a_person_who_sits_has_no_certain_up(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    write_c3d(ezc3d, tmp_path / "a.c3d", markers(sample("boxing_sit")), 30.0)
    (doubt,) = retarget(source(tmp_path / "a.c3d")).doubts
    assert "up is not certain" in doubt and "--up" in doubt
    assert retarget(source(tmp_path / "a.c3d", up="z")).doubts == ()


@pytest.mark.parametrize("up", ["y", "z"])
def test_up_of_parameters_of_smpl(up: str, tmp_path: Path) -> None:
    motion = Motion(WALK.features.double())
    values = matrix_to_axis_angle(motion.rotations()).flatten(1), motion.root()[0]
    table = np.concatenate((values[0], np.zeros((len(motion), 6)), values[1], np.zeros((len(motion), 10))), axis=1)
    np.save(tmp_path / "a.npy", table)
    np.savez(tmp_path / "b.npz", poses=values[0].numpy(), trans=values[1].numpy(), mocap_framerate=30.0)
    lies = []
    for name in ("a.npy", "b.npz"):
        found = read_motion(tmp_path / name, options=ReadOptions(fps=30.0, up=up)).joints()
        lies.append(float((found[:, 15, 1] - found[:, 0, 1]).mean()) < 0.3)
        with pytest.raises(InputError, match="-y up, expected y or z"):
            read_motion(tmp_path / name, options=ReadOptions(fps=30.0, up="-y"))
    assert lies == [up == "z"] * 2


def test_read_motion_takes_up(tmp_path: Path) -> None:
    places = WALK.joints().double().numpy() @ Z_UP.T
    np.savez(tmp_path / "a.npz", joints=places @ Z_UP.T @ Z_UP.T, fps=30)  # upside down and back: -z is up
    motion = read_motion(tmp_path / "a.npz", up="-z")
    assert float((motion.joints()[:, 15, 1] - motion.joints()[:, 7, 1]).min()) > 1.0
    with pytest.raises(InputError, match="up: found 'w'"):
        read_motion(tmp_path / "a.npz", up="w")


@pytest.mark.parametrize("options", [{"unit": "ell"}, {"up": "north"}])
def test_other_words_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Choose one of these"):
        ReadOptions(**options)
