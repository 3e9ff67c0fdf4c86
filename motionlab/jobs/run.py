"""The main job: corpus, both tokenizers, decoder, generation, report. Stopped anywhere, it continues where it was."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from motionlab.config import RunConfig
from motionlab.errors import InputError
from motionlab.jobs.build import check_buildable
from motionlab.jobs.doctor import doctor
from motionlab.jobs.evaluate import evaluate
from motionlab.jobs.prepare import fit_normalizer, prepare
from motionlab.jobs.report import write_report
from motionlab.jobs.run_folder import Run
from motionlab.jobs.run_settings import needs_training
from motionlab.jobs.tokens import training_codes
from motionlab.jobs.train_llama import train_llama
from motionlab.jobs.train_tokenizer import tokenizer_report, train_tokenizers
from motionlab.runtime import choose_device, choose_precision, seed_everything, set_threads
from motionlab.training.distributed import launched


def run(config: RunConfig, folder: str | Path) -> Path:
    """Do everything and return the path of the report.

    A stage whose result is already in the folder is not done again; training goes on from its last checkpoint.

    Raises:
        InputError: settings from which a model cannot be built, or that do not fit what the folder holds; or it was
            started by torchrun. Only the training stages know how to share their work.
    """
    if launched():
        raise InputError(
            "motionlab run",
            found=f"{os.environ['WORLD_SIZE']} processes of torchrun",
            expected="one process",
            fix="Use torchrun for motionlab train tokenizer and train llama; motionlab run goes on from there.",
        )
    check_buildable(config, config.quantizers)
    threads = set_threads()
    device = choose_device(config.device)
    precision = choose_precision(device.value, config.llama_training.precision)
    this = Run.create(folder, config)
    print(f"run {config.name} in {this.folder}\ndevice: {device}, {threads} threads", flush=True)
    print(f"precision: {precision}", flush=True)
    seed_everything(config.seed)
    this.record(environment=environment(this.folder))

    with _stage(this, "corpus"):
        corpus = prepare(config.corpus, processes=threads)
        fit_normalizer(this, corpus)
        splits = {"train": corpus.train, "test_seen": corpus.test_seen, "test_unseen": corpus.test_unseen}
        this.record(
            corpus={
                name: {"clips": len(store), "minutes": float(store.lengths.sum()) / 30 / 60}
                for name, store in splits.items()
            }
        )
    with _stage(this, "tokenizers"):
        train_tokenizers(this, corpus, config.quantizers, threads=threads if device.value == "cpu" else 1)
        this.record(
            tokenizers={quantizer: tokenizer_report(this, corpus, quantizer) for quantizer in config.quantizers}
        )
    with _stage(this, "tokens"):
        training_codes(this, corpus)
    with _stage(this, "text features"):
        captions = [caption for i in range(len(corpus.train)) for caption in corpus.train.captions(i)]
        this.text.token_counts(captions)  # encodes what the cache does not hold yet
    with _stage(this, "llama"):
        if needs_training(this.folder / "llama", config.llama_training):
            train_llama(this, corpus)
    with _stage(this, "generate and score"):
        evaluate(this, corpus)
    report = write_report(this)
    print(f"report: {report}", flush=True)
    return report


def environment(folder: Path) -> dict[str, str]:
    """What the numbers of a run depend on; no path of the machine is among it."""
    facts = {row.name: row.value for row in doctor(folder)}
    kept = ("torch", "device", "precision", "cores", "threads", "RAM", "numpy", "transformers")
    return {"Python": platform.python_version(), **{name: facts[name] for name in kept if name in facts}}


@contextmanager
def _stage(this: Run, name: str) -> Iterator[None]:
    """Say what begins, and keep how long it took (times of a continued run add up). Ctrl-C learns where it was."""
    print(f"-- {name}", flush=True)
    began = time.perf_counter()
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.args = (f"{name}: {stop}" if str(stop) else name,)
        raise
    finally:
        seconds = time.perf_counter() - began
        times = this.metrics.get("seconds", {})
        this.record(seconds={**times, name: times.get(name, 0.0) + seconds})
        print(f"   {name}: {seconds:.1f} s", flush=True)
