"""Real steps that the formulas of both stages are compared with."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor


@pytest.fixture
def kept_by_the_module() -> Callable[[Callable[[], Tensor], Sequence[Tensor]], int]:
    """From a forward pass to the bytes of all storages that autograd keeps, each once, without the known ones."""

    def measure(compute: Callable[[], Tensor], known: Sequence[Tensor]) -> int:
        known_storages = {tensor.untyped_storage().data_ptr() for tensor in known}
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known_storages:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            result = compute()
        assert result.requires_grad
        return sum(kept.values())

    return measure
