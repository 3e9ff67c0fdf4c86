"""Values at new times: straight lines for places, the shorter arc (slerp) for rotations."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.rotations import slerp

MOST_PER_ROW = 100  # frames made for each frame of a file
ROUNDED = 0.01  # of a frame that a duration may lack: times are float32, and 120 frames a second are 120.00004


def frame_times(duration: float, fps: float, rows: int | None = None, rounded: float = ROUNDED) -> Tensor:
    """Times `0, 1/fps, 2/fps, ...` up to `duration`, `[T]` seconds.

    A duration that misses a frame by rounding (30.9999 frames) still has that frame.

    Args:
        rows: frames of the source. One number in a file says how long they last; it must not decide how much is made.
        rounded: how much of a frame the duration may lack.

    Raises:
        InputError: more than 100 frames for each row, which is no motion any more.

    >>> len(frame_times(1.0, 30.0)), len(frame_times(0.99999, 30.0)), len(frame_times(0.99, 30.0))
    (31, 31, 30)
    """
    if rows is not None and not duration * fps <= MOST_PER_ROW * rows:
        raise InputError(
            "motion",
            found=f"{rows:,} frames that last {duration:.3g} s",
            expected=f"at most {MOST_PER_ROW / fps:.3g} s between two frames",
            fix="Correct the time step in the file.",
        )
    return torch.arange(math.floor(duration * fps + rounded) + 1, dtype=torch.float64) / fps


def needed_rows(times: Tensor, moments: Tensor) -> Tensor:
    """Indices of the frames at `times` `[T]` that sampling at `moments` reads, in order, `[R]`.

    >>> needed_rows(torch.arange(9) / 120, torch.arange(3) / 30)
    tensor([0, 4, 8])
    """
    if len(times) == 1:
        return torch.zeros(1, dtype=torch.long)
    before, part = _bracket(times, moments)
    rows: Tensor = torch.cat((before[part < 1], before[part > 0] + 1)).unique()
    return rows


def sample_linear(values: Tensor, times: Tensor, moments: Tensor) -> Tensor:
    """`[T, n] -> [T', n]`."""
    if len(times) == 1:
        return values.expand(len(moments), -1)
    before, part = _bracket(times, moments)
    return torch.lerp(values[before], values[before + 1], part[:, None])


def sample_quaternions(values: Tensor, times: Tensor, moments: Tensor) -> Tensor:
    """`[T, ..., 4] -> [T', ..., 4]`."""
    if len(times) == 1:
        return values.expand(len(moments), *values.shape[1:])
    before, part = _bracket(times, moments)
    part = part.reshape(-1, *[1] * (values.ndim - 2)).expand(len(moments), *values.shape[1:-1])
    return slerp(values[before], values[before + 1], part)


def _bracket(times: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the frame before each moment and how far it is on the way to the next, `[T'], [T']`."""
    before = (torch.searchsorted(times, moments, right=True) - 1).clamp(0, len(times) - 2)
    return before, ((moments - times[before]) / (times[before + 1] - times[before])).clamp(0, 1)
