"""Training vectors of a phase-functioned network, as its public script makes them: centimetres, 60 frames per second.

(Holden, Komura, Saito: "Phase-Functioned Neural Networks for Character Control", 2017.) Row i of X is all that a
character knows before it moves, row i of Y what it does next, and P its phase in [0, 1), which is no input but drives
the weights. Places and directions are seen from the body: the pelvis at x = z = 0, facing +z. A window looks one second
back and nearly one ahead, every tenth frame. J joints give 156 + 6 J numbers in X and 32 + 9 J in Y: 288 and 230 for
our 22, 342 and 311 for the 31 of the paper. `X_COLUMNS` and `Y_COLUMNS` say which are where.

The ground is flat here, so all terrain heights are 0 (the original fits patches of terrain to each step).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files import atomic_path
from motionlab.files.arrays import read_arrays
from motionlab.files.reading import refusing
from motionlab.motion.formats.facing import facing, turn_to_z
from motionlab.motion.formats.gait import GROUPS, gait_weights, step_phase
from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import matrix_to_axis_angle, yaw_matrix
from motionlab.motion.skeleton import JOINT_COUNT, JOINT_NAMES, canonical_skeleton, forward_kinematics, global_rotations

FPS = 60.0
WINDOW, STRIDE = 60, 10  # frames on each side, frames between two points
SHORTEST = 2 * WINDOW + 2  # frames
STILL = 0.02  # square centimetres: a foot whose squared step is smaller stands
CM = 100.0
_PAST = range(-WINDOW, WINDOW, STRIDE)  # 12 points of the trajectory, and of the terrain
_NEXT = range(1, WINDOW + 1, STRIDE)  # 6 points of the next trajectory
_FEET = ("left_ankle", "left_foot", "right_ankle", "right_foot")
_FACING = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def _per_joint(kind: str) -> list[str]:
    return [f"{kind}_{joint}_{axis}" for joint in JOINT_NAMES for axis in "xyz"]


X_COLUMNS: tuple[str, ...] = (
    *(f"trajectory_{kind}_{t:+d}" for kind in ("x", "z", "direction_x", "direction_z") for t in _PAST),
    *(f"gait_{group}_{t:+d}" for group in GROUPS for t in _PAST),
    *_per_joint("position"),
    *_per_joint("velocity"),
    *(f"terrain_{side}_{t:+d}" for side in ("right", "centre", "left") for t in _PAST),
)
Y_COLUMNS: tuple[str, ...] = (
    *("root_velocity_x", "root_velocity_z", "root_turn", "phase_step"),
    *(f"contact_{foot}" for foot in _FEET),
    *(f"trajectory_{kind}_{t:+d}" for kind in ("x", "z", "direction_x", "direction_z") for t in _NEXT),
    *_per_joint("position"),
    *_per_joint("velocity"),
    *_per_joint("rotation"),
)


@dataclass(frozen=True, eq=False)
class PfnnVectors:
    """The vectors of one motion, or of several that were joined.

    Args:
        x: `[N, 288]`, columns as `X_COLUMNS`.
        y: `[N, 230]`, columns as `Y_COLUMNS`.
        phase: `[N]` in [0, 1).
    """

    x: Tensor
    y: Tensor
    phase: Tensor

    def __len__(self) -> int:
        return len(self.x)


def pfnn_vectors(motion: Motion) -> PfnnVectors:
    """The vectors of a motion; each needs a second before it and one after it.

    Another frame rate is resampled to 60. The three parts are float32.

    Raises:
        InputError: a motion of less than 122 frames at 60 per second.
    """
    motion = motion.resample(fps=FPS)
    count = len(motion) - SHORTEST + 1
    if count < 1:
        raise InputError(
            motion.name or "motion",
            found=f"{len(motion)} frames at {FPS:g} fps",
            expected=f"at least {SHORTEST}: a second before and after each vector",
            fix="Use a longer motion, or join several.",
        )
    metres, local = motion.joints().double(), motion.rotations().double()
    joints = CM * metres  # [T, J, 3]
    left_arm, right_arm, left_hip, right_hip = (joints[:, JOINT_NAMES.index(name)] for name in _FACING)
    forward = facing(left_arm - right_arm + left_hip - right_hip)  # [T, 3]
    turn = turn_to_z(forward)  # [T, 3, 3]
    root, floor = joints[:, 0], joints.new_tensor([1.0, 0.0, 1.0])
    places = ((joints - root[:, None] * floor) @ turn.mT)[:-1]  # [T-1, J, 3]
    step = joints[1:] - joints[:-1]
    speeds = step @ turn[:-1].mT  # [T-1, J, 3]
    world = turn[:, None] @ global_rotations(local)  # [T, J, 3, 3]
    angles = (matrix_to_axis_angle(world) / 2)[:-1]  # the logarithm of a quaternion is half its axis-angle vector
    change = turn[1:] @ turn[:-1].mT
    root_turn = torch.atan2(change[:, 0, 2], change[:, 2, 2])  # minus the turn of the body, radians per frame
    contacts = (step[:, [JOINT_NAMES.index(name) for name in _FEET]].square().sum(-1) < STILL).double()  # [T-1, 4]
    phase = step_phase(metres, FPS)
    phase_step = torch.diff(phase) % 1.0  # over the wrap, too
    gait = gait_weights(metres, FPS, _standing_head(motion))  # [T, 6]

    now = torch.arange(WINDOW, WINDOW + count)
    past, after = now[:, None] + torch.tensor(_PAST), now[:, None] + torch.tensor(_NEXT)  # [N, 12], [N, 6]
    x = torch.cat(
        (
            *_trajectory(root, forward, turn, now, past),
            gait[past].mT.flatten(1),  # [N, 6 x 12]
            places[now - 1].flatten(1),
            speeds[now - 1].flatten(1),
            joints.new_zeros(count, 3 * len(_PAST)),
        ),
        dim=1,
    )
    y = torch.cat(
        (
            speeds[now, 0][:, [0, 2]],
            torch.stack((root_turn[now], phase_step[now]), dim=1),
            contacts[now],
            *_trajectory(root, forward, turn, now + 1, after),
            places[now].flatten(1),
            speeds[now].flatten(1),
            angles[now].flatten(1),
        ),
        dim=1,
    )
    return PfnnVectors(x.float(), y.float(), phase[now].float())


def _trajectory(root: Tensor, forward: Tensor, turn: Tensor, now: Tensor, at: Tensor) -> tuple[Tensor, ...]:
    """x, z of the pelvis and of its direction at frames `at` `[N, n]`, seen from frames `now` `[N]`; `[N, n]` each."""
    places = (root[at] - root[now, None]) @ turn[now].mT  # [N, n, 3]
    directions = forward[at] @ turn[now].mT
    return places[..., 0], places[..., 2], directions[..., 0], directions[..., 2]


def _standing_head(motion: Motion) -> float:
    """Height of the head above the lowest joint in the rest pose of the body, metres."""
    offsets = (motion.skeleton or canonical_skeleton()).offsets.double()
    rest = torch.eye(3, dtype=torch.float64).expand(JOINT_COUNT, 3, 3)
    heights = forward_kinematics(rest, torch.zeros(3, dtype=torch.float64), offsets)[:, 1]
    return float(heights[JOINT_NAMES.index("head")] - heights.min())


def decode_pfnn(vectors: PfnnVectors) -> Tensor:
    """Places of the joints out of Y `[N, 22, 3]`, metres; the first frame faces +z with its pelvis at x = z = 0."""
    y = vectors.y.double()
    turns = torch.cat((y.new_zeros(1), y[:-1, 2].cumsum(0)))  # [N]
    back = yaw_matrix(turns).mT  # [N, 3, 3], from the body to the world
    start = Y_COLUMNS.index(_per_joint("position")[0])
    places = y[:, start : start + 3 * JOINT_COUNT].unflatten(1, (JOINT_COUNT, 3)) @ back.mT
    step = torch.stack((y[:, 0], torch.zeros_like(y[:, 0]), y[:, 1]), dim=1)
    moved = (back @ step[..., None])[:-1, :, 0].cumsum(0)
    root = torch.cat((moved.new_zeros(1, 3), moved))  # [N, 3]
    joints: Tensor = (places + root[:, None]) / CM
    return joints


def write_pfnn(path: str | Path, vectors: PfnnVectors) -> None:
    """An npz with `Xun`, `Yun`, `Pun` as the public script has them, and `x_columns`, `y_columns`, `fps`, `unit`."""
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            Xun=vectors.x.detach().cpu().numpy(),
            Yun=vectors.y.detach().cpu().numpy(),
            Pun=vectors.phase.detach().cpu().numpy(),
            x_columns=np.array(X_COLUMNS),
            y_columns=np.array(Y_COLUMNS),
            fps=FPS,
            unit="cm",
        )


def read_pfnn(path: str | Path) -> PfnnVectors:
    """Vectors that `write_pfnn` wrote.

    Raises:
        InputError: no such file, or none of these, or numbers that are not finite.
    """
    expected = f"Xun [N, {len(X_COLUMNS)}], Yun [N, {len(Y_COLUMNS)}] and Pun [N] of 22 joints"
    fix = "Write it with `motionlab convert MOTION --to pfnn`."
    arrays = read_arrays(path, expected=expected, fix=fix)
    with refusing(path, expected=expected, fix=fix), np.errstate(over="ignore"):  # infinity is refused below
        parts = [torch.from_numpy(arrays[name].astype(np.float32)) for name in ("Xun", "Yun", "Pun")]
        count = len(parts[0])
        shapes = [(count, len(X_COLUMNS)), (count, len(Y_COLUMNS)), (count,)]
        if [tuple(part.shape) for part in parts] != shapes or count == 0:
            raise ValueError(f"shapes {[tuple(part.shape) for part in parts]}")
        if not all(bool(torch.isfinite(part).all()) for part in parts):
            raise ValueError("numbers that are not finite")
    return PfnnVectors(*parts)


def _write(path: Path, motion: Motion, options: WriteOptions) -> None:
    write_pfnn(path, pfnn_vectors(motion))


def _decode(path: Path) -> Tensor:
    return decode_pfnn(read_pfnn(path))


WRITER = Writer(
    name="PFNN",
    key="pfnn",
    suffixes=(".npz",),
    loses="a second at each end, a frame rate other than 60; the ground is flat",
    write=_write,
    fps=FPS,
    decode=_decode,
    skips=WINDOW,
)
