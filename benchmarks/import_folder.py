"""How well `motionlab import` uses several processes: a folder of copies, with one process and with all cores, in turn.

    python benchmarks/import_folder.py [--files FOLDER] [--copies 400] [--rounds 3]

A folder of a tenth of the copies is imported each time, too, and only the difference counts: the start of a process,
mostly torch's import, is the same for ten files and for ten thousand. Two shares are printed; 1 is perfect. The first
one is (seconds with one) / (cores x seconds with all) and needs a machine with nothing else to do. The second one is
(CPU seconds with one) / (CPU seconds with all): what the processes do besides, whatever else runs. Without `--files`
the bundled motions are written as BVH.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.bvh_write import write_bvh


def fill(folder: Path, files: Path | None, copies: int) -> None:
    """Write `copies` files: those of a folder, or bundled motions, again and again."""
    folder.mkdir()
    if files is None:
        files = folder
        for number, sample in enumerate(load_samples()[:copies]):
            write_bvh(folder / f"{number:04d}.bvh", sample.motion)
    sources = sorted(path for path in files.iterdir() if path.suffix == ".bvh")
    for number in range(len(sources) if files == folder else 0, copies):
        shutil.copy(sources[number % len(sources)], folder / f"{number:04d}.bvh")


def once(inputs: Path, workers: int) -> tuple[float, float]:
    """Wall seconds and CPU seconds of all processes."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "motionlab", "import", str(inputs), "--out", f"{out}/clips"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*command, "--workers", str(workers)], stdout=subprocess.DEVNULL, check=True)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path)
    parser.add_argument("--copies", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = psutil.cpu_count(logical=False) or 1
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    kinds = [(workers, size) for workers in (1, cores) for size in ("few", "many")]
    with tempfile.TemporaryDirectory() as place:
        fill(Path(place) / "few", options.files, max(1, options.copies // 10))
        fill(Path(place) / "many", options.files, options.copies)
        rounds = [{kind: once(Path(place) / kind[1], kind[0]) for kind in kinds} for _ in range(options.rounds)]
    files = options.copies - max(1, options.copies // 10)
    print(f"{files} files, {options.rounds} rounds, {cores} cores, load {os.getloadavg()[0]:.1f}")
    differences = [
        {n: [many - few for many, few in zip(one[n, "many"], one[n, "few"], strict=True)] for n in (1, cores)}
        for one in rounds
    ]
    for workers in (1, cores):
        wall, cpu = (statistics.median(one[workers][column] for one in differences) for column in range(2))
        print(f"{workers} processes: {wall:.1f} s, {cpu:.1f} CPU s, {1000 * cpu / files:.0f} CPU ms a file")
    timed = statistics.median(one[1][0] / (cores * one[cores][0]) for one in differences)
    work = statistics.median(one[1][1] / one[cores][1] for one in differences)
    print(f"share of {cores} x one core: {timed:.2f} as timed, {work:.2f} of the CPU seconds")


if __name__ == "__main__":
    main()
