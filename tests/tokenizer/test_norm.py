"""The norms against torch's own, and against themselves without padding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.tokenizer.norm import BatchNorm, GroupNorm, norm_layer
from motionlab.tokenizer.padding import WHOLE, Ragged, through

LENGTHS = torch.tensor([[12], [5], [1]])
MASK = torch.arange(12) < LENGTHS  # [3, 12]


def trained(name: str) -> nn.Module:
    torch.manual_seed(0)
    layer = norm_layer(name, 64)
    nn.init.normal_(layer.get_parameter("weight"))
    nn.init.normal_(layer.get_parameter("bias"))
    return layer


@pytest.mark.parametrize("name", ["GN", "BN", "LN"])
@pytest.mark.parametrize("training", [True, False])
def test_equals_torch_on_channels_first(name: str, training: bool) -> None:
    layer = trained(name).train(training)
    plain = {
        "GN": nn.GroupNorm(32, 64, eps=1e-6), "BN": nn.BatchNorm1d(64, eps=1e-6), "LN": nn.LayerNorm(64, eps=1e-5),
    }[name].train(training)  # fmt: skip
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(3, 12, 64) * 3 + 1
    if name == "LN":
        expected = plain(x)
    else:
        expected = plain(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(through(layer, x, WHOLE), expected)
    for found, wanted in zip(layer.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(found, wanted)


def test_group_norm_with_padding_is_group_norm_alone() -> None:
    layer, x = trained("GN"), torch.randn(3, 12, 64) + 2
    together = through(layer, torch.where(MASK.unsqueeze(2), x, 1e4), Ragged(MASK))
    for row, length in enumerate(LENGTHS.flatten().tolist()):
        torch.testing.assert_close(together[row, :length], through(layer, x[row : row + 1, :length], WHOLE)[0])


def test_group_norm_has_a_gradient_where_a_clip_is_all_padding() -> None:
    layer, x = trained("GN"), torch.randn(2, 4, 64, requires_grad=True)
    through(layer, x, Ragged(torch.tensor([[True] * 4, [False] * 4]))).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_batch_norm_learns_from_real_frames_only() -> None:
    layer, alone = trained("BN"), trained("BN")
    x = torch.randn(3, 12, 64) + 2
    together = through(layer, torch.where(MASK.unsqueeze(2), x, 1e4), Ragged(MASK))
    torch.testing.assert_close(together[MASK], through(alone, x[MASK].unsqueeze(0), WHOLE)[0])
    for found, wanted in zip(layer.buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(found, wanted)


def test_batch_norm_cannot_train_on_one_frame() -> None:
    layer = BatchNorm(4)
    with pytest.raises(InputError, match="a single frame or token"):
        layer(torch.randn(1, 1, 4))
    with pytest.raises(InputError, match="a single frame or token"):
        layer(torch.randn(1, 3, 4), Ragged(torch.tensor([[True, False, False]])))
    assert layer.eval()(torch.randn(1, 1, 4)).shape == (1, 1, 4)


def test_no_norm_does_nothing() -> None:
    x = torch.randn(2, 3, 5)
    assert through(norm_layer(None, 5), x, WHOLE) is x


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="found 'IN', expected 'LN', 'GN', 'BN', None"):
        norm_layer("IN", 8)
    with pytest.raises(InputError, match="found 48, expected a multiple of 32"):
        GroupNorm(48)
    with pytest.raises(InputError, match="sees? the future"):
        norm_layer("GN", 64, causal=True)
