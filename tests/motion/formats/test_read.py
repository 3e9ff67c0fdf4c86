"""The registry: every suffix leads to a format or to a clear line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.motion.formats.read import FORMATS, find_format, read_file

SUFFIXES = sorted({suffix for known in FORMATS for suffix in known.suffixes})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_file_a_folder_and_an_empty_file(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / f"empty{suffix}").touch()
    for name in ("none", "folder", "empty"):
        with pytest.raises((InputError, ImportError), match=re.escape(f"{name}{suffix}") + "|is not installed"):
            list(read_file(tmp_path / f"{name}{suffix}"))


def test_other_suffixes_are_told_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match=r"a file of no known format, expected .*\.bvh, .*\.npz"):
        find_format(tmp_path / "a.mp4")


def test_formats_tell_themselves_apart(root: Path) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert len({known.name for known in FORMATS}) == len(FORMATS)
    for known in FORMATS:
        assert known.carries and known.loses and known.suffixes
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in known.suffixes)
        assert known.extra is None or known.extra in extras
