"""The bytes of a C3D file: a header, a chain of parameters, and the places of markers frame by frame.

The header of 512 bytes says where the parameters are, how many points and frames there are, and where their numbers
begin. The parameters are a chain of records, each with its own length and dimensions. Every claim is compared with the
length of the file before it is followed. (The layout is that of the C3D user guide. ezc3d, which reads more of it, asks
for gigabytes or ends the process when a file is damaged, so it only writes the files of the tests.)
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motionlab.files.reading import read_bytes, refusing

BLOCK = 512
LARGEST_FILE = 1 << 30
DEC = 85
ORDERS = {84: "<", DEC: "<", 86: ">"}  # Intel, DEC, SGI
_SIZES = {-1: 1, 1: 1, 2: 2, 4: 4}  # bytes of a letter, a byte, an integer, a float
_LONGEST = 0xFFFF  # frames that the header has room for


@dataclass(frozen=True, eq=False)
class C3dFile:
    """Places of markers, and what the file says about them.

    Args:
        labels: a name for each of the `N` markers, "" where the file has none.
        points: `[T, N, 3]` float64, NaN where a marker was hidden.
        rate: frames a second; 0 when the file does not say.
        unit: as the file writes it, "mm" in most.
        up: `POINT:Y_SCREEN`, the axis that a screen shows upwards, "+Z" in most; "" when the file does not say.
    """

    labels: tuple[str, ...]
    points: np.ndarray
    rate: float
    unit: str
    up: str


@dataclass(frozen=True)
class _Parameter:
    kind: int
    dims: tuple[int, ...]
    values: bytes

    def texts(self) -> list[str]:
        """Its texts without the blanks around them; none where it holds numbers."""
        if self.kind != -1 or not self.dims:
            return []
        length, text = self.dims[0], self.values.decode("latin-1")
        return [text[at : at + length].strip(" \0") for at in range(0, len(text), length)] if length else []


def read_c3d(path: Path, *, expected: str, fix: str) -> C3dFile:
    """The markers of a file.

    Raises:
        InputError: no such file, no C3D file, or one that leads outside itself or lacks numbers it announces.
    """
    content = read_bytes(path, expected=expected, fix=fix, most=LARGEST_FILE)
    with refusing(path, expected=expected, fix=fix):
        return _parse(content)


def _parse(content: bytes) -> C3dFile:
    if len(content) < 2 * BLOCK or content[1] != 0x50 or not content[0]:
        raise ValueError("no header of a C3D file")
    start = (content[0] - 1) * BLOCK
    if start < BLOCK or start + BLOCK > len(content):
        raise ValueError(f"parameters at byte {start:,} of {len(content):,}")
    blocks, processor = content[start + 2], content[start + 3]
    if processor not in ORDERS:
        raise ValueError(f"processor type {processor}")
    order, end = ORDERS[processor], start + blocks * BLOCK
    if not blocks or end > len(content):
        raise ValueError(f"{blocks} blocks of parameters in {len(content):,} bytes")
    parameters = _parameters(content[start:end], order)
    points, analog, first, last = struct.unpack_from(order + "4H", content, 2)
    scale = float(_floats(content[12:16], processor)[0])
    data = (struct.unpack_from(order + "H", content, 16)[0] - 1) * BLOCK
    if not math.isfinite(scale) or scale == 0:
        raise ValueError(f"scale {scale}")
    if not start < data <= len(content):
        raise ValueError(f"numbers at byte {data:,} of {len(content):,}")
    if last < first or points == 0:
        raise ValueError(f"{points} points in frames {first} to {last}")
    size = 4 if scale < 0 else 2
    row = (4 * points + analog) * size  # bytes of a frame
    frames = (len(content) - data) // row if last == _LONGEST else last - first + 1
    if frames * row > len(content) - data:
        raise ValueError(f"{len(content) - data:,} bytes for {frames:,} frames of {row:,} bytes")
    numbers = content[data : data + frames * row]
    values = _floats(numbers, processor) if scale < 0 else np.frombuffer(numbers, dtype=f"{order}i2")
    table = values.reshape(frames, -1)[:, : 4 * points].reshape(frames, points, 4).astype(np.float64)
    places = table[..., :3] * (1.0 if scale < 0 else scale)
    places[(table[..., 3] < 0) | ~np.isfinite(places).all(-1) | (places == 0).all(-1)] = np.nan
    labels: list[str] = []
    for name in ("POINT:LABELS", *(f"POINT:LABELS{number}" for number in range(2, 10))):
        labels += parameters[name].texts() if name in parameters else []
    rate = parameters.get("POINT:RATE")
    return C3dFile(
        tuple((labels + [""] * points)[:points]),
        places,
        float(_floats(rate.values[:4], processor)[0]) if rate is not None and rate.kind == 4 and rate.values else 0.0,
        _text(parameters, "POINT:UNITS"),
        _text(parameters, "POINT:Y_SCREEN"),
    )


def _floats(content: bytes, processor: int) -> np.ndarray:
    """Numbers of 4 bytes. DEC has the halves of each swapped, and exponents that are 2 higher."""
    if processor != DEC:
        return np.frombuffer(content, dtype=f"{ORDERS[processor]}f4")
    swapped = np.frombuffer(content, dtype="<u2").reshape(-1, 2)[:, ::-1].copy()
    return swapped.view("<f4")[:, 0] / np.float32(4)


def _text(parameters: dict[str, _Parameter], name: str) -> str:
    return next(iter(parameters[name].texts()), "") if name in parameters else ""


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
            if any(section[at:]):  # the chain broke off: a library may see other records there
                raise ValueError(f"no parameter at byte {at} of {len(section)}, and more behind it")
            break
        name_end = at + 2 + abs(letters)
        if letters == 0 or group == 0 or name_end + 2 > len(section):
            raise ValueError(f"a parameter without a name or a group at byte {at} of the parameters")
        name = section[at + 2 : name_end].decode("latin-1").upper()
        (step,) = struct.unpack_from(order + "H", section, name_end)
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
