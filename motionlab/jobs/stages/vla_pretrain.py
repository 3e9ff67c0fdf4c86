"""Stage 1 of the robot half: a backbone that learns cameras, depth, points and colours from exact geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motionlab.config import RunConfig
from motionlab.errors import InputError
from motionlab.jobs.artefacts import claim
from motionlab.jobs.memory_advice import recompute_blocks
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.demonstration_stage import DemonstrationStage
from motionlab.jobs.vla.batches import Draws
from motionlab.jobs.vla.data import (
    Demonstrations,
    bind_demonstrations,
    frames_in_memory,
)
from motionlab.jobs.vla.models import check_frozen_parts, make_backbone
from motionlab.jobs.vla.settings import vla_settings
from motionlab.training.distributed import World
from motionlab.training.stage import Losses
from motionlab.vla.backbone.geometry_loss import GeometryLosses, GeometryWeights, geometry_loss
from motionlab.vla.backbone.saved import save_backbone
from motionlab.vla.backbone.targets import geometry_targets
from motionlab.vla.backbone.tiny_vggt import TinyVGGT
from motionlab.vla.frames import LiberoFrames, collate

VALIDATION_MOMENTS = 256  # held-out moments that a validation looks at, spread evenly
PORTION = 32
FILE = "backbone.safetensors"


@dataclass(frozen=True)
class Views:
    """B moments: images `[B, S, 3, H, W]` in [0, 1], their mask, and the geometry as in `Frame`."""

    images: Tensor
    view_mask: Tensor
    depth: Tensor
    K: Tensor
    world_from_camera: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> Views:
        """The same on another device."""
        return Views(**{name: getattr(self, name).to(device) for name in self.__dataclass_fields__})


class VlaPretrainStage(DemonstrationStage[Views]):
    """Pictures to the geometry that the world behind them really has.

    Validation columns: `val_loss`, `val_pose_l1`, `val_depth_rel`, `val_points` (of a scene whose mean distance is 1)
    and `val_rgb_l1`, over held-out episodes.
    """

    name = "vla_pretrain"
    model: TinyVGGT

    def __init__(self, run: Run, splits: Demonstrations, variant: str | None = None) -> None:
        super().__init__(run, splits, variant)
        self.config = vla_settings(run.config)
        self.world = World.current()
        with self.world.first_alone():
            bind_demonstrations(run, splits)
            claim(self.folder, {"demonstrations": splits.digest})
        frames = frames_in_memory(self.config, splits)
        require_geometry(frames)
        self.train, self.held_out = frames.of_episodes(splits.train), frames.of_episodes(splits.validation)
        self.draws = Draws(len(self.train), self.settings.batch_size, self.settings.seed)
        weights = self.config.vla_pretrain
        self.weights = GeometryWeights(
            weights.camera_weight, weights.depth_weight, weights.points_weight, weights.colours_weight
        )
        self.architecture = make_backbone(self.config).settings

    @classmethod
    def check(cls, config: RunConfig, variant: str | None = None) -> None:
        """Refuse a backbone that comes from somewhere else, and parts to freeze that it does not have."""
        super().check(config, variant)
        path = vla_settings(config).vla.backbone_path
        if path is not None:
            raise InputError(
                "vla.backbone_path", found=path, expected="null: this stage trains a new backbone",
                fix="Set it to null, or continue with: motionlab train vla.",
            )  # fmt: skip
        check_frozen_parts(vla_settings(config))

    def make(self) -> TinyVGGT:
        """A backbone with random weights."""
        model = make_backbone(self.config)
        if self.settings.activation_checkpointing:
            recompute_blocks(model)
        return model

    def batches(self, number: int) -> Views:
        """`batch_size` moments of training episodes."""
        self.watch(number)
        return _look(self.train, self.draws(number))

    def step(self, batch: Views) -> Losses:
        """The weighted loss; the logs are its parts without confidence."""
        losses = self._losses(batch)
        return Losses(losses.total, losses.parts)

    def validate(self) -> dict[str, float]:
        """Means over the same held-out moments every time."""
        chosen = np.unique(np.linspace(0, len(self.held_out) - 1, VALIDATION_MOMENTS).astype(int))
        portions = [chosen[start : start + PORTION] for start in range(0, len(chosen), PORTION)]
        sums: dict[str, float] = {}
        for i in self.world.share(range(len(portions))):
            losses = self._losses(_look(self.held_out, portions[i]))
            for name, value in {"loss": losses.total, **losses.parts}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(portions[i])
        names = ["loss", "pose_l1", "depth_rel", "points", *(["rgb_l1"] if self.weights.colours else [])]
        totals = self.world.sum([sums.get(name, 0.0) for name in names])
        return {name: total / len(chosen) for name, total in zip(names, totals, strict=True)}

    def keep(self) -> None:
        """With the run, and as a file that `vla.backbone_path` of another run can name."""
        super().keep()
        save_backbone(self.folder / FILE, self.model)

    def _losses(self, batch: Views) -> GeometryLosses:
        batch = batch.to(self.device)
        targets = geometry_targets(batch.depth, batch.K, batch.world_from_camera, batch.view_mask)
        return geometry_loss(self.model(batch.images, batch.view_mask), targets, batch.images, self.weights)


def require_geometry(frames: LiberoFrames) -> None:
    """Raise an InputError where the files do not say how deep the pictures are and where the cameras stand."""
    if frames[0].depth is None:
        raise InputError(
            "vla_data", found="files without depth and cameras of all views", expected="exact geometry to learn from",
            fix="Pretrain on the table-top world, and name its vla_pretrain/backbone.safetensors in vla.backbone_path.",
        )  # fmt: skip


def _look(frames: LiberoFrames, index: np.ndarray) -> Views:
    batch = collate([frames[int(i)] for i in index])
    if batch.depth is None or batch.K is None or batch.world_from_camera is None:
        raise InputError(
            "vla_data", found="moments without geometry among others", expected="geometry in all files",
            fix="Leave out the files that have none.",
        )  # fmt: skip
    return Views(batch.images, batch.view_mask, batch.depth, batch.K, batch.world_from_camera)
