"""Reaching positions that training never saw: turn more slowly, so that old angles cover new distances.

A scaling is a function from the frequencies of `rope_frequencies` to new ones. There are three, and each answers the
question "which channel pairs may be slowed down?" differently.

    linear   all of them alike: near positions become harder to tell apart   (Chen et al., arXiv:2306.15595)
    ntk      the slowest pair fully, the fastest not at all, a power law between   (bloc97, 2023)
    llama3   pairs that never finish a turn in the trained length fully, fast pairs not at all, a ramp between
             (Llama 3.1, arXiv:2407.21783)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from motionlab.errors import InputError


class RopeScaling(Protocol):
    """Frequencies `[hd/2]`, radians per position and fastest first, to the same many slower ones."""

    def __call__(self, frequencies: Tensor) -> Tensor:
        """The frequencies to use instead."""
        ...


@dataclass(frozen=True)
class LinearScaling:
    """Divide every frequency by `factor`: position `factor * m` gets the angles that `m` had.

    >>> LinearScaling(4.0)(torch.tensor([1.0, 0.1]))
    tensor([0.2500, 0.0250])
    """

    factor: float

    def __post_init__(self) -> None:
        _check(factor=self.factor)

    def __call__(self, frequencies: Tensor) -> Tensor:
        return frequencies / self.factor


@dataclass(frozen=True)
class NTKScaling:
    """Divide frequency `i` of `n` by `factor ** (i / (n - 1))`; the same as a larger base, see `theta`.

    >>> NTKScaling(4.0)(torch.tensor([1.0, 0.1, 0.01]))
    tensor([1.0000, 0.0500, 0.0025])
    """

    factor: float

    def __post_init__(self) -> None:
        _check(factor=self.factor)

    def __call__(self, frequencies: Tensor) -> Tensor:
        count = len(frequencies)
        return frequencies / self.factor ** (torch.arange(count, device=frequencies.device) / max(count - 1, 1))

    def theta(self, theta: float, head_dim: int) -> float:
        """The base that gives these frequencies without any scaling: `theta * factor ** (hd / (hd - 2))`."""
        return float(theta * self.factor ** (head_dim / (head_dim - 2))) if head_dim > 2 else theta


@dataclass(frozen=True)
class Llama3Scaling:
    """Slow pairs are divided by `factor`, fast ones kept, those between mixed.

    "Slow" is a pair that turns fewer than `low` times within `original_length` positions, "fast" one that turns more
    than `high` times. Fast pairs tell neighbours apart, and there training has shown every angle already.

    >>> Llama3Scaling(5.0, original_length=100)(torch.tensor([1.0, 0.01]))  # 15.9 and 0.16 turns
    tensor([1.0000, 0.0020])
    """

    factor: float
    original_length: int
    low: float = 1.0
    high: float = 4.0

    def __post_init__(self) -> None:
        _check(factor=self.factor, original_length=self.original_length, low=self.low, high=self.high)
        if self.low >= self.high:
            raise InputError(
                "rope_scaling: low", found=self.low, expected=f"less than high, {self.high}", fix="Change one of them."
            )

    def __call__(self, frequencies: Tensor) -> Tensor:
        turns = self.original_length * frequencies / (2 * math.pi)
        keep = ((turns - self.low) / (self.high - self.low)).clamp(0.0, 1.0)  # 0: slow, 1: fast
        return keep * frequencies + (1 - keep) * frequencies / self.factor


def _check(**settings: float) -> None:
    """Raise InputError unless every setting is a finite number above 0."""
    for name, value in settings.items():
        if not 0 < value < math.inf:
            raise InputError(
                f"rope_scaling: {name}", found=value, expected="a finite number above 0", fix="Change this setting."
            )


def make_scaling(kind: str | None, factor: float, original_length: int) -> RopeScaling | None:
    """The scaling of a name: "linear", "ntk", "llama3", or None for none.

    >>> make_scaling("ntk", 2.0, 301)
    NTKScaling(factor=2.0)
    """
    if kind is None:
        return None
    if factor < 1:
        raise InputError("rope_factor", found=factor, expected="1 or more", fix="Give new length / trained length.")
    if kind == "linear":
        return LinearScaling(factor)
    if kind == "ntk":
        return NTKScaling(factor)
    if kind == "llama3":
        return Llama3Scaling(factor, original_length)
    raise InputError("rope_scaling", found=repr(kind), expected="linear, ntk, llama3 or none", fix="Choose one.")
