"""A policy that acts in a world: one action at a time out of the chunks that it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch

from motionlab.errors import InputError
from motionlab.vla.policy import VlaPolicy


class Seen(Protocol):
    """The part of an observation that an actor needs."""

    @property
    def images(self) -> Mapping[str, np.ndarray]:
        """View -> `uint8 [H, W, 3]`, upright."""
        ...

    def state(self) -> np.ndarray:
        """`[8]`."""
        ...


class Actor:
    """`actor(observation, instruction) -> action [7]`, with `reset()` before each episode.

    Args:
        policy: in the mode that it is in; acting changes nothing.
        execute: actions of a chunk that are carried out before the next look; at most its horizon. More are smoother
            and blind for longer.
        seed: of the noise of a flow matching head; every episode begins with it again.

    Raises:
        InputError: `execute` out of range.
    """

    def __init__(self, policy: VlaPolicy, execute: int = 1, seed: int = 0) -> None:
        if not 1 <= execute <= policy.horizon:
            raise InputError(
                "execute", found=execute, expected=f"1 to {policy.horizon}, the horizon of the policy",
                fix="Carry out fewer actions, or train with a longer horizon.",
            )  # fmt: skip
        self.policy, self.execute, self.seed = policy, execute, seed
        self.reset()

    def reset(self) -> None:
        """Forget what was planned."""
        self._plan: list[np.ndarray] = []
        self._instruction = ""
        self._generator = torch.Generator().manual_seed(self.seed)

    def __call__(self, observation: Seen, instruction: str) -> np.ndarray:
        """The next action, float32 `[7]`. Another instruction makes a new plan at once."""
        if not self._plan or instruction != self._instruction:
            chunk = self.policy.act(observation.images, instruction, observation.state(), self._generator)  # [T, 7]
            self._plan, self._instruction = list(chunk[: self.execute]), instruction
        return self._plan.pop(0)

    @property
    def acts_together(self) -> bool:
        """Whether nothing is left from one step to the next: no plan, and no noise of an episode of its own."""
        return self.execute == 1 and not self.policy.head.draws

    def act_together(self, observations: Sequence[Seen], instructions: Sequence[str]) -> list[np.ndarray]:
        """The next action of each of several episodes, float32 `[7]`, in one pass of the network."""
        states = np.stack([observation.state() for observation in observations])
        chunks = self.policy.act_together([observation.images for observation in observations], instructions, states)
        return list(chunks[:, 0])
