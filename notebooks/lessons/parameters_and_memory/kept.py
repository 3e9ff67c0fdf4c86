"""The tensors kept for the backward pass, as lesson 04 counts: PyTorch is asked, and no rule is assumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def kept_bytes(compute: Callable[[], Tensor], known: Iterable[Tensor]) -> int:
    """Bytes that are kept for the backward pass of `compute()`, without the tensors that are known already.

    Args:
        known: tensors that exist anyway, such as the parameters and the input.

    >>> x = torch.ones(4, requires_grad=True)
    >>> kept_bytes(lambda: x.exp().sum(), known=[x])  # exp keeps its output, 4 numbers of 4 bytes
    16
    """
    familiar = {tensor.untyped_storage().data_ptr() for tensor in known}
    kept = {}  # address -> bytes: a tensor that two layers keep is there once

    def put_away(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in familiar:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(put_away, lambda tensor: tensor):
        result = compute()
    assert result.requires_grad  # as long as the result lives, so does what was kept
    return sum(kept.values())
