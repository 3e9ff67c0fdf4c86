"""Samples that were changed, cut or broken: one error that names the file, the line and the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.data.composed import samples as module
from motionlab.data.composed.samples import load_caption_embeddings, load_samples, read_captions
from motionlab.errors import InputError


def edit(folder: Path, number: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Change line `number` (from 1) of the caption file and write down its new hash."""
    path = folder / "captions.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    row = json.loads(lines[number - 1])
    change(row)
    lines[number - 1] = json.dumps(row, ensure_ascii=False)
    path.write_text("\n".join(lines), encoding="utf-8")


def test_a_changed_motion_is_named(copied: Path) -> None:
    path = copied / "motions" / "kick.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"motions/kick\.npy: found sha256"):
        load_samples(copied)
    assert len(load_samples(copied, check=False)) == 55


def test_a_missing_motion_is_named(copied: Path) -> None:
    (copied / "motions" / "run.npy").unlink()
    for check in (True, False):
        with pytest.raises(InputError, match=r"motions/run\.npy: found no file"):
            load_samples(copied, check=check)


def test_a_truncated_motion_is_named_even_unchecked(copied: Path) -> None:
    path = copied / "motions" / "run.npy"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"run\.npy: found .* bytes after a header that promises"):
        load_samples(copied, check=False)


def test_a_motion_with_nan_is_named_even_unchecked(copied: Path) -> None:
    array = np.load(copied / "motions" / "run.npy")
    array[3, 10] = np.nan
    np.save(copied / "motions" / "run.npy", array)
    with pytest.raises(InputError, match=r"run\.npy: found nan in frame 3, feature 10"):
        load_samples(copied, check=False)


def test_changed_captions_and_embeddings_are_named(copied: Path) -> None:
    edit(copied, 1, lambda row: row["captions"].append("a person strolls"))
    with pytest.raises(InputError, match=r"captions\.jsonl: found sha256"):
        load_samples(copied)
    assert load_samples(copied, check=False)[0].captions[-1] == "a person strolls"
    (copied / "embeddings.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"embeddings\.safetensors: found sha256"):
        load_caption_embeddings(copied)
    with pytest.raises(InputError, match=r"embeddings\.safetensors: found .*, expected caption embeddings"):
        load_caption_embeddings(copied, check=False)


def test_missing_or_broken_provenance_is_named(copied: Path) -> None:
    (copied / "provenance.json").write_text('{"files": []}')
    with pytest.raises(InputError, match=r"provenance\.json"):
        load_samples(copied)
    (copied / "provenance.json").unlink()
    with pytest.raises(InputError, match=r"provenance\.json"):
        load_samples(copied)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "../walk"),
        ("action", 3),
        ("phrases", []),
        ("captions", ["a person walks", " "]),
        ("captions", "a person walks"),
        ("captions_zh", [None]),
        ("source", None),
        ("start_pose", "flying"),
        ("end_pose", 1),
        ("looping", "yes"),
        ("hard_heading", 1),
    ],
)
def test_a_bad_field_is_named_with_its_line(copied: Path, field: str, value: object) -> None:
    edit(copied, 7, lambda row: row.update({field: value}))
    with pytest.raises(InputError) as caught:
        load_samples(copied)
    assert caught.value.where == f"{copied / 'captions.jsonl'}, line 7, field {field}"
    assert caught.value.expected == module._FIELDS[field][1]


def test_missing_unknown_and_repeated_fields_are_named(copied: Path) -> None:
    path = copied / "captions.jsonl"
    original = path.read_bytes()
    edit(copied, 2, lambda row: row.pop("captions"))
    with pytest.raises(InputError, match="line 2, field captions: found nothing"):
        read_captions(path)
    path.write_bytes(original)
    edit(copied, 3, lambda row: row.update(caption=["a person jumps"]))
    with pytest.raises(InputError, match="line 3, field caption: found a field that is not known"):
        read_captions(path)
    path.write_bytes(original)
    edit(copied, 4, lambda row: row.update(name="walk"))
    with pytest.raises(InputError, match="line 4, field name: found 'walk', expected a name used once"):
        read_captions(path)


@pytest.mark.parametrize("line", ["{", "[]", '"walk"', "{" * 100_000, "nan"])
def test_a_line_that_is_no_object_is_named(copied: Path, line: str) -> None:
    path = copied / "captions.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"captions\.jsonl, line 57: found"):
        load_samples(copied)


def test_other_caption_files_are_input_errors(tmp_path: Path) -> None:
    for content in (b"", b"\n\n", b"\xff\xfe"):
        (tmp_path / "captions.jsonl").write_bytes(content)
        with pytest.raises(InputError, match=r"captions\.jsonl"):
            load_samples(tmp_path)
    with pytest.raises(InputError, match="found no file"):
        load_samples(tmp_path / "nowhere")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([*module._FIELDS, "x"]), st.none() | st.booleans() | st.text(max_size=3)))
def test_any_row_raises_nothing_but_input_error(row: dict[str, object]) -> None:
    with pytest.raises(InputError):
        module._parse_line(json.dumps(row), "captions.jsonl, line 1")
