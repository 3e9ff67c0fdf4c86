"""Pickles are refused unopened, numpy files of no known kind with a list of their arrays."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import Reading


def read(path: Path) -> list[Reading]:
    return list(read_file(path))


def test_unknown_arrays_are_listed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", betas=np.zeros(16), faces=np.zeros((4, 3), dtype=int))
    with pytest.raises(InputError, match=r"found betas \(16,\), faces \(4, 3\), expected \[T, 272\]"):
        read(tmp_path / "a.npz")


class Trap:
    """Unpickling one is seen."""

    opened = False

    def __reduce__(self) -> Any:
        return _spring, ()


def _spring() -> str:
    Trap.opened = True
    return ""


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pkl", ".pt", ".p"])
def test_pickles_are_refused_unopened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, np.array(Trap(), dtype=object))
    elif suffix == ".npz":
        np.savez(path, motion=np.array(Trap(), dtype=object))
    else:
        path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="pickled Python objects") as caught:
        read(path)
    assert "np.savez" in caught.value.fix and not Trap.opened


def test_a_real_poselib_file_is_refused(real_motion: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="pickled Python objects") as caught:
        read(real_motion("poselib_pickled_walk.npy"))
    assert "global_translation" in caught.value.fix


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"{}"])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    for name in ("a.npy", "a.npz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)
