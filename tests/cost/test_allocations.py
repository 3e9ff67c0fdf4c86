"""The counter counts what is held, and nothing else."""

from __future__ import annotations

import pytest
import torch

from motionlab.cost.allocations import record_memory
from motionlab.errors import InputError


def test_peak_and_end() -> None:
    with record_memory() as memory:
        a = torch.zeros(1000)
        b = torch.cat([a, a])
        del a
    assert (memory.peak, memory.end) == (12_000, 8_000)
    assert b.nbytes == 8_000


def test_what_was_held_before_does_not_count() -> None:
    """Neither what torch's profiler has seen in an earlier recording, nor what it has not."""
    unseen = torch.zeros(5000)
    with record_memory():
        seen = torch.zeros(3000)
    with record_memory() as memory:
        del unseen, seen
        kept = torch.zeros(10)
    assert (memory.peak, memory.end) == (40, 40)
    assert kept.numel() == 10


def test_copies_inside_an_operation_count() -> None:
    """A sum over a transposed half-precision matrix needs a float32 copy that no Python object ever holds."""
    x = torch.ones(64, 64, dtype=torch.bfloat16)
    with record_memory() as memory:
        torch.linalg.vector_norm(x @ x)
    assert memory.peak >= x.nbytes and memory.end == 0


def test_phases_are_parts_of_the_line() -> None:
    with record_memory() as memory:
        with memory.phase("small"):
            a = torch.zeros(100)
        with memory.phase("large"):
            b = torch.zeros(1000)
            del b
        with memory.phase("nothing"):
            pass
    assert memory.peak_of("small") == 400 and memory.peak_of("large") == 4400 and memory.peak_of("nothing") == 400
    assert memory.phases["small"][1] <= memory.phases["large"][0]
    assert memory.end == a.nbytes


def test_an_empty_recording() -> None:
    with record_memory() as memory:
        pass
    assert memory.peak == memory.end == 0


def test_an_error_inside_comes_out() -> None:
    with pytest.raises(ZeroDivisionError), record_memory():
        _ = 1 / 0
    with record_memory() as memory:  # and the counter works again
        x = torch.zeros(10)
    assert memory.end == x.nbytes


def test_other_devices_are_refused() -> None:
    with pytest.raises(InputError, match="cpu or cuda"), record_memory("meta"):
        pass


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu() -> None:
    with record_memory("cuda") as memory:
        with memory.phase("both"):
            a = torch.zeros(2**20, device="cuda")
            b = torch.cat([a, a])
        del a
    assert memory.peak == memory.peak_of("both") == 3 * 2**22
    assert memory.end == b.nbytes
