"""The summary that an import prints at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from motionlab.jobs.import_motions import ImportResult
from motionlab.jobs.imports.table import PAGE, verdict_lines

FEW = 10  # names in a line, and lines of one kind


def summary_lines(result: ImportResult) -> list[str]:
    """The table of the verdicts, files that could not be read, captions without motions, and the counts."""
    lines = verdict_lines(result.entries)
    lines += _named("unreadable", {**result.unreadable, **result.broken})
    if result.unknown:
        kinds = ", ".join(f"{count} x {suffix}" for suffix, count in sorted(result.unknown.items()))
        lines.append(f"not motions: {kinds}")
    if result.captions_without_motion:
        names = result.captions_without_motion
        lines.append(f"captions without a motion: {len(names):,} ({_some(names)})")
    if result.parts:
        fix = "data.source=folder with the folder of the files cuts them"
        lines.append(f"captions of parts of motions, left out: {result.parts:,} ({fix})")
    lacking = result.without_caption
    if lacking and len(lacking) < sum(bool(clip.file) for clip in result.clips):
        lines.append(f"motions without a caption: {len(lacking):,} ({_some(lacking)})")
    elif lacking:
        lines.append("motions without a caption: all")
    counts = ", ".join(f"{count:,} {word}" for word, count in result.counts.items())
    known = f"; {result.skipped:,} files were known" if result.skipped else ""
    lines.append(f"{counts} (files: {len(result.entries):,}{known})")
    lines.append(f"written: {result.folder} ({result.kept:,} clips to train on), see {result.folder / PAGE}")
    return lines


def _named(title: str, reasons: Mapping[str, str]) -> list[str]:
    lines = []
    for name, reason in list(reasons.items())[:FEW]:
        path = reason.split(": ", 1)[0]  # most reasons begin with the path of the file; then its name is not said twice
        lines.append((f"{title}: {reason}" if path.endswith(name) else f"{title}: {name}: {reason}")[:400])
    more = len(reasons) - len(lines)
    return [*lines, f"{title}: {more:,} more"] if more else lines


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more
