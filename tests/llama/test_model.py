"""Norm, SwiGLU and attention against their formulas; the decoder against golden logits; what each position may know."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from motionlab.errors import InputError
from motionlab.llama.masks import padding_mask, prefix_mask
from motionlab.llama.model import Attention, MotionLlama, RMSNorm, SwiGLU
from motionlab.llama.rope import apply_rope, rope_table
from motionlab.text.encoder import TextFeatures

Make = Callable[..., MotionLlama]
MASK = prefix_mask(torch.tensor([[True, True, False], [True, True, True]]), 7)


def test_rms_norm_is_its_formula() -> None:
    norm = RMSNorm(12)
    norm.scale.data = torch.rand(12)
    x = torch.randn(3, 12)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.scale
    torch.testing.assert_close(norm(x), expected)
    assert not torch.allclose(norm(x + 1), expected)  # unlike LayerNorm, a shift matters


def test_rms_norm_of_half_precision_does_not_overflow() -> None:
    x = torch.full((1, 8), 30_000.0, dtype=torch.float16)  # its square is infinite in float16
    torch.testing.assert_close(RMSNorm(8).half()(x), torch.ones(1, 8, dtype=torch.float16))


def test_swiglu_is_its_formula() -> None:
    mlp = SwiGLU(6, 10)
    x = torch.randn(2, 6)
    gate = x @ mlp.c_fc1.weight.T
    expected = (gate * gate.sigmoid() * (x @ mlp.c_fc2.weight.T)) @ mlp.c_proj.weight.T
    torch.testing.assert_close(mlp(x), expected)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_gqa_equals_mha_with_repeated_heads(groups: int) -> None:
    dim, heads, width = 24, 4, 6
    gqa, mha = Attention(dim, heads, groups), Attention(dim, heads, heads)
    query, key, value = gqa.c_attn.weight.data.split((dim, groups * width, groups * width))

    def repeat(rows: torch.Tensor) -> torch.Tensor:
        return rows.unflatten(0, (groups, width)).repeat_interleave(heads // groups, dim=0).flatten(0, 1)

    mha.c_attn.weight.data = torch.cat([query, repeat(key), repeat(value)])
    mha.c_proj.weight.data = gqa.c_proj.weight.data
    x = torch.randn(2, 7, dim)
    turn = rope_table(7, width)
    torch.testing.assert_close(gqa(x, turn, MASK), mha(x, turn, MASK))


def test_attention_equals_softmax_written_out() -> None:
    attention = Attention(dim=8, n_head=1, n_kv_heads=1)
    x = torch.randn(2, 7, 8)
    query, key, value = attention.c_attn(x).split(8, dim=-1)
    turn = rope_table(7, 8)

    def rotate(y: torch.Tensor) -> torch.Tensor:
        return torch.view_as_real(torch.view_as_complex(y.unflatten(-1, (4, 2)).contiguous()) * turn).flatten(-2)

    scores = rotate(query) @ rotate(key).mT / 8**0.5
    expected = attention.c_proj(scores.masked_fill(~MASK[:, 0], float("-inf")).softmax(-1) @ value)
    torch.testing.assert_close(attention(x, turn, MASK), expected)


def test_qk_norm_bounds_the_scores() -> None:
    """A query and a key of length sqrt(hd) each: no score can exceed sqrt(hd), whatever the weights."""
    plain, normed = Attention(16, 2, 1), Attention(16, 2, 1, qk_norm=True)
    normed.load_state_dict(plain.state_dict(), strict=False)
    x, turn = torch.randn(2, 7, 16), rope_table(7, 8)
    before = normed(x, turn, MASK)
    assert not torch.allclose(before, plain(x, turn, MASK))
    with torch.no_grad():
        normed.c_attn.weight[: 16 + 8] *= 1000  # queries and keys
        plain.c_attn.weight[: 16 + 8] *= 1000
    torch.testing.assert_close(normed(x, turn, MASK), before, rtol=1e-3, atol=1e-3)
    qkv = normed.c_attn(x).unflatten(-1, (4, 8))
    assert normed.q_norm is not None and normed.k_norm is not None
    query, key = normed.q_norm(qkv[:, :, :2]), normed.k_norm(qkv[:, :, 2:3])
    torch.testing.assert_close(query.norm(dim=-1), torch.full((2, 7, 2), 8**0.5), rtol=1e-3, atol=1e-3)
    assert (torch.einsum("bihd,bjgd->bhij", query, key) / 8**0.5).abs().max() <= 8**0.5 + 1e-3


def test_qk_norm_comes_before_the_turn() -> None:
    attention = Attention(8, 1, 1, qk_norm=True)
    assert attention.q_norm is not None and attention.k_norm is not None
    attention.q_norm.scale.data = torch.rand(8)
    attention.k_norm.scale.data = torch.rand(8)
    x, turn = torch.randn(2, 7, 8), rope_table(7, 8)
    query, key, value = attention.c_attn(x)[:, :, None].split(8, dim=-1)  # [B, S, 1, 8]
    query, key = apply_rope(attention.q_norm(query), turn), apply_rope(attention.k_norm(key), turn)
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    expected = attention.c_proj(F.scaled_dot_product_attention(query, key, value, attn_mask=MASK)[:, 0])
    torch.testing.assert_close(attention(x, turn, MASK), expected)


def test_golden_logits(golden: Callable[[str], Any]) -> None:
    data = golden("llama_prefix.npz")
    config = json.loads(str(data["config"]))
    model = MotionLlama(
        config["vocab_size"] - 2,
        n_layer=config["n_layer"],
        n_head=config["n_head"],
        dim=config["n_embd"],
        text_dim=config["text_dim"],
        max_length=config["block_size"],
    )
    prefix = "param/"
    state = {name[len(prefix) :]: torch.from_numpy(data[name]) for name in data.files if name.startswith(prefix)}
    model.load_state_dict(state, strict=True)
    tokens, text, mask = (torch.from_numpy(data[name]) for name in ("tokens", "text", "text_mask"))
    torch.testing.assert_close(model(tokens, text, mask), torch.from_numpy(data["logits"]), rtol=0, atol=1e-5)


def test_parameter_names_and_shapes(make_model: Make) -> None:
    shapes = {name: list(value.shape) for name, value in make_model(n_layer=1, n_kv_heads=2).state_dict().items()}
    assert shapes == {
        "transformer.wte.weight": [22, 32],
        "transformer.h.0.rms_1.scale": [32],
        "transformer.h.0.attn.c_attn.weight": [64, 32],
        "transformer.h.0.attn.c_proj.weight": [32, 32],
        "transformer.h.0.rms_2.scale": [32],
        "transformer.h.0.mlp.c_fc1.weight": [48, 32],
        "transformer.h.0.mlp.c_fc2.weight": [48, 32],
        "transformer.h.0.mlp.c_proj.weight": [32, 48],
        "transformer.ln_f.scale": [32],
        "llama_proj.weight": [32, 6],
        "llama_proj.bias": [32],
        "lm_head.weight": [21, 32],
    }


def test_motion_never_sees_what_comes_after(make_model: Make, text: TextFeatures) -> None:
    model = make_model()
    tokens = torch.randint(20, (4, 16), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[:, 12] = (tokens[:, 12] + 1) % 20
    before, after = model(tokens, text.states, text.mask), model(changed, text.states, text.mask)
    torch.testing.assert_close(before[:, :12], after[:, :12], rtol=0, atol=0)
    assert ((before[:, 12:] - after[:, 12:]).abs().amax(-1) > 1e-4).all()


def test_text_sees_itself_in_both_directions(make_model: Make, text: TextFeatures) -> None:
    model = make_model()
    tokens = torch.zeros(4, 16, dtype=torch.long)
    other = text.states.clone()
    other[3, 6] += 1.0  # the last text token of the last prompt
    before, after = model(tokens, text.states, text.mask), model(tokens, other, text.mask)
    assert (before[3] - after[3]).abs().amax(-1).min() > 1e-4  # every position of that row, the first included
    torch.testing.assert_close(before[:3], after[:3], rtol=0, atol=0)


def test_tokens_under_the_text_do_not_matter(make_model: Make, text: TextFeatures) -> None:
    model = make_model()
    tokens = torch.full((4, 16), 3)
    other = tokens.clone()
    other[:, :7][text.mask] = 9
    first, second = model(tokens, text.states, text.mask), model(other, text.states, text.mask)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_a_row_in_a_batch_equals_the_row_alone(make_model: Make, text: TextFeatures) -> None:
    model = make_model(n_kv_heads=2)
    tokens = torch.randint(20, (4, 16), generator=torch.Generator().manual_seed(0))
    together = model(tokens, text.states, text.mask)
    for row, width in enumerate(text.lengths.tolist()):
        alone = model(tokens[row : row + 1], text.states[row : row + 1, :width], text.mask[row : row + 1, :width])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)


def test_every_parameter_gets_a_gradient(make_model: Make, text: TextFeatures) -> None:
    model = make_model(n_kv_heads=1)
    model(torch.zeros(4, 12, dtype=torch.long), text.states * text.mask[..., None], text.mask).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_special_tokens(make_model: Make) -> None:
    model = make_model()
    assert (model.end_token, model.pad_token) == (20, 21)


def test_the_mask_token_is_one_row_more(make_model: Make, text: TextFeatures) -> None:
    model = make_model(mask_token=True)
    assert model.mask_token == 22 and make_model().mask_token is None
    tokens = torch.full((4, 12), 22)
    assert model(tokens, text.states, text.mask).shape == (4, 12, 21)  # MASK is read, never written
    with pytest.raises(InputError, match="0 to 22"):
        model(tokens + 1, text.states, text.mask)


def test_another_mask_can_be_given(make_model: Make, text: TextFeatures) -> None:
    model = make_model()
    tokens = torch.randint(20, (4, 16), generator=torch.Generator().manual_seed(0))
    same = model(tokens, text.states, text.mask, prefix_mask(text.mask, 16))
    torch.testing.assert_close(same, model(tokens, text.states, text.mask), rtol=0, atol=0)
    everyone = padding_mask(torch.ones(4, 16))
    changed = tokens.clone()
    changed[:, 15] = (tokens[:, 15] + 1) % 20
    before, after = (model(each, text.states, text.mask, everyone) for each in (tokens, changed))
    assert ((before - after).abs().amax(-1) > 1e-5).all()  # the first position sees the last


def test_a_pooled_text_needs_no_mask(make_model: Make) -> None:
    model = make_model()
    tokens = torch.randint(20, (4, 16), generator=torch.Generator().manual_seed(0))
    text, text_mask = torch.randn(4, 1, 6, generator=torch.Generator().manual_seed(1)), torch.ones(4, 1).bool()
    by_rule = model(tokens, text, text_mask)
    torch.testing.assert_close(by_rule, model(tokens, text, text_mask, prefix_mask(text_mask, 16)))
    with pytest.raises(AssertionError):  # and the rule is at work
        everyone = padding_mask(torch.ones(4, 16))
        torch.testing.assert_close(by_rule, model(tokens, text, text_mask, everyone))


def test_an_empty_batch_gives_no_logits(make_model: Make) -> None:
    logits = make_model()(torch.zeros(0, 5, dtype=torch.long), torch.zeros(0, 2, 6), torch.ones(0, 2))
    assert logits.shape == (0, 5, 21)


def test_autocast_keeps_the_choice(make_model: Make, text: TextFeatures) -> None:
    """bfloat16 products change logits by about a percent; positions must not drift (float32 angles)."""
    model = make_model(max_length=301)
    tokens = torch.randint(20, (4, 301), generator=torch.Generator().manual_seed(0))
    exact = model(tokens, text.states * text.mask[..., None], text.mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(tokens, text.states * text.mask[..., None], text.mask)
    error = (rounded.float() - exact).square().mean().sqrt() / exact.std()
    assert error < 0.06, error
