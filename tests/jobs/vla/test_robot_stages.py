"""The stages of the robot half on the one loop: a stop leaves no trace, and micro-batches change nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.config import load_config
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.vla import VlaStage
from motionlab.jobs.stages.vla_pretrain import VlaPretrainStage
from motionlab.jobs.train import train
from motionlab.jobs.vla.batches import Draws
from motionlab.training.checkpoints.checkpoint import read_checkpoint
from motionlab.training.micro_batches import read_group, split_rows
from motionlab.training.reporting.history import History

TIMES = ("seconds", "items_per_second")


def new_run(folder: Path, robot_run: Run, *more: str) -> Run:
    """A run with the pretrained backbone of the shared one."""
    run = Run.create(folder, load_config("vla_ci", more))
    shutil.copytree(robot_run.folder / "vla_pretrain", folder / "vla_pretrain")
    return run


@pytest.mark.parametrize("head", ["regression", "flow"])
def test_a_stop_leaves_no_trace_in_a_policy(tmp_path: Path, robot_run: Run, head: str) -> None:
    settings = (f"vla.head={head}", "vla.horizon=2", "vla_training.steps=6", "vla_training.save_every=2")
    same_after_a_stop(VlaStage, [new_run(tmp_path / name, robot_run, *settings) for name in ("whole", "stopped")], 3)


def test_a_stop_leaves_no_trace_in_a_backbone(tmp_path: Path) -> None:
    runs = [Run.create(tmp_path / name, load_config("vla_ci")) for name in ("whole", "stopped")]
    same_after_a_stop(VlaPretrainStage, runs, 4)


def same_after_a_stop(kind: Any, runs: list[Run], at: int) -> None:
    whole, stopped = runs

    def power_fails(number: int) -> None:
        if number == at:
            raise RuntimeError("the power went")

    train(kind(whole, kind.prepare(whole)))
    with pytest.raises(RuntimeError, match="the power went"):
        train(kind(stopped, kind.prepare(stopped)), power_fails)
    train(kind(stopped, kind.prepare(stopped)))
    a, b = (read_checkpoint(run.stage_folder(kind.name) / "checkpoints")[0] for run in runs)
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    rows = [
        [{name: value for name, value in row.items() if name not in TIMES} for row in History.read(path).rows]
        for path in (run.stage_folder(kind.name) / "history.csv" for run in runs)
    ]
    assert rows[0] == rows[1] and len(rows[0]) == getattr(whole.config, f"{kind.name}_training").steps


@pytest.mark.parametrize("kind", [VlaStage, VlaPretrainStage])
def test_four_times_two_is_eight(tmp_path: Path, robot_run: Run, kind: Any) -> None:
    """Chunks reach beyond episodes, so micro-batches have different numbers of valid steps."""
    found, counts = [], []
    for size, micro in ((8, 1), (2, 4)):
        section = f"{kind.name}_training"
        settings = ("vla.horizon=9", f"{section}.batch_size={size}", f"{section}.grad_accum_steps={micro}")
        run = new_run(tmp_path / str(size), robot_run, *settings)
        stage = kind(run, kind.prepare(run))
        model = stage.build().train()
        group = read_group(stage.batches, stage.count, 0, micro)
        for batch, share, _ in group:
            (stage.step(batch).total * share).backward()
        counts.append(group.counts)
        found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert len(counts[1]) == 4 and sum(counts[1]) == counts[0][0]
    if kind is VlaStage:
        assert len(set(counts[1])) > 1, "all micro-batches count the same, so the test would see no wrong weight"
    assert found[0].keys() == found[1].keys() and found[0]
    scale = max(float(gradient.abs().max()) for gradient in found[0].values())
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-6 * scale)


def test_a_batch_can_be_cut(tmp_path: Path, robot_run: Run) -> None:
    run = new_run(tmp_path / "run", robot_run)
    stage = VlaStage(run, VlaStage.prepare(run))
    batch = stage.batches(0)
    parts = split_rows(batch, 3)
    assert [len(part) for part in parts] == [3, 3, 2]
    assert torch.equal(torch.cat([part.moments.sentence for part in parts]), batch.moments.sentence)
    assert torch.equal(parts[1].features.grid, batch.features.grid[3:6])  # type: ignore[union-attr]


def test_only_training_episodes_are_learned_from_and_measured(tmp_path: Path, robot_run: Run) -> None:
    run = new_run(tmp_path / "run", robot_run)
    stage = VlaStage(run, VlaStage.prepare(run))
    data = stage.splits
    held_out = {data.frames.of_episodes(data.validation)[i].index for i in range(len(stage.held_out))}
    seen = {int(i) for number in range(40) for i in stage.batches(number).moments.index}
    assert len(seen) == len(stage.train) == 143 and not seen & held_out
    policy: Any = stage.build()
    actions = data.frames.of_episodes(data.train).actions()
    np.testing.assert_allclose(policy.normaliser.offset, actions[:, :6].mean(0), atol=1e-5)
    assert int(policy.standardise.count[0]) == 143


def test_every_pass_shows_every_moment_once() -> None:
    draws = Draws(10, batch_size=4, seed=3)
    passes = np.concatenate([draws(number) for number in range(5)]).reshape(2, 10)
    assert (np.sort(passes, axis=1) == np.arange(10)).all() and (passes[0] != passes[1]).any()
    small = Draws(10, batch_size=2, seed=3)
    assert (np.concatenate([small(0), small(1)]) == draws(0)).all(), "the same moments, however they are cut"
    assert (Draws(10, 4, 3)(4) == draws(4)).all(), "a place in the data is a number"
