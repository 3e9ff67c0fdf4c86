"""Features that an earlier version has kept are taken over, with the same bits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from motionlab.errors import InputError
from motionlab.files.records import write_record
from motionlab.text import format_2
from motionlab.text.cache import TextCache
from motionlab.text.encoder import identity

CAPTIONS, LENGTHS = ["a person walks", "runs"], [3, 1]


@pytest.fixture
def states() -> torch.Tensor:
    return torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).half()


@pytest.fixture
def old(tmp_path: Path, fake: Any, states: torch.Tensor) -> Path:
    """The folder of an encoder as format 2 had it."""
    folder = TextCache(tmp_path, fake).folder
    assert folder is not None
    folder.mkdir()
    content = save({"states": states})
    digest = hashlib.sha256(content).hexdigest()
    (folder / f"features-{digest[:16]}.safetensors").write_bytes(content)
    index = {"format": 2, "identity": identity(fake), "file": f"features-{digest[:16]}.safetensors", "sha256": digest}
    write_record(folder / "index.json", {**index, "captions": CAPTIONS, "lengths": LENGTHS})
    return folder


def rewrite(old: Path, **changes: Any) -> None:
    path = old / "index.json"
    write_record(path, {**json.loads(path.read_text()), **changes})


def test_the_same_bits_in_the_new_format(
    tmp_path: Path, old: Path, states: torch.Tensor, fake: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(format_2, "progress_kind", lambda stream: "lines")
    cache = TextCache(tmp_path)
    assert "the text features of 2 captions are kept in the format of today" in capsys.readouterr().err
    for one in (cache, TextCache(tmp_path, fake)):
        found = one.features(CAPTIONS)
        assert torch.equal(found.states[found.mask], states.float()) and found.lengths.tolist() == LENGTHS
    assert fake.encoded == [] and capsys.readouterr().err == "", "it is said once"
    assert {path.name.split("-")[0] for path in old.iterdir()} == {"index.json", "shard"}


def test_a_kill_in_the_middle_begins_again(tmp_path: Path, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_2, "_AT_ONCE", 1)
    with monkeypatch.context() as patch:
        patch.setattr(format_2, "write_record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            TextCache(tmp_path)
    assert len(list(old.glob("shard-*"))) == 2
    assert len(TextCache(tmp_path)) == 2 and len(list(old.glob("shard-*"))) == 2


@pytest.mark.parametrize(
    "changes",
    [{"lengths": [1, 2]}, {"lengths": [4]}, {"captions": ["one"]}, {"captions": ["one", "one"]}, {"sha256": "0" * 64},
     {"file": "x" * 5000}, {"lengths": [4, 0]}, {"captions": "ab"}],
)  # fmt: skip
def test_a_damaged_folder_is_refused(tmp_path: Path, old: Path, changes: dict[str, Any]) -> None:
    rewrite(old, **changes)
    with pytest.raises(InputError, match="Delete this folder"):
        TextCache(tmp_path)


def test_features_that_are_no_numbers_are_refused(tmp_path: Path, old: Path) -> None:
    content = save({"states": torch.full((4, 4), float("nan"), dtype=torch.float16)})
    next(old.glob("features-*")).write_bytes(content)
    rewrite(old, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(InputError, match="16 of 16 values of states NaN or infinite.*Delete this folder"):
        TextCache(tmp_path)
