"""Checkpoints that are written while training continues."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors
from motionlab.training.checkpoints import saver as module
from motionlab.training.checkpoints.checkpoint import load_weights, read_checkpoint, write_checkpoint
from motionlab.training.checkpoints.saver import Saver, for_inference, keep_batch
from motionlab.training.micro_batches import tensors_of
from motionlab.training.step_checks import Step


class Gate:
    """Holds every write back until it is opened; counts those that are under way at once."""

    def __init__(self, write: Callable[..., None]) -> None:
        self.write, self.open = write, threading.Event()
        self.now = self.most = 0

    def __call__(self, *arguments: Any) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        assert self.open.wait(10)
        self.write(*arguments)
        self.now -= 1


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    held = Gate(write_checkpoint)
    monkeypatch.setattr(module, "write_checkpoint", held)
    yield held
    held.open.set()


def test_the_loop_goes_on_while_the_copy_of_that_moment_is_written(tmp_path: Path, gate: Gate) -> None:
    weight = torch.ones(3)
    with Saver(tmp_path) as saver:
        saver.save(["last"], 1, {"model.weight": weight}, {"note": "a"})
        weight.fill_(7)  # the next step
        assert not (tmp_path / "last.json").exists()
        gate.open.set()
    tensors, record = read_checkpoint(tmp_path)
    assert tensors["model.weight"].tolist() == [1, 1, 1] and (record["step"], record["note"]) == (1, "a")


def test_moments_are_copied_behind_the_loop_and_before_the_next_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, copy = threading.Event(), Saver._copy
    copied: list[str] = []

    def slow(self: Saver, tensors: dict[str, torch.Tensor]) -> None:
        if any(name.startswith("optimizer.") for name in tensors):
            assert go.wait(10)
        copy(self, tensors)
        copied.extend(tensors)

    monkeypatch.setattr(Saver, "_copy", slow)
    moment = torch.ones(3)
    with Saver(tmp_path) as saver:
        saver.save(["last"], 1, {"optimizer.w:exp_avg": moment, "model.w": torch.ones(1)}, {})
        assert copied == ["model.w"]
        threading.Timer(0.05, go.set).start()
        saver.settle()
        assert copied == ["model.w", "optimizer.w:exp_avg"]
        moment.fill_(7)
    assert read_checkpoint(tmp_path)[0]["optimizer.w:exp_avg"].tolist() == [1, 1, 1]


def test_the_loop_settles_before_every_update(
    toy: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of moments that take their time: without the wait, each checkpoint would hold moments of later steps."""
    copy = Saver._copy

    def slow(self: Saver, tensors: dict[str, torch.Tensor]) -> None:
        if any(name.startswith("optimizer.") for name in tensors):
            time.sleep(0.01)
        copy(self, tensors)

    whole, first, second = toy(), toy(), toy()
    whole.fit(tmp_path / "whole", settings())
    monkeypatch.setattr(Saver, "_copy", slow)
    options = settings(save_every=1)
    with pytest.raises(ZeroDivisionError):
        first.fit(tmp_path / "run", options, batches=lambda i: first.batches(i) if i < 6 else 1 / 0)
    second.fit(tmp_path / "run", options, resume=True)
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_at_most_one_is_on_its_way(tmp_path: Path, gate: Gate) -> None:
    gate.open.set()
    with Saver(tmp_path) as saver:
        for step in range(5):
            saver.save(["best", "last"], step, {"model.x": torch.full((1000,), float(step))}, {})
    assert gate.most == 1
    assert float(read_checkpoint(tmp_path)[0]["model.x"][0]) == float(
        read_checkpoint(tmp_path, "best")[0]["model.x"][0]
    )
    assert read_checkpoint(tmp_path)[1]["step"] == 4


def test_an_error_reaches_the_loop_at_the_next_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise InputError("disk", found="full", expected="space", fix="Free some.")

    with Saver(tmp_path) as saver:
        saver.save(["last"], 1, {"model.x": torch.ones(1)}, {})
        saver.wait()
        monkeypatch.setattr(module, "write_checkpoint", refuse)
        saver.save(["last"], 2, {"model.x": torch.ones(1)}, {})
        with pytest.raises(InputError, match="disk: found full"):
            saver.save(["last"], 3, {"model.x": torch.ones(1)}, {})
    assert read_checkpoint(tmp_path)[1]["step"] == 1


def test_an_error_of_the_last_save_is_raised_at_the_end_or_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise InputError("disk", found="full", expected="space", fix="Free some.")

    monkeypatch.setattr(module, "write_checkpoint", refuse)
    with pytest.raises(InputError, match="found full"), Saver(tmp_path) as saver:
        saver.save(["last"], 1, {"model.x": torch.ones(1)}, {})
    with pytest.raises(KeyError) as caught, Saver(tmp_path) as saver:
        saver.save(["last"], 1, {"model.x": torch.ones(1)}, {})
        raise KeyError
    assert "could not be written: disk: found full" in caught.value.__notes__[0]


def test_the_copy_is_used_again_and_follows_the_shapes(tmp_path: Path) -> None:
    with Saver(tmp_path) as saver:
        saver.save(["last"], 1, {"model.x": torch.ones(4)}, {})
        address = saver._copies["model.x"].data_ptr()
        saver.save(["last"], 2, {"model.x": torch.zeros(4)}, {})
        assert saver._copies["model.x"].data_ptr() == address
        saver.save(["last"], 3, {"model.x": torch.ones(2, 4)}, {})
    assert read_checkpoint(tmp_path)[0]["model.x"].shape == (2, 4)


def test_the_best_is_the_model_with_its_averages_and_constants() -> None:
    tensors = {
        "model.w": torch.zeros(2, dtype=torch.bfloat16),
        "model.count": torch.tensor(3),
        "optimizer.w:step": torch.ones(()),
        "ema.w": torch.tensor([0.5, 0.25]),
        "constant.mean": torch.ones(1),
    }
    best = for_inference(tensors)
    assert best.keys() == {"model.w", "model.count", "constant.mean"}
    assert best["model.w"].tolist() == [0.5, 0.25] and best["model.w"].dtype == torch.bfloat16


def test_best_weights_load_into_a_model(tmp_path: Path) -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    tensors = {"model.weight": torch.zeros(1, 1), "ema.weight": torch.full((1, 1), 0.5)}
    with Saver(tmp_path) as saver:
        saver.save(["best", "last"], 1, tensors, {})
    load_weights(model, tmp_path)
    assert model.weight.item() == 0.5
    load_weights(model, tmp_path, "last")
    assert model.weight.item() == 0


def test_the_bad_batch_is_kept_with_its_numbers(tmp_path: Path) -> None:
    def batches(i: int) -> dict[str, Any]:
        return {"x": torch.full((2,), float(i)), "seed": i}

    step = Step(7, 12, 4, 1e-3, ["loss"], torch.zeros(1), {"loss": float("inf")})
    words = keep_batch(tmp_path, step, batches, 2)
    path = tmp_path / "bad_batch_step_00000007.safetensors"
    assert words == f" (kept in {path})"
    tensors, described = read_tensors(path)
    assert tensors.keys() == {"batch.12.x", "batch.13.x"} and tensors["batch.13.x"].tolist() == [13, 13]
    assert described == {"step": 7, "micro_step": 12, "loss": float("inf")}
    assert tensors_of(batches(12), "batch.12").keys() == {"batch.12.x"}
    (tmp_path / "file").write_text("")
    assert "could not be kept" in keep_batch(tmp_path / "file", step, batches, 1)
