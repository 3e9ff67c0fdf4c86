"""The stages of the robot half on the one loop: a stop leaves no trace, and micro-batches change nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lessons.parameters_and_memory.kept import kept_bytes
from motionlab.config import load_config
from motionlab.errors import InputError
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


STAGES = pytest.mark.parametrize("kind", [VlaStage, VlaPretrainStage])


def short(kind: Any, *more: str) -> list[str]:
    """Settings of four steps of a stage."""
    return [f"{kind.name}_training.{text}" for text in ("steps=4", "warmup_steps=1", "val_every=2", *more)]


def fresh(folder: Path, robot_run: Run, kind: Any, settings: list[str]) -> Run:
    """A run in which this stage is not trained yet."""
    if kind is VlaStage:
        return new_run(folder, robot_run, *settings)
    return Run.create(folder, load_config("vla_ci", settings))


def trained(kind: Any, run: Run) -> Any:
    stage = kind(run, kind.prepare(run))
    train(stage)
    return stage.model


@STAGES
def test_half_precision_learns_nearly_the_same(tmp_path: Path, robot_run: Run, kind: Any) -> None:
    seen = {}
    for precision in ("fp32", "bf16"):
        # cross-attention, so that the policy has layers of a transformer over its features as well
        more = [*short(kind, f"precision={precision}"), "vla.fusion=both"]
        run = fresh(tmp_path / precision, robot_run, kind, more)
        try:
            model = trained(kind, run)
        except RuntimeError as error:  # torch 2.13 on a processor with AMX that is told to do without AVX-512
            if "pack_vnni2" not in str(error):
                raise
            pytest.skip(f"an imitated processor on which torch has no attention in bf16: {error}")
        assert all(p.dtype == torch.float32 for p in model.parameters()), "autocast: the weights stay whole"
        history = History.read(run.stage_folder(kind.name) / "history.csv")
        seen[precision] = [*history.column("loss"), *history.points("val_loss")[1]]
        assert len(seen[precision]) == 6
    assert seen["bf16"] != seen["fp32"]
    assert seen["bf16"] == pytest.approx(seen["fp32"], rel=0.03)


@STAGES
def test_out_of_memory_is_explained_or_answered_by_smaller_pieces(
    tmp_path: Path, robot_run: Run, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of four rows at most, where a step asks for eight: the losses of every step are those of whole batches."""
    settings = [*short(kind, "batch_size=8"), "vla.horizon=9"]
    trained(kind, fresh(tmp_path / "whole", robot_run, kind, settings))
    step = kind.step

    def limited(self: Any, batch: Any) -> Any:
        if len(batch) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return step(self, batch)

    monkeypatch.setattr(kind, "step", limited)
    with pytest.raises(InputError, match=r"memory, training step 1: .*activations of 8 samples.*auto_batch=true"):
        trained(kind, fresh(tmp_path / "explained", robot_run, kind, settings))
    settings.append(f"{kind.name}_training.auto_batch=true")
    trained(kind, fresh(tmp_path / "cut", robot_run, kind, settings))
    record = read_checkpoint(tmp_path / "cut" / kind.name / "checkpoints")[1]
    assert record["counters"]["pieces"] == 2
    whole, cut = (History.read(tmp_path / name / kind.name / "history.csv") for name in ("whole", "cut"))
    for column in ("loss", "val_loss", "grad_norm"):
        assert cut.points(column)[1] == pytest.approx(whole.points(column)[1], rel=1e-3)


@STAGES
def test_patience_ends_a_training(tmp_path: Path, robot_run: Run, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([2.0, 1.0, 3.0, 4.0, 0.0])
    monkeypatch.setattr(kind, "validate", lambda self: {"loss": next(values)})
    more = [f"{kind.name}_training.{text}" for text in ("steps=6", "warmup_steps=1", "val_every=1", "patience=2")]
    run = fresh(tmp_path / "run", robot_run, kind, more)
    trained(kind, run)
    history = History.read(run.stage_folder(kind.name) / "history.csv")
    assert history.points("val_loss")[1] == [2.0, 1.0, 3.0, 4.0]
    best = read_checkpoint(run.stage_folder(kind.name) / "checkpoints", "best")[1]
    assert best["counters"]["step"] == 2


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (VlaPretrainStage, []),
        (VlaStage, ["vla.fusion=cross_attention"]),
        (VlaStage, ["vla.freeze_backbone=false"]),
    ],
)
def test_layers_that_run_twice_give_the_same_gradients_and_keep_less(
    tmp_path: Path, robot_run: Run, kind: Any, settings: list[str]
) -> None:
    found = []
    for flag in ("false", "true"):
        path = robot_run.folder / "vla_pretrain" / "backbone.safetensors"
        named = [f"vla.backbone_path={path}"] if kind is VlaStage else []
        text = f"{kind.name}_training.activation_checkpointing={flag}"
        run = Run.create(tmp_path / flag, load_config("vla_ci", [*settings, *named, text]))
        stage = kind(run, kind.prepare(run))
        model, batch, losses = stage.build().train(), stage.batches(0), []
        kept = kept_bytes(lambda: losses.append(stage.step(batch).total) or losses[0], model.parameters())  # noqa: B023
        losses[0].backward()
        found.append((kept, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}))
    (plain, gradients), (less, again) = found
    assert less < 0.9 * plain and gradients.keys() == again.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-5, atol=1e-7)


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
