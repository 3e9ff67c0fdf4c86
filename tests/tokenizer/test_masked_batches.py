"""Batches of clips of different lengths: with a mask, each clip comes out as if it were alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.quantizers.build import make_quantizer
from motionlab.tokenizer.model import MotionTokenizer


def small(kind: str = "fsq", **changes: Any) -> MotionTokenizer:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"width": 16, "depth": 2} | changes
    return MotionTokenizer(make_quantizer(kind, 1024, 16), **arguments)


def test_mask_of_frames_becomes_a_mask_of_tokens() -> None:
    tokenizer = small(down_t=2)
    mask = torch.arange(10) < torch.tensor([[10], [4], [5]])
    _, _, real = tokenizer._prepare(torch.randn(3, 10, 272), mask)
    assert real is not None
    assert real.tolist() == [[True] * 3, [True, False, False], [True, True, False]]


VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"causal": True, "down_t": 2, "activation": "silu"},
    {"norm": "GN", "width": 32},
    {"norm": "BN", "activation": "gelu"},
    {"norm": None, "kernel_size": 5},
    {"patcher": "wavelet", "patch_size": 4},
    {"patcher": "compat", "down_t": 3},
)


BOTH_MODES = [(changes, training) for changes in VARIANTS for training in (True, False)]
# In training, batch norm mixes the clips of a batch: that is its definition.
BOTH_MODES.remove((next(changes for changes in VARIANTS if changes.get("norm") == "BN"), True))


@pytest.mark.parametrize(("changes", "training"), BOTH_MODES, ids=str)
def test_a_clip_in_a_masked_batch_is_the_clip_alone(changes: dict[str, Any], training: bool) -> None:
    """Tokens, reconstruction and gradients; lengths 1, odd, shorter than what a token sees, and whole."""
    tokenizer = small(**changes).train(training)
    lengths = (29, 1, 7, 16)
    x = torch.randn(4, 29, 272)
    mask = torch.arange(29) < torch.tensor(lengths).unsqueeze(1)
    padded = torch.where(mask.unsqueeze(2), x, torch.nan).requires_grad_()
    output = tokenizer(padded, mask)
    assert torch.equal(tokenizer.encode(padded, mask), output.quantized.indices)
    output.reconstruction[mask].square().sum().backward()
    for row, length in enumerate(lengths):
        n = tokenizer.token_count(length)
        one = x[row : row + 1, :length].clone().requires_grad_()
        alone = tokenizer(one)
        assert torch.equal(output.quantized.indices[row, :n], alone.quantized.indices[0])
        torch.testing.assert_close(output.reconstruction[row, :length], alone.reconstruction[0], rtol=1e-4, atol=1e-5)
        alone.reconstruction.square().sum().backward()
        assert padded.grad is not None and one.grad is not None
        torch.testing.assert_close(padded.grad[row, :length], one.grad[0], rtol=1e-3, atol=1e-4)
    assert padded.grad is not None
    assert torch.equal(torch.isnan(padded.grad), torch.zeros_like(padded.grad, dtype=torch.bool))
    assert padded.grad[~mask].abs().max() == 0


@pytest.mark.parametrize("changes", [{}, {"norm": None}, {"norm": None, "activation": "gelu"}], ids=str)
def test_without_gradients_padding_is_cleared_in_place_but_not_in_what_was_given(changes: dict[str, Any]) -> None:
    tokenizer, x = small(**changes).eval(), torch.randn(3, 12, 272)
    mask = torch.arange(12) < torch.tensor([[12], [7], [3]])
    before, with_gradients = x.clone(), tokenizer(x, mask)
    with torch.no_grad():
        without = tokenizer(x, mask)
    assert torch.equal(x, before)
    assert torch.equal(without.quantized.indices, with_gradients.quantized.indices)
    torch.testing.assert_close(without.reconstruction[mask], with_gradients.reconstruction[mask])


def test_a_mask_that_is_all_true_changes_nothing() -> None:
    tokenizer, x = small(down_t=2), torch.randn(2, 13, 272)
    mask = torch.ones(2, 13, dtype=torch.bool)
    torch.testing.assert_close(tokenizer(x, mask).reconstruction, tokenizer(x).reconstruction)


def test_decode_takes_a_mask_of_tokens() -> None:
    tokenizer = small()
    indices = torch.randint(0, 1000, (2, 9))
    mask = torch.arange(9) < torch.tensor([[9], [4]])
    together = tokenizer.decode(torch.where(mask, indices, 1001), mask)  # 1001: PAD
    torch.testing.assert_close(together[1, :8], tokenizer.decode(indices[1:, :4])[0])
    torch.testing.assert_close(together[0], tokenizer.decode(indices[:1])[0])


@pytest.mark.parametrize(
    "mask",
    [
        torch.tensor([[True, False, True]]),
        torch.tensor([[False, True, True]]),
        torch.tensor([[False, False, False]]),
        torch.tensor([[1, 1, 0]]),
        torch.ones(1, 4, dtype=torch.bool),
    ],
)
def test_wrong_masks(mask: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"mask: found .* expected bool of shape \(1, 3\), each row true first"):
        small()(torch.zeros(1, 3, 272), mask)
    with pytest.raises(InputError, match="mask: found"):
        small("rvq").decode(torch.zeros(1, 3, 2, dtype=torch.int64), mask)
    with pytest.raises(InputError, match="mask: found"):
        small().decode(torch.zeros(1, 3, dtype=torch.int64), mask)


def test_a_learned_codebook_ignores_padding() -> None:
    tokenizer = small("vq_ema")
    x = torch.randn(2, 32, 272)
    x[1, 8:] = 1e3
    tokenizer(x, torch.arange(32) < torch.tensor([[32], [8]]))
    with torch.no_grad():
        vectors = tokenizer.encoder(x)
    farthest = torch.cdist(tokenizer.quantizer.codebook, vectors[1, 6:]).min()  # type: ignore[arg-type]
    assert farthest > 100  # no code came near the vectors of the padding
