"""`motionlab train tokenizer|llama`: one stage by itself, in one process or in those that torchrun started.

    motionlab train tokenizer --preset laptop
    torchrun --nproc-per-node 2 -m motionlab train tokenizer --preset laptop

What is made once and found afterwards (folder, corpus, normaliser, tokens, text features) is made by rank 0 while the
others wait, so no file has two writers. docs/distributed.md has the commands for several machines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from motionlab.config import RunConfig
from motionlab.config_file import to_yaml
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train_llama import train_llama
from motionlab.jobs.train_tokenizer import train_tokenizer
from motionlab.jobs.training_report import write_training_report
from motionlab.training.distributed import connected

Stage = Literal["tokenizer", "llama"]


def train_stage(stage: Stage, config: RunConfig, folder: str | Path, quantizer: str | None = None) -> Path:
    """Train (or go on training) one stage, write its report and return its folder.

    The resolved settings are printed first and kept as `config.yaml`.
    """
    with connected(config.device) as world:
        print(to_yaml(config), flush=True)
        with world.first_alone():
            run = Run.create(folder, config)
            splits = prepare(config.corpus)
        if stage == "llama":
            place = run.folder / "llama"
            train_llama(run, splits)
        else:
            place = run.tokenizer_folder(quantizer or config.tokenizer.quantizer)
            train_tokenizer(run, splits, quantizer)
        if world.is_first:
            print(f"trained: {place}\nreport: {write_training_report(place)}", flush=True)
        return place
