"""The time of one training step of each strategy, for lesson 08.

    cd notebooks && train=lessons.masking_vs_teacher_forcing.strategy_times
    python -m $train ../runs/two_frames results/strategy_times.json

The strategies take turns, step by step, on the same batches: other work of the machine affects all of them alike. The
number is the median. The times of the ablation itself are from long runs, with other programs running.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from motionlab.files import write_text
from motionlab.jobs.ablations.strategy_point import STRATEGIES, open_ground
from motionlab.jobs.build import make_llama
from motionlab.llama.objectives.strategies import MaskedModelling
from motionlab.runtime import one_thread
from motionlab.training.optimizer import make_optimizer

WARM = 2  # first rounds, which are not counted


def time_strategies(run: str | Path, rounds: int = 15) -> dict[str, Any]:
    """Median seconds of a step (forward, backward, optimizer) of each strategy, with one thread.

    Returns:
        "seconds": strategy -> median; "batch": shape of the batches; "rounds": how many were counted.
    """
    with one_thread():
        ground = open_ground(str(run))
        settings = ground.run.config.llama_training
        size, endless = settings.batch_size, itertools.cycle(range(len(ground.splits.train)))
        batches = [ground.batch(list(itertools.islice(endless, size))).seeded(i) for i in range(rounds + WARM)]
        models, optimizers = {}, {}
        for name, strategy in STRATEGIES.items():
            mask_token = isinstance(strategy, MaskedModelling)
            models[name] = make_llama(
                ground.run.config,
                codebook_size=ground.codebook_size,
                text_dim=ground.run.text.dim,
                mask_token=mask_token,
            ).train()
            optimizers[name] = make_optimizer(
                models[name], lr=1e-4, betas=settings.betas, weight_decay=settings.weight_decay
            )
        times: dict[str, list[float]] = {name: [] for name in STRATEGIES}
        for batch in batches:
            for name, strategy in STRATEGIES.items():
                began = time.perf_counter()
                strategy(models[name], batch).loss.backward()
                optimizers[name].step()
                optimizers[name].zero_grad(set_to_none=True)
                times[name].append(time.perf_counter() - began)
    return {
        "seconds": {name: round(statistics.median(values[WARM:]), 4) for name, values in times.items()},
        "batch": list(batches[-1].tokens.shape),
        "rounds": rounds,
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(
            "usage: cd notebooks && python -m lessons.masking_vs_teacher_forcing.strategy_times RUN_FOLDER OUT.json"
        )
    write_text(Path(sys.argv[2]), json.dumps(time_strategies(sys.argv[1]), indent=1) + "\n")
