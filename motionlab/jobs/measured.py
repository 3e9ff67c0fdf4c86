"""Numbers of the report that belong to no command alone: the machine, the motions, and every trained tokenizer."""

from __future__ import annotations

import platform
from pathlib import Path

from motionlab.data.splits import Splits
from motionlab.files import sha256
from motionlab.jobs.artefacts import MODEL
from motionlab.jobs.doctor import doctor
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train_tokenizer import tokenizer_report


def environment(folder: Path) -> dict[str, str]:
    """Everything that the numbers of a run depend on, without paths of the machine."""
    facts = {row.name: row.value for row in doctor(folder)}
    kept = ("torch", "device", "precision", "cores", "threads", "RAM", "numpy", "transformers")
    return {"Python": platform.python_version(), **{name: facts[name] for name in kept if name in facts}}


def record_machine(run: Run, splits: Splits) -> None:
    """Keep what the numbers depend on, unless the run knows it already, and what there is to learn from."""
    if "environment" not in run.metrics:
        run.record(environment=environment(run.folder))
    run.record(corpus=splits.described(), source={"name": splits.name, "note": splits.note})


def record_tokenizers(run: Run, splits: Splits) -> None:
    """Measure every trained tokenizer on the test splits; one that was measured with these weights and clips is not
    measured again."""
    known = run.metrics.get("tokenizers", {})
    found = {}
    for kind in trained_quantizers(run):
        weights = sha256(run.tokenizer_folder(kind) / MODEL)
        now = {"weights": weights, **{name: clips.digest for name, clips in splits.tests.items()}}
        old = known.get(kind, {})
        found[kind] = old if old.get("made_from") == now else {**tokenizer_report(run, splits, kind), "made_from": now}
    run.record(tokenizers=found)


def trained_quantizers(run: Run) -> list[str]:
    """The run's own quantizer, and those of the comparison that were trained (`motionlab train` trains one)."""
    own, others = run.config.tokenizer.quantizer, run.config.compare_quantizers
    return [own, *(kind for kind in others if (run.tokenizer_folder(kind) / MODEL).is_file())]
