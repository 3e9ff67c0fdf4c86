"""Names and shapes of the weights that VGGT-1B is published with, and a module tree that has them, of any width.

These are facts about a file, written down from its names; the module is no VGGT. It calculates just enough to have its
interface, through weights that lie where the published ones do: mixing kinds of numbers fails in it as it fails there.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shapes = dict[str, tuple[int, ...]]
WIDTH, DEPTH, TRUNK, POSITIONS = 1024, 24, 4, 37**2 + 1
CHANNELS, FEATURES, TRACK = (256, 512, 1024, 1024), 256, 128
HIDDEN = 384  # of the tracker
PATCH = 14


def published(width: int = WIDTH, depth: int = DEPTH, narrow: int = 1) -> Shapes:
    """Name -> shape. The published ones by default; `narrow` divides the widths of the heads.

    `width` is a multiple of 16.
    """
    names = _aggregator(width, depth) | _camera_head("camera_head.", 2 * width)
    names |= _dense("depth_head.", 2 * width, narrow, out=2) | _dense("point_head.", 2 * width, narrow, out=4)
    names |= _dense("track_head.feature_extractor.", 2 * width, narrow, out=0)
    return names | _tracker("track_head.tracker.", HIDDEN // narrow, TRACK // narrow)


class Skeleton(nn.Module):
    """Parameters under the names of `shapes`, with the attributes and methods that a user of VGGT calls."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        for name, shape in shapes.items():
            *path, last = name.split(".")
            place: nn.Module = self
            for part in path:
                if part not in place._modules:
                    place.add_module(part, KINDS.get(part, nn.Module)())
                place = place.get_submodule(part)
            place.register_parameter(last, nn.Parameter(torch.randn(shape) * 0.1))


class Aggregator(nn.Module):
    """Images `[B, S, 3, H, W]` to a list of tokens `[B, S, P, 2C]`, and where the patches begin."""

    patch_size = PATCH

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("_mean", torch.full((1, 1, 3, 1, 1), 0.45), persistent=False)  # as there: not in files
        self.calls = 0

    def forward(self, images: Tensor) -> tuple[list[Tensor], int]:
        self.calls += 1
        own: Any = self
        rows, views = images.shape[:2]
        conv = own.patch_embed.patch_embed.proj
        patches = F.conv2d((images - own._mean).flatten(0, 1), conv.weight, conv.bias, stride=PATCH)  # [B*S, C, h, w]
        patches = patches.flatten(2).mT.unflatten(0, (rows, views))  # [B, S, h*w, C]
        special = torch.cat([own.camera_token, own.register_token], 2)  # [1, 2, 5, C]
        which = [0] + [1] * (views - 1)  # the first view has tokens of its own
        x = torch.cat([special[:, which].expand(rows, -1, -1, -1), patches], 2)
        found = []
        for frame, all_views in zip(own.frame_blocks.children(), own.global_blocks.children(), strict=True):
            within = x + _mixed(x, frame, (2,))
            x = within + _mixed(within, all_views, (1, 2))
            found.append(torch.cat([within, x], -1))
        return found, 5


def _mixed(x: Tensor, block: Any, over: tuple[int, ...]) -> Tensor:
    """A mean instead of attention, through the norm and the projection of a block."""
    normal = F.layer_norm(x, x.shape[-1:], block.norm1.weight, block.norm1.bias)
    return F.linear(normal.mean(over, keepdim=True) + normal, block.attn.proj.weight) * block.ls1.gamma


class CameraHead(nn.Module):
    """Tokens of the camera to four encodings `[B, S, 9]`."""

    def forward(self, tokens: list[Tensor]) -> list[Tensor]:
        own: Any = self
        camera = tokens[-1][:, :, 0]
        camera = F.layer_norm(camera, camera.shape[-1:], own.token_norm.weight, own.token_norm.bias)
        hidden = F.linear(camera, own.pose_branch.fc1.weight, own.pose_branch.fc1.bias)
        pose = F.linear(hidden, own.pose_branch.fc2.weight, own.pose_branch.fc2.bias)
        return [pose * share for share in (0.25, 0.5, 0.75, 1.0)]


class DenseHead(nn.Module):
    """Tokens of the patches to a number (or three) and a confidence for each pixel."""

    def forward(self, tokens: list[Tensor], images: Tensor, patch_start_idx: int) -> tuple[Tensor, Tensor]:
        own: Any = self
        rows, views, _, height, width = images.shape
        patches = tokens[-1][:, :, patch_start_idx:].flatten(0, 1)
        patches = F.layer_norm(patches, patches.shape[-1:], own.norm.weight, own.norm.bias)
        grid = patches.mT.unflatten(2, (height // PATCH, width // PATCH))
        narrow = F.conv2d(grid, own.projects.get_submodule("0").weight)
        last = own.scratch.output_conv2.get_submodule("2")
        found = F.conv2d(narrow[:, : last.weight.shape[1]], last.weight, last.bias)
        found = F.interpolate(found, (height, width)).movedim(1, -1).unflatten(0, (rows, views))
        return found[..., :-1], 1 + found[..., -1].exp()


KINDS: dict[str, type[nn.Module]] = {
    "aggregator": Aggregator, "camera_head": CameraHead, "depth_head": DenseHead, "point_head": DenseHead,
}  # fmt: skip


def _linear(name: str, outputs: int, *inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, *inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _block(name: str, width: int, head: int | None = None) -> Shapes:
    """A layer of a transformer; `head`: width of a head whose queries and keys are normalised."""
    shapes = _norm(f"{name}.norm1", width) | _linear(f"{name}.attn.qkv", 3 * width, width)
    if head is not None:
        shapes |= _norm(f"{name}.attn.q_norm", head) | _norm(f"{name}.attn.k_norm", head)
    shapes |= _linear(f"{name}.attn.proj", width, width) | {f"{name}.ls1.gamma": (width,)}
    shapes |= _norm(f"{name}.norm2", width) | _linear(f"{name}.mlp.fc1", 4 * width, width)
    return shapes | _linear(f"{name}.mlp.fc2", width, 4 * width) | {f"{name}.ls2.gamma": (width,)}


def _aggregator(width: int, depth: int) -> Shapes:
    own, image = "aggregator.", "aggregator.patch_embed."
    shapes: Shapes = {own + "camera_token": (1, 2, 1, width), own + "register_token": (1, 2, 4, width)}
    shapes |= {
        image + "cls_token": (1, 1, width), image + "pos_embed": (1, POSITIONS, width),
        image + "register_tokens": (1, 4, width), image + "mask_token": (1, width),
    }  # fmt: skip
    shapes |= _linear(image + "patch_embed.proj", width, 3, PATCH, PATCH) | _norm(image + "norm", width)
    for i in range(depth):
        shapes |= _block(f"{image}blocks.{i}", width)
        shapes |= _block(f"{own}frame_blocks.{i}", width, width // 16) | _block(
            f"{own}global_blocks.{i}", width, width // 16
        )
    return shapes


def _camera_head(own: str, width: int) -> Shapes:
    shapes: Shapes = {own + "empty_pose_tokens": (1, 1, 9)}
    shapes |= _norm(own + "token_norm", width) | _norm(own + "trunk_norm", width)
    shapes |= _linear(own + "embed_pose", width, 9) | _linear(own + "poseLN_modulation.1", 3 * width, width)
    shapes |= _linear(own + "pose_branch.fc1", width // 2, width) | _linear(own + "pose_branch.fc2", 9, width // 2)
    for i in range(TRUNK):
        shapes |= _block(f"{own}trunk.{i}", width)
    return shapes


def _dense(own: str, width: int, narrow: int, out: int) -> Shapes:
    """A head for dense prediction; `out` 0 is that of the tracker, which gives features."""
    channels = [channel // narrow for channel in CHANNELS]
    features = (FEATURES if out else TRACK) // narrow
    shapes = _norm(own + "norm", width)
    for i, channel in enumerate(channels):
        shapes |= _linear(f"{own}projects.{i}", channel, width, 1, 1)
        shapes |= {f"{own}scratch.layer{i + 1}_rn.weight": (features, channel, 3, 3)}
    for i, side in ((0, 4), (1, 2), (3, 3)):  # layer 2 keeps its size
        shapes |= _linear(f"{own}resize_layers.{i}", channels[i], channels[i], side, side)
    for i, unit in product(range(1, 5), (1, 2)):
        block = f"{own}scratch.refinenet{i}"
        shapes |= _linear(block + ".out_conv", features, features, 1, 1)
        for conv in () if (i, unit) == (4, 1) else (1, 2):  # the coarsest one has nothing to add
            shapes |= _linear(f"{block}.resConfUnit{unit}.conv{conv}", features, features, 3, 3)
    shapes |= _linear(own + "scratch.output_conv1", features // 2 if out else features, features, 3, 3)
    if out:
        between = max(1, 32 // narrow)
        shapes |= _linear(own + "scratch.output_conv2.0", between, features // 2, 3, 3)
        shapes |= _linear(own + "scratch.output_conv2.2", out, between, 1, 1)
    return shapes


def _tracker(own: str, hidden: int, width: int) -> Shapes:
    token, form = 3 * width + 4, own + "updateformer."
    shapes: Shapes = {own + "query_ref_token": (1, 2, token), form + "virual_tracks": (1, 64, 1, hidden)}  # spelled so
    shapes |= _linear(own + "corr_mlp.fc1", hidden, 7 * 9**2) | _linear(own + "corr_mlp.fc2", width, hidden)
    shapes |= _norm(own + "fmap_norm", width) | _norm(own + "ffeat_norm", width)
    shapes |= _linear(own + "ffeat_updater.0", width, width)
    shapes |= _linear(own + "vis_predictor.0", 1, width) | _linear(own + "conf_predictor.0", 1, width)
    shapes |= _norm(form + "input_norm", token) | _linear(form + "input_transform", hidden, token)
    shapes |= _norm(form + "output_norm", hidden) | _linear(form + "flow_head", width + 2, hidden)
    groups = {
        "time_blocks": "attn", "space_virtual_blocks": "attn",
        "space_point2virtual_blocks": "cross_attn", "space_virtual2point_blocks": "cross_attn",
    }  # fmt: skip
    for (group, attention), i in product(groups.items(), range(6)):
        block = f"{form}{group}.{i}"
        shapes |= _norm(block + ".norm1", hidden) | _norm(block + ".norm2", hidden)
        shapes |= _linear(block + ".mlp.fc1", 4 * hidden, hidden) | _linear(block + ".mlp.fc2", hidden, 4 * hidden)
        shapes |= {f"{block}.{attention}.in_proj_weight": (3 * hidden, hidden)}
        shapes |= {f"{block}.{attention}.in_proj_bias": (3 * hidden,)}
        shapes |= _linear(f"{block}.{attention}.out_proj", hidden, hidden)
        if attention == "cross_attn":
            shapes |= _norm(block + ".norm_context", hidden)
    return shapes
