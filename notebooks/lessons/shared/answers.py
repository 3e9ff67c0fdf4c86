"""Common parts of the checks of several lessons: small inputs, and a look for well-known wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Any]


def first_match(result: Tensor, mistakes: dict[str, Tensor]) -> str | None:
    """The sentence of the first wrong answer that a result equals."""
    for sentence, wrong in mistakes.items():
        if result.shape == wrong.shape and torch.allclose(result.float(), wrong.float(), atol=1e-5, equal_nan=True):
            return sentence
    return None


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Numbers from N(0, 1), the same in each call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def short(vector: Tensor) -> str:
    """A vector as text: `(0.50, -1.25)`."""
    return "(" + ", ".join(f"{value:.2f}" for value in vector.tolist()) + ")"
