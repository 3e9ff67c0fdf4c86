"""Two processes train what one process trains: the same losses, the same weights, one writer, one error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError
from motionlab.training.checkpoints.checkpoint import read_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="torchrun with gloo, as CI has it")]
SCRIPT = Path(__file__).with_name("two_processes.py")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def start(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root), "MOTIONLAB_PROFILE": "ci"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, root: Path
) -> tuple[tuple[Path, Path], subprocess.CompletedProcess[str]]:
    """Where one process, and two, left what they trained; and how the two ended, of which one fails after all that."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    alone = start(root, str(SCRIPT), str(one))
    assert alone.returncode == 0, alone.stderr[-3000:]
    together = start(root, *TORCHRUN, str(SCRIPT), str(two), "fail")
    assert (two / "tokens" / "tokens-1.json").is_file(), f"a process failed too early: {together.stderr[-3000:]}"
    assert "rank 1" not in alone.stdout + together.stdout  # rank 0 alone prints
    return (one, two), together


@pytest.fixture(scope="module")
def folders(ran: tuple[tuple[Path, Path], subprocess.CompletedProcess[str]]) -> tuple[Path, Path]:
    """Where one process, and two, left what they trained."""
    return ran[0]


def rows(folder: Path, name: str, rank: int = 0) -> list[dict[str, float]]:
    return json.loads((folder / f"{name}-{rank}.json").read_text())


@pytest.mark.parametrize("name", ["toy", "toy_fsdp", "decoder", "decoder_fsdp", "tokenizer", "robot"])
def test_the_same_curves_from_the_same_global_batch(folders: tuple[Path, Path], name: str) -> None:
    alone, together = (rows(folder, name) for folder in folders)
    assert len(alone) == len(together) >= 4
    for a, b in zip(alone, together, strict=True):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-5)
    assert "val_loss" in alone[-1] or name == "tokenizer"


@pytest.mark.parametrize(
    ("name", "column"), [("toy", "val_rows"), ("decoder", "val_labels"), ("tokenizer", "val_tokens")]
)
def test_validation_counts_nothing_twice(folders: tuple[Path, Path], name: str, column: str) -> None:
    alone, together = (rows(folder, name)[-1] for folder in folders)
    assert alone[column] == together[column] > 0


def test_every_process_sees_the_same_numbers(folders: tuple[Path, Path]) -> None:
    assert rows(folders[1], "toy") == rows(folders[1], "toy", rank=1)


@pytest.mark.parametrize("name", ["resumed", "resumed_fsdp"])
def test_a_stop_leaves_no_trace(folders: tuple[Path, Path], name: str) -> None:
    """One process gets a signal and all stop; each gets its own generators back, and its own part of the weights."""
    whole, again = rows(folders[1], "whole"), rows(folders[1], name)
    if name == "resumed":
        assert again == whole  # bit for bit
    for a, b in zip(again, whole, strict=True):
        assert a == pytest.approx(b, rel=1e-6)
    assert whole[-1]["loss"] != rows(folders[0], "whole")[-1]["loss"]  # dropout draws differently in two processes


@pytest.mark.parametrize("name", ["toy_fsdp", "decoder_fsdp"])
@pytest.mark.parametrize("kind", ["last", "best"])
def test_one_process_reads_what_two_wrote_in_parts(folders: tuple[Path, Path], name: str, kind: str) -> None:
    checkpoints = folders[1] / name / "checkpoints"
    parts = [path.name for path in checkpoints.glob("last-*.parts/part-*")]
    assert len(parts) == 2  # one per process
    (alone, _), (together, record) = (read_checkpoint(folder / name / "checkpoints", kind) for folder in folders)
    assert alone.keys() == together.keys()
    for key, value in alone.items():
        if key == "model.seen":  # counts the forward passes of a process: two do half of them each
            assert value == 2 * together[key]
            continue
        torch.testing.assert_close(together[key], value, rtol=1e-4, atol=1e-5, msg=key)
    assert len(record["rng_of_ranks"]) == 2


def test_a_changed_part_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(folders[1] / "toy_fsdp" / "checkpoints", tmp_path / "checkpoints")
    part = next(copy.glob("last-*.parts/part-1.*"))
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=f"{part.name} missing or changed"):
        read_checkpoint(copy)
    part.unlink()
    with pytest.raises(InputError, match=f"{part.name} missing or changed"):
        read_checkpoint(copy)


def test_rank_0_writes_the_run_once(folders: tuple[Path, Path]) -> None:
    place = folders[1] / "tokenizer" / "run" / "tokenizer-fsq"
    steps = [json.loads(line)["step"] for line in (place / "history.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]
    assert json.loads((place / "training.json").read_text())["facts"]["processes"].startswith("2 (DDP")
    assert {"report.html", "report.md", "report.json", "model.safetensors"} <= {path.name for path in place.iterdir()}


def test_the_tokens_are_made_together(folders: tuple[Path, Path]) -> None:
    (alone,), together = ([json.loads(p.read_text()) for p in sorted(f.glob("tokens/tokens-*.json"))] for f in folders)
    assert len(together) == 2 and {one["digest"] for one in together} == {alone["digest"]}
    assert alone["groups"] == sum(one["groups"] for one in together) >= 2
    assert all(one["groups"] < alone["groups"] for one in together)


def test_a_process_that_fails_ends_all_with_its_error(
    ran: tuple[tuple[Path, Path], subprocess.CompletedProcess[str]],
) -> None:
    assert ran[1].returncode != 0
    assert "clip 7: found a torn file, expected a motion. Copy it again." in ran[1].stderr
