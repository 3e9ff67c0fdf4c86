"""Leaving parts of a model as they are: no gradient, no dropout, no moving statistics.

`requires_grad = False` is not enough: in train mode a frozen part still drops out, and a codebook or a batch norm
still updates its buffers. So a frozen part also stays in eval mode, whatever `model.train()` says later.
Where nothing before it trains either, torch builds no graph and keeps no activation, as under `no_grad`; where
something does, gradients pass through it.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Sequence

from torch import nn

from motionlab.errors import InputError


def freeze(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Freeze the modules and parameters whose names match (`encoder`, `*.norm*`, `blocks.[01]`); return their names.

    A pattern that names a module freezes all within it. Call it before the optimizer is made.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    >>> freeze(model, ["0"]), [name for name, value in model.named_parameters() if value.requires_grad]
    (['0'], ['1.weight', '1.bias'])

    Raises:
        InputError: a pattern that matches nothing; the names of the parts are listed.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    parameters = dict(model.named_parameters())
    frozen = _matching(model, patterns)
    for name in frozen:
        if name in modules:
            modules[name].requires_grad_(False)
            _stay_in_eval(modules[name])
        else:
            parameters[name].requires_grad_(False)
    return frozen


def check_freeze(model: nn.Module, patterns: Sequence[str], where: str) -> None:
    """Refuse patterns that match nothing or leave nothing to train, before any work; the model stays as it is.

    Args:
        where: the setting that holds the patterns, for the message.

    Raises:
        InputError: the first such pattern, and the names of the parts; or all of them.
    """
    frozen = set(_matching(model, patterns, where))
    left = (name for name, value in model.named_parameters() if value.requires_grad and not _within(name, frozen))
    if frozen and next(left, None) is None:
        raise InputError(where, found=", ".join(patterns), expected="a part that is left to train", fix="Remove one.")


def _within(name: str, frozen: set[str]) -> bool:
    """Whether a parameter, or a module that holds it, is among the frozen names."""
    parts = name.split(".")
    return any(".".join(parts[:end]) in frozen for end in range(1, len(parts) + 1))


def _matching(model: nn.Module, patterns: Sequence[str], where: str = "freeze") -> list[str]:
    """The modules and parameters whose names match, each once."""
    known = [*(name for name, _ in model.named_modules() if name), *(name for name, _ in model.named_parameters())]
    found: list[str] = []
    for pattern in patterns:
        names = fnmatch.filter(known, pattern)
        if not names:
            raise InputError(
                where,
                found=repr(pattern),
                expected="a pattern of " + ", ".join(name for name, _ in model.named_children()),
                fix="Name a module or a parameter; * matches anything.",
            )
        found += [name for name in names if name not in found]
    return found


def trainable_table(model: nn.Module) -> str:
    """How many numbers of each part are trained, as text.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)); _ = freeze(model, ["0"])
    >>> print(trainable_table(model))
    part        total   trained    frozen
    0               9         0         9
    1               4         4         0
    all            13         4         9
    """
    counts: dict[str, list[int]] = {}
    for name, parameter in model.named_parameters():
        row = counts.setdefault(name.split(".")[0], [0, 0])
        row[0] += parameter.numel()
        row[1] += parameter.numel() * parameter.requires_grad
    counts["all"] = [sum(row[0] for row in counts.values()), sum(row[1] for row in counts.values())]
    width = max(8, *(len(name) for name in counts))
    lines = [f"{'part':<{width}} {'total':>8}  {'trained':>8}  {'frozen':>8}"]
    lines += [f"{name:<{width}} {all_:>8}  {own:>8}  {all_ - own:>8}" for name, (all_, own) in counts.items()]
    return "\n".join(lines)


def _stay_in_eval(module: nn.Module) -> None:
    """Eval mode for good: `train()` on the model passes this part by."""
    for part in module.modules():
        part.eval()
        part.train = functools.partial(_unchanged, part)  # type: ignore[method-assign]


def _unchanged(part: nn.Module, mode: bool = True) -> nn.Module:
    return part
