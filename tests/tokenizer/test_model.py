"""The tokenizer: reference values, lengths, what each token sees, precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.quantizers.build import make_quantizer
from motionlab.quantizers.fsq import FSQ
from motionlab.tokenizer.model import MotionTokenizer


def small(kind: str = "fsq", **changes: Any) -> MotionTokenizer:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"width": 16, "depth": 2} | changes
    return MotionTokenizer(make_quantizer(kind, 1024, 16), **arguments)


def from_golden(file: Any) -> tuple[MotionTokenizer, dict[str, torch.Tensor]]:
    config = json.loads(str(file["config"]))
    names = ("width", "down_t", "depth", "dilation_growth_rate", "activation", "norm", "causal")
    tokenizer = MotionTokenizer(
        make_quantizer("fsq", config["nb_code"], config["width"]), **{name: config[name] for name in names}
    )
    tensors = {name: torch.from_numpy(file[name]) for name in file.files if file[name].dtype.kind in "if"}
    return tokenizer, tensors


@pytest.mark.parametrize("name", ["tokenizer_published_narrow.npz", "tokenizer_causal_down2.npz"])
def test_same_numbers_as_the_published_code(golden: Callable[[str], Any], name: str) -> None:
    tokenizer, tensors = from_golden(golden(name))
    state = {key[len("param/") :]: value for key, value in tensors.items() if key.startswith("param/")}
    tokenizer.load_motionmillion_state(state)
    with torch.no_grad():
        output = tokenizer(tensors["x"])
        assert torch.equal(tokenizer.encode(tensors["x"]), tensors["indices"].long())
        decoded = tokenizer.decode(tensors["indices"])
    assert torch.equal(output.quantized.indices, tensors["indices"].long())
    torch.testing.assert_close(output.reconstruction, tensors["reconstruction"], rtol=0, atol=1e-5)
    torch.testing.assert_close(decoded, tensors["reconstruction"], rtol=0, atol=1e-5)


def test_golden_of_another_architecture_is_refused(golden: Callable[[str], Any]) -> None:
    tokenizer, tensors = from_golden(golden("tokenizer_published_narrow.npz"))
    state = {key[len("param/") :]: value for key, value in tensors.items() if key.startswith("param/")}
    other = MotionTokenizer(FSQ((8, 8), dim=32), width=32)
    with pytest.raises(
        InputError, match=r"checkpoint: found quantizer.project_in.weight \[6, 32\] instead of \[2, 32\]"
    ):
        other.load_motionmillion_state(state)


@pytest.mark.parametrize("down_t", [0, 1, 2, 3])
@pytest.mark.parametrize("frames", [1, 2, 7, 16, 61])
@pytest.mark.parametrize("causal", [False, True])
def test_any_length(down_t: int, frames: int, causal: bool) -> None:
    tokenizer = small(down_t=down_t, causal=causal)
    x = torch.randn(2, frames, 272)
    indices = tokenizer.encode(x)
    assert indices.shape == (2, tokenizer.token_count(frames)) == (2, -(-frames // 2**down_t))
    assert tokenizer(x).reconstruction.shape == x.shape
    assert tokenizer.decode(indices).shape == (2, indices.shape[1] * tokenizer.frames_per_token, 272)


@pytest.mark.parametrize("kind", ["fsq", "vq_ema"])
def test_decode_of_encode_is_forward(kind: str) -> None:
    tokenizer = small(kind)
    x = torch.randn(3, 33, 272)
    tokenizer(x)
    tokenizer.eval()
    torch.testing.assert_close(tokenizer.decode(tokenizer.encode(x))[:, :33], tokenizer(x).reconstruction)


def seen(tokenizer: MotionTokenizer, token: int, frames: int) -> tuple[int, int]:
    """First and last frame that can change the vector of a token."""
    x = torch.randn(1, frames, 272, requires_grad=True)
    tokenizer.encoder(x)[0, token].sum().backward()
    assert x.grad is not None
    touched = (x.grad[0].abs().sum(1) > 0).nonzero().flatten()
    return int(touched[0]), int(touched[-1])


def test_what_a_token_sees() -> None:
    """Published: token t sees frames 2t-30 .. 2t+31; the causal one 62 frames that end with its own."""
    assert seen(small(depth=3), 30, 128) == (60 - 30, 60 + 31)
    assert seen(small(depth=3, causal=True), 40, 128) == (81 - 61, 81)


def test_causal_tokens_ignore_the_future() -> None:
    tokenizer = small(causal=True, down_t=2)
    x = torch.randn(1, 64, 272)
    changed = x.clone()
    changed[:, 32:] = 0
    a, b = tokenizer.encoder(x), tokenizer.encoder(changed)
    torch.testing.assert_close(a[:, :8], b[:, :8])
    assert not torch.allclose(a[:, 8], b[:, 8])


def test_clips_together_are_clips_alone() -> None:
    tokenizer = small(down_t=2)
    clips = [torch.randn(frames, 272) for frames in (40, 17, 40, 3, 40, 16)]
    together = tokenizer.encode_clips(clips, batch_size=2)
    for clip, indices in zip(clips, together, strict=True):
        assert torch.equal(indices, tokenizer.encode(clip[None])[0])
    assert tokenizer.encode_clips([]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": 3},
        {"down_t": 2, "norm": "BN", "activation": "gelu"},
        {"down_t": 3, "norm": None, "kernel_size": 5},
        {"down_t": 0},
        {"patcher": "wavelet", "patch_size": 4, "activation": "silu"},
    ],
    ids=str,
)
def test_a_causal_frame_never_sees_the_future(changes: dict[str, Any]) -> None:
    """By gradient, from the output through the decoder and the encoder: nothing beyond the end of its token."""
    torch.manual_seed(0)
    tokenizer = small(causal=True, **changes).eval()
    r = tokenizer.frames_per_token
    x = torch.randn(1, 12 * r, 272, requires_grad=True)
    output = tokenizer(x).reconstruction
    for frame in (0, 4 * r - 1, 4 * r, 6 * r + r // 2):
        end = (frame // r + 1) * r  # of its token
        (gradient,) = torch.autograd.grad(output[0, frame].sum(), x, retain_graph=True)
        touched = gradient[0].abs().sum(1)
        assert touched[end:].max() == 0 and touched[:end].max() > 0


def test_the_test_of_causality_can_fail() -> None:
    tokenizer = small(depth=1)
    x = torch.randn(1, 32, 272, requires_grad=True)
    (gradient,) = torch.autograd.grad(tokenizer(x).reconstruction[0, 8].sum(), x)
    assert gradient[0, 10:].abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["fsq", "vq_ema"])
def test_autocast_trains(dtype: torch.dtype, kind: str) -> None:
    tokenizer = small(kind)
    x = torch.randn(2, 32, 272)
    with torch.autocast("cpu", dtype=dtype):
        output = tokenizer(x)
    assert output.quantized.codes.dtype == torch.float32 and output.quantized.indices.dtype == torch.int64
    output.reconstruction.float().square().mean().backward()
    first = tokenizer.get_parameter("encoder.model.1.weight").grad
    assert first is not None and torch.isfinite(first).all() and first.abs().sum() > 0


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 16, 263), r"found shape \(2, 16, 263\), expected \(B, T, 272\)"),
        ((16, 272), r"use x\[None\]"),
        ((2, 0, 272), "at least one frame"),
    ],
)
def test_wrong_motions(shape: tuple[int, ...], message: str) -> None:
    for method in (small().encode, small().forward):
        with pytest.raises(InputError, match=message):
            method(torch.zeros(shape))


@pytest.mark.parametrize("value", [-1, 1000, 1001])
def test_end_and_pad_are_no_codes(value: int) -> None:
    with pytest.raises(InputError, match=r"expected codes 0\.\.999. Cut END and PAD off"):
        small().decode(torch.tensor([[0, 999, value]]))


@pytest.mark.parametrize("shape", [(3,), (2, 0), (1, 2, 3)])
def test_wrong_tokens(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="tokens: found shape"):
        small().decode(torch.zeros(shape, dtype=torch.int64))


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"depth": -1},
        {"down_t": -1},
        {"norm": "IN"},
        {"activation": "x"},
        {"kernel_size": 4},
        {"patch_size": 2},
        {"patcher": "haar"},
    ],
)
def test_wrong_settings_name_themselves(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(wrong))}: found"):
        small(**wrong)


def test_group_norm_in_a_causal_model_is_refused() -> None:
    with pytest.raises(InputError, match="GN averages over the whole clip, so every frame would see the future"):
        small(norm="GN", width=32, causal=True)


def test_encode_in_training_mode_teaches_nothing() -> None:
    tokenizer = small("vq_ema", norm="BN")
    tokenizer(torch.randn(4, 32, 272))
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    tokenizer.decode(tokenizer.encode(torch.randn(2, 32, 272)))
    assert all(torch.equal(value, before[name]) for name, value in tokenizer.state_dict().items())
    assert all(part.training for part in tokenizer.modules())


@pytest.mark.parametrize("kind", ["fsq", "vq_ema"])
def test_the_decoder_alone_learns_from_the_same_output(kind: str) -> None:
    tokenizer, x = small(kind).train(), torch.randn(2, 14, 272)
    if kind == "vq_ema":
        tokenizer(x)  # the first batch fills its codebook
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    output = tokenizer.forward_decoder(x)
    assert output.reconstruction.shape == x.shape and tokenizer.quantizer.training
    torch.testing.assert_close(output.reconstruction, tokenizer.eval()(x).reconstruction)
    output.reconstruction.square().sum().backward()
    for name, parameter in tokenizer.named_parameters():
        assert (parameter.grad is not None) == name.startswith("decoder."), name
    after = tokenizer.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_encode_gives_frozen_parts_their_mode_back() -> None:
    tokenizer = small()
    tokenizer.quantizer.eval()
    tokenizer.encode(torch.randn(1, 8, 272))
    assert tokenizer.encoder.training and not tokenizer.quantizer.training


@pytest.mark.parametrize("kind", ["rvq", "rfsq"])
def test_several_codebooks(kind: str) -> None:
    tokenizer = small(kind)
    tokenizer(torch.randn(3, 32, 272))
    x = torch.randn(2, 9, 272)
    indices = tokenizer.encode(x)
    assert indices.shape == (2, 5, tokenizer.n_codebooks) and tokenizer.n_codebooks == 2
    torch.testing.assert_close(tokenizer.decode(indices)[:, :9], tokenizer.eval()(x).reconstruction)
    for wrong in (indices[..., 0], indices[..., :1]):
        with pytest.raises(InputError, match=r"expected \(B, N, 2\) with N >= 1"):
            tokenizer.decode(wrong)


@pytest.mark.parametrize(
    ("changes", "frames_per_token"),
    [({"down_t": 0}, 1), ({"down_t": 3}, 8), ({"patcher": "wavelet", "patch_size": 8, "down_t": 1}, 16)],
)
def test_frames_per_token(changes: dict[str, Any], frames_per_token: int) -> None:
    tokenizer = small(**changes)
    assert tokenizer.frames_per_token == frames_per_token
    for frames in (1, frames_per_token, frames_per_token + 1, 5 * frames_per_token - 1):
        x = torch.randn(1, frames, 272)
        assert tokenizer.encode(x).shape[1] == tokenizer.token_count(frames) == -(-frames // frames_per_token)
        assert tokenizer(x).reconstruction.shape == x.shape


def test_narrow_bottleneck() -> None:
    tokenizer = MotionTokenizer(make_quantizer("vq_ema", 64, 6), width=16, depth=1)
    assert tokenizer(torch.randn(1, 8, 272)).quantized.codes.shape == (1, 4, 6)
