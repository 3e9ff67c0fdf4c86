"""Properties of levels: thresholds, shares and bits, against closed forms and against counting."""

from __future__ import annotations

import math

import pytest
import torch

from motionlab.quantizers.ifsq import IFSQ
from motionlab.views.levels import compute_levels, level_thresholds, normal_shares, squeeze

# The published bound turns to the next level here; computed from its formula by hand, tanh inverted.
PUBLISHED = {
    8: (-1.423, -0.7925, -0.4373, -0.1437, 0.1499, 0.5051, 1.1356),
    7: (-1.1963, -0.5487, -0.1681, 0.1681, 0.5487, 1.1963),
    6: (-1.2989, -0.6257, -0.2026, 0.2206, 0.8938),
    5: (-0.9713, -0.2552, 0.2552, 0.9713),
}


@pytest.mark.parametrize("level", PUBLISHED)
def test_thresholds_of_the_published_bound(level: int) -> None:
    (found,) = level_thresholds((level,))
    assert found == pytest.approx(PUBLISHED[level], abs=1e-4)
    scaled = [t / 0.8 for t in found]  # iFSQ reads its input 0.8 times as large
    assert level_thresholds((level,), "ifsq")[0] == pytest.approx(scaled, rel=1e-9)


@pytest.mark.parametrize("bound", ["fsq", "ifsq"])
def test_shares_are_what_counting_gives(bound: str) -> None:
    levels, spread = (8, 5, 2), 1.7
    z = spread * torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    steps = squeeze(z, levels, bound).round().long()
    view = compute_levels(levels, bound, spread)
    for i, level in enumerate(levels):
        counted = torch.bincount(steps[:, i] + level // 2, minlength=level) / len(z)
        assert counted.tolist() == pytest.approx(view.shares[i], abs=0.005)
        assert sum(view.shares[i]) == pytest.approx(1)
    assert view.bits == pytest.approx(math.log2(80)) and 0 < view.entropy_bits < view.bits


def test_a_narrow_spread_uses_one_level_and_a_wide_one_the_ends() -> None:
    thresholds = level_thresholds((5,))[0]
    assert normal_shares(thresholds, 0.02)[2] == pytest.approx(1)
    wide = normal_shares(thresholds, 100.0)
    assert wide[0] + wide[-1] > 0.98
    assert compute_levels((5, 5), spread=0.02).entropy_bits == pytest.approx(0, abs=1e-6)


def test_the_generators_are_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    compute_levels((4, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_rarest_level_is_the_lowest_share() -> None:
    view = compute_levels((5, 3), spread=0.3)
    assert view.rarest == view.shares[0][0] < 0.001 < view.shares[0][1]


def test_curves_cross_the_thresholds_and_codes_are_the_quantizers() -> None:
    view = compute_levels((5, 4), "ifsq")
    for (z, y), thresholds, codes in zip(view.curves, view.thresholds, view.codes, strict=True):
        turns = z[1:][y.round().diff() != 0]
        assert turns.tolist() == pytest.approx(thresholds, abs=float(z[1] - z[0]))
        quantizer = IFSQ((len(codes),), dim=1).double()
        quantizer.project_out.weight.data.fill_(1.0)
        quantizer.project_out.bias.data.zero_()
        assert codes == pytest.approx(quantizer.indices_to_codes(torch.arange(len(codes)))[:, 0].tolist())
