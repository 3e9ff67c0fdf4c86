"""Rotary positions: pairs turn, lengths stay, only distances matter, and the table stays in float32."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.llama.model import MotionLlama
from motionlab.llama.rope import Rotary, apply_rope, rope_table, to_half_split, to_interleaved


def test_equals_the_written_out_rotation() -> None:
    x = torch.randn(2, 5, 3, 8, dtype=torch.float64).float()
    y = apply_rope(x, rope_table(5, 8))
    for position in range(5):
        for pair in range(4):
            angle = torch.tensor(position * 10_000.0 ** (-2 * pair / 8))
            a, b = x[:, position, :, 2 * pair], x[:, position, :, 2 * pair + 1]
            expected = torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)
            torch.testing.assert_close(y[:, position, :, 2 * pair : 2 * pair + 2], expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 100))
def test_dot_product_depends_on_the_distance_only(query_at: int, key_at: int, shift: int) -> None:
    query, key = torch.randn(2, 1, 1, 1, 16, generator=torch.Generator().manual_seed(0))
    table = rope_table(301, 16)

    def score(shift: int) -> torch.Tensor:
        q = apply_rope(query, table[query_at + shift][None])
        k = apply_rope(key, table[key_at + shift][None])
        return (q * k).sum()

    torch.testing.assert_close(score(shift), score(0), rtol=1e-4, atol=1e-4)


def test_lengths_stay_and_dtype_stays() -> None:
    x = torch.randn(1, 300, 2, 16)
    torch.testing.assert_close(apply_rope(x, rope_table(300, 16)).norm(dim=-1), x.norm(dim=-1))
    assert apply_rope(x.bfloat16(), rope_table(300, 16)).dtype == torch.bfloat16


def test_what_bf16_would_destroy() -> None:
    """The published code builds its table in the dtype of the weights. In bf16, of 301 positions 279 stay distinct."""
    exact = rope_table(301, 64)
    position, exponent = torch.arange(301).bfloat16(), (torch.arange(0, 64, 2).bfloat16() / 64)
    assert len(position.unique()) == 279
    angle = torch.outer(position, 1.0 / 10_000.0**exponent)  # all in bf16, as under DeepSpeed's bf16
    error = (exact * torch.polar(torch.ones(301, 32), angle.float()).conj()).angle().abs()
    assert 0.9 < float(error.max()) < 1.3, "about one radian: the angle is then as good as random"
    ours = torch.view_as_real(Rotary(301, 64).bfloat16().table)  # in a bf16 model
    assert len(ours.flatten(1).unique(dim=0)) == 301


def test_the_two_layouts_give_the_same_scores() -> None:
    """Hugging Face turns channels (i, i + hd/2): reordered rows make its dot products ours."""
    x, query, key = torch.randn(1, 9, 24), torch.randn(32, 24), torch.randn(32, 24)  # 4 heads of 8
    table = rope_table(9, 8)

    def half_split(y: torch.Tensor) -> torch.Tensor:
        angle = torch.cat([table.angle(), table.angle()], -1)[:, None]  # [9, 1, 8]
        turned = torch.cat([-y[..., 4:], y[..., :4]], -1)
        return y * angle.cos() + turned * angle.sin()

    def scores(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bihd,bjhd->bhij", query, key)

    def heads(weight: torch.Tensor) -> torch.Tensor:
        return (x @ weight.T).unflatten(-1, (4, 8))

    ours = scores(apply_rope(heads(query), table), apply_rope(heads(key), table))
    theirs = scores(half_split(heads(to_half_split(query, 4))), half_split(heads(to_half_split(key, 4))))
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    wrong = scores(half_split(heads(query)), half_split(heads(key)))
    assert (wrong - ours).abs().max() > 1
    torch.testing.assert_close(to_interleaved(to_half_split(query, 4), 4), query, rtol=0, atol=0)


def test_in_real_numbers_for_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    x, rotary = torch.randn(2, 7, 3, 8, generator=torch.Generator().manual_seed(0)), Rotary(9, 8).half().float()
    rows = torch.tensor([[8, 1, 2, 3, 4, 5, 6], [2, 0, 1, 7, 3, 6, 5]])
    expected = [apply_rope(x, rotary(7)), apply_rope(x, rotary(rows)), apply_rope(x.bfloat16(), rotary(7))]
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not rotary(7).is_complex() and rotary(rows).shape == (2, 7, 4, 2) and not rotary.state_dict()
    found = [apply_rope(x, rotary(7)), apply_rope(x, rotary(rows)), apply_rope(x.bfloat16(), rotary(7))]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_positions_of_each_row() -> None:
    rotary = Rotary(10, 4)
    x = torch.randn(2, 1, 3, 4)
    y = apply_rope(x, rotary(torch.tensor([[2], [7]])))
    torch.testing.assert_close(y[1:], apply_rope(x[1:], rotary(8)[7:]))


def test_table_survives_a_cast_and_a_model_built_on_meta() -> None:
    expected = rope_table(301, 64)
    rotary = Rotary(301, 64).bfloat16()
    assert rotary.table.dtype == torch.complex64
    torch.testing.assert_close(rotary.table, expected, rtol=0, atol=0)
    with torch.device("meta"):
        rotary = Rotary(301, 64)
    torch.testing.assert_close(rotary.to_empty(device="cpu").table, expected, rtol=0, atol=0)


def test_table_is_not_in_the_checkpoint_and_moves_with_the_model() -> None:
    model = MotionLlama(10, n_layer=1, n_head=2, dim=16, text_dim=4).half()
    assert not [name for name in model.state_dict() if "rotary" in name]
    torch.testing.assert_close(model.rotary.table, rope_table(301, 8), rtol=0, atol=0)
