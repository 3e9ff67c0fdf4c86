"""Six numbers of a rotation are written as rows and read as columns: every joint turns the other way."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.motion.rotations import axis_angle_to_matrix, matrix_from_6d, matrix_to_6d, matrix_to_axis_angle


def broken(values: Tensor) -> Tensor:
    """`[..., 6] -> [..., 3, 3]`: as if the six numbers were the first two columns (HumanML3D writes them so)."""
    return matrix_from_6d(values).mT


def fixed(values: Tensor) -> Tensor:
    """The 272 features hold the first two rows."""
    return matrix_from_6d(values)


def _error(read: Callable[[Tensor], Tensor], degrees: float) -> float:
    turn = axis_angle_to_matrix(torch.tensor([0.0, 0.6, 0.8]) * torch.deg2rad(torch.tensor(degrees)))
    found = read(matrix_to_6d(turn))
    return float(torch.rad2deg(matrix_to_axis_angle(found @ turn.mT).norm()))


def symptom(read: Callable[[Tensor], Tensor]) -> Seen:
    errors = [_error(read, float(degrees)) for degrees in range(0, 91, 5)]
    return Seen(errors[9], errors)  # at 45 degrees


def test(read: Callable[[Tensor], Tensor]) -> None:
    assert _error(read, 30.0) < 0.1, "written and read again, a rotation is another one"


PITFALL = Pitfall(
    name="rotation_layout",
    title="rows of a rotation read as columns",
    topic="data",
    seen="InterGen #29; HumanML3D has columns, the 272 features have rows",
    lesson="01",
    fix="one function writes, its twin reads, and a test joins them",
    measure="error of a joint bent by 45 degrees, degrees",
    height="error of the rotation, degrees",
    axis="bend of the joint, degrees",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=45.0,
    at=range(0, 91, 5),
)
