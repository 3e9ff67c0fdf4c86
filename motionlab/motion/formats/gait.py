"""Phase of a walk cycle and kind of gait, from places of joints: two labels that PFNN's data were given by hand.

**Phase** is 0 when the left foot comes down, 0.5 when the right one does, and grows evenly in between. Two steps of the
same foot are a whole cycle (hopping). Before the first step and after the last one the cycle continues at the pace of
the nearest; without two steps it turns once a second, since a network wants a phase also of a person who stands.

**Gait** is six weights per frame (`GROUPS`):

| group | rule |
|---|---|
| stand | pelvis slower than 0.3 m/s along the floor |
| walk | 0.3 to 1.9 m/s; people begin to run at about 2 |
| jog | faster, running included |
| crouch | apart from the others: 0 with the head at 0.8 of its standing height or above, 1 at half of it |
| jump | both feet 10 cm above the floor for 0.2 s, longer than in a run; takes the place of the three speeds |
| bump | 0: nothing here says that a person met an obstacle |

Speed and the switch from group to group are smoothed, as a hand-made label ramps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.motion.contacts import FEET, foot_contacts
from motionlab.motion.formats.facing import smooth
from motionlab.motion.skeleton import JOINT_NAMES

GROUPS = ("stand", "walk", "jog", "crouch", "jump", "bump")
STANDS_BELOW, JOGS_ABOVE = 0.3, 1.9  # metres a second
LEAVES_FLOOR, SHORTEST_FLIGHT = 0.1, 0.2  # metres, seconds
UPRIGHT, CROUCHED = 0.8, 0.5  # of the standing height of the head
SPEED_SIGMA, LABEL_SIGMA = 0.15, 0.1  # seconds
SHORTEST_STEP = 0.15  # seconds between two feet that come down; both at once are one landing
IDLE_CYCLE = 1.0  # seconds


def step_phase(joints: Tensor, fps: float) -> Tensor:
    """The phase of each frame, `[T, 22, 3] -> [T]` in [0, 1). Metres, floor at y = 0."""
    count = len(joints)
    frames, totals = _steps(joints, fps)
    if len(frames) < 2:
        start = totals[0] - frames[0] / (IDLE_CYCLE * fps) if frames else 0.0
        return (start + torch.arange(count, dtype=torch.float64) / (IDLE_CYCLE * fps)) % 1.0
    # One more step at the pace of the first before it, and of the last after it, as often as the clip needs.
    while frames[0] > 0:
        frames.insert(0, 2 * frames[0] - frames[1])
        totals.insert(0, 2 * totals[0] - totals[1])
    while frames[-1] < count - 1:
        frames.append(2 * frames[-1] - frames[-2])
        totals.append(2 * totals[-1] - totals[-2])
    at, total = torch.tensor(frames, dtype=torch.float64), torch.tensor(totals, dtype=torch.float64)
    now = torch.arange(count, dtype=torch.float64)
    before = (torch.searchsorted(at, now, right=True) - 1).clamp(0, len(at) - 2)
    part = (now - at[before]) / (at[before + 1] - at[before])
    return torch.lerp(total[before], total[before + 1], part) % 1.0


def _steps(joints: Tensor, fps: float) -> tuple[list[float], list[float]]:
    """Frames in which a foot comes down, and the phase there, counted on over the cycles."""
    contacts = foot_contacts(joints, fps)  # [T, 4]
    down = torch.stack((contacts[:, :2].any(1), contacts[:, 2:].any(1)), dim=1)  # [T, 2] left, right
    landed = (down[1:] & ~down[:-1]).nonzero().tolist()  # in order of time
    frames: list[float] = []
    totals: list[float] = []
    for frame, foot in landed:
        if frames and frame + 1 - frames[-1] < SHORTEST_STEP * fps:
            continue
        wanted = 0.5 * foot
        frames.append(float(frame + 1))
        totals.append(wanted if not totals else totals[-1] + ((wanted - totals[-1]) % 1.0 or 1.0))
    return frames, totals


def gait_weights(joints: Tensor, fps: float, standing: float) -> Tensor:
    """Weights of the groups, `[T, 22, 3] -> [T, 6]`; stand, walk, jog and jump sum to 1.

    Args:
        joints: metres, floor at y = 0.
        standing: height of the head of this body when it stands, in metres.
    """
    floor = joints[:, 0][:, [0, 2]].double()  # [T, 2]
    step = torch.diff(smooth(floor, SPEED_SIGMA * fps), dim=0)
    speed = torch.cat((step, step[-1:])).norm(dim=-1) * fps if len(step) else floor.new_zeros(len(floor))  # [T]
    feet = joints[:, [JOINT_NAMES.index(name) for name in FEET], 1].double()  # [T, 4]
    jump = _lasting(feet.amin(1) > LEAVES_FLOOR, round(SHORTEST_FLIGHT * fps))
    stand, jog = ~jump & (speed < STANDS_BELOW), ~jump & (speed > JOGS_ABOVE)
    walk = ~(jump | stand | jog)
    head = joints[:, JOINT_NAMES.index("head"), 1].double() / standing
    crouch = 1 - ((head - CROUCHED) / (UPRIGHT - CROUCHED)).clamp(0, 1)
    hard = torch.stack((stand, walk, jog, jump), dim=1).double()  # [T, 4]
    soft = smooth(hard, LABEL_SIGMA * fps)
    return torch.stack((*soft[:, :3].unbind(1), crouch, soft[:, 3], torch.zeros_like(crouch)), dim=1)


def _lasting(true: Tensor, least: int) -> Tensor:
    """Runs of at least `least` frames stay, `[T] -> [T]` bool."""
    if least < 2 or len(true) < least:
        return true if least < 2 else torch.zeros_like(true)
    whole = true.unfold(0, least, 1).all(1)  # [T - least + 1]: a run begins here
    edge = whole.new_zeros(least - 1)
    return torch.cat((edge, whole, edge)).unfold(0, least, 1).any(1)
