"""Which way is up in a file: the poses tell, because people stand on their feet and keep to one floor.

The rest pose alone does not: files exist whose rest pose has y up and whose motion has z up. Three signs are added up
for each of the six directions along an axis. Head above hips above feet is right for whoever stands. A floor, that is
a lowest point which stays at one height, is right for whoever crawls or turns over. The rest pose helps with those who
lie still, and y where a file has no rest pose that stands.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.retargeting.frames import Places, leg_length, unit
from motionlab.motion.retargeting.rest_pose import stands

EXPECTED = 0.3  # for the direction that the rest pose has up; a person who stands scores 0.9

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
    leg = leg_length(places)
    ankles = (places["left_ankle"] + places["right_ankle"]) / 2
    trunk = unit(places["top"] - places["middle"])  # [T, 3]
    legs = unit(places["middle"] - ankles)
    standing = ((trunk + legs) / 2).mean(0)  # [3]: 1 along the axis that a person stands on
    everything = torch.stack([value for name, value in places.items() if name != "top"], dim=1)  # [T, n, 3]
    scores = {}
    expected = rest["top"] - rest["middle"] if rest is not None and stands(rest) else torch.eye(3)[1]
    for axis, name in enumerate("xyz"):
        for sign, direction in ((1.0, name), (-1.0, f"-{name}")):
            lowest = (sign * everything[..., axis]).amin(-1)  # [T]
            wander = float((lowest.quantile(0.9) - lowest.quantile(0.1)) / leg)
            scores[direction] = sign * float(standing[axis]) - min(wander, 0.8)
            if sign * float(expected[axis]) > 0.9 * float(expected.norm()):
                scores[direction] += EXPECTED
    return scores
