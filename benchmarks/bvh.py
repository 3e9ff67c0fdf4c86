"""How fast BVH files are read, in frames a second of processor time, against another reader and against plain ways.

    python benchmarks/bvh.py [--file PATH ...] [--repeat N] [--seconds S] [--quick]

| row | what | compared with | goal |
|-----|------|---------------|------|
| read    | `read_bvh`: tree, rows, rotation matrices | `pybvh.read_bvh_file`, which stops at the angles | not slower |
| numbers | the same | `numpy.fromstring` of the rows alone | not slower |
| plain   | the same | our own plain ways: line by line, matrix by matrix | 3x |
| world   | places and turns in the world on top | the first row of ours | at most twice the time |

Files are made: 31, 23 and 65 joints, as the CMU, Xsens and Mixamo files have, 6 decimals. `--file` measures files of
your own instead and writes nothing. One thread. Results go to `benchmarks/results/`; how it is measured, and why so:
`support/measuring.py`. That both sides read the same is a test (`tests/benchmarks/`).
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from motionlab.runtime import wait_passively

wait_passively()  # before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from support.measuring import Goal, Row, machine, save_rows, speed_row, take_turns  # noqa: E402
from torch import Tensor  # noqa: E402

from motionlab.motion.formats.bvh import read_bvh  # noqa: E402
from motionlab.motion.formats.bvh_rows import read_rows_plain  # noqa: E402
from motionlab.motion.formats.bvh_tree import BvhText, decode, read_motion_header, read_tree  # noqa: E402
from motionlab.motion.formats.euler_angles import euler_to_matrix_plain  # noqa: E402

RESULTS = Path(__file__).parent / "results"
SIZES = {"31 joints": (31, "ZYX"), "23 joints": (23, "YXZ"), "65 joints": (65, "XYZ")}


def make_file(path: Path, joints: int, axes: str, frames: int) -> Path:
    """A chain of limbs of four joints each, and angles that wander, as recorded ones do."""
    random = np.random.default_rng(joints)
    channels = " ".join(f"{axis}rotation" for axis in axes)
    lines = ["HIERARCHY", "ROOT Hips", "{", "OFFSET 0 0 0", f"CHANNELS 6 Xposition Yposition Zposition {channels}"]
    for start in range(1, joints, 4):
        limb = range(start, min(start + 4, joints))
        for joint in limb:
            lines += [f"JOINT J{joint}", "{", f"OFFSET {joint % 5}.25 1.5 0", f"CHANNELS 3 {channels}"]
        lines += ["End Site", "{", "OFFSET 0 1 0", "}", *["}"] * len(limb)]
    angles = 40 * random.standard_normal(3 * joints) + random.standard_normal((frames, 3 * joints)).cumsum(0)
    table = np.concatenate((random.standard_normal((frames, 3)).cumsum(0) + 90, angles % 360 - 180), axis=1)
    rows = [" ".join(f"{value:.6f}" for value in row) for row in table.tolist()]
    path.write_text("\n".join([*lines, "}", "MOTION", f"Frames: {frames}", "Frame Time: 0.008333", *rows]) + "\n")
    return path


def read_plain(path: Path) -> Tensor:
    """Rotations `[T, J, 3, 3]` by the ways that are the tests of the fast ones."""
    text = BvhText(decode(path.read_bytes()), path)
    joints, _ = read_tree(text)
    frames, _ = read_motion_header(text, None)
    table, _ = read_rows_plain(text, frames, sum(len(joint.channels) for joint in joints))
    rotations, column = [], 0
    for joint in joints:
        columns = [column + at for at, channel in enumerate(joint.channels) if channel.endswith("rotation")]
        axes = "".join(channel[0] for channel in joint.channels if channel.endswith("rotation"))
        rotations.append(euler_to_matrix_plain(table[:, columns], axes))
        column += len(joint.channels)
    return torch.stack(rotations, dim=1)


def read_numbers(path: Path) -> Any:
    """The rows alone, as numpy parses text."""
    text = path.read_text()
    start = text.index("\n", text.index("Frame Time")) + 1
    return np.fromstring(text[start:], sep=" ")


def in_the_world(path: Path) -> Tensor:
    """Places of the joints, `[T, J, 3]`."""
    return read_bvh(path).joints()


def rows_of(label: str, path: Path, repeat: int, seconds: float) -> Iterator[Row]:
    """The rows of one file."""
    contestants: dict[str, Callable[[], Any]] = {
        "ours": lambda: read_bvh(path), "numbers": lambda: read_numbers(path), "plain": lambda: read_plain(path),
        "world": lambda: in_the_world(path),
    }  # fmt: skip
    if importlib.util.find_spec("pybvh") is not None:
        import pybvh

        contestants["pybvh"] = lambda: pybvh.read_bvh_file(path, world_up="+y")
    times = take_turns(contestants, repeat, seconds)
    frames = len(read_bvh(path))
    for name, spent in times.items():
        print(f"  {label}, {name}: {frames / min(cpu for _, cpu in spent):,.0f} frames a CPU second at best")
    if "pybvh" in times:
        yield speed_row("bvh", f"read, {label} vs pybvh (angles)", times, "ours", "pybvh", Goal(">=", 1.0))
    yield speed_row("bvh", f"read, {label} vs numbers alone", times, "ours", "numbers", Goal(">=", 1.0))
    yield speed_row("bvh", f"read, {label} vs plain", times, "ours", "plain", Goal(">=", 3.0))
    yield speed_row("bvh", f"places in the world, {label}", times, "world", "ours", Goal("<=", 2.0))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description="Speed of reading BVH files.")
    parser.add_argument("--file", type=Path, nargs="+", default=[], help="files to read instead of made ones")
    parser.add_argument("--repeat", type=int, default=15, help="rounds of a comparison, at most")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a comparison, after which it has three rounds")
    parser.add_argument("--quick", action="store_true", help="everything smaller; writes nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        files = {path.stem: path for path in options.file}
        if not files:
            for label, (joints, axes) in SIZES.items():
                frames = 40 if options.quick else 2000
                files[label] = make_file(Path(folder) / f"{joints}.bvh", joints, axes, frames)
        for label, path in files.items():
            for row in rows_of(label, path, 2 if options.quick else options.repeat, options.seconds):
                rows.append(row)
                print(row, flush=True)
    if not options.quick and not options.file:
        save_rows(RESULTS / "bvh_cpu.json", rows)


if __name__ == "__main__":
    main()
