"""Write motions in any format of the registry; the counterpart of `read.py`."""

from __future__ import annotations

from pathlib import Path

from motionlab.errors import InputError, check_choice
from motionlab.motion.formats import (
    bvh_write,
    features_write,
    glb_write,
    humanml_write,
    joints_write,
    pfnn,
    smpl_write,
)
from motionlab.motion.formats.euler_curves import ORDERS
from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.frame_rate import same_rate
from motionlab.motion.motion import Motion

WRITERS: tuple[Writer, ...] = (
    bvh_write.WRITER,
    glb_write.WRITER,
    joints_write.WRITER,
    smpl_write.AMASS,
    smpl_write.SMPL85,
    features_write.WRITER,
    humanml_write.WRITER,
    pfnn.WRITER,
)


def find_writer(path: str | Path, to: str | None = None, options: WriteOptions | None = None) -> Writer:
    """The writer of a file, by its suffix, or by name where several formats share one.

    Args:
        to: the `key` of a writer.
        options: those of a person; a format that heeds them is needed.

    Raises:
        InputError: an unknown name or suffix, a suffix that several formats share, a name that does not go with the
            suffix, or an option that the format does not have.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    keys = ", ".join(writer.key for writer in WRITERS)
    if to is not None and to not in [writer.key for writer in WRITERS]:
        raise InputError("--to", found=repr(to), expected=keys, fix="Choose one of these.")
    found = [writer for writer in WRITERS if suffix in writer.suffixes and to in (None, writer.key)]
    if not found:
        known = [writer for writer in WRITERS if to in (None, writer.key)]
        suffixes = " ".join(sorted({suffix for writer in known for suffix in writer.suffixes}))
        raise InputError(path, found=f"ending {suffix!r}", expected=suffixes, fix="Choose one of these.")
    if len(found) > 1:
        choices = " or ".join(f"--to {writer.key} ({writer.name})" for writer in found)
        raise InputError(path, found=f"ending {suffix!r}, which {len(found)} formats share", expected=choices,
                         fix="Say which one.")  # fmt: skip
    writer = found[0]
    for name, value in (options or WriteOptions()).given().items():
        if name not in writer.takes:
            takers = " or ".join(ending for other in WRITERS if name in other.takes for ending in other.suffixes)
            raise InputError(path, found=f"{name} {value}", expected=f"an ending {takers}", fix=f"Leave out --{name}.")
        check_option(name, value)
    return writer


def check_option(name: str, value: str) -> None:
    """Raise InputError for a value that no writer has."""
    choices = {"unit": tuple(bvh_write.UNITS), "order": ORDERS, "up": bvh_write.UPS}
    check_choice(name, value, choices[name])


def write_motion(
    path: str | Path, motion: Motion, *, to: str | None = None, options: WriteOptions | None = None
) -> Writer:
    """Write one motion, resampled where the format has a frame rate of its own. Returns the writer that was used.

    Raises:
        InputError: as `find_writer`; a motion that the format cannot hold; a file that cannot be written.
    """
    writer = find_writer(path, to, options)
    if writer.fps is not None and not same_rate(writer.fps, motion.fps):
        motion = motion.resample(fps=writer.fps)
    writer.write(Path(path), motion, options or WriteOptions())
    return writer
