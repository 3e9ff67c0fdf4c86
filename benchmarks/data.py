"""How fast windows of motion come out of the store, and how much memory many clips take, against other ways.

    python benchmarks/data.py [--only GROUP ...] [--clips N] [--repeat N] [--seconds S] [--quick]

| group | what | compared with | goal |
|-------|------|---------------|------|
| windows | 10 batches of 64 random windows of 96 frames | numpy's gather and cast from the same map | 7x |
|         |                                              | one `np.load` an item | 20x |
|         |                                              | `datasets` (Arrow, zero copy), `webdataset` | 10x |
|         |                                              | `h5py`, one dataset in chunks of 64 rows | none |
| normalised | the same with the normaliser | numpy's gather, then the normaliser | 7x |
| cold | the same, from a map that no process had open, after its pages were dropped | reading the file once from its begin to its end, bytes a second | 0.8 |
| memory | private memory of a new process: opening a store of 100,000 clips with 20 captions each; tokenising 4,000 clips | a limit | 20 MB; 64 MB |
| composing | 200 clips of the preset "tiny" | one after the other | 2x |

Windows are limited by memory: what other programs do to the caches moves the ratio more than the code does (7.5 at a
load of 4.5, 5.7 at 7.4, on two cores). With the normaliser, the division alone takes a quarter of the time; doing it
window by window, while the numbers are in the cache, was not faster. How much a training gains: of a step of the preset
"two_frames" on one CPU core (83 ms) a batch took 2.9 ms by numpy and takes 1.2 ms, so less than a twentieth of the step.

All peers hold the same float16 numbers, and torch casts for them. Those that are not installed are left out and named
(`pip install datasets webdataset h5py`). How it is measured, and why so: `support/measuring.py`. Results go to
`benchmarks/results/`; `--quick` makes everything smaller and writes nothing.
"""  # noqa: E501

from __future__ import annotations

import argparse
import importlib.util
import io
import itertools
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.measuring import Goal, Row, Spread, save_rows, speed_row, take_turns
from torch import Tensor

from motionlab.config import load_config
from motionlab.data.composed.corpus import _compose_block, compose
from motionlab.data.composed.plan import plan_corpus, usable_samples
from motionlab.data.composed.samples import load_samples
from motionlab.data.store import Clip, MotionStore
from motionlab.data.store_files import FEATURES_FILE
from motionlab.jobs.build import make_tokenizer
from motionlab.jobs.token_rows import TokenFile
from motionlab.jobs.tokens import groups, tokenise_group
from motionlab.motion.features import clear_first_row, reset_first_row
from motionlab.motion.motion import Motion
from motionlab.motion.normalizer import Normalizer

RESULTS = Path(__file__).parent / "results"
WINDOW, BATCH, BATCHES = 96, 64, 10
DIM = 272
Work = Callable[[], Tensor]


def make_store(folder: Path, clips: int, frames: tuple[int, int] = (96, 145), captions: int = 3) -> MotionStore:
    """Clips of noise, as long and as large as real ones."""
    random = np.random.default_rng(0)
    noise = torch.randn(4000, DIM, generator=torch.Generator().manual_seed(0))

    def some() -> Iterator[Clip]:
        for i in range(clips):
            length = int(random.integers(*frames))
            start = int(random.integers(4000 - length))
            words = [f"a person walks forward and then does thing {i} in way {k}" for k in range(captions)]
            yield Clip(f"clip_{i:06d}", Motion(noise[start : start + length]), words)

    return MotionStore.write(folder, some())


@dataclass
class Draws:
    """The same random clips and first frames for every contestant; `next` gives those of a batch."""

    lengths: np.ndarray

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(0)

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """Clip numbers `[B]` and first frames `[B]`."""
        clips = self.random.integers(len(self.lengths), size=BATCH)
        return clips, self.random.integers(0, self.lengths[clips] - WINDOW + 1)


def some_batches(batch: Callable[[], Tensor]) -> Work:
    """A few batches; none is kept, as in a training."""

    def work() -> Tensor:
        for _ in range(BATCHES - 1):
            batch()
        return batch()

    return work


def ours(store: MotionStore) -> Callable[[], Tensor]:
    draws = Draws(store.lengths)
    return lambda: store.windows(*draws.next(), WINDOW)


def plain(store: MotionStore) -> Callable[[], Tensor]:
    """Gather and cast by numpy, then a copy with a reset first row."""
    draws, begins = Draws(store.lengths), np.concatenate(([0], np.cumsum(store.lengths)))
    rows = np.memmap(store.folder / FEATURES_FILE, dtype="<f2", mode="r").reshape(-1, DIM)

    def batch() -> Tensor:
        clips, starts = draws.next()
        places = (begins[clips] + starts)[:, None] + np.arange(WINDOW)  # [B, window]
        return reset_first_row(torch.from_numpy(rows[places].astype(np.float32)))

    return batch


def by_item(lengths: np.ndarray, read: Callable[[int, int], np.ndarray]) -> Callable[[], Tensor]:
    """A batch from windows that are read one by one."""
    draws = Draws(lengths)

    def batch() -> Tensor:
        result = torch.stack(
            [torch.from_numpy(read(int(i), int(a))).float() for i, a in zip(*draws.next(), strict=True)]
        )
        clear_first_row(result)
        return result

    return batch


def files(store: MotionStore, folder: Path) -> Callable[[], Tensor]:
    """One `.npy` a clip."""
    folder.mkdir()
    for i in range(len(store)):
        np.save(folder / f"{i}.npy", store.features(i).half().numpy())
    return by_item(store.lengths, lambda i, a: np.load(folder / f"{i}.npy")[a : a + WINDOW])


def arrow(store: MotionStore, folder: Path) -> Callable[[], Tensor]:
    """Hugging Face `datasets`, a row a clip, read without a copy."""
    import datasets

    features = datasets.Features({"rows": datasets.Sequence(datasets.Value("float16"))})
    datasets.disable_progress_bars()
    made = datasets.Dataset.from_generator(
        lambda: ({"rows": store.features(i).half().numpy().reshape(-1)} for i in range(len(store))),
        features=features,
        cache_dir=str(folder),
    ).with_format("arrow")

    def read(i: int, a: int) -> np.ndarray:
        numbers = made[i]["rows"].chunk(0).values.slice(made[i]["rows"].chunk(0).offsets[0].as_py())
        return np.array(numbers.to_numpy()[a * DIM : (a + WINDOW) * DIM]).reshape(WINDOW, DIM)

    return by_item(store.lengths, read)


def tar(store: MotionStore, folder: Path) -> Callable[[], Tensor]:
    """A `webdataset` of one tar file in its own order, through a shuffle buffer of 1,000 clips."""
    import webdataset

    folder.mkdir()
    with tarfile.open(folder / "clips.tar", "w") as archive:
        for i in range(len(store)):
            content = io.BytesIO()
            np.save(content, store.features(i).half().numpy())
            entry = tarfile.TarInfo(f"{i}.npy")
            entry.size = content.tell()
            content.seek(0)
            archive.addfile(entry, content)
    url = str(folder / "clips.tar")
    pipeline = webdataset.WebDataset(url, shardshuffle=False).repeat().shuffle(1000).decode().to_tuple("npy")
    random, samples = np.random.default_rng(0), iter(pipeline)

    def batch() -> Tensor:
        windows = []
        for (rows,) in itertools.islice(samples, BATCH):
            start = int(random.integers(len(rows) - WINDOW + 1))
            windows.append(torch.from_numpy(rows[start : start + WINDOW]).float())
        result = torch.stack(windows)
        clear_first_row(result)
        return result

    return batch


def hdf5(store: MotionStore, folder: Path) -> Callable[[], Tensor]:
    """`h5py`, all rows in one dataset; by itself it would cut the 272 numbers of a row into 8 chunks."""
    import h5py

    folder.mkdir()
    begins = np.concatenate(([0], np.cumsum(store.lengths)))
    file = h5py.File(folder / "clips.h5", "w")
    rows = file.create_dataset("rows", (int(begins[-1]), DIM), dtype="<f2", chunks=(64, DIM))
    for i in range(len(store)):
        rows[begins[i] : begins[i + 1]] = store.features(i).half().numpy()
    return by_item(store.lengths, lambda i, a: rows[begins[i] + a : begins[i] + a + WINDOW])


# package, how it is called, contestant, goal
PEERS = (
    ("", "numpy gather", lambda store, folder: plain(store), 7.0),
    ("", "np.load an item", files, 20.0),
    ("datasets", "HF datasets, Arrow", arrow, 10.0),
    ("webdataset", "WebDataset", tar, 10.0),
    ("h5py", "h5py, chunks of 64 rows", hdf5, None),
)


def windows_rows(store: MotionStore, place: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Windows from memory."""
    contestants: dict[str, Work] = {"ours": some_batches(ours(store))}
    goals: dict[str, float | None] = {}
    for package, name, make, goal in PEERS:
        if package and importlib.util.find_spec(package) is None:
            print(f"{name}: left out, {package} is not installed")
            continue
        contestants[name], goals[name] = some_batches(make(store, place / name.split()[0].strip(","))), goal
    times = take_turns(contestants, options.repeat, options.seconds)
    for name, goal in goals.items():
        wanted = None if goal is None else Goal(">=", goal)
        yield speed_row("windows", f"640 windows, vs {name}", times, "ours", name, wanted)


def normalised_rows(store: MotionStore, options: argparse.Namespace) -> Iterator[Row]:
    """Windows and the normaliser."""
    normalizer = Normalizer(torch.randn(DIM), torch.rand(DIM) + 0.5)
    mine, theirs = ours(store), plain(store)
    contestants = {
        "ours": some_batches(lambda: normalizer.normalize_(mine())),
        "plain": some_batches(lambda: normalizer.normalize(theirs())),
    }
    times = take_turns(contestants, options.repeat, options.seconds)
    yield speed_row("normalised", "640 normalised windows, vs numpy gather", times, "ours", "plain", Goal(">=", 7.0))


def composing_rows(options: argparse.Namespace) -> Iterator[Row]:
    """Clips of the composed corpus."""
    settings = load_config("tiny").corpus
    plans = plan_corpus(settings, usable_samples(load_samples()))["train"][: 12 if options.quick else 200]

    def one_by_one() -> None:
        tracks: dict[str, Any] = {}
        for plan in plans:
            compose(plan, settings.blend_frames, tracks)

    contestants = {"ours": lambda: _compose_block(plans, settings.blend_frames), "plain": one_by_one}
    times = take_turns(contestants, options.repeat, options.seconds)
    yield speed_row("composing", f"{len(plans)} clips, vs one by one", times, "ours", "plain", Goal(">=", 2.0))


def private() -> float:
    """Private memory of this process in MiB: pages of mapped files, which the system may drop, do not count."""
    text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    return int(text.split("Anonymous:")[1].split()[0]) / 1024


def child(job: str, folder: Path) -> None:
    """The numbers of a new process: MiB of private memory that the job added at most, seconds, bytes that it used."""
    torch.set_num_threads(1)
    if job == "read":
        began, size = time.perf_counter(), 0
        with open(folder / FEATURES_FILE, "rb", buffering=0) as file:
            while block := file.read(1 << 22):
                size += len(block)
        print(0, time.perf_counter() - began, size)
        return
    if job == "tokenise":
        store = MotionStore.open(folder)
        torch.manual_seed(0)
        model = make_tokenizer(load_config("tiny").tokenizer).eval()
        normalizer = Normalizer(torch.zeros(DIM), torch.ones(DIM))
        model.encode_clips([store.features(0)])
        before = most = private()
        lengths = np.array([model.token_count(int(frames)) for frames in store.lengths])
        with tempfile.TemporaryDirectory() as place:
            file_of_tokens = TokenFile.create(Path(place) / "codes", {}, lengths)
            for group in groups(store):
                for i, tokens in tokenise_group(model, store, group, normalizer):
                    file_of_tokens.put(i, tokens)
                most = max(most, private())
        print(most - before, 0, 0)
        return
    before, began = private(), time.perf_counter()
    store = MotionStore.open(folder)
    if job == "open":
        print(private() - before, time.perf_counter() - began, 0)
        return
    batch = ours(store)
    began, count = time.perf_counter(), 100
    for _ in range(count):
        batch()
    print(private() - before, time.perf_counter() - began, count * BATCH * WINDOW * DIM * 2)


def in_child(job: str, folder: Path) -> tuple[float, float, float]:
    """The three numbers that `child` prints."""
    command = [sys.executable, __file__, "--child", job, str(folder)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    first, second, third = map(float, out.split())
    return first, second, third


def number_row(group: str, name: str, unit: str, found: list[float], peer: list[float], goal: Goal) -> Row:
    """A row of numbers that no clock of this process took."""
    a, b = (found, peer) if goal.sign == "<=" else (peer, found)
    ratio = Spread.of([x / y for x, y in zip(a, b, strict=True)])
    return Row(group, name, 1, unit, Spread.of(found), Spread.of(peer), ratio, None, goal, os.getloadavg()[0])


def cold_rows(store: MotionStore) -> Iterator[Row]:
    """Seconds a GB of windows and of the whole file, both from the disk."""
    found: list[float] = []
    peer: list[float] = []
    for _ in range(3):
        for job, seconds in (("read", peer), ("windows", found)):
            handle = os.open(store.folder / FEATURES_FILE, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)  # pages that no process has mapped
            os.close(handle)
            _, time_taken, size = in_child(job, store.folder)
            seconds.append(time_taken / size * 1e9)
    yield number_row("cold", "a GB of windows, vs the file in its order", "s", found, peer, Goal(">=", 0.8))


def memory_rows(place: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Private memory of new processes."""
    for clips in (200, 400) if options.quick else (2000, 100_000):
        folder = make_store(place / f"wide{clips}", clips, (4, 5), 20).folder
        memory, seconds, _ = in_child("open", folder)
        limit = Goal("<=", 1.0)
        yield number_row("memory", f"open {clips:,} clips of 20 captions", "MiB", [max(memory, 0.01)], [20.0], limit)
        yield number_row("memory", f"open {clips:,} clips of 20 captions", "s", [seconds], [0.1], limit)
        if clips <= 20_000:
            continue
        memory, _, _ = in_child("tokenise", folder)
        yield number_row("memory", f"tokenise {clips:,} short clips", "MiB", [memory], [64.0], limit)
    for clips in (200,) if options.quick else (2000, 4000):
        memory, _, _ = in_child("tokenise", make_store(place / f"long{clips}", clips).folder)
        yield number_row("memory", f"tokenise {clips:,} clips", "MiB", [memory], [64.0], Goal("<=", 1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description="The store against other ways, one thread.")
    everything = ("windows", "normalised", "cold", "memory", "composing")
    parser.add_argument("--only", nargs="+", choices=everything, default=everything, metavar="GROUP")
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=15, help="rounds at most")
    parser.add_argument("--seconds", type=float, default=60.0, help="for a group, at most about so long")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("JOB", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]))
        return
    if options.quick:
        options.clips, options.seconds = 200, 1.0
    torch.set_num_threads(1)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        store = (
            make_store(place / "store", options.clips) if {"windows", "normalised", "cold"} & {*options.only} else None
        )
        parts: dict[str, Callable[[], Iterator[Row]]] = {
            "memory": lambda: memory_rows(place, options),
            "composing": lambda: composing_rows(options),
        }
        if store is not None:
            opened = store
            parts["windows"] = lambda: windows_rows(opened, place, options)
            parts["normalised"] = lambda: normalised_rows(opened, options)
            parts["cold"] = lambda: cold_rows(opened)
        for name in everything:
            for row in parts[name]() if name in options.only else ():
                print(row, flush=True)
                rows.append(row)
    if not options.quick:
        save_rows(RESULTS / "data_cpu.json", rows)


if __name__ == "__main__":
    main()
