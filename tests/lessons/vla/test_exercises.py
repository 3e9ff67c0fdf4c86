"""The checks of lesson 14: the reference passes, and each typical mistake gets the message that names it."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from lessons.vla.exercises import attention_mask, freeze, gripper, group_loss, unproject, wilson
from motionlab.evaluation.intervals import wilson as package_wilson
from motionlab.llama.masks import make_att_2d_masks
from motionlab.vla.actions import Actions, ActionTargets, action_losses
from motionlab.vla.table_lab.cameras import cameras
from motionlab.vla.table_lab.cameras import unproject as package_unproject


def _raw(pad, att):
    real = pad.bool()
    return (att[None, :] <= att[:, None])[None] & real[:, None, :] & real[:, :, None]


def _block(pad, att):
    return att.cumsum(0).expand_as(pad)


MASK_MUTANTS = {
    "raw flags": (_raw, "The SUM of the flags"),
    "transposed": (lambda pad, att: attention_mask(pad, att).transpose(1, 2), "rows and columns are swapped"),
    "no padding": (lambda pad, att: _block(pad, att)[:, None] <= _block(pad, att)[:, :, None], "padding sees"),
    "columns only": (
        lambda pad, att: (_block(pad, att)[:, None] <= _block(pad, att)[:, :, None]) & pad.bool()[:, None],
        "padding still looks",
    ),
    "not itself": (
        lambda pad, att: (_block(pad, att)[:, None] < _block(pad, att)[:, :, None]) & _raw(pad, 0 * att),
        "<=, not <",
    ),
    "own block": (
        lambda pad, att: (_block(pad, att)[:, None] == _block(pad, att)[:, :, None]) & _raw(pad, 0 * att),
        "all blocks before it",
    ),
    "the example": (
        lambda pad, att: attention_mask(pad, torch.tensor([0, 0, 0, 0, 0, 1, 1, 0])),
        "other starts of blocks",
    ),
    "list": (lambda pad, att: [1], "shape [2, 8, 8]"),
}


def _gradients_only(model, name):
    getattr(model, name).requires_grad_(False)
    return [p for p in model.parameters() if p.requires_grad]


def _all_parameters(model, name):
    freeze(model, name)
    return list(model.parameters())


def _everything(model, name):
    model.requires_grad_(False)
    return []


def _eval_only(model, name):
    getattr(model, name).eval()
    return [p for p in model.parameters() if p.requires_grad]


def _eval_once(model, name):
    getattr(model, name).requires_grad_(False).eval()
    return [p for p in model.parameters() if p.requires_grad]


FREEZE_MUTANTS = {
    "gradients only": (_gradients_only, "model.train() woke it up"),
    "eval once": (_eval_once, "model.train() woke it up"),
    "all parameters": (_all_parameters, "weight decay"),
    "everything": (_everything, "the head is frozen"),
    "eval only": (_eval_only, "asks for gradients"),
    "names": (lambda model, name: ["head.weight"], "a list of parameters"),
}


def _sums(errors, pads):
    return [error.masked_fill(pad, 0).sum() for error, pad in zip(errors, pads, strict=True)]


GROUP_MUTANTS = {
    "mean of means": (
        lambda errors, pads: torch.stack([e[~p].mean() for e, p in zip(errors, pads, strict=True)]).mean(),
        "a mean of means",
    ),
    "sum of means": (
        lambda errors, pads: sum(e[~p].mean() for e, p in zip(errors, pads, strict=True)),
        "adds up means",
    ),
    "padding counts": (lambda errors, pads: torch.cat([e.flatten() for e in errors]).mean(), "padded steps are in"),
    "divisor": (lambda errors, pads: sum(_sums(errors, pads)) / sum(e.numel() for e in errors), "VALID steps"),
    "as if full": (
        lambda errors, pads: sum(_sums(errors, pads)) / (len(errors) * errors[0].numel()),
        "every micro-batch were full",
    ),
    "float": (lambda errors, pads: float(group_loss(errors, pads).detach()), "keep it a tensor"),
}

GRIPPER_MUTANTS = {
    "sigmoid, L1": (
        lambda logit, label: ((torch.sigmoid(logit) - label).abs().mean(), gripper(logit, label)[1]),
        "never reaches -1",
    ),
    "raw labels": (
        lambda logit, label: (F.binary_cross_entropy_with_logits(logit, label), gripper(logit, label)[1]),
        "wants 0 and 1",
    ),
    "sigmoid sent": (lambda logit, label: (gripper(logit, label)[0], torch.sigmoid(logit)), "never opens"),
    "sigmoid above 0": (
        lambda logit, label: (gripper(logit, label)[0], torch.where(torch.sigmoid(logit) > 0, 1.0, -1.0)),
        "every command closes",
    ),
    "0 and 1": (lambda logit, label: (gripper(logit, label)[0], (logit > 0).float()), "0 is no command"),
    "inverted": (lambda logit, label: (gripper(logit, label)[0], -gripper(logit, label)[1]), "the sign is inverted"),
    "loss alone": (lambda logit, label: gripper(logit, label)[0], "two things"),
}


def _wald(right, n):
    p = right / n
    half = 1.96 * math.sqrt(p * (1 - p) / n)
    return p - half, p + half


def _middle(right, n):
    """Half the width is divided by 1 + z^2 / n, and the middle is not."""
    low, high = wilson(right, n)
    middle, half = (low + high) / 2 * (1 + 1.96**2 / n), (high - low) / 2
    return middle - half, middle + half


WILSON_MUTANTS = {
    "standard error": (_wald, "nobody could ever succeed"),
    "clipped": (lambda r, n: (max(0.0, _wald(r, n)[0]), min(1.0, _wald(r, n)[1])), "nobody could ever succeed"),
    "percent": (lambda r, n: tuple(100 * v for v in wilson(r, n)), "not percent"),
    "order": (lambda r, n: wilson(r, n)[::-1], "lower end comes first"),
    "share": (lambda r, n: r / n, "two numbers"),
    "always": (lambda r, n: (0.0, 1.0), "7 of 10 should give"),
    "middle": (_middle, "below both parts"),
    "too high": (lambda r, n: (0.01, 0.2) if r == 0 else wilson(r, n), "for 0 of 15"),
}


def _along_the_ray(depth, K, pose):
    rows, columns = np.indices(depth.shape) + 0.5
    rays = np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones_like(depth)], -1)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    return (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]


def _moved(K, by):
    K = K.copy()
    K[:2, 2] += by
    return K


UNPROJECT_MUTANTS = {
    "corners": (lambda depth, K, pose: unproject(depth, _moved(K, 0.5), pose), "half a pixel"),
    "along the ray": (_along_the_ray, "not along the ray"),
    "camera frame": (lambda depth, K, pose: unproject(depth, K, np.eye(4)), "move them into the world"),
    "inverse": (lambda depth, K, pose: unproject(depth, K, np.linalg.inv(pose)), "from the world into the camera"),
    "columns": (
        lambda depth, K, pose: unproject(depth, K, np.eye(4)) @ pose[:3, :3] + pose[:3, 3],
        "transposed rotation",
    ),
    "points in a row": (lambda depth, K, pose: unproject(depth, K, pose).reshape(-1, 3), "shape [4, 6, 3]"),
}


def test_each_typical_mistake_gets_its_message(missed_mistakes):
    mutants = {
        "vla.attention_mask": MASK_MUTANTS,
        "vla.freeze": FREEZE_MUTANTS,
        "vla.group_loss": GROUP_MUTANTS,
        "vla.gripper": GRIPPER_MUTANTS,
        "vla.wilson": WILSON_MUTANTS,
        "vla.unproject": UNPROJECT_MUTANTS,
    }
    assert missed_mistakes(mutants) == {}


def test_references_equal_the_package():
    random = torch.Generator().manual_seed(1)
    pad = torch.rand(3, 9, generator=random) > 0.3
    att = torch.rand(9, generator=random) > 0.5
    assert torch.equal(attention_mask(pad, att), make_att_2d_masks(pad, att.long()))
    found = package_wilson(40, 60)
    assert np.allclose(wilson(40, 60), (found.low, found.high))
    camera = cameras(8, np.array([0.1, 0.0, 0.2]), 0.3)["eye_in_hand"]
    depth = np.linspace(0.1, 0.4, 64).reshape(8, 8)
    assert np.allclose(unproject(depth, camera.K, camera.world_from_camera), package_unproject(depth, camera))
    logit, label = torch.randn(5, 2, 1, generator=random), torch.ones(5, 2, 1)
    whole = ActionTargets(torch.zeros(5, 2, 6), label, torch.zeros(5, 2, dtype=torch.bool))
    losses = action_losses(Actions(torch.zeros(5, 2, 6), logit), whole, gripper_loss="bce")
    assert torch.allclose(gripper(logit, label)[0], losses.gripper)
    assert torch.equal(gripper(logit, label)[1], Actions(torch.zeros(5, 2, 6), logit).closes())
