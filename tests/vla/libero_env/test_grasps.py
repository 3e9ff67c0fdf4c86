"""Grasps and the expert on scenes that are made up, without the simulator."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from motionlab.vla.libero_env.expert import GENTLE, expert_action
from motionlab.vla.libero_env.grasps import ARM, FREE, Grasp, air, candidates, choose_grasp, rim_grasp, stretch
from motionlab.vla.libero_env.scene import SPACING, Scene, Thing, surface
from motionlab.vla.observation import CLOSE, OPEN

DOWN = np.diag([1.0, -1.0, -1.0])


def box(place: list[float], size: list[float]) -> Thing:
    middle, half = np.array(place), np.array(size) / 2
    return Thing(middle, np.eye(3), middle - half, middle + half)


@pytest.fixture
def scene() -> Scene:
    """A bowl of 10 cm on a table at height 0, a plate next to it, an open hand above, nothing in the way."""
    return Scene(
        hand=np.array([0.0, 0.0, 0.25]), speed=np.zeros(3), axes=DOWN, shoulder=np.array([-0.5, 0.0, 0.35]),
        gap=0.078, gap_speed=0.0,
        target=box([0.1, 0.1, 0.025], [0.1, 0.1, 0.05]), goal=box([0.1, -0.2, 0.01], [0.14, 0.14, 0.02]),
        touching=False, into=False, points=np.zeros((0, 3)), of_goal=np.zeros(0, dtype=bool),
        rim=np.array([0.05, 0.025]), done=False,
    )  # fmt: skip


def test_a_bowl_is_taken_by_its_rim_and_a_can_across(scene: Scene) -> None:
    grasp = choose_grasp(scene)
    assert math.hypot(*(grasp.place[:2] - scene.target.place[:2])) == pytest.approx(0.045)
    assert grasp.angle == pytest.approx(math.pi / 2)  # along y: no turn
    can = replace(scene, target=box([0.1, 0.1, 0.04], [0.06, 0.06, 0.08]))
    np.testing.assert_allclose(choose_grasp(can).place[:2], [0.1, 0.1])


def test_a_narrow_side_decides_the_turn(scene: Scene) -> None:
    assert [one.angle for one in candidates(replace(scene, target=box([0, 0, 0.01], [0.1, 0.04, 0.02])))] == [
        math.pi / 2
    ]
    assert [one.angle for one in candidates(replace(scene, target=box([0, 0, 0.01], [0.04, 0.1, 0.02])))] == [0.0]


def test_a_wall_beside_the_bowl_moves_the_grasp(scene: Scene) -> None:
    wall = surface(np.array([0.1, 0.19, 0.05, 0.1, 0.005, 0.05]))
    grasp = choose_grasp(replace(scene, points=wall))
    assert grasp.place[1] < 0.1  # on the other side of the bowl
    assert air(grasp, wall) >= FREE > air(rim_grasp(scene, math.pi / 2), wall)


def test_a_rim_out_of_reach_is_taken_on_its_near_side(scene: Scene) -> None:
    far = replace(scene, shoulder=np.array([0.1, -0.68, 0.2]))
    assert stretch(candidates(far)[0].place, far.shoulder) > ARM  # preferred, and the arm would be straight there
    grasp = choose_grasp(far)
    assert grasp.place[1] < 0.1 and stretch(grasp.place, far.shoulder) <= ARM
    # A wall on the near side leaves a grasp that fits on the far side alone: reach counts for more.
    wall = surface(np.array([0.1, 0.01, 0.05, 0.1, 0.005, 0.05]))
    walled = choose_grasp(replace(far, points=wall))
    assert stretch(walled.place, far.shoulder) <= ARM
    assert stretch(choose_grasp(replace(scene, points=wall)).place, far.shoulder) > ARM


def test_a_bowl_that_is_out_of_reach_is_tried_all_the_same(scene: Scene) -> None:
    grasp = choose_grasp(replace(scene, shoulder=np.array([0.1, -2.0, 0.2])))
    np.testing.assert_array_equal(grasp.place, choose_grasp(scene).place)


def test_the_rim_of_a_tilted_bowl_is_tilted(scene: Scene) -> None:
    tilt = 0.3
    cos, sin = math.cos(tilt), math.sin(tilt)
    axes = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])  # the side towards y goes up
    tilted = replace(scene, target=replace(scene.target, axes=axes))
    up, down = rim_grasp(tilted, math.pi / 2), rim_grasp(tilted, -math.pi / 2)
    assert up.place[2] - down.place[2] == pytest.approx(2 * 0.045 * sin)


def test_air_turns_with_the_hand() -> None:
    point = np.array([[0.1, 0.0, 0.0]])
    along, across = air(Grasp(np.zeros(3), 0.0), point), air(Grasp(np.zeros(3), math.pi / 2), point)
    assert along == pytest.approx(0.032) and across == pytest.approx(0.065)


def test_no_finger_goes_between_two_points_of_a_surface() -> None:
    points = surface(np.array([0.0, 0, 0, 0.1, 0.05, 0.0]))
    for axis in range(2):
        assert np.diff(np.unique(points[:, axis].round(9))).max() <= SPACING + 1e-9


def test_the_expert_goes_up_before_it_goes_sideways(scene: Scene) -> None:
    tower = surface(np.array([0.05, 0.05, 0.2, 0.01, 0.01, 0.2]))  # 40 cm high, on the way
    action = expert_action(replace(scene, points=tower))
    assert action[2] == 1.0 and action[0] == action[1] == 0.0 and action[6] == OPEN


def test_the_expert_closes_at_the_grasp_and_lifts_when_the_fingers_rest(scene: Scene) -> None:
    at = replace(scene, hand=choose_grasp(scene).place)
    assert expert_action(at)[6] == CLOSE
    closing = replace(at, gap=0.03, gap_speed=-0.2)
    assert expert_action(closing)[6] == CLOSE and abs(expert_action(closing)[2]) < 0.2
    held = replace(at, gap=0.008, touching=True)
    assert expert_action(held)[6] == CLOSE and expert_action(held)[2] == 1.0


def test_a_bowl_is_lifted_gently_out_of_a_drawer(scene: Scene) -> None:
    held = replace(scene, hand=choose_grasp(scene).place, gap=0.008, touching=True)

    def lift(*things: np.ndarray) -> float:
        points = np.concatenate(things)
        return float(expert_action(replace(held, points=points, of_goal=np.zeros(len(points), dtype=bool)))[2])

    walls = [surface(np.array([x, 0.1, 0.03, 0.005, 0.06, 0.03])) for x in (0.02, 0.18)]
    walls += [surface(np.array([0.1, y, 0.03, 0.06, 0.005, 0.03])) for y in (0.02, 0.18)]
    floor = surface(np.array([0.1, 0.1, -0.005, 0.2, 0.2, 0.005]))
    assert lift(floor, *walls) == pytest.approx(GENTLE)
    assert lift(floor) == 1.0
    for missing in range(4):
        assert lift(floor, *walls[:missing], *walls[missing + 1 :]) == 1.0


def test_fingers_that_closed_on_nothing_open_again(scene: Scene) -> None:
    at = replace(scene, hand=choose_grasp(scene).place, gap=0.001)
    assert expert_action(at)[6] == OPEN


def test_a_tilted_hand_is_put_straight(scene: Scene) -> None:
    cos, sin = math.cos(0.1), math.sin(0.1)
    tilted = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ DOWN
    np.testing.assert_allclose(
        expert_action(replace(scene, axes=tilted))[3:6], [-0.2, 0, 0], atol=1e-6
    )  # radians / 0.5


def test_when_it_is_done_the_hand_opens_and_rises(scene: Scene) -> None:
    action = expert_action(replace(scene, done=True))
    assert action[6] == OPEN and action[2] > 0
