"""Files that trainings and runs write about themselves: results of ablations, history, summary, metrics, reports."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from motionlab.config import RunConfig, to_yaml
from motionlab.errors import printable
from motionlab.jobs.ablations.results import load_rows
from motionlab.jobs.ablations.strategies import load_strategies
from motionlab.jobs.imports.records import LOG, ClipEntry, FileEntry, Log, Settings
from motionlab.jobs.imports.table import JSON_FILE, Verdicts, read_verdicts, verdict_lines, write_verdicts
from motionlab.jobs.list_runs import describe_runs
from motionlab.jobs.run_folder import Run
from motionlab.jobs.training_report import as_markdown, training_report
from motionlab.training.reporting.history import History
from motionlab.training.reporting.summary import load_summary
from tests.fuzz.registry import Format, register

RESULTS = Path(__file__).resolve().parents[2] / "notebooks" / "results"
ROWS = [
    {"step": 10, "items": 320, "seconds": 1.5, "lr": 1e-3, "loss": 0.5, "val_loss": 0.6},
    {"step": 20, "items": 640, "seconds": 3.0, "lr": 5e-4, "loss": 0.25},
]
SUMMARY = {
    "warnings": ["slow data"], "facts": {"device": "cpu", "parameters": "all 100"}, "versions": {"torch": "2"},
    "resumed_at": 0, "validation": {"loss": 0.6}, "best_validation": {"loss": 0.6}, "step": 20, "items": 640,
    "skipped": 0, "seconds": 3.0, "best": 0.6, "best_step": 10, "split": {"data": 0.5, "forward": 2.5}, "ended": "done",
}  # fmt: skip
NUMBERS = {
    "parameters": 9, "codebook_size": 4, "frames_per_token": 2, "errors": {"test": {"mpjpe_mm": 40.5}},
    "codes_of": "test", "tokens": 12, "used": 3, "used_fraction": 0.75, "perplexity": 2.5,
    "entropy_bits": 1.3, "dead": 1, "histogram": [6, 4, 2, 0],
}  # fmt: skip
GENERATION = {
    "clips": 1, "score": {"real": 1.0}, "exact": {"real": 1.0}, "stopped_by_limit": 0, "tokens_per_second": 100.0,
    "frames_real": 60.0, "frames_generated": 58.0, "players": [{"caption": "a", "files": {"real": "a.npy"}}],
}  # fmt: skip
METRICS = {
    "environment": {"torch": "2"}, "corpus": {"train": {"clips": 2, "minutes": 0.5}}, "seconds": {"corpus": 1.5},
    "source": {"name": "own", "note": "x"}, "tokenizers": {"fsq": NUMBERS}, "generation": {"test": GENERATION},
}  # fmt: skip


def _results(name: str) -> Any:
    def make(folder: Path) -> list[Path]:
        lines = (RESULTS / name).read_text(encoding="utf-8").splitlines()[:4]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [folder / name]

    return make


def _finite_rows(rows: list[Any]) -> None:
    for row in rows:
        for value in vars(row.result).values():
            numbers = value if isinstance(value, list) else [value]
            assert all(number is None or math.isfinite(number) for number in numbers)


def _make_training(folder: Path) -> list[Path]:
    stage = folder / "run" / "llama"
    History(stage / "history.csv", ROWS)
    (stage / "training.json").write_text(json.dumps(SUMMARY))
    (folder / "run" / "config.yaml").write_text(to_yaml(RunConfig()))
    return [stage / "training.json", stage / "history.csv", folder / "run" / "config.yaml"]


def _make_history(folder: Path) -> list[Path]:
    History(folder / "history.csv", ROWS)
    return [folder / "history.csv"]


def _read_training(folder: Path) -> list[str]:
    describe_runs(folder)
    return [as_markdown(training_report(folder / "run" / "llama")), describe_runs(folder)]


def _shows(texts: list[str]) -> None:
    for text in texts:
        assert printable(text, lines=True) == text


def _history_adds_up(history: History) -> None:
    for name in history.columns:
        assert len(history.column(name)) == len(history.rows)
        history.points(name)


def _make_json(name: str, values: Any) -> Any:
    def make(folder: Path) -> list[Path]:
        (folder / name).write_text(json.dumps(values))
        return [folder / name]

    return make


def _metrics_fit(metrics: dict[str, Any]) -> None:
    for numbers in metrics.get("tokenizers", {}).values():
        assert all(f"{count:,.1f}" for count in numbers["histogram"]) and f"{numbers['used_fraction']:.1%}"
    for numbers in metrics.get("generation", {}).values():
        assert f"{numbers['frames_real']:.0f}" and all(isinstance(p["caption"], str) for p in numbers["players"])


JSON = ("bytes", "text", "json", "json")
register(
    Format(
        "tokenizer results", _results("tokenizer_ablation.jsonl"),
        lambda folder: load_rows(folder / "tokenizer_ablation.jsonl"),
        _finite_rows, JSON,
    )
)  # fmt: skip
register(
    Format(
        "strategy results", _results("strategies.jsonl"), lambda folder: load_strategies(folder / "strategies.jsonl"),
        _finite_rows, JSON,
    )
)  # fmt: skip
register(Format("training report", _make_training, _read_training, _shows, (*JSON, "yaml")))
register(Format("history", _make_history, lambda folder: History.read(folder / "history.csv"), _history_adds_up))
register(
    Format(
        "training summary", _make_json("training.json", SUMMARY), lambda folder: load_summary(folder / "training.json"),
        lambda summary: _shows([f"{summary.step:,} {summary.seconds:.1f}"]), JSON,
    )
)  # fmt: skip
register(
    Format(
        "metrics", _make_json("metrics.json", METRICS), lambda folder: Run(folder, RunConfig()).metrics,
        _metrics_fit, JSON,
    )
)  # fmt: skip


def _make_import(folder: Path) -> list[Path]:
    clip = ClipEntry("walk", "motions/walk.npz", "BVH", ["a man walks"], measures={"speed_m_s": 1.5}, notes=["cut"])
    entries = [
        FileEntry("/data/walk.bvh", "walk.bvh", "walk", "12ab", [clip]),
        FileEntry("/data/x", "x", "x", "", [], "no"),
    ]
    Log(folder, Settings()).write(entries)
    write_verdicts(folder, entries, {"right": 1}, {".docx": 2}, {})
    return [folder / LOG, folder / JSON_FILE]


def _read_import(folder: Path) -> Any:
    log = Log(folder, Settings())
    log.read()
    return list(log.known.values()), read_verdicts(folder)


def _import_fits(read: tuple[list[FileEntry], Verdicts]) -> None:
    entries, verdicts = read
    assert all(clip.file in ("", f"motions/{clip.name}.npz") for entry in entries for clip in entry.clips)
    _shows([printable(line) for line in verdict_lines(entries)])
    assert all(isinstance(count, int) for count in verdicts.counts.values())


register(Format("import", _make_import, _read_import, _import_fits, JSON))
