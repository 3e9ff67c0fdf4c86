"""The schedule of the small experiments: torch's, at every number of steps."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from lessons.shared.one_cycle import one_cycle
from motionlab.errors import InputError


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)


def rates(schedule: OneCycleLR, steps: int) -> list[tuple[float, float]]:
    """Rate and first momentum of each step; both move."""
    found = []
    for _ in range(steps):
        group = schedule.optimizer.param_groups[0]
        found.append((group["lr"], group["betas"][0]))
        schedule.optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_every_number_of_steps_has_a_rate(share: float) -> None:
    for steps in range(1, 61):
        found = [rate for rate, _ in rates(one_cycle(optimizer(), 3e-3, steps, share), steps)]
        assert len(found) == steps and all(0 < rate <= 3e-3 for rate in found)


@pytest.mark.parametrize(("steps", "share"), [(600, 0.1), (200, 0.3), (400, 0.1), (11, 0.1)])
def test_it_is_torch_number_by_number(steps: int, share: float) -> None:
    own = rates(one_cycle(optimizer(), 3e-3, steps, share), steps)
    assert own == rates(OneCycleLR(optimizer(), 3e-3, total_steps=steps, pct_start=share), steps)


def test_a_warm_up_of_one_step_begins_low_and_is_followed_by_the_peak() -> None:
    found = [rate for rate, _ in rates(one_cycle(optimizer(), 3e-3, 10, 0.1), 10)]
    assert (
        found[0] == pytest.approx(3e-3 / 25)
        and max(found) == found[1]
        and found == [found[0], *sorted(found[1:])[::-1]]
    )


def test_no_steps() -> None:
    with pytest.raises(InputError, match="steps: found 0"):
        one_cycle(optimizer(), 3e-3, 0)
