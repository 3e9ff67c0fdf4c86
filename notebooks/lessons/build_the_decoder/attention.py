"""Attention of lesson 18: the turn of RoPE, one head, then all heads, each with the check of its exercise."""

from __future__ import annotations

import torch
from torch import Tensor

from lessons.shared.answers import Function, first_match, normal, short


# ---- positions ----------------------------------------------------------------------------------------------------
def turn(x: Tensor, places: Tensor) -> Tensor:
    """RoPE of `x [B, S, heads, hd]`: neighbouring channels form a pair, as in lesson 05. `places` is int64 `[S]`."""
    frequency = 10_000.0 ** (-torch.arange(0, x.shape[-1], 2) / x.shape[-1])  # [hd/2] radians a position
    angle = torch.outer(places.float(), frequency)[:, None]  # [S, 1, hd/2], the same for all heads
    a, b = x[..., 0::2], x[..., 1::2]  # [B, S, heads, hd/2]
    turned = torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], dim=-1)
    return turned.flatten(-2)  # [B, S, heads, hd/2, 2] -> [B, S, heads, hd]


def _turn(x: Tensor, angle: Tensor) -> Tensor:
    """`turn` with other angles, `[S, heads or 1, hd/2]`."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(-2)


def diagnose_turn(function: Function) -> str | None:
    x, places = normal(2, 4, 4, 8), torch.arange(4)  # as many heads as positions: mixing them up raises no error
    y = function(x.clone(), places.clone())
    if not isinstance(y, Tensor) or y.shape != x.shape:
        found = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        return f"the result should be a tensor of shape {tuple(x.shape)}, like x, got {found}."
    exponent = torch.arange(0, 8, 2) / 8
    angle = torch.outer(places.float(), 10_000.0**-exponent)  # [S, hd/2]
    right = turn(x, places)
    halves = _turn(torch.stack(x.chunk(2, dim=-1), dim=-1).flatten(-2), angle[:, None])
    in_a_row = torch.cat([right[..., 0::2], right[..., 1::2]], dim=-1)
    mistakes = {
        "nothing is turned.": x,
        "the angles run along the heads. Positions are dimension 1: give the angles a dimension for the heads, "
        "[S, 1, hd/2].": _turn(x, angle[None]),
        "the pairs are right, but not woven together again: first numbers and second numbers alternate. "
        "torch.stack([...], dim=-1).flatten(-2) does it.": in_a_row,
        "these are the pairs (0, 4), (1, 5), ...: the layout of Hugging Face. Here neighbours form a pair.": torch.cat(
            [halves[..., 0::2], halves[..., 1::2]], dim=-1
        ),
        "the pairs turn the wrong way: check the signs. (1, 0) must move to (cos, +sin).": turn(x, -places),
        "the pairs turn too slowly after the first: the exponent is 2i / hd with i counting PAIRS.": _turn(
            x, torch.outer(places.float(), 10_000.0 ** (-exponent / 2))[:, None]
        ),
        "pairs turn ever faster: the exponent is negative.": _turn(
            x, torch.outer(places.float(), 10_000.0**exponent)[:, None]
        ),
        "every pair turns by the same angle: each has its own frequency.": _turn(
            x, places[:, None, None].float().expand(4, 1, 4)
        ),
        "this is one position too far: place 0 is turned by nothing.": turn(x, places + 1),
    }
    if sentence := first_match(y, mistakes):
        return sentence
    if not torch.allclose(y.norm(dim=-1), x.norm(dim=-1), rtol=1e-3):
        return "a turn keeps the length of every vector, yours does not: check the two products of each number."
    if not torch.allclose(y, right, atol=1e-4):
        return f"at place 1 head 0 should become {short(right[0, 1, 0])}, got {short(y[0, 1, 0])}."
    other, later = normal(1, 3, 2, 4, seed=1), torch.tensor([5, 6, 9])
    if not torch.allclose(function(other.clone(), later.clone()), turn(other, later), atol=1e-4):
        return "right for places 0 to 3 and 8 channels, but not for places 5, 6, 9 and 4 channels: use the arguments."
    return None


# ---- one head -----------------------------------------------------------------------------------------------------
def head(query: Tensor, key: Tensor, value: Tensor, sees: Tensor) -> Tensor:
    """One head: each query gathers the values of the positions it sees.

    Args:
        query, key, value: `[B, S, hd]`.
        sees: bool `[B, S, S]`, true where row i may look at column j.
    """
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5  # [B, S, S]
    weights: Tensor = scores.masked_fill(~sees, float("-inf")).softmax(-1)
    return weights @ value  # [B, S, hd]


def _head(
    query: Tensor, key: Tensor, value: Tensor, sees: Tensor, *, scale: float | None = None, over: int = -1,
    late: bool = False, hide: bool = True,
) -> Tensor:  # fmt: skip
    """`head` with one of the usual mistakes."""
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if hide and not late:
        scores = scores.masked_fill(~sees, float("-inf"))
    weights = scores.softmax(over)
    return (weights * sees if late else weights) @ value


def diagnose_head(function: Function) -> str | None:
    query, key, value = normal(2, 5, 8), normal(2, 5, 8, seed=1), normal(2, 5, 8, seed=2)
    sees = torch.ones(2, 5, 5, dtype=torch.bool).tril()
    y = function(query.clone(), key.clone(), value.clone(), sees.clone())
    if not isinstance(y, Tensor) or y.shape != query.shape:
        found = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        return f"the result should be a tensor of shape {tuple(query.shape)}, like the query, got {found}."
    parts = (query, key, value, sees)
    mistakes = {
        "the scores are not divided by the root of hd.": _head(*parts, scale=1.0),
        "the scores are divided by hd. Divide by its root.": _head(*parts, scale=1 / 8),
        "the mask is upside down: hide what is NOT seen.": _head(query, key, value, ~sees | torch.eye(5).bool()),
        "nothing is hidden: each position looks at those after it.": _head(*parts, hide=False),
        "the mask is applied after the softmax, so the weights of a row no longer sum to 1. "
        "Put -inf into the scores before.": _head(*parts, late=True),
        "the softmax runs over the queries. For one query the weights over all keys sum to 1: the last dimension.": (
            _head(*parts, over=-2)
        ),
        "the weights mix the keys. Keys are for the scores; mix the values.": _head(query, key, key, sees),
    }
    if sentence := first_match(y, mistakes):
        return sentence
    if torch.isnan(y).any():
        return "there are NaN in the result: a row in which everything is hidden has nothing to divide by."
    if not torch.allclose(y, head(*parts), atol=1e-5):
        return f"position 0 sees only itself, so it should get its own value {short(value[0, 0])}, got " + (
            f"{short(y[0, 0])}; and compare the other positions with softmax(q k / sqrt(hd)) v."
        )
    everything = torch.ones(1, 3, 3, dtype=torch.bool)
    other = (normal(1, 3, 4), normal(1, 3, 4, seed=1), normal(1, 3, 4, seed=2), everything)
    if not torch.allclose(function(*other), head(*other), atol=1e-5):
        return "right for 8 channels and the causal mask, but not for 4 and another mask: use the arguments."
    return None


# ---- all heads ----------------------------------------------------------------------------------------------------
def attend(query: Tensor, key: Tensor, value: Tensor, sees: Tensor) -> Tensor:
    """All heads: `head` for each query head, with the keys and values that it shares.

    Args:
        query: `[B, H, S, hd]`.
        key, value: `[B, G, S, hd]`; H / G neighbouring query heads read the same one.
        sees: bool `[B, 1, S, S]`, true where row i may look at column j.
    """
    shared = query.shape[1] // key.shape[1]
    heads = [head(query[:, h], key[:, h // shared], value[:, h // shared], sees[:, 0]) for h in range(query.shape[1])]
    return torch.stack(heads, dim=1)  # [B, H, S, hd]


def _attend(query: Tensor, key: Tensor, value: Tensor, sees: Tensor, reads: list[int]) -> Tensor:
    """`attend` where query head h reads key-value head `reads[h]`."""
    return head(query, key[:, reads], value[:, reads], sees)


def diagnose_attend(function: Function) -> str | None:
    query, key, value = normal(2, 4, 5, 8), normal(2, 2, 5, 8, seed=1), normal(2, 2, 5, 8, seed=2)
    sees = torch.ones(2, 1, 5, 5, dtype=torch.bool).tril()
    parts = (query, key, value, sees)
    right = attend(*parts)
    y = function(query.clone(), key.clone(), value.clone(), sees.clone())
    if not isinstance(y, Tensor):
        return "the result should be one tensor: torch.stack makes one of a list of heads."
    shapes = {
        (4, 2, 5, 8): "the heads are stacked in front. They are dimension 1: torch.stack(heads, dim=1).",
        (2, 5, 4, 8): "the heads are dimension 2. They belong in dimension 1, before the positions.",
        (2, 5, 32): "the heads are already joined to one vector. Keep them apart: torch.stack(heads, dim=1).",
        (2, 20, 8): "the positions of all heads follow each other: torch.cat adds no dimension, torch.stack does.",
        (2, 2, 5, 8): "there are as many results as key-value heads. Each QUERY head gives one.",
        (2, 5, 8): "this is one head. Return the results of all four.",
    }
    if y.shape != query.shape:
        found = tuple(y.shape)
        return shapes.get(
            found, f"the result should be a tensor of shape {tuple(query.shape)}, like the query, got {found}."
        )
    mistakes = {
        "heads are dealt out like cards (h % G, or repeat). Neighbouring query heads share one: h // (H // G).": (
            _attend(*parts, [0, 1, 0, 1])
        ),
        "every query head reads key-value head 0.": _attend(*parts, [0, 0, 0, 0]),
        "every head is the same one: take query head h for result h.": right[:, :1].expand_as(right),
        "keys are shared rightly, values are not: head h reads the same number of both.": torch.stack(
            [head(query[:, h], key[:, h // 2], value[:, h % 2], sees[:, 0]) for h in range(4)], dim=1
        ),
        "nothing is hidden: each position looks at those after it.": _attend(
            query, key, value, torch.ones_like(sees), [0, 0, 1, 1]
        ),
    }
    if sentence := first_match(y, mistakes):
        return sentence
    if torch.isnan(y).any():
        return "there are NaN in the result: a row in which everything is hidden has nothing to divide by."
    wrong = [h for h in range(4) if not torch.allclose(y[:, h], right[:, h], atol=1e-5)]
    if wrong == [0, 1, 2, 3]:
        return "no head is right. Is `head` right by itself, and does result h come from query head h?"
    if wrong:
        h, group = wrong[0], wrong[0] // 2
        return f"result {h} is wrong: it should come from the query head of this number and key-value head {group}."
    everything = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    other = (normal(1, 6, 3, 4), normal(1, 3, 3, 4, seed=1), normal(1, 3, 3, 4, seed=2), everything)
    if not torch.allclose(function(*other), attend(*other), atol=1e-5):
        return (
            "right for 4 query heads on 2, but not for 6 heads on 3 with another mask: use the shapes of the arguments."
        )
    return None
