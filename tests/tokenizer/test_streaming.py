"""A stream in pieces is the whole, whatever the pieces."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.quantizers.build import make_quantizer
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.tokenizer.padding import WHOLE, Stream

KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"down_t": 2, "norm": "BN"},
    {"down_t": 0},
    {"down_t": 1, "patcher": "wavelet", "patch_size": 2, "kernel_size": 5, "norm": None},
)


def causal(**changes: Any) -> MotionTokenizer:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"width": 16, "depth": 2, "causal": True} | changes
    return MotionTokenizer(make_quantizer("fsq", 1024, 16), **arguments).eval()


TOKENIZERS = [causal(**changes) for changes in KINDS]
CUTS = st.lists(st.integers(1, 70), max_size=6)


def pieces(whole: torch.Tensor, cuts: list[int]) -> list[torch.Tensor]:
    """Cut `[B, T, ...]` at some places."""
    edges = [0, *sorted({cut for cut in cuts if cut < whole.shape[1]}), whole.shape[1]]
    return [whole[:, a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]


@given(st.sampled_from(TOKENIZERS), CUTS, st.integers(1, 71), st.integers(1, 2))
@settings(max_examples=20, deadline=None)
def test_encoding_in_chunks(tokenizer: MotionTokenizer, cuts: list[int], frames: int, batch: int) -> None:
    x = torch.randn(batch, frames, 272, generator=torch.Generator().manual_seed(frames))
    whole = tokenizer.encode(x)
    chunks = list(tokenizer.encode_stream(pieces(x, cuts)))
    assert all(chunk.shape[1] > 0 for chunk in chunks)
    streamed = torch.cat(chunks, dim=1)
    assert streamed.shape == whole.shape
    # A value on the edge between two levels to the last bit may fall to either side.
    assert (streamed != whole).sum() <= 1


@given(st.sampled_from(TOKENIZERS), CUTS, st.integers(1, 33))
@settings(max_examples=20, deadline=None)
def test_decoding_in_chunks(tokenizer: MotionTokenizer, cuts: list[int], tokens: int) -> None:
    indices = torch.randint(0, 1000, (2, tokens), generator=torch.Generator().manual_seed(tokens))
    streamed = torch.cat(list(tokenizer.decode_stream(pieces(indices, cuts))), dim=1)
    torch.testing.assert_close(streamed, tokenizer.decode(indices), rtol=0, atol=1e-5)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=map(str, KINDS))
def test_vectors_before_the_quantizer_to_1e_5(tokenizer: MotionTokenizer) -> None:
    x, stream, r = torch.randn(1, 64, 272), Stream(), tokenizer.frames_per_token
    with torch.no_grad():
        whole = tokenizer.encoder(x, WHOLE)
        streamed = torch.cat([tokenizer.encoder(chunk, stream) for chunk in x.split(r, dim=1)], dim=1)
    torch.testing.assert_close(streamed, whole, rtol=0, atol=1e-5)


def test_a_token_comes_as_soon_as_its_frames_are_there() -> None:
    tokenizer = causal(down_t=2)
    arrived = 0

    def camera() -> Any:
        nonlocal arrived
        for frame in torch.randn(1, 13, 272).split(1, dim=1):
            arrived += 1
            yield frame

    seen = [(arrived, tokens.shape[1]) for tokens in tokenizer.encode_stream(camera())]
    assert seen == [(4, 1), (8, 1), (12, 1), (13, 1)]  # the last one: frame 12, repeated


def test_a_stream_teaches_nothing_and_keeps_the_mode() -> None:
    torch.manual_seed(0)
    tokenizer = MotionTokenizer(make_quantizer("vq_ema", 64, 16), width=16, depth=1, causal=True, norm="BN")
    tokenizer(torch.randn(4, 32, 272))
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    for indices in tokenizer.encode_stream(torch.randn(1, 32, 272).split(5, dim=1)):
        list(tokenizer.decode_stream([indices]))
    assert all(torch.equal(value, before[name]) for name, value in tokenizer.state_dict().items())
    assert tokenizer.training


def test_two_streams_do_not_mix() -> None:
    tokenizer = causal()
    a, b = torch.randn(1, 12, 272), torch.randn(1, 12, 272)
    both = zip(tokenizer.encode_stream(a.split(2, 1)), tokenizer.encode_stream(b.split(2, 1)), strict=True)
    left, right = zip(*both, strict=True)
    for streamed, whole in ((left, a), (right, b)):
        assert torch.equal(torch.cat(streamed, 1), tokenizer.encode(whole))


def test_what_is_refused() -> None:
    plain = MotionTokenizer(make_quantizer("fsq", 1024, 16), width=16, depth=1)
    for method in (plain.encode_stream, plain.decode_stream):
        with pytest.raises(InputError, match="found causal=False, expected a causal tokenizer"):
            method([])  # at once, and not with the first chunk
    tokenizer = causal()
    with pytest.raises(InputError, match="motion: found shape"):
        list(tokenizer.encode_stream([torch.zeros(1, 0, 272)]))
    with pytest.raises(InputError, match="chunk: found 2 clips, expected 1"):
        list(tokenizer.encode_stream([torch.zeros(1, 3, 272), torch.zeros(2, 3, 272)]))
    with pytest.raises(InputError, match="chunk: found 2 clips, expected 1"):
        list(tokenizer.decode_stream([torch.zeros(1, 3).long(), torch.zeros(2, 3).long()]))
    assert list(tokenizer.encode_stream([])) == []
