"""TableLab as an `Env`: world, cameras and pictures put together."""

from __future__ import annotations

import math

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.observation import VIEWS, Observation
from motionlab.vla.table_lab.cameras import cameras
from motionlab.vla.table_lab.render import render, scenery
from motionlab.vla.table_lab.shapes import COLOURS
from motionlab.vla.table_lab.world import TableState, advance, check_action, on_plate, sample

TASKS = tuple(f"pick up the {colour} cube and place it on the yellow plate" for colour in COLOURS)
"""All three cubes are always there, so a policy that does not read the instruction is right one time in three."""
LEAST_SIZE, MOST_SIZE = 8, 1024  # pixels


class TableLab:
    """The table-top world.

    Args:
        image_size: edge of the square pictures, in pixels.

    Raises:
        InputError: a size that is not from 8 to 1024, a task or seed that does not exist.

    >>> env = TableLab(image_size=32)
    >>> seen = env.reset(task=1, seed=0)
    >>> env.instruction, seen.images["agentview"].shape
    ('pick up the green cube and place it on the yellow plate', (32, 32, 3))
    """

    def __init__(self, image_size: int = 64) -> None:
        if not LEAST_SIZE <= image_size <= MOST_SIZE:
            expected = f"{LEAST_SIZE} to {MOST_SIZE} pixels"
            raise InputError("image_size", found=image_size, expected=expected, fix="Choose another size.")
        self.image_size = image_size
        self.table = sample(0, 0)

    @property
    def tasks(self) -> tuple[str, ...]:
        return TASKS

    @property
    def instruction(self) -> str:
        return TASKS[self.table.task]

    def reset(self, task: int, seed: int) -> Observation:
        """Begin an episode. Where things lie depends on the seed alone: all tasks of a seed share their table."""
        if task not in range(len(TASKS)):
            raise InputError("task", found=task, expected=f"0 to {len(TASKS) - 1}", fix="Choose one of env.tasks.")
        if seed < 0:
            raise InputError("seed", found=seed, expected="0 or more", fix="Choose another seed.")
        self.table = sample(task, seed)
        return self.observe()

    def step(self, action: np.ndarray) -> Observation:
        """Act for one control step and look again.

        Args:
            action: `[7]`; clipped to [-1, 1].

        Raises:
            InputError: another shape, or a number that is not finite.
        """
        self.table = advance(self.table, check_action(action))
        return self.observe()

    def success(self) -> bool:
        """Whether the cube that the instruction names lies on the plate, not in the hand."""
        return on_plate(self.table, self.table.task)

    def grasped(self) -> bool:
        """Whether the hand holds the cube that the instruction names."""
        return self.table.held == self.table.task

    def state(self) -> np.ndarray:
        """`[25]` float64, see `TableState`."""
        return self.table.vector()

    def set_state(self, state: np.ndarray) -> Observation:
        """Continue from a state that `state` gave."""
        self.table = TableState.from_vector(state)
        return self.observe()

    def observe(self) -> Observation:
        """Look, without acting."""
        state, both = self.table, cameras(self.image_size, self.table.hand, self.table.yaw)
        scene = scenery(state)
        seen = {view: render(scene, both[view], self.image_size) for view in VIEWS}
        # A hand that points down: half a turn about x, then the yaw about z. Its axis lies in the plane z = 0.
        axis = np.array([math.cos(state.yaw / 2), math.sin(state.yaw / 2), 0.0])
        return Observation(
            images={view: image for view, (image, _) in seen.items()},
            depth={view: depth for view, (_, depth) in seen.items()},
            cameras=both,
            ee_pos=state.hand.copy(),
            ee_ori=math.pi * axis,
            gripper=np.array([state.gap / 2, -state.gap / 2]),
        )
