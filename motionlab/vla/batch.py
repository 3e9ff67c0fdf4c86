"""The training data of a policy: one moment (`Frame`), and many of them (`Batch`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Frame:
    """One observation and the T actions that follow it.

    Fields:
        images: `[S, 3, H, W]` uint8, upright; zeros where a view is missing.
        view_mask: `[S]` bool, False for a missing view.
        pose: `[T, 6]` float32, as recorded, not normalised.
        gripper: `[T, 1]` float32, -1 open or +1 close.
        action_is_pad: `[T]` bool, True behind the end of the episode, where the last action is repeated.
        state: `[8]` float32: ee_pos 3, ee_ori 3, gripper 2.
        depth, K, world_from_camera: `[S, H, W]` metres, `[S, 3, 3]`, `[S, 4, 4]`; None where the file has no geometry.
        index: number of this moment among all of all files, whatever the split: the key of a feature cache.
    """

    images: Tensor
    view_mask: Tensor
    instruction: str
    pose: Tensor
    gripper: Tensor
    action_is_pad: Tensor
    state: Tensor
    depth: Tensor | None
    K: Tensor | None
    world_from_camera: Tensor | None
    index: int


@dataclass(frozen=True)
class Labels:
    """All of a `Frame` but its pictures and geometry; the fields are the same."""

    instruction: str
    pose: Tensor
    gripper: Tensor
    action_is_pad: Tensor
    state: Tensor
    index: int


@dataclass(frozen=True)
class Batch:
    """B frames; the fields are those of `Frame` with B in front, `images` as float32 in [0, 1].

    Views and actions are padded to the most that a frame has, `view_mask` False and `action_is_pad` True there.
    """

    images: Tensor
    view_mask: Tensor
    instructions: list[str]
    pose: Tensor
    gripper: Tensor
    action_is_pad: Tensor
    state: Tensor
    depth: Tensor | None = None
    K: Tensor | None = None
    world_from_camera: Tensor | None = None
    index: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.instructions)


def collate(frames: Sequence[Frame]) -> Batch:
    """Frames as one batch. Geometry is there if every frame has it."""
    views, steps = max(len(f.images) for f in frames), max(len(f.pose) for f in frames)
    geometry: dict[str, Tensor | None] = {}
    for name in ("depth", "K", "world_from_camera"):
        values = [getattr(frame, name) for frame in frames]
        there = all(value is not None for value in values)
        geometry[name] = torch.stack([_padded(value, views) for value in values]) if there else None
    return Batch(
        images=torch.stack([_padded(frame.images, views) for frame in frames]).float() / 255,
        view_mask=torch.stack([_padded(frame.view_mask, views) for frame in frames]),
        instructions=[frame.instruction for frame in frames],
        pose=torch.stack([_padded(frame.pose, steps, last=True) for frame in frames]),
        gripper=torch.stack([_padded(frame.gripper, steps, last=True) for frame in frames]),
        action_is_pad=torch.stack([_padded(frame.action_is_pad, steps, fill=True) for frame in frames]),
        state=torch.stack([frame.state for frame in frames]),
        index=torch.tensor([frame.index for frame in frames]),
        **geometry,
    )


def _padded(value: Tensor, length: int, last: bool = False, fill: bool = False) -> Tensor:
    """`[n, ...] -> [length, ...]` by zeros, by True, or by repeating the last row."""
    missing = length - len(value)
    if missing == 0:
        return value
    more = value[-1:].expand(missing, *value.shape[1:]) if last else value.new_full((missing, *value.shape[1:]), fill)
    return torch.cat([value, more])
