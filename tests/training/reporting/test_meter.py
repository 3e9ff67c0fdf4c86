import dataclasses
import json

import pytest
import torch

from motionlab.training.reporting.meter import GroupMeans, Meter


def test_means_are_weighted_by_items() -> None:
    meter = Meter()
    meter.add_step({"loss": 4.0}, items=1, grad_norm=1.0, seconds=1.0)
    meter.add_step({"loss": 0.0}, items=3, grad_norm=2.0, seconds=1.0)
    assert meter.means() == {"loss": 1.0, "grad_norm": 1.5, "items_per_second": 2.0}


def test_survives_json() -> None:
    meter = Meter()
    meter.add_step({"loss": 1 / 3}, items=7, grad_norm=0.1, seconds=0.3)
    assert Meter(**json.loads(json.dumps(dataclasses.asdict(meter)))) == meter


def test_group_means_accept_tensors_and_numbers() -> None:
    means = GroupMeans()
    loss = torch.tensor(2.0, requires_grad=True)
    means.add({"loss": loss, "accuracy": 1}, 0.25)
    means.add({"loss": torch.tensor(4.0, dtype=torch.bfloat16), "accuracy": 0.5}, 0.75)
    names, row = means.row(norm=torch.tensor(3.0, requires_grad=True))
    assert dict(zip(names, row.tolist(), strict=True)) == pytest.approx({"loss": 3.5, "accuracy": 0.625, "norm": 3.0})
    assert not row.requires_grad
