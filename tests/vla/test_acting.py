"""Chunks of a policy, carried out one action at a time."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.vla.acting import Actor

SEEN: Any = SimpleNamespace(images={}, state=lambda: np.zeros(8))


class CountingPolicy:
    """Chunk number n holds n, n + 0.1, n + 0.2; the instruction and a draw stand next to it."""

    horizon = 3

    def __init__(self) -> None:
        self.asked: list[str] = []

    def act(
        self, images: Mapping[str, np.ndarray], instruction: str, state: np.ndarray, generator: torch.Generator
    ) -> np.ndarray:
        self.asked.append(instruction)
        chunk = np.zeros((3, 7), np.float32)
        chunk[:, 0] = len(self.asked) + np.arange(3) / 10
        chunk[:, 1] = float(torch.rand(1, generator=generator))
        return chunk


def test_a_plan_is_carried_out_and_made_again() -> None:
    policy: Any = CountingPolicy()
    actor = Actor(policy, execute=2)
    first = [actor(SEEN, "red") for _ in range(5)]
    np.testing.assert_allclose([action[0] for action in first], [1.0, 1.1, 2.0, 2.1, 3.0], atol=1e-6)
    assert first[0].shape == (7,)
    assert actor(SEEN, "blue")[0] == 4.0 and policy.asked[-1] == "blue"  # not the rest of the plan for red
    actor.reset()
    again = actor(SEEN, "blue")
    assert again[0] == 5.0 and again[1] == first[0][1]  # the draws begin again
    assert first[2][1] != first[0][1]


@pytest.mark.parametrize("execute", [0, 4])
def test_more_actions_than_a_chunk_has_are_refused(execute: int) -> None:
    policy: Any = CountingPolicy()
    with pytest.raises(InputError, match="1 to 3, the horizon"):
        Actor(policy, execute)
