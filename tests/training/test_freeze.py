"""Frozen parts: no gradient, eval mode for good, no graph where none is needed."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.training.freeze import check_freeze, freeze, trainable_table


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.back = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(self.front(x))


def test_eval_mode_stays_whatever_the_model_is_told() -> None:
    model = Two()
    freeze(model, ["front"])
    model.train()
    assert model.training and model.back.training
    assert not any(part.training for part in model.front.modules())
    other = copy.deepcopy(model).train()
    assert not other.front[2].training and other.back.training


def test_statistics_do_not_move_and_nothing_drops_out() -> None:
    model = Two()
    freeze(model, ["front"])
    model.train()
    mean = model.get_buffer("front.1.running_mean")
    before = mean.clone()
    x = torch.randn(8, 4)
    assert torch.equal(model.front(x), model.front(x))
    assert torch.equal(mean, before)


def test_no_graph_before_the_first_trained_part_and_gradients_through_a_later_one() -> None:
    model = Two()
    freeze(model, ["front"])
    assert model.front(torch.randn(2, 4)).grad_fn is None
    last = Two()
    freeze(last, ["back"])
    last(torch.randn(8, 4)).sum().backward()
    assert last.front[0].weight.grad is not None and last.back.weight.grad is None


@pytest.mark.parametrize(
    ("pattern", "trained"),
    [
        ("front.0", {"front.1.weight", "front.1.bias", "back.weight", "back.bias"}),
        ("*.bias", {"front.0.weight", "front.1.weight", "back.weight"}),
        ("front.[01]", {"back.weight", "back.bias"}),
    ],
)
def test_patterns(pattern: str, trained: set[str]) -> None:
    model = Two()
    freeze(model, [pattern])
    assert {name for name, value in model.named_parameters() if value.requires_grad} == trained


def test_a_pattern_that_matches_nothing_names_the_parts() -> None:
    with pytest.raises(InputError, match="freeze: found 'encoder', expected a pattern of front, back"):
        freeze(Two(), ["front", "encoder"])


def test_the_table_counts_every_number_once() -> None:
    model = Two()
    freeze(model, ["front.0"])
    rows = [line.split() for line in trainable_table(model).splitlines()]
    assert rows == [
        ["part", "total", "trained", "frozen"],
        ["front", "28", "8", "20"],
        ["back", "5", "5", "0"],
        ["all", "33", "13", "20"],
    ]


def test_in_a_training(toy: Any, settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = toy()
    before = {key: value.clone() for key, value in a.model.state_dict().items()}
    modes: list[bool] = []

    def step(batch: torch.Tensor) -> Any:
        modes.extend([a.model.inner.training, a.model.outer.training])
        return a.step(batch)

    a.fit(tmp_path, settings(freeze=["inner", "norm.weight"]), step=step)
    after = a.model.state_dict()
    frozen = {key for key in before if torch.equal(before[key], after[key])}
    assert frozen == {"inner.weight", "inner.bias", "norm.weight"}
    assert set(modes[0::2]) == {False} and set(modes[1::2]) == {True}
    assert "inner          40         0        40" in capsys.readouterr().out


def test_everything_frozen_is_said(toy: Any, settings: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ToyModel: found no trainable parameter"):
        toy().fit(tmp_path, settings(freeze=["*"]))


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["front", "behind"], "found 'behind', expected a pattern of front, back"),
        (["*"], r"found \*, expected a part that is left to train"),
        (["front", "back.weight", "back.bias"], "found front, back.weight, back.bias, expected a part"),
    ],
)
def test_a_check_refuses_before_a_training_and_changes_nothing(patterns: list[str], found: str) -> None:
    model = Two()
    with pytest.raises(InputError, match=f"^llama_training.freeze: {found}"):
        check_freeze(model, patterns, "llama_training.freeze")
    for good in ([], ["front"], ["front", "back.weight"]):
        check_freeze(model, good, "llama_training.freeze")
    assert all(value.requires_grad for value in model.parameters()) and model.front.training
