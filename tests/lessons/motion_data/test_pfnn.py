"""A phase-functioned network learns from the vectors that `motionlab convert --to pfnn` writes."""

from __future__ import annotations

import pytest
import torch

from lessons.motion_data.pfnn import (
    RATE,
    PhaseFunctionedNetwork,
    PhaseLinear,
    Scaling,
    catmull_rom,
    join,
    measure_error,
    train_epoch,
)
from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.pfnn import SHORTEST, PfnnVectors, pfnn_vectors


@pytest.fixture(scope="module")
def vectors() -> PfnnVectors:
    long = [sample.motion for sample in load_samples() if 2 * len(sample.motion) - 1 >= SHORTEST]
    assert len(long) > 20
    joined = join([pfnn_vectors(motion) for motion in long])
    return Scaling.of(joined).apply(joined)


def test_one_epoch_lowers_the_error(vectors: PfnnVectors) -> None:
    torch.manual_seed(0)
    network = PhaseFunctionedNetwork(hidden=128)
    optimizer = torch.optim.Adam(network.parameters(), lr=10 * RATE)
    before = measure_error(network, vectors)
    errors = train_epoch(network, optimizer, vectors, torch.Generator().manual_seed(0))
    after = measure_error(network, vectors)
    assert len(errors) == -(-len(vectors) // 32)
    assert after < 0.6 * before
    assert sum(errors[-10:]) < 0.8 * sum(errors[:10])


def test_scaled_blocks_have_spread_one(vectors: PfnnVectors) -> None:
    assert float(vectors.x.mean(0).abs().max()) < 1e-3
    assert float(vectors.y[:, -66:].std(0).mean()) == pytest.approx(1, abs=1e-3)  # rotations
    assert float(vectors.x[:, 120:186].std(0).mean()) == pytest.approx(0.1, abs=1e-3)  # positions of joints
    for columns in (slice(0, 12), slice(12, 24), slice(24, 36)):  # places and directions of the trajectory
        assert float(vectors.x[:, columns].std(0).mean()) == pytest.approx(1, abs=1e-3)


def test_shares_follow_the_curve() -> None:
    phase = torch.linspace(0, 0.999, 400, dtype=torch.float64)
    shares = catmull_rom(phase)
    torch.testing.assert_close(shares.sum(1), torch.ones(400, dtype=torch.float64))
    torch.testing.assert_close(catmull_rom(torch.tensor([0.0, 0.25, 0.5, 0.75])), torch.eye(4))
    steps = torch.cat((shares, shares[:1])).diff(dim=0)  # over the end, too: the curve is closed
    assert float(steps.abs().max()) < 0.02


def test_mixed_results_are_mixed_weights() -> None:
    torch.manual_seed(0)
    layer, x, phase = PhaseLinear(5, 3), torch.randn(7, 5), torch.rand(7)
    shares = catmull_rom(phase)
    weight = torch.einsum("bp,poi->boi", shares, layer.weight)
    expected = (weight @ x[..., None])[..., 0] + shares @ layer.bias
    torch.testing.assert_close(layer(x, shares), expected)


def test_the_phase_changes_the_answer() -> None:
    torch.manual_seed(0)
    network = PhaseFunctionedNetwork(6, 2, hidden=8).eval()
    x = torch.randn(1, 6).expand(3, 6)
    first, second, again = network(x, torch.tensor([0.1, 0.6, 0.1]))
    assert not torch.allclose(first, second) and torch.allclose(first, again)  # rows of a batch may round differently
