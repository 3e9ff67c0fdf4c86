"""A painted batch is what the package's own strategies do."""

from __future__ import annotations

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.objectives.corruption import KeepRate, corrupt_codes, mask_codes
from motionlab.llama.sequence import IGNORE
from motionlab.plots.strategy_view import STATES
from motionlab.views.strategy_view import CODES, KINDS, Kind, paint, toy_own, toy_sequences


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("per", ["fixed", "batch", "sample"])
def test_every_slot_has_one_state_that_fits(kind: Kind, keep: float, per: KeepRate) -> None:
    view = paint(kind, keep, per, seed=3)
    state = {name: view.states == i for i, name in enumerate(STATES)}
    is_code = view.true < CODES
    assert torch.equal(state["kept"] | state["replaced"] | state["own"] | state["MASK"], is_code)
    assert torch.equal(state["END"], view.true == CODES)
    untouched = ~(state["replaced"] | state["own"] | state["MASK"])
    assert torch.equal(view.read[untouched], view.true[untouched]), "END, PAD and text stay"
    assert bool((view.read[state["replaced"] | state["own"]] < CODES).all())
    assert bool((view.read[state["MASK"]] == CODES + 2).all())


def test_it_is_the_packages_own_draw() -> None:
    true = toy_sequences().tokens
    assert torch.equal(
        paint("random replacement", 0.3, seed=7).read, corrupt_codes(true, 0.3, CODES, torch.Generator().manual_seed(7))
    )
    read, masked = mask_codes(true, CODES, CODES + 2, torch.Generator().manual_seed(7))
    view = paint("masked modelling", seed=7)
    assert torch.equal(view.read, read) and torch.equal(view.states == STATES.index("MASK"), masked)


def test_a_code_that_was_drawn_anew_is_painted_so_even_when_it_is_the_same() -> None:
    view = paint("random replacement", 0.0)
    assert view.count("replaced") == view.n_codes and view.count("kept") == 0
    assert bool(((view.read == view.true) & (view.true < CODES)).any())


def test_what_must_be_predicted() -> None:
    batch = toy_sequences()
    for kind in KINDS[:3]:
        assert torch.equal(paint(kind, 0.2).predicted, batch.labels)
    view = paint("masked modelling")
    masked = view.states == STATES.index("MASK")
    assert torch.equal(view.predicted != IGNORE, masked) and torch.equal(view.predicted[masked], view.true[masked])


def test_rates() -> None:
    assert paint("random replacement", 0.3).rates == pytest.approx([0.3] * 4)
    assert len(set(paint("random replacement", 0.3, "batch").rates)) == 1
    each = paint("random replacement", 0.3, "sample").rates
    assert len(set(each)) == 4 and min(each) >= 0.3


def test_own_codes_are_moves_of_the_toy() -> None:
    tokens = toy_sequences().tokens
    own = toy_own(tokens, torch.Generator().manual_seed(0))
    is_code = tokens < CODES
    inner = is_code[:, 1:] & is_code[:, :-1]
    moved = (own[:, 1:] - tokens[:, :-1]) % CODES
    assert set(moved[inner].tolist()) <= {0, 1, 2}


def test_an_unknown_strategy() -> None:
    with pytest.raises(InputError, match="masked modelling"):
        paint("dropout")  # type: ignore[arg-type]
