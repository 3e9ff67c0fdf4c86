"""Stopped anywhere and resumed, a run ends as if it had never stopped."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.interrupt import Stopped
from motionlab.training.checkpoints import saver
from motionlab.training.checkpoints.checkpoint import has_checkpoint, read_checkpoint, roll_back, write_checkpoint
from motionlab.training.reporting.history import History
from motionlab.training.reporting.hooks import Hook
from motionlab.training.schedule import lr_factor
from motionlab.training.stage import Losses

TIMES = ("seconds", "items_per_second")


class Stop(Exception):
    """Stands for a crash."""


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def without_times(history: History) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name not in TIMES} for row in history.rows]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_resume_is_exact_after_a_crash_anywhere(toy: Any, settings: Any, tmp_path: Path, precision: str) -> None:
    """Crash in one micro-batch after another: between saves, within a history window, within an accumulation.

    Under fp16 the third group (micro-batches 4 and 5) is skipped.
    """

    def bad(n: int) -> bool:
        return precision == "fp16" and n == 6

    for save_every, first_crash, stride in ((1, 2, 5), (2, 4, 5), (3, 8 if precision == "fp16" else 6, 1)):
        options = settings(steps=7, grad_accum_steps=2, save_every=save_every, precision=precision, val_every=2)
        whole = toy(sizes=(8, 3))
        expected = whole.fit(tmp_path / f"whole-{save_every}", options, step=whole.spoiled(bad))
        for crash in range(first_crash, 14, stride):
            folder = tmp_path / f"run-{save_every}-{crash}"
            first = toy(sizes=(8, 3))

            def stop(i: int, first: Any = first, crash: int = crash) -> torch.Tensor:
                if i == crash:
                    raise Stop
                return first.batches(i)

            with pytest.raises(Stop):
                first.fit(folder, options, batches=stop, step=first.spoiled(bad))
            torch.rand(5)  # the process that resumes is another one
            second = toy(sizes=(8, 3))
            history = second.fit(folder, options, step=second.spoiled(bad), resume=True)
            assert same(weights(second.model), weights(whole.model)), (save_every, crash)
            assert without_times(history) == without_times(expected)
            best, others = (
                read_checkpoint(run / "checkpoints", "best")[0] for run in (folder, tmp_path / f"whole-{save_every}")
            )
            assert same(best, others)


def test_resume_of_a_finished_run_changes_nothing(toy: Any, settings: Any, tmp_path: Path) -> None:
    first = toy()
    rows = first.fit(tmp_path, settings()).rows
    second = toy()
    assert second.fit(tmp_path, settings(), resume=True, batches=lambda i: 1 / 0).rows == rows
    assert same(weights(first.model), weights(second.model))


def test_resume_may_go_further_with_another_rate(toy: Any, settings: Any, tmp_path: Path) -> None:
    toy().fit(tmp_path, settings())
    history = toy().fit(tmp_path, settings(steps=12, lr=2e-2), resume=True)
    assert history.column("step")[-1] == 12
    assert history.column("lr")[-1] == 2e-2 * lr_factor(11, steps=12, warmup_steps=3)


def test_resume_without_a_checkpoint(toy: Any, settings: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="checkpoints: found no last.json"):
        toy().fit(tmp_path, settings(), resume=True)
    assert not (tmp_path / "history.csv").exists()


def test_resume_with_another_architecture_names_the_shapes(toy: Any, settings: Any, tmp_path: Path) -> None:
    toy().fit(tmp_path, settings())
    other = toy(width=6)
    before = weights(other.model)
    with pytest.raises(InputError, match=r"found inner.weight \[8, 4\] instead of \[6, 4\]"):
        other.fit(tmp_path, settings(), resume=True)
    assert same(weights(other.model), before)


def test_resume_with_an_architecture_that_shapes_do_not_show(toy: Any, settings: Any, tmp_path: Path) -> None:
    toy().fit(tmp_path, settings(), architecture={"n_head": 4, "levels": (8, 5)})
    with pytest.raises(InputError, match="another architecture: n_head 4 instead of 2"):
        toy().fit(tmp_path, settings(), architecture={"n_head": 2, "levels": (8, 5)}, resume=True)
    toy().fit(tmp_path, settings(), architecture={"n_head": 4, "levels": (8, 5)}, resume=True)


@pytest.mark.parametrize("field", ["batch_size", "grad_accum_steps", "seed"])
def test_resume_with_another_data_order_is_refused(toy: Any, settings: Any, tmp_path: Path, field: str) -> None:
    toy().fit(tmp_path, settings())
    with pytest.raises(InputError, match=f"found {field} .* instead of 16"):
        toy().fit(tmp_path, settings(**{field: 16}), resume=True)


def test_a_new_run_does_not_eat_an_old_one(toy: Any, settings: Any, tmp_path: Path) -> None:
    toy().fit(tmp_path, settings())
    text = (tmp_path / "history.csv").read_text()
    with pytest.raises(InputError, match="a checkpoint of an earlier run"):
        toy().fit(tmp_path, settings())
    assert (tmp_path / "history.csv").read_text() == text
    history = toy().fit(tmp_path, settings(steps=4), overwrite=True)
    assert history.column("step") == [3, 4]
    assert read_checkpoint(tmp_path / "checkpoints")[1]["step"] == 4


def test_the_record_is_readable_and_complete(toy: Any, settings: Any, tmp_path: Path) -> None:
    toy().fit(tmp_path, settings())
    record = json.loads((tmp_path / "checkpoints" / "last.json").read_text())
    assert record["settings"]["lr"] == 1e-2 and record["versions"]["torch"] == torch.__version__
    tensors, _ = read_checkpoint(tmp_path / "checkpoints")
    assert {"model.inner.weight", "optimizer.inner.weight:exp_avg", "optimizer.inner.weight:step"} <= tensors.keys()
    best, _ = read_checkpoint(tmp_path / "checkpoints", "best")
    assert all(key.startswith("model.") for key in best)


# --- interrupts and full disks


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_finishes_the_step_and_saves(toy: Any, settings: Any, tmp_path: Path) -> None:
    whole, first, second = toy(), toy(), toy()
    whole.fit(tmp_path / "whole", settings())

    def interrupted(batch: torch.Tensor) -> Losses:
        if int(first.model.seen) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return first.step(batch)

    with pytest.raises(KeyboardInterrupt, match="saved after step 7"):
        first.fit(tmp_path / "run", settings(), step=interrupted)
    assert read_checkpoint(tmp_path / "run" / "checkpoints")[1]["step"] == 7
    second.fit(tmp_path / "run", settings(), resume=True)
    assert same(weights(whole.model), weights(second.model))


def test_full_disk_keeps_the_old_checkpoint(
    toy: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, first, second = toy(), toy(), toy()
    whole.fit(tmp_path / "whole", settings())
    fsync, write, steps = os.fsync, write_checkpoint, [0]

    def full(descriptor: int) -> None:
        if steps[-1] > 5:
            raise OSError(28, os.strerror(28))
        fsync(descriptor)

    def noted(folder: Path, name: str, step: int, *more: Any) -> None:
        steps.append(step)
        write(folder, name, step, *more)

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(saver, "write_checkpoint", noted)
    with pytest.raises(InputError, match="No space left on device.*unchanged"):
        first.fit(tmp_path / "run", settings())
    monkeypatch.undo()
    monkeypatch.setenv("MOTIONLAB_PROFILE", "ci")
    assert has_checkpoint(tmp_path / "run" / "checkpoints")
    second.fit(tmp_path / "run", settings(), resume=True)
    assert same(weights(whole.model), weights(second.model))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_within_a_group_waits_for_its_end(
    toy: Any, settings: Any, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    options = settings(grad_accum_steps=3)
    whole, first, second = toy(sizes=(8, 3)), toy(sizes=(8, 3)), toy(sizes=(8, 3))
    whole.fit(tmp_path / "whole", options)

    def interrupted(batch: torch.Tensor) -> Losses:
        if int(first.model.seen) == 10:  # the second micro-batch of step 4
            os.kill(os.getpid(), number)
        return first.step(batch)

    with pytest.raises(Stopped, match="saved after step 4") as caught:
        first.fit(tmp_path / "run", options, step=interrupted)
    assert caught.value.exit_code == code and int(first.model.seen) == 12
    second.fit(tmp_path / "run", options, resume=True)
    assert same(weights(whole.model), weights(second.model))


def test_another_batch_may_be_asked_for(toy: Any, settings: Any, tmp_path: Path) -> None:
    """Four steps of eight rows were read; with sixteen per batch the run continues with batch number 2."""
    toy().fit(tmp_path, settings(steps=4))
    a, asked, said = toy(), [], []

    class Listener(Hook):
        def warned(self, text: str) -> None:
            said.append(text)

    def batches(i: int) -> torch.Tensor:
        asked.append(i)
        return torch.cat([a.batches(2 * i), a.batches(2 * i + 1)])

    changed = settings(steps=6, batch_size=16, resume_changed="same_place")
    history = a.fit(tmp_path, changed, resume=True, batches=batches, hooks=[Listener()])
    assert asked == [2, 3] and history.column("items")[-1] == 4 * 8 + 2 * 16
    assert len(said) == 1 and "batch_size 8 instead of 16: from micro-batch 2" in said[0]


def test_fp16_may_become_bf16(toy: Any, settings: Any, tmp_path: Path) -> None:
    toy().fit(tmp_path, settings(steps=4, precision="fp16"))
    with pytest.raises(InputError, match="precision fp16 instead of bf16.*resume_changed=same_place"):
        toy().fit(tmp_path, settings(steps=6, precision="bf16"), resume=True)
    toy().fit(tmp_path, settings(steps=6, precision="bf16", resume_changed="same_place"), resume=True)
    assert read_checkpoint(tmp_path / "checkpoints")[1]["step"] == 6


def test_constants_come_back_and_another_one_is_refused(toy: Any, settings: Any, tmp_path: Path) -> None:
    scale = {"normalizer.mean": torch.tensor([1.0, 2.0])}
    toy().fit(tmp_path, settings(steps=5), constants=scale)
    for name in ("last", "best"):
        assert read_checkpoint(tmp_path / "checkpoints", name)[0]["constant.normalizer.mean"].tolist() == [1, 2]
    toy().fit(tmp_path, settings(steps=6), constants=scale, resume=True)
    with pytest.raises(InputError, match=r"found another normalizer\.mean"):
        toy().fit(tmp_path, settings(steps=7), constants={"normalizer.mean": torch.zeros(2)}, resume=True)


def test_an_older_checkpoint_gives_the_same_run(toy: Any, settings: Any, tmp_path: Path) -> None:
    options = settings(save_every=2, keep_last=3)
    whole, again = toy(), toy()
    whole.fit(tmp_path, options)
    roll_back(tmp_path / "checkpoints", 6)
    history = again.fit(tmp_path, options, resume=True)
    assert same(weights(whole.model), weights(again.model))
    assert history.column("step") == [3, 4, 6, 8, 9, 10]
