"""Too little memory, explained or answered by smaller pieces."""

from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.errors import InputError, is_out_of_memory
from motionlab.training.checkpoints.checkpoint import read_checkpoint
from motionlab.training.reporting.hooks import Hook
from motionlab.training.stage import Losses


class Warnings(Hook):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warned(self, text: str) -> None:
        self.texts.append(text)


def limited(toy: Any, most: int, error: BaseException | None = None) -> Any:
    """A step that has room for `most` rows only."""

    def step(batch: torch.Tensor) -> Losses:
        if len(batch) > most:
            raise error or torch.OutOfMemoryError(f"Tried to allocate room for {len(batch)} rows.\nMore lines.")
        return toy.step(batch)

    return step


def real_cpu_error() -> RuntimeError:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.float32)
    return caught.value


def test_what_is_out_of_memory() -> None:
    assert is_out_of_memory(real_cpu_error()) and is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("shapes do not fit")) and not is_out_of_memory(KeyError("out of memory"))


def test_explained_with_what_the_job_knows(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()
    with pytest.raises(InputError, match="memory, training step 1: found Tried to allocate") as caught:
        a.fit(tmp_path, settings(), step=limited(a, 4), explain_memory=lambda rows: f"12 MiB with {rows} rows")
    text = str(caught.value)
    assert "expected room for 12 MiB with 8 rows. Try in this order: auto_batch=true (--auto-batch)" in text
    assert "activation_checkpointing=true" in text and "precision=bf16" in text


def test_explained_without_it(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()
    with pytest.raises(InputError, match="weights 0.0 MiB, gradients .*and the activations of 8 samples"):
        a.fit(tmp_path, settings(), step=limited(a, 4, real_cpu_error()))


def test_other_errors_pass_through(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        a.fit(tmp_path, settings(auto_batch=True), step=limited(a, 4, RuntimeError("shapes do not fit")))


@pytest.mark.parametrize("most", [4, 2, 1])
def test_smaller_pieces_and_the_same_steps(toy: Any, settings: Any, tmp_path: Path, most: int) -> None:
    whole, cut, warnings = toy(dropout=0.0, sizes=(8, 3)), toy(dropout=0.0, sizes=(8, 3)), Warnings()
    a = whole.fit(tmp_path / "whole", settings(grad_accum_steps=2))
    b = cut.fit(
        tmp_path / "cut", settings(grad_accum_steps=2, auto_batch=True), step=limited(cut, most), hooks=[warnings]
    )
    for x, y in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
        torch.testing.assert_close(x, y, atol=1e-6, rtol=0)
    assert a.column("items") == b.column("items")
    assert b.column("loss") == pytest.approx(a.column("loss"), rel=1e-5)
    assert read_checkpoint(tmp_path / "cut" / "checkpoints")[1]["counters"]["pieces"] == 8 // most
    assert len(warnings.texts) == {4: 1, 2: 2, 1: 3}[most]
    assert "pieces of at most 4 samples per step; the effective batch stays 16" in warnings.texts[0]


def test_random_numbers_begin_again_with_the_group(toy: Any, settings: Any, tmp_path: Path) -> None:
    """Step 3 fails after its dropout was drawn. The rest equals a run that was cut from the start of that step."""
    a = toy(dropout=0.5)
    failed: list[int] = []
    draws: list[float] = []

    def step(batch: torch.Tensor) -> Losses:
        draws.append(float(torch.rand(1)))
        losses = a.step(batch)
        if len(batch) == 8 and int(a.model.seen) == 3 and not failed:
            failed.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return losses

    a.fit(tmp_path, settings(steps=3, warmup_steps=1, auto_batch=True), step=step, validate=None)
    assert len(failed) == 1 and draws[2] == draws[3]


def test_one_row_that_does_not_fit_is_the_end(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()
    with pytest.raises(InputError, match="and the activations of 1 samples") as caught:
        a.fit(tmp_path, settings(auto_batch=True), step=limited(a, 0))
    assert "auto_batch" not in caught.value.fix


def test_a_resumed_run_begins_with_the_pieces_it_had(toy: Any, settings: Any, tmp_path: Path) -> None:
    first, second, warnings = toy(), toy(), Warnings()
    first.fit(tmp_path, settings(steps=5, auto_batch=True), step=limited(first, 2))
    second.fit(tmp_path, settings(steps=8, auto_batch=True), step=limited(second, 2), hooks=[warnings], resume=True)
    assert not warnings.texts
