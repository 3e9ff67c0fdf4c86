"""The checks of lesson 19: the references are torch's and the package's, and each typical mistake is named."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lessons.build_the_tokenizer.field import depth_for, output_length, receptive_field
from lessons.build_the_tokenizer.layers import convolve, double, residual
from lessons.shared.answers import normal
from motionlab.teaching.exercise import run_check
from motionlab.tokenizer.convolution import Repeat
from motionlab.tokenizer.resnet import ResidualBlock


def _as_torch(x, weight, bias, stride, dilation, sides):
    return F.conv1d(x.T[None], weight, bias, stride, sides, dilation)[0].T


def _field(first=1, jump=True, dilate=True, own=False, whole=False):
    def count(layers):
        seen, far = first, 1
        for kernel, stride, dilation in layers:
            far *= stride if own and jump else 1
            seen += (kernel - (not whole)) * (dilation if dilate else 1) * far
            far *= stride if jump and not own else 1
        return seen

    return count


MUTANTS = {
    "tokenizer.convolve": {
        "flipped": (lambda x, w, *rest: convolve(x, w.flip(2), *rest), "backwards"),
        "no bias": (lambda x, w, b, *rest: convolve(x, w, 0 * b, *rest), "bias is missing"),
        "no zeros": (lambda x, w, b, s, d, sides: convolve(x, w, b, s, d, 0), "no zeros"),
        "zeros in front": (lambda x, w, b, s, d, e: convolve(F.pad(x, (0, 0, e, -e)), w, b, s, d, e), "in front"),
        "one tap": (lambda x, w, b, s, d, sides: x @ w[:, :, 1].T + b, "middle tap"),
        "no dilation": (lambda x, w, b, s, d, sides: convolve(x, w, b, s, 1, sides), "taps are 3 frames apart"),
        "no stride": (lambda x, w, b, s, d, sides: convolve(x, w, b, 1, d, sides), "should give 5"),
        "late start": (
            lambda x, w, b, s, d, sides: convolve(F.pad(x, (0, 0, 1 - s, s - 1)), w, b, s, d, sides),
            "0, 2, 4",
        ),
        "channels first": (lambda *parts: convolve(*parts).T, "should give [9, 4]"),
        "twice": (lambda *parts: 2 * convolve(*parts), "frame 4"),
    },
    "tokenizer.output_length": {
        "no first place": (lambda *parts: output_length(*parts) - 1, "one too few"),
        "no stride": (lambda n, k, s, d, e: output_length(n, k, 1, d, e), "stride is missing"),
        "kernel forgotten": (lambda n, k, s, d, e: (n + 2 * e - 1) // s + 1, "reaches further"),
        "one end": (lambda n, k, s, d, e: (n + e - (k - 1) * d - 1) // s + 1, "BOTH"),
        "no dilation": (lambda n, k, s, d, e: output_length(n, k, s, 1, e), "dilation is missing"),
        "a float": (lambda *parts: output_length(*parts) / 1, "whole numbers"),
    },
    "tokenizer.receptive_field": {
        "from zero": (_field(first=0), "begin with 1"),
        "no jump": (_field(jump=False), "jump is missing"),
        "no dilation": (_field(dilate=False), "dilation is missing"),
        "own stride": (_field(own=True), "own stride"),
        "whole kernels": (lambda layers: _field(first=0, jump=False, whole=True)(layers), "not kernel * dilation"),
        "one stack": (lambda layers: 46, "right for the first stack"),
        "a float": (lambda layers: float(receptive_field(layers)), "whole numbers"),
    },
    "tokenizer.residual": {
        "no way around": (lambda x, *parts: residual(x, *parts) - x, "x is not added"),
        "activation first": (lambda x, n, w, m, k, a: x + k(m(a(w(n(a(x)))))), "before the norm"),
        "linear": (lambda x, n, w, m, k, a: x + k(m(w(n(x)))), "no activation"),
        "activation last": (lambda x, n, w, m, k, a: x + a(k(m(a(w(n(x)))))), "2015"),
        "one activation": (lambda x, n, w, m, k, a: x + k(m(w(a(n(x))))), "second activation"),
        "other convolution first": (lambda x, n, w, m, k, a: residual(x, n, k, m, w, a), "convolutions are exchanged"),
        "other norm first": (lambda x, n, w, m, k, a: residual(x, m, w, n, k, a), "norms are exchanged"),
        "no norms": (lambda x, n, w, m, k, a: x + k(a(w(a(x)))), "norms are not used"),
        "activation of the sum": (lambda x, *parts: F.relu(residual(x, *parts)), "after the sum"),
        "zero": (lambda x, *parts: 0 * x, "should become"),
    },
    "tokenizer.double": {
        "channels": (lambda x: x.repeat(1, 2), "channels were doubled"),
        "clip twice": (lambda x: x.repeat(2, 1), "whole clip"),
        "zeros": (lambda x: torch.stack([x, 0 * x], dim=1).flatten(0, 1), "zeros between"),
        "unchanged": (lambda x: x, "should become 6"),
        "reversed": (lambda x: double(x).flip(0), "reversed"),
    },
    "tokenizer.depth_for": {
        "one too few": (lambda frames, growth: depth_for(frames, growth) - 1, "62 frames"),
        "one too many": (lambda frames, growth: depth_for(frames, growth) + 1, "smallest depth"),
        "no growth": (lambda frames, growth: depth_for(frames, 1), "growth 1"),
        "always growth 3": (lambda frames, growth: depth_for(frames, 3), "but (96, 1)"),
        "a float": (lambda frames, growth: depth_for(frames, growth) / 1, "whole numbers"),
    },
}  # fmt: skip


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_torchs_convolution_passes() -> None:
    assert run_check("tokenizer.convolve", _as_torch).startswith("✓")


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "sides"), [(3, 1, 1, 1), (4, 2, 1, 1), (3, 1, 9, 9), (5, 3, 2, 0)]
)
def test_the_convolution_and_its_length_are_torchs(kernel: int, stride: int, dilation: int, sides: int) -> None:
    x, weight, bias = normal(30, 3), normal(4, 3, kernel, seed=1), normal(4, seed=2)
    theirs = _as_torch(x, weight, bias, stride, dilation, sides)
    assert torch.allclose(convolve(x, weight, bias, stride, dilation, sides), theirs, atol=1e-5)
    assert len(theirs) == output_length(30, kernel, stride, dilation, sides)


def test_block_and_doubling_are_the_packages() -> None:
    block, x = ResidualBlock(8, dilation=3, activation="gelu", norm="LN", causal=False), normal(10, 8)
    parts = (block.norm1, lambda v: block.conv1(v[None])[0], block.norm2, lambda v: block.conv2(v[None])[0], F.gelu)
    assert torch.allclose(residual(x, *parts), block(x[None])[0], atol=1e-6)
    assert torch.equal(double(x), Repeat()(x[None])[0])


def test_the_published_encoder_sees_62_frames() -> None:
    assert receptive_field([(3, 1, 1), (4, 2, 1), (3, 1, 9), (3, 1, 3), (3, 1, 1), (3, 1, 1)]) == 62
    assert (depth_for(62, 3), depth_for(63, 3)) == (3, 4)
