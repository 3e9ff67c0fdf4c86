"""Compare the claims of a C3D file with its length, before the C++ library that reads it believes them.

A file begins with a header of 512 bytes: where the parameters are, how many points and frames there are, where their
numbers begin. The parameters are a chain of records, each with its own length and dimensions. A damaged file claims
places outside itself, and a library that follows them ends the process. (The layout is that of the C3D user guide.)
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

from motionlab.files.reading import read_bytes, refusing

BLOCK = 512
LARGEST_FILE = 1 << 30
ORDERS = {84: "<", 85: "<", 86: ">"}  # Intel, DEC, SGI
_SIZES = {-1: 1, 1: 1, 2: 2, 4: 4}  # bytes of a letter, a byte, an integer, a float
_NEEDED = ("POINT:USED", "POINT:FRAMES", "POINT:RATE", "POINT:LABELS", "POINT:SCALE")


@dataclass(frozen=True)
class _Parameter:
    kind: int
    dims: tuple[int, ...]
    values: bytes

    def first(self, order: str) -> float:
        """The first number; 0 without one, or where it is text or of a format that Python does not have."""
        code = {1: "b", 2: "H", 4: "f"}.get(self.kind)
        if code is None or len(self.values) < _SIZES[self.kind]:
            return 0.0
        return float(struct.unpack_from(order + code, self.values)[0])


def check_c3d(path: Path, *, expected: str, fix: str) -> None:
    """Raise InputError for a file whose header or parameters lead outside it, or that lacks numbers it announces."""
    content = read_bytes(path, expected=expected, fix=fix, most=LARGEST_FILE)
    with refusing(path, expected=expected, fix=fix):
        _check(content)


def _check(content: bytes) -> None:
    if len(content) < 2 * BLOCK or content[1] != 0x50 or not content[0]:
        raise ValueError("no header of a C3D file")
    start = (content[0] - 1) * BLOCK
    if start < BLOCK or start + BLOCK > len(content):
        raise ValueError(f"parameters at byte {start:,} of {len(content):,}")
    blocks, processor = content[start + 2], content[start + 3]
    if processor not in ORDERS:
        raise ValueError(f"processor type {processor}")
    order = ORDERS[processor]
    end = start + blocks * BLOCK
    if not blocks or end > len(content):
        raise ValueError(f"{blocks} blocks of parameters in {len(content):,} bytes")
    parameters = _parameters(content[start:end], order)
    missing = [name for name in _NEEDED if name not in parameters]
    if missing:
        raise ValueError(f"no parameter {', '.join(missing)}")
    points, analog, first, last = struct.unpack_from(order + "4H", content, 2)
    scale = 0.0 if processor == 85 else struct.unpack_from(order + "f", content, 12)[0]
    if not math.isfinite(scale):
        raise ValueError(f"scale {scale}")
    (data_block,) = struct.unpack_from(order + "H", content, 16)
    data = (data_block - 1) * BLOCK
    if data < end or data > len(content):
        raise ValueError(f"numbers at byte {data:,} of {len(content):,}")
    if last < first or points == 0:
        raise ValueError(f"{points} points in frames {first} to {last}")
    used = int(parameters["POINT:USED"].first(order))
    if used != points:
        raise ValueError(f"{points} points in the header and {used} in the parameters")
    if parameters["POINT:LABELS"].kind != -1 or len(parameters["POINT:LABELS"].dims) > 2:
        raise ValueError("labels that are no texts")
    size = 4 if scale < 0 else 2
    bytes_a_frame = (4 * points + analog) * size
    frames = last - first + 1
    if last == 0xFFFF:  # the header has no room for more; the parameters say how many
        frames = (len(content) - data) // bytes_a_frame
    if frames * bytes_a_frame > len(content) - data:
        raise ValueError(f"{len(content) - data:,} bytes for {frames:,} frames of {bytes_a_frame:,} bytes")


def _parameters(section: bytes, order: str) -> dict[str, _Parameter]:
    """Every parameter as "GROUP:NAME".

    Raises:
        ValueError: a record leaves the section or does not lead onwards.
    """
    groups: dict[int, str] = {}
    found: list[tuple[int, str, _Parameter]] = []
    at = 4
    while at + 2 <= len(section):
        letters, group = struct.unpack_from("bb", section, at)
        if letters == 0 and group == 0:
            break
        name_end = at + 2 + abs(letters)
        if letters == 0 or group == 0 or name_end + 2 > len(section):
            raise ValueError(f"a parameter without a name or a group at byte {at} of the parameters")
        name = section[at + 2 : name_end].decode("latin-1").upper()
        (step,) = struct.unpack_from(order + "h", section, name_end)
        following = name_end + step if step else len(section)
        if not name_end < following <= len(section):
            raise ValueError(f"parameter {name[:20]!r} leads to byte {following} of {len(section)}")
        if group < 0:
            groups[-group] = name
            _description(section, name_end + 2, following)
        else:
            found.append((group, name, _one(section, name_end + 2, following, name)))
        if not step:
            break
        at = following
    unknown = [name for group, name, _ in found if group not in groups]
    if unknown:
        raise ValueError(f"parameter {unknown[0][:20]!r} of no group")
    return {f"{groups[group]}:{name}": parameter for group, name, parameter in found}


def _one(section: bytes, at: int, end: int, name: str) -> _Parameter:
    if at + 2 > end:
        raise ValueError(f"parameter {name[:20]!r} without a type")
    kind, dims_count = struct.unpack_from("bB", section, at)
    values = at + 2 + dims_count
    if kind not in _SIZES or dims_count > 7 or values > end:
        raise ValueError(f"parameter {name[:20]!r} of type {kind} with {dims_count} dimensions")
    dims = tuple(section[at + 2 : values])
    size = math.prod(dims) * _SIZES[kind]
    if values + size > end:
        raise ValueError(f"parameter {name[:20]!r} of {size:,} bytes in a record of {end - values}")
    _description(section, values + size, end)
    return _Parameter(kind, dims, section[values : values + size])


def _description(section: bytes, at: int, end: int) -> None:
    if at < end and at + 1 + section[at] > end:
        raise ValueError(f"a description of {section[at]} letters in {end - at - 1} bytes")
