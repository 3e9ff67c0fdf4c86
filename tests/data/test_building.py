"""A folder of the cache is made once and whole, also when several ask for it at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from motionlab.data.building import build_once


def test_one_of_several_fills_it_and_the_others_wait(tmp_path: Path) -> None:
    filled: list[Path] = []

    def fill(folder: Path) -> None:
        filled.append(folder)
        (folder / "one").write_text("1")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: build_once(tmp_path / "made", fill, wait=30), range(4)))
    assert len(filled) == 1 and (tmp_path / "made" / "one").read_text() == "1"
    build_once(tmp_path / "made", fill)
    assert len(filled) == 1


def test_a_failure_leaves_no_folder_and_the_next_one_tries_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        build_once(tmp_path / "made", fail)
    assert not (tmp_path / "made").exists() and not list(tmp_path.glob(".made*"))
    build_once(tmp_path / "made", lambda folder: (folder / "whole").write_text(""))
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["whole"]
