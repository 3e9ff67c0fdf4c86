"""The sides of the comparisons in benchmarks/bvh.py read the same from the same file. Nothing here is timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from motionlab.motion.formats.bvh import read_bvh


@pytest.fixture(scope="module")
def bench(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("bvh")


@pytest.mark.parametrize(("joints", "axes"), [(31, "ZYX"), (6, "YXZ")])
def test_all_sides_read_the_same(joints: int, axes: str, bench: ModuleType, tmp_path: Path) -> None:
    pybvh = pytest.importorskip("pybvh")
    path = bench.make_file(tmp_path / "made.bvh", joints, axes, 7)
    clip = read_bvh(path)
    assert (len(clip), len(clip.names)) == (7, joints)
    assert torch.equal(clip.rotations, bench.read_plain(path))
    assert len(bench.read_numbers(path)) == 7 * (3 + 3 * joints)
    peer = torch.from_numpy(pybvh.read_bvh_file(path, world_up="+y").joint_positions())
    torch.testing.assert_close(clip.joints(), peer, rtol=0, atol=1e-9)


def test_it_runs_and_writes_nothing_when_quick(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "RESULTS", tmp_path)
    threads = torch.get_num_threads()
    bench.main(["--quick", "--seconds", "1"])
    torch.set_num_threads(threads)
    assert "read, 65 joints vs plain" in capsys.readouterr().out and not list(tmp_path.iterdir())
