"""The price of rounded weights on trained runs: tokens and action scores of ONNX Runtime next to those of torch.

    python benchmarks/engine_cost.py [runs/tiny runs/seed1 ...] [--engine onnx-int8] [--clips N]

Without a run it is the one that comes with the package. For each test split of each run: the share of steps with the
same most likely token, the share of motions with the same tokens, and the action scores with their 95 % intervals over
clips. `--engine onnx` is the check of the check: 100 % and 0. With all clips the numbers are kept in
`results/engine_cost.json`, a list of runs for each engine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from support.measuring import machine

from motionlab.files import write_text
from motionlab.jobs.engine_cost import engine_cost
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import BUNDLED, Run

RESULTS = Path(__file__).parent / "results" / "engine_cost.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the numbers of every test split, and keep them."""
    parser = argparse.ArgumentParser(description="Tokens and scores of an engine against torch, on trained runs.")
    parser.add_argument("runs", nargs="*", default=[BUNDLED], help="the folders of runs that were evaluated")
    parser.add_argument("--engine", choices=["onnx", "onnx-int8"], default="onnx-int8")
    parser.add_argument("--clips", type=int, default=None, help="of each split, at most; writes nothing")
    options = parser.parse_args(arguments)
    measured: list[dict[str, Any]] = []
    for folder in options.runs:
        run, splits = Run.open(folder), {}
        for name, clips in prepare(run.config).tests.items():
            print(f"{folder}: {name}", flush=True)
            cost = engine_cost(run, clips, options.engine, options.clips)
            for line in cost.lines():
                print(f"  {line}")
            splits[name] = asdict(cost)
        measured.append({"run": run.config.name, "seed": run.config.llama_training.seed, "splits": splits})
    if options.clips is None:
        kept = json.loads(RESULTS.read_text(encoding="utf-8"))["engines"] if RESULTS.exists() else {}
        write_text(
            RESULTS, json.dumps({"machine": machine(), "engines": kept | {options.engine: measured}}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
