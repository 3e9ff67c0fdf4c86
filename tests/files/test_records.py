import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from motionlab.errors import InputError
from motionlab.files.records import parse_json, parse_record, read_record, write_record


@dataclass
class Place:
    x: float
    names: list[str]


@dataclass
class Example:
    step: int
    place: Place
    flag: bool = False
    note: str | None = None


GOOD: dict[str, Any] = {"step": 3, "place": {"x": 1.5, "names": ["a", "步"]}, "flag": True, "note": None}
SAYS: dict[str, Any] = {"expected": "an example", "fix": "Make it again."}


def test_round_trip(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", GOOD)
    found = read_record(tmp_path / "a.json", Example, **SAYS)
    assert found == Example(3, Place(1.5, ["a", "步"]), True, None)
    assert "record_sha256" not in read_record(tmp_path / "a.json", dict[str, Any], **SAYS)


def test_writing_again_replaces_the_digest(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", GOOD)
    write_record(tmp_path / "a.json", {**json.loads((tmp_path / "a.json").read_text()), "step": 4})
    assert read_record(tmp_path / "a.json", Example, **SAYS).step == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": "3"}, "Expected `int`, got `str` - at `$.step`"),
        ({"step": True}, "Expected `int`, got `bool`"),
        ({"step": 3.5}, "Expected `int`, got `float`"),
        ({"place": {"x": 1}}, "missing required field `names` - at `$.place`"),
        ({"place": {"x": 1, "names": [2]}}, "at `$.place.names[0]`"),
        ({"place": []}, "Expected `object`, got `array` - at `$.place`"),
        ({"flag": None}, "Expected `bool`, got `null`"),
    ],
)
def test_a_field_of_another_type_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        parse_record(json.dumps({**GOOD, **change}), Example, "a.json", **SAYS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("[1]", "a list"),
        ("null", "a NoneType"),
        ('{"step": 1, "step": 2}', "the key 'step' twice"),
        ('{"step": NaN}', "NaN, which is no finite number"),
        ('{"step": 1e999}', "1e999, which is no finite number"),
        ("[" * 10_000 + "]" * 10_000, "nested too deeply"),
    ],
)
def test_texts_that_are_no_record(text: str, words: str) -> None:
    with pytest.raises(InputError, match=f"a.json: found .*{words}"):
        parse_record(text, Example, "a.json", **SAYS)


def test_nan_may_be_allowed() -> None:
    assert parse_json("[NaN, 1e999]", "a.json", finite=False, **SAYS)[1] == float("inf")


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_record(path, GOOD)
    content, generator = path.read_bytes(), random.Random(0)
    for bit in generator.sample(range(8 * len(content)), 500):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(bytes(changed))
        try:
            found = read_record(path, Example, **SAYS)
        except InputError:
            continue
        assert found == Example(3, Place(1.5, ["a", "步"]), True, None), f"bit {bit}"


def test_a_record_without_a_digest_is_compared_with_its_type_only() -> None:
    assert parse_record(json.dumps(GOOD), Example, "a.json", **SAYS).step == 3
