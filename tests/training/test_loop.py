"""The loop against plain statements of what it must do."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.runtime import evaluating
from motionlab.training.checkpoints import saver
from motionlab.training.checkpoints.checkpoint import load_weights, read_checkpoint, write_checkpoint
from motionlab.training.optimizer import make_optimizer
from motionlab.training.reporting.history import FIRST_COLUMNS, History
from motionlab.training.schedule import lr_factor
from motionlab.training.session import MAX_SKIPPED
from motionlab.training.stage import Losses


class Stop(Exception):
    """Stands for a crash."""


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_equals_a_plain_loop(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy(dropout=0.0)
    a.fit(tmp_path, settings())

    b = toy(dropout=0.0)
    optimizer = make_optimizer(b.model, lr=1e-2)
    for s in range(10):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * lr_factor(s, steps=10, warmup_steps=3)
        optimizer.zero_grad()
        b.step(b.batches(s)).total.backward()
        nn.utils.clip_grad_norm_(b.model.parameters(), 1.0)
        optimizer.step()
    assert same(weights(a.model), weights(b.model))


def test_gradients_from_before_do_not_count(toy: Any, settings: Any, tmp_path: Path) -> None:
    a, b = toy(dropout=0.0), toy(dropout=0.0)
    a.model.inner.weight.grad = torch.ones_like(a.model.inner.weight)
    for name, one in (("a", a), ("b", b)):
        one.fit(tmp_path / name, settings(steps=2, warmup_steps=1), validate=None)
    assert same(weights(a.model), weights(b.model))


def test_loss_falls(toy: Any, settings: Any, tmp_path: Path) -> None:
    history = toy(dropout=0.0).fit(tmp_path, settings(steps=200, warmup_steps=10, lr=0.05, log_every=20))
    assert history.column("loss")[-1] < 0.2 * history.column("loss")[0]


@pytest.mark.parametrize("sizes", [(2, 2, 2, 2), (4, 1, 2, 1), (3, 3, 1, 1)])
def test_accumulation_equals_one_big_batch(toy: Any, settings: Any, tmp_path: Path, sizes: tuple[int, ...]) -> None:
    small = toy(dropout=0.0, sizes=sizes)
    small.fit(tmp_path / "small", settings(steps=6, grad_accum_steps=4))
    big = toy(dropout=0.0)
    history = big.fit(
        tmp_path / "big", settings(steps=6), batches=lambda i: torch.cat([small.batches(4 * i + k) for k in range(4)])
    )
    a, b = weights(small.model), weights(big.model)
    a.pop("seen"), b.pop("seen")  # forward passes are counted, and there were four times as many
    for key in a:
        torch.testing.assert_close(a[key], b[key], atol=1e-6, rtol=0)
    again = History.read(tmp_path / "small" / "history.csv")
    assert again.column("loss") == pytest.approx(history.column("loss"), rel=1e-6)
    assert again.column("absolute") == pytest.approx(history.column("absolute"), rel=1e-6)
    assert again.column("items") == history.column("items") == [8.0 * s for s in history.column("step")]


def test_count_sets_the_weights(toy: Any, settings: Any, tmp_path: Path) -> None:
    """A loss that is a mean over tokens must be weighted by tokens, not by clips."""
    a = toy(dropout=0.0)
    a.fit(tmp_path / "a", settings(steps=1, warmup_steps=0, grad_accum_steps=2), count=lambda batch: 1)
    b = toy(dropout=0.0, sizes=(6, 2))
    b.fit(tmp_path / "b", settings(steps=1, warmup_steps=0, grad_accum_steps=2))
    assert History.read(tmp_path / "a" / "history.csv").column("items") == [2.0]
    assert History.read(tmp_path / "b" / "history.csv").column("items") == [8.0]
    losses = [toy(dropout=0.0, sizes=(6, 2)).step(b.batches(i)).total.item() for i in (0, 1)]
    expected = 0.75 * losses[0] + 0.25 * losses[1]
    assert History.read(tmp_path / "b" / "history.csv").column("loss") == [pytest.approx(expected, abs=1e-6)]


# --- history and intervals


def test_rows_columns_and_intervals(toy: Any, settings: Any, tmp_path: Path) -> None:
    history = toy().fit(tmp_path, settings())
    assert history.column("step") == [3, 4, 6, 8, 9, 10]  # log_every 3, val_every 4, the last step
    assert history.points("val_loss")[0] == [4, 8, 10]
    assert history.columns == [*FIRST_COLUMNS, "absolute", "val_loss"]
    assert History.read(tmp_path / "history.csv").rows == history.rows
    expected = [1e-2 * lr_factor(int(s) - 1, steps=10, warmup_steps=3) for s in history.column("step")]
    assert history.column("lr") == pytest.approx(expected, abs=0)
    assert all(math.isfinite(value) and value > 0 for value in history.column("grad_norm"))


def test_row_is_the_mean_since_the_last_row(toy: Any, settings: Any, tmp_path: Path) -> None:
    each = toy().fit(tmp_path / "each", settings(log_every=1, steps=6), validate=None).column("loss")
    rows = toy().fit(tmp_path / "rows", settings(log_every=3, steps=6), validate=None).column("loss")
    assert rows == pytest.approx([sum(each[:3]) / 3, sum(each[3:]) / 3])


def test_every_step_saves_once(toy: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[tuple[str, int]] = []
    write = write_checkpoint
    monkeypatch.setattr(
        saver,
        "write_checkpoint",
        lambda folder, name, step, *rest: (saved.append((name, step)), write(folder, name, step, *rest)),
    )
    toy().fit(tmp_path, settings(), validate=None)
    assert saved == [("last", 5), ("last", 10)]


def test_grad_norm_in_the_history_is_before_clipping(toy: Any, settings: Any, tmp_path: Path) -> None:
    free = toy().fit(tmp_path / "free", settings(steps=1, warmup_steps=0, clip_norm=None))
    clipped = toy().fit(tmp_path / "clipped", settings(steps=1, warmup_steps=0, clip_norm=0.01))
    assert free.column("grad_norm") == clipped.column("grad_norm")
    assert free.column("grad_norm")[0] > 0.01


def test_a_log_may_not_take_the_name_of_a_column(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()
    with pytest.raises(ValueError, match="'lr'"):
        a.fit(tmp_path, settings(), step=lambda batch: Losses(a.step(batch).total, {"lr": 1.0}))


# --- validation and best


def test_validation_mode_and_the_mode_after(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()
    a.model.norm.eval()  # a frozen part
    seen: list[bool] = []

    def validate() -> dict[str, float]:
        seen.extend([a.model.training, torch.is_inference_mode_enabled(), a.model.dropout.training])
        return a.validate()

    a.fit(tmp_path, settings(steps=4), validate=validate)
    assert seen == [False, True, False]
    assert a.model.training and a.model.dropout.training


def test_modes_are_put_back_after_an_error(toy: Any) -> None:
    model = toy().model
    model.norm.eval()
    with pytest.raises(Stop), evaluating(model):
        assert not model.training
        raise Stop
    assert model.training and model.dropout.training and not model.norm.training
    model.eval().dropout.train()  # as a whole it seems to be in eval mode
    with evaluating(model):
        assert not model.dropout.training
    assert model.dropout.training and not model.training and not model.norm.training


def test_validation_does_not_disturb_training(toy: Any, settings: Any, tmp_path: Path) -> None:
    def noisy() -> dict[str, float]:
        return {"loss": float(torch.rand(1))}

    a, b = toy(), toy()
    history = a.fit(tmp_path / "a", settings(), validate=noisy)
    b.fit(tmp_path / "b", settings(), validate=None)
    assert same(weights(a.model), weights(b.model))
    assert len(set(history.points("val_loss")[1])) == 1, "every validation draws the same numbers"


@pytest.mark.parametrize(("higher", "best_step"), [(False, 4), (True, 6)])
def test_best_by_a_named_metric(toy: Any, settings: Any, tmp_path: Path, higher: bool, best_step: int) -> None:
    values = iter([math.nan, 1.0, 3.0, math.inf, 2.0])
    a = toy()
    a.fit(
        tmp_path,
        settings(val_every=2, save_every=100),
        validate=lambda: {"loss": 0.0, "score": next(values)},
        best_metric="score",
        best_is_higher=higher,
        architecture={"width": 8},
    )
    _, record = read_checkpoint(tmp_path / "checkpoints", "best")
    assert record["step"] == record["counters"]["best_step"] == best_step
    assert record["architecture"] == {"width": 8}
    b = toy()
    load_weights(b.model, tmp_path / "checkpoints")
    assert int(b.model.seen) == best_step
    assert read_checkpoint(tmp_path / "checkpoints")[1]["counters"]["best_step"] == best_step


def test_an_unknown_best_metric_is_named(toy: Any, settings: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="best_metric: found 'mpjpe', expected loss"):
        toy().fit(tmp_path, settings(), best_metric="mpjpe")


# --- stopping with a reason


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_bad_loss_stops_with_the_step_named(
    toy: Any, settings: Any, tmp_path: Path, bad: float, precision: str
) -> None:
    a = toy()

    def step(batch: torch.Tensor) -> Losses:
        with torch.autocast("cpu", enabled=False):
            losses = a.step(batch)
        return Losses(losses.total * bad if int(a.model.seen) == 7 else losses.total)

    with pytest.raises(InputError, match=r"training step 7 \(micro-batches from 6\): found loss (nan|inf)"):
        a.fit(tmp_path, settings(precision=precision), step=step)
    tensors, record = read_checkpoint(tmp_path / "checkpoints")
    assert record["step"] == 5 and all(bool(torch.isfinite(value).all()) for value in tensors.values())


def test_a_step_without_anything_to_learn_from_is_named(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()
    with pytest.raises(InputError, match=r"micro-batches from 0: found 0 items"):
        a.fit(tmp_path, settings(), count=lambda batch: 0)


def test_bad_gradient_of_a_good_loss_stops_too(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()

    def step(batch: torch.Tensor) -> Losses:
        loss = a.step(batch).total
        loss.register_hook(lambda gradient: gradient * math.inf)
        return Losses(loss)

    before = weights(a.model)
    with pytest.raises(InputError, match="training step 1 .*found gradient norm (nan|inf)"):
        a.fit(tmp_path, settings(), step=step)
    after = weights(a.model)
    before.pop("seen"), after.pop("seen")
    assert same(before, after), "the weights were touched"


def test_skipped_steps_advance_nothing_but_the_data(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy(dropout=0.0)
    history = a.fit(
        tmp_path / "a", settings(precision="fp16", log_every=1), step=a.spoiled(lambda n: n in (3, 4)), validate=None
    )
    record = read_checkpoint(tmp_path / "a" / "checkpoints")[1]
    counters = record["counters"]
    assert (counters["step"], counters["micro_step"], counters["skipped"]) == (10, 12, 2)
    assert counters["skipped_in_a_row"] == 0 and counters["items"] == 80
    assert record["scaler"]["scale"] == 65536 / 4
    assert history.column("step") == list(range(1, 11)), "no row was written twice"
    assert history.column("skipped") == [0, 0, 2, 2, 2, 2, 2, 2, 2, 2]
    assert history.column("lr") == [1e-2 * lr_factor(s, steps=10, warmup_steps=3) for s in range(10)]
    assert all(math.isfinite(value) for value in history.column("grad_norm"))

    # The same weights as a run that never met the two bad batches.
    b = toy(dropout=0.0)
    b.fit(
        tmp_path / "b",
        settings(),
        batches=lambda i: a.batches(i if i < 2 else i + 2),
        validate=None,
    )
    for mine, other in zip(a.model.parameters(), b.model.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_twenty_skips_in_a_row_stop(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()
    with pytest.raises(InputError, match="training step 4: found 20 steps skipped in a row.*Lower lr"):
        a.fit(tmp_path, settings(precision="fp16"), step=a.spoiled(lambda n: n > 3))
    assert int(a.model.seen) == 3 + MAX_SKIPPED


def test_nineteen_skips_do_not(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()
    a.fit(tmp_path, settings(precision="fp16"), step=a.spoiled(lambda n: 3 < n < 3 + MAX_SKIPPED))
    assert int(a.model.seen) == 10 + MAX_SKIPPED - 1


def test_scale_is_undone_before_the_optimizer_and_the_log(toy: Any, settings: Any, tmp_path: Path) -> None:
    """A scale is a power of two, so scaling and unscaling change no bit."""
    full, scaled = toy(), toy()
    a = full.fit(tmp_path / "full", settings())
    b = scaled.fit(tmp_path / "scaled", settings(precision="fp16"), step=scaled.spoiled(lambda n: False), validate=None)
    assert same(weights(full.model), weights(scaled.model))
    assert a.column("grad_norm")[0] == b.column("grad_norm")[0]


def test_fp16_learns(toy: Any, settings: Any, tmp_path: Path) -> None:
    history = toy(dropout=0.0).fit(tmp_path, settings(steps=100, lr=0.05, log_every=20, precision="fp16"))
    assert history.column("loss")[-1] < 0.3 * history.column("loss")[0]


def test_bf16_needs_no_scaler(toy: Any, settings: Any, tmp_path: Path) -> None:
    toy().fit(tmp_path, settings(precision="bf16"))
    assert read_checkpoint(tmp_path / "checkpoints")[1]["scaler"] == {}
