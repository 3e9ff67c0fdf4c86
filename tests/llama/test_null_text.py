"""A dropped text and an added row without text are the same nothing."""

from __future__ import annotations

import torch

from motionlab.llama.null_text import drop_text, null_text, with_null_rows
from motionlab.text.encoder import TextFeatures


def test_dropped_rows_and_added_rows_are_the_same_nothing(text: TextFeatures) -> None:
    dropped = drop_text(text, torch.tensor([False, True, False, True]))
    assert dropped.lengths.tolist() == [1, 1, 3, 1]
    torch.testing.assert_close(dropped.states[1, :1], null_text(6))
    torch.testing.assert_close(dropped.states[2], text.states[2, :3])
    states, mask = with_null_rows(text.states, text.mask)
    torch.testing.assert_close(states[:4], text.states, rtol=0, atol=0)
    assert torch.equal(mask[:4], text.mask) and mask[4:].sum(1).tolist() == [1] * 4
    torch.testing.assert_close(states[4:, :1], null_text(6).expand(4, 1, 6))


def test_dropping_nothing(text: TextFeatures) -> None:
    kept = drop_text(text, torch.zeros(4, dtype=torch.bool))
    assert torch.equal(kept.mask, text.mask)
    torch.testing.assert_close(kept.states[text.mask], text.states[text.mask], rtol=0, atol=0)
