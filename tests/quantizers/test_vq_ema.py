"""The EMA codebook against plain transcriptions of its formulas."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from motionlab.errors import InputError
from motionlab.quantizers.vq_ema import VQEMA


def started(k: int, dim: int, n: int = 200, **settings: object) -> VQEMA:
    """A quantizer whose codebook came from a first batch."""
    torch.manual_seed(0)
    quantizer = VQEMA(k, dim, **settings)  # type: ignore[arg-type]
    quantizer(torch.randn(n, dim))
    return quantizer


def test_first_training_batch_becomes_the_codebook() -> None:
    torch.manual_seed(0)
    quantizer, z = VQEMA(20, 4, reset=False), torch.randn(50, 4)
    quantizer.eval()(z)
    assert not quantizer.initialised
    quantizer.train()
    out = quantizer(z)
    assert quantizer.initialised
    assert (out.codes[:, None] == z[None]).all(2).any(1).all()  # the codes of the first step are vectors of the batch


def test_more_codes_than_vectors() -> None:
    quantizer = started(64, 4, n=10)
    assert torch.isfinite(quantizer.codebook).all()
    assert len(quantizer.codebook.unique(dim=0)) == 64


def plain_step(state: dict[str, Tensor], z: Tensor, decay: float) -> Tensor:
    """One EMA step with all distances and a one-hot matrix, code by code; returns the indices."""
    indices = torch.cdist(z, state["codebook"]).argmin(1)
    one_hot = F.one_hot(indices, len(state["codebook"])).to(z.dtype)
    for k in range(len(state["codebook"])):
        hits = one_hot[:, k].sum()
        state["cluster_size"][k] = decay * state["cluster_size"][k] + (1 - decay) * hits
        total = torch.zeros(z.shape[1], dtype=z.dtype)
        for i in range(len(z)):
            total = total + one_hot[i, k] * z[i]
        state["cluster_sum"][k] = decay * state["cluster_sum"][k] + (1 - decay) * total
        state["codebook"][k] = state["cluster_sum"][k] / state["cluster_size"][k]
    return indices


@given(st.integers(0, 2**31), st.floats(0.0, 0.999))
@settings(max_examples=8, deadline=None)
def test_ema_equals_the_loop(seed: int, decay: float) -> None:
    torch.manual_seed(seed)
    quantizer = VQEMA(7, 3, decay=decay, reset=False).double()
    quantizer(torch.randn(40, 3).double())
    for _ in range(3):
        state = {name: value.clone() for name, value in quantizer.state_dict().items()}
        z = torch.randn(25, 3).double()
        expected_indices = plain_step(state, z, decay)
        seen = state["cluster_size"] > 1e-12  # an empty average keeps its code; the loop divides 0 by 0
        assert torch.equal(quantizer(z).indices, expected_indices)
        torch.testing.assert_close(quantizer.cluster_size, state["cluster_size"])
        torch.testing.assert_close(quantizer.cluster_sum, state["cluster_sum"])
        torch.testing.assert_close(quantizer.codebook[seen], state["codebook"][seen])
        assert torch.isfinite(quantizer.codebook).all()


def test_reset_revives_dead_codes_with_count_and_sum() -> None:
    quantizer = started(16, 4)
    with torch.no_grad():  # move half of the codebook where no data is
        quantizer.codebook[:8] = 100.0
        quantizer.cluster_sum[:8] = 100.0
        quantizer.cluster_size[:8] = 0.1
    z = torch.randn(200, 4)
    quantizer(z)
    assert (quantizer.codebook.abs() < 10).all()
    assert (quantizer.cluster_size[:8] == 1).all()  # 200 vectors, 16 codes: the share is capped at 1
    assert torch.equal(quantizer.cluster_sum[:8], quantizer.codebook[:8])
    assert (quantizer.codebook[:8, None] == z[None]).all(2).any(1).all()  # each is a vector of the batch
    after = quantizer(z).indices.unique()
    assert len(set(after.tolist()) & set(range(8))) >= 6


def test_without_reset_a_codebook_collapses_and_with_it_not() -> None:
    used = {}
    for reset in (False, True):
        torch.manual_seed(0)
        quantizer = VQEMA(64, 2, reset=reset, decay=0.9)
        quantizer(torch.randn(256, 2) * 0.01)  # a first batch that says nothing about the data
        for _ in range(60):
            indices = quantizer(torch.randn(256, 2)).indices
        used[reset] = len(indices.unique())
    assert used[True] > 50 > used[False]


def test_a_large_codebook_can_be_alive_in_a_small_batch() -> None:
    """Against a fixed limit of one hit per batch, at most 32 of these 128 codes could be alive."""
    quantizer = started(128, 2, n=32)
    for _ in range(200):
        quantizer(torch.rand(32, 2))
    assert len(quantizer(torch.rand(4000, 2)).indices.unique()) > 100


def test_eval_changes_nothing() -> None:
    quantizer = started(16, 4).eval()
    before = copy.deepcopy(quantizer.state_dict())
    quantizer(torch.randn(100, 4))
    assert all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())


def test_state_survives_saving_in_train_mode(tmp_path: Path) -> None:
    quantizer = started(16, 4)
    save_file(quantizer.state_dict(), tmp_path / "vq.safetensors")
    resumed = VQEMA(16, 4)
    resumed(torch.randn(50, 4))  # it has trained before
    resumed.load_state_dict(load_file(tmp_path / "vq.safetensors"))
    batches = [torch.randn(100, 4) for _ in range(5)]
    for model in (quantizer, resumed):
        torch.manual_seed(1)
        for batch in batches:
            model.train()(batch)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in quantizer.state_dict().items())


def test_loading_a_state_that_never_trained_starts_anew() -> None:
    quantizer, fresh = started(16, 4), VQEMA(16, 4)
    quantizer.load_state_dict(fresh.state_dict())
    z = torch.randn(100, 4) + 50
    quantizer(z)
    assert (quantizer.codebook > 40).all()


def test_straight_through_and_commitment_gradient() -> None:
    quantizer = started(16, 4, commitment=0.25).eval()
    z = torch.randn(30, 4, requires_grad=True)
    weights = torch.randn(30, 4)
    codes, _, loss = quantizer(z)
    ((codes * weights).sum() + loss).backward()
    expected = weights + 0.25 * 2 * (z - codes).detach() / z.numel()
    assert z.grad is not None
    torch.testing.assert_close(z.grad, expected)
    torch.testing.assert_close(loss, 0.25 * F.mse_loss(z, codes.detach()))


def test_a_vector_that_is_no_number_takes_no_part() -> None:
    """The others teach as if it were not there; the loss says that something is wrong."""
    quantizer = started(16, 4)
    alone = copy.deepcopy(quantizer)
    z = torch.randn(60, 4)
    good = torch.rand(60) < 0.7
    poisoned = torch.where(good.unsqueeze(1), z, torch.tensor([1.0, torch.nan, torch.inf, 0.0]))
    assert not torch.isfinite(quantizer(poisoned).loss)
    assert torch.isfinite(alone(z[good]).loss)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(quantizer.state_dict()[name], value)


def test_a_rescue_takes_real_rows_only() -> None:
    quantizer = started(16, 4)
    with torch.no_grad():
        quantizer.cluster_size[:8] = 0.1
        quantizer.codebook[:8] = quantizer.cluster_sum[:8] = 100.0
    z = torch.randn(2, 100, 4)
    mask = torch.rand(2, 100) < 0.3
    z[0, 0], mask[0, 0] = torch.nan, True
    quantizer(z.masked_fill(~mask.unsqueeze(2), 7e3), mask)
    rescued = quantizer.codebook[:8]
    assert (rescued[:, None] == z[mask][None]).all(2).any(1).all()


@pytest.mark.parametrize("arguments", [{"codebook_size": 1, "dim": 4}, {"codebook_size": 8, "dim": 4, "decay": 1.0}])
def test_impossible_settings(arguments: dict[str, float]) -> None:
    with pytest.raises(InputError, match="Choose|usual"):
        VQEMA(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
def test_ema_equals_the_peer(seed: int) -> None:
    """`eps=0` switches off the peer's Laplace smoothing, which the paper does not have."""
    peer_package = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(seed)
    own = VQEMA(12, 5, decay=0.9, commitment=0.25, reset=False, start="random")
    peer = peer_package.VectorQuantize(
        5, 12, decay=0.9, commitment_weight=0.25, eps=0.0, threshold_ema_dead_code=0, rotation_trick=False
    )
    peer._codebook.embed.copy_(own.codebook[None])
    peer._codebook.embed_avg.copy_(own.cluster_sum[None])
    for _ in range(4):
        z = torch.randn(3, 40, 5, requires_grad=True)
        found, (codes, indices, loss) = own(z), peer(z)
        assert torch.equal(found.indices, indices)
        torch.testing.assert_close(found.codes, codes)
        torch.testing.assert_close(found.loss, loss.squeeze())
        (gradient,) = torch.autograd.grad(found.codes.sin().sum() + found.loss, z)
        torch.testing.assert_close(gradient, torch.autograd.grad(codes.sin().sum() + loss, z)[0])
        torch.testing.assert_close(own.codebook, peer._codebook.embed[0])
        torch.testing.assert_close(own.cluster_size, peer._codebook.cluster_size[0])
        torch.testing.assert_close(own.cluster_sum, peer._codebook.embed_avg[0])
