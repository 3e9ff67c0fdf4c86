"""A decoder refuses wrong heads, lengths, tokens and codebooks with one line that says how to fix it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.model import Attention, MotionLlama
from motionlab.text.encoder import TextFeatures

Make = Callable[..., MotionLlama]


@pytest.mark.parametrize(("heads", "groups"), [(5, 5), (4, 3), (12, 12), (4, 8)])
def test_wrong_head_counts(heads: int, groups: int) -> None:
    with pytest.raises(InputError, match="n_head|n_kv_heads"):
        Attention(dim=12, n_head=heads, n_kv_heads=groups)


@pytest.mark.parametrize(
    "name", ["codebook_size", "n_layer", "n_head", "n_kv_heads", "dim", "text_dim", "max_length", "hidden"]
)
@pytest.mark.parametrize("value", [0, -4])
def test_sizes_below_one(make_model: Make, name: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{name}: found {value}"):
        make_model(**{name: value})


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


def test_a_codebook_of_another_size(make_model: Make) -> None:
    model = make_model()
    model.check_codebook(20)
    with pytest.raises(InputError, match="a tokenizer with 512 codes and a decoder with 20"):
        model.check_codebook(512)
