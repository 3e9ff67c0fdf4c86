"""Fields of a foreign `config.json`: one line with file and field, whatever is there instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.files.foreign_config import ForeignConfig, read_foreign_config


def config(**values: object) -> ForeignConfig:
    return ForeignConfig("config.json", values, fix="Fix it.")


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "8", [8], {}, float("nan")])
def test_whole_numbers(value: object) -> None:
    with pytest.raises(InputError, match="config.json: size: found .*, expected a whole number of 1 or more"):
        config(size=value).whole("size", 5)


@pytest.mark.parametrize("value", [0, -1e-6, True, "8", [8], float("nan"), float("inf"), 10**400])
def test_numbers(value: object) -> None:
    with pytest.raises(InputError, match="config.json: eps: found .*, expected a number above 0"):
        config(eps=value).number("eps", 1.0)


def test_null_is_missing() -> None:
    empty = config(size=None, eps=None, flag=None, word=None, group=None)
    assert (empty.whole("size", 5), empty.number("eps", 1e-6), empty.flag("flag", True)) == (5, 1e-6, True)
    assert empty.text("word", ("a", "b"), "b") == "b" and empty.section("group") is None and "size" not in empty
    with pytest.raises(InputError, match="config.json: size: found nothing"):
        empty.whole("size")


def test_other_types() -> None:
    for call in (
        lambda: config(flag=1).flag("flag", False),
        lambda: config(word="c").text("word", ("a", "b")),
        lambda: config(word=["a"]).text("word", ("a", "b")),
        lambda: config(group=[1]).section("group"),
    ):
        with pytest.raises(InputError, match="config.json: (flag|word|group): found"):
            call()
    with pytest.raises(InputError, match="config.json: group: factor: found nothing"):
        section = config(group={"kind": "linear"}).section("group")
        assert section is not None
        section.number("factor")


@pytest.mark.parametrize("key", ["quantization_config", "compression_config", "quantization"])
def test_quantised(tmp_path: Path, key: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({key: {"bits": 4}}))
    with pytest.raises(InputError, match=f"config.json: {key}: found quantised weights"):
        read_foreign_config(tmp_path, "settings", fix="Fix it.")


def test_an_adapter(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="adapter_config.json: found a LoRA adapter"):
        read_foreign_config(tmp_path, "settings", fix="Fix it.")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"\xff\xfe", b'"text"'])
def test_files_that_hold_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match="config.json: found .*, expected settings"):
        read_foreign_config(tmp_path, "settings", fix="Fix it.")


def test_messages_are_one_line() -> None:
    for value in ("a\nb\x1b[31m", "x" * 1000, [["deep"]], {"a": "\n"}):
        with pytest.raises(InputError) as caught:
            config(**{"a\tword": value}).text("a\tword", ("a", "b"))
        assert str(caught.value).isprintable() and len(str(caught.value)) < 300
