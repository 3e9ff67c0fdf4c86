"""How long a reader waits for the picture of a panel, from running its cell on.

    python benchmarks/panels.py [--only NAME ...] [--repeat N] [--quick]

Three numbers for each panel, all until what Jupyter shows of it is there, the picture for a saved notebook included:

| number | what |
|--------|------|
| empty kernel | a fresh process imports motionlab and all that the panel needs, torch and matplotlib among it |
| after the first cell | a fresh process that has run what every lesson begins with: set-up, a figure, a question |
| again | the same cell in a process that has run it before, the median of `--repeat` times |

The goal is 1 s for the second and the third. Each has the processor time next to the wall clock: a busy machine makes
the wall clock larger and the other hardly (load: how many processes wanted a processor). Results go to
`benchmarks/results/`; `--quick` tries two panels once and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
GOAL = 1.0  # seconds
# Every lesson begins with this.
FIRST_CELL = """
import io
import motionlab as ml
ml.setup("00")
ml.plots.architecture_figure("tokens").savefig(io.BytesIO(), dpi=80)
ml.confidence("05", "before")._repr_mimebundle_()
"""
NUMBERS = {"empty": "empty kernel", "first": "after the first cell", "again": "again"}
# The cells, as lessons write them.
PANELS = (
    "ml.QuantizerPanel()", "ml.FeaturePanel()", "ml.CodebookPanel()", "ml.LevelsPanel()", "ml.MemoryPanel()",
    "ml.AblationPanel('results/tokenizer_ablation.jsonl')", "ml.RopePanel()", "ml.KVCachePanel()", "ml.MaskPanel()",
    "ml.StrategyPanel()", "ml.LossScalePanel('results/mixed_precision.json')", "ml.SchedulePanel()",
    "ml.ShardingPanel()", "ml.TrainingPanel('nothing yet')", "ml.DecoderTrainingPanel('nothing yet')",
    "ml.PolicyPanel(ml.views.load_policies('results/vla_ablation.json'))", "ml.MotionPanel(ml.pretrained_run())",
    "ml.GenerationPanel(ml.pretrained_run(), 'a person kicks')", "FieldPanel()", "PitfallPanel()", "ml.GlossaryPanel()",
    "reaction_panel()", "parts_panel()", "ml.confidence('05', 'before')",
)  # fmt: skip
IMPORTS = {
    "FieldPanel()": "from lessons.build_the_tokenizer.panel import FieldPanel",
    "PitfallPanel()": "from lessons.pitfalls.panel import PitfallPanel",
    "reaction_panel()": "from tests.notebooks.panels import reaction_panel",
    "parts_panel()": "from tests.notebooks.panels import parts_panel",
}
Times = tuple[float, float]  # wall and processor seconds


def timed(action: Callable[[], Any]) -> Times:
    """How long it took."""
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - processor


def show(cell: str, names: dict[str, Any]) -> None:
    """Run a cell and make what Jupyter displays of its last line."""
    panel = eval(cell, names)
    if hasattr(panel, "_repr_mimebundle_"):
        panel._repr_mimebundle_()


def child(cell: str, repeat: int, first_cell: bool) -> None:
    """In a fresh process: the cell for the first time, and again; prints the times as JSON."""
    names: dict[str, Any] = {}
    if first_cell:
        exec(FIRST_CELL, names)

    def first() -> None:
        exec(f"import motionlab as ml\n{IMPORTS.get(cell, '')}", names)
        show(cell, names)

    print(json.dumps([timed(first), *(timed(lambda: show(cell, names)) for _ in range(repeat))]))


def fresh(cell: str, repeat: int, first_cell: bool) -> list[Times]:
    """The measurement of `child`, in a separate process."""
    environment = {
        "MOTIONLAB_PROFILE": "cpu", "MOTIONLAB_PROGRESS": "off", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
        **os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "notebooks")]),
    }  # fmt: skip
    command = [sys.executable, __file__, "--child", cell, "--repeat", str(repeat)]
    command += ["--first-cell"] if first_cell else []
    done = subprocess.run(
        command, cwd=ROOT / "notebooks", env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    times: list[Times] = json.loads(done.stdout.splitlines()[-1])
    return times


def measure(cell: str, repeat: int) -> dict[str, Any]:
    """The row of one panel: seconds and processor seconds for each of `NUMBERS`."""
    (empty,), (first, *again) = fresh(cell, 0, False), fresh(cell, repeat, True)
    medians = [statistics.median(values) for values in zip(*again, strict=True)]
    found = dict(zip(NUMBERS, (empty, first, medians), strict=True))
    rounded = {name: [round(value, 3) for value in times] for name, times in found.items()}
    return {"panel": cell, **rounded, "load": round(os.getloadavg()[0], 1)}


def cells_of(row: dict[str, Any]) -> list[str]:
    """The numbers of a row as text."""
    return [f"{wall:.2f} ({processor:.2f})" for wall, processor in (row[name] for name in NUMBERS)]


def as_table(rows: Sequence[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The rows as Markdown, for a person."""
    facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items() if value)
    lines = [
        "# panels_cpu",
        f"Written by `benchmarks/panels.py` on: {facts}. Seconds from running the cell to its picture; in brackets "
        f"processor time. The goal is {GOAL:g} s after the first cell and again.",
        f"| cell | {' | '.join(NUMBERS.values())} | load |\n|---|---|---|---|---|",
    ]
    for row in rows:
        lines[-1] += f"\n| `{row['panel']}` | {' | '.join(cells_of(row))} | {row['load']} |"
    return "\n\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description="Seconds to the first picture of each panel.")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="panels whose cell holds one of these")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--child", metavar="CELL", help=argparse.SUPPRESS)
    parser.add_argument("--first-cell", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(options.child, options.repeat, options.first_cell)
        return
    cells = [cell for cell in PANELS if not options.only or any(name in cell for name in options.only)]
    if options.quick:
        cells, options.repeat = cells[:2], 1
    print(f"{'seconds (processor)':<70}" + "".join(f"{name:>22}" for name in NUMBERS.values()))
    rows = []
    for cell in cells:
        rows.append(row := measure(cell, options.repeat))
        print(f"{cell:<70}" + "".join(f"{numbers:>22}" for numbers in cells_of(row)), flush=True)
    if not options.quick and not options.only:
        from support.measuring import machine

        from motionlab.files import write_text

        write_text(RESULTS / "panels_cpu.json", json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
        write_text(RESULTS / "panels_cpu.md", as_table(rows, machine()))


if __name__ == "__main__":
    main()
