"""Rotary position embedding (RoPE): a position is an angle, and attention sees only angle differences.

Each head vector is read as `head_dim / 2` complex numbers. At position `m`, number `i` is turned by the angle
`m * theta**(-2i / head_dim)`. The dot product of a query at `m` with a key at `n` then depends on `m - n` alone, and no
vector changes its length.  Su et al., "RoFormer", arXiv:2104.09864, equations 13-16.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.llama.rope_scaling import RopeScaling


@dataclass(frozen=True)
class RopeSettings:
    """How fast positions turn.

    >>> RopeSettings(theta=500_000.0)
    RopeSettings(theta=500000.0, scaling=None)
    """

    theta: float = 10_000.0
    """Base of the angles: the larger it is, the slower the slowest pair turns."""
    scaling: RopeScaling | None = None
    """Slower turning for sequences longer than those of the training, see `rope_scaling.py`."""

    def __post_init__(self) -> None:
        if not 0 < self.theta < math.inf:
            raise InputError(
                "rope_theta", found=self.theta, expected="a finite number above 0", fix="Published: 10000."
            )


def rope_frequencies(head_dim: int, theta: float = 10_000.0, device: torch.device | None = None) -> Tensor:
    """Radians per position of each channel pair, float32 `[hd/2]`: `1 / theta ** (2i / hd)`, fastest first.

    >>> rope_frequencies(4, theta=100.0)
    tensor([1.0000, 0.1000])
    """
    exponent = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim  # 0, 2, 4, ... over hd
    return 1.0 / theta**exponent


def rope_table(
    length: int,
    head_dim: int,
    theta: float = 10_000.0,
    device: torch.device | None = None,
    scaling: RopeScaling | None = None,
) -> Tensor:
    """Unit complex numbers `exp(1j * position * frequency)`, always in float32 precision: complex64 `[length, hd/2]`.

    Why float32: bfloat16 has 8 bits of mantissa, so of the positions 0..300 it keeps only 279 apart, and the angle
    error reaches more than one radian.

    >>> rope_table(3, head_dim=4)[0]
    tensor([1.+0.j, 1.+0.j])
    """
    if (device or torch.get_default_device()).type == "meta":  # for numbers nobody reads torch imports its compiler
        return torch.empty(length, -(-head_dim // 2), dtype=torch.complex64, device="meta")  # [length, hd/2]
    frequency = rope_frequencies(head_dim, theta, device)  # [hd/2]
    if scaling is not None:
        frequency = scaling(frequency)
    position = torch.arange(length, device=device, dtype=torch.float32)  # [length]
    angle = torch.outer(position, frequency)  # [length, hd/2]
    return torch.polar(torch.ones_like(angle), angle)


def to_half_split(weight: Tensor, heads: int) -> Tensor:
    """Reorder the rows of a query or key weight from our layout of channel pairs to that of Hugging Face.

    Ours turns channels (0, 1), (2, 3), ... of a head, theirs (0, hd/2), (1, hd/2 + 1), ... Rows of the same pair meet
    in both, so scores are the same; the wrong order gives wrong logits and no error.

    Args:
        weight: `[heads * hd, ...]`.

    >>> to_half_split(torch.arange(6), heads=1)
    tensor([0, 2, 4, 1, 3, 5])
    """
    reordered: Tensor = weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
    return reordered  # [heads, hd/2, 2] -> [heads, 2, hd/2]


def to_interleaved(weight: Tensor, heads: int) -> Tensor:
    """The way back of `to_half_split`.

    >>> to_interleaved(torch.tensor([0, 2, 4, 1, 3, 5]), heads=1)
    tensor([0, 1, 2, 3, 4, 5])
    """
    reordered: Tensor = weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return reordered  # [heads, 2, hd/2] -> [heads, hd/2, 2]


def apply_rope(x: Tensor, turn: Tensor) -> Tensor:
    """Turn the channel pairs (0, 1), (2, 3), ... of each head vector.

    Neighbouring channels form a pair ("interleaved", as in the published checkpoint). Hugging Face models pair channel
    `i` with `i + hd/2`; `to_half_split` takes weights from one kind to the other.

    Args:
        x: `[B, S, heads, hd]`, any float dtype. The product is done in float32.
        turn: complex64 `[S, hd/2]`, or `[B, S, hd/2]` when each row of the batch has its own positions; or the same
            numbers as pairs of float32, `[..., hd/2, 2]`.

    >>> x = torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])  # one head, two positions
    >>> apply_rope(x, rope_table(2, head_dim=2)).flatten().round(decimals=3)  # 1, then exp(1j)
    tensor([1.0000, 0.0000, 0.5400, 0.8410])
    """
    pairs = x.float().unflatten(-1, (-1, 2))  # [B, S, heads, hd/2, 2]
    if turn.is_complex():
        turned = torch.view_as_real(torch.view_as_complex(pairs) * turn.unsqueeze(-2))  # broadcast over the heads
    else:
        (a, b), (cos, sin) = pairs.unbind(-1), turn.unsqueeze(-3).unbind(-1)  # 2 x [B, S, heads, hd/2]; [S, 1, hd/2]
        turned = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1)  # (a + bi)(cos + i sin)
    return turned.flatten(-2).type_as(x)  # [B, S, heads, hd]


class Rotary(nn.Module):
    """Holds the table of `rope_table` on the right device and never lets it leave float32.

    A plain buffer would not do: `model.bfloat16()` casts every buffer, and `model.to_empty()` leaves it
    uninitialised. So the table is computed again after every move. It is not part of the state dict.
    """

    table: Tensor
    pairs: Tensor

    def __init__(self, length: int, head_dim: int, theta: float = 10_000.0, scaling: RopeScaling | None = None) -> None:
        super().__init__()
        self.length, self.head_dim, self.theta, self.scaling = length, head_dim, theta, scaling
        self.register_buffer("table", rope_table(length, head_dim, theta, scaling=scaling), persistent=False)
        self.register_buffer("pairs", torch.view_as_real(self.table), persistent=False)

    def forward(self, positions: Tensor | int) -> Tensor:
        """`turn` for the first `positions` positions `[S, hd/2]`, or for a tensor of positions `[B, S]`."""
        # Complex numbers need fewer kernels, but the compiler cannot fuse them.
        table = self.pairs if torch.compiler.is_compiling() else self.table
        return table[:positions] if isinstance(positions, int) else table[positions]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Rotary:
        device = fn(torch.empty(0, dtype=torch.complex64, device=self.table.device)).device
        self.table = rope_table(self.length, self.head_dim, self.theta, device, self.scaling)
        self.pairs = torch.view_as_real(self.table)
        return self
