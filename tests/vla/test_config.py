"""The settings of the policy: wrong ones are refused before anything starts, and the models take the right ones."""

from __future__ import annotations

from typing import Any

import pytest

from motionlab.config.vla import VlaConfig, VlaPretrainConfig
from motionlab.errors import InputError
from motionlab.vla.backbone.geometry_loss import GeometryWeights
from motionlab.vla.backbone.tiny_vggt import TinyVGGT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 60}, "vla.image_size: found 60, expected a multiple of vla.patch"),
        ({"backbone_dim": 30}, "vla.backbone_dim"),
        ({"language_dim": 12}, "vla.language_dim"),
        ({"fusion_dim": 12}, "vla.fusion_dim"),
        ({"backbone": "vggt"}, "vla.backbone_path: found null"),
        ({"backbone": "vggt", "backbone_path": "weights", "freeze_backbone": False}, "vla.freeze_backbone"),
        ({"backbone_precision": "bf16"}, "vla.backbone_precision: found 'bf16', expected fp32 with backbone"),
        ({"language": "folder"}, "vla.language_folder: found null"),
        ({"read_layers": 3}, "vla.read_layers: found 3, expected at most backbone_depth"),
        ({"views": []}, "vla.views"),
        ({"views": ["agentview", "agentview"]}, "vla.views"),
        ({"views": ["front"]}, "vla.views"),
        ({"grid_side": 9}, "vla.grid_side: found 9, expected at most the 8 patches of a side"),
        ({"read_colours": 9}, "vla.read_colours: found 9, expected at most the 8 pixels of a patch"),
        ({"fusion": "film"}, "vla.fusion: found 'film', expected spatial_film, cross_attention or both"),
        ({"horizon": 0}, "vla.horizon"),
        ({"patch": 7}, "vla.patch"),
        ({"pose_weight": 0, "gripper_weight": 0}, "vla.pose_weight"),
        ({"gripper_weight": float("nan")}, "vla.gripper_weight"),
    ],
)
def test_wrong_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VlaConfig(**changes)


def test_defaults_are_those_of_the_models() -> None:
    config, model = VlaConfig(), TinyVGGT()
    assert model.settings == {
        "image_size": config.image_size, "dim": config.backbone_dim, "depth": config.backbone_depth,
        "heads": config.backbone_heads, "patch": config.patch,
    }  # fmt: skip
    weights = VlaPretrainConfig()
    assert GeometryWeights() == GeometryWeights(
        weights.camera_weight, weights.depth_weight, weights.points_weight, weights.colours_weight
    )
    with pytest.raises(InputError, match="vla_pretrain.camera_weight"):
        VlaPretrainConfig(camera_weight=0, depth_weight=0, points_weight=0, colours_weight=0)
