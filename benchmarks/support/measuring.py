"""How the benchmarks measure: two ways of doing one thing, by turns in one process, and the spread of their ratio.

A busy machine slows down whatever happens to run. Two programs timed one after the other then differ by the load and
not by the code. Here a round runs every contestant once, rounds change the order, and the ratio is taken round by
round, so that what slows one round slows both sides of it. Reported are the median and the quartiles.

The processor time of the process is given next to the wall clock. With one thread it does not count what other programs
took; with several it counts waiting as work, so only the wall clock is compared there.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from motionlab.cost.allocations import record_memory
from motionlab.files import write_text

MIB = 2**20
FEWEST_ROUNDS = 3  # a median needs three, whatever the time limit says


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of `n` values."""

    median: float
    q1: float
    q3: float
    n: int

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """The spread of one or more values."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, q1, q3, len(values))


@dataclass(frozen=True)
class Goal:
    """`sign` is ">=" or "<="; the goal is met when the median is on that side of `value`."""

    sign: str
    value: float

    def met(self, found: float) -> bool:
        """Whether a number reaches the goal."""
        return found >= self.value if self.sign == ">=" else found <= self.value


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Fields:
        group: what `--only` chooses.
        name: what was measured, with its size.
        threads: of torch.
        ours, peer: seconds or MiB.
        ratio: what the goal speaks of: peer / ours where the goal is "at least", ours / peer where it is "at most".
        cpu_ratio: the same of processor time; with one thread only.
        goal: None for a row that only informs.
        load: how many processes wanted a processor, as the mean of the last minute.
    """

    group: str
    name: str
    threads: int
    unit: str
    ours: Spread
    peer: Spread
    ratio: Spread
    cpu_ratio: Spread | None
    goal: Goal | None
    load: float

    @property
    def verdict(self) -> str:
        """The goal, and whether it was met."""
        if self.goal is None:
            return ""
        if not self.goal.met(self.ratio.median):
            return f"goal {self.goal.sign} {self.goal.value:.4g}: MISSED"
        return f"goal {self.goal.sign} {self.goal.value:.4g}: met"

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"met": None if self.goal is None else self.goal.met(self.ratio.median)}

    def __str__(self) -> str:
        scale = 1000 if self.unit == "s" else 1  # seconds are shown as milliseconds
        unit = "ms" if self.unit == "s" else self.unit
        cpu = "" if self.cpu_ratio is None else f"cpu {self.cpu_ratio.median:.3g}"
        ratio = f"{self.ratio.median:.3g} ({self.ratio.q1:.3g}..{self.ratio.q3:.3g})"
        return (
            f"{self.name:<46}{self.threads:>2} thr {self.ours.median * scale:>9.4g} {unit:<3} vs"
            f"{self.peer.median * scale:>9.4g} {unit:<3} ratio {ratio:<22}{cpu:<10}{self.ratio.n:>3} rounds"
            f"  load {self.load:<5.1f} {self.verdict}"
        )


@dataclass(frozen=True)
class Limits:
    """How much is measured: rounds and seconds per comparison, and whether everything is made smaller."""

    rounds: int = 9
    seconds: float = 5.0
    quick: bool = False

    def take_turns(self, **contestants: Callable[[], Any]) -> dict[str, list[tuple[float, float]]]:
        """`take_turns` with these limits."""
        return take_turns(contestants, self.rounds, self.seconds)


def take_turns(
    contestants: Mapping[str, Callable[[], Any]], rounds: int, seconds: float
) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of every contestant in every round.

    Args:
        rounds: at most so many, after a first one that is not counted. (It is when it took longer than `seconds`: what
            is done only once, like the choice of a kernel, takes milliseconds.)
        seconds: stop after the round in which this limit is passed, but not before the third.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    names = list(contestants)

    def play(order: list[str]) -> None:
        for name in order:
            wall, processor = time.perf_counter(), time.process_time()
            contestants[name]()
            times[name].append((time.perf_counter() - wall, time.process_time() - processor))

    began = time.perf_counter()
    play(names)
    if time.perf_counter() - began < seconds:
        for kept in times.values():
            kept.clear()
        began = time.perf_counter()
    for number in range(len(times[names[0]]), rounds):
        if number >= FEWEST_ROUNDS and time.perf_counter() - began > seconds:
            break
        play(names if number % 2 == 0 else names[::-1])
    return times


def by_processor(times: dict[str, list[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    """Processor seconds in the place of the clock's: with one thread they do not count what other programs took."""
    return {name: [(cpu, cpu) for _, cpu in rounds] for name, rounds in times.items()}


def speed_row(
    group: str, name: str, times: Mapping[str, list[tuple[float, float]]], ours: str, peer: str, goal: Goal | None
) -> Row:
    """Compare two contestants of `take_turns`."""
    a, b = times[ours], times[peer]
    if goal is not None and goal.sign == "<=":
        a, b = b, a
    ratios = [[y[i] / x[i] for x, y in zip(a, b, strict=True)] for i in (0, 1)]
    return Row(
        group,
        name,
        torch.get_num_threads(),
        "s",
        ours=Spread.of([t for t, _ in times[ours]]),
        peer=Spread.of([t for t, _ in times[peer]]),
        ratio=Spread.of(ratios[0]),
        cpu_ratio=Spread.of(ratios[1]) if torch.get_num_threads() == 1 else None,
        goal=goal,
        load=os.getloadavg()[0],
    )


def memory_row(group: str, name: str, ours: Callable[[], Any], peer: Callable[[], Any], goal: Goal) -> Row:
    """Compare what two ways hold at most beyond what they were given, results included. Counted, so without spread.

    Measure the time first: what is made only once (gradient buffers, a cache) belongs to no step.
    """
    sizes = [Spread.of([extra_memory(run) / MIB]) for run in (ours, peer)]
    a, b = sizes if goal.sign == ">=" else reversed(sizes)
    ratio = Spread.of([b.median / a.median])
    return Row(group, name, torch.get_num_threads(), "MiB", sizes[0], sizes[1], ratio, None, goal, os.getloadavg()[0])


def extra_memory(run: Callable[[], Any]) -> int:
    """The most bytes that tensors made by `run` held at once, as the allocator counted them."""
    with record_memory() as memory:
        run()
    return memory.peak


def machine() -> dict[str, Any]:
    """Everything that the numbers depend on; nothing that names the machine."""
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", ""),
    }


def save_rows(path: Path, rows: list[Row]) -> None:
    """Write the rows, and keep what the file holds already of groups (with so many threads) that are not among them."""
    measured = {(row.group, row.threads) for row in rows}
    kept: list[dict[str, Any]] = []
    if path.exists():
        old = json.loads(path.read_text(encoding="utf-8"))["rows"]
        kept = [row for row in old if (row["group"], row["threads"]) not in measured]
    found = kept + [row.record() for row in rows]
    found.sort(key=lambda row: row["threads"])
    write_text(path, json.dumps({"machine": machine(), "rows": found}, indent=1) + "\n")
    write_text(path.with_suffix(".md"), as_table(path.stem, found))


def as_table(title: str, rows: list[dict[str, Any]]) -> str:
    """The rows of a result file as Markdown, for a person."""
    facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine().items() if value)
    lines = [
        f"# {title}",
        f"Written by `benchmarks/{title.rsplit('_', 1)[0]}.py` on: {facts}. Ratios: medians over rounds, with "
        "quartiles; peer / ours where the goal is at least (>=), ours / peer where it is at most (<=).",
        "| what | threads | ours | peer | ratio | goal | met |\n|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        scale, unit = (1000, "ms") if row["unit"] == "s" else (1, row["unit"])
        ours, peer = (f"{row[name]['median'] * scale:,.4g} {unit}" for name in ("ours", "peer"))
        ratio, goal = row["ratio"], row["goal"]
        cells = [
            row["name"],
            row["threads"],
            ours,
            peer,
            f"{ratio['median']:.3g} ({ratio['q1']:.3g} to {ratio['q3']:.3g})",
        ]
        cells += (
            ["", ""] if goal is None else [f"{goal['sign']} {goal['value']:.3g}", "yes" if row["met"] else "**no**"]
        )
        lines[-1] += "\n| " + " | ".join(map(str, cells)) + " |"
    return "\n\n".join(lines) + "\n"
