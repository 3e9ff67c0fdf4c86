"""The masks against their one-line definition."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.llama.masks import prefix_mask, step_mask


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 6))
def test_prefix_mask_is_its_definition(widths: list[int], motion: int) -> None:
    text_mask = torch.arange(5) < torch.tensor(widths)[:, None]
    length = 5 + motion
    mask = prefix_mask(text_mask, length)
    assert mask.shape == (len(widths), 1, length, length) and mask.dtype == torch.bool
    for row, width in enumerate(widths):
        for i in range(length):
            for j in range(length):
                assert mask[row, 0, i, j] == (j <= i or (i < width and j < width))


def test_step_mask_is_the_row_of_the_prefix_mask() -> None:
    text_mask = torch.tensor([[True, True, False], [True, True, True]])
    full = prefix_mask(text_mask, 6)
    step = step_mask(torch.tensor([4, 3]), 6)
    assert torch.equal(step[0, 0, 0], full[0, 0, 4])
    assert torch.equal(step[1, 0, 0], full[1, 0, 3])
