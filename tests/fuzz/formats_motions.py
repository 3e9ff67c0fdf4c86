"""Motions as text, vectors of PFNN, and captions: BVH, DeepMimic JSON, the caption file of samples."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from motionlab.data.composed.samples import CAPTIONS, read_captions, samples_dir
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.formats.deepmimic import ANGLES, QUATERNIONS, ROW_LENGTH, read_deepmimic, retarget_deepmimic
from motionlab.motion.formats.pfnn import X_COLUMNS, Y_COLUMNS, PfnnVectors, decode_pfnn, read_pfnn, write_pfnn
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import retarget
from tests.fuzz.registry import Format, register


def _make_bvh(folder: Path) -> list[Path]:
    motion = Motion.load(samples_dir() / "motions" / "boxing_guard_1.npy")
    write_bvh(folder / "walk.bvh", Motion(motion.features[:3], fps=motion.fps))
    return [folder / "walk.bvh"]


def _read_bvh(folder: Path) -> Any:
    source = next(read_file(folder / "walk.bvh")).motion
    assert isinstance(source, SourceMotion)
    motion = retarget(source).motion
    return len(source), (motion.rotations(), motion.root()[0])


def _make_deepmimic(folder: Path) -> list[Path]:
    row = [0.0] * ROW_LENGTH
    row[0], row[2] = 0.1, 0.9
    for start in QUATERNIONS.values():
        row[start] = 1.0
    for column in ANGLES.values():
        row[column] = 0.25
    (folder / "clip.txt").write_text(json.dumps({"Loop": "wrap", "Frames": [row] * 4}))
    return [folder / "clip.txt"]


def _read_deepmimic(folder: Path) -> Any:
    clip = read_deepmimic(folder / "clip.txt")
    return len(clip.times), retarget_deepmimic(clip)


def _is_motion(value: Any) -> None:
    rows, (rotations, position) = value
    assert rotations.shape[1:] == (22, 3, 3) and position.shape == (len(rotations), 3)
    assert bool(torch.isfinite(rotations).all()) and bool(torch.isfinite(position).all())
    assert len(rotations) <= 101 * rows and math.isfinite(float(position.sum()))


def _make_pfnn(folder: Path) -> list[Path]:
    table = torch.arange(3.0)[:, None] / 10
    vectors = PfnnVectors(table.repeat(1, len(X_COLUMNS)), table.repeat(1, len(Y_COLUMNS)), table[:, 0])
    write_pfnn(folder / "vectors.npz", vectors)
    return [folder / "vectors.npz"]


def _read_pfnn(folder: Path) -> Any:
    vectors = read_pfnn(folder / "vectors.npz")
    return vectors, decode_pfnn(vectors)


def _are_vectors(value: Any) -> None:
    vectors, joints = value
    assert vectors.x.shape == (len(joints), len(X_COLUMNS)) and vectors.y.shape == (len(joints), len(Y_COLUMNS))
    assert joints.shape[1:] == (22, 3) and bool(torch.isfinite(joints).all()) and len(vectors.phase) == len(joints)


def _make_captions(folder: Path) -> list[Path]:
    lines = (samples_dir() / CAPTIONS).read_text(encoding="utf-8").splitlines()[:4]
    (folder / CAPTIONS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [folder / CAPTIONS]


def _are_captions(rows: list[dict[str, Any]]) -> None:
    assert rows and len({row["name"] for row in rows}) == len(rows)
    for row in rows:
        assert all(isinstance(text, str) and text.strip() for text in [*row["captions"], *row["phrases"]])
        json.dumps(row, ensure_ascii=False).encode()  # text that a file takes


register(Format("BVH", _make_bvh, _read_bvh, _is_motion))
register(Format("DeepMimic", _make_deepmimic, _read_deepmimic, _is_motion, ("bytes", "text", "json")))
register(Format("PFNN", _make_pfnn, _read_pfnn, _are_vectors, ("bytes",)))
register(
    Format(
        "captions", _make_captions, lambda folder: read_captions(folder / CAPTIONS), _are_captions,
        ("bytes", "text", "json"),
    )
)  # fmt: skip
