"""The decoder: golden logits, what each position may know, names, initial weights, limits."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.masks import padding_mask, prefix_mask
from motionlab.llama.model import LlamaVariant, MotionLlama
from motionlab.text.encoder import TextFeatures

Make = Callable[..., MotionLlama]


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


def test_initial_weights() -> None:
    model = MotionLlama(1000, n_layer=8, n_head=4, dim=128, text_dim=64)
    expected = {"lm_head": 0.02, "wte": 0.02, "c_attn": 0.02, "c_fc": 0.02, "llama_proj": 0.02, "c_proj": 0.02 / 4}
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            std = next(value for part, value in expected.items() if part in name)
            assert float(parameter.detach().std()) == pytest.approx(std, rel=0.1), name
        else:
            assert torch.equal(parameter, torch.full_like(parameter, 0.0 if name.endswith("bias") else 1.0)), name


def test_special_tokens(make_model: Make) -> None:
    model = make_model()
    assert (model.end_token, model.pad_token) == (20, 21)


def test_too_long(make_model: Make, text: TextFeatures) -> None:
    model = make_model(max_length=12)
    with pytest.raises(InputError, match="found 13 positions, expected at most max_length=12"):
        model(torch.zeros(4, 13, dtype=torch.long), text.states, text.mask)


@pytest.mark.parametrize("token", [-1, 22])
def test_a_token_outside_the_vocabulary(make_model: Make, text: TextFeatures, token: int) -> None:
    tokens = torch.zeros(4, 12, dtype=torch.long)
    tokens[2, 9] = token
    with pytest.raises(InputError, match=r"tokens: found values .* expected 0 to 21.*20 codes"):
        make_model()(tokens, text.states, text.mask)


def test_the_mask_token_is_one_row_more(make_model: Make, text: TextFeatures) -> None:
    model = make_model(mask_token=True)
    assert model.mask_token == 22 and make_model().mask_token is None
    tokens = torch.full((4, 12), 22)
    assert model(tokens, text.states, text.mask).shape == (4, 12, 21)  # MASK is read, never written
    with pytest.raises(InputError, match="0 to 22"):
        model(tokens + 1, text.states, text.mask)


def test_tied_embeddings(make_model: Make, text: TextFeatures) -> None:
    model = make_model(tied_embeddings=True)
    assert model.tied_embeddings and "lm_head.weight" not in model.state_dict()
    assert len(list(model.parameters())) == len(list(make_model().parameters())) - 1
    tokens = torch.randint(20, (4, 12), generator=torch.Generator().manual_seed(0))
    table = model.transformer["wte"].weight
    logits = model(tokens, text.states, text.mask)
    torch.testing.assert_close(logits, model.hidden(tokens, text.states, text.mask) @ table[:21].T)
    logits.logsumexp(-1).sum().backward()
    assert (table.grad[:21].abs().sum(1) > 0).all()  # every code is written, so every row learns


def test_tied_embeddings_stay_tied(make_model: Make, text: TextFeatures) -> None:
    """After a move, a cast, a copy and a load, there is still one table."""
    model = make_model(tied_embeddings=True)
    other = copy.deepcopy(model).double().float()
    with torch.device("meta"):
        variant = LlamaVariant(hidden=48, tied_embeddings=True)
        empty = MotionLlama(20, n_layer=2, n_head=4, dim=32, text_dim=6, max_length=48, variant=variant)
    empty.to_empty(device="cpu").load_state_dict(model.state_dict())
    tokens = torch.zeros(4, 12, dtype=torch.long)
    for one in (other, empty):
        torch.testing.assert_close(one(tokens, text.states, text.mask), model(tokens, text.states, text.mask))
        one.transformer["wte"].weight.data.zero_()
        assert not one.lm_head.weight.any()
    assert model.lm_head.weight.any()


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


def test_a_codebook_of_another_size(make_model: Make) -> None:
    model = make_model()
    model.check_codebook(20)
    with pytest.raises(InputError, match="a tokenizer with 512 codes and a decoder with 20"):
        model.check_codebook(512)


def test_autocast_keeps_the_choice(make_model: Make, text: TextFeatures) -> None:
    """bfloat16 products change logits by about a percent; positions must not drift (float32 angles)."""
    model = make_model(max_length=301)
    tokens = torch.randint(20, (4, 301), generator=torch.Generator().manual_seed(0))
    exact = model(tokens, text.states * text.mask[..., None], text.mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(tokens, text.states * text.mask[..., None], text.mask)
    error = (rounded.float() - exact).square().mean().sqrt() / exact.std()
    assert error < 0.06, error
