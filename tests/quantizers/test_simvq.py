"""The frozen table behind one linear map."""

from __future__ import annotations

import pytest
import torch

from motionlab.quantizers.simvq import SimVQ
from motionlab.quantizers.vq import VQ


def test_the_table_is_frozen_and_one_map_moves_all_codes() -> None:
    torch.manual_seed(0)
    quantizer = SimVQ(32, 4)
    table, before = quantizer.embedding.weight.clone(), quantizer.codebook.detach().clone()
    quantizer(torch.randn(3, 4)).loss.backward()  # at most three codes are hit
    assert quantizer.embedding.weight.grad is None
    with torch.no_grad():
        for parameter in quantizer.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad)
    assert torch.equal(quantizer.embedding.weight, table)
    assert (quantizer.codebook != before).any(1).all()


def test_a_far_away_codebook_comes_to_life_and_plain_vq_does_not() -> None:
    used = {}
    for kind in (SimVQ, VQ):
        torch.manual_seed(0)
        quantizer = kind(64, 8) if kind is SimVQ else VQ(64, 8, start="random")
        optimizer = torch.optim.Adam([p for p in quantizer.parameters() if p.requires_grad], lr=0.01)
        for _ in range(150):
            loss = quantizer(torch.randn(200, 8) * 3).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        used[kind] = len(quantizer(torch.randn(2000, 8) * 3).indices.unique())
    assert used[SimVQ] > 55 > 1.5 * used[VQ]


def test_equals_the_peer() -> None:
    peer_package = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    own = SimVQ(20, 6)
    peer = peer_package.SimVQ(6, 20, rotation_trick=False)
    peer.frozen_codebook.copy_(own.embedding.weight)
    peer.code_transform.load_state_dict(own.transform.state_dict())
    z = torch.randn(3, 40, 6, requires_grad=True)
    found, (codes, indices, loss) = own(z), peer(z)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.codes, codes)
    torch.testing.assert_close(found.loss, loss)
    mine = torch.autograd.grad(found.loss, [z, own.transform.weight])
    for a, b in zip(mine, torch.autograd.grad(loss, [z, peer.code_transform.weight]), strict=True):
        torch.testing.assert_close(a, b)
