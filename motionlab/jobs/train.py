"""`motionlab train STAGE`: one stage on its own, in one process or in those that torchrun started.

    motionlab train tokenizer --preset laptop
    torchrun --nproc-per-node 2 -m motionlab train tokenizer --preset laptop

Everything that is made once (folder, corpus, normaliser, tokens, text features) is made by rank 0 while the
others wait, so no file has two writers. docs/distributed.md has the commands for several machines.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from motionlab.config import RunConfig, to_yaml
from motionlab.errors import printable
from motionlab.files.lock import using
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages import stage_class
from motionlab.jobs.stages.run_stage import RunStage
from motionlab.jobs.training_hooks import training_hooks
from motionlab.jobs.training_report import write_training_report
from motionlab.runtime import choose_device, one_thread
from motionlab.training.checkpoints.checkpoint import has_checkpoint, load_weights
from motionlab.training.distributed import World, connected
from motionlab.training.loop import fit
from motionlab.training.reporting.loggers import check_loggers


def train_stage(name: str, config: RunConfig, folder: str | Path, variant: str | None = None) -> Path:
    """Train (or continue to train) one stage, write its report and return its folder.

    The resolved settings are printed before the training begins, and kept as `config.yaml`.

    Args:
        name: one of `motionlab.jobs.stages.STAGES`.
        variant: for a stage that has variants, the one to train; for the tokenizer a quantizer.

    Raises:
        InputError: no such stage or variant; another process at work in the folder; and what `fit` raises.
        MissingExtra: the package of a logger is not installed.
    """
    kind = stage_class(name)
    kind.check_data(config)
    kind.check(config, variant)
    choose_device(config.device)  # refuses one that is not here before anything is written
    with connected(config.device) as world:
        if world.is_first:
            check_loggers(getattr(config, f"{name}_training").loggers)
        with using(folder) if world.is_first else nullcontext():
            with world.first_alone():
                run = Run.planned(folder, config)
                splits = kind.prepare(run)  # refuses other data before anything of the run is changed
                kind.check_run(run)
                run.save_config()
            print(printable(to_yaml(config), lines=True), flush=True)
            stage = kind(run, splits, variant)
            train(stage)
            if world.is_first:
                report = write_training_report(stage.folder)
                print(f"trained: {printable(stage.folder)}\nreport: {printable(report)}", flush=True)
            return stage.folder


def train(stage: RunStage[Any], watch: Callable[[int], None] | None = None) -> None:
    """Train (or continue to train) a stage of a run; afterwards its model is in eval mode, with its best weights.

    Without validation (a stage that has none, or motions without validation clips) nothing says which weights are the
    best, and the last ones are kept.

    Args:
        watch: called with the number of each micro-batch, before it is read.
    """
    if watch is not None:
        stage.watch = watch
    with one_thread(stage.little_work):
        fit(
            stage,
            stage.settings,
            stage.folder,
            device=stage.device,
            resume=has_checkpoint(stage.folder / "checkpoints"),
            hooks=training_hooks(stage.run, stage.folder, stage.settings),
        )
    _keep_best(stage)


def _keep_best(stage: RunStage[Any]) -> None:
    """Load the best weights into the model, and keep them with the run."""
    world, kept = World.current(), "best"
    if stage.validate is None:
        kept = "last"
        if world.is_first:
            print(f"{printable(stage.title)}: nothing to validate on, so the last weights are kept", flush=True)
    if world.size > 1:  # the trained model may be in parts
        stage.model = stage.make().to(stage.device)
    load_weights(stage.model, stage.folder / "checkpoints", kept)
    if world.is_first:
        stage.keep()
    world.barrier()
    stage.model.eval()
