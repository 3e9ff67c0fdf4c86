"""A written BVH file, read back by two packages that know nothing of this one: pybvh and pymotion.

Both compute the joints' places from offsets, channel order and angles alone, as Blender's importer does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pybvh
import pytest
import torch
from pymotion.io.bvh import BVH
from pymotion.ops.skeleton_np import fk

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

Read = tuple[list[str], list[int], float, np.ndarray]  # names, parents (the root's is -1), seconds a frame, [T, J, 3]


def read_with_pybvh(path: Path) -> Read:
    clip = pybvh.read_bvh_file(path, world_up="+y")
    names = list(clip.joint_names)
    parents = dict((child, parent) for child, parent in clip.edges)
    return names, [parents.get(j, -1) for j in range(len(names))], clip.frame_time, clip.joint_positions()


def read_with_pymotion(path: Path) -> Read:
    clip = BVH()
    clip.load(str(path))
    rotations, positions, parents, offsets, _, _ = clip.get_data()
    offsets[0] = 0  # the position channels are the root's place, not an addition to its OFFSET
    places, _ = fk(rotations, positions[:, 0], offsets, parents)
    return list(clip.data["names"]), [-1, *parents[1:].tolist()], clip.data["frame_time"], places


@pytest.mark.parametrize("read", [read_with_pybvh, read_with_pymotion])
@pytest.mark.parametrize("unit", ["m", "cm"])
def test_another_reader_finds_our_joints(read: Callable[[Path], Read], unit: str, tmp_path: Path) -> None:
    path = tmp_path / "out.bvh"
    samples = load_samples()
    for sample in samples if unit == "m" else samples[::10]:
        motion = sample.motion.to(dtype=torch.float64)
        write_bvh(path, motion, unit=unit)
        names, parents, frame_time, places = read(path)
        assert sorted(names) == sorted(JOINT_NAMES)
        for joint, parent in enumerate(PARENTS):
            there = parents[names.index(JOINT_NAMES[joint])]
            assert (names[there] if there >= 0 else None) == (JOINT_NAMES[parent] if parent >= 0 else None)
        assert frame_time == pytest.approx(1 / 30, abs=1e-6)
        metres = places[:, [names.index(name) for name in JOINT_NAMES]] / {"m": 1, "cm": 100}[unit]
        assert np.abs(metres - motion.joints("rotations").numpy()).max() < 1e-4, sample.name
