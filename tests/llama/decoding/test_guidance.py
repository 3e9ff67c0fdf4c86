"""Classifier-free guidance is its formula."""

from __future__ import annotations

import torch

from motionlab.llama.decoding.guidance import guide


def test_scales() -> None:
    logits = torch.randn(6, 9)
    conditional, unconditional = logits[:3], logits[3:]
    torch.testing.assert_close(guide(logits, 1.0), conditional)
    torch.testing.assert_close(guide(logits, 0.0), unconditional)
    torch.testing.assert_close(guide(logits, 3.0) - conditional, 2 * (conditional - unconditional))


def test_half_precision_does_not_overflow() -> None:
    guided = guide(torch.tensor([[40.0, 0.0], [-40.0, 0.0]], dtype=torch.float16), 2000.0)
    assert guided.tolist() == [[159960.0, 0.0]]


def test_the_difference_is_taken_in_float32() -> None:
    logits = torch.randn(6, 9, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(guide(logits, 7.5), guide(logits.float(), 7.5))
    assert guide(logits.double(), 7.5).dtype == torch.float64
