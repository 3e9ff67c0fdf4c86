import copy

import pytest
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.training.optimizer import make_optimizer
from motionlab.training.precision import make_precision


def test_fp32_has_neither_autocast_nor_scaler() -> None:
    precision = make_precision("cpu", "auto")
    assert precision.choice.value == "fp32" and not precision.scaler.is_enabled()
    with precision.autocast():
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32


def test_unknown_name_is_an_input_error() -> None:
    with pytest.raises(InputError, match="precision: found 'fp8'"):
        make_precision("cpu", "fp8")


def test_step_reports_a_skip_and_leaves_weights_alone() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = make_optimizer(model, lr=0.1)
    precision = make_precision("cpu", "fp16")

    def step(spoil: bool) -> bool:
        optimizer.zero_grad()
        precision.scaler.scale(model(torch.ones(2, 3)).mean()).backward()
        if spoil:
            model.weight.grad[0, 0] = torch.inf  # type: ignore[index]
        precision.scaler.unscale_(optimizer)
        return precision.step(optimizer)

    before = copy.deepcopy(model.state_dict())
    scale = precision.scaler.get_scale()
    assert step(spoil=True) is False
    assert precision.scaler.get_scale() == scale / 2
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert step(spoil=False) is True
    assert not torch.equal(model.weight, before["weight"])


def test_gradient_is_clipped_in_true_units() -> None:
    """Clipping before unscaling would compare a norm that is 65536 times too large with the threshold."""
    model = nn.Linear(3, 1, bias=False)
    optimizer = make_optimizer(model, lr=0.1)
    precision = make_precision("cpu", "fp16")
    precision.scaler.scale(model(torch.full((1, 3), 0.1)).sum()).backward()
    precision.scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert float(norm) == pytest.approx(0.1 * 3**0.5)
    torch.testing.assert_close(model.weight.grad, torch.full((1, 3), 0.1))
