"""Rotations and features of half precision are computed in float32 and rounded once, at the end.

float16 ends at 65,504, so squares end at 256; a square of less than 2.4e-4 is 0. bfloat16 keeps three digits. Lengths,
angles and sums of velocities over a clip would be wrong, or NaN, where the numbers themselves are fine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)
P = ParamSpec("P")
R = TypeVar("R", Tensor, tuple[Tensor, Tensor])


def in_float32(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function compute in float32 when a tensor that it is given has half precision.

    The results have the dtype of the first such tensor. Other dtypes pass as they are.

    >>> @in_float32
    ... def length(vector: Tensor) -> Tensor:
    ...     return (vector * vector).sum().sqrt()
    >>> length(torch.tensor([300.0, 400.0], dtype=torch.float16))
    tensor(500., dtype=torch.float16)
    """

    @functools.wraps(function)
    def wide(*args: P.args, **kwargs: P.kwargs) -> R:
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor) and value.dtype in HALF]
        if not given:
            return function(*args, **kwargs)
        result = function(*map(_wide, args), **{name: _wide(value) for name, value in kwargs.items()})  # type: ignore[arg-type]
        dtype = given[0].dtype
        if isinstance(result, tuple):
            return cast(R, tuple(part.to(dtype) for part in result))
        return result.to(dtype)

    return wide


def _wide(value: object) -> object:
    return value.float() if isinstance(value, Tensor) and value.dtype in HALF else value
