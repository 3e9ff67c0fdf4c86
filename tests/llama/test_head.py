"""Tied embeddings: one table that is read and written, through every move."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from motionlab.llama.model import MotionLlama
from motionlab.llama.variant import LlamaVariant
from motionlab.text.encoder import TextFeatures

Make = Callable[..., MotionLlama]


def test_tied_embeddings(make_model: Make, text: TextFeatures) -> None:
    model = make_model(tied_embeddings=True)
    assert model.tied_embeddings and "lm_head.weight" not in model.state_dict()
    assert len(list(model.parameters())) == len(list(make_model().parameters())) - 1
    tokens = torch.randint(20, (4, 12), generator=torch.Generator().manual_seed(0))
    table = model.get_parameter("transformer.wte.weight")
    logits = model(tokens, text.states, text.mask)
    torch.testing.assert_close(logits, model.hidden(tokens, text.states, text.mask) @ table[:21].T)
    logits.logsumexp(-1).sum().backward()
    assert (
        table.grad is not None and (table.grad[:21].abs().sum(1) > 0).all()
    )  # every code is written, so every row learns


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
        one.get_parameter("transformer.wte.weight").data.zero_()
        assert not one.lm_head.weight.any()
    assert model.lm_head.weight.any()
