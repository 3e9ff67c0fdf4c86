"""The cost of the training loop on top of the work that any loop must do.

    python benchmarks/training.py [--only GROUP ...] [--rounds N] [--quick]

| group | what | compared with | goal |
|-------|------|---------------|------|
| loop | a step of `fit`: reading the batch, logs, checks, history, progress | a bare PyTorch loop of the same step | at most 2 % more time |
| save | how long a checkpoint holds the loop up | how long writing it takes | at most a tenth |
| step_beside | a step while a checkpoint is being written | a step without | none |
| data | reading the batches | the whole step | at most 3 % |

How the loop is measured: the two are interleaved step by step, in one process. Each time `fit` has finished a step, a
listener runs one step of the bare loop, with its own model and the same batch; what `fit` takes from there to its
next report is its step. So whatever slows the machine slows both sides, and the median is over pairs of neighbours.

Results go to `benchmarks/results/training_cpu.json`; `--quick` makes everything smaller, checks nothing but that it
runs, and writes nothing. These are measurements and not tests: a busy machine makes any wall-clock limit a lie.
"""  # noqa: E501

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionlab.runtime import wait_passively

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
os.environ.setdefault("MOTIONLAB_PROFILE", "ci")  # no progress bar: a terminal is not what is measured
wait_passively()  # before torch is imported, as the commands and the lessons do

import torch  # noqa: E402
from support.measuring import Goal, Row, machine, save_rows, speed_row  # noqa: E402
from torch import nn  # noqa: E402

from motionlab.config import CorpusConfig, LlamaConfig, RunConfig, TokenizerConfig, TrainConfig  # noqa: E402
from motionlab.data.batches import WindowBatches  # noqa: E402
from motionlab.data.composed.corpus import build_corpus  # noqa: E402
from motionlab.jobs.build import make_llama, make_tokenizer  # noqa: E402
from motionlab.llama.objectives.losses import sequence_losses  # noqa: E402
from motionlab.llama.sequence import SequenceBatches  # noqa: E402
from motionlab.motion.normalizer import Normalizer  # noqa: E402
from motionlab.text.encoder import TextFeatures  # noqa: E402
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses  # noqa: E402
from motionlab.training.checkpoints.checkpoint import write_checkpoint  # noqa: E402
from motionlab.training.checkpoints.saver import Saver  # noqa: E402
from motionlab.training.checkpoints.state import Counters, pack  # noqa: E402
from motionlab.training.loop import fit  # noqa: E402
from motionlab.training.optimizer import make_optimizer  # noqa: E402
from motionlab.training.precision import make_precision  # noqa: E402
from motionlab.training.prefetch import Prefetch  # noqa: E402
from motionlab.training.reporting.hooks import Hook  # noqa: E402
from motionlab.training.schedule import make_schedule  # noqa: E402
from motionlab.training.stage import FunctionStage, Losses  # noqa: E402

RESULTS = Path(__file__).parent / "results"
SETTINGS = TrainConfig(steps=10**6, warmup_steps=2, precision="fp32")
# The networks of the preset "two_frames", and the published tokenizer for what depends on the size of a checkpoint.
SMALL = TokenizerConfig(codebook_size=1024, width=128, code_dim=64, depth=2, activation="gelu", window=64)
DECODER = LlamaConfig(n_layer=4, n_head=4, n_kv_heads=2, dim=128, hidden=384)
CODES, TEXT_DIM, WORDS = 1000, 384, 12


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int = 60
    quick: bool = False


@dataclass
class Stage:
    """A model and what a loop needs to train it; both sides of a comparison get one each, with equal weights."""

    model: nn.Module
    batches: Callable[[int], Any]
    loss: Callable[[Any, Any], torch.Tensor]
    count: Callable[[Any], int]

    def for_fit(self) -> FunctionStage[Any]:
        """The arguments that a job passes to `fit`."""
        return FunctionStage(
            self.model, self.batches, lambda batch: Losses(self.loss(self.model, batch)), count=self.count
        )


class Words:
    """A text source of random features: what a cache of captions gives, without the encoder."""

    def features(self, captions: Sequence[str]) -> TextFeatures:
        """`[B, 12, 384]`."""
        x = torch.randn(len(captions), WORDS, TEXT_DIM, generator=torch.Generator().manual_seed(len(captions)))
        return TextFeatures(x, torch.ones(len(captions), WORDS, dtype=torch.bool))

    def token_counts(self, captions: Sequence[str]) -> list[int]:
        """12 words each."""
        return [WORDS] * len(captions)


def stages(effort: Effort) -> dict[str, Callable[[], Stage]]:
    """Both stages of the preset "two_frames", on a corpus of their kind."""
    clips, batch = (16, 4) if effort.quick else (64, 32)
    corpus = build_corpus(
        CorpusConfig(n_train=clips, n_seen_pairs=1, n_unseen_pairs=1, n_new_takes=2, n_validation=4, max_actions=2)
    )
    normalizer = Normalizer.fit(corpus.train.features(i) for i in range(clips))
    drawn = WindowBatches(corpus.train, normalizer, window=SMALL.window, batch_size=batch, seed=0)
    lengths = [int(n) // 2 for n in corpus.train.lengths]
    random = torch.Generator().manual_seed(0)
    sequences = SequenceBatches(
        [torch.randint(CODES, (n,), generator=random) for n in lengths],
        [[f"caption {i}"] for i in range(clips)],
        Words(),
        codebook_size=CODES,
        batch_size=batch,
        seed=0,
    )

    def tokenizer() -> Stage:
        torch.manual_seed(0)
        weights, windows = LossWeights(), Prefetch(drawn)  # as the job does
        return Stage(make_tokenizer(SMALL), windows, lambda m, x: tokenizer_losses(m(x), x, weights)["total"], len)

    def decoder() -> Stage:
        torch.manual_seed(0)
        model = make_llama(RunConfig(llama=DECODER), codebook_size=CODES, text_dim=TEXT_DIM)
        return Stage(model, sequences, lambda m, batch: sequence_losses(m, batch).loss, lambda batch: batch.n_labels)

    return {"tokenizer": tokenizer, "decoder": decoder}


class BareLoop(Hook):
    """Runs a bare training step after each step of `fit`, and times both."""

    def __init__(self, stage: Stage, settings: TrainConfig) -> None:
        self.stage, self.number = stage, 0
        self.optimizer = make_optimizer(stage.model.train(), lr=settings.lr, betas=settings.betas)
        self.schedule = make_schedule(self.optimizer, steps=settings.steps, warmup_steps=settings.warmup_steps)
        self.times: dict[str, list[tuple[float, float]]] = {"fit": [], "bare": []}
        self.split: dict[str, float] = {}
        self.seconds = 0.0
        self._ended = (0.0, 0.0)

    def bare_step(self) -> float:
        """The part that no loop can leave out."""
        loss = self.stage.loss(self.stage.model, self.stage.batches(self.number))
        loss.backward()
        nn.utils.clip_grad_norm_(self.stage.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def stepped(self, counters: Counters, values: Mapping[str, float]) -> None:
        began = now()
        if self.number:  # before the first step everything is made for the first time
            self.times["fit"].append(difference(began, self._ended))
        self.bare_step()
        self.number += 1
        self._ended = now()
        if len(self.times["bare"]) < len(self.times["fit"]):
            self.times["bare"].append(difference(self._ended, began))

    def ended(self, counters: Counters, reason: str) -> None:
        self.split, self.seconds = counters.split, counters.seconds


def now() -> tuple[float, float]:
    """Wall and processor time."""
    return time.perf_counter(), time.process_time()


def difference(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """Seconds from `b` to `a`."""
    return a[0] - b[0], a[1] - b[1]


def train(make: Callable[[], Stage], steps: int) -> BareLoop:
    """`fit` with everything that is on by default, and the bare loop between its steps."""
    settings = TrainConfig(steps=steps, warmup_steps=2, precision="fp32", save_every=10**6, val_every=10**6)
    stage, bare = make(), BareLoop(make(), settings)
    with tempfile.TemporaryDirectory() as folder:
        fit(stage.for_fit(), settings, folder, hooks=[bare])
    return bare


def loop_rows(effort: Effort) -> Iterator[Row]:
    """A step of `fit` compared with a bare step."""
    for name, make in stages(effort).items():
        times = train(make, 4 if effort.quick else effort.rounds).times
        yield speed_row("loop", f"step of fit, tiny {name}", times, "fit", "bare", Goal("<=", 1.02))


def data_rows(effort: Effort) -> Iterator[Row]:
    """The share of a step in which the model waits for its batch."""
    for name, make in stages(effort).items():
        ours: list[tuple[float, float]] = []
        whole: list[tuple[float, float]] = []
        for _ in range(2 if effort.quick else 5):
            split = train(make, 4 if effort.quick else effort.rounds // 2).split
            work = sum(split[phase] for phase in ("data", "forward", "backward", "update"))
            ours.append((split["data"], split["data"]))
            whole.append((work, work))
        times = {"data": ours, "whole": whole}
        yield speed_row("data", f"batches read, tiny {name}", times, "data", "whole", Goal("<=", 0.03))


def checkpoint_of(config: TokenizerConfig) -> Callable[[], tuple[dict[str, torch.Tensor], Any]]:
    """The content of a checkpoint of a tokenizer that has taken a step."""
    bare = BareLoop(plain_stage(config, 2), SETTINGS)
    bare.bare_step()
    return lambda: pack(bare.stage.model, bare.optimizer, make_precision("cpu").scaler, Counters(), SETTINGS, {})


def plain_stage(config: TokenizerConfig, batch: int) -> Stage:
    """A tokenizer with the same batch every time."""
    x = torch.randn(batch, 64, 272, generator=torch.Generator().manual_seed(0))
    weights = LossWeights()
    model = make_tokenizer(config).train()
    return Stage(model, lambda i: x, lambda m, x: tokenizer_losses(m(x), x, weights)["total"], len)


def save_rows_of(effort: Effort) -> Iterator[Row]:
    """How long the loop waits for a checkpoint, next to the time that writing the same checkpoint takes.

    The first is what `fit` counts as its phase "save", over the saves of a short training.
    """
    configs = {"tiny tokenizer": (SMALL, 32)}
    if not effort.quick:
        configs["published"] = (TokenizerConfig(), 8)
    for name, (config, batch) in configs.items():
        saves, every = (2, 2) if effort.quick else (3, 8)
        settings = TrainConfig(steps=saves * every, warmup_steps=2, precision="fp32", save_every=every)
        parts = checkpoint_of(config)
        times: dict[str, list[tuple[float, float]]] = {"blocked": [], "write": []}
        for _ in range(2 if effort.quick else 5):
            stage, marks = plain_stage(config, batch), Marks()
            with tempfile.TemporaryDirectory() as folder:
                fit(stage.for_fit(), settings, folder, hooks=[marks])
                began = now()
                for number in range(saves):
                    write_checkpoint(Path(folder) / "b", "last", number, *parts())
                times["write"].append(difference(now(), began))
            times["blocked"].append((marks.split["save"],) * 2)
        size = sum(tensor.nbytes for tensor in parts()[0].values()) / 2**20
        yield speed_row("save", f"{saves} saves of {size:.0f} MiB, {name}", times, "blocked", "write", Goal("<=", 0.1))


class Marks(Hook):
    """Where the time of a training went, up to its last save."""

    def __init__(self) -> None:
        self.split: dict[str, float] = {}

    def ended(self, counters: Counters, reason: str) -> None:
        self.split = counters.split


def step_beside_rows(effort: Effort) -> Iterator[Row]:
    """A step while a thread writes: what the thread takes away where there is no idle core."""
    bare = BareLoop(plain_stage(SMALL, 32), SETTINGS)
    tensors, record = checkpoint_of(SMALL if effort.quick else TokenizerConfig())()
    with tempfile.TemporaryDirectory() as folder, Saver(folder) as saver:
        times: dict[str, list[tuple[float, float]]] = {"beside": [], "alone": []}
        for _ in range(2 if effort.quick else effort.rounds):
            for key in ("beside", "alone"):
                saver.wait()
                if key == "beside":
                    saver.save(["last"], 1, tensors, record)
                saver.settle()
                began = now()
                bare.bare_step()
                times[key].append(difference(now(), began))
    yield speed_row("step_beside", "step during the writing of 130 MiB", times, "beside", "alone", None)


GROUPS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "loop": loop_rows,
    "save": save_rows_of,
    "step_beside": step_beside_rows,
    "data": data_rows,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a row at a time, and write the results."""
    parser = argparse.ArgumentParser(description="The cost of the training loop.")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60, help="steps or saves of a comparison")
    parser.add_argument("--quick", action="store_true", help="everything smaller; writes nothing")
    options = parser.parse_args(arguments)
    effort = Effort(options.rounds, options.quick)
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    torch.set_num_threads(options.threads)
    rows: list[Row] = []
    for name in options.only:
        for row in GROUPS[name](effort):
            rows.append(row)
            print(row, flush=True)
        if not options.quick:
            save_rows(RESULTS / "training_cpu.json", rows)


if __name__ == "__main__":
    main()
