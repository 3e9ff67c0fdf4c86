"""The sides of the comparisons in benchmarks/evaluation.py find the same. Nothing here is timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from motionlab.evaluation.distribution import frechet_distance, nearest, r_precision


@pytest.fixture(scope="module")
def bench(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("evaluation")


@pytest.mark.parametrize("noise", [0.5, 2.0, 4.0])
def test_ranks_are_the_same(noise: float, bench: ModuleType) -> None:
    text, motion = bench.embeddings(600, 32, noise)
    assert bench.shares(r_precision(text, motion)) == pytest.approx(bench.sorted_shares(text.numpy(), motion.numpy()))
    ours = bench.shares(r_precision(text, motion, batch=32, draws=1))
    assert ours == pytest.approx(bench.sorted_in_batches(text.numpy(), motion.numpy()))


def test_neighbours_are_the_same(bench: ModuleType) -> None:
    a, b = bench.embeddings(300, 32, 2.0)
    found = nearest(a, b, 3).distances.numpy()
    np.testing.assert_allclose(found, bench.numpy_neighbours(a.numpy(), b.numpy()), rtol=1e-4)


def test_scipy_finds_the_same(bench: ModuleType) -> None:
    pytest.importorskip("scipy.linalg")
    a, b = bench.embeddings(3000, 64, 0.5)
    assert frechet_distance(a, b) == pytest.approx(bench.usual_fid(a.numpy(), b.numpy()), rel=1e-4)
    found = nearest(a[:50], b, 3).distances.numpy()
    np.testing.assert_allclose(found, bench.cdist_neighbours(a[:50].numpy(), b.numpy()), rtol=1e-4)
    np.testing.assert_allclose(found, bench.tree_neighbours(a[:50].numpy(), b.numpy()), rtol=1e-4)


def test_torchmetrics_finds_the_same(bench: ModuleType) -> None:
    pytest.importorskip("torchmetrics.image.fid")
    a, b = bench.embeddings(3000, 64, 0.5)
    assert frechet_distance(a, b) == pytest.approx(bench.torchmetrics_fid(a, b), rel=1e-4)
    ours = bench.shares(r_precision(a[:64], b[:64], batch=32, draws=1))
    assert ours == pytest.approx(bench.torchmetrics_in_batches(a[:64], b[:64]))


def test_it_runs_and_writes_nothing_when_quick(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "RESULTS", tmp_path)
    threads = torch.get_num_threads()
    bench.main(["--quick", "--seconds", "1"])
    torch.set_num_threads(threads)
    assert "R@1-3 of 320 in 32s" in capsys.readouterr().out and not list(tmp_path.iterdir())
