"""Vector quantization by direction."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from motionlab.quantizers.cosine_vq import CosineVQ
from motionlab.quantizers.vq_ema import VQEMA


def test_codes_are_unit_vectors_and_the_largest_cosine_wins() -> None:
    torch.manual_seed(0)
    quantizer = CosineVQ(16, 5)
    for _ in range(4):
        quantizer(torch.randn(200, 5) * 10 + 3)
    torch.testing.assert_close(quantizer.codebook.norm(dim=1), torch.ones(16))
    z = torch.randn(100, 5)
    expected = F.cosine_similarity(z[:, None], quantizer.codebook[None], dim=2).argmax(1)
    assert torch.equal(quantizer.eval()(z).indices, expected)


def test_growing_vectors_leave_no_code_behind() -> None:
    used = {}
    for kind in (CosineVQ, VQEMA):
        torch.manual_seed(0)
        quantizer = kind(32, 3, reset=False)
        for step in range(30):
            indices = quantizer(torch.randn(300, 3) * 1.5**step).indices
        used[kind] = len(indices.unique())
    assert used[CosineVQ] == 32 and used[VQEMA] < 20


def test_gradient_is_along_the_sphere() -> None:
    torch.manual_seed(0)
    quantizer = CosineVQ(16, 5)
    quantizer(torch.randn(100, 5))
    z = torch.randn(40, 5, requires_grad=True)
    codes, _, loss = quantizer.eval()(z)
    ((codes * torch.randn(40, 5)).sum() + loss).backward()
    assert z.grad is not None and (z.grad.norm(dim=1) > 0).all()
    torch.testing.assert_close((z.grad * z).sum(1), torch.zeros(40), atol=1e-6, rtol=0)


def test_a_vector_of_zeros_has_no_direction_and_does_no_harm() -> None:
    torch.manual_seed(0)
    quantizer = CosineVQ(4, 3)
    z = torch.randn(20, 3)
    z[3] = 0
    z.requires_grad_()
    codes, _, loss = quantizer(z)
    (codes.sum() + loss).backward()
    assert z.grad is not None and torch.isfinite(z.grad).all() and torch.isfinite(quantizer.codebook).all()


def test_equals_the_peer() -> None:
    peer_package = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    own = CosineVQ(12, 5, decay=0.9, commitment=0.5, reset=False, start="random")
    peer = peer_package.VectorQuantize(
        5, 12, decay=0.9, commitment_weight=0.5, eps=0.0, use_cosine_sim=True, rotation_trick=False
    )
    peer._codebook.embed.copy_(own.codebook[None])
    peer._codebook.embed_avg.copy_(own.cluster_sum[None])
    for _ in range(4):
        z = torch.randn(3, 40, 5)
        found, (codes, indices, loss) = own(z), peer(z)
        assert torch.equal(found.indices, indices)
        torch.testing.assert_close(found.codes, codes)
        torch.testing.assert_close(found.loss, loss.squeeze())
        torch.testing.assert_close(own.codebook, peer._codebook.embed[0])
