"""How often the expert solves LIBERO's tasks, by LIBERO's own check, from the initial states that everyone uses.

    python benchmarks/libero_expert.py --suite libero_object [--tasks 0,1] [--states 0:50] [--stepper own] [--out FILE]

About two processor seconds an episode. Results are kept after each task; a task that is measured again
replaces its older row. Needs the extra `libero`. Results go to `benchmarks/results/libero_expert.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from motionlab.errors import InputError, MissingExtra
from motionlab.evaluation.intervals import wilson
from motionlab.files import write_text
from motionlab.vla.libero_env.env import LiberoEnv
from motionlab.vla.libero_env.record import follow_expert
from motionlab.vla.libero_env.suites import suite

RESULTS = Path(__file__).parent / "results" / "libero_expert.json"
MOST_STEPS = 300


def measure(env: LiberoEnv, task: int, states: range) -> dict[str, Any]:
    """One task: success with its interval, steps, and the initial states that failed."""
    started, failed, lengths = time.process_time(), [], []
    for state in states:
        steps = follow_expert(env, task, state, MOST_STEPS)
        if steps is None:
            failed.append(state)
        else:
            lengths.append(steps)
    share = wilson(len(lengths), len(states))
    return {
        "instruction": env.tasks[task],
        "solved": len(lengths),
        "episodes": len(states),
        "success": [round(one, 4) for one in (share.value, share.low, share.high)],
        "states": f"{states.start}:{states.stop}",
        "failed states": failed,
        "steps, mean": round(sum(lengths) / len(lengths), 1) if lengths else None,
        "steps, most": max(lengths, default=None),
        "processor seconds an episode": round((time.process_time() - started) / len(states), 2),
        "stepper": env.stepper_name,
    }


def keep(path: Path, group: str, task: str, row: dict[str, Any]) -> None:
    """Put one row into the file, with whatever it holds by now."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows = found.setdefault(group, {}) | {task: row}
    found[group] = dict(sorted(rows.items(), key=lambda item: int(item[0])))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(dict(sorted(found.items())), indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="libero_goal")
    parser.add_argument("--tasks", default="", help="such as 6,8; all of the suite if left out")
    parser.add_argument("--states", default="0:10", help="first and last plus one")
    parser.add_argument("--stepper", default="own", choices=("own", "official"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    try:
        tasks = [int(task) for task in arguments.tasks.split(",") if task] or list(range(len(suite(arguments.suite))))
    except MissingExtra as error:
        print(error)  # `make bench` runs every benchmark, and the set-up leaves this extra out
        return 0
    rows: dict[str, Any] = {}
    with LiberoEnv(arguments.suite, stepper=arguments.stepper) as env:  # nothing is drawn
        for task in tasks:
            try:
                rows[str(task)] = measure(env, task, range(*map(int, arguments.states.split(":"))))
            except InputError as error:
                print(task, error)  # a goal that the expert does not know
                continue
            row = rows[str(task)]
            percent = wilson(row["solved"], row["episodes"]).percent()
            cost, failed = f"{row['processor seconds an episode']} s", row["failed states"]
            solved = f"{row['solved']}/{row['episodes']}, {percent}"
            print(arguments.suite, task, solved, row["steps, mean"], cost, failed, row["instruction"], flush=True)
            keep(arguments.out, f"{arguments.suite}, {arguments.stepper} stepper", str(task), row)
    solved, episodes = (sum(row[key] for row in rows.values()) for key in ("solved", "episodes"))
    if episodes:
        print(arguments.suite, f"{solved}/{episodes}", wilson(solved, episodes).percent())
    return 0


if __name__ == "__main__":
    sys.exit(main())
