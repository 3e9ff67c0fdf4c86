"""How fast an operation can be on a machine: the roofline (Williams, Waterman and Patterson, CACM 2009).

A machine computes at most `flops` operations a second and moves at most `bandwidth` bytes a second. Work with I
operations for each byte (its arithmetic intensity) can therefore reach

    min(flops, I * bandwidth)

operations a second. Left of the ridge, I = flops / bandwidth, it waits for memory; right of it, for arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from motionlab.errors import InputError


@dataclass(frozen=True)
class Machine:
    """A device as the roofline sees it: operations a second, bytes a second."""

    name: str
    flops: float
    bandwidth: float

    @property
    def ridge(self) -> float:
        """Operations per byte from which on arithmetic is the limit."""
        return self.flops / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """Operations a second that an operation of this intensity can reach."""
        return min(self.flops, intensity * self.bandwidth)


# Peaks from the makers' data sheets, without sparsity; they are never reached. (name of the numbers -> device)
DATA_SHEETS = {
    "V100": {"fp32": Machine("V100 fp32", 15.7e12, 900e9), "fp16": Machine("V100 fp16 Tensor Cores", 125e12, 900e9)},
    "A100 80 GB": {
        "fp32": Machine("A100 fp32", 19.5e12, 2039e9),
        "tf32": Machine("A100 tf32 Tensor Cores", 156e12, 2039e9),
        "bf16": Machine("A100 bf16 Tensor Cores", 312e12, 2039e9),
        "int8": Machine("A100 int8 Tensor Cores", 624e12, 2039e9),
    },
    "H100 SXM": {
        "fp32": Machine("H100 fp32", 67e12, 3350e9),
        "bf16": Machine("H100 bf16 Tensor Cores", 989e12, 3350e9),
        "int8": Machine("H100 int8 Tensor Cores", 1979e12, 3350e9),
    },
}


@dataclass(frozen=True)
class Work:
    """The work of one operation: arithmetic, and bytes that must be read and written at least once."""

    flops: float
    bytes: float

    @property
    def intensity(self) -> float:
        """Operations per byte."""
        return self.flops / self.bytes


def matmul(m: int, k: int, n: int, number_bytes: int = 4) -> Work:
    """`[m, k] @ [k, n]`: m n sums of k products, two matrices read and one written.

    >>> round(matmul(1, 1000, 1000).intensity, 3), round(matmul(1000, 1000, 1000).intensity, 1)
    (0.499, 166.7)
    """
    if min(m, k, n) < 1:
        raise InputError("matmul", found=f"[{m}, {k}] @ [{k}, {n}]", expected="1 or more", fix="Change the shape.")
    return Work(2.0 * m * k * n, float(number_bytes) * (m * k + k * n + m * n))


def elementwise(numbers: int, number_bytes: int = 4) -> Work:
    """One operation per number, such as `x + 1`: each number is read and written."""
    return Work(float(numbers), 2.0 * number_bytes * numbers)


def decoder_flops(matrix_parameters: int, layers: int, dim: int, batch: int, length: int) -> float:
    """Operations of a forward and a backward pass of a decoder.

    Each weight of a matrix costs 2 operations per token forward and 4 backward (a product for the input's gradient and
    one for the weight's): 6 P T, the rule of Kaplan et al. 2020 (arXiv 2001.08361). Attention adds, for each layer and
    sequence, two products of length x length x dim; all pairs are counted, hidden ones too.

    Args:
        matrix_parameters: weights that multiply a token: all but embeddings that are looked up, norms and biases.
    """
    tokens = batch * length
    return 6.0 * matrix_parameters * tokens + 3 * layers * batch * (2 * 2.0 * length * length * dim)


def gpu_hours(flops: float, machine: Machine, utilisation: float) -> float:
    """Hours of one GPU that runs at this share of its peak."""
    if not 0 < utilisation <= 1:
        raise InputError(
            "utilisation", found=utilisation, expected="more than 0, at most 1", fix="0.3 to 0.5 is usual."
        )
    return flops / (machine.flops * utilisation) / 3600


def measure_machine(size: int = 768, megabytes: int = 64, rounds: int = 5) -> Machine:
    """This machine's CPU with the threads that torch has now: its best product, and its best of three ways to move.

    Copying looks slower than it is: many processors read the target before they write it. So a sum, which only reads,
    and a change in place are tried as well, and the fastest is the bandwidth.

    Args:
        size: of the square matrices; large enough that arithmetic is the limit.
        megabytes: of the tensor that is moved; more than the caches hold.
    """
    import torch

    a, b = torch.rand(size, size), torch.rand(size, size)
    product = torch.empty(size, size)
    source = torch.rand(megabytes * 2**20 // 4)
    target = torch.empty_like(source)
    flops = matmul(size, size, size).flops / best_seconds(lambda: torch.mm(a, b, out=product), rounds)
    ways: list[tuple[int, Callable[[], object]]] = [
        (2, lambda: target.copy_(source)), (2, lambda: target.add_(1.0)), (1, lambda: source.sum()),
    ]  # fmt: skip
    moved = max(4.0 * passes * source.numel() / best_seconds(way, 2 * rounds) for passes, way in ways)
    return Machine("this machine, fp32", flops, moved)


def best_seconds(work: Callable[[], object], rounds: int = 5, at_least: float = 0.02) -> float:
    """Seconds of one call, the best of some rounds of `at_least` seconds: what disturbs only makes it slower."""
    work()
    best = float("inf")
    for _ in range(rounds):
        calls, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < at_least:
            work()
            calls += 1
        best = min(best, passed / max(calls, 1))
    return best
