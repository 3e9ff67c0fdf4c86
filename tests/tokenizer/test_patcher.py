"""The wavelet: exact inverse, scale, place in time, and what would do nothing."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.tokenizer.patcher import HaarPatch, HaarUnpatch, check_patcher


@given(
    patch_size=st.sampled_from([2, 4, 8]),
    patches=st.integers(1, 6),
    features=st.integers(1, 5),
    scale=st.sampled_from([1e-4, 1.0, 1e4]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_the_inverse_is_exact(patch_size: int, patches: int, features: int, scale: float, seed: int) -> None:
    x = torch.randn(2, patches * patch_size, features, generator=torch.Generator().manual_seed(seed)) * scale
    patched = HaarPatch(patch_size)(x)
    assert patched.shape == (2, patches, features * patch_size)
    # Exact except for the last bits: sums and differences of up to 8 numbers round by some units of the largest.
    for values, unit in ((x, 2.0**-24), (x.double(), 2.0**-53)):
        error = (HaarUnpatch(patch_size)(HaarPatch(patch_size)(values)) - values).abs().max()
        assert error <= 16 * unit * values.abs().max()


def test_one_level_is_its_formula() -> None:
    a, b = torch.randn(3), torch.randn(3)
    low_high = HaarPatch(2)(torch.stack([a, b])[None])[0, 0]
    torch.testing.assert_close(low_high, torch.cat([a + b, a - b]) * 0.353553390593)


def test_each_level_transforms_all_channels_and_low_ones_come_first() -> None:
    x = torch.randn(1, 8, 2)
    twice = HaarPatch(2)(HaarPatch(2)(x))
    torch.testing.assert_close(HaarPatch(4)(x), twice)
    torch.testing.assert_close(HaarPatch(8)(x)[0, 0, :2], x[0].sum(0) / (2 * math.sqrt(2)) ** 3)


def test_a_still_motion_has_no_high_channels() -> None:
    patched = HaarPatch(4)(torch.ones(1, 8, 3))
    assert patched[..., 3:].abs().max() == 0 and patched[..., :3].min() > 0


def test_a_patch_sees_its_own_frames_only() -> None:
    x = torch.randn(1, 16, 2, requires_grad=True)
    patch = HaarPatch(4)(x)[0, 2]
    (patch * torch.randn_like(patch)).sum().backward()  # weights of one size, such as signs, can cancel for a frame
    assert x.grad is not None
    assert x.grad[0].abs().sum(1).nonzero().flatten().tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize(
    ("patcher", "patch_size", "message"),
    [
        ("wavelet", 1, "expected 2, 4 or 8 for patcher 'wavelet'. A wavelet of 1 does nothing; say patcher='compat'"),
        ("wavelet", 3, "found 3, expected 2, 4 or 8"),
        ("wavelet", 16, "found 16, expected 2, 4 or 8"),
        ("compat", 2, "found 2, expected 1 for patcher 'compat'"),
        (None, 4, "found 4, expected 1 for patcher None. Without a wavelet it does nothing"),
        ("haar", 2, "found 'haar', expected 'wavelet', 'compat', None"),
    ],
)  # fmt: skip
def test_what_would_do_nothing_is_refused(patcher: str | None, patch_size: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_patcher(patcher, patch_size)


def test_what_is_allowed() -> None:
    for patcher, sizes in (("wavelet", (2, 4, 8)), ("compat", (1,)), (None, (1,))):
        for size in sizes:
            check_patcher(patcher, size)
