import math

import pytest
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.training.optimizer import clip_gradients, make_optimizer, parameter_groups


class Tied(nn.Module):
    """An embedding whose matrix is also the output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.body = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.embedding.weight


def names(model: nn.Module, group: dict[str, object]) -> list[str]:
    by_id = {id(parameter): name for name, parameter in model.named_parameters()}
    return [by_id[id(parameter)] for parameter in group["params"]]  # type: ignore[attr-defined]


def test_only_matrices_decay_and_tied_weights_appear_once() -> None:
    model = Tied()
    decay, no_decay = parameter_groups(model, 0.1)
    assert names(model, decay) == ["body.weight"] and decay["weight_decay"] == 0.1
    assert names(model, no_decay) == ["embedding.weight", "body.bias", "norm.weight", "norm.bias"]
    assert no_decay["weight_decay"] == 0.0


def test_frozen_parameters_are_left_out() -> None:
    model = Tied()
    model.body.requires_grad_(False)
    groups = parameter_groups(model, 0.1)
    assert [group["name"] for group in groups] == ["no_decay"]
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no trainable parameter"):
        make_optimizer(model, lr=1e-3)


def test_decay_reaches_matrices_only() -> None:
    model = nn.Linear(3, 3)
    optimizer = make_optimizer(model, lr=0.1, weight_decay=0.5)
    before = model.weight.detach().clone(), model.bias.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(model.weight.detach(), before[0] * (1 - 0.1 * 0.5))  # w <- w - lr * decay * w
    torch.testing.assert_close(model.bias.detach(), before[1])


def test_fused_equals_plain() -> None:
    results = []
    for fused in (True, False):
        torch.manual_seed(0)
        model = nn.Linear(5, 5)
        optimizer = make_optimizer(model, lr=0.01)
        assert optimizer.param_groups[0]["fused"] is True
        if not fused:
            groups = parameter_groups(model, 0.01)
            optimizer = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99), fused=False)
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.randn(4, 5)).square().mean().backward()
            optimizer.step()
        results.append(model.weight.detach())
    torch.testing.assert_close(results[0], results[1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("limit", [None, 0.01, 1e9])
def test_gradients_are_clipped_as_torch_does(limit: float | None) -> None:
    ours, theirs = (nn.Linear(3, 2) for _ in range(2))
    gradients = [torch.randn_like(parameter) for parameter in ours.parameters()]
    for model in (ours, theirs):
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
    ours.register_parameter("unused", nn.Parameter(torch.ones(1)))  # has no gradient
    norm = clip_gradients(list(ours.parameters()), limit)
    expected = nn.utils.clip_grad_norm_(theirs.parameters(), math.inf if limit is None else limit)
    assert norm == expected > 0.01
    for a, b in zip(list(ours.parameters())[:2], theirs.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None and torch.equal(a.grad, b.grad)


def test_a_gradient_without_end_is_left_for_others_to_see() -> None:
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, math.inf])
    assert clip_gradients([parameter], None) == math.inf
    assert parameter.grad.tolist() == [1.0, math.inf]  # torch's way makes them nan
