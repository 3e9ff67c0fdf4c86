"""The main job of the robot half: demonstrations, backbone, policy, trials, report. Stopped anywhere, it continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from motionlab.config import RunConfig
from motionlab.environment import launch
from motionlab.errors import InputError, printable
from motionlab.files.lock import using
from motionlab.jobs.artefacts import read_record
from motionlab.jobs.main_job import stage_of_job
from motionlab.jobs.measured import environment
from motionlab.jobs.run_folder import Run
from motionlab.jobs.run_settings import needs_training
from motionlab.jobs.stages.vla import VlaStage
from motionlab.jobs.stages.vla_pretrain import VlaPretrainStage
from motionlab.jobs.train import train
from motionlab.jobs.training_report import write_training_report
from motionlab.jobs.vla.closed_loop import evaluate_vla
from motionlab.jobs.vla.data import Demonstrations, bind_demonstrations, prepare_demonstrations, require_demonstrations
from motionlab.jobs.vla.report import write_vla_report
from motionlab.jobs.vla.settings import vla_settings
from motionlab.jobs.vla.worlds import has_world, world_of
from motionlab.runtime import choose_device, choose_precision, seed_everything, set_threads
from motionlab.training.reporting.loggers import check_loggers


def run_vla(config: RunConfig, folder: str | Path) -> Path:
    """Do everything and return the path of the report.

    A stage whose result is in the folder is not done again; training continues from its last checkpoint.

    Raises:
        InputError: settings from which a policy cannot be built, or that do not fit what the folder holds; another
            process is at work in it; or it was started by torchrun.
        MissingExtra: h5py, or the package of a logger, is not installed.
    """
    if started := launch():
        raise InputError(
            "motionlab run",
            found=f"{started.size} processes of torchrun",
            expected="one process",
            fix="Use torchrun for motionlab train vla_pretrain and train vla; motionlab run continues from there.",
        )
    settings = vla_settings(config)
    VlaStage.check_data(config)
    VlaStage.check(config)
    check_loggers([*settings.vla_pretrain_training.loggers, *settings.vla_training.loggers])
    threads = set_threads()
    device = choose_device(config.device)
    precision = choose_precision(device.value, settings.vla_training.precision)
    with using(folder):
        this = Run.planned(Path(folder), config)
        print(f"run {config.name} in {printable(this.folder)}\ndevice: {device}, {threads} threads", flush=True)
        print(f"precision: {precision}", flush=True)
        return _run(this, threads)


def _run(this: Run, threads: int) -> Path:
    """The stages, one after the other."""
    settings = vla_settings(this.config)
    seed_everything(settings.seed)
    begun, data = (this.folder / "config.yaml").exists(), None
    if begun or not has_world(settings):  # bad or other ones are refused before anything is changed
        data = prepare_demonstrations(settings, processes=threads)
    if begun and data is not None:
        require_demonstrations(this, data)
    this.save_config()
    with stage_of_job(this, "demonstrations"):
        data = data or prepare_demonstrations(settings, processes=threads)
        bind_demonstrations(this, data)
        print(f"   {data.describe()}", flush=True)
    this.record(environment=environment(this.folder))
    if settings.vla.backbone_path is None:
        with stage_of_job(this, "backbone"):
            _train(this, data, VlaPretrainStage, settings.vla_pretrain_training)
    with stage_of_job(this, "policy"):
        _train(this, data, VlaStage, settings.vla_training)
    if has_world(settings):
        with stage_of_job(this, "trials"):
            evaluate_vla(this, data, show=True, processes=threads)
    report = write_vla_report(this)
    print(f"report: {printable(report)}", flush=True)
    return report


def _train(this: Run, data: Demonstrations, kind: Any, settings: Any) -> None:
    """Train a stage unless the folder holds a finished training on these demonstrations."""
    folder = this.stage_folder(kind.name)
    if needs_training(folder, settings) or read_record(folder).get("demonstrations", data.digest) != data.digest:
        stage = kind(this, data)
        train(stage)
        write_training_report(stage.folder)


def evaluate_run(this: Run) -> Path:
    """Try the policy of a run again and write its report.

    Raises:
        InputError: no policy yet, other demonstrations, or one for another world.
    """
    world_of(vla_settings(this.config))  # refuses files, whose world is not known, before they are read
    data = prepare_demonstrations(this.config)
    require_demonstrations(this, data)
    found = evaluate_vla(this, data, show=True, processes=set_threads())
    this.save_config()  # what the numbers of the folder were made with
    value, low, high, n = found["overall"]["success"]
    print(f"success: {value:.0%} ({low:.0%} to {high:.0%}) of {n} episodes", flush=True)
    return write_vla_report(this)
