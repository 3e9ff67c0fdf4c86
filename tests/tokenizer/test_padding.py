"""The values that a convolution sees beyond the ends of its input."""

from __future__ import annotations

import torch

from motionlab.tokenizer.convolution import TimeConv
from motionlab.tokenizer.padding import WHOLE, Layers, Ragged, Stream


def test_ragged_is_zero_after_each_end_and_real_at_every_rate() -> None:
    tokens = torch.tensor([[True, True, True], [True, False, False]])
    conv = TimeConv(2, 2, 3)
    extended = Ragged(tokens).extend(torch.ones(2, 6, 2), conv.past, conv)  # 2 frames per token
    assert extended[:, :, 0].tolist() == [[1] * 6, [1, 1, 0, 0, 0, 0]]
    assert Ragged(tokens).real(torch.ones(2, 12, 5)).sum(1).tolist() == [12, 4]
    assert Ragged(tokens).real(torch.ones(2, 3, 5)).tolist() == tokens.tolist()


def test_whole_and_ragged_put_zeros_before_a_causal_convolution() -> None:
    conv = TimeConv(1, 1, 3, dilation=2, causal=True)
    x = torch.ones(1, 3, 1)
    for border in (WHOLE, Ragged(torch.ones(1, 3, dtype=torch.bool))):
        assert border.extend(x, conv.past, conv).flatten().tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert WHOLE.real(x) is None


def test_a_stream_remembers_the_end_of_each_convolutions_input() -> None:
    first, second = (TimeConv(1, 1, 3, causal=True) for _ in range(2))
    stream = Stream()
    assert stream.extend(torch.tensor([[[1.0], [2.0], [3.0]]]), first.past, first).flatten().tolist() == [0, 0, 1, 2, 3]
    assert stream.extend(torch.tensor([[[9.0]]]), second.past, second).flatten().tolist() == [0, 0, 9]
    assert stream.extend(torch.tensor([[[4.0]]]), first.past, first).flatten().tolist() == [2, 3, 4]
    assert stream.extend(torch.tensor([[[5.0]]]), first.past, first).flatten().tolist() == [3, 4, 5]
    pointwise = TimeConv(1, 1, 1, causal=True)
    assert stream.extend(torch.ones(1, 2, 1), pointwise.past, pointwise).shape == (1, 2, 1)


def test_a_stream_does_not_keep_its_chunks_alive() -> None:
    stream, conv = Stream(), TimeConv(1, 1, 3, causal=True)
    stream.extend(torch.ones(1, 1000, 1), conv.past, conv)
    (kept,) = stream._ends.values()
    assert kept.untyped_storage().nbytes() == 2 * 4


def test_layers_hand_the_border_on() -> None:
    torch.manual_seed(0)
    layers = Layers(torch.nn.ReLU(), Layers(TimeConv(3, 3, 3), torch.nn.Tanh()))
    x = torch.rand(2, 8, 3)
    tokens = torch.arange(8) < torch.tensor([[8], [5]])
    torch.testing.assert_close(layers(x, Ragged(tokens))[1, :5], layers(x[1:, :5])[0])
    assert not torch.allclose(layers(x)[1, 4], layers(x[1:, :5])[0, 4])
