"""RMSNorm and SwiGLU against their formulas; the hidden widths of the published table."""

from __future__ import annotations

import pytest
import torch

from motionlab.llama.block import SwiGLU, swiglu_hidden
from motionlab.llama.norm import RMSNorm

PUBLISHED_HIDDEN = {
    512: 1536,
    768: 2048,
    1024: 2816,
    1280: 3584,
    1536: 4096,
    3200: 8704,
    4096: 11008,
    5120: 13824,
    6656: 17920,
    8192: 22016,
}


@pytest.mark.parametrize(("dim", "hidden"), PUBLISHED_HIDDEN.items())
def test_hidden_widths(dim: int, hidden: int) -> None:
    assert swiglu_hidden(dim) == hidden


def test_rms_norm_is_its_formula() -> None:
    norm = RMSNorm(12)
    norm.scale.data = torch.rand(12)
    x = torch.randn(3, 12)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.scale
    torch.testing.assert_close(norm(x), expected)
    assert not torch.allclose(norm(x + 1), expected)  # unlike LayerNorm, a shift matters


def test_rms_norm_of_half_precision_does_not_overflow() -> None:
    x = torch.full((1, 8), 30_000.0, dtype=torch.float16)  # its square is infinite in float16
    torch.testing.assert_close(RMSNorm(8).half()(x), torch.ones(1, 8, dtype=torch.float16))


def test_swiglu_is_its_formula() -> None:
    mlp = SwiGLU(6, 10)
    x = torch.randn(2, 6)
    gate = x @ mlp.c_fc1.weight.T
    expected = (gate * gate.sigmoid() * (x @ mlp.c_fc2.weight.T)) @ mlp.c_proj.weight.T
    torch.testing.assert_close(mlp(x), expected)
