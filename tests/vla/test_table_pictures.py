"""Pictures, depth and cameras of the table, and TableLab as an env."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.vla.observation import VIEWS, Camera, Observation
from motionlab.vla.table_lab.cameras import cameras, intrinsics, look_at, project, unproject
from motionlab.vla.table_lab.env import TASKS, TableLab
from motionlab.vla.table_lab.expert import expert_action
from motionlab.vla.table_lab.render import Scenery, render, scenery
from motionlab.vla.table_lab.shapes import CUBE, HALF, PLATE_RADIUS, PLATE_TOP, Box
from motionlab.vla.table_lab.world import sample

SIZE = 64
RED = (0.86, 0.13, 0.12)


def outside(box: Box, points: np.ndarray) -> np.ndarray:
    """Signed distance of points from the surface of a box, negative inside; only small values are exact."""
    d = points - np.array(box.centre)
    c, s = math.cos(box.yaw), math.sin(box.yaw)
    local = np.stack([c * d[..., 0] + s * d[..., 1], c * d[..., 1] - s * d[..., 0], d[..., 2]], axis=-1)
    return np.max(np.abs(local) - np.array(box.half), axis=-1)


def rollout(env: TableLab, task: int, seed: int) -> list[Observation]:
    seen = [env.reset(task, seed)]
    while not env.success():
        seen.append(env.step(expert_action(env.table)))
    return seen


def digest(seen: list[Observation]) -> str:
    parts = [o.images[v].tobytes() + o.depth[v].tobytes() + o.state().tobytes() for o in seen for v in VIEWS]
    return hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("view", VIEWS)
def test_depth_of_the_bare_table_is_that_of_the_plane(view):
    camera = cameras(SIZE, np.array([0.05, -0.02, 0.18]), 0.3)[view]
    _, depth = render(Scenery((), None), camera, SIZE)
    lines = np.arange(SIZE) + 0.5
    rays = np.stack([*np.meshgrid(lines, lines), np.ones((SIZE, SIZE))], axis=-1)
    directions = rays @ np.linalg.inv(camera.K).T @ camera.world_from_camera[:3, :3].T
    np.testing.assert_allclose(depth, -camera.world_from_camera[2, 3] / directions[..., 2], rtol=2e-6)


def test_depth_of_a_cube_from_straight_above_is_that_of_its_upper_side():
    camera = Camera(intrinsics(SIZE, 30.0), look_at(np.array([0, 0, 0.5]), np.zeros(3), np.array([1.0, 0, 0])))
    _, depth = render(Scenery((Box((0, 0, HALF), (HALF,) * 3, 0.0, RED),), None), camera, SIZE)
    top = np.isclose(depth, 0.5 - CUBE, atol=1e-6)
    edge = CUBE * camera.K[0, 0] / (0.5 - CUBE)  # pixels
    assert abs(math.sqrt(top.sum()) - edge) < 1.0
    np.testing.assert_allclose(depth[~top], 0.5, atol=1e-6)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("seed", range(4))
def test_every_pixel_lies_on_something(view, seed):
    """Unprojected depth: each point is on the plane, the plate, or the surface of a box, inside of nothing."""
    env = TableLab(SIZE)
    env.reset(seed % 3, seed)
    for _ in range(9):
        seen = env.step(expert_action(env.table))
    scene = scenery(env.table)
    points = unproject(seen.depth[view], seen.cameras[view])
    distances = np.stack([outside(box, points) for box in scene.boxes])
    assert scene.plate is not None
    over_plate = np.hypot(points[..., 0] - scene.plate[0], points[..., 1] - scene.plate[1]) < PLATE_RADIUS + 1e-5
    plane = np.abs(points[..., 2])
    plate = np.where(over_plate & (points[..., 2] > -1e-5), np.maximum(points[..., 2] - PLATE_TOP, 0.0), 1.0)
    on_something = np.minimum(np.minimum(np.abs(distances).min(axis=0), plane), plate)
    assert on_something.max() < 1e-5
    assert distances.min() > -1e-5


def test_both_views_agree_on_places():
    """A point that the wrist sees is where the other camera sees it, unless something hides it there."""
    env = TableLab(128)
    seen = env.reset(0, 5)
    points = unproject(seen.depth["eye_in_hand"], seen.cameras["eye_in_hand"]).reshape(-1, 3)
    pixels, depth = project(points, seen.cameras["agentview"])
    inside = ((pixels > 0) & (pixels < 128)).all(axis=1)
    columns, rows = pixels[inside].astype(int).T
    there = seen.depth["agentview"][rows, columns]
    nearer = there < depth[inside] - 0.01  # hidden by the hand
    off = np.abs(there - depth[inside])[~nearer]
    assert inside.mean() > 0.5 and nearer.mean() < 0.5
    assert np.quantile(off, 0.95) < 0.006  # metres: within the footprint of a pixel
    colours = seen.images["agentview"][rows, columns][~nearer]
    own = seen.images["eye_in_hand"].reshape(-1, 3)[inside][~nearer]
    assert (np.abs(colours.astype(int) - own).max(axis=1) < 12).mean() > 0.9  # and in the same colour


def test_pictures_are_upright_and_not_mirrored():
    """The hand is above the table in the outer view; the robot's left is on the right of who faces it."""
    env = TableLab(SIZE)
    seen = env.reset(0, 0)
    pixel, depth = project(seen.ee_pos + [[0, 0, 0], [0, 0, 0.05], [0, 0.05, 0]], seen.cameras["agentview"])
    assert pixel[1, 1] < pixel[0, 1]  # higher up in the world, higher up in the picture
    assert pixel[2, 0] > pixel[0, 0]
    for number, colour in enumerate((0, 1, 2)):  # each cube has its colour where its middle is projected to
        state = replace(env.table, hand=np.array([-0.2, -0.2, 0.25]))
        image, _ = render(scenery(state), seen.cameras["agentview"], SIZE)
        (x, y), _ = project(state.cubes[number, :3], seen.cameras["agentview"])
        assert image[int(y), int(x)].argmax() == colour


def test_the_wrist_sees_both_fingers_at_its_lower_edge():
    env = TableLab(SIZE)
    seen = env.reset(0, 0)
    lower = seen.images["eye_in_hand"][SIZE // 2 :].astype(int)
    dark = (lower.max(axis=2) < 60).mean(axis=(0,))
    assert dark[: SIZE // 2].max() > 0.3 and dark[SIZE // 2 :].max() > 0.3 and dark[SIZE // 2] < 0.2


def test_boxes_shade_the_table():
    camera = Camera(intrinsics(SIZE, 40.0), look_at(np.array([0, 0, 0.5]), np.zeros(3), np.array([1.0, 0, 0])))
    image, depth = render(Scenery((Box((0, 0, 0.1), (0.03,) * 3, 0.0, RED),), None), camera, SIZE)
    table = image[depth > 0.499].astype(int).sum(axis=1)
    assert 0.02 < (table < 0.6 * table.max()).mean() < 0.5


def test_executed_actions_replay_bit_for_bit():
    env = TableLab(32)
    rng = np.random.default_rng(0)
    start = env.reset(1, 7)
    state, actions, seen = env.state(), [], [start]
    for _ in range(15):
        actions.append(expert_action(env.table) + np.append(rng.normal(0, 0.2, 6), 0))
        seen.append(env.step(actions[-1]))
    other = TableLab(32)
    again = [other.set_state(state)] + [other.step(action) for action in actions]
    assert digest(again) == digest(seen)
    np.testing.assert_array_equal(other.state(), env.state())


def test_every_process_sees_the_same():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.vla.test_table_pictures import *\n"
        "print(digest(rollout(TableLab(32), 2, 11)))"
    )
    root = __file__.rsplit("/tests/", 1)[0]
    printed = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == digest(rollout(TableLab(32), 2, 11))


def test_the_env_says_what_it_is_about():
    env = TableLab(16)
    assert env.tasks == TASKS and len(TASKS) == 3
    env.reset(2, 0)
    assert "blue" in env.instruction and not env.success() and not env.grasped()
    held = [env.grasped() for _ in range(25) if not env.success() and env.step(expert_action(env.table))]
    assert any(held) and env.success() and not env.grasped()


def test_an_observation_has_the_shapes_that_it_promises():
    seen = TableLab(16).reset(0, 0)
    for view in VIEWS:
        assert seen.images[view].shape == (16, 16, 3) and seen.images[view].dtype == np.uint8
        assert seen.depth[view].shape == (16, 16) and seen.depth[view].dtype == np.float32
        np.testing.assert_allclose(np.linalg.det(seen.cameras[view].world_from_camera), 1.0)
    assert seen.state().shape == (8,) and seen.state().dtype == np.float32
    assert np.linalg.norm(seen.ee_ori) == pytest.approx(math.pi)
    assert seen.gripper[0] == -seen.gripper[1] > 0


def test_the_orientation_is_that_of_a_hand_which_points_down_and_is_turned():
    """Rodrigues' formula on ee_ori: the hand's z looks down, and its x is where the yaw says."""
    env = TableLab(16)
    seen = env.reset(0, 3)
    x, y, z = seen.ee_ori / np.linalg.norm(seen.ee_ori)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + 2 * k @ k  # half a turn
    np.testing.assert_allclose(rotation[:, 2], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(rotation[:, 0], [math.cos(env.table.yaw), math.sin(env.table.yaw), 0], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TableLab(4), "image_size: found 4"),
        (lambda: TableLab(16).reset(3, 0), "task: found 3, expected 0 to 2"),
        (lambda: TableLab(16).reset(0, -1), "seed: found -1"),
        (lambda: TableLab(16).step(np.full(7, np.nan)), "action: found NaN"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_two_seeds_are_two_tables():
    assert not np.array_equal(sample(0, 0).vector(), sample(0, 1).vector())
