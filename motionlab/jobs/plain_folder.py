"""A plain folder of motion files, imported into the cache.

It is known by the content of its files: a folder that was imported before is not imported again. Captions are read
here, because they may be about parts of a motion, which an imported clip does not know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from motionlab.data.captions_file import Caption
from motionlab.data.folder import CLIPS, gather_captions
from motionlab.errors import InputError, printable
from motionlab.files import sha256, write_text
from motionlab.files.lock import locked
from motionlab.files.reading import read_text
from motionlab.jobs.import_motions import import_motions
from motionlab.jobs.imports.files import list_files
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
    captions = gather_captions(folder, stems)
    digests = sorted([source.source, sha256(source.path)] for source in listing.sources)
    key = hashlib.sha256(json.dumps([FORMAT, digests]).encode()).hexdigest()
    target = cache / f"import-{key[:16]}"
    with locked(target.with_name(f"{target.name}.lock.json"), wait=_DAYS):
        if not (target / WHOLE).is_file() or not (target / CLIPS).is_file():
            nothing = target.with_name(f"{target.name}.captions.txt")
            write_text(nothing, "")  # so that the captions in the folder are left to us
            result = import_motions([folder], target, captions=nothing, workers=processes)
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


def _unread(reasons: Mapping[str, str]) -> list[str]:
    """A sentence about the files that could not be read, or whose body or motion was refused."""
    if not reasons:
        return []
    named = [printable(f"{name} ({reason})"[:200]) for name, reason in list(reasons.items())[:3]]
    more = f" and {len(reasons) - 3:,} more" if len(reasons) > 3 else ""
    return [f"{len(reasons):,} file{'s' if len(reasons) > 1 else ''} could not be used: {'; '.join(named)}{more}."]
