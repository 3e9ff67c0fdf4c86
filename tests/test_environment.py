"""Variables of the environment, paths and streams: a wrong one is one error that names it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from motionlab import environment
from motionlab.errors import InputError

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "LOCAL_RANK": "1"}


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_what_torchrun_says(torchrun: pytest.MonkeyPatch) -> None:
    assert environment.launch() == environment.Launch(1, 2, 1, "127.0.0.1:29500")
    for name in ("RANK", "WORLD_SIZE"):
        torchrun.delenv(name)
    assert environment.launch() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RANK", "x"), ("RANK", "2"), ("RANK", "-1"), ("RANK", "²"), ("WORLD_SIZE", "0"), ("WORLD_SIZE", "two"),
        ("LOCAL_RANK", "2"), ("LOCAL_RANK", "-1"), ("LOCAL_RANK", "1.0"), ("LOCAL_WORLD_SIZE", "0"),
        ("MASTER_PORT", "65536"), ("MASTER_PORT", "http"),
    ],
)  # fmt: skip
def test_a_wrong_variable_of_torchrun_is_named(torchrun: pytest.MonkeyPatch, name: str, value: str) -> None:
    torchrun.setenv(name, value)
    with pytest.raises(InputError, match=f"^{name}: found {name}={value} in the environment"):
        environment.launch()


@pytest.mark.parametrize("missing", ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"])
def test_some_of_torchruns_variables_are_not_enough(torchrun: pytest.MonkeyPatch, missing: str) -> None:
    torchrun.delenv(missing)
    with pytest.raises(InputError, match=f"in the environment without {missing}, .*Start with torchrun, or unset"):
        environment.launch()


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, count in (("3", 3), ("2,1", 2), (" 4 ", 4), ("", None)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert environment.thread_count() == count
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert environment.thread_count() is None


@pytest.mark.parametrize("path", ["a\0b", "x" * 256, "a/" * 2000, "走" * 100, "\ud800"])
def test_a_path_that_no_file_has(path: str) -> None:
    with pytest.raises(InputError, match="^--out: found a .*expected a path of at most 3,840 bytes") as caught:
        environment.usable_path(path, "--out")
    assert str(caught.value).isprintable()
    assert environment.usable_path("a/b \udcff.txt") == Path("a/b \udcff.txt")  # bytes that are not UTF-8 are a name


def test_a_stream_that_knows_ascii_only_shows_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with pytest.raises(UnicodeEncodeError):
        sys.stdout.write("≈")
    environment.let_anything_print()
    print("≈ ✓ 走路 \udcff", flush=True)
    assert raw.getvalue() == rb"\u2248 \u2713 \u8d70\u8def \udcff" + b"\n"
