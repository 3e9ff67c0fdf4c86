"""Tracks of glTF animations at given times: LINEAR (rotations by slerp), STEP and CUBICSPLINE."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlab.motion.formats.gltf_file import GltfFile
from motionlab.motion.rotations import slerp

WIDTHS = {"translation": 3, "rotation": 4, "scale": 3}
_WAYS = ("LINEAR", "STEP", "CUBICSPLINE")


class Track:
    """One property of one node over time.

    Args:
        times: `[K]` seconds, increasing.
        values: `[K, n]`; of a CUBICSPLINE the values alone.
        tangents: `[2, K, n]`, arriving and leaving, a second; None for the other ways.
    """

    def __init__(self, file: GltfFile, sampler: dict[str, Any], path: str) -> None:
        self.path = path
        self.way = sampler.get("interpolation", "LINEAR")
        if self.way not in _WAYS:
            file.fail(f"interpolation {str(self.way)[:20]}", ", ".join(_WAYS))
        times = file.accessor(sampler.get("input"))
        if times.shape[1] != 1:
            file.fail(f"key times of {times.shape[1]} components", "one")
        self.times: NDArray[np.float64] = times[:, 0]
        output = file.accessor(sampler.get("output"))  # [K or 3 K, n]
        keys = len(self.times)
        if keys == 0 or not bool((np.diff(self.times) > 0).all()):
            file.fail("key times that do not increase", "a later time for each key")
        each = 3 if self.way == "CUBICSPLINE" else 1
        if output.shape != (each * keys, WIDTHS[path]):
            file.fail(f"{path} of shape {output.shape}", f"{(each * keys, WIDTHS[path])} for {keys} keys")
        parts = output.reshape(keys, each, -1)
        self.values, self.tangents = parts[:, each // 2], None if each == 1 else parts[:, ::2].swapaxes(0, 1)
        if path == "rotation":
            if not bool((np.linalg.norm(self.values, axis=-1) > 1e-6).all()):
                file.fail("a rotation of length zero", "unit quaternions")

    def at(self, moments: NDArray[np.float64]) -> Tensor:
        """`[T] -> [T, n]`; before the first key and after the last the motion stands still. Quaternions are unit."""
        moments = np.clip(moments, self.times[0], self.times[-1])
        left = np.clip(np.searchsorted(self.times, moments, side="right") - 1, 0, max(len(self.times) - 2, 0))
        right = np.minimum(left + 1, len(self.times) - 1)
        step = np.where(right > left, self.times[right] - self.times[left], 1.0)
        part = ((moments - self.times[left]) / step)[:, None]  # [T, 1]
        before, after = self.values[left], self.values[right]
        if self.way == "STEP":
            return self._unit(np.where(part >= 1, after, before))
        if self.tangents is not None:
            return self._unit(_hermite(before, after, self.tangents[1][left], self.tangents[0][right], part, step))
        if self.path == "rotation":
            return slerp(self._unit(before), self._unit(after), torch.from_numpy(part[:, 0]))
        return torch.from_numpy(before + (after - before) * part)

    def _unit(self, values: NDArray[np.float64]) -> Tensor:
        result = torch.from_numpy(np.ascontiguousarray(values))
        return torch.nn.functional.normalize(result, dim=-1) if self.path == "rotation" else result


def _hermite(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    leaving: NDArray[np.float64],
    arriving: NDArray[np.float64],
    part: NDArray[np.float64],
    step: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The cubic with these values and slopes, as appendix C of the glTF 2.0 specification has it."""
    s, s2, s3, length = part, part**2, part**3, step[:, None]
    return (
        (2 * s3 - 3 * s2 + 1) * before
        + length * (s3 - 2 * s2 + s) * leaving
        + (3 * s2 - 2 * s3) * after
        + length * (s3 - s2) * arriving
    )
