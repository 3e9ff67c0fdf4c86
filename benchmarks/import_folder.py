"""How well `motionlab import` uses several processes: a folder of copies, with one process and with all cores, in turn.

    python benchmarks/import_folder.py [--files FOLDER] [--copies 200] [--rounds 3]

The first round is thrown away. The share is (seconds with one) / (cores x seconds with all): 1 is perfect. On a busy
machine look at the second share, which leaves out the time in which a process was ready and had no core: the system
counts it (`/proc/PID/schedstat`, Linux). Without `--files` the bundled motions are written as BVH.
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
import threading
import time
from pathlib import Path

import psutil

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.bvh_write import write_bvh

PAUSE = 0.05  # seconds between two looks at the processes


def fill(folder: Path, files: Path | None, copies: int) -> None:
    """Write `copies` files: those of a folder, or bundled motions, again and again."""
    folder.mkdir()
    if files is None:
        for number, sample in enumerate(load_samples()):
            write_bvh(folder / f"{number:04d}.bvh", sample.motion)
        files = folder
    sources = sorted(path for path in files.iterdir() if path.suffix == ".bvh")
    for number in range(len(sources) if files == folder else 0, copies):
        shutil.copy(sources[number % len(sources)], folder / f"{number:04d}.bvh")


def watch(process: psutil.Process, waited: dict[int, tuple[int, int]], done: threading.Event) -> None:
    """Keep, for each process of a tree, its nanoseconds on a core and ready without one."""
    while not done.wait(PAUSE):
        try:
            family = [process, *process.children(recursive=True)]
        except psutil.Error:
            return
        for one in family:
            try:
                ran, ready = Path(f"/proc/{one.pid}/schedstat").read_text().split()[:2]
                waited[one.pid] = (int(ran), int(ready))
            except (OSError, ValueError):
                continue


def once(inputs: Path, workers: int) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds, and the wall seconds that a free machine would take."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "motionlab", "import", str(inputs), "--out", f"{out}/clips"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        with subprocess.Popen([*command, "--workers", str(workers)], stdout=subprocess.DEVNULL) as process:
            times: dict[int, tuple[int, int]] = {}
            done = threading.Event()
            thread = threading.Thread(target=watch, args=(psutil.Process(process.pid), times, done))
            thread.start()
            code = process.wait()
            done.set()
            thread.join()
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if code:
            raise SystemExit(f"the import ended with {code}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    ready = sum(ready for _, ready in times.values()) / 1e9
    return seconds, cpu, seconds - ready / workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = psutil.cpu_count(logical=False) or 1
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as place:
        inputs = Path(place) / "in"
        fill(inputs, options.files, options.copies)
        rounds = [[once(inputs, workers) for workers in (1, cores)] for _ in range(options.rounds + 1)][1:]
    print(
        f"{options.copies} files, {cores} cores, {options.rounds} rounds: seconds, CPU seconds, seconds without waiting"
    )
    for at, workers in enumerate((1, cores)):
        medians = [statistics.median(one[at][column] for one in rounds) for column in range(3)]
        print(f"{workers} processes: " + ", ".join(f"{value:.1f}" for value in medians))
    for column, what in ((0, "as timed"), (2, "without waiting for a core")):
        share = statistics.median(one[0][column] / (cores * one[1][column]) for one in rounds)
        print(f"share of {cores} x one core, {what}: {share:.2f}")


if __name__ == "__main__":
    main()
