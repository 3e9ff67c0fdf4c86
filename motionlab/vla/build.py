"""A policy of the usual parts from plain arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from motionlab.errors import check_choice
from motionlab.vla.backbone.features import FeatureReader
from motionlab.vla.backbone.frozen import Frozen
from motionlab.vla.backbone.output import Backbone
from motionlab.vla.backbone.standardise import Standardise
from motionlab.vla.fusion import Both, CrossAttentionFusion, Fusion, SpatialFilm
from motionlab.vla.geometry import Geometry, GeometryFeatureExtractor, SpatialGeometry
from motionlab.vla.head import FlowMatchingHead, Head, RegressionHead
from motionlab.vla.language import LanguageEncoder
from motionlab.vla.policy import PoseNormaliser, VlaPolicy, context_dim

FusionName = Literal["spatial_film", "cross_attention", "both"]
GeometryName = Literal["pooled", "spatial"]
HeadName = Literal["regression", "flow"]


def make_policy(
    reader: FeatureReader,
    language: LanguageEncoder,
    normaliser: PoseNormaliser,
    *,
    views: Sequence[str],
    side: tuple[int, int],
    special: int,
    freeze: bool = True,
    save_backbone: bool = True,
    standardise: bool = True,
    fusion: FusionName = "spatial_film",
    geometry: GeometryName = "pooled",
    head: HeadName = "regression",
    gripper: Literal["tanh", "logit"] = "tanh",
    horizon: int = 1,
    use_state: bool = True,
    geometry_dim: int = 512,
    fusion_dim: int = 128,
    keypoints: int = 16,
    hidden: int = 256,
    pose_weight: float = 1.0,
    gripper_weight: float = 0.5,
) -> VlaPolicy:
    """The parts by name.

    Args:
        reader: the backbone and what is read from it.
        side: (h, w) of the patch grid that the reader gives.
        special: R, camera and register tokens.
        save_backbone: whether a checkpoint holds a frozen backbone, see `Frozen`.
        geometry: of cross-attention: one vector a view ("pooled", as AtlasVLA) or one a patch.
        geometry_dim, fusion_dim: widths of cross-attention.
        keypoints: of a view, for spatial_film.
        hidden: width of the head.

    Raises:
        InputError: a name that is not known, or sizes that do not fit.
    """
    check_choice("fusion", fusion, ("spatial_film", "cross_attention", "both"))
    check_choice("geometry", geometry, ("pooled", "spatial"))
    check_choice("head", head, ("regression", "flow"))
    parts: list[Fusion] = []
    if fusion != "cross_attention":
        parts.append(SpatialFilm(reader.token_dim, side, len(views), language.dim, keypoints=keypoints))
    if fusion != "spatial_film":
        seen: Geometry = (
            GeometryFeatureExtractor(reader.token_dim, geometry_dim)
            if geometry == "pooled"
            else SpatialGeometry(reader.token_dim, len(views), geometry_dim)
        )
        parts.append(CrossAttentionFusion(seen, language.dim, fusion_dim))
    fused = parts[0] if len(parts) == 1 else Both(*parts)
    dim = context_dim(fused, use_state)
    action_head: Head = (
        RegressionHead(dim, horizon, hidden, gripper, pose_weight=pose_weight, gripper_weight=gripper_weight)
        if head == "regression"
        else FlowMatchingHead(dim, horizon, hidden)
    )
    backbone: nn.Module = Frozen(reader, saved=save_backbone) if freeze else reader
    scaled = Standardise(len(views), side, special, reader.token_dim) if standardise else None
    return VlaPolicy(
        backbone, language, fused, action_head, normaliser, views=views, standardise=scaled, use_state=use_state
    )


def grid_of(backbone: Backbone, image_size: int, side: int | None = None) -> tuple[int, int]:
    """(h, w) of the patches that a `FeatureReader` gives for square images.

    >>> from motionlab.vla.backbone.tiny_vggt import TinyVGGT
    >>> grid_of(TinyVGGT(dim=8, heads=2), 64), grid_of(TinyVGGT(dim=8, heads=2), 64, side=4)
    ((8, 8), (4, 4))
    """
    patches = image_size // backbone.patch
    length = patches if side is None else min(side, patches)
    return length, length
