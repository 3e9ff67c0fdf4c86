"""Changes of a motion for the training of the judge: mild ones that it must not mind, strong ones that it must see.

The bundled actions have one to ten takes. A judge that learns them as they are learns the takes: how far this person
leans, how this recording trembles. So each window is changed in ways that leave the action what it is (`vary`). And a
judge that has seen real motion only calls anything an action, noise too, so it also learns motion that is none
(`spoil`).

Only the parts of the features that the judge reads are changed: root velocity, heading, positions. Notation: B windows
of T frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.motion.features import HEADING, POSITIONS, ROOT_VELOCITY
from motionlab.motion.skeleton import JOINT_COUNT

# `vary`: standard deviations in metres, and shares.
TREMBLE = 0.005  # of every joint and frame, at most
POSTURE = 0.007  # of every joint, the same over the window: another stance
LIMBS = 0.02  # of the length of a limb, and of the width, height and depth of the body
TURNING = (0.5, 1.3)  # times the change of heading: a gentler or a sharper turn
# `spoil`: from where on it is no longer the action.
NOISE = (0.04, 0.12)  # metres, of every joint and frame
HELD = (4, 9)  # frames for which a pose is held, then the next one jumps in; the last number excluded
ROOT = (2.5, 4.0)  # times the speed over the floor
MOVING = 0.01  # metres a frame


def vary(features: Tensor, generator: torch.Generator) -> Tensor:
    """Another body, another stance, a gentler or sharper turn, a little trembling: `[B, T, 272]`, changed in place."""
    joints = features[..., POSITIONS].unflatten(-1, (JOINT_COUNT, 3))  # [B, T, 22, 3]
    batch = len(joints)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=generator)

    root = joints[..., :1, :]
    joints = root + (joints - root) * (1 + LIMBS * drawn(1, JOINT_COUNT, 1)) * (1 + LIMBS * drawn(1, 1, 3))
    joints = joints + POSTURE * drawn(1, JOINT_COUNT, 3)
    much = TREMBLE * torch.rand(batch, 1, 1, 1, generator=generator)
    joints = joints + much * drawn(*joints.shape[1:])
    features[..., POSITIONS] = joints.flatten(-2)
    turn = features[..., HEADING]  # [B, T, 6]
    angle = torch.atan2(turn[..., 2], turn[..., 0])
    angle = angle * (TURNING[0] + (TURNING[1] - TURNING[0]) * torch.rand(batch, 1, generator=generator))
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    features[..., HEADING] = torch.stack((angle.cos(), zero, angle.sin(), zero, one, zero), dim=-1)
    return features


def spoil(features: Tensor, generator: torch.Generator) -> Tensor:
    """Windows that show no action any more, `[B, T, 272]`, changed in place: noise, held poses, or feet that slide.

    A body that hardly moves over the floor does so at any speed, so it gets noise instead.
    """
    draw = torch.rand(len(features), 2, generator=generator).tolist()
    for row, (way, much) in zip(features, draw, strict=True):  # row [T, 272]
        speed = float(row[:, ROOT_VELOCITY].norm(dim=-1).mean())
        if way < 1 / 3:
            row[:] = hold_poses(row, HELD[0] + int(much * (HELD[1] - HELD[0])))
        elif way < 2 / 3 and speed > MOVING:
            row[:, ROOT_VELOCITY] *= between(ROOT, much)
        else:
            row[:, POSITIONS] += between(NOISE, much) * torch.randn(len(row), 3 * JOINT_COUNT, generator=generator)
    return features


def between(ends: tuple[float, float], share: float) -> float:
    """
    >>> between((2.0, 4.0), 0.5)
    3.0
    """
    return ends[0] + (ends[1] - ends[0]) * share


def hold_poses(features: Tensor, hold: int) -> Tensor:
    """Every `hold`-th pose of a motion `[T, 272]`, each shown for `hold` frames; the way over the floor stays.

    >>> motion = torch.arange(6.0).repeat(272, 1).T
    >>> hold_poses(motion, 3)[:, 8].tolist()
    [0.0, 0.0, 0.0, 3.0, 3.0, 3.0]
    """
    shown = torch.arange(len(features)) // hold * hold  # [T]
    held = features.clone()
    held[:, POSITIONS] = features[shown][:, POSITIONS]
    return held
