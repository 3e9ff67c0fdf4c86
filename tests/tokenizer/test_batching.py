"""Many clips at once give the same as each clip alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.quantizers.build import make_quantizer
from motionlab.tokenizer.model import MotionTokenizer

LENGTHS = (24, 17, 24, 1, 30)


def small(kind: str = "fsq", **changes: Any) -> MotionTokenizer:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"width": 32, "depth": 1, "down_t": 2} | changes
    return MotionTokenizer(make_quantizer(kind, 1024, 16), **arguments)


def clips() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(frames, 272) for frames in LENGTHS]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 1},
        {"batch_size": 3},
        {"causal": True},
        {"norm": "GN"},
        {"norm": "BN"},
        {"norm": None, "kernel_size": 5},
        {"patcher": "wavelet", "patch_size": 4, "down_t": 1},
        {"down_t": 0},
    ],
    ids=str,
)
def test_encode_and_decode_together(changes: dict[str, Any]) -> None:
    batch_size = changes.get("batch_size", 64)
    tokenizer = small(**{name: value for name, value in changes.items() if name != "batch_size"})
    together = tokenizer.encode_clips(clips(), batch_size)
    motions = tokenizer.decode_clips(together, batch_size)
    for clip, indices, motion in zip(clips(), together, motions, strict=True):
        assert torch.equal(indices, tokenizer.encode(clip[None])[0])
        assert motion.shape == (len(indices) * tokenizer.frames_per_token, 272)
        torch.testing.assert_close(motion, tokenizer.decode(indices[None])[0], rtol=1e-4, atol=1e-5)


def test_residual_tokens() -> None:
    tokenizer = small("rvq")
    together = tokenizer.encode_clips(clips())
    assert [tuple(indices.shape) for indices in together] == [(-(-frames // 4), 2) for frames in LENGTHS]
    for indices, motion in zip(together, tokenizer.decode_clips(together), strict=True):
        torch.testing.assert_close(motion, tokenizer.decode(indices[None])[0], rtol=1e-4, atol=1e-5)


def test_results_come_in_the_order_of_the_clips_and_hold_no_batch() -> None:
    together = small().encode_clips(clips())
    assert [len(indices) for indices in together] == [-(-frames // 4) for frames in LENGTHS]
    assert all(indices.untyped_storage().nbytes() == indices.nbytes for indices in together)


def test_encoding_teaches_nothing() -> None:
    tokenizer = small("vq_ema", norm="BN")
    tokenizer(torch.randn(4, 64, 272))  # training mode: this one teaches
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    tokenizer.decode_clips(tokenizer.encode_clips(clips()))
    for name, value in tokenizer.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert tokenizer.training and tokenizer.quantizer.training


def test_nothing_gives_nothing() -> None:
    assert small().encode_clips([]) == [] and small().decode_clips([]) == []


@pytest.mark.parametrize("shape", [(0, 272), (5, 263), (5,), (1, 5, 272)])
def test_a_wrong_clip_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"clip 2: found shape .* expected \(T, 272\) with T >= 1"):
        small().encode_clips([*clips()[:2], torch.zeros(shape)])


@pytest.mark.parametrize("shape", [(0,), (1, 5)])
def test_wrong_tokens_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"tokens 1: found shape"):
        small().decode_clips([torch.zeros(3, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)])
