"""Motions as arrays and tables, each through the door that every reader shares: `read_file`."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from motionlab.data.composed.samples import samples_dir
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import matrix_to_axis_angle
from motionlab.motion.skeleton import JOINT_NAMES, global_rotations
from tests.fuzz.registry import Format, register

FRAMES = 4


def _sample() -> Motion:
    return Motion(Motion.load(samples_dir() / "motions" / "boxing_guard_1.npy").features[:FRAMES])


def _body() -> tuple[np.ndarray, np.ndarray]:
    motion = _sample()
    return matrix_to_axis_angle(motion.rotations()).flatten(1).numpy(), motion.root()[0].numpy()


def _amass() -> dict[str, Any]:
    body, travel = _body()
    return {"poses": np.pad(body, ((0, 0), (0, 90))), "trans": travel, "mocap_framerate": 120.0}


def _kimodo() -> dict[str, Any]:
    motion = _sample()
    return {"posed_joints": motion.joints().numpy(), "global_rot_mats": global_rotations(motion.rotations()).numpy()}


def _smpl_table(columns: int) -> np.ndarray:
    body, travel = _body()
    place = 72 if columns == 85 else 309
    return np.concatenate(
        (body, np.zeros((FRAMES, place - 66)), travel, np.zeros((FRAMES, columns - place - 3))), axis=1
    )


def _humanml263() -> np.ndarray:
    joints = _sample().joints().numpy()
    joints -= joints[:, :1] * np.array([1, 0, 1], dtype=joints.dtype)
    rows = np.zeros((FRAMES, 263), dtype=np.float32)
    rows[:, 3], rows[:, 4:67] = joints[:, 0, 1], joints[:, 1:].reshape(FRAMES, 63)
    return rows


def _makes(name: str, values: Callable[[], Any], beside: dict[str, str] | None = None) -> Callable[[Path], list[Path]]:
    """A file of arrays, and texts next to it."""

    def make(folder: Path) -> list[Path]:
        content = values()
        if isinstance(content, dict):
            np.savez(folder / name, **content)
        else:
            np.save(folder / name, content)
        for other, text in (beside or {}).items():
            (folder / other).write_text(text)
        return [folder / name, *(folder / other for other in beside or {})]

    return make


def _reads(name: str) -> Callable[[Path], Any]:
    return lambda folder: list(read_file(folder / name, ReadOptions(fps=30.0)))


def _are_motions(readings: list[Reading]) -> None:
    assert readings
    for reading in readings:
        motion = reading.motion
        numbers = motion.features if isinstance(motion, Motion) else motion.positions
        assert len(motion) >= 1 and bool(torch.isfinite(numbers).all()) and motion.fps < 1e7
        if isinstance(motion, SourceMotion):
            assert len(set(motion.joints)) == len(motion.joints)
        json.dumps([reading.captions, reading.notes], ensure_ascii=False).encode()  # text that a file takes


def _make_csv(folder: Path) -> list[Path]:
    lines = [",".join(["time", *(f"{name}_{axis}" for name in JOINT_NAMES for axis in "xyz")])]
    for number, pose in enumerate(_sample().joints().flatten(1).tolist()):
        lines.append(",".join(f"{value:.4f}" for value in [number / 30, *pose]))
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    return [folder / "a.csv"]


def _make_parquet(folder: Path) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    clip = _sample().features.numpy().ravel()
    pq.write_table(pa.table({"motion": [clip, clip], "caption": ["one", "two"]}), folder / "a.parquet")
    return [folder / "a.parquet"]


def _make_c3d(folder: Path) -> list[Path]:
    import ezc3d

    from tests.motion.formats.markers import markers, write_c3d

    write_c3d(ezc3d, folder / "a.c3d", markers(_sample()), 30.0)
    return [folder / "a.c3d"]


for title, file, content in (
    ("AMASS", "a.npz", _amass),
    ("smpl_85", "a.npy", lambda: _smpl_table(85)),
    ("smplx_322", "a.npy", lambda: _smpl_table(322)),
    ("joints .npy", "a.npy", lambda: _sample().joints().numpy()),
    ("joints .npz", "a.npz", lambda: {"joints": _sample().joints().numpy(), "joint_names": JOINT_NAMES, "fps": 30}),
    ("HumanML3D 263", "a.npy", _humanml263),
    ("272", "a.npy", lambda: _sample().features.numpy()),
):
    register(Format(title, _makes(file, content), _reads(file), _are_motions, ("bytes",)))
register(Format("joints .csv", _make_csv, _reads("a.csv"), _are_motions))
register(
    Format(
        "Kimodo", _makes("motion.npz", _kimodo, {"meta.json": '{"text": "a person boxes", "seed": 1}'}),
        _reads("motion.npz"), _are_motions, ("bytes", "json"),
    )
)  # fmt: skip
# pyarrow is an extra; ezc3d only writes the sample.
if importlib.util.find_spec("pyarrow"):
    register(Format("Parquet", _make_parquet, _reads("a.parquet"), _are_motions, ("bytes",)))
if importlib.util.find_spec("ezc3d"):
    register(Format("C3D", _make_c3d, _reads("a.c3d"), _are_motions, ("bytes",)))
