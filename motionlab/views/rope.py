"""Rotary positions: one pair of channels turning, and the score against the distance.

Everything is computed from the table that attention really uses, `llama.rope.rope_table`, so the pictures show its
rounding as well.  Su et al., "RoFormer", arXiv:2104.09864, equations 13-16 and figure 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.rope import rope_frequencies, rope_table
from motionlab.llama.rope_scaling import make_scaling
from motionlab.plots.player import PALETTE
from motionlab.plots.rope import RopeView, draw_circle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTH = 301  # positions of the published decoder
HEAD_DIM = 64  # of its sizes up to 1B
FACTOR = 4.0  # how far the scalings stretch in the panel
SHIFT = 37  # how far `shifted_score` of a `RopeView` moves both positions
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def table_made_in(
    dtype: torch.dtype, length: int = LENGTH, head_dim: int = HEAD_DIM, theta: float = 10_000.0
) -> Tensor:
    """A table of turns with every intermediate number, positions included, rounded to `dtype`: `[S, hd/2]`.

    The published code makes its table so, in the dtype of its input. `rope_table` does not; this one shows why.

    >>> distinct_positions(table_made_in(torch.bfloat16, 301))
    279
    """
    frequency = 1.0 / theta ** (torch.arange(0, head_dim, 2).to(dtype) / head_dim)  # [hd/2]
    position = torch.arange(length).to(dtype)  # bfloat16 rounds 257 to 256
    angle = torch.outer(position, frequency.to(dtype))  # [S, hd/2]
    return torch.complex(angle.cos().float(), angle.sin().float())


def distinct_positions(table: Tensor) -> int:
    """How many rows of a table of turns `[S, hd/2]` differ from all others: positions that attention can tell apart.

    >>> distinct_positions(rope_table(301, 64))
    301
    """
    return len(torch.view_as_real(table).flatten(1).unique(dim=0))  # [S, hd] -> [distinct, hd]


def compute_rope(
    query: int, key: int, pair: int, theta: float = 10_000.0, scaling: str = "none", precision: str = "float32"
) -> RopeView:
    """Turn a query and a key whose pairs are all (1, 0) before; 301 positions, heads of width 64.

    Args:
        scaling: "none", or "linear", "ntk" or "llama3" by a factor of 4.
        precision: "float32", or "bfloat16" for a table as the published code makes it there.

    Raises:
        InputError: a position or a pair that does not exist, an unknown name, or a scaling in bfloat16.

    >>> near, far = compute_rope(20, 17, pair=0), compute_rope(220, 217, pair=0)
    >>> abs(near.score - far.score) < 1e-5  # the same distance
    True
    """
    for name, value, end in (("query", query, LENGTH), ("key", key, LENGTH), ("pair", pair, HEAD_DIM // 2)):
        if not 0 <= value < end:
            raise InputError(name, found=value, expected=f"0 to {end - 1}", fix="Move the slider.")
    if precision not in PRECISIONS:
        raise InputError("precision", found=repr(precision), expected=", ".join(PRECISIONS), fix="Choose one of these.")
    kind = make_scaling(None if scaling == "none" else scaling, FACTOR, LENGTH)
    frequency = rope_frequencies(HEAD_DIM, theta)
    if precision == "bfloat16":
        if kind is not None:
            raise InputError(
                "precision", found="bfloat16 with a scaling", expected="one of the two", fix="Set scaling to none."
            )
        table = table_made_in(torch.bfloat16, LENGTH + SHIFT, theta=theta)
    else:
        table = rope_table(LENGTH + SHIFT, HEAD_DIM, theta, scaling=kind)  # [S, hd/2]
    products = (table[query] * table[:LENGTH].conj()).real  # [S, hd/2]: cosines of the angles between
    shifted = (table[query + SHIFT] * table[key + SHIFT].conj()).real.mean()
    both = torch.view_as_real(table[[query, key], pair]).tolist()
    return RopeView(
        query, key, pair, HEAD_DIM // 2, theta, scaling, precision,
        frequency=float((frequency if kind is None else kind(frequency))[pair]),
        turns=(tuple(both[0]), tuple(both[1])),
        distances=[place - query for place in range(LENGTH)],
        pair_scores=products[:, pair].tolist(),
        scores=products.mean(1).tolist(),
        shifted_score=float(shifted),
    )  # fmt: skip


def turning_figure(vector: Sequence[float], positions: int = 8, frequency: float = 0.6) -> Figure:
    """The same vector of two numbers at several positions: turned (RoPE), and with a sinusoidal vector added.

    Args:
        vector: (x, y) before it has a position.
        frequency: radians per position, of both.

    >>> len(turning_figure((1.2, 0.5)).axes)
    2
    """
    from matplotlib.figure import Figure

    x = torch.tensor(vector, dtype=torch.float32)  # [2]
    angle = frequency * torch.arange(positions)  # [S]
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([cos * x[0] - sin * x[1], sin * x[0] + cos * x[1]], dim=1)  # [S, 2]
    added = x + torch.stack([sin, cos], dim=1)  # [S, 2]
    reach = 1.2 * float(torch.cat([turned, added]).norm(dim=1).max())
    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    for axes, points, title in zip(
        figure.subplots(1, 2), (turned, added), ("turned: RoPE", "a vector added: sinusoidal"), strict=True
    ):
        draw_circle(axes, float(x.norm()))
        for position, (across, up) in enumerate(points.tolist()):
            color = PALETTE[1] if position == 0 else PALETTE[0]
            axes.annotate("", (across, up), (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "alpha": 0.75})
            away = 1 + 0.07 * reach / math.hypot(across, up)
            axes.text(across * away, up * away, str(position), ha="center", va="center", fontsize=8)
        lengths = points.norm(dim=1)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
        axes.set_title(f"{title}\nlengths {float(lengths.min()):.2f} to {float(lengths.max()):.2f}", fontsize=10)
    return figure
