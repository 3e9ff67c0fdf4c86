"""The trainings of test_two_processes.py. Run alone it is the reference; under torchrun each is done by two processes.

    python two_processes.py FOLDER        torchrun --nproc-per-node 2 two_processes.py FOLDER [fail]

A process alone reads twice as many micro-batches per step, so the global batch is the same. With `fail`, process 1
fails in one more training, after all others.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from tests.training.conftest import Toy, ToyModel
else:
    sys.path.insert(0, str(Path(__file__).parent))
    from conftest import Toy, ToyModel
from motionlab.config import (
    TrainConfig,  # noqa: E402
    load_config,  # noqa: E402
)
from motionlab.errors import InputError  # noqa: E402
from motionlab.interrupt import Stopped  # noqa: E402
from motionlab.jobs import tokens  # noqa: E402
from motionlab.jobs.build import make_tokenizer  # noqa: E402
from motionlab.jobs.prepare import fit_normalizer, prepare  # noqa: E402
from motionlab.jobs.run_folder import Run  # noqa: E402
from motionlab.jobs.train import train_stage  # noqa: E402
from motionlab.llama.model import MotionLlama  # noqa: E402
from motionlab.llama.objectives.losses import sequence_losses  # noqa: E402
from motionlab.llama.sequence import Sequences, build_sequences  # noqa: E402
from motionlab.text.encoder import TextFeatures  # noqa: E402
from motionlab.training.distributed import World, connected, leave  # noqa: E402
from motionlab.training.loop import fit  # noqa: E402
from motionlab.training.reporting.history import History  # noqa: E402
from motionlab.training.stage import FunctionStage, Losses  # noqa: E402

TIMES = ("seconds", "items_per_second")
CODES = 12


def settings(world: World, **more: Any) -> TrainConfig:
    """Six steps of four micro-batches, read by any process."""
    short: dict[str, Any] = {
        "steps": 6, "batch_size": 8, "grad_accum_steps": 4 // world.size, "warmup_steps": 2, "lr": 1e-2,
        "val_every": 3, "save_every": 3, "log_every": 1, "precision": "fp32",
    }  # fmt: skip
    return TrainConfig(**{**short, **more})


def train_toy(
    folder: Path, dropout: float = 0.0, resume: bool = False, stop_at: int | None = None, **more: Any
) -> History:
    """Micro-batches of 8, 3 and 5 rows come round, so groups are ragged in every way.

    The process that reads micro-batch `stop_at` gets a SIGTERM; the others hear of it from that process only.
    """
    world = World.current()
    torch.manual_seed(3)
    toy = Toy(ToyModel(dropout=dropout), sizes=(8, 3, 5))

    def validate() -> dict[str, float]:
        total = rows = 0.0
        for i in world.share(range(1000, 1005)):  # five batches for two processes: unequal parts
            batch = toy.batches(i)
            total, rows = total + float(toy.step(batch).total) * len(batch), rows + len(batch)
        total, rows = world.sum([total, rows])
        return {"loss": total / rows, "rows": rows}

    def batches(i: int) -> torch.Tensor:
        if i == stop_at:  # micro-batch 11 is read by the last process, alone or of two
            signal.raise_signal(signal.SIGTERM)
        return toy.batches(i)

    return toy.fit(folder, settings(world, **more), batches=batches, validate=validate, resume=resume)


def decoder_batch(i: int) -> Sequences:
    """Motions of 2 to 9 codes after 1 to 3 words: micro-batches count different numbers of labels."""
    draw = torch.Generator().manual_seed(50 + i)
    words = torch.randint(1, 4, (4,), generator=draw)
    lengths = torch.randint(2, 10, (4,), generator=draw).tolist()
    codes = [torch.randint(0, CODES, (length,), generator=draw) for length in lengths]
    text = torch.randn(4, 3, 6, generator=draw)
    return build_sequences(codes, TextFeatures(text, torch.arange(3) < words[:, None]), CODES)


def train_decoder(folder: Path, **more: Any) -> History:
    """A decoder of two blocks, so that FSDP has units besides the root."""
    world = World.current()
    torch.manual_seed(5)
    model = MotionLlama(CODES, n_layer=2, n_head=2, n_kv_heads=1, dim=16, text_dim=6)

    def step(batch: Sequences) -> Losses:
        losses = sequence_losses(model, batch)
        return Losses(losses.loss, {"accuracy": losses.accuracy})

    def validate() -> dict[str, float]:
        total = labels = 0.0
        for i in world.share(range(1000, 1003)):
            batch = decoder_batch(i)
            total, labels = total + float(step(batch).total) * batch.n_labels, labels + batch.n_labels
        total, labels = world.sum([total, labels])
        return {"loss": total / labels, "labels": labels}

    stage = FunctionStage(model, decoder_batch, step, validate, count=lambda batch: batch.n_labels)
    return fit(stage, settings(world, **more), folder)


def train_tokenizer(folder: Path) -> History:
    """Stage 1 as the command line trains it, corpus, normaliser, validation and report included."""
    world = World.current()
    texts = ["steps=4", "val_every=2", "save_every=2", "log_every=1", "batch_size=4", "lr=1e-3"]
    texts.append(f"grad_accum_steps={2 // world.size}")
    config = load_config("ci", [f"tokenizer_training.{text}" for text in texts])
    place = train_stage("tokenizer", config, folder / "run")
    return History.read(place / "history.csv")


def train_robot(folder: Path) -> History:
    """Both stages of the robot half: demonstrations, kept features and statistics are those of all processes."""
    world = World.current()
    texts = ["vla.horizon=3"]  # chunks reach beyond episodes, so micro-batches have different numbers of valid steps
    for stage in ("vla_pretrain", "vla"):
        short = ("steps=4", "val_every=2", "save_every=2", "log_every=1", "batch_size=4", "lr=1e-3", "warmup_steps=1")
        texts += [f"{stage}_training.{text}" for text in (*short, f"grad_accum_steps={2 // world.size}")]
    config = load_config("vla_ci", texts)
    for stage in ("vla_pretrain", "vla"):
        place = train_stage(stage, config, folder / "run")
    return History.read(place / "history.csv")


def share_the_tokens(folder: Path) -> None:
    """Both processes make tokens of the corpus from a tokenizer that nobody trained, as the second stage lets them."""
    world, config = World.current(), load_config("ci")
    with world.first_alone():
        run, splits = Run.create(folder, config), prepare(config)
        fit_normalizer(run, splits)
        torch.manual_seed(0)
        if world.is_first:
            run.save(make_tokenizer(config.tokenizer), f"tokenizer-{config.tokenizer.quantizer}")
    made: list[object] = []
    whole = tokens.tokenise_group

    def counted(*arguments: Any) -> Any:
        made.append(arguments)
        return whole(*arguments)

    tokens.CLIPS_AT_ONCE = 16
    tokens.tokenise_group = counted  # type: ignore[assignment]
    tokens.share_tokens(run, splits, world)
    with world.first_alone():
        digest = tokens.training_codes(run, splits).digest
    (folder / f"tokens-{world.rank}.json").write_text(json.dumps({"digest": digest, "groups": len(made)}))


def resumed(folder: Path, **more: Any) -> History:
    """Stopped in the third step and continued: with dropout, so that each process needs its own generators again."""
    with contextlib.suppress(Stopped):
        train_toy(folder, dropout=0.2, stop_at=11, **more)
        raise RuntimeError("nobody stopped it")
    return train_toy(folder, dropout=0.2, resume=True, **more)


CASES: dict[str, Callable[[Path], History]] = {
    "toy": train_toy,
    "toy_fsdp": functools.partial(train_toy, parallel="fsdp", ema_decay=0.9),
    "decoder": train_decoder,
    "decoder_fsdp": functools.partial(train_decoder, parallel="fsdp"),
    "tokenizer": train_tokenizer,
    "robot": train_robot,
    "whole": functools.partial(train_toy, dropout=0.2),
    "resumed": resumed,
    "resumed_fsdp": functools.partial(resumed, parallel="fsdp"),
}


def no_picture(self: Figure, file: Any, format: str = "png", **_: object) -> None:
    """Figures of reports are made but not drawn: nobody looks at them, and one takes half a second."""
    file.write("<svg></svg>" if format == "svg" else b"")


def fail(folder: Path) -> None:
    """Process 1 has a bad batch; process 0 waits for it."""
    world = World.current()
    torch.manual_seed(3)
    toy = Toy(ToyModel())

    def batches(i: int) -> torch.Tensor:
        if i >= 2 and world.rank == 1:
            raise InputError("clip 7", found="a torn file", expected="a motion", fix="Copy it again.")
        return toy.batches(i)

    toy.fit(folder, settings(world, grad_accum_steps=1), batches=batches)


def plain(rows: list[dict[str, float]]) -> list[dict[str, float | None]]:
    """Rows without times, and without nan."""
    return [
        {name: value if math.isfinite(value) else None for name, value in row.items() if name not in TIMES}
        for row in rows
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = Path(sys.argv[1])
    unseen, unplaced = (patch.object(Figure, "savefig", no_picture), patch.object(Figure, "draw_without_rendering"))
    with unseen, unplaced, connected("cpu") as world:
        for name, train in CASES.items():
            rows = plain(train(target / name).rows)
            (target / f"{name}-{world.rank}.json").write_text(json.dumps(rows))
            print(f"{name} of rank {world.rank} done", flush=True)
        share_the_tokens(target / "tokens")
        if sys.argv[2:] == ["fail"]:
            fail(target / "fail")
    if world.size > 1:
        leave(0)
