import os
from pathlib import Path

import pytest

from motionlab.errors import InputError, MissingExtra
from motionlab.files.reading import LONGEST_REASON, read_bytes, read_text, refusing

KINDS = [
    ValueError("a\nb"),
    KeyError("x"),
    TypeError(),
    RecursionError(),
    OverflowError("big"),
    EOFError(),
    LookupError("y"),
]


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_whatever_a_parser_raises_becomes_one_line(error: Exception) -> None:
    with pytest.raises(InputError) as caught, refusing("a.json", expected="JSON", fix="Make it again."):
        raise error
    message = str(caught.value)
    assert message.startswith("a.json: found ") and message.endswith("expected JSON. Make it again.")
    assert "\n" not in message and caught.value.__cause__ is error


@pytest.mark.parametrize("error", [MemoryError(), MissingExtra("x", extra="y", purpose="z"), KeyboardInterrupt()])
def test_faults_of_something_else_pass(error: BaseException) -> None:
    with pytest.raises(type(error)), refusing("a.json", expected="JSON", fix="Make it again."):
        raise error


def test_an_input_error_keeps_its_own_words() -> None:
    with pytest.raises(InputError, match="b: found 1, expected 2"), refusing("a", expected="JSON", fix="Fix."):
        raise InputError("b", found=1, expected=2, fix="Do.")


def test_long_messages_are_cut() -> None:
    with pytest.raises(InputError) as caught, refusing("a", expected="JSON", fix="Fix."):
        raise ValueError("x" * 10_000)
    assert len(str(caught.value)) < LONGEST_REASON + 100


def test_size_is_compared_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing: it takes no room on the disk
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    with pytest.raises(InputError, match="1,099,511,627,776 bytes, expected notes of at most 268,435,456 bytes"):
        read_bytes(path, expected="notes", fix="Fix.")


def test_no_file_a_folder_a_pipe_and_other_encodings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    for name, found in (
        ("none", "no file"),
        (".", "a folder"),
        ("pipe", "no regular file"),
        ("latin", "'utf-8' codec"),
    ):
        with pytest.raises(InputError, match=f"found {found}"):
            read_text(tmp_path / name, expected="notes", fix="Fix.")
    with pytest.raises(InputError, match="File name too long"):
        read_text(tmp_path / ("x" * 5000), expected="notes", fix="Fix.")
    (tmp_path / "mark").write_bytes("步".encode("utf-8-sig"))
    assert read_text(tmp_path / "mark", expected="notes", fix="Fix.") == "步"
