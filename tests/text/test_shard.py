"""One file of features: found by hash and text, compared with its checks, joined with others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.text import shard as module
from motionlab.text.shard import Shard, encoded, keys_of, merge_shards, write_shard

DIM = 3
CAPTIONS = st.lists(st.text(st.characters(), max_size=12), unique=True, min_size=1, max_size=30)


def rows_of(captions: list[str], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1 + len(caption) % 5, DIM, generator=generator).half() for caption in captions]


def look_up(shard: Shard, captions: list[str]) -> list[np.ndarray | None]:
    texts = [encoded(caption) for caption in captions]
    places = shard.find(keys_of(texts), texts).tolist()
    return [None if place < 0 else shard.features(place) for place in places]


def same(found: list[np.ndarray | None], rows: list[Tensor]) -> bool:
    return all(one is not None and np.array_equal(one, row.numpy()) for one, row in zip(found, rows, strict=True))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(captions=CAPTIONS, data=st.data())
def test_every_caption_is_found_and_no_other(tmp_path: Path, captions: list[str], data: Any) -> None:
    """Any text, halves of surrogate pairs included, in any order, equals a dictionary."""
    write_shard(tmp_path / "a.safetensors", "id", captions, rows_of(captions))
    shard, table = Shard(tmp_path / "a.safetensors", "id", DIM), dict(zip(captions, rows_of(captions), strict=True))
    asked = data.draw(st.lists(st.one_of(st.sampled_from(captions), st.text(max_size=12))))
    for caption, found in zip(asked, look_up(shard, asked), strict=True):
        row = table.get(caption)
        assert (found is None and row is None) or np.array_equal(found, row.numpy())  # type: ignore[arg-type, union-attr]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts=st.lists(CAPTIONS, min_size=1, max_size=5))
def test_joined_files_hold_what_they_held(tmp_path: Path, parts: list[list[str]]) -> None:
    """Of a caption that is in several, the first stays."""
    table: dict[str, Tensor] = {}
    shards = []
    for seed, captions in enumerate(parts):
        path = tmp_path / f"{seed}.safetensors"
        write_shard(path, "id", captions, rows_of(captions, seed))
        shards.append(Shard(path, "id", DIM))
        table = {**dict(zip(captions, rows_of(captions, seed), strict=True)), **table}
    merge_shards(tmp_path / "all.safetensors", shards)
    joined = Shard(tmp_path / "all.safetensors", "id", DIM)
    assert len(joined) == len(table) and same(look_up(joined, list(table)), list(table.values()))
    read_tensors(tmp_path / "all.safetensors")  # its digest is right


def test_captions_with_one_key_are_told_apart_by_their_text(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "keys_of", lambda texts: np.array([len(text) % 2 for text in texts]))
    captions = ["a", "bb", "ccc", "dddd", "eeeee"]
    write_shard(tmp_path / "a.safetensors", "id", captions, rows_of(captions))
    shard, texts = (
        Shard(tmp_path / "a.safetensors", "id", DIM),
        [encoded(caption) for caption in [*captions, "f", "gg"]],
    )
    places = shard.find(module.keys_of(texts), texts).tolist()
    assert places[5:] == [-1, -1] and same([shard.features(place) for place in places[:5]], rows_of(captions))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    captions = ["a person walks", "runs"]
    write_shard(tmp_path / "a.safetensors", "id", captions, rows_of(captions))
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize(("identity", "dim"), [("other", DIM), ("id", DIM + 1)])
def test_features_of_another_encoder_are_refused(stored: Path, identity: str, dim: int) -> None:
    with pytest.raises(InputError, match="a.safetensors.*Delete this file"):
        Shard(stored, identity, dim)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [("states", 0, 0.5), ("states", -1, float("nan")), ("rows", 0, 1), ("rows", 0, -1), ("rows", 1, 2**60),
     ("lengths", 0, 2), ("lengths", 0, -1), ("lengths", 1, 2**31 - 1), ("text", 3, 65), ("text_starts", 1, 2),
     ("text_starts", 1, -7), ("text_starts", 2, 0), ("checks", 0, 7)],
)  # fmt: skip
def test_changed_numbers_are_found_when_they_are_used(stored: Path, name: str, place: int, value: float) -> None:
    """The digest of the file is made again, as a reader that trusts its checks would not notice otherwise."""
    tensors, description = read_tensors(stored)
    flat = tensors[name].view(-1)
    flat[place] = value
    write_tensors(stored, tensors, description)
    shard = Shard(stored, "id", DIM)
    with pytest.raises(InputError, match="a.safetensors, caption .: found changed content.*Delete this file"):
        for at in range(2):
            shard.caption(at)
            shard.features(at)


def test_features_that_are_no_numbers_are_refused_although_the_checks_are_right(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.safetensors", "id", ["runs"], [torch.full((2, DIM), float("inf")).half()])
    with pytest.raises(InputError, match="changed content"):
        look_up(Shard(tmp_path / "a.safetensors", "id", DIM), ["runs"])


def test_tables_that_do_not_fit_are_refused(stored: Path) -> None:
    tensors, description = read_tensors(stored)
    for name in ("rows", "lengths", "checks", "text_starts"):
        write_tensors(stored, {**tensors, name: tensors[name][:1]}, description)
        with pytest.raises(InputError, match="tables that do not fit together"):
            Shard(stored, "id", DIM)
    for name in ("keys", "states"):
        write_tensors(stored, {**tensors, name: tensors[name].int()}, description)
        with pytest.raises(InputError, match="Delete this file"):
            Shard(stored, "id", DIM)
