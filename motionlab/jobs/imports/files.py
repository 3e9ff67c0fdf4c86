"""Which files an import reads, and how their clips are called."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from motionlab.data.captions_file import SUFFIXES as CAPTION_SUFFIXES
from motionlab.errors import InputError
from motionlab.jobs.imports.records import LOG
from motionlab.motion.formats.read import FORMATS, find_format

WITHIN = "--"  # between the name of a file and that of one of its motions
BETWEEN = "__"  # between a folder and a file
LONGEST_NAME = 120  # letters; file systems take 255 bytes, and a letter may have four
_BAD = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\s]+')
_OTHER_TEXT = (".txt", ".json", ".jsonl", ".csv", ".tsv", ".yaml", ".xml")  # most of them are no motions
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices on Windows


@dataclass(frozen=True)
class Source:
    """A file to read.

    Args:
        path: where it is.
        source: its path below the folder that was given, with `/`; its name where the file itself was given.
        stem: how its clips are called, unlike all others.
        captions: a text file of the same name next to it, if there is one.
    """

    path: Path
    source: str
    stem: str
    captions: Path | None = None


@dataclass
class Listing:
    """The content of the inputs.

    Args:
        sources: files to read, in their order.
        unknown: suffix -> number of files that no format reads.
        captions: files `captions.*` in the folders that were given.
        broken: entry that cannot be read -> why.
    """

    sources: list[Source] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    captions: list[Path] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


def list_files(
    inputs: Sequence[Path], out: Path, taken: Collection[str] = (), known: dict[str, str] | None = None
) -> Listing:
    """The files below the inputs, sorted within each folder; a file that is given twice is read once.

    Links to folders are followed, each folder once, so a link to a folder above ends. The folder that is written to is
    left out, hidden files and folders too.

    Args:
        taken: names of clips that other files have.
        known: path of a file -> the name that it has already.

    Raises:
        InputError: an input that is not there, or none.
    """
    if not inputs:
        raise InputError("inputs", found="none", expected="files or folders", fix="Name what to import.")
    listing = Listing()
    found: list[tuple[Path, str]] = []
    seen: set[Path] = set()
    for given in inputs:
        if given.is_dir():
            found += _below(given, out.resolve(), seen, listing)
        elif given.exists():
            found.append((given, given.name))
        else:
            fix = "Check the path."
            raise InputError(given, found="nothing there", expected="a file or folder with motions", fix=fix)
    files: dict[Path, tuple[Path, str]] = {}
    for path, source in found:
        files.setdefault(path.resolve(), (path, source))
    named = {path for given in inputs if not given.is_dir() for path in [given]}
    motions, texts = [], {}
    with_motion = {path.parent for path, _ in files.values() if path.suffix.lower() == ".amc"}
    for path, source in files.values():
        if path.suffix.lower() == ".asf" and path.parent in with_motion:
            continue  # the skeleton of the .amc files next to it
        if path.stem.lower() == "captions" and path.suffix.lower() in CAPTION_SUFFIXES and path not in named:
            listing.captions.append(path)
        elif _is_motion(path):
            motions.append((path, source))
        elif path.suffix.lower() == ".txt" and path not in named:
            texts[path.with_suffix("")] = path
        else:
            listing.unknown[_shown_suffix(path)] += 1
    stems = unique_names([source for _, source in motions], [str(path.resolve()) for path, _ in motions], taken, known)
    for (path, source), stem in zip(motions, stems, strict=True):
        listing.sources.append(Source(path, source, stem, texts.get(path.with_suffix(""))))
    used = {source.captions for source in listing.sources}
    listing.unknown.update(".txt" for path in texts.values() if path not in used)
    return listing


def unique_names(
    sources: Sequence[str], paths: Sequence[str], taken: Collection[str] = (), known: dict[str, str] | None = None
) -> list[str]:
    """A name for the clips of each file: its own, with as many folders in front as tell it from the others.

    Names differ also where a file system does not tell small letters from capitals.

    >>> unique_names(["a/walk.bvh", "b/walk.bvh", "run.bvh", "run.npz"], ["1", "2", "3", "4"])
    ['a__walk', 'b__walk', 'run_bvh', 'run_npz']
    """
    known = known or {}
    names = [known.get(path, "") for path in paths]
    used = {name.casefold() for name in [*taken, *names] if name}
    parts = [[safe_name(part) for part in Path(source).with_suffix("").parts] for source in sources]
    open_ones = [at for at, name in enumerate(names) if not name]
    longest = max((len(parts[at]) for at in open_ones), default=0)
    for depth in range(1, longest + 2):
        if depth <= longest:
            tries = {at: BETWEEN.join(parts[at][-depth:]) for at in open_ones}
        else:  # the same path but for the suffix
            tries = {at: f"{BETWEEN.join(parts[at])}_{Path(sources[at]).suffix[1:].lower()}" for at in open_ones}
        tries = {at: name[-LONGEST_NAME:] for at, name in tries.items()}
        count = Counter(name.casefold() for name in tries.values())
        for at, name in tries.items():
            if count[name.casefold()] == 1 and name.casefold() not in used:
                names[at] = name
                used.add(name.casefold())
        open_ones = [at for at in open_ones if not names[at]]
    for at in open_ones:
        names[at] = numbered(BETWEEN.join(parts[at])[-LONGEST_NAME:], used)
        used.add(names[at].casefold())
    return names


def numbered(name: str, used: Collection[str]) -> str:
    """The name, or the first of `name_2`, `name_3` ... that is not in `used` (in small letters)."""
    number, wanted = 1, name
    while wanted.casefold() in used:
        number += 1
        wanted = f"{name}_{number}"
    return wanted


def safe_name(text: str) -> str:
    """A name that every file system takes, as near to the text as it can be.

    >>> safe_name("take 1: walk?"), safe_name("..hidden"), safe_name("CON"), safe_name("走路"), safe_name("a--b__c")
    ('take_1_walk', 'hidden', '_CON', '走路', 'a-b_c')
    """
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    text = _BAD.sub("_", text)
    text = re.sub(r"-{2,}", "-", re.sub(r"_{2,}", "_", text)).strip("._ ")[:LONGEST_NAME].rstrip("._ ")
    return f"_{text}" if _RESERVED.fullmatch(text) else text or "motion"


def _is_motion(path: Path) -> bool:
    """Whether a file is to be read: one of a suffix that formats have, unless it is some other text.

    A file with a suffix of motions that no format recognises is reported as unreadable when it is read.
    """
    suffix = path.suffix.lower()
    if not any(suffix in known.suffixes for known in FORMATS):
        return False
    if suffix not in _OTHER_TEXT:
        return True
    try:
        find_format(path)
    except InputError:
        return False
    except OSError:  # it cannot be looked at
        return True
    return True


def _below(folder: Path, out: Path, seen: set[Path], listing: Listing) -> Iterable[tuple[Path, str]]:
    """The files of a folder and of those in it, with their paths below `folder`."""
    waiting = [(folder, "")]
    found: list[tuple[Path, str]] = []
    while waiting:
        here, prefix = waiting.pop()
        real = here.resolve()
        if real in seen or real == out:
            continue
        seen.add(real)
        try:
            with os.scandir(here) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            listing.broken[prefix or str(folder)] = error.strerror or type(error).__name__
            continue
        if prefix and any(entry.name == LOG for entry in inside):
            listing.unknown["folder of an import"] += 1  # its clips came from files that may be here, too
            continue
        deeper = []
        for entry in inside:
            if entry.name.startswith("."):
                continue
            name = f"{prefix}{entry.name}"
            if entry.is_dir():
                deeper.append((Path(entry.path), f"{name}/"))
            elif entry.is_file():
                found.append((Path(entry.path), name))
            elif entry.is_symlink():
                listing.broken[name] = "a link that leads nowhere"
            else:
                listing.unknown["no regular file"] += 1
        waiting += reversed(deeper)
    return sorted(found, key=lambda one: one[1].split("/"))


def _shown_suffix(path: Path) -> str:
    return path.suffix.lower()[:20] or "no suffix"
