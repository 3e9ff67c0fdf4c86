"""The tensors that lesson 04 counts: outputs and inputs of layers, each tensor once, nothing that is there anyway."""

from __future__ import annotations

import pytest
import torch

from lessons.parameters_and_memory.kept import kept_bytes


@pytest.mark.parametrize(("activation", "tensors"), [(torch.nn.ReLU, 3), (torch.nn.GELU, 4)])
def test_what_two_networks_keep(activation: type[torch.nn.Module], tensors: int) -> None:
    x = torch.ones(8, 64)
    net = torch.nn.Sequential(torch.nn.Linear(64, 64), activation(), torch.nn.Linear(64, 64))
    assert kept_bytes(lambda: net(x).square().sum(), known=net.parameters()) == tensors * x.nbytes
    assert kept_bytes(lambda: net(x).square().sum(), known=[*net.parameters(), x]) == (tensors - 1) * x.nbytes


def test_a_tensor_that_two_layers_keep_counts_once() -> None:
    x = torch.ones(16, requires_grad=True)
    once = kept_bytes(lambda: x.exp().sum(), known=[x])

    def both() -> torch.Tensor:
        y = x.exp()
        return y.sum() + y.square().sum()

    assert kept_bytes(both, known=[x]) == once == 64
