"""Audit: the numbers of every clip of a data source, and a quarantine list that training honours.

    quarantine.jsonl    {"name": "walk_3", "reasons": ["bone_drift 0.4, more than 0.1 (...)"], "by": "audit"}

It is in the folder of the motions. A line that a person adds, without `"by": "audit"`, stays when the audit is
done again; data.quarantine=false trains on everything.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.config import RunConfig
from motionlab.data.folder import QUARANTINE
from motionlab.errors import InputError, printable
from motionlab.files import atomic_path, write_text
from motionlab.files.reading import read_text
from motionlab.files.records import parse_json
from motionlab.jobs.prepare import prepare
from motionlab.motion.audit import CHECKS, faults, measure
from motionlab.motion.motion import Motion

BY = "audit"


@dataclass(frozen=True)
class Audited:
    """The result: how many clips, quantiles of each number, and the clips above a limit with their reasons."""

    clips: int
    numbers: dict[str, list[float]]  # name -> median, 95 %, 99 %, largest
    faulty: dict[str, list[str]]
    listed: Path | None  # the quarantine list, where one was written


def audit(config: RunConfig, out: str | Path | None = None) -> Audited:
    """Measure every clip of the motions of a config, and write the quarantine list next to them.

    Clips that are in quarantine already are measured again. Motions without a folder, the composed ones, get no list.

    Args:
        out: folder for `audit.jsonl`, one line per clip with its numbers.

    Raises:
        InputError: as `prepare`; or the list cannot be written.
    """
    data = config.data
    if data.path is not None and not os.access(data.path, os.W_OK):
        fix = "Copy the folder, or change its permissions."
        raise InputError(data.path, found="a folder that cannot be written", expected="room for a list", fix=fix)
    splits = prepare(replace(config, data=replace(data, quarantine=False)))
    rows: list[tuple[str, dict[str, float]]] = []
    for clips in {clips.digest: clips for clips in splits.named().values()}.values():
        rows += [
            (clips.name(i), measure(Motion(clips.features(i), clips.fps, clips.name(i)))) for i in range(len(clips))
        ]
    faulty = {name: found for name, numbers in rows if (found := faults(numbers))}
    listed = None
    if data.path is not None:
        listed = Path(data.path) / QUARANTINE
        _write_list(listed, faulty)
    if out is not None:
        lines = [json.dumps({"name": name, **numbers}, ensure_ascii=False) + "\n" for name, numbers in rows]
        write_text(Path(out) / "audit.jsonl", "".join(lines))
    table = {name: np.array([numbers[name] for _, numbers in rows]) for name in CHECKS}
    quantiles = {
        name: [float(value) for value in np.quantile(values, (0.5, 0.95, 0.99, 1.0))] for name, values in table.items()
    }
    return Audited(len(rows), quantiles, faulty, listed)


def audit_text(found: Audited) -> str:
    """The result for a terminal."""
    lines = [f"{'':<17} {'median':>9} {'95 %':>9} {'99 %':>9} {'largest':>9} {'limit':>9} {'above':>7}"]
    above = Counter(reason.split()[0] for reasons in found.faulty.values() for reason in reasons)
    for name, values in found.numbers.items():
        numbers = " ".join(f"{value:>9.3g}" for value in (*values, CHECKS[name].most))
        lines.append(f"{name:<17} {numbers} {above[name]:>7,}")
    lines += ["", *(f"{name}: {check.meaning}" for name, check in CHECKS.items()), ""]
    for name, reasons in list(found.faulty.items())[:10]:
        lines.append(printable(f"{name}: {'; '.join(reason.split(' (')[0] for reason in reasons)}"))
    if len(found.faulty) > 10:
        lines.append(f"... and {len(found.faulty) - 10:,} more")
    lines.append(f"{len(found.faulty):,} of {found.clips:,} clips are above a limit")
    if found.listed is not None and found.faulty:
        lines.append(f"{printable(found.listed)} names them: training leaves them out, unless data.quarantine=false")
    return "\n".join(lines)


def _write_list(path: Path, faulty: Mapping[str, list[str]]) -> None:
    """The list with the lines of people kept, and those of earlier audits replaced."""
    kept: list[dict[str, Any]] = []
    if path.is_file():
        fix = "Correct the line, or remove the file."
        for number, line in enumerate(read_text(path, expected="names of clips", fix=fix).split("\n"), start=1):
            if line.strip():
                row = parse_json(line, f"{path}, line {number}", expected="a name and reasons", fix=fix)
                if isinstance(row, dict) and row.get("by") != BY:
                    kept.append(row)
    rows = kept + [{"name": name, "reasons": reasons, "by": BY} for name, reasons in faulty.items()]
    if not rows:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as temporary:
        temporary.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
