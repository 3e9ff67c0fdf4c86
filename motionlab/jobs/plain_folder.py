"""A plain folder of motion files, imported into the cache.

It is known by the content of its files: a folder that was imported before is not imported again. Captions are read
here, because they may be about parts of a motion, which an imported clip does not know.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from motionlab.data.captions_file import Caption
from motionlab.data.folder import CLIPS, gather_captions
from motionlab.errors import InputError, printable
from motionlab.files import sha256, write_text
from motionlab.files.lock import at_work, locked
from motionlab.files.reading import read_text
from motionlab.jobs.import_motions import import_motions
from motionlab.jobs.imports.files import list_files
from motionlab.jobs.imports.records import LOG, Log, Settings
from motionlab.jobs.imports.summary import summary_lines

FORMAT = 4  # raise it when the same files give other motions than before
WHOLE = "imported.txt"  # a file that says that the import was finished, and what was not read
_DAYS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Imported:
    """An imported folder in the cache, the captions of the plain one, and sentences about files that were not read."""

    folder: Path
    captions: dict[str, list[Caption]]
    notes: list[str]


def import_folder(folder: Path, cache: Path, processes: int = 1) -> Imported:
    """Import a plain folder into the cache, unless it is there.

    An import that was killed continues; other processes wait until it is done.

    Raises:
        InputError: no motion file, none that can be read, or captions that cannot be read.
    """
    listing = list_files([folder], cache)
    if not listing.sources:
        fix = "Check data.path; `motionlab formats` lists what can be read."
        raise InputError(folder, found="no motion file", expected="files of a known format", fix=fix)
    stems = [source.source.removesuffix(source.path.suffix) for source in listing.sources]
    captions = gather_captions(folder, stems, listing.captions)
    digests = sorted([source.source, _digest(source.path)] for source in listing.sources)
    key = hashlib.sha256(json.dumps([FORMAT, digests]).encode()).hexdigest()
    target = cache / f"import-{key[:16]}"
    here = {str(source.path.resolve()) for source in listing.sources}
    with locked(target.with_name(f"{target.name}.lock.json"), wait=_DAYS):
        if not (target / WHOLE).is_file() or not (target / CLIPS).is_file():
            nothing = target.with_name(f"{target.name}.captions.txt")
            write_text(nothing, "")  # so that the captions in the folder are left to us
            begun = Log(target, Settings())
            begun.read()
            moved = not here.issuperset(begun.known)  # killed, and the folder has another place now
            result = import_motions([folder], target, captions=nothing, workers=processes, overwrite=moved)
            nothing.unlink()
            told = [line for line in summary_lines(result) if not line.startswith("motions without a caption")]
            if not result.kept:
                found = f"no motion that can be used. {' '.join(told[:3])}"
                fix = "See `motionlab import` for the verdict on each file."
                raise InputError(folder, found=printable(found), expected="at least one", fix=fix)
            print("\n".join(map(printable, told)), flush=True)
            refused = {clip.source: " ".join(clip.reasons) for clip in result.clips if clip.verdict == "refused"}
            write_text(target / WHOLE, "\n".join(_unread({**refused, **result.unreadable, **result.broken})))
    notes = read_text(target / WHOLE, expected="files that were not read", fix="Delete the folder.").splitlines()
    return Imported(target, captions, notes)


def check_import(folder: Path) -> None:
    """Refuse the folder of an import that has not ended: it holds a part of the clips, and more every second.

    Raises:
        InputError: another process is at work in it, or a kill stopped it.
    """
    if not (folder / LOG).is_file():
        return
    holder = at_work(folder)
    if holder is not None and holder.process != os.getpid():
        found, fix = f"an import by {holder}", "Wait until it ends."
    elif not (folder / CLIPS).is_file():
        found, fix = "an import that was stopped", "Give the same import command again: it continues."
    else:
        return
    raise InputError(folder, found=found, expected="an import that has ended", fix=fix)


def _digest(path: Path) -> str:
    """The digest of a file; of one that cannot be read, or was removed a moment ago, none: the import says why."""
    try:
        return sha256(path)
    except OSError:
        return ""


def _unread(reasons: Mapping[str, str]) -> list[str]:
    """A sentence about the files that could not be read, or whose body or motion was refused."""
    if not reasons:
        return []
    named = [printable(f"{name} ({reason})"[:200]) for name, reason in list(reasons.items())[:3]]
    more = f" and {len(reasons) - 3:,} more" if len(reasons) > 3 else ""
    return [f"{len(reasons):,} file{'s' if len(reasons) > 1 else ''} could not be used: {'; '.join(named)}{more}."]
