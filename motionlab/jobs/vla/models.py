"""The models of the robot half from the settings of a run, and those that it has trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from motionlab.config import VlaRunConfig
from motionlab.errors import InputError
from motionlab.files.weights import shapes_only
from motionlab.jobs.artefacts import require
from motionlab.jobs.run_folder import Run
from motionlab.jobs.vla.settings import vla_settings
from motionlab.text.load import load_text_encoder
from motionlab.training.checkpoints.tensor_files import load_into
from motionlab.training.freeze import check_freeze
from motionlab.vla.action_normalizer import ActionNormalizer
from motionlab.vla.backbone.features import FeatureReader
from motionlab.vla.backbone.output import Backbone
from motionlab.vla.backbone.real_vggt import load_real_vggt
from motionlab.vla.backbone.saved import load_backbone, weights_digest
from motionlab.vla.backbone.tiny_vggt import REGISTERS, TinyVGGT
from motionlab.vla.build import grid_of, make_policy
from motionlab.vla.language import CachedLanguage, LanguageEncoder, TinyLanguageEncoder, Vocabulary
from motionlab.vla.language_folder import HuggingFaceFolder
from motionlab.vla.policy import VlaPolicy

SPECIAL = {"tiny_vggt": 1 + REGISTERS, "vggt": 5}  # camera and register tokens
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def make_backbone(config: VlaRunConfig) -> TinyVGGT:
    """A small backbone with random weights."""
    vla = config.vla
    return TinyVGGT(
        image_size=vla.image_size, dim=vla.backbone_dim, depth=vla.backbone_depth,
        heads=vla.backbone_heads, patch=vla.patch,
    )  # fmt: skip


def trained_backbone(run: Run) -> Backbone:
    """The backbone of a run: from `vla.backbone_path`, or the one that it has pretrained.

    Raises:
        InputError: it is not there, or of another size than the settings say.
    """
    config = vla_settings(run.config)
    if config.vla.backbone_path is None:
        backbone = make_backbone(config)
        run.fill(backbone, "vla_pretrain")
        return backbone
    return named_backbone(config, Path(config.vla.backbone_path))


def named_backbone(config: VlaRunConfig, path: Path) -> Backbone:
    """The backbone that lies outside the run.

    Raises:
        InputError: it is not there, cannot be read, or is of another size than the settings say.
    """
    if config.vla.backbone == "vggt":
        return load_real_vggt(path, dtype=DTYPES[config.vla.backbone_precision])
    found, wanted = load_backbone(path), make_backbone(config).settings
    if found.settings != wanted:
        raise InputError(
            path, found=_listed(found.settings), expected=_listed(wanted),
            fix="Set vla.image_size, patch, backbone_dim, backbone_depth and backbone_heads as in the file.",
        )  # fmt: skip
    return found


def check_parts(config: VlaRunConfig) -> None:
    """Refuse, before anything is written, a backbone or a language model that lies elsewhere and cannot be used.

    A backbone is read whole. Of a language model, which may be much larger, only the settings are.

    Raises:
        InputError: as `named_backbone` and `HuggingFaceFolder`.
    """
    vla = config.vla
    for name, path in (("backbone_path", vla.backbone_path), ("language_folder", vla.language_folder)):
        if path is not None and not Path(path).exists():
            raise InputError(f"vla.{name}", found=path, expected="a path that exists", fix="Check it.")
    if vla.backbone_path is not None:
        named_backbone(config, Path(vla.backbone_path))
    if vla.language == "folder":
        HuggingFaceFolder(Path(str(vla.language_folder)))


def make_reader(config: VlaRunConfig, backbone: Backbone) -> FeatureReader:
    """The backbone, and what the policy reads from it."""
    vla = config.vla
    return FeatureReader(
        backbone, layers=vla.read_layers, side=vla.grid_side, norm=vla.read_norm, colours=vla.read_colours
    )


def make_language(config: VlaRunConfig, words: Sequence[str]) -> LanguageEncoder:
    """The encoder of instructions; `words` is the vocabulary of a small one."""
    vla = config.vla
    if vla.language == "minilm":
        bundled = load_text_encoder("minilm")
        return CachedLanguage(bundled.encode, bundled.dim)
    if vla.language == "folder":
        folder = HuggingFaceFolder(Path(str(vla.language_folder)))
        return CachedLanguage(folder.encode, folder.dim)
    return TinyLanguageEncoder(
        Vocabulary(words), dim=vla.language_dim, n_layer=vla.language_layers, n_head=vla.language_heads
    )


def make_policy_of(config: VlaRunConfig, backbone: Backbone, words: Sequence[str]) -> VlaPolicy:
    """A policy whose other parts have random weights, and statistics that say nothing yet."""
    vla = config.vla
    side = grid_of(backbone, vla.image_size, vla.grid_side)
    if vla.backbone == "vggt":
        side = grid_of(backbone, int(backbone.settings["size"]), vla.grid_side)
    return make_policy(
        make_reader(config, backbone),
        make_language(config, words),
        ActionNormalizer(vla.normaliser),
        views=vla.views, side=side, special=SPECIAL[vla.backbone],
        freeze=vla.freeze_backbone, save_backbone=vla.backbone != "vggt", standardise=vla.standardise,
        fusion=vla.fusion, geometry=vla.geometry, head=vla.head, gripper=vla.gripper, horizon=vla.horizon,
        use_state=vla.use_state, geometry_dim=vla.geometry_dim, fusion_dim=vla.fusion_dim, keypoints=vla.keypoints,
        hidden=vla.hidden, pose_weight=vla.pose_weight, gripper_weight=vla.gripper_weight,
    )  # fmt: skip


def check_frozen_parts(config: VlaRunConfig) -> None:
    """Refuse patterns of parts to freeze that no part fits, before any work. The models have no memory here.

    A policy with weights from a folder is left for its training to check: its parts are not known yet.

    Raises:
        InputError: the pattern, and the parts that there are.
    """
    vla = config.vla
    if vla.backbone == "vggt":
        return
    with shapes_only():
        backbone = make_backbone(config)
        if vla.backbone_path is None:
            check_freeze(backbone, config.vla_pretrain_training.freeze, "vla_pretrain_training.freeze")
        if config.vla_training.freeze and vla.language == "tiny":
            policy = make_policy_of(config, backbone, words=["cube"])
            check_freeze(policy, config.vla_training.freeze, "vla_training.freeze")


def trained_policy(run: Run) -> VlaPolicy:
    """The policy of a run, in eval mode. Its file holds the words that it knows and all statistics.

    Weights of VGGT are not in it: they are read from their folder again, and have to be those of the training.

    Raises:
        InputError: it is not there, or it is of other settings, or the folder of VGGT holds other weights now.
    """
    config = vla_settings(run.config)
    state, description, path = run.stored("vla")
    words: Any = description.get("words")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(path, found="no words", expected="a policy of this package", fix="Train it again.")
    backbone = make_backbone(config) if config.vla.backbone == "tiny_vggt" else trained_backbone(run)
    if config.vla.backbone == "vggt":
        now = {"backbone": weights_digest(make_reader(config, backbone))}
        fix = f"Put the weights back that it was trained with: {config.vla.backbone_path}."
        require(run.stage_folder("vla"), now, fix=fix)
    policy = make_policy_of(config, backbone, words)
    load_into(policy, state, where=path)
    return policy.eval()


def _listed(settings: dict[str, int | str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
