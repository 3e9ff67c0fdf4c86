"""Freezing a part of a model, done whole, and a table of what is trained.

Four things make a part frozen, and each is forgotten in some published training code: its parameters want no gradient;
it stays in eval mode when the model around it is put into train mode (dropout and batch statistics would continue to
act); no activations are kept for a backward pass that will not come; and the optimizer has no entry for it (Adam would
keep two more numbers for each weight, and weight decay would shrink what has no gradient).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn


class Frozen(nn.Module):
    """A module whose weights no training changes. Calling it calls the module, without gradients.

    Right only where nothing before it is trained: gradients do not pass through.

    Args:
        module: is changed in place.
        saved: whether a checkpoint holds its weights. False for gigabytes that lie in a file of their own; the
            checkpoint should hold their digest then (`saved.weights_digest`).

    >>> model = nn.Sequential(Frozen(nn.Sequential(nn.Linear(2, 2), nn.Dropout())), nn.Linear(2, 1)).train()
    >>> model[0].inner.training, model[1].training, [p.requires_grad for p in model.parameters()]
    (False, True, [False, False, True, True])
    """

    def __init__(self, module: nn.Module, *, saved: bool = True) -> None:
        super().__init__()
        self.inner, self.saved = module.requires_grad_(False).eval(), saved
        if not saved:
            self.register_load_state_dict_post_hook(_miss_nothing)

    def train(self, mode: bool = True) -> Frozen:
        """Its own flag follows; the module inside stays in eval mode."""
        super().train(mode)
        self.inner.eval()
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """That of any module, or nothing; called by the `state_dict` of the model around it as well."""
        if self.saved:
            return super().state_dict(*args, **kwargs)
        return kwargs.get("destination") if kwargs.get("destination") is not None else {}

    @torch.no_grad()  # not inference_mode: its tensors cannot be saved for the backward pass of what follows
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner(*args, **kwargs)


def _miss_nothing(module: nn.Module, keys: Any) -> None:
    """Loading a checkpoint without these weights is no fault; `keys` are those of the whole model."""
    own = module.inner.state_dict()  # type: ignore[union-attr]
    keys.missing_keys[:] = [key for key in keys.missing_keys if key.rpartition("inner.")[2] not in own]


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters for the optimizer and for clipping: those that want a gradient, each once."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


class PartRow(NamedTuple):
    """Numbers in one part of a model."""

    part: str
    total: int
    trainable: int

    @property
    def frozen(self) -> int:
        """Numbers that stay as they are."""
        return self.total - self.trainable


def parameter_table(model: nn.Module) -> list[PartRow]:
    """One row for each direct child with parameters, and their sum; a tensor that two parts share counts once."""
    seen: set[int] = set()
    rows = []
    for name, child in model.named_children():
        own = [parameter for parameter in child.parameters() if id(parameter) not in seen]
        seen |= {id(parameter) for parameter in own}
        if own:
            rows.append(_row(name, own))
    loose = [parameter for parameter in model.parameters() if id(parameter) not in seen]
    rows += [_row("(itself)", loose)] if loose else []
    return [*rows, PartRow("all", sum(row.total for row in rows), sum(row.trainable for row in rows))]


def format_parameter_table(rows: list[PartRow]) -> str:
    """The table as text.

    >>> print(format_parameter_table(parameter_table(nn.Sequential(Frozen(nn.Linear(9, 9)), nn.Linear(9, 1)))))
    part           total   trainable      frozen
    0                 90           0          90
    1                 10          10           0
    all              100          10          90
    """
    lines = [f"{'part':<8}{'total':>12}{'trainable':>12}{'frozen':>12}"]
    lines += [f"{row.part:<8}{row.total:>12,}{row.trainable:>12,}{row.frozen:>12,}" for row in rows]
    return "\n".join(lines)


def _row(name: str, parameters: list[nn.Parameter]) -> PartRow:
    total = sum(parameter.numel() for parameter in parameters)
    return PartRow(name, total, sum(parameter.numel() for parameter in parameters if parameter.requires_grad))
