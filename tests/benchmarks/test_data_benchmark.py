"""All sides of the comparisons in benchmarks/data.py cut the same windows, and its rows can fail. Nothing is timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from motionlab.data.store import MotionStore


@pytest.fixture(scope="module")
def bench(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("data")


@pytest.fixture(scope="module")
def store(bench: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> MotionStore:
    return bench.make_store(tmp_path_factory.mktemp("data") / "store", 80)


def test_the_plain_sides_cut_the_same_windows(bench: ModuleType, store: MotionStore, tmp_path: Path) -> None:
    mine, others = bench.ours(store), [bench.plain(store), bench.files(store, tmp_path / "files")]
    for _ in range(3):
        expected = mine()
        assert all(torch.equal(other(), expected) for other in others)


@pytest.mark.parametrize(("package", "make"), [("datasets", "arrow"), ("h5py", "hdf5")])
def test_peers_cut_the_same_windows(
    bench: ModuleType, store: MotionStore, tmp_path: Path, package: str, make: str
) -> None:
    pytest.importorskip(package)
    mine, theirs = bench.ours(store), getattr(bench, make)(store, tmp_path / make)
    for _ in range(3):
        assert torch.equal(mine(), theirs())


def test_a_row_of_numbers_can_miss_its_goal(bench: ModuleType) -> None:
    limit = bench.Goal("<=", 1.0)
    assert bench.number_row("memory", "x", "MiB", [63.0], [64.0], limit).verdict.endswith("met")
    assert bench.number_row("memory", "x", "MiB", [65.0], [64.0], limit).verdict.endswith("MISSED")


def test_opening_takes_a_few_bytes_a_clip(bench: ModuleType, tmp_path: Path) -> None:
    """A new process opens a store; captions would take 20 MB."""
    folder = bench.make_store(tmp_path / "wide", 15_000, (4, 5), 20).folder
    memory, _, _ = bench.in_child("open", folder)
    assert memory < 8
