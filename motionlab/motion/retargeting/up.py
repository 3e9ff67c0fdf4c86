"""Which way is up in a file: the poses tell, because people stand on their feet and keep to one floor.

The rest pose alone does not: files exist whose rest pose has y up and whose motion has z up. Signs are added up for
each of the six directions along an axis. Head above hips above feet is right for whoever stands, the trunk alone for
whoever sits. A floor, that is a lowest point which comes back to one height, is right for whoever crawls or turns over.
The rest pose helps with those who lie still, and y where a file has no rest pose that stands.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.retargeting.frames import Places, leg_length, unit
from motionlab.motion.retargeting.rest_pose import stands

EXPECTED = 0.3  # for the direction that the rest pose has up; a person who stands on a floor scores 2
USUAL = 0.15  # for z, which many programs have up whatever the rest pose says; none has x or a downward axis
ON_FLOOR = 0.06  # of a leg: a lowest point that is so near to the lowest of the clip touches the floor

UPRIGHT = {
    "y": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "z": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
    "x": ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "-y": ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
    "-z": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    "-x": ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
}  # rows of the rotation that turns the direction of that name to +y


def upright(places: Places, rest: Places | None = None, up: str | None = None) -> tuple[Tensor, str, bool]:
    """The rotation `[3, 3]` from the axes of a file to axes with y up.

    Args:
        places: over time, `[T, 3]` each.
        rest: of the rest pose, `[3]` each.
        up: "x", "y", "z", "-x", "-y" or "-z" when it is known.

    Returns:
        the rotation, the name of the direction, and whether the poses left no doubt.

    Raises:
        InputError: another `up`.
    """
    if up is not None and up not in UPRIGHT:
        raise InputError("up", found=repr(up), expected=", ".join(UPRIGHT), fix="Choose one of these, or leave it out.")
    scores = {name: 0.0 for name in UPRIGHT} if up else _scores(places, rest)
    best = up or max(scores, key=lambda name: scores[name])
    second = max(value for name, value in scores.items() if name != best)
    return torch.tensor(UPRIGHT[best], dtype=torch.float64), best, up is not None or scores[best] - second > 0.2


def _scores(places: Places, rest: Places | None) -> dict[str, float]:
    expected = rest["top"] - rest["middle"] if rest is not None and stands(rest) else torch.eye(3)[1]
    size = float(expected.norm())
    near = next((name for name, row in UPRIGHT.items() if float(_direction(row) @ expected.double()) > 0.9 * size), "")
    return up_scores(places, near)


def _direction(rows: tuple[tuple[float, float, float], ...]) -> Tensor:
    return torch.tensor(rows[1], dtype=torch.float64)


def up_scores(places: Places, expected: str) -> dict[str, float]:
    """How much speaks for each direction to be up, by the names of `UPRIGHT`.

    Args:
        places: over time, `[T, 3]` each.
        expected: the direction that has an advantage.
    """
    leg = leg_length(places)
    ankles = (places["left_ankle"] + places["right_ankle"]) / 2
    trunk = unit(places["top"] - places["middle"])  # [T, 3]
    legs = unit(places["middle"] - ankles)
    standing = (trunk + legs / 2).mean(0)  # [3]: 1.5 along the axis that a person stands on
    everything = torch.stack([value for name, value in places.items() if name != "top"], dim=1)  # [T, n, 3]
    scores = {}
    for name, rows in UPRIGHT.items():
        direction = _direction(rows)
        lowest = (everything @ direction).amin(-1)  # [T]
        wander = float((lowest.quantile(0.9) - lowest.quantile(0.1)) / leg)
        on_floor = float(((lowest - lowest.quantile(0.05)).abs() < ON_FLOOR * leg).double().mean())
        scores[name] = float(standing @ direction) + on_floor / 2 - min(wander, 0.8)
        scores[name] += EXPECTED if name == expected else USUAL if name == "z" else 0.0
    return scores
