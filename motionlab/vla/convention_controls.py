"""Controls of a closed loop: change one convention between policy and world, and see what success is left.

Most reports of "the loss is small, the success is 0" come from one of these: a picture turned differently in
evaluation, a gripper with the other sign, pictures normalised twice. A loss on stored data cannot show them, since
there everything is turned the same way. The control with another instruction is different: it asks whether the words
are used at all; success on the task that was NOT named should be near 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.closed_loop import Policy, TogetherPolicy
from motionlab.vla.observation import VIEWS, Observation

# Of ImageNet, as most backbones take them off.
_MEAN, _SD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
Picture = np.ndarray  # uint8 [H, W, 3]


@dataclass(frozen=True)
class Control:
    """Changes on the way into a policy and out of it; each default changes nothing.

    Fields:
        name: for tables.
        see: the observation that the policy gets.
        hear: (instruction, all instructions) -> the instruction that it gets.
        act: its action -> the action that the world gets.
    """

    name: str
    see: Callable[[Observation], Observation] = lambda observation: observation
    hear: Callable[[str, Sequence[str]], str] = lambda instruction, _: instruction
    act: Callable[[np.ndarray], np.ndarray] = lambda action: action


class Controlled:
    """A policy behind a control: a policy itself.

    Args:
        tasks: all instructions of the env.
    """

    def __init__(self, policy: Policy, control: Control, tasks: Sequence[str]) -> None:
        self.policy, self.control, self.tasks = policy, control, tuple(tasks)

    def __call__(self, observation: Observation, instruction: str) -> np.ndarray:
        heard = self.control.hear(instruction, self.tasks)
        return self.control.act(np.array(self.policy(self.control.see(observation), heard)))

    @property
    def acts_together(self) -> bool:
        """Whether the policy inside does; a control remembers nothing."""
        return bool(getattr(self.policy, "acts_together", False))

    def act_together(self, observations: Sequence[Observation], instructions: Sequence[str]) -> list[np.ndarray]:
        """An action for each observation."""
        seen = [self.control.see(observation) for observation in observations]
        heard = [self.control.hear(instruction, self.tasks) for instruction in instructions]
        return [
            self.control.act(np.array(action)) for action in cast(TogetherPolicy, self.policy).act_together(seen, heard)
        ]

    def reset(self) -> None:
        """Begin an episode."""
        reset = getattr(self.policy, "reset", None)
        if reset is not None:
            reset()


def other_instruction(instruction: str, tasks: Sequence[str]) -> str:
    """The instruction that follows in the list.

    Raises:
        InputError: there is no other one.
    """
    if instruction not in tasks or len(tasks) < 2:
        raise InputError("tasks", found=list(tasks), expected="this instruction and another", fix="Leave this out.")
    return tasks[(list(tasks).index(instruction) + 1) % len(tasks)]


def blind(pictures: Mapping[str, Picture]) -> Control:
    """The same pictures whatever there is to see: what success is left is owed to the words, the state and habit.

    Args:
        pictures: view -> the mean picture of the training episodes. A black one would be unlike all that the policy
            has seen, and its failure would say less.
    """
    return Control("the mean picture, always", see=lambda seen: replace(seen, images=dict(pictures)))


def _pictures(change: Callable[[Picture], Picture]) -> Callable[[Observation], Observation]:
    """Change every picture; depth and cameras, which describe the unchanged ones, stay."""

    def see(observation: Observation) -> Observation:
        changed = {view: np.ascontiguousarray(change(image)) for view, image in observation.images.items()}
        return replace(observation, images=changed)

    return see


def _swap_views(observation: Observation) -> Observation:
    other = dict(zip(VIEWS, reversed(VIEWS), strict=True))
    return replace(observation, images={view: observation.images[other[view]] for view in observation.images})


def _normalise(image: Picture) -> Picture:
    """ImageNet's normalising, clamped to [0, 1] as pipelines do; the policy then normalises once more."""
    values = (image / 255 - _MEAN) / _SD
    return np.asarray(np.clip(values, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)


def _invert_gripper(action: np.ndarray) -> np.ndarray:
    return np.append(action[:6], -action[6])


def _half_scale(action: np.ndarray) -> np.ndarray:
    return np.append(0.5 * action[:6], action[6])


CONTROLS = (
    Control("unchanged"),
    Control("other instruction", hear=other_instruction),
    Control("images rotated by 180 degrees", see=_pictures(lambda image: image[::-1, ::-1])),
    Control("images flipped vertically", see=_pictures(lambda image: image[::-1])),
    Control("views swapped", see=_swap_views),
    Control("images normalised twice", see=_pictures(_normalise)),
    Control("brightness x 0.7", see=_pictures(lambda image: (image * 0.7 + 0.5).astype(np.uint8))),
    Control("gripper sign inverted", act=_invert_gripper),
    Control("actions x 0.5", act=_half_scale),
)
"""All controls; the first changes nothing. `Controlled(policy, control, env.tasks)` is evaluated like any policy."""
