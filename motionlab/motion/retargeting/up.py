"""Which way is up in a file: the poses tell, because people stand on their feet and keep to one floor.

The rest pose alone does not: files exist whose rest pose has y up and whose motion has z up. Four signs are added up
for each of the six directions along an axis. Head above hips above feet is right for whoever stands. A floor, that is
a lowest point which stays at one height, is right for whoever crawls or turns over; and what touches the floor does
not slide on it. The rest pose helps with those who lie still, and y where a file has no rest pose that stands.

Places cannot tell everything: somebody who lies still looks like somebody who stands still in a file with another axis
up, and somebody who sits with legs stretched out like somebody who bows. Then the result is said to be uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.retargeting.frames import Places, leg_length, unit
from motionlab.motion.retargeting.rest_pose import stands

EXPECTED = 0.2  # for the direction that the rest pose has up; a person who stands scores 0.9
SURE = 0.2  # by which the best direction has to be ahead
WANDER = 0.8  # of a leg: a lowest point that wanders further belongs to somebody who climbs or jumps
NEAR = 0.06  # of a leg: joints that are this close to the lowest one touch what it touches
RESTS = 0.35  # legs a second; slower is at rest on the floor
STANDS = 0.85  # of 1; a body so straight all the time is more likely one that stands, in other axes, than one that lies
SHORT = 1.5  # seconds; less of a cartwheel may well look like a walk on another floor
STEP = 1 / 30  # seconds; speeds are measured over as much

UPRIGHT = {
    "y": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "z": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
    "x": ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "-y": ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
    "-z": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    "-x": ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
}  # rows of the rotation that turns the direction of that name to +y


@dataclass(frozen=True)
class _Signs:
    """Of one direction.

    Args:
        standing: 1 for a person who stands along it in every frame, -1 for one upside down.
        wander: by how many legs the height of the lowest point varies.
        contact: share of the time in which something at the lowest height is at rest.
        expected: whether the rest pose, or the custom of files without one, has it up.
    """

    standing: float
    wander: float
    contact: float
    expected: bool

    @property
    def score(self) -> float:
        return self.standing + self.contact - min(self.wander, WANDER) + EXPECTED * self.expected

    @property
    def floor(self) -> bool:
        """Whether there is a floor in this direction, and the body at rest on it."""
        return self.wander < 0.1 and self.contact > 0.8


@dataclass(frozen=True, eq=False)
class Upright:
    """Args:
    axes: the rotation `[3, 3]` from the axes of a file to axes with y up.
    name: of the direction that points up in the file.
    certain: whether the poses left no doubt.
    note: another direction that is possible though unlikely, in a sentence.
    """

    axes: Tensor
    name: str
    certain: bool
    note: str | None = None


def upright(places: Places, times: Tensor, rest: Places | None = None, up: str | None = None) -> Upright:
    """The direction of a file that points up.

    Args:
        places: over time, `[T, 3]` each.
        times: `[T]` seconds.
        rest: of the rest pose, `[3]` each.
        up: "x", "y", "z", "-x", "-y" or "-z" when it is known.

    Raises:
        InputError: another `up`.
    """
    if up is not None:
        if up not in UPRIGHT:
            fix = "Choose one of these, or leave it out."
            raise InputError("up", found=repr(up), expected=", ".join(UPRIGHT), fix=fix)
        return Upright(torch.tensor(UPRIGHT[up], dtype=torch.float64), up, certain=True)
    told = rest is not None and stands(rest)
    signs = _signs(places, times, rest["top"] - rest["middle"] if rest is not None and told else torch.eye(3)[1])
    best, second = sorted(signs, key=lambda name: -signs[name].score)[:2]
    found, note = signs[best], None
    certain = found.score - signs[second].score > SURE
    certain = certain and (found.expected or found.standing > 0.7 or float(times[-1] - times[0]) > SHORT)
    for name, other in signs.items():
        if name == best or not other.floor:
            continue
        if other.standing > 0.3:  # somebody who sits, and bows there
            certain = False
        elif (other.expected or (name in ("y", "z") and not told)) and other.standing > -0.3:  # somebody who lies there
            note = f"The body stands along {best}; should it lie still, {name} is up: say so with --up."
            certain = certain and (found.expected or (found.floor and found.standing > STANDS))
    return Upright(torch.tensor(UPRIGHT[best], dtype=torch.float64), best, certain, note if certain else None)


def up_scores(places: Places, times: Tensor, expected: str) -> dict[str, float]:
    """How much speaks for each direction to be up, by the names of `UPRIGHT`.

    Args:
        places, times: as in `upright`.
        expected: the direction that has an advantage.
    """
    direction = torch.tensor(UPRIGHT[expected][1])  # [3]: what is turned to +y
    return {name: found.score for name, found in _signs(places, times, direction).items()}


def _signs(places: Places, times: Tensor, expected: Tensor) -> dict[str, _Signs]:
    leg = leg_length(places)
    ankles = (places["left_ankle"] + places["right_ankle"]) / 2
    trunk = unit(places["top"] - places["middle"])  # [T, 3]
    legs = unit(places["middle"] - ankles)
    standing = ((trunk + legs) / 2).mean(0)  # [3]: 1 along the axis that a person stands on
    stride = max(1, round(STEP * (len(times) - 1) / float(times[-1] - times[0]))) if len(times) > 1 else 1
    joints = torch.stack([value for name, value in places.items() if name != "top"], dim=1)[::stride]  # [T', n, 3]
    speed = joints.diff(dim=0).norm(dim=-1) / times[::stride].diff()[:, None] / leg  # [T' - 1, n]
    result = {}
    for axis, letter in enumerate("xyz"):
        for sign, name in ((1.0, letter), (-1.0, f"-{letter}")):
            heights = sign * joints[..., axis]  # [T', n]
            lowest = heights.amin(-1)  # [T']
            touching = heights < lowest[:, None] + NEAR * leg
            slowest = torch.where(touching[1:], speed, torch.inf).amin(-1)
            result[name] = _Signs(
                standing=sign * float(standing[axis]),
                wander=float((lowest.quantile(0.9) - lowest.quantile(0.1)) / leg),
                contact=float((slowest < RESTS).double().mean()) if len(slowest) else 0.0,
                expected=sign * float(expected[axis]) > 0.9 * float(expected.norm()),
            )
    return result
