import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.files.arrays import ArrayHeader, parse_array, read_arrays, read_headers

SAYS = {"expected": "a motion", "fix": "Make it again."}


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">i4", "<u8", "|b1", "|i1", "<U3", ">U3"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (2, 0, 3)])
def test_equals_numpy(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    values = np.array(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2, dtype=dtype)
    for name, array in (("c", values), ("f", np.array(values, order="F"))):
        (tmp_path / name).write_bytes(npy(array))
        found = read_arrays(tmp_path / name, **SAYS)[""]
        assert np.array_equal(found, values) and found.dtype == values.dtype.newbyteorder("=") and found.flags.writeable


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives(tmp_path: Path, save: object) -> None:
    arrays = {"features": np.zeros((1000, 272), dtype="f4"), "fps": np.float64(30), "name": np.array("步")}
    assert callable(save)
    save(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz", **SAYS)
    assert {key: value.shape for key, value in found.items()} == {"features": (1000, 272), "fps": (), "name": ()}
    assert found["name"].item() == "步"


def test_headers_are_read_without_the_values(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", walk=np.zeros((7, 22, 3), dtype="f4"), who=np.array([{}], dtype=object))
    assert read_headers(tmp_path / "a.npz", **SAYS) == {"walk": ArrayHeader((7, 22, 3), "f"), "who": ((1,), "O")}
    (tmp_path / "a.npy").write_bytes(header("(1000000000, 272)"))  # a petabyte that is not there
    assert read_headers(tmp_path / "a.npy", **SAYS) == {"": ((1000000000, 272), "f")}


def test_only_wanted_members_are_unpacked(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", walk=np.ones(3), who=np.array([{}], dtype=object))
    assert list(read_arrays(tmp_path / "a.npz", **SAYS, only=("walk", "run"))) == ["walk"]
    with pytest.raises(InputError, match="values of type object"):
        read_arrays(tmp_path / "a.npz", **SAYS)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04 no archive", b"\x93NUMPY\x03\x00", b"x" * 40])
def test_no_headers(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    for path in (tmp_path / "a.npz", tmp_path / "none.npz", tmp_path):
        with pytest.raises(InputError):
            read_headers(path, **SAYS)


def header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header("(4,)") + b"\0" * 12, "12 bytes after a header that promises 4 values"),
        (header("(2,)") + b"\0" * 12, "12 bytes after a header that promises 2 values"),
        (header("(1000000000, 272)"), "promises 272,000,000,000 values"),
        (header("(-1,)"), "promises -1 values"),
        (header("(1,)", "'|O'") + b"\0" * 8, "values of type object"),
        (header("(1,)", "[('a', '<f4')]") + b"\0" * 4, "values of type"),
        (header("(1,)", "'<c8'") + b"\0" * 8, "values of type complex64"),
        (header("(1,)", "'<f16'") + b"\0" * 16, "values of type"),
        (b"", "read 0 bytes|EOF"),
        (b"not numpy", "magic"),
    ],
)
def test_a_claim_that_the_file_does_not_hold_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_arrays(tmp_path / "a.npy", **SAYS)


def test_an_archive_with_a_damaged_member_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("features.npy", header("(9,)") + b"\0" * 4)
    with pytest.raises(InputError, match="4 bytes after a header that promises 9 values"):
        read_arrays(tmp_path / "a.npz", **SAYS)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[80] ^= 1
    (tmp_path / "a.npz").write_bytes(bytes(content))
    with pytest.raises(InputError, match="CRC|magic|header"):
        read_arrays(tmp_path / "a.npz", **SAYS)


def test_numbers_without_a_place_are_no_numbers() -> None:
    with pytest.raises(ValueError, match="values of type <U0"):
        parse_array(header("(5,)", "'<U0'"))
