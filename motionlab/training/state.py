"""Everything that a run must remember to go on as if it had never stopped.

| part | why |
|---|---|
| weights, buffers | the model; buffers hold the codebook of a VQ-VAE |
| AdamW's two moments and step counts | without them the first resumed steps jump |
| loss scale of fp16 | a fresh 65536 would skip steps until it has fallen again |
| step, micro-step | the learning rate and the place in the data are functions of these two numbers |
| random generators | dropout and code resets |
| window of the meter | the next history row averages over steps before the stop |
"""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.training.checkpoint import model_tensors
from motionlab.training.rng import rng_state, set_rng_state
from motionlab.training.weights import first_differences, load_into

# Changing these would make the stored place in the data, or the stored loss scale, mean something else.
FIXED_SETTINGS = ("batch_size", "grad_accum_steps", "precision", "seed")


@dataclass
class Counters:
    """The numbers of a run that change."""

    step: int = 0  # optimizer steps that changed the weights
    micro_step: int = 0  # micro-batches read, skipped steps included: the place in the data
    skipped: int = 0  # fp16 steps skipped because of inf gradients
    skipped_in_a_row: int = 0
    items: int = 0  # items trained on
    seconds: float = 0.0  # time in training steps, without validation and saving
    best: float | None = None  # best value of the watched metric
    best_step: int | None = None
    window: dict[str, Any] = field(default_factory=dict)  # the meter since the last history row


def pack(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    counters: Counters,
    settings: object,
    architecture: Mapping[str, Any],
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the JSON record of a checkpoint."""
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    tensors |= optimizer_tensors(model, optimizer)
    record = {
        "counters": dataclasses.asdict(counters),
        "settings": _as_dict(settings),
        "architecture": dict(architecture),
        "scaler": scaler.state_dict(),
        "rng": rng_state(),
        "versions": dict(versions()),
    }
    return tensors, record


def unpack(
    tensors: Mapping[str, torch.Tensor],
    record: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    settings: object,
    architecture: Mapping[str, Any],
    where: object,
) -> Counters:
    """Put a checkpoint back into model, optimizer, scaler and random generators.

    Everything is checked before anything is changed. Settings outside `FIXED_SETTINGS` may differ, and the new ones
    hold: more `steps`, another `lr`.

    Raises:
        InputError: another architecture (first differing keys and shapes named), or a fixed setting that differs.
    """
    stored_settings = record["settings"]
    present_settings = _as_dict(settings)
    changed = first_differences(
        {key: stored_settings.get(key) for key in FIXED_SETTINGS},
        {key: present_settings.get(key) for key in FIXED_SETTINGS},
    )
    if changed:
        raise InputError(
            where,
            found=changed,
            expected="the settings that the run began with",
            fix="Set them back, or start a new run.",
        )
    # Some settings leave no trace in the shapes: the number of heads, for one.
    difference = first_differences(record["architecture"], _json_like(architecture))
    if difference:
        raise InputError(
            where,
            found=f"another architecture: {difference}",
            expected="the architecture that the run began with",
            fix="Set it back, or start a new run.",
        )
    load_into(model, model_tensors(tensors), where)
    _load_optimizer(model, optimizer, tensors, where)
    if record["scaler"]:
        scaler.load_state_dict(record["scaler"])
    set_rng_state(record["rng"])
    return Counters(**record["counters"])


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state with one flat name for each tensor: `optimizer.<parameter>:<slot>`.

    torch numbers the parameters; names survive a change of the grouping and can be read by a person.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"optimizer.{names[id(parameter)]}:{slot}": torch.as_tensor(value)
        for parameter, state in optimizer.state.items()
        for slot, value in state.items()
    }


@functools.cache
def versions() -> dict[str, str]:
    """Versions of what can change the numbers of a run."""
    result = {"python": platform.python_version()}
    for package in ("motionlab", "torch", "numpy", "safetensors"):
        try:
            result[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from a checkout that was never installed
            result[package] = "not installed"
    return result


def _load_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor], where: object
) -> None:
    by_name: dict[str, dict[str, torch.Tensor]] = {}
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            name, slot = key.removeprefix("optimizer.").rsplit(":", 1)
            by_name.setdefault(name, {})[slot] = _laid_out_as(parameters.get(name), value)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    order = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    unknown = sorted(set(by_name) - set(order))
    if unknown:
        raise InputError(
            where,
            found=f"optimizer state for {unknown[0]}",
            expected="state for trainable parameters only",
            fix="Freeze the same parts as when the run began, or start a new run.",
        )
    state = {index: by_name[name] for index, name in enumerate(order) if name in by_name}
    groups = optimizer.state_dict()["param_groups"]  # learning rate and decay come from the settings, not the file
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _laid_out_as(parameter: torch.Tensor | None, value: torch.Tensor) -> torch.Tensor:
    """The moment `value` in the memory order of its parameter.

    A file holds numbers in the order of the shape. A parameter may lie otherwise (channels last, or transposed), and
    fused AdamW walks through parameter and moments side by side in memory: with two orders it would silently pair each
    weight with the moment of another one.
    """
    if parameter is None or value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype, device=value.device, requires_grad=False).copy_(value)


def _as_dict(settings: object) -> dict[str, Any]:
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        raise TypeError("settings must be a dataclass such as TrainConfig")
    return dataclasses.asdict(settings)


def _json_like(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples as lists, as they come back from JSON."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
