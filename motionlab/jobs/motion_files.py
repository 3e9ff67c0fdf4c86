"""A motion as a file that another program opens: the formats of `motion/formats/write.py`, and pictures."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.language import tr
from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.formats.write import WRITERS, check_option, find_writer
from motionlab.motion.motion import Motion
from motionlab.plots.gif import write_gif
from motionlab.plots.player import Track, player_page

PICTURES = (".gif", ".html")
LONGEST_TITLE = 60  # characters of a prompt in the name of a file


def suffixes() -> list[str]:
    """Every ending that can be written."""
    return sorted({*PICTURES, *(suffix for writer in WRITERS for suffix in writer.suffixes)})


def find_target(out: Path, to: str | None, options: WriteOptions) -> Writer | None:
    """The writer of a file; None for a picture.

    Raises:
        InputError: as `find_writer`; an option of a format for a picture.
    """
    if out.suffix.lower() not in PICTURES or to is not None:
        if to is None and out.suffix.lower() not in suffixes():
            found, expected = f"ending {out.suffix!r}", " ".join(suffixes())
            raise InputError(out, found=found, expected=expected, fix="Choose one of these.")
        return find_writer(out, to, options)
    for name, value in options.given().items():
        check_option(name, value)
        raise InputError(
            out, found=f"{name} {value}", expected="no such option for a picture", fix=f"Leave out --{name}."
        )
    return None


def write_target(out: Path, motion: Motion, writer: Writer | None, options: WriteOptions, caption: str) -> None:
    """Write a motion with the writer of `find_target`, or as a picture with its caption."""
    if writer is not None:
        writer.write(out, motion, options)
    elif out.suffix.lower() == ".gif":
        write_gif(out, motion.joints(), fps=motion.fps, label=caption)
    else:
        write_text(out, player_page([Track(tr("generated", __file__), motion.joints())], caption, motion.fps))


def unused_page(prompt: str, folder: Path = Path()) -> Path:
    """A name for the page of a prompt that no file in the folder has.

    >>> unused_page("A person walks forward, then kicks!").name
    'a_person_walks_forward_then_kicks.html'
    """
    title = re.sub(r"[^a-z0-9]+", "_", prompt.lower()).strip("_")[:LONGEST_TITLE].rstrip("_") or "motion"
    names = itertools.chain([title], (f"{title}-{i}" for i in itertools.count(2)))
    return next(path for name in names if not os.path.lexists(path := folder / f"{name}.html"))
