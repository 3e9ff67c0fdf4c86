"""Exchanging parts of the decoder of lesson 18: the right one changes nothing, every other one changes the loss."""

from __future__ import annotations

import pytest
import torch

from lessons.build_the_decoder.attention import turn
from lessons.build_the_decoder.parts import EXCHANGES, WRITTEN, loss_of
from lessons.shared.exchange import AS_WRITTEN, exchanged
from motionlab.errors import InputError
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.rope import apply_rope, rope_table


def _loss(built) -> float:
    batch = built["batch"]
    with torch.no_grad():
        return loss_of(built["mine"](batch.tokens, batch.text, batch.text_mask), batch)


def test_the_notebooks_decoder_is_the_package_s(built) -> None:
    with torch.no_grad():
        theirs = float(sequence_losses(built["theirs"], built["batch"]).loss)
    assert _loss(built) == pytest.approx(theirs, abs=1e-5)


def test_turn_is_the_packages_rope() -> None:
    x = torch.randn(2, 5, 3, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(turn(x, torch.arange(5)), apply_rope(x, rope_table(5, 8)), atol=1e-6)


def test_every_exchange_changes_the_loss_and_is_taken_back(built) -> None:
    intact, before = _loss(built), dict(vars(built["parts"]))
    for part, choices in EXCHANGES.items():
        with exchanged(built["parts"], EXCHANGES, **{part: AS_WRITTEN}):
            assert _loss(built) == intact
        for choice in choices:
            with exchanged(built["parts"], EXCHANGES, **{part: choice}):
                assert abs(_loss(built) - intact) > 1e-4, (part, choice)
    assert vars(built["parts"]) == before
    assert set(EXCHANGES) == set(WRITTEN)


def test_an_unknown_exchange_is_refused_and_changes_nothing(built) -> None:
    for wrong in ({"turn": "backwards"}, {"positions": "none"}):
        with pytest.raises(InputError, match="parts"), exchanged(built["parts"], EXCHANGES, **wrong):
            pass
    assert built["parts"].turn is turn
