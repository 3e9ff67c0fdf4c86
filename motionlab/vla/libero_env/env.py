"""The tasks of LIBERO as an `Env`: the same doors as the table-top world, the official verdict on success."""

from __future__ import annotations

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.libero_env.package import check_installed
from motionlab.vla.libero_env.pictures import CAMERAS, LEAST_SIZE, MOST_SIZE, Eyes
from motionlab.vla.libero_env.simulation import Simulation
from motionlab.vla.libero_env.steppers import STEPPERS, Stepper
from motionlab.vla.libero_env.suites import suite
from motionlab.vla.libero_env.thinning import LEAST_CELLS, MOST_CELLS, thin_visual_meshes
from motionlab.vla.observation import ACTION_DIMS, OPEN, Observation
from motionlab.vla.table_lab.world import check_action

FIRST_DRAWN = 1_000  # seeds from here on draw an initial state; those below are LIBERO's own, 50 of each task
LEAST_SETTLE = 10  # control steps: things fall from some centimetres up, and the fingers open in about ten
WAIT = np.array([0.0] * (ACTION_DIMS - 1) + [OPEN])


class LiberoEnv:
    """A suite of LIBERO. The number of the initial state takes the place of the seed.

    Results are measured on LIBERO's own initial states, 50 of each task. Seeds from 1,000 on draw other ones in the
    same way, so that a policy can learn from as many as it needs and be tested on all of LIBERO's.

    One task is built at a time; another number in `reset` builds another one, which takes seconds. Close the env, or
    use it in a `with` statement.

    The pictures after a step are 2 ms old, as in LIBERO: robosuite reads its sensors before the last small step ends.

    Args:
        suite_name: such as libero_goal; see `suites.py`.
        image_size: edge of the square pictures, in pixels.
        stepper: "official", robosuite's, for anything that is reported; "own", for demonstrations.
        visual_thinning: None draws as LIBERO does, to the pixel; a number thins the meshes to that many cells
            (`thinning.py`) and leaves out smooth edges and mirror images.
        depth: measure the depth of both pictures as well.
        settle_steps: control steps of doing nothing before the first observation.

    Raises:
        InputError: a setting out of its range, an unknown suite, no library that draws.
        MissingExtra: the extra `libero` is not installed.
    """

    def __init__(
        self,
        suite_name: str = "libero_goal",
        *,
        image_size: int = 64,
        stepper: str = "official",
        visual_thinning: int | None = None,
        depth: bool = True,
        settle_steps: int = LEAST_SETTLE,
    ) -> None:
        check_installed()
        if stepper not in STEPPERS:
            raise InputError("stepper", found=repr(stepper), expected=" or ".join(STEPPERS), fix="Choose one of them.")
        if not LEAST_SIZE <= image_size <= MOST_SIZE:
            expected = f"{LEAST_SIZE} to {MOST_SIZE} pixels"
            raise InputError("image_size", found=image_size, expected=expected, fix="Choose another size.")
        if visual_thinning is not None and not LEAST_CELLS <= visual_thinning <= MOST_CELLS:
            expected, fix = f"None, or {LEAST_CELLS} to {MOST_CELLS} cells", "Choose another number."
            raise InputError("visual_thinning", found=visual_thinning, expected=expected, fix=fix)
        if settle_steps < LEAST_SETTLE:
            fix = "Wait longer: things are still falling."
            raise InputError("settle_steps", found=settle_steps, expected=f"{LEAST_SETTLE} or more", fix=fix)
        self.suite_name, self.image_size, self.depth = suite_name, image_size, depth
        self.stepper_name, self.visual_thinning, self.settle_steps = stepper, visual_thinning, settle_steps
        self._tasks = suite(suite_name)
        self._states = np.empty((0, 0))
        self._number, self.seed = -1, -1
        self._simulation: Simulation | None = None
        self._stepper: Stepper | None = None
        self._eyes: Eyes | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(task.sentence for task in self._tasks)

    @property
    def instruction(self) -> str:
        self.simulation  # noqa: B018 - no task is on before the first reset
        return self._tasks[self._number].sentence

    @property
    def task(self) -> int:
        """Number of the task that is on; -1 before the first reset."""
        return self._number

    @property
    def simulation(self) -> Simulation:
        """Model and data of the task that is on.

        Raises:
            InputError: none is, yet or any more.
        """
        if self._simulation is None:
            raise InputError("env", found="no task", expected="a task that is on", fix="Call reset first.")
        return self._simulation

    def n_states(self, task: int) -> int:
        """How many initial states LIBERO has for a task; these seeds, and those from `FIRST_DRAWN` on, are valid."""
        return len(self._tasks[self._checked(task)].initial_states())

    def reset(self, task: int, seed: int) -> Observation:
        """Begin an episode from the initial state `seed` of a task: the same in every process.

        Raises:
            InputError: a task or an initial state that does not exist.
        """
        self.begin(task, seed)
        return self.observe()

    def begin(self, task: int, seed: int) -> None:
        """`reset` without the look, where nobody needs pictures."""
        if self._checked(task) != self._number:
            self._build(task)
        if not (0 <= seed < len(self._states) or FIRST_DRAWN <= seed < 2**32):
            expected = (
                f"0 to {len(self._states) - 1}, initial states of this task, or {FIRST_DRAWN} and more: drawn ones"
            )
            raise InputError("seed", found=seed, expected=expected, fix="Choose another one.")
        self.seed = seed
        drawn = seed >= FIRST_DRAWN
        self.simulation.begin(self.simulation.draw_state(seed) if drawn else self._states[seed])
        assert self._stepper is not None
        self._stepper.begin()
        for _ in range(self.settle_steps):
            self._stepper.step(WAIT)

    def step(self, action: np.ndarray) -> Observation:
        """Act for one control step of 50 ms and look again.

        Args:
            action: `[7]`, clipped to [-1, 1]. Of the gripper only the sign counts; 0 holds it where it was told to be.

        Raises:
            InputError: another shape, or a number that is not finite, which LIBERO itself would take.
        """
        self.act(action)
        return self.observe()

    def act(self, action: np.ndarray) -> None:
        """`step` without the look, where nobody needs pictures."""
        checked = check_action(action)
        self.simulation  # noqa: B018 - refuses before the first reset
        assert self._stepper is not None
        self._stepper.step(checked)

    def success(self) -> bool:
        """The answer of LIBERO's `check_success`."""
        return self.simulation.success()

    def grasped(self) -> bool:
        """Whether both fingers touch a thing that the goal moves."""
        return self.simulation.grasped()

    def state(self) -> np.ndarray:
        """`[1 + nq + nv + 11 + nv]` float64: the state of LIBERO's files, then the memory of the stepper."""
        assert self._stepper is not None
        return np.concatenate([self.simulation.joints(), self._stepper.memory()])

    def set_state(self, state: np.ndarray) -> Observation:
        """Continue from a state.

        With all numbers that `state` gave, the same actions lead to the same places. With the `[1 + nq + nv]` of
        LIBERO's files they do not: these leave out how far the fingers were told to be, the orientation that is held,
        and where the solver starts; pictures of such a state are right, steps from it are only near.

        Raises:
            InputError: a state of another task, or NaN.
        """
        short = 1 + self.simulation.model.nq + self.simulation.model.nv
        assert self._stepper is not None
        memory, whole = state[short:], short + len(self._stepper.memory())
        if len(state) not in (short, whole) or not np.isfinite(state).all():
            found, fix = f"shape {state.shape}, or NaN", "Give a state of the same task."
            raise InputError("state", found=found, expected=f"{short} or {whole} finite numbers", fix=fix)
        self.simulation.set_joints(np.asarray(state[:short], dtype=np.float64))
        if len(memory):
            self._stepper.remember(memory)
        return self.observe()

    def observe(self) -> Observation:
        """Look, without acting."""
        sim, eyes = self.simulation, self._eyes
        if eyes is None:
            eyes = self._eyes = Eyes(sim.model, self.image_size, quick=self.visual_thinning is not None)
        seen = {view: eyes.look(sim.data, view, self.depth) for view in CAMERAS}
        return Observation(
            images={view: image for view, (image, _) in seen.items()},
            depth={view: depth for view, (_, depth) in seen.items() if depth is not None},
            cameras=eyes.cameras(sim.data),
            ee_pos=sim.robot.ee_pos(sim.data),
            ee_ori=sim.robot.ee_ori(sim.data),
            gripper=sim.robot.gripper(sim.data),
        )

    def close(self) -> None:
        """Free pictures and simulation; `reset` builds them again."""
        if self._eyes is not None:
            self._eyes.close()
        if self._simulation is not None:
            self._simulation.close()
        self._eyes = self._simulation = self._stepper = None
        self._number = -1

    def __enter__(self) -> LiberoEnv:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _build(self, task: int) -> None:
        self.close()
        states = self._tasks[task].initial_states()
        simulation = Simulation(self._tasks[task])
        if self.visual_thinning is not None:
            thin_visual_meshes(simulation.model, self.visual_thinning)
        self._simulation, self._stepper = simulation, STEPPERS[self.stepper_name](simulation)
        self._states, self._number = states, task

    def _checked(self, task: int) -> int:
        if task not in range(len(self._tasks)):
            expected, fix = f"0 to {len(self._tasks) - 1}", "Choose one of env.tasks."
            raise InputError("task", found=task, expected=expected, fix=fix)
        return task
