"""The main job: motions, both tokenizers, decoder, generation, report. Stopped anywhere, it continues from there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from motionlab.config import RunConfig
from motionlab.environment import launch
from motionlab.errors import InputError, printable
from motionlab.files.lock import using
from motionlab.jobs.artefacts import is_trained
from motionlab.jobs.build import check_buildable
from motionlab.jobs.evaluate import evaluate
from motionlab.jobs.known_actions import record_known_captions
from motionlab.jobs.measured import environment, record_machine, record_tokenizers
from motionlab.jobs.prepare import (
    check_captions,
    check_data,
    check_test_clips,
    check_tests,
    fit_normalizer,
    prepare,
    require_splits,
    tell,
)
from motionlab.jobs.report import write_report
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.llama import llama_source
from motionlab.jobs.text_features import encode_ahead
from motionlab.jobs.tokens import training_codes
from motionlab.jobs.train_llama import train_llama
from motionlab.jobs.train_tokenizer import train_tokenizers
from motionlab.runtime import Choice, choose_device, choose_precision, seed_everything, set_threads
from motionlab.training.reporting.loggers import check_loggers


def run(config: RunConfig, folder: str | Path) -> Path:
    """Do everything and return the path of the report.

    A stage whose result is in the folder, made from the current inputs, is not done again; training continues from its
    last checkpoint.

    Raises:
        InputError: settings from which a model cannot be built, or that do not fit what the folder holds; the folder
            holds a training on other motions or tokens; another process is at work in it; or it was started by
            torchrun. Only the training stages know how to share their work.
        MissingExtra: the package of a logger is not installed.
    """
    if started := launch():
        raise InputError(
            "motionlab run",
            found=f"{started.size} processes of torchrun",
            expected="one process",
            fix="Use torchrun for motionlab train tokenizer and train llama; motionlab run continues from there.",
        )
    check_data(config)
    check_test_clips(config)
    check_buildable(config, config.quantizers)
    check_loggers([*config.tokenizer_training.loggers, *config.llama_training.loggers])
    threads = set_threads()
    device = choose_device(config.device)
    precision = choose_precision(device.value, config.llama_training.precision)
    with using(folder):
        return _run(config, Path(folder), threads, device, precision)


def _run(config: RunConfig, folder: Path, threads: int, device: Choice, precision: Choice) -> Path:
    """The stages, one after the other."""
    this = Run.planned(folder, config)
    known = None
    if config.data.source != "composed" or (this.folder / "config.yaml").exists():
        # Other motions, or none, are refused before anything of the run is changed.
        known = prepare(config, processes=threads)
        require_splits(this, known)
        check_tests(known)
        tell(known)
    this.save_config()
    print(f"run {config.name} in {printable(this.folder)}\ndevice: {device}, {threads} threads", flush=True)
    print(f"precision: {precision}", flush=True)
    seed_everything(config.seed)
    this.record(environment=environment(this.folder))

    with stage_of_job(this, "corpus"):
        splits = known or prepare(config, processes=threads)
        fit_normalizer(this, splits)
        record_machine(this, splits)
    with stage_of_job(this, "text features"):  # before the trainings: a caption that cannot be read is found now
        encode_ahead(this, splits, processes=threads)
        check_captions(this, splits, "train", "validation")
        record_known_captions(this, splits)
    with stage_of_job(this, "tokenizers"):
        train_tokenizers(this, splits, config.quantizers, threads=threads if device.value == "cpu" else 1)
        record_tokenizers(this, splits)
    with stage_of_job(this, "tokens"):
        codes = training_codes(this, splits)
    with stage_of_job(this, "llama"):
        source = llama_source(this, splits, codes)
        if not is_trained(this.folder / "llama", source, config.llama_training):
            train_llama(this, splits)
    with stage_of_job(this, "generate and score"):
        evaluate(this, splits, show=True)
    report = write_report(this)
    print(f"report: {printable(report)}", flush=True)
    return report


@contextmanager
def stage_of_job(this: Run, name: str) -> Iterator[None]:
    """Say what begins, and keep how long it took (times of a continued run add up). Ctrl-C reports where it was."""
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
