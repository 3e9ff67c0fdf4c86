from pathlib import Path

import pytest
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.training.checkpoints.tensor_files import first_differences, load_into, load_model_state, save_model


def test_same_model_same_bytes(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    for name in ("a", "b"):
        save_model(tmp_path / name, model, {"b": 1, "a": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tied_weights_are_stored(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    save_model(tmp_path / "tied", model, {})
    state, _ = load_model_state(tmp_path / "tied")
    assert torch.equal(state["0.weight"], state["1.weight"])


def test_load_into_names_the_first_differences_and_changes_nothing() -> None:
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()
    with pytest.raises(InputError, match=r"run/a: found weight \[2, 4\] instead of \[2, 3\], unknown extra \[1\]"):
        load_into(model, {"bias": torch.ones(2), "weight": torch.zeros(2, 4), "extra": torch.ones(1)}, "run/a")
    with pytest.raises(InputError, match="no bias"):
        load_into(model, {"weight": torch.zeros(2, 3)}, "run/a")
    assert torch.equal(model.weight, before)


def test_long_lists_of_differences_are_cut() -> None:
    text = first_differences({}, {str(i): i for i in range(10)})
    assert text == "no 0, no 1, no 2 and 7 more"
    assert first_differences({"a": 1}, {"a": 1}) == ""


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_diverged_are_refused_by_name(bad: float) -> None:
    model = nn.Linear(3, 2)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    state["bias"][1] = bad
    with pytest.raises(InputError, match="run/a: found 1 of 2 values of bias NaN or infinite"):
        load_into(model, state, "run/a")
    assert bool(torch.isfinite(model.bias).all())
