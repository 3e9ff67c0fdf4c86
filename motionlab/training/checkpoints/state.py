"""Everything that a run must remember to continue as if it had never stopped.

| part | why |
|---|---|
| weights, buffers | the model; buffers hold the codebook of a VQ-VAE |
| AdamW's two moments and step counts | without them the first resumed steps jump |
| loss scale of fp16 | a fresh 65536 would skip steps until it has fallen again |
| step, micro-step | the learning rate and the place in the data are functions of these two numbers |
| random generators | dropout and code resets |
| window of the meter | the next history row averages over steps before the stop |
| averaged weights | they remember thousands of steps |
| validations without a better one, recent losses | the run would stop at another step |
| constants (the normaliser) | weights mean nothing without the scale of their inputs |
"""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Annotated, Any

import msgspec
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.files.reading import refusing
from motionlab.training.checkpoints.checkpoint import RESTORE, model_tensors
from motionlab.training.checkpoints.rng import check_rng_state, rng_state, set_rng_state
from motionlab.training.checkpoints.tensor_files import first_differences, load_into
from motionlab.training.distributed import World
from motionlab.training.ema import AveragedWeights

# Changing these would make the stored place in the data, or the stored loss scale, mean something else.
FIXED_SETTINGS = ("batch_size", "grad_accum_steps", "precision", "seed", "world_size")


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
    since_best: int = 0  # validations since the best one
    pieces: int = 1  # what each micro-batch is cut into because memory was short
    losses: dict[str, Any] = field(default_factory=dict)  # of the last steps, to see whether they rise
    split: dict[str, float] = field(default_factory=dict)  # seconds of each phase of the training


@dataclass
class ScalerState:
    """The numbers with which `torch.amp.GradScaler` continues; it has none when fp16 is not in use."""

    scale: Annotated[float, msgspec.Meta(gt=0)]
    growth_factor: Annotated[float, msgspec.Meta(gt=1)]
    backoff_factor: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    growth_interval: Annotated[int, msgspec.Meta(ge=1)]
    _growth_tracker: Annotated[int, msgspec.Meta(ge=0)]


@dataclass
class Record:
    """The part of a checkpoint's JSON that says how to continue, with the types that reading requires."""

    counters: Counters
    settings: dict[str, Any]
    architecture: dict[str, Any]
    scaler: dict[str, int | float]
    rng: dict[str, Any]


def pack(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    counters: Counters,
    settings: object,
    architecture: Mapping[str, Any],
    averaged: AveragedWeights | None = None,
    constants: Mapping[str, torch.Tensor] | None = None,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the JSON record of a checkpoint."""
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    tensors |= optimizer_tensors(model, optimizer)
    tensors |= {f"ema.{key}": value for key, value in (averaged.averages if averaged else {}).items()}
    tensors |= {f"constant.{key}": value for key, value in (constants or {}).items()}
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
    *,
    averaged: AveragedWeights | None = None,
    constants: Mapping[str, torch.Tensor] | None = None,
    note: Callable[[str], None] = print,
) -> Counters:
    """Put a checkpoint back into model, optimizer, scaler and random generators.

    Everything is checked before anything is changed. Settings outside `FIXED_SETTINGS` may differ, and the new ones
    hold: more `steps`, another `lr`. With `resume_changed: same_place` the fixed ones may differ too, and the run
    continues after as many items as it has read; `note` is told.

    Raises:
        InputError: another architecture (first differing keys and shapes named), a fixed setting or a constant that
            differs, or a record with a field that is missing or of another kind.
    """
    with refusing(where, expected="the record of a checkpoint", fix=RESTORE):
        parsed = msgspec.convert(dict(record), Record)
        check_rng_state(parsed.rng)
        if parsed.scaler:
            msgspec.convert(parsed.scaler, ScalerState)
    stored, present = parsed.settings, _as_dict(settings)
    changed = first_differences(
        {key: stored.get(key, 1) for key in FIXED_SETTINGS}, {key: present.get(key) for key in FIXED_SETTINGS}
    )
    if changed and present.get("resume_changed") != "same_place":
        raise InputError(
            where,
            found=changed,
            expected="the settings that the run began with",
            fix="Set them back, start a new run, or continue after as many items with resume_changed=same_place.",
        )
    # Some settings leave no trace in the shapes: the number of heads, for one.
    difference = first_differences(parsed.architecture, _json_like(architecture))
    if difference:
        raise InputError(
            where,
            found=f"another architecture: {difference}",
            expected="the architecture that the run began with",
            fix="Set it back, or start a new run.",
        )
    _require_constants(tensors, constants or {}, where)
    load_into(model, model_tensors(tensors), where)
    _load_optimizer(model, optimizer, tensors, where)
    if parsed.scaler and scaler.is_enabled():
        scaler.load_state_dict(parsed.scaler)
    if averaged is not None:
        averages = {name: tensors.get(f"ema.{name}") for name in averaged.averages}
        averaged.load({name: tensors[f"model.{name}"] if value is None else value for name, value in averages.items()})
    set_rng_state(parsed.rng)
    counters = parsed.counters
    if changed:
        per_step = present["grad_accum_steps"] * present["world_size"]  # a step begins where its first row begins
        rows = counters.micro_step * stored["batch_size"]
        counters.micro_step = -(-rows // (present["batch_size"] * per_step)) * per_step
        note(f"resumed with {changed}: from micro-batch {counters.micro_step}, so a clip may be seen twice or left out")
    return counters


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

    A file holds numbers in the order of the shape. A parameter may differ (channels last, or transposed), and
    fused AdamW walks through parameter and moments in memory order: with two orders it would silently pair each
    weight with the moment of another one.
    """
    if parameter is None or value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype, device=value.device, requires_grad=False).copy_(value)


def _require_constants(
    tensors: Mapping[str, torch.Tensor], constants: Mapping[str, torch.Tensor], where: object
) -> None:
    for name, value in constants.items():
        stored = tensors.get(f"constant.{name}")
        if stored is not None and not (stored.shape == value.shape and torch.equal(stored, value.cpu())):
            raise InputError(
                where,
                found=f"another {name}",
                expected=f"the {name} that the run began with",
                fix="Use the same data, or start a new run: the weights fit the old one only.",
            )


def _as_dict(settings: object) -> dict[str, Any]:
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        raise TypeError("settings must be a dataclass such as TrainConfig")
    return {**dataclasses.asdict(settings), "world_size": World.current().size}


def _json_like(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples as lists, as they come back from JSON."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
