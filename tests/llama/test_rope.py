"""Rotary positions: pairs turn, lengths stay, only distances matter, and the table stays in float32."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.llama.model import MotionLlama
from motionlab.llama.rope import Rotary, apply_rope, rope_table


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
