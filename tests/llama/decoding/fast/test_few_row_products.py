"""Products in blocks equal plain ones, for every remainder, for one row and several, written over and added."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.llama.decoding.fast.few_row_products import Product, Source, Target


@settings(deadline=None, max_examples=80)
@given(
    batch=st.integers(1, 5),
    outputs=st.one_of(st.integers(1, 140), st.sampled_from([32, 64, 96])),
    inputs=st.integers(1, 40),
    divide=st.sampled_from(["no", "by a number", "row by row"]),
)
def test_equals_the_plain_product(batch: int, outputs: int, inputs: int, divide: str) -> None:
    x, weight, before, length = numbers((batch, inputs), (outputs, inputs), (batch, outputs), (batch, 1))
    product = Product((outputs, inputs), lambda: weight)
    divisors: dict[str, float | torch.Tensor] = {"no": 1.0, "by a number": 0.3, "row by row": length.abs() + 0.1}
    divisor = divisors[divide]
    target = Target(torch.full_like(before, torch.nan))  # what was there must not matter
    product.write(Source(x), target, divisor)
    torch.testing.assert_close(target.rows, x @ weight.T / divisor)

    target = Target(before.clone())
    product.add(Source(x), target)
    torch.testing.assert_close(target.rows, before + x @ weight.T)


def numbers(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_source_may_change_between_two_products(batch: int) -> None:
    weight, x = numbers((64, 5), (batch, 5))
    product, source, target = Product((64, 5), lambda: weight), Source(x), Target(torch.empty(batch, 64))
    for _ in range(2):
        product.write(source, target)
        torch.testing.assert_close(target.rows, x @ weight.T)
        x.mul_(-2)


def test_each_form_is_made_once_and_only_when_needed() -> None:
    made = []

    def weight() -> torch.Tensor:
        made.append(torch.ones(64, 3))
        return made[-1]

    product = Product((64, 3), weight)
    for batch, calls in ((1, 1), (1, 1), (3, 2), (2, 2)):
        product.write(Source(torch.ones(batch, 3)), Target(torch.zeros(batch, 64)))
        assert len(made) == calls
