"""The published VGGT behind the interface of TinyVGGT, from files that the user has.

Its code and weights are not part of this package (they have a licence of their own). The class is taken from a module
`vggt` that the user can import, the weights from a local folder; nothing is downloaded. The weights are compared name
by name before anything runs: published loaders that only warn have trained on random backbones.

One forward of the 1.2 billion parameters takes minutes on a CPU, so compute the features once (`feature_cache`).
Wang et al., arXiv:2503.11651.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.files.pth import read_pth, state_of
from motionlab.files.stored import open_safetensors
from motionlab.files.weights import bare_names, check_tensors, headers
from motionlab.vla.backbone.output import Backbone, GeometryOutput, check_images

MODULE = "vggt.models.vggt"
NAMED = 5
_FILES = ("model.safetensors", "model.pt")
_FIX = "Use the weights of VGGT-1B with the code that they were published with."


class RealVGGT(Backbone):
    """A VGGT model with the result of TinyVGGT.

    Args:
        model: the authors' module, with `aggregator`, `camera_head`, `depth_head` and `point_head`.
        size: side in pixels to which images are resized, a multiple of its patch of 14; published: 518.

    Padded views are left out before the model runs: its attention has no mask, and would see them.
    """

    def __init__(self, model: nn.Module, size: int = 518) -> None:
        super().__init__()
        self.model = model
        self.size, self.patch = size, int(self._parts.aggregator.patch_size)
        if size < 1 or size % self.patch:
            raise InputError("size", found=size, expected=f"a multiple of {self.patch}", fix="Published: 518.")
        self.token_dim = 2 * int(self._parts.aggregator.camera_token.shape[-1])
        self.settings = {"model": "vggt", "size": size}

    @property
    def _parts(self) -> Any:
        """The model without its type, which is not known here."""
        return self.model

    def forward(self, images: Tensor, view_mask: Tensor | None = None) -> GeometryOutput:
        """Images `[B, S, 3, H, W]` in [0, 1] of any size; depth and points have `size x size` pixels.

        Raises:
            InputError: other images.
        """
        check_images(images, patch=1)
        if images.shape[-2:] != (self.size, self.size):
            flat = F.interpolate(images.flatten(0, 1), (self.size, self.size), mode="bilinear", antialias=True)
            images = flat.clamp(0, 1).unflatten(0, images.shape[:2])
        if view_mask is None or bool(view_mask.all()):
            return self._run(images)
        whole: dict[str, Any] = {}
        for pattern in view_mask.unique(dim=0):  # [S]
            rows, views = (view_mask == pattern).all(1).nonzero()[:, 0], pattern.nonzero()[:, 0]
            if len(views):
                part = self._run(images[rows][:, views])
                whole = _scatter(whole, part, rows, views, images.shape[:2])
        if not whole:
            raise InputError("view_mask", found="no real view", expected="1 or more", fix="Leave out such rows.")
        return whole  # type: ignore[return-value]

    def _run(self, images: Tensor) -> GeometryOutput:
        # The aggregator alone may have half-precision weights, and its first convolution takes no other numbers; the
        # heads take float32. It runs once: calling the whole model as well would run it twice.
        tokens, start = self._parts.aggregator(images.to(self._parts.aggregator.camera_token.dtype))
        tokens = [layer.float() for layer in tokens]
        with torch.autocast(images.device.type, enabled=False):
            poses = self._parts.camera_head(tokens)
            depth, depth_conf = self._parts.depth_head(tokens, images=images, patch_start_idx=start)
            points, points_conf = self._parts.point_head(tokens, images=images, patch_start_idx=start)
        return {
            "tokens": tokens,
            "patch_start_idx": start,
            "pose_enc": poses[-1],
            "pose_enc_list": list(poses),
            "depth": depth,
            "depth_conf": depth_conf,
            "world_points": points,
            "world_points_conf": points_conf,
        }


def load_real_vggt(folder: str | Path, *, size: int = 518, dtype: torch.dtype = torch.float32) -> RealVGGT:
    """VGGT from a local folder with `model.safetensors` or `model.pt`, frozen and in eval mode.

    Args:
        dtype: of the weights of the aggregator, the largest part; the heads stay float32.

    Raises:
        InputError: no weights there, no importable `vggt`, or weights that are not exactly those of the model.
    """
    path = weights_file(Path(folder))
    model = _new_model()
    state = read_state(path)
    require_keys(state, model, path)
    check_tensors(state, path)
    model.load_state_dict(state)
    model.requires_grad_(False).eval()
    if dtype != torch.float32:
        model.aggregator.to(dtype)
    return RealVGGT(model, size)


def weights_file(folder: Path) -> Path:
    """The file of the weights in a folder; the path of such a file is taken as it is.

    Raises:
        InputError: there is none.
    """
    candidates = [folder] if folder.is_file() else [folder / name for name in _FILES]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise InputError(
            folder, found="no VGGT weights", expected=" or ".join(_FILES),
            fix="Give the local folder that holds them; nothing is downloaded.",
        )  # fmt: skip
    return found


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a file: numbers only, no code of a pickle runs."""
    if path.suffix == ".safetensors":
        return bare_names({name: stored.read() for name, stored in open_safetensors([path]).items()}, path)
    return state_of(read_pth(path), "model", path, fix=_FIX)


def require_keys(state: Mapping[str, Tensor], model: nn.Module, path: Path) -> None:
    """Raise InputError, with the missing and the unexpected keys, unless names and shapes are those of the model."""
    found, expected = headers(state), headers(model.state_dict())
    missing, unknown = ([name for name in a if name not in b] for a, b in ((expected, found), (found, expected)))
    unlike = [
        f"{name} {list(found[name].shape)} instead of {list(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    integers = [name for name, value in state.items() if name in expected and not value.is_floating_point()]
    integers = [name for name in integers if expected[name].dtype.startswith(("float", "bfloat"))]
    faults = {"missing": missing, "unexpected": unknown, "of another shape": unlike, "not floats": integers}
    parts = [f"{len(names)} {word} ({_few(names)})" for word, names in faults.items() if names]
    if parts:
        raise InputError(path, found="; ".join(parts), expected=f"the {len(expected)} tensors of VGGT", fix=_FIX)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _new_model() -> Any:
    try:
        kind = importlib.import_module(MODULE).VGGT
    except (ImportError, AttributeError) as error:
        raise InputError(
            "backbone: vggt",
            found=f"no importable {MODULE}.VGGT",
            expected="the code that the authors of VGGT publish, which has a licence of its own",
            fix="Put it on PYTHONPATH, or choose the backbone tiny_vggt.",
        ) from error
    return kind()


def _scatter(
    whole: dict[str, Any], part: GeometryOutput, rows: Tensor, views: Tensor, shape: torch.Size
) -> dict[str, Any]:
    """Put the results of some rows and views into tensors of all of them, zeros elsewhere."""

    def put(target: Tensor | None, value: Tensor) -> Tensor:
        target = value.new_zeros(*shape, *value.shape[2:]) if target is None else target
        target[rows[:, None], views] = value
        return target

    for name, value in part.items():
        if isinstance(value, list):
            before = whole.get(name) or [None] * len(value)
            whole[name] = [put(old, new) for old, new in zip(before, value, strict=True)]
        elif isinstance(value, Tensor):
            whole[name] = put(whole.get(name), value)
        else:
            whole[name] = value
    return whole
