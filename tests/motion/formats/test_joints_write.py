"""Places of joints, as a table and as arrays."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.joints_write import write_joints_csv, write_joints_npz
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

SAMPLES = [sample.motion for sample in load_samples()]


@pytest.mark.parametrize("motion", SAMPLES[::6], ids=lambda motion: motion.name)
def test_a_table_has_a_column_for_each_number(motion: Motion, tmp_path: Path) -> None:
    write_joints_csv(tmp_path / "a.csv", motion)
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[:4] == ["time", "pelvis_x", "pelvis_y", "pelvis_z"] and len(header) == 67
    assert header[-1] == "right_wrist_z"
    table = torch.tensor([[float(word) for word in row] for row in rows])
    torch.testing.assert_close(table[:, 1:].reshape(-1, 22, 3), motion.joints(), atol=1e-6, rtol=0)
    torch.testing.assert_close(table[:, 0], torch.arange(len(motion)) / 30, atol=1e-6, rtol=0)


def test_arrays_say_names_tree_and_rate(tmp_path: Path) -> None:
    motion = SAMPLES[0].resample(fps=24)
    write_joints_npz(tmp_path / "a.npz", motion)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["joints"], motion.joints().numpy())
        assert tuple(arrays["names"]) == JOINT_NAMES and tuple(arrays["parents"]) == PARENTS
        assert float(arrays["fps"]) == 24
