import copy
import os

import pytest
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.runtime import Choice
from motionlab.training.optimizer import is_fused, make_optimizer
from motionlab.training.precision import Precision, deterministic, make_precision


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


def test_tf32_is_an_nvidia_thing() -> None:
    with pytest.raises(InputError, match="found tf32 on cpu, expected an Nvidia GPU. Use fp32"):
        make_precision("cpu", "tf32")


def test_fp32_means_fp32_and_the_flags_come_back() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    with make_precision("cpu", "fp32").active():
        assert not matmul.allow_tf32 and not cudnn.allow_tf32
    tf32 = Precision(Choice("tf32", "asked for"), "cuda", make_precision("cpu").scaler)
    with pytest.raises(KeyError), tf32.active():
        assert matmul.allow_tf32 and cudnn.allow_tf32
        raise KeyError
    assert (matmul.allow_tf32, cudnn.allow_tf32) == before


def test_a_flag_on_the_device_holds_the_fused_optimizer_back() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = make_optimizer(model, lr=0.1)
    assert is_fused(optimizer)
    before = copy.deepcopy(model.state_dict())
    for bad, changed in ((1.0, False), (0.0, True)):
        model(torch.ones(2, 3)).mean().backward()
        assert make_precision("cpu").step(optimizer, torch.tensor(bad)) is True
        assert torch.equal(model.weight, before["weight"]) != changed
    assert optimizer.state[model.weight]["step"].item() == 1, "a step that changed nothing was counted"
    assert not hasattr(optimizer, "found_inf")


def test_deterministic_asks_torch_and_puts_everything_back() -> None:
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.benchmark, cudnn.deterministic
    with deterministic(False):
        assert torch.are_deterministic_algorithms_enabled() == before[0]
    with pytest.raises(KeyError), deterministic(True):
        assert torch.are_deterministic_algorithms_enabled() and cudnn.deterministic and not cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"]
        raise KeyError
    assert (torch.are_deterministic_algorithms_enabled(), cudnn.benchmark, cudnn.deterministic) == before
