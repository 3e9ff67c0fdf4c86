"""C3D files of all three processors, with floats and with whole numbers, written here byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.motion.formats.c3d_file import BLOCK, C3dFile, read_c3d

INTEL, DEC, SGI = 84, 85, 86
PLACES = np.array([[[1.5, -2.25, 300.0], [0.25, 7.0, -8.5]], [[2.5, -2.25, 301.0], [np.nan] * 3]])  # [2, 2, 3]


def floats(values: np.ndarray, processor: int) -> bytes:
    if processor != DEC:
        return values.astype("<f4" if processor == INTEL else ">f4").tobytes()
    return (values.astype("<f4") * np.float32(4)).view("<u2").reshape(-1, 2)[:, ::-1].tobytes()


def content(processor: int, scale: float, analog: int = 0) -> bytes:
    """Two frames of two markers; the second is hidden in the second frame, by its residual."""
    order = ">" if processor == SGI else "<"

    def record(name: str, group: int, body: bytes) -> bytes:
        return struct.pack("bb", len(name), group) + name.encode() + struct.pack(order + "h", 2 + len(body)) + body

    def texts(values: list[str], length: int) -> bytes:
        joined = "".join(value.ljust(length) for value in values).encode()
        return bytes([255, 2, length, len(values)]) + joined + b"\0"

    chain = record("POINT", -1, b"\0")
    chain += record("LABELS", 1, texts(["C7", "S:CLAV"], 8)) + record("UNITS", 1, texts(["cm"], 2))
    chain += record("Y_SCREEN", 1, texts(["+Z"], 2))
    chain += record("RATE", 1, bytes([4, 0]) + floats(np.array([120.0]), processor) + b"\0")
    parameters = (bytes([1, 0x50, 1, processor]) + chain).ljust(BLOCK, b"\0")
    head = bytes([2, 0x50]) + struct.pack(order + "5H", 2, analog, 5, 6, 0)
    head += floats(np.array([scale]), processor) + struct.pack(order + "H", 3)
    table = np.zeros((2, 8 + analog))
    table[:, :8] = np.concatenate((np.nan_to_num(PLACES), [[[0], [0]], [[0], [-1]]]), axis=-1).reshape(2, 8)
    if scale < 0:
        numbers = floats(table, processor)
    else:
        table[:, [0, 1, 2, 4, 5, 6]] /= scale
        numbers = table.astype(order + "i2").tobytes()
    return head.ljust(BLOCK, b"\0") + parameters + numbers


def read(path: Path, data: bytes) -> C3dFile:
    path.write_bytes(data)
    return read_c3d(path, expected="a C3D file", fix="Make it again.")


@pytest.mark.parametrize("processor", [INTEL, DEC, SGI])
@pytest.mark.parametrize("scale", [-1.0, 0.25])
@pytest.mark.parametrize("analog", [0, 3])
def test_numbers_of_every_kind(tmp_path: Path, processor: int, scale: float, analog: int) -> None:
    found = read(tmp_path / "a.c3d", content(processor, scale, analog))
    assert np.array_equal(found.points, PLACES, equal_nan=True)
    assert (found.labels, found.rate, found.unit, found.up) == (("C7", "S:CLAV"), 120.0, "cm", "+Z")


def test_frames_beyond_the_header_follow_from_the_length(tmp_path: Path) -> None:
    data = bytearray(content(INTEL, -1.0))
    data[8:10] = b"\xff\xff"
    assert np.array_equal(read(tmp_path / "a.c3d", bytes(data)).points, PLACES, equal_nan=True)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, 9, "parameters at byte"),
        (514, 200, "200 blocks of parameters"),
        (515, 80, "processor type 80"),
        (2, 0, "0 points"),
        (10 - 2, 4, "in frames 5 to 4"),
        (3, 9, "bytes for 2 frames"),
        (16, 0, "numbers at byte"),
        (15, 0, "scale"),
        (512 + 4, 0, "without a name or a group"),
        (512 + 4 + 7, 250, "'POINT' leads to byte"),
    ],
)
def test_claims_that_the_file_does_not_hold(tmp_path: Path, at: int, value: int, words: str) -> None:
    data = bytearray(content(INTEL, -1.0))
    data[at] = value
    if at == 15:
        data[12:16] = b"\0" * 4
    if at == 512 + 4 + 7:
        data[at + 1] = value
    with pytest.raises(InputError, match=words):
        read(tmp_path / "a.c3d", bytes(data))
