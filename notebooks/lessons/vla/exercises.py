"""Exercises of lesson 14, "Train a vision-language-action policy": references, and checks that name the mistake."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.teaching.exercise import Exercise, as_number, as_numbers, register


def _shape(value: Any, wanted: tuple[int, ...]) -> str | None:
    """Words about a result that is no tensor (or array) of this shape."""
    found = tuple(value.shape) if isinstance(value, Tensor | np.ndarray) else type(value).__name__
    return None if found == wanted else f"the result should have shape {list(wanted)}, got {found}."


# ---- 1. the mask ----------------------------------------------------------------------------------------------------
def attention_mask(pad: Tensor, att: Tensor) -> Tensor:
    """bool `[B, N, N]`: token i sees token j when j's block is not after i's, and both are real."""
    block = att.long().cumsum(-1).expand_as(pad)  # [B, N]
    allow = block[:, None, :] <= block[:, :, None]  # [B, N, N], row i, column j
    real = pad.bool()
    return allow & real[:, None, :] & real[:, :, None]


def _diagnose_mask(function: Callable[..., Any]) -> str | None:
    pad = torch.tensor([[1, 1, 1, 1, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 0]])
    att = torch.tensor([0, 0, 0, 0, 0, 1, 1, 0])
    result = function(pad.clone(), att.clone())
    if words := _shape(result, (2, 8, 8)):
        return words
    found, right = result.bool(), attention_mask(pad, att)
    if torch.equal(found, right):
        later = torch.tensor([0, 0, 1, 0, 1, 1, 0, 1])
        if not torch.equal(function(pad.clone(), later.clone()).bool(), attention_mask(pad, later)):
            return "right for the pi0 example only: other starts of blocks give other sums."
        return None
    real = pad.bool()
    both = real[:, None, :] & real[:, :, None]
    if torch.equal(found, (att[None, :] <= att[:, None])[None] & both):
        return (
            "that compares the flags themselves: the state (1) sees the actions (1 and 0). The SUM of "
            "the flags numbers the blocks."
        )
    if torch.equal(found, right.transpose(1, 2)):
        return "rows and columns are swapped: row i is the token that looks, column j the one that is seen."
    block = att.cumsum(0).expand_as(pad)
    open_mask = block[:, None, :] <= block[:, :, None]
    if torch.equal(found, open_mask):
        return "padding sees and is seen. Both tokens of a pair have to be real."
    if torch.equal(found, open_mask & real[:, None, :]):
        return (
            "padding still looks (its row is not empty). Harmless if nobody reads it, but whoever "
            "averages over rows does."
        )
    if torch.equal(found, (block[:, None, :] < block[:, :, None]) & both):
        return "tokens of one block see each other, and each token sees itself: <=, not <."
    if torch.equal(found, (block[:, None, :] == block[:, :, None]) & both):
        return "each block sees itself alone; it should see all blocks before it, too."
    row, column = (found ^ right)[0].nonzero()[0].tolist() if not torch.equal(found[0], right[0]) else (-1, -1)
    return (
        f"first example: token {row} and token {column} are wrong."
        if row >= 0
        else "the second row of the batch is wrong."
    )


# ---- 2. freezing ----------------------------------------------------------------------------------------------------
def freeze(model: nn.Module, name: str) -> list[nn.Parameter]:
    """Freeze one child for good; return the parameters for the optimizer."""
    part = getattr(model, name)
    part.requires_grad_(False)
    part.eval()
    part.train = lambda mode=True: part  # model.train() does not reach what is inside
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _pair() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential()
        model.add_module("backbone", nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)))
        model.add_module("head", nn.Linear(4, 1))
    return model


def _diagnose_freeze(function: Callable[..., Any]) -> str | None:
    model: Any = _pair()
    backbone = model.backbone
    given = list(function(model, "backbone"))
    if any(not isinstance(one, nn.Parameter) for one in given):
        return "the result should be a list of parameters, for the optimizer."
    if any(one.requires_grad for one in backbone.parameters()):
        return "the backbone still asks for gradients: requires_grad_(False)."
    if not all(one.requires_grad for one in model.head.parameters()):
        return "the head is frozen as well; only the child that was named should be."
    inside = {id(one) for one in backbone.parameters()}
    if any(id(one) in inside for one in given):
        return "frozen parameters are among those for the optimizer: weight decay would shrink them, gradient or not."
    if {id(one) for one in given} != {id(one) for one in model.head.parameters()}:
        return "the parameters of the head are what the optimizer needs: all of them, each once."
    before = backbone[2].running_mean.clone()
    model.train()
    if not model.training or not model.head.training:
        return "the model around it cannot go into train mode any more; only the frozen part should stay."
    if any(one.training for one in backbone):
        return (
            "model.train() woke it up: dropout acts again, and BatchNorm moves its statistics. Eval mode has to last."
        )
    model(torch.randn(8, 4, generator=torch.Generator().manual_seed(0)))
    return None if torch.equal(before, backbone[2].running_mean) else "a forward pass changed the statistics inside."


# ---- 5. a ragged group ----------------------------------------------------------------------------------------------
def group_loss(errors: Sequence[Tensor], pads: Sequence[Tensor]) -> Tensor:
    """The loss of a group of micro-batches: the mean over all their valid steps, added up one micro-batch at a time."""
    valid = sum(int((~pad).sum()) for pad in pads)
    total = torch.zeros(())
    for error, pad in zip(errors, pads, strict=True):
        total = total + error.masked_fill(pad, 0).sum() / valid
    return total


def _diagnose_group(function: Callable[..., Any]) -> str | None:
    random = torch.Generator().manual_seed(0)
    errors = [torch.rand(rows, 4, generator=random) + rows for rows in (3, 3, 1)]  # the last one is short
    pads = [torch.zeros(rows, 4, dtype=torch.bool) for rows in (3, 3, 1)]
    pads[1][0, 2:] = True
    pads[2][0, 1:] = True
    found = function([one.clone() for one in errors], [one.clone() for one in pads])
    result = as_number(found)
    if result is None or (isinstance(found, Tensor) and found.dim()):
        return "the result should be one number, a tensor without dimensions."
    right = float(group_loss(errors, pads))
    if math.isclose(result, right, rel_tol=1e-5):
        learn = [one.clone().requires_grad_() for one in errors]
        loss = function(learn, pads)
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            return "the number is right, but no gradient comes through: keep it a tensor."
        return None
    means = [error[~pad].mean() for error, pad in zip(errors, pads, strict=True)]
    if math.isclose(result, float(torch.stack(means).mean()), rel_tol=1e-5):
        return "a mean of means: the one valid step of the last micro-batch counts as much as twelve of the first."
    if math.isclose(result, float(torch.cat([one.flatten() for one in errors]).mean()), rel_tol=1e-5):
        return "padded steps are in the mean: the repeated last action of an episode would be learned many times."
    whole = sum(float(error.masked_fill(pad, 0).sum()) for error, pad in zip(errors, pads, strict=True))
    if math.isclose(result, whole / sum(one.numel() for one in errors), rel_tol=1e-5):
        return "the sum leaves padding out, the divisor does not: divide by the number of VALID steps."
    if math.isclose(result, whole / (len(errors) * errors[0].numel()), rel_tol=1e-5):
        return "divided as if every micro-batch were full: the last group of an epoch would take a smaller step."
    if math.isclose(result, float(sum(means)), rel_tol=1e-5):
        return "that adds up means: with twice as many micro-batches the step would be twice as large."
    return f"expected {right:.4f}, got {result:.4f}."


# ---- 4. the gripper -------------------------------------------------------------------------------------------------
def gripper(logit: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of a logit against labels -1 (open) and +1 (close), and the command that is sent."""
    loss = F.binary_cross_entropy_with_logits(logit, (label + 1) / 2)
    return loss, torch.where(logit > 0, 1.0, -1.0)


def _diagnose_gripper(function: Callable[..., Any]) -> str | None:
    logit = torch.tensor([[3.0], [-2.0], [0.5], [-0.25]])
    label = torch.tensor([[1.0], [-1.0], [-1.0], [-1.0]])
    result = function(logit.clone(), label.clone())
    if not isinstance(result, tuple | list) or len(result) != 2:
        return "two things are asked for: the loss, and the command."
    loss, command = as_number(result[0]), result[1]
    if loss is None:
        return "the loss should be one number."
    if words := _shape(command, (4, 1)):
        return "command: " + words
    sigmoid = torch.sigmoid(logit)
    if math.isclose(loss, float((sigmoid - label).abs().mean()), rel_tol=1e-5):
        return (
            "a sigmoid never reaches -1: at its best this loss is still the share of open labels. Bring "
            "labels and output to one range."
        )
    if math.isclose(loss, float(F.binary_cross_entropy_with_logits(logit, label)), rel_tol=1e-5):
        return (
            "cross-entropy wants 0 and 1: with -1 it can be made as small as you like by an ever larger "
            "logit. (label + 1) / 2."
        )
    if not math.isclose(loss, float(gripper(logit, label)[0]), rel_tol=1e-5):
        return f"the cross-entropy is {float(gripper(logit, label)[0]):.4f}, got {loss:.4f}."
    if torch.equal(command, torch.where(logit > 0, 1.0, -1.0)):
        return None
    if torch.allclose(command, sigmoid):
        return "a command between 0 and 1 never opens the hand: the controller reads its sign."
    if bool((command == 1).all()):
        return "every command closes: a sigmoid is always above 0. Compare the logit with 0, or the sigmoid with 0.5."
    if torch.equal(command, (logit > 0).float()):
        return "0 is no command to open; -1 is."
    if torch.equal(command, torch.where(logit > 0, -1.0, 1.0)):
        return "the sign is inverted: it would let go of what it should hold."
    return f"the commands should be 1, -1, 1, -1, got {[round(v, 3) for v in command.flatten().tolist()]}."


# ---- 3. how sure is a success rate? ---------------------------------------------------------------------------------
def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of `right` successes in `n` episodes."""
    z = 1.96
    share = right / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _wald(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    share = right / n
    half = z * math.sqrt(share * (1 - share) / n)
    return share - half, share + half


def _middle_not_divided(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    share = right / n
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return share + z**2 / (2 * n) - half, share + z**2 / (2 * n) + half


def _diagnose_wilson(function: Callable[..., Any]) -> str | None:
    cases = ((7, 10), (40, 60), (0, 15), (20, 20))
    found = [as_numbers(function(*case)) for case in cases]
    if any(one is None or len(one) != 2 for one in found):
        return "two numbers are asked for: the lower and the upper end."
    ends = [tuple(one) for one in found if one is not None]

    def like(other: Callable[[int, int], tuple[float, float]]) -> bool:
        return all(
            math.isclose(a, b, abs_tol=2e-3)
            for one, case in zip(ends, cases, strict=True)
            for a, b in zip(one, other(*case), strict=True)
        )

    if like(wilson):
        return None
    clipped = [_wald(*case) for case in cases]
    if like(_wald) or like(lambda right, n: (max(0.0, _wald(right, n)[0]), min(1.0, _wald(right, n)[1]))):
        return (
            f"share +- 1.96 standard errors: 0 of 15 would give {clipped[2][0]:.0f} to "
            f"{clipped[2][1]:.0f}, as if nobody could ever succeed."
        )
    if like(lambda right, n: (100 * wilson(right, n)[0], 100 * wilson(right, n)[1])):
        return "shares are wanted, from 0 to 1, not percent."
    if like(lambda right, n: tuple(reversed(wilson(right, n)))):  # type: ignore[arg-type,return-value]
        return "the lower end comes first."
    if like(_middle_not_divided):
        return "the middle is not divided by 1 + z^2 / n: the fraction line runs below both parts."
    for (low, high), (right, n) in zip(ends, cases, strict=True):
        if not low - 1e-9 <= right / n <= high + 1e-9:
            return f"the interval has to hold the share itself: for {right} of {n} it is {low:.3f} to {high:.3f}."
    low, high = wilson(7, 10)
    return f"7 of 10 should give {low:.3f} to {high:.3f}, got {ends[0][0]:.3f} to {ends[0][1]:.3f}. (z is 1.96.)"


# ---- 6. from depth to places ----------------------------------------------------------------------------------------
def unproject(depth: np.ndarray, K: np.ndarray, world_from_camera: np.ndarray) -> np.ndarray:
    """World points `[H, W, 3]` of a depth picture; the middle of row i, column j is at x = j + 0.5, y = i + 0.5."""
    rows, columns = np.indices(depth.shape) + 0.5
    x = (columns - K[0, 2]) / K[0, 0] * depth
    y = (rows - K[1, 2]) / K[1, 1] * depth
    points = np.stack([x, y, depth], axis=-1)
    return np.asarray(points @ world_from_camera[:3, :3].T + world_from_camera[:3, 3])


def _diagnose_unproject(function: Callable[..., Any]) -> str | None:
    depth = np.linspace(0.4, 1.1, 24).reshape(4, 6)
    K = np.array([[5.0, 0, 3.0], [0, 4.0, 2.0], [0, 0, 1]])
    c, s = math.cos(0.5), math.sin(0.5)
    pose = np.array([[c, -s, 0, 0.3], [s * 0.6, c * 0.6, -0.8, -0.2], [s * 0.8, c * 0.8, 0.6, 0.5], [0, 0, 0, 1]])
    result = function(depth.copy(), K.copy(), pose.copy())
    if words := _shape(result, (4, 6, 3)):
        return words
    found = np.asarray(result, dtype=np.float64)

    def like(other: np.ndarray) -> bool:
        return bool(np.allclose(found, other, atol=1e-5))

    right = unproject(depth, K, pose)
    if like(right):
        return None
    shifted = K.copy()
    shifted[:2, 2] += 0.5
    if like(unproject(depth, shifted, pose)):
        return "half a pixel off: the middle of the first pixel is at 0.5, not at 0."
    rows, columns = np.indices(depth.shape) + 0.5
    rays = np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones_like(depth)], axis=-1)
    far = rays / np.linalg.norm(rays, axis=-1, keepdims=True) * depth[..., None]
    if like(far @ pose[:3, :3].T + pose[:3, 3]):
        return "depth is the distance along the camera's z axis, not along the ray: do not make the ray's length 1."
    local = rays * depth[..., None]
    if like(local):
        return "these are points in the frame of the camera; move them into the world."
    if like(local @ pose[:3, :3].T - pose[:3, 3]) or like((local - pose[:3, 3]) @ pose[:3, :3]):
        return "this is the way from the world into the camera. The matrix is world_from_camera: turn, then add."
    if like(local @ pose[:3, :3] + pose[:3, 3]):
        return "points are rows here: multiply by the transposed rotation."
    other = np.stack([(rows - K[0, 2]) / K[0, 0] * depth, (columns - K[1, 2]) / K[1, 1] * depth, depth], axis=-1)
    if like(other @ pose[:3, :3].T + pose[:3, 3]):
        return "x and y are swapped: x counts columns, y counts rows."
    i, j = np.unravel_index(int(np.abs(found - right).sum(-1).argmax()), depth.shape)
    wanted = ", ".join(f"{v:.3f}" for v in right[i, j])
    return f"pixel ({i}, {j}) should be at {wanted}, got {', '.join(f'{v:.3f}' for v in found[i, j])}."


EXERCISES = register(
    Exercise(
        "vla.attention_mask",
        attention_mask,
        _diagnose_mask,
        "Two lists of flags and one sum: every mask of this family comes out of it.",
        (
            "att marks where a block STARTS. Number the blocks first.",
            "block = att.cumsum(-1); then block of the column <= block of the row, and both real.",
        ),
        form="pad [B, N] of 0 and 1, att [N] of 0 and 1 -> bool [B, N, N], row: who looks",
    ),
    Exercise(
        "vla.freeze",
        freeze,
        _diagnose_freeze,
        "No gradient, no dropout, no optimizer entry: now it is frozen.",
        (
            "Three things: requires_grad_, eval mode that lasts, and the right list for the optimizer.",
            "model.train() calls part.train(True). Replace part.train by something that does nothing.",
        ),
        form="model: Module, name of a child -> list of Parameters for the optimizer",
    ),
    Exercise(
        "vla.group_loss",
        group_loss,
        _diagnose_group,
        "However a batch is cut into micro-batches, the step is the same.",
        (
            "A mean over what? Over the valid steps of the whole group.",
            "Count the valid steps of all micro-batches first; then each adds its sum, divided by that count.",
        ),
        form="errors: list of [B_i, T], pads: list of bool [B_i, T], True on padding -> scalar tensor",
    ),
    Exercise(
        "vla.gripper",
        gripper,
        _diagnose_gripper,
        "Labels and output speak one language, and so do output and controller.",
        (
            "F.binary_cross_entropy_with_logits wants labels 0 and 1.",
            "The command is the sign of the logit.",
        ),
        form="logit [B, 1], label [B, 1] of -1 and +1 -> (scalar loss, command [B, 1] of -1 and +1)",
    ),
    Exercise(
        "vla.wilson",
        wilson,
        _diagnose_wilson,
        "It does not promise that what failed 15 times can never work.",
        (
            "z = 1.96. The middle is pulled towards one half: (p + z^2 / 2n) / (1 + z^2 / n).",
            "Half its width: z sqrt(p (1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n).",
        ),
        form="right: int, n: int -> (low, high), shares",
    ),
    Exercise(
        "vla.unproject",
        unproject,
        _diagnose_unproject,
        "A depth picture and a camera are places in the room.",
        (
            "x = (column + 0.5 - cx) / fx * depth, and y with rows.",
            "Then points @ R.T + t with the rotation and the place in world_from_camera.",
        ),
        form="depth [H, W], K [3, 3], world_from_camera [4, 4], all numpy -> [H, W, 3]",
    ),
)
