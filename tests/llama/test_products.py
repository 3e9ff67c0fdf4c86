"""Products in blocks equal plain ones, for every remainder, for one row and several, written over and added."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.llama.products import Product, Target


@settings(deadline=None, max_examples=80)
@given(
    batch=st.integers(1, 5),
    outputs=st.integers(1, 140),
    inputs=st.integers(1, 40),
    factor=st.sampled_from([1.0, 0.3]),
    add=st.booleans(),
)
def test_equals_the_plain_product(batch: int, outputs: int, inputs: int, factor: float, add: bool) -> None:
    generator = torch.Generator().manual_seed(outputs)
    x, weight, before = (
        torch.randn(*shape, generator=generator) for shape in ((batch, inputs), (outputs, inputs), (batch, outputs))
    )
    expected = factor * x @ weight.T + (before if add else 0.0)
    target = Target(before.clone() if add else torch.full_like(before, torch.nan))  # what was there must not matter
    Product((outputs, inputs), lambda: weight)(x, target, factor=factor, add=add)
    torch.testing.assert_close(target.rows, expected)


def test_each_form_is_made_once_and_only_when_needed() -> None:
    made = []

    def weight() -> torch.Tensor:
        made.append(torch.ones(40, 3))
        return made[-1]

    product = Product((40, 3), weight)
    for batch, calls in ((1, 1), (1, 1), (3, 2), (2, 2)):
        product(torch.ones(batch, 3), Target(torch.zeros(batch, 40)))
        assert len(made) == calls
