"""One model over several processes: DDP (a whole copy in each) or FSDP2 (a part of it in each).

DDP (Li et al., "PyTorch Distributed", VLDB 2020): every process holds all weights, gradients and moments; during the
backward pass the gradients are averaged over the processes, bucket by bucket. FSDP2 (`fully_shard`; the idea is ZeRO
stage 3, Rajbhandari et al. 2020): every process holds 1/R of the weights, gradients and moments; the weights of a
block are gathered just before they are used and dropped after.

Both act when the forward pass of a wrapped MODULE is called, but a job's `step` may call any method of its model. So
the step itself is wrapped, as a module whose only child is the model. A job does not need to know.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from motionlab.config import TrainConfig
from motionlab.errors import InputError
from motionlab.runtime import seed_everything
from motionlab.training.checkpoints.checkpoint import read_checkpoint
from motionlab.training.checkpoints.rng import rng_state, set_rng_state
from motionlab.training.checkpoints.saver import Saver
from motionlab.training.distributed import World

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule

Result = TypeVar("Result")
How = Literal["ddp", "fsdp"]


class Parallel(Generic[Result]):
    """`step(batch)` as it must be called when several processes train together; a single process gets `step` itself.

    Build it after the model is on its device and BEFORE the optimizer: FSDP replaces the parameters by sharded ones.
    Both ways average gradients over the processes, so the loop multiplies its loss by their number to get the sum.

    Args:
        model: trained in place; its parameter names stay as they are.
        step: forward pass of one micro-batch.
        how: "ddp" or "fsdp".

    Raises:
        InputError: no part of the model is trained.
    """

    def __init__(self, model: nn.Module, step: Callable[[Any], Result], world: World, how: How = "ddp") -> None:
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise InputError(
                type(model).__name__, found="no trainable parameter", expected="at least one", fix="Unfreeze a part."
            )
        self.model, self.world, self.how = model, world, how
        self._call: Callable[[Any], Result] = step
        self._ddp: DistributedDataParallel | None = None
        self._shards: list[FSDPModule] = []
        if world.size == 1:
            return
        module = _Step(model, step)
        share_weights(model)
        if how == "fsdp":
            from torch.distributed.fsdp import fully_shard  # a second of imports, needed only here

            # Each block is a unit: only one of them is whole at a time. The rest of the model (embedding,
            # head, a whole tokenizer) is one more unit, which is whole during the step.
            for unit in [*getattr(model, "blocks", ()), module]:
                fully_shard(unit)
                self._shards.append(cast("FSDPModule", unit))
            self._call = module
        else:
            # Buffers are not sent at every step: quantizers/codebook.py sums those of the quantizers.
            arguments = inspect.signature(DistributedDataParallel.__init__).parameters
            newer = "forward_sync_buffers" in arguments
            no_buffers: dict[str, Any] = {"forward_sync_buffers" if newer else "broadcast_buffers": False}
            self._ddp = DistributedDataParallel(module, gradient_as_bucket_view=True, **no_buffers)
            self._call = self._ddp

    @property
    def sharded(self) -> bool:
        """Whether this process holds only a part of the weights."""
        return bool(self._shards)

    def __call__(self, batch: Any) -> Result:
        return self._call(batch)

    def __str__(self) -> str:
        ways = {"ddp": "DDP: the whole model in each", "fsdp": "FSDP: a part of the model in each"}
        return f"{self.world.size} ({ways[self.how]})" if self.world.size > 1 else "1"

    def accumulating(self, more: bool) -> contextlib.AbstractContextManager[None]:
        """Context of one micro-batch, forward AND backward: gradients stay here while `more` micro-batches follow.

        With FSDP every micro-batch sends its gradients: keeping them would mean to hold them whole.
        """
        if self._ddp is None or not more:
            return contextlib.nullcontext()
        return cast("contextlib.AbstractContextManager[None]", self._ddp.no_sync())

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, the model has all its weights in every process, so that a validation may call any method of it.

        No process has to wait for another inside the block, so their shares of the validation may differ in length.
        Buffers (BatchNorm's statistics) become those of rank 0, so that all validate one model.
        """
        if self.world.size > 1:
            for buffer in self.model.buffers():
                dist.broadcast(buffer, src=0)
        for unit in self._shards:
            unit.set_reshard_after_forward(False, recurse=False)
            unit.unshard()
        try:
            yield
        finally:
            for unit in self._shards:
                unit.reshard()
                unit.set_reshard_after_forward(unit is not self._shards[-1], recurse=False)

    def sum_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows `[steps, k]` of means: each process has its part of the sums, but all have the norm, which is last."""
        if self.world.size == 1:
            return rows
        norms = rows[:, -1].clone()
        rows = self.world.sum_tensor(rows)
        rows[:, -1] = norms
        return rows

    def save(
        self,
        saver: Saver,
        names: Sequence[str],
        step: int,
        tensors: Mapping[str, torch.Tensor],
        record: Mapping[str, Any],
    ) -> None:
        """Save as `saver` does, from rank 0; sharded weights are written by all processes, each its part."""
        if self.world.size > 1:
            record = {**record, "rng_of_ranks": self.world.gather(rng_state())}
        if self.sharded:
            from motionlab.training.checkpoints.sharded import write_sharded

            write_sharded(saver.folder, names, step, tensors, record, keep=saver.keep_last)
        elif self.world.is_first:
            saver.save(names, step, tensors, record)

    def read_checkpoint(self, folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """The tensors of `last` as this process holds them, and the record."""
        if not self.sharded:
            return read_checkpoint(folder)
        from motionlab.training.checkpoints.sharded import read_sharded

        return read_sharded(folder, self.model)

    def restore_rng(self, record: Mapping[str, Any]) -> None:
        """Put back this process's own random generators; after a change of the world's size they start again."""
        states = record.get("rng_of_ranks", [])
        if len(states) == self.world.size:
            set_rng_state(states[self.world.rank])
        elif not self.world.is_first:  # rank 0 continues with the recorded generators
            seed_everything(self.world.seed(record["settings"]["seed"] + record["step"]))


def require_possible(settings: TrainConfig, precision: str, world: World) -> None:
    """Refuse what does not work in several processes.

    Raises:
        InputError: `auto_batch` (only the process that ran out of memory would begin the step again), or fp16 with
            fsdp (its processes would have to agree on inf gradients that each sees a part of).
    """
    if world.size == 1:
        return
    if settings.auto_batch:
        raise InputError(
            "auto_batch", found=f"true with {world.size} processes", expected="false", fix="Lower batch_size by hand."
        )
    if settings.parallel == "fsdp" and precision == "fp16":
        raise InputError("precision", found="fp16 with parallel: fsdp", expected="bf16, fp32 or tf32", fix="Use bf16.")


def share_weights(model: nn.Module) -> None:
    """Give every process the weights and buffers of rank 0. (DDP does so itself; `fully_shard` does not.)"""
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            dist.broadcast(tensor, src=0)


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """The whole tensor, where FSDP made it one in parts. Every process must call it."""
    gather = getattr(tensor, "full_tensor", None)  # only a DTensor has it
    return tensor if gather is None else cast(torch.Tensor, gather())


class _Step(nn.Module, Generic[Result]):
    """A job's step as a module, so that DDP and FSDP see its forward pass."""

    def __init__(self, model: nn.Module, step: Callable[[Any], Result]) -> None:
        super().__init__()
        self.model, self._step = model, step

    def forward(self, batch: Any) -> Result:
        return self._step(batch)
