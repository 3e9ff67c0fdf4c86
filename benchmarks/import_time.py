"""How long `import motionlab` takes in a fresh interpreter.

Eleven processes; printed are the median, the fastest and the slowest, less the same for an empty interpreter. The goal
is under 0.2 s. This is a benchmark and not a test, because a busy machine makes any wall-clock limit a lie; the test
(tests/test_imports.py) asserts the cause instead: no heavy package is imported.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 11
STATEMENTS = {
    "empty interpreter": "pass",
    "import motionlab": "import motionlab",
    "import motionlab.cli": "import motionlab.cli",
    "import torch (to compare)": "import torch",
}


def seconds(statement: str) -> list[float]:
    """Wall time of `RUNS` fresh interpreters that run one statement."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        times.append(time.perf_counter() - started)
    return times


def main() -> None:
    base = 0.0
    print(f"{'statement':<28}{'median':>9}{'fastest':>9}{'slowest':>9}   seconds, {RUNS} processes each")
    for name, statement in STATEMENTS.items():
        times = sorted(seconds(statement))
        row = [statistics.median(times), times[0], times[-1]]
        print(f"{name:<28}" + "".join(f"{value - base:>9.3f}" for value in row))
        if name == "empty interpreter":
            base = row[0]
            print(f"{'':<28}   (the rows below are less the median of the row above)")


if __name__ == "__main__":
    main()
