"""All that the expert knows and no policy does: where everything is, how large it is, what the fingers touch.

All of it is read off the simulator at one moment, in the frame of the world, in metres. Possible obstacles are a
cloud of points on the surfaces of collision shapes, close enough that no finger goes between two of them. That is
enough to choose a grasp that fits and a height that is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.libero_env.package import mujoco
from motionlab.vla.libero_env.simulation import Simulation

PUTS = ("on", "in")  # predicates of goals that the expert can reach
SPACING = 0.015  # metres between points on a surface, at most; a finger is 0.026 wide


@dataclass(frozen=True)
class Thing:
    """A thing, or a place on one.

    Fields:
        place: `[3]` its origin, which LIBERO's checks look at.
        axes: `[3, 3]` its orientation.
        low, high: `[3]` corners of the box around it.
    """

    place: np.ndarray
    axes: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Scene:
    """One moment.

    Fields:
        hand, speed: `[3]` of the grip point, metres and metres a second.
        axes: `[3, 3]` of the body of the hand, whose y the fingers move along.
        shoulder: `[3]` where the upper arm begins, which decides what is within reach.
        gap, gap_speed: between the fingers, metres and metres a second; 0.08 is open.
        target, goal: what is carried, and what it is put on or in.
        touching: whether both fingers touch the target.
        into: whether the goal has walls that the target goes between.
        points: `[N, 3]` on the surfaces of everything else, the goal included.
        of_goal: `[N]` which points belong to the goal.
        rim: radius and height `[2]` of the rim of the target above its origin, in its own frame.
        done: what LIBERO's check says.
    """

    hand: np.ndarray
    speed: np.ndarray
    axes: np.ndarray
    shoulder: np.ndarray
    gap: float
    gap_speed: float
    target: Thing
    goal: Thing
    touching: bool
    into: bool
    points: np.ndarray
    of_goal: np.ndarray
    rim: np.ndarray
    done: bool


class SceneReader:
    """Reads scenes of one simulation.

    Raises:
        InputError: the goal is not to put something on or in something.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        predicate = simulation.task.goal[0]
        things = simulation.official.env.objects_dict
        if not is_put(simulation.task.goal) or predicate[1] not in things:
            goal, fix = " and ".join(" ".join(one) for one in simulation.task.goal), "Choose another task."
            raise InputError("task", found=f"the goal {goal}", expected="one: X on Y, or X in Y", fix=fix)
        model = simulation.model
        self._names = predicate[1:]
        self._into = predicate[0] == "in"
        self._target = model.body(f"{predicate[1]}_main").id
        self._goal_is_site = predicate[2] not in things
        if self._goal_is_site:
            self._goal = model.site(predicate[2]).id
            owner = self._root(int(model.site_bodyid[self._goal]))
        else:
            self._goal = owner = model.body(f"{predicate[2]}_main").id
        solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        bounded = model.geom_size.max(1) < 2  # neither a floor nor a wall of the room
        roots = np.array([self._root(int(body)) for body in model.geom_bodyid])
        robot = {self._root(model.body(name).id) for name in ("robot0_base", "mount0_base") if _has(model, name)}
        table = np.array([model.body(int(root)).name in ("world", "table", "main_table", "floor") for root in roots])
        self._of_target = np.flatnonzero(solid & (roots == self._target))
        self._of_goal = np.flatnonzero(solid & (roots == owner))
        in_the_way = solid & bounded & (roots != self._target) & ~np.isin(roots, list(robot)) & ~table
        others = np.flatnonzero(in_the_way)
        lattices = [surface(model.geom_aabb[shape]) for shape in others]
        self._lattice = np.concatenate([np.zeros((0, 3)), *lattices])  # [P, 3], each in the frame of its shape
        self._owners = np.repeat(others, [len(lattice) for lattice in lattices])  # [P]
        self._finger_dofs = np.array([model.joint(f"gripper0_finger_joint{number}").dofadr[0] for number in (1, 2)])
        corners = self._local_corners()
        self._rim = np.array([np.abs(corners[:, :2]).max(), corners[:, 2].max()])

    def read(self) -> Scene:
        """The scene now."""
        sim, data = self.simulation, self.simulation.data
        fingers, speeds = sim.robot.gripper(data), data.qvel[self._finger_dofs]
        if self._goal_is_site:
            place, axes = data.site_xpos[self._goal], data.site_xmat[self._goal]
        else:
            place, axes = data.xpos[self._goal], data.xmat[self._goal]
        goal_boxes = self._boxes(self._of_goal) if len(self._of_goal) else np.tile(place, (1, 2, 1))
        target_boxes = self._boxes(self._of_target)
        return Scene(
            hand=sim.robot.ee_pos(data),
            speed=self._speed(),
            axes=np.array(data.xmat[sim.robot.hand]).reshape(3, 3),
            shoulder=np.array(data.xanchor[sim.robot.shoulder]),
            gap=float(fingers[0] - fingers[1]),
            gap_speed=float(speeds[0] - speeds[1]),
            target=_thing(data.xpos[self._target], data.xmat[self._target], target_boxes),
            goal=_thing(place, axes, goal_boxes),
            touching=sim.grasped(),
            into=self._into,
            points=self._surface_points(),
            of_goal=np.isin(self._owners, self._of_goal),
            rim=self._rim,
            done=sim.success(),
        )

    def _surface_points(self) -> np.ndarray:
        data = self.simulation.data
        turns = data.geom_xmat[self._owners].reshape(-1, 3, 3)  # [P, 3, 3]
        return np.asarray(data.geom_xpos[self._owners] + np.einsum("nij,nj->ni", turns, self._lattice))

    def _boxes(self, shapes: np.ndarray) -> np.ndarray:
        """`[N, 2, 3]` world boxes around shapes."""
        model, data = self.simulation.model, self.simulation.data
        turns = data.geom_xmat[shapes].reshape(-1, 3, 3)  # [N, 3, 3]
        middles = data.geom_xpos[shapes] + np.einsum("nij,nj->ni", turns, model.geom_aabb[shapes, :3])
        halves = np.einsum("nij,nj->ni", np.abs(turns), model.geom_aabb[shapes, 3:])
        return np.stack([middles - halves, middles + halves], axis=1)

    def _speed(self) -> np.ndarray:
        sim = self.simulation
        jacobian = np.zeros((3, sim.model.nv))
        mujoco().mj_jacSite(sim.model, sim.data, jacobian, None, sim.robot.site)
        return np.asarray(jacobian @ sim.data.qvel)

    def _local_corners(self) -> np.ndarray:
        """`[2 N, 3]` corners of the boxes of the target's shapes, in its own frame."""
        model, mj = self.simulation.model, mujoco()
        found = []
        for shape in self._of_target:
            turn = np.zeros(9)
            mj.mju_quat2Mat(turn, model.geom_quat[shape])
            rotation = turn.reshape(3, 3)
            middle = model.geom_pos[shape] + rotation @ model.geom_aabb[shape, :3]
            half = np.abs(rotation) @ model.geom_aabb[shape, 3:]
            found += [middle - half, middle + half]
        return np.array(found)

    def _root(self, body: int) -> int:
        """The body just below the world that a body hangs on."""
        parents = self.simulation.model.body_parentid
        while body and parents[body]:
            body = int(parents[body])
        return body


def is_put(goal: Sequence[tuple[str, ...]]) -> bool:
    """Whether a goal is one predicate, that one thing is on or in another.

    >>> is_put([("on", "bowl_1", "plate_1")]), is_put([("open", "drawer_1")])
    (True, False)
    """
    return len(goal) == 1 and len(goal[0]) == 3 and goal[0][0] in PUTS


def surface(box: np.ndarray) -> np.ndarray:
    """`[P, 3]` points on the surface of a box `[6]`, its middle and its half edges, at most `SPACING` apart.

    >>> len(surface(np.array([0.0, 0, 0, 0.01, 0.01, 0.01])))  # a cube of 2 cm: 3 x 3 x 3 points without the middle
    26
    """
    steps = [np.linspace(-half, half, max(2, int(np.ceil(2 * half / SPACING)) + 1)) for half in box[3:]]
    lattice = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    outside = (np.abs(np.abs(lattice) - box[3:]) < 1e-9).any(1)
    return np.asarray(box[:3] + lattice[outside])


def _thing(place: np.ndarray, axes: np.ndarray, boxes: np.ndarray) -> Thing:
    return Thing(np.array(place), np.array(axes).reshape(3, 3), boxes[:, 0].min(0), boxes[:, 1].max(0))


def _has(model: object, name: str) -> bool:
    try:
        model.body(name)  # type: ignore[attr-defined]
    except KeyError:
        return False
    return True
