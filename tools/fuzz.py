"""Mutate every kind of file many times and count what its reader does: `make fuzz`.

    python tools/fuzz.py                          # 20,000 mutations of each format, one process per core
    python tools/fuzz.py --tries 2000 --format BVH --format overrides
    python tools/fuzz.py --format BVH --seed 177  # one try again, with its traceback

Formats, mutators and the verdict are in tests/fuzz/. Mutated files that caused a traceback, took over 6 seconds of CPU,
too much memory, or broke a promise of the reader are kept in --keep, named by format and seed. They are for a look,
and belong in no repository: the format and the seed make them again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.fuzz.attempt import BAD, Outcome, attempt, keep, sample  # noqa: E402
from tests.fuzz.registry import load_formats  # noqa: E402

BLOCK = 250  # tries that a process makes at a time
VERDICTS = ("fine", "refused", *BAD)


def try_block(name: str, seeds: range) -> list[tuple[int, Outcome]]:
    """The tries of some seeds, in a folder of their own."""
    entry = load_formats()[name]
    with tempfile.TemporaryDirectory() as folder:
        files = sample(entry, Path(folder))
        return [(seed, attempt(entry, files, Path(folder), seed)) for seed in seeds]


def try_format(name: str, tries: int, pool: ProcessPoolExecutor, folder: Path) -> Counter[str]:
    """All tries of a format; the faults are kept and the first of each verdict is printed."""
    entry, counts, longest = load_formats()[name], Counter[str](), 0.0
    blocks = [range(first, min(first + BLOCK, tries)) for first in range(0, tries, BLOCK)]
    for results in pool.map(try_block, [name] * len(blocks), blocks):
        for seed, outcome in results:
            counts[outcome.verdict] += 1
            longest = max(longest, outcome.seconds)
            if outcome.verdict in BAD:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory() as fresh:
                    kept = keep(entry, sample(entry, Path(fresh)), seed, folder)
                if counts[outcome.verdict] == 1:
                    last = outcome.text.strip().splitlines()[-1:] or [""]
                    print(f"  {outcome.verdict}: seed {seed}, {kept}: {last[0][:200]}")
    print(
        f"{name:<20}" + "".join(f"{counts[verdict]:>11,}" for verdict in VERDICTS) + f"{longest:>10.2f} s", flush=True
    )
    return counts


def main() -> None:
    """Print a table; exit code 1 when there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=20_000, help="mutations per format")
    parser.add_argument("--format", action="append", choices=sorted(load_formats()), help="all by default")
    parser.add_argument("--seed", type=int, help="one try, with its traceback")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "motionlab-fuzz")
    options = parser.parse_args()
    names = options.format or list(load_formats())
    if options.seed is not None:
        for name in names:
            (_, outcome), *_ = try_block(name, range(options.seed, options.seed + 1))
            print(f"{name} {options.seed}: {outcome.verdict}, {outcome.seconds:.2f} s\n{outcome.text}")
        return
    print(f"{'format':<20}" + "".join(f"{verdict:>11}" for verdict in VERDICTS) + f"{'longest':>12}")
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        counts = [try_format(name, options.tries, pool, options.keep) for name in names]
    faults = sum(count[verdict] for count in counts for verdict in BAD)
    print(f"{faults} faults; the files are in {options.keep}" if faults else "no fault")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
