"""From a motion file of any format that is read to a file of any format that is written, with the loss measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from motionlab.errors import InputError, MissingExtra
from motionlab.jobs.motion_files import find_target, write_target
from motionlab.motion.formats.loss import Loss, measure_loss
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.formats.source import UNITS as SOURCE_UNITS
from motionlab.motion.formats.source import UPS as SOURCE_UPS
from motionlab.motion.formats.source import Reading, ReadOptions
from motionlab.motion.frame_rate import same_rate, whole_rate
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import BODIES, retarget
from motionlab.motion.skeleton import Skeleton

RATES = (1.0, 1000.0)  # frames per second that can be asked for
FASTEST_GIF = 50.0  # frames per second; above, most viewers play slower


@dataclass(frozen=True)
class Converted:
    """One file that was written.

    Args:
        path: of the file.
        motion: what was written, at the frame rate of the file.
        source_frames, source_fps: of the motion as it was read.
        loss: None where it was not measured.
        loses: what such a file cannot hold.
        notes: what the reader, the retargeting and the writer have to say, in whole sentences.
    """

    path: Path
    motion: Motion
    source_frames: int
    source_fps: float
    loss: Loss | None
    notes: tuple[str, ...]
    loses: str = ""

    def lines(self) -> list[str]:
        """Notes for the user about the file, one per line."""
        frames = f"{len(self.motion)} frames at {self.motion.fps:g} fps"
        if len(self.motion) != self.source_frames or not same_rate(self.motion.fps, self.source_fps):
            frames += f", from {self.source_frames} at {self.source_fps:.4g}"
        lines = [f"written: {self.path} ({frames})"]
        if self.loss is not None:
            back = "" if self.loss.frames == len(self.motion) else f"; {self.loss.frames} frames came back"
            lines.append(f"lost: {self.loss}{back}")
        if self.loses:
            lines.append(f"cannot hold: {self.loses}")
        return [*lines, *self.notes]


def convert(
    source: str | Path,
    out: str | Path,
    *,
    to: str | None = None,
    fps: float | None = None,
    source_fps: float | None = None,
    source_unit: str | None = None,
    source_up: str | None = None,
    body: str = "own",
    options: WriteOptions | None = None,
    measure: bool = True,
) -> Iterator[Converted]:
    """`motionlab convert`: the motions of one file, each into a file of its own.

    One motion becomes `out`. Several become `out` with a number before its ending: walk-0001.bvh, walk-0002.bvh ...
    The checks that need no motion are made at once; the files come as the result is iterated over.

    Args:
        to: name of the format where the ending does not say it; see `find_writer`.
        fps: frames per second of the files; None keeps those of the source, or takes those of the format.
        source_fps: frames per second of the source, instead of what its file says.
        source_unit: "m", "cm", "mm" or "in", instead of what its file says or the legs imply.
        source_up: axis of the source that points up, "y", "z", "-y" ..., instead of what its file or the poses say.
        body: "own" keeps the bones of the source, "canonical" gives it those of the bundled samples.
        options: unit, order of rotations and axis that points up, for formats that have them.
        measure: read each file again and compare.

    Raises:
        InputError: a source that cannot be read, a format or option that does not exist, a rate that cannot be, or an
            `out` that is the source itself.
    """
    source, out, options = Path(source), Path(out), options or WriteOptions()
    writer = find_target(out, to, options)
    for name, rate in (("--fps", fps), ("--source-fps", source_fps)):
        if rate is not None and not (math.isfinite(rate) and RATES[0] <= rate <= RATES[1]):
            expected = f"{RATES[0]:g} to {RATES[1]:g} frames per second"
            raise InputError(name, found=f"{rate:g}", expected=expected, fix="Give another rate.")
    if writer is not None and writer.fps is not None and fps is not None and not same_rate(fps, writer.fps):
        raise InputError(
            "--fps", found=f"{fps:g}", expected=f"{writer.fps:g}, as {writer.name} always has", fix="Leave out --fps."
        )
    if out.is_dir():
        raise InputError(out, found="a folder", expected="the name of a file", fix="Add a name with an ending.")
    for name, value, choices in (
        ("--source-unit", source_unit, tuple(SOURCE_UNITS)), ("--source-up", source_up, SOURCE_UPS)
    ):  # fmt: skip
        if value is not None and value not in choices:
            raise InputError(name, found=repr(value), expected=" or ".join(choices), fix="Choose one of these.")
    if body not in BODIES:
        raise InputError("--body", found=repr(body), expected=" or ".join(BODIES), fix="Choose one of these.")
    _refuse_itself(source, out)
    readings = read_file(source, ReadOptions(fps=source_fps, unit=source_unit, up=source_up))
    first = list(itertools.islice(readings, 2))
    if not first:
        raise InputError(source, found="no motion", expected="at least one", fix="Use another file.")
    wanted = writer.fps if writer is not None and writer.fps is not None else fps
    return _convert(
        source, out, itertools.chain(first, readings), len(first) > 1, wanted, body, writer, options, measure
    )


def _convert(
    source: Path, out: Path, readings: Iterator[Reading], several: bool, fps: float | None, body: str,
    writer: Writer | None, options: WriteOptions, measure: bool,
) -> Iterator[Converted]:  # fmt: skip
    for number, reading in enumerate(readings, start=1):
        path = out.with_name(f"{out.stem}-{number:04d}{out.suffix}") if several else out
        _refuse_itself(source, path)
        motion, notes = _on_our_joints(reading, fps, body)
        if path.suffix.lower() == ".gif" and writer is None and motion.fps > FASTEST_GIF and fps is None:
            notes = (*notes, f"A GIF shows at most {FASTEST_GIF:g} frames per second: resampled to {Motion.fps:g}.")
            motion = motion.resample(fps=Motion.fps)
        caption = reading.captions[0] if reading.captions else motion.name
        write_target(path, motion, writer, options, caption)
        loss: Loss | None = None
        if writer is not None and measure:
            try:
                loss = measure_loss(path, motion, writer, options)
            except (InputError, MissingExtra) as error:
                notes = (*notes, f"The loss was not measured: {error}")
        frames = len(reading.motion)
        yield Converted(path, motion, frames, reading.motion.fps, loss, notes, writer.loses if writer else "")


def _on_our_joints(reading: Reading, fps: float | None, body: str) -> tuple[Motion, tuple[str, ...]]:
    """The motion on the 22 joints, with a skeleton, at the wanted rate or its own, and the notes."""
    motion, notes = reading.motion, reading.notes
    if not isinstance(motion, Motion):
        own = whole_rate(motion.fps) if motion.fps else Motion.fps  # a single frame has no rate
        retargeted = retarget(motion, fps=fps or own, body=body)
        motion, notes = retargeted.motion, (*notes, *retargeted.notes, *retargeted.doubts)
    if motion.skeleton is None:
        motion = replace(motion, skeleton=Skeleton.measure(motion.joints(), motion.rotations()))
    return (motion if fps is None else motion.resample(fps=fps)), notes


def _refuse_itself(source: Path, out: Path) -> None:
    if out.exists() and source.exists() and out.samefile(source):
        raise InputError(out, found="the file that is read", expected="another file", fix="Choose another --out.")
