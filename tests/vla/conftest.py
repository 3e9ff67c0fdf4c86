"""Demonstrations of the table, made once for all tests, and LIBERO files as other programs write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionlab.vla.demonstrations import DemonstrationSettings, make_demonstrations

SETTINGS = DemonstrationSettings(per_task=3, seed=0, image_size=16)


@pytest.fixture(scope="session")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three files of three demonstrations each, 16 px."""
    return make_demonstrations(tmp_path_factory.mktemp("demonstrations"), SETTINGS)


@pytest.fixture
def official(tmp_path: Path) -> Callable[..., Path]:
    """`official(change)`: a file as LIBERO's own script writes it, 11 demonstrations; `change(file)` spoils it."""
    h5py = pytest.importorskip("h5py")

    def write(change: Callable[[Any], object] = lambda file: None, name: str = "libero_demo.hdf5") -> Path:
        path, rng = tmp_path / name, np.random.default_rng(0)
        with h5py.File(path, "w") as file:
            data = file.create_group("data")
            data.attrs["problem_info"] = json.dumps({"language_instruction": "open the drawer"})
            data.attrs["macros_image_convention"] = "opengl"
            data.attrs["env_args"] = json.dumps({"type": 1})
            for number in range(11):
                length = 4 + number
                demo = data.create_group(f"demo_{number}")
                actions = rng.uniform(-1, 1, (length, 7))
                actions[:, 0], actions[:, 6] = number + np.arange(length) / 100, 1.0
                demo["actions"] = actions
                demo["states"] = rng.normal(size=(length, 5))
                demo["robot_states"] = np.column_stack([np.full((length, 5), 0.1), np.tile([1, 0, 0, 0], (length, 1))])
                obs = demo.create_group("obs")
                for key in ("agentview_rgb", "eye_in_hand_rgb"):
                    obs[key] = rng.integers(0, 255, (length, 8, 8, 3), dtype=np.uint8)
                obs["ee_pos"], obs["ee_ori"] = rng.normal(size=(length, 3)), rng.normal(size=(length, 3))
                obs["gripper_states"] = rng.normal(size=(length, 2))
            change(file)
        return path

    return write
