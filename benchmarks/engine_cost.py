"""The price of rounded weights on a trained run: tokens and action scores of ONNX Runtime next to those of torch.

    python benchmarks/engine_cost.py runs/tiny [--engine onnx-int8] [--clips N]

For each test split: the share of steps with the same most likely token, the share of motions with the same tokens, and
the action scores with their 95 % intervals over clips. `--engine onnx` is the check of the check: 100 % and 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from motionlab.jobs.engine_cost import engine_cost
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the numbers of every test split."""
    parser = argparse.ArgumentParser(description="Tokens and scores of an engine against torch, on a trained run.")
    parser.add_argument("run", help="the folder of a run that was evaluated")
    parser.add_argument("--engine", choices=["onnx", "onnx-int8"], default="onnx-int8")
    parser.add_argument("--clips", type=int, default=None, help="of each split, at most")
    options = parser.parse_args(arguments)
    run = Run.open(options.run)
    for name, clips in prepare(run.config).tests.items():
        print(name)
        for line in engine_cost(run, clips, options.engine, options.clips).lines():
            print(f"  {line}")


if __name__ == "__main__":
    main()
