"""Real steps that the formulas of both stages are compared with."""

from collections.abc import Callable, Iterable

import pytest
from torch import Tensor

from lessons.parameters_and_memory.kept import kept_bytes


@pytest.fixture
def kept_by_the_module() -> Callable[[Callable[[], Tensor], Iterable[Tensor]], int]:
    """From a forward pass to the bytes that autograd keeps, as lesson 04 counts them."""
    return kept_bytes
