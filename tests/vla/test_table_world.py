"""The physics of the table and the expert that solves it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.vla.observation import CLOSE, OPEN
from motionlab.vla.table_lab.expert import expert_action
from motionlab.vla.table_lab.shapes import CUBE, GAP_MOST, HALF, PLATE_RADIUS, PLATE_TOP, TIP
from motionlab.vla.table_lab.world import (
    METRES,
    RADIANS,
    REACH,
    SPREAD,
    TableState,
    advance,
    check_action,
    on_plate,
    sample,
    wrapped,
)

FAR = [[0.2, 0.2, HALF, 0.0], [0.2, -0.2, HALF, 0.0]]


def state(hand=(0.0, 0.0, 0.15), yaw=0.0, gap=GAP_MOST, cube=(0.0, 0.0, HALF, 0.0), plate=(-0.15, 0.15)):
    """A red cube that matters, two others far away."""
    cubes = np.array([cube, *FAR])
    return TableState(np.array(hand, float), yaw, gap, -1, np.zeros(4), cubes, np.array(plate, float), 0)


def act(dx=0.0, dy=0.0, dz=0.0, yaw=0.0, grip=OPEN):
    return check_action(np.array([dx, dy, dz, 0.0, 0.0, yaw, grip]))


def run(start, policy, steps=60):
    states = [start]
    while len(states) <= steps and not on_plate(states[-1], start.task):
        states.append(advance(states[-1], policy(states[-1])))
    return states


def test_the_expert_succeeds_on_fifty_tables():
    for seed in range(50):
        task = seed % 3
        states = run(sample(task, seed), lambda s: check_action(expert_action(s)), steps=30)
        assert on_plate(states[-1], task), seed
        assert any(s.held == task for s in states)


def test_the_expert_recovers_from_noise():
    for seed in range(30):
        rng = np.random.default_rng(seed)

        def noisy(s, rng=rng):
            return check_action(expert_action(s) + np.append(rng.normal(0, 0.2, 6), 0.0))

        assert on_plate(run(sample(seed % 3, seed), noisy)[-1], seed % 3), seed


def test_the_expert_can_be_asked_for_another_cube():
    start = sample(0, 3)
    states = run(start, lambda s: check_action(expert_action(s, 1)), steps=40)
    assert on_plate(states[-1], 1) and not on_plate(states[-1], 0)


def test_a_unit_is_35_millimetres_and_half_a_radian():
    moved = advance(state(), act(1.0, -0.5, 0.2, yaw=-1.0))
    np.testing.assert_allclose(moved.hand, [METRES, -METRES / 2, 0.15 + 0.2 * METRES], atol=1e-12)
    assert moved.yaw == -RADIANS
    np.testing.assert_array_equal(advance(state(), act(1.0)).hand, advance(state(), act(7.0)).hand)  # clipped


def test_the_hand_stops_on_what_is_below():
    down = state(hand=(0.1, 0.1, 0.05))
    for _ in range(4):
        down = advance(down, act(dz=-1.0))
    assert down.hand[2] == pytest.approx(TIP)  # the tips on the table
    below = state(hand=(0.0, 0.048, 0.10))  # a finger above the cube
    for _ in range(4):
        below = advance(below, act(dz=-1.0))
    assert below.hand[2] == pytest.approx(CUBE + TIP)
    np.testing.assert_array_equal(below.cubes[0], [0.0, 0.0, HALF, 0.0])
    plate = state(hand=(-0.15, 0.15, 0.05))
    for _ in range(3):
        plate = advance(plate, act(dz=-1.0))
    assert plate.hand[2] == pytest.approx(PLATE_TOP + TIP)


def test_a_cube_between_the_fingers_is_held_centred_and_lifted():
    held = advance(state(hand=(0.01, 0.012, HALF), yaw=0.2), act(grip=CLOSE))
    assert held.held == 0 and held.gap == CUBE
    along = np.array([math.cos(0.2), math.sin(0.2)]) @ (held.cubes[0, :2] - held.hand[:2])
    np.testing.assert_allclose(held.cubes[0, :2], held.hand[:2] + along * np.array([math.cos(0.2), math.sin(0.2)]))
    assert held.cubes[0, 3] == pytest.approx(0.2)
    up = advance(held, act(dx=1.0, dz=1.0, yaw=0.5, grip=CLOSE))
    assert up.cubes[0, 2] == pytest.approx(HALF + METRES)
    assert up.cubes[0, 3] == pytest.approx(0.2 + RADIANS / 2)
    assert up.held == 0 and up.gap == CUBE


@pytest.mark.parametrize(
    ("hand", "yaw"),
    [((0.02, 0.0, HALF), 0.0), ((0.0, 0.0, 0.045), 0.0), ((0.0, 0.0, HALF), 0.55), ((0.05, 0, HALF), 0)],
)
def test_a_cube_that_lies_badly_is_not_held(hand, yaw):
    closed = state(hand=hand, yaw=yaw)
    for _ in range(3):
        closed = advance(closed, act(grip=CLOSE))
    assert closed.held == -1


def test_fingers_close_fully_on_nothing_and_stop_on_a_cube():
    assert advance(advance(state(), act(grip=CLOSE)), act(grip=CLOSE)).gap == 0.0
    held = state(hand=(0.0, 0.0, HALF))
    for _ in range(3):
        held = advance(held, act(grip=CLOSE))
    assert held.gap == CUBE


def test_a_released_cube_falls_onto_what_is_below():
    held = advance(state(hand=(0.0, 0.0, HALF)), act(grip=CLOSE))
    table = advance(advance(held, act(dz=1.0, grip=CLOSE)), act(grip=OPEN))
    assert table.cubes[0, 2] == HALF and not on_plate(table, 0)
    above = replace(held, plate=np.array([0.03, 0.0]))
    above = advance(above, act(dz=1.0, grip=CLOSE))
    assert not on_plate(above, 0)  # in the hand is not on the plate
    assert on_plate(advance(above, act(grip=OPEN)), 0)
    tower = replace(held, cubes=np.array([held.cubes[0], [METRES, 0.0, HALF, 0.3], FAR[1]]))
    tower = advance(advance(tower, act(dz=1.0, grip=CLOSE)), act(dz=1.0, grip=CLOSE))
    tower = advance(advance(tower, act(dx=1.0, grip=CLOSE)), act(grip=OPEN))
    assert tower.cubes[0, 2] == pytest.approx(CUBE + HALF)


def test_the_upper_cube_of_a_tower_falls_when_the_lower_one_goes():
    tower = state(hand=(0.0, 0.0, HALF))
    tower = replace(tower, cubes=np.array([tower.cubes[0], [0.0, 0.0, CUBE + HALF, 0.0], FAR[1]]))
    still = advance(tower, act())
    np.testing.assert_array_equal(still.cubes, tower.cubes)
    gone = advance(advance(advance(tower, act(grip=CLOSE)), act(dx=1.0, grip=CLOSE)), act(dx=1.0, grip=CLOSE))
    assert gone.held == 0 and gone.cubes[0, 0] == pytest.approx(2 * METRES)
    assert gone.cubes[1, 2] == HALF


def test_a_cube_beside_the_plate_is_not_on_it():
    edge = state(cube=(0.0, 0.0, HALF, 0.0), plate=(PLATE_RADIUS + 0.001, 0.0))
    assert not on_plate(edge, 0)


def test_fingers_push_from_the_side_and_cubes_push_cubes():
    start = state(hand=(-0.06, 0.0, HALF), gap=0.0)
    start = replace(start, cubes=np.array([[0.0, 0.0, HALF, 0.0], [0.045, 0.0, HALF, 0.0], FAR[1]]))
    pushed = start
    for _ in range(3):
        pushed = advance(pushed, act(dx=1.0, grip=0.0))
    assert pushed.cubes[0, 0] == pytest.approx(pushed.hand[0] + HALF + 0.006)
    assert pushed.cubes[1, 0] - pushed.cubes[0, 0] >= CUBE - 1e-9
    np.testing.assert_array_equal(pushed.cubes[2], start.cubes[2])


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_layouts_are_apart_and_the_same_for_every_task(seed):
    first, other = sample(0, seed), sample(2, seed)
    np.testing.assert_array_equal(first.vector()[:-1], other.vector()[:-1])
    gaps = [np.hypot(*(first.cubes[i, :2] - first.cubes[j, :2])) for i in range(3) for j in range(i)]
    assert min(gaps) >= SPREAD
    assert not any(on_plate(first, number) for number in range(3))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 2**32 - 1))
def test_any_actions_keep_the_world_whole(seed, noise):
    """Cubes stay on or above the table, within reach of the hand, and the fingers within their travel."""
    s, rng = sample(seed % 3, seed), np.random.default_rng(noise)
    for _ in range(30):
        s = advance(s, check_action(rng.uniform(-1.5, 1.5, 7) * [1, 1, 1, 1, 1, 1, 3]))
        assert np.isfinite(s.vector()).all()
        assert 0.0 <= s.gap <= GAP_MOST and s.hand[2] >= TIP - 1e-9
        assert (s.cubes[:, 2] >= HALF - 1e-9).all() and (np.abs(s.cubes[:, :2]) < 0.33).all()
        assert all(low - 1e-9 <= s.hand[i] <= high + 0.2 for i, (low, high) in enumerate(REACH))


@settings(deadline=None)
@given(st.floats(-50, 50))
def test_wrapped_is_the_same_turn_of_a_cube(angle):
    result = wrapped(angle)
    assert -math.pi / 4 - 1e-9 <= result <= math.pi / 4 + 1e-9
    assert math.isclose(math.sin(4 * result), math.sin(4 * angle), abs_tol=1e-9)


def test_a_vector_gives_the_state_back():
    vector = advance(state(hand=(0.0, 0.0, HALF)), act(grip=CLOSE)).vector()
    np.testing.assert_array_equal(TableState.from_vector(vector).vector(), vector)


@pytest.mark.parametrize("bad", [np.zeros(24), np.full(25, np.nan), np.full(25, 5.0)])
def test_a_state_that_is_none_is_refused(bad):
    with pytest.raises(InputError, match="25 finite numbers"):
        TableState.from_vector(bad)


@pytest.mark.parametrize("bad", [np.zeros(6), np.full(7, np.nan), np.array([np.inf] * 7)])
def test_an_action_that_is_none_is_refused(bad):
    with pytest.raises(InputError, match="action: found .*, expected 7 finite numbers"):
        check_action(bad)
