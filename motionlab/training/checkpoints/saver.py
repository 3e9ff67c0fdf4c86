"""Writing checkpoints while training continues.

The loop waits only while the model is copied; a thread copies the rest, writes, hashes, and waits for the disk. The
rest are moments and averages, two thirds of a checkpoint or more: no forward or backward pass touches them, so the loop
has to wait for their copy (`settle`) only before the optimizer's next step. A model cannot be left for later: a
quantizer may change its codebook in the forward pass.

The copy has its own memory (as much as the checkpoint is large) that is used again and again: asking the
system for new memory each time would cost more than the copying. On a GPU all the copying happens behind the loop: it
is queued between the steps, and the thread waits for it.

At most one checkpoint is on its way. An error of the thread reaches the loop at the next save, or at the end.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from motionlab.errors import InputError
from motionlab.files.tensors import write_tensors
from motionlab.training.checkpoints.checkpoint import write_checkpoint
from motionlab.training.micro_batches import tensors_of

if TYPE_CHECKING:
    from motionlab.training.step_checks import Step


LATER = ("optimizer.", "ema.")  # what only an optimizer step changes


class Saver:
    """Writes checkpoints into `folder`. Use it as a context manager: at its end everything is on the disk."""

    def __init__(self, folder: str | Path, *, keep_last: int = 1) -> None:
        self.folder, self.keep_last = Path(folder), keep_last
        self._copies: dict[str, torch.Tensor] = {}
        # One thread for all saves: starting one takes as long as the system takes to give it a core.
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="checkpoint writer", daemon=True)
        self._settled, self._idle = threading.Event(), threading.Event()
        for event in (self._settled, self._idle):
            event.set()
        self._error: BaseException | None = None

    def save(
        self, names: Sequence[str], step: int, tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any]
    ) -> None:
        """Copy the tensors and let them be written as each of `names`: "last" whole, "best" only the model.

        Raises:
            InputError: the save BEFORE this one failed; what was saved before that is whole.
        """
        self.wait()
        on_gpu = any(tensor.is_cuda for tensor in tensors.values())
        later = {} if on_gpu else {name: value for name, value in tensors.items() if name.startswith(LATER)}
        self._copy({name: value for name, value in tensors.items() if name not in later})
        queued = torch.cuda.Event() if on_gpu else None
        if queued is not None:
            queued.record()
        for event in (self._settled, self._idle):
            event.clear()

        def job() -> None:
            try:
                if queued is not None:
                    queued.synchronize()
                self._copy(later)
                self._settled.set()
                copies = {name: self._copies[name] for name in tensors}
                for name in names:
                    parts, keep = (for_inference(copies), 1) if name == "best" else (copies, self.keep_last)
                    write_checkpoint(self.folder, name, step, parts, record, keep)
            except BaseException as error:  # it must reach the loop, whatever it is
                self._error = error
            finally:
                for event in (self._settled, self._idle):
                    event.set()

        self._jobs.put(job)

    def settle(self) -> None:
        """Wait until everything is copied; to be called before moments or averages change."""
        self._settled.wait()

    def wait(self) -> None:
        """Wait until the last save is on the disk.

        Raises:
            InputError: it could not be written.
        """
        self._idle.wait()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _copy(self, tensors: Mapping[str, torch.Tensor]) -> None:
        sources = [tensor.detach() for tensor in tensors.values()]
        for name, tensor in zip(tensors, sources, strict=True):
            old = self._copies.get(name)
            if old is None or old.shape != tensor.shape or old.dtype != tensor.dtype:
                # Only into pinned memory does a GPU copy without the processor.
                self._copies[name] = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        if sources:
            torch._foreach_copy_([self._copies[name] for name in tensors], sources, non_blocking=True)

    def __enter__(self) -> Saver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except InputError as late:
            if error is None:
                raise
            error.add_note(f"and the last checkpoint could not be written: {late}")
        finally:
            self._jobs.put(None)
            self._thread.join()
            self._copies.clear()


def for_inference(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Only the model, with its averaged weights where there are averages, and its constants."""
    kept = {name: value for name, value in tensors.items() if name.startswith(("model.", "constant."))}
    for name, value in tensors.items():
        if name.startswith("ema."):
            weight = f"model.{name.removeprefix('ema.')}"
            kept[weight] = value.to(kept[weight].dtype)
    return kept


def keep_batch(folder: Path, step: Step, batches: Callable[[int], Any], size: int) -> str:
    """Write the micro-batches of a bad step next to the history; return words that say where, for the message."""
    path = folder / f"bad_batch_step_{step.number:08d}.safetensors"
    tensors: dict[str, torch.Tensor] = {}
    for i in range(step.micro_step, step.micro_step + size):
        tensors |= tensors_of(batches(i), f"batch.{i}")
    try:
        write_tensors(path, tensors, {"step": step.number, "micro_step": step.micro_step, **step.values})
    except InputError as error:
        return f" (they could not be kept: {error.found})"
    return f" (kept in {path})"
