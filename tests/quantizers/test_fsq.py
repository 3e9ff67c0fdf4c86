"""FSQ against reference values and its own inverse."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.levels import LEVELS

# Values of z at which the published quantizer goes from one level to the next.
THRESHOLDS = {
    8: (-1.423, -0.7925, -0.4373, -0.1437, 0.1499, 0.5051, 1.1356),
    7: (-1.1963, -0.5487, -0.1681, 0.1681, 0.5487, 1.1963),
    6: (-1.2989, -0.6257, -0.2026, 0.2206, 0.8938),
    5: (-0.9713, -0.2552, 0.2552, 0.9713),
}


def transparent(levels: tuple[int, ...]) -> FSQ:
    """An FSQ whose linear maps do nothing, so that its input is z and its codes are the implicit ones."""
    fsq = FSQ(levels, len(levels))
    with torch.no_grad():
        for layer in (fsq.project_in, fsq.project_out):
            layer.weight.copy_(torch.eye(len(levels)))
            layer.bias.zero_()
    return fsq


def test_published_indices() -> None:
    fsq = transparent(LEVELS[65536])
    z = torch.tensor([[0.3, -1.2, 2.0, 0.7, -0.1, -3.0], [0.0] * 6, [10.0] * 6, [-10.0] * 6])
    assert fsq(z).indices.tolist() == [7117, 32036, 63999, 0]


@pytest.mark.parametrize("levels", THRESHOLDS)
def test_published_thresholds(levels: int) -> None:
    fsq = transparent((levels,))
    for level, threshold in enumerate(THRESHOLDS[levels]):
        below, above = fsq(torch.tensor([[threshold - 2e-4], [threshold + 2e-4]])).indices.tolist()
        assert (below, above) == (level, level + 1)


def test_implicit_codes_of_even_and_odd_levels() -> None:
    assert FSQ((8,), 4).indices_to_implicit(torch.arange(8)).flatten().tolist() == [
        -1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75,
    ]  # fmt: skip
    assert FSQ((5,), 4).indices_to_implicit(torch.arange(5)).flatten().tolist() == [-1, -0.5, 0, 0.5, 1]


@pytest.mark.parametrize("levels", LEVELS.values())
def test_indices_and_codes_are_a_bijection(levels: tuple[int, ...]) -> None:
    fsq = FSQ(levels, 4)
    everything = torch.arange(fsq.codebook_size)
    codes = fsq.indices_to_implicit(everything)  # [K, d]
    assert len(codes.unique(dim=0)) == fsq.codebook_size
    assert torch.equal(fsq.steps_to_indices(codes * (fsq.levels // 2)), everything)


@given(st.lists(st.integers(2, 9), min_size=1, max_size=4), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_any_levels(levels: list[int], seed: int) -> None:
    fsq = transparent(tuple(levels))
    everything = torch.arange(math.prod(levels))
    codes = fsq.indices_to_codes(everything)
    assert torch.equal(fsq.steps_to_indices(codes * (fsq.levels // 2)), everything)
    z = torch.randn(200, len(levels), generator=torch.Generator().manual_seed(seed)) * 3
    out = fsq(z)
    assert torch.equal(out.codes, codes[out.indices])
    assert (out.codes.abs() <= 1).all()


@pytest.mark.parametrize("level", [2, 3, 4, 5, 6, 7, 8, 17, 64, 511, 512])
def test_every_level_can_be_reached_and_none_more(level: int) -> None:
    z = torch.linspace(-20, 20, 400_001, dtype=torch.float64).unsqueeze(1)
    found = transparent((level,)).double()(z).indices.unique()
    assert torch.equal(found, torch.arange(level))


def test_gradient_is_that_of_the_bound() -> None:
    fsq = transparent((8, 5))
    z = torch.randn(50, 2)
    a, b = z.clone().requires_grad_(), z.clone().requires_grad_()
    fsq(a).codes.sum().backward()
    (fsq.bound(b) / (fsq.levels // 2)).sum().backward()
    assert a.grad is not None and b.grad is not None
    torch.testing.assert_close(a.grad, b.grad)


def test_it_saves_two_linear_maps_and_nothing_else() -> None:
    assert list(FSQ((8, 6, 5), 8).state_dict()) == [
        "project_in.weight", "project_in.bias", "project_out.weight", "project_out.bias",
    ]  # fmt: skip


@pytest.mark.parametrize("levels", [(), (1, 8), (8, 513)])
def test_impossible_levels(levels: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="levels: found"):
        FSQ(levels, 8)


PEER_LEVELS = [*LEVELS.values(), (3,), (4, 4, 4), (16, 7, 3), (9, 8, 7, 6)]


@pytest.mark.parametrize("levels", PEER_LEVELS)
def test_equals_the_peer(levels: tuple[int, ...]) -> None:
    """The peer's default, `preserve_symmetry=False`, is the bound of the paper's published code."""
    peer_package = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    own, peer = transparent(levels), peer_package.FSQ(list(levels))
    z = torch.randn(3, 700, len(levels)) * 2
    codes, indices = peer(z)
    found = own(z)
    assert torch.equal(found.indices, indices.long())
    torch.testing.assert_close(found.codes, codes)
    everything = torch.arange(own.codebook_size)
    torch.testing.assert_close(own.indices_to_codes(everything), peer.indices_to_codes(everything))


@pytest.mark.parametrize("channels_first", [False, True])
def test_projections_and_gradients_equal_the_peer(channels_first: bool) -> None:
    peer_package = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    own, peer = FSQ((8, 5, 5, 5), 32), peer_package.FSQ([8, 5, 5, 5], 32, channel_first=channels_first)
    peer.project_in.load_state_dict(own.project_in.state_dict())
    peer.project_out.load_state_dict(own.project_out.state_dict())
    z, g = torch.randn(2, 4, 50, 32).unbind(0)
    if channels_first:
        z, g = (x.transpose(1, 2).contiguous() for x in (z, g))
    a, b = z.clone().requires_grad_(), z.clone().requires_grad_()
    found = own(a.transpose(1, 2)).codes.transpose(1, 2) if channels_first else own(a).codes
    expected = peer(b)[0]
    torch.testing.assert_close(found, expected)
    found.backward(g)
    expected.backward(g)
    torch.testing.assert_close(a.grad, b.grad)
    for mine, theirs in zip(own.parameters(), peer.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)
