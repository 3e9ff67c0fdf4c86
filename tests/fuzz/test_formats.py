"""200 mutations of every format: read well or refused in one line, in 6 CPU seconds. `make fuzz` makes 20,000."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from motionlab.errors import InputError
from tests.fuzz import attempt as trying
from tests.fuzz.attempt import BAD, attempt, sample
from tests.fuzz.mutators import MUTATORS
from tests.fuzz.registry import Format, load_formats

TRIES = 200
FORMATS = load_formats()


@pytest.mark.parametrize("name", FORMATS)
def test_a_mutated_file_is_read_well_or_refused(name: str, tmp_path: Path) -> None:
    entry = FORMATS[name]
    files = sample(entry, tmp_path)
    entry.check(entry.read(tmp_path / "valid"))
    outcomes = [attempt(entry, files, tmp_path, seed) for seed in range(TRIES)]
    faults = [f"seed {seed}: {one.verdict} {one.text}" for seed, one in enumerate(outcomes) if one.verdict in BAD]
    assert not faults, f"{len(faults)} of {TRIES}, the first: {faults[0]}"
    assert any(one.verdict == "refused" for one in outcomes), "the mutations reach the reader"
    entry.check(entry.read(tmp_path / "valid"))  # the sample is as it was


@pytest.mark.parametrize("mutator", [one for group in MUTATORS.values() for one in group])
def test_a_mutation_is_that_of_its_seed(mutator: object) -> None:
    assert callable(mutator)
    for content in (b"", b"a: 1\nb: [2, 3]\n", b'{"a": [1, {"b": 2.5}]}'):
        assert mutator(content, random.Random(3)) == mutator(content, random.Random(3))


def _refuse(folder: Path) -> object:
    raise InputError("a", found="b", expected="c", fix="d")


def _fail(folder: Path) -> object:
    raise KeyError("a bug")


def _allocate(folder: Path) -> object:
    return bytearray(1 << 40)


def _turn(folder: Path) -> object:
    while True:
        time.process_time()


def _deny(value: object) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("read", "check", "verdict"),
    [
        (_refuse, _deny, "refused"), (_fail, _deny, "traceback"), (_allocate, _deny, "memory"), (_turn, _deny, "slow"),
        (str, _deny, "wrong"), (str, len, "fine"),
    ],
)  # fmt: skip
def test_every_verdict(read, check, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trying, "CPU_SECONDS", 0.2)

    def make(folder: Path) -> list[Path]:
        (folder / "x").write_text("1 2 3")
        return [folder / "x"]

    entry = Format("toy", make, read, check)
    assert attempt(entry, sample(entry, tmp_path), tmp_path, seed=0).verdict == verdict
