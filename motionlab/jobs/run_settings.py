"""The settings with which a run may continue.

Once a run's folder holds weights, the settings that shaped them are fixed. The rest may differ each time: how motions
are drawn and scored (`sampling`, `evaluation`), what else is compared, the device. A training may get more steps when
its schedule does not plan the rate over all of them; with `resume_changed: same_place` any setting of it may change.

Every refusal names each key with its old and new value, and how to allow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from motionlab.config import RunConfig, TrainConfig, to_mapping
from motionlab.config.fields import shown
from motionlab.errors import InputError
from motionlab.files.reading import refusing
from motionlab.training.checkpoints.checkpoint import RESTORE, has_checkpoint, read_record
from motionlab.training.reporting.summary import read_summary

# Keys and sections that shape no weights. `seed` is among them because each training has its own seed.
# The motions themselves are bound by their digest, so their folder may be moved.
FREE = (
    *("name", "seed", "device", "data.path", "compare_quantizers", "sampling", "evaluation"),
    *("vla_data.path", "vla_evaluation"),
)
# Settings of a training that change neither its numbers nor its place in the data.
MAY_CHANGE = ("auto_batch", "keep_last", "log_every", "loggers", "parallel", "resume_changed", "save_every")
# Schedules that plan the rate over all steps: with more of them, every step would have had another rate.
PLANNED = ("cosine", "wsd")
Change = tuple[str, Any, Any]  # key, old value, new value


def check_continued(folder: Path, there: RunConfig, wanted: RunConfig) -> None:
    """Raise an InputError unless the run in `folder`, made with the settings `there`, may continue with `wanted`.

    A run that failed before it had any weights fixes nothing: the wrong setting must be possible to correct.
    """
    if not _has_weights(folder):
        return
    changes, ways = [], []
    for change in differences(to_mapping(there), to_mapping(wanted)):
        section, _, name = change[0].rpartition(".")
        if _is_free(change[0]) or (section.endswith("_training") and name in MAY_CHANGE):
            continue
        way: str | None = "set it back, or choose another --name"
        if section.endswith("_training"):
            way = _refused(folder, section, name, getattr(there, section), getattr(wanted, section))
        if way:
            changes.append(change)
            ways.append(f"{change[0]}: {way}")
    if changes:
        raise InputError(
            folder / "config.yaml",
            found=f"a run with other settings: {_listed(changes)}",
            expected="the settings that shaped its weights",
            fix=f"{'; '.join(_merged(ways))}.",
        )


def check_free(folder: Path, there: RunConfig, wanted: RunConfig) -> None:
    """Raise an InputError unless `wanted` differs from `there` only in settings that shape no weights."""
    changes = [change for change in differences(to_mapping(there), to_mapping(wanted)) if not _is_free(change[0])]
    if changes:
        raise InputError(
            folder / "config.yaml",
            found=f"settings that shape weights: {_listed(changes)}",
            expected="changes of " + ", ".join(FREE),
            fix="Train another run with them: motionlab run --name NAME.",
        )


def needs_training(folder: Path, settings: TrainConfig) -> bool:
    """Whether the training stage in `folder` has no weights yet, or was not trained for all requested steps."""
    if not (folder / "model.safetensors").is_file():
        return True
    if not has_checkpoint(folder / "checkpoints"):
        return False  # weights that someone copied in
    step, planned = _progress(folder)
    return step < settings.steps and not (_ended_early(folder) and planned >= settings.steps)


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterator[Change]:
    """Every key whose value differs, with both values.

    >>> list(differences({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}}))
    [('b.c', 2, 4)]
    """
    for key, value in old.items():
        if isinstance(value, dict):
            yield from differences(value, new[key], f"{prefix}{key}.")
        elif value != new[key]:
            yield f"{prefix}{key}", value, new[key]


def _has_weights(folder: Path) -> bool:
    """Whether any stage has weights, or a training to continue."""
    stages = [path for path in folder.iterdir() if path.is_dir()]
    return any((stage / "model.safetensors").exists() or (stage / "checkpoints").is_dir() for stage in stages)


def _is_free(key: str) -> bool:
    return key in FREE or key.partition(".")[0] in FREE


def _refused(folder: Path, section: str, name: str, old: TrainConfig, new: TrainConfig) -> str | None:
    """How a refused change of a training could be allowed; None when it is."""
    stage_name = section.removesuffix("_training")
    stages = [folder / stage_name, *sorted(folder.glob(f"{stage_name}-*"))]  # a stage, or its variants
    begun = [stage for stage in stages if has_checkpoint(stage / "checkpoints")]
    trained = max([_progress(stage)[0] for stage in begun], default=0)
    more, anything = new.steps > old.steps, new.resume_changed == "same_place"
    if section == "tokenizer_training" and begun and (folder / "llama").exists():
        return "the decoder was trained on the tokens of this tokenizer; choose another --name"
    if section == "vla_pretrain_training" and begun and (folder / "vla").exists():
        return "the policy was trained on the features of this backbone; choose another --name"
    if name == "steps":
        if new.steps < trained:
            return f"{trained} steps are trained already; choose another --name"
        if more and any(_ended_early(stage) for stage in begun) and new.patience == old.patience:
            return f"the training stopped early, out of patience; raise {section}.patience, too"
        if more and old.schedule not in PLANNED and new.schedule not in PLANNED:
            return None
        if more and not anything:
            return (
                f"schedule {new.schedule} plans the rate over all steps, so this is another training than one of "
                f"{new.steps} steps from the start; {section}.resume_changed=same_place trains on anyway, with "
                f"the rate that the new plan has after {trained} steps"
            )
    if not anything:
        return f"set it back, or allow any change of this training with {section}.resume_changed=same_place (not exact)"
    if begun and not more and not any(needs_training(stage, new) for stage in begun):
        return f"the training is finished, so nothing would be trained with it; raise {section}.steps, too"
    return None


def _progress(folder: Path) -> tuple[int, int]:
    """Steps that are trained and saved, and steps that were planned then."""
    path, record = read_record(folder / "checkpoints")
    with refusing(path.with_name("last.json"), expected="a checkpoint record", fix=RESTORE):
        return int(record["counters"]["step"]), int(record["settings"]["steps"])


def _ended_early(folder: Path) -> bool:
    summary = read_summary(folder / "training.json")
    return summary is not None and summary.ended == "early"


def _listed(changes: list[Change]) -> str:
    return ", ".join(f"{key} {shown(old)} -> {shown(new)}" for key, old, new in changes)


def _merged(ways: list[str]) -> list[str]:
    """The ways to allow changes, with keys that have the same way on one line."""
    keys: dict[str, list[str]] = {}
    for text in ways:
        key, _, way = text.partition(": ")
        keys.setdefault(way, []).append(key)
    return [f"{', '.join(names)}: {way}" for way, names in keys.items()]
