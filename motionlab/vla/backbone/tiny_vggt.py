"""TinyVGGT: a small network with the structure and the outputs of VGGT, for images of 64 pixels and a CPU.

VGGT (Wang et al., "Visual Geometry Grounded Transformer", arXiv:2503.11651) reads several views of a scene and says
where the cameras are, how deep each pixel is, and which point in the first camera's frame it shows. Layers alternate:
attention within each view, then over the tokens of all views. Kept here: this alternation, a camera and register tokens
in two versions (one for the first view, which defines the frame, one for all others), the keys and ranks of the result.
Smaller: three strided convolutions instead of a DINOv2, learned positions, linear heads instead of DPT, two refinements
of the camera instead of four. Added: colours of each patch, the stand-in for the knowledge of appearance that
VGGT has from DINOv2; without them the tokens forget which cube is the red one.

Notation: B rows, S views, h x w patches of p pixels, P = 1 + registers + h * w tokens, C = `dim`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.llama.checks import check_sizes
from motionlab.vla.backbone.heads import CameraHead, PixelHead, inverse_log
from motionlab.vla.backbone.layers import Layer
from motionlab.vla.backbone.output import Backbone, GeometryOutput, check_images
from motionlab.vla.backbone.targets import first_view

REGISTERS = 2
COLOURS = 4
"""Each patch predicts 4 x 4 colours."""


class TinyVGGT(Backbone):
    """Images to tokens, cameras, depth and points.

    Args:
        image_size: side of the images in pixels, a multiple of `patch`.
        dim: C; tokens have 2C numbers.
        depth: pairs of layers, one within a view and one over all views.
        heads: of the attention.
        patch: 4, 8 or 16 pixels: a convolution of stride 2 for each factor of 2.

    Raises:
        InputError: sizes that do not fit.

    >>> model = TinyVGGT(image_size=32, dim=16, depth=1, heads=2)
    >>> output = model(torch.rand(1, 2, 3, 32, 32))
    >>> output["tokens"][-1].shape, output["pose_enc"].shape, output["world_points"].shape
    (torch.Size([1, 2, 19, 32]), torch.Size([1, 2, 9]), torch.Size([1, 2, 32, 32, 3]))
    """

    def __init__(self, image_size: int = 64, dim: int = 64, depth: int = 2, heads: int = 4, patch: int = 8) -> None:
        super().__init__()
        check_sizes(image_size=image_size, dim=dim, depth=depth)
        if patch not in (4, 8, 16) or image_size % patch or dim % 2:
            raise InputError(
                "backbone",
                found=f"image_size={image_size}, patch={patch}, dim={dim}",
                expected="patch 4, 8 or 16, image_size a multiple of it, an even dim",
                fix="Change one of them.",
            )
        self.image_size, self.patch, self.dim = image_size, patch, dim
        self.settings = {"image_size": image_size, "dim": dim, "depth": depth, "heads": heads, "patch": patch}
        self.side = image_size // patch  # h = w
        self.token_dim = 2 * dim
        self.stem = _stem(dim, patch)
        self.position = nn.Parameter(torch.randn(self.side**2, dim) * 0.02)  # [h*w, C]
        # Version 0 marks the view whose camera is the world, version 1 all others.
        self.special = nn.Parameter(torch.randn(2, 1 + REGISTERS, dim) * 0.02)
        self.frame_layers = nn.ModuleList(Layer(dim, heads) for _ in range(depth))
        self.global_layers = nn.ModuleList(Layer(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(2 * dim)
        self.camera = CameraHead(2 * dim)
        self.depth_head = PixelHead(2 * dim, patch, channels=2)
        self.point_head = PixelHead(2 * dim, patch, channels=4)
        self.colour_head = PixelHead(2 * dim, COLOURS, channels=3)

    @property
    def patch_start_idx(self) -> int:
        """Where the tokens of patches begin."""
        return 1 + REGISTERS

    def aggregator(self, images: Tensor, view_mask: Tensor | None = None) -> tuple[list[Tensor], int]:
        """Tokens after each pair of layers, `depth` x `[B, S, P, 2C]`, and where patches begin.

        Args:
            images: `[B, S, 3, H, W]` in [0, 1].
            view_mask: bool `[B, S]`, False on padded views: no other view sees them, whatever they hold.
        """
        check_images(images, self.patch, self.image_size)
        batch, views = images.shape[:2]
        if view_mask is None:
            view_mask = torch.ones(batch, views, dtype=torch.bool, device=images.device)
        # A weight of 0 hides any number but NaN, so padded views become grey before anything reads them.
        images = torch.where(view_mask[:, :, None, None, None], images, 0.5)
        x = self.stem((images.flatten(0, 1) - 0.5) / 0.25)  # [B*S, C, h, w]
        patches = x.flatten(2).transpose(1, 2) + self.position  # [B*S, h*w, C]
        is_first = torch.arange(views, device=images.device) == first_view(view_mask)[:, None]  # [B, S]
        special = self.special.index_select(0, (~is_first).long().flatten())  # [B*S, 1+R, C]; see `LanguageEncoder`
        x = torch.cat([special.to(patches.dtype), patches], 1)  # [B*S, P, C]
        tokens = x.shape[1]  # P
        seen = view_mask.repeat_interleave(tokens, 1)[:, None]  # [B, 1, S*P]
        found = []
        for frame_layer, global_layer in zip(self.frame_layers, self.global_layers, strict=True):
            x = frame_layer(x)  # [B*S, P, C]: each view alone
            within = x
            x = global_layer(x.unflatten(0, (batch, views)).flatten(1, 2), mask=seen)  # [B, S*P, C]: all views
            x = x.unflatten(1, (views, tokens)).flatten(0, 1)  # [B*S, P, C]
            found.append(torch.cat([within, x], -1).unflatten(0, (batch, views)))  # [B, S, P, 2C]
        return found, self.patch_start_idx

    def forward(self, images: Tensor, view_mask: Tensor | None = None) -> GeometryOutput:
        """See `GeometryOutput`; what padded views give is never to be read.

        Raises:
            InputError: images of another kind or size.
        """
        tokens, start = self.aggregator(images, view_mask)
        # Depth is an exponential: half precision would lose what it is compared with. VGGT's heads run in float32, too.
        with torch.autocast(images.device.type, enabled=False):
            last = self.norm(tokens[-1].float())  # [B, S, P, 2C]
            poses = self.camera(last[:, :, 0])
            patches = last[:, :, start:].unflatten(2, (self.side, self.side))  # [B, S, h, w, 2C]
            depth = self.depth_head(patches)  # [B, S, H, W, 2]
            points = self.point_head(patches)  # [B, S, H, W, 4]
            return {
                "tokens": tokens,
                "patch_start_idx": start,
                "pose_enc": poses[-1],
                "pose_enc_list": poses,
                "depth": depth[..., :1].clamp(max=8).exp(),
                "depth_conf": 1 + depth[..., 1].clamp(max=8).exp(),
                "world_points": inverse_log(points[..., :3]),
                "world_points_conf": 1 + points[..., 3].clamp(max=8).exp(),
                "patch_rgb": self.colour_head(patches),
            }


def _stem(dim: int, patch: int) -> nn.Sequential:
    """Strided convolutions from pixels to one vector a patch; each halves the sides."""
    halvings = patch.bit_length() - 1  # 8 -> 3
    widths = [3, dim // 2, *[dim] * (halvings - 1)]
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        layers += [nn.GELU()] if number else []
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)]
    return nn.Sequential(*layers)
