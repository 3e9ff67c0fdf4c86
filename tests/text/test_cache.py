"""The cache: each caption is encoded once, survives on disk, and damage is found, not read."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.text.cache import TextCache
from motionlab.text.encoder import TextFeatures

FIRST = ["a person walks", "a person kicks twice"]
SECOND = ["runs", *FIRST]


def only_file(folder: Path, pattern: str) -> Path:
    (path,) = folder.rglob(pattern)
    return path


def test_each_caption_is_encoded_once(tmp_path: Path, fake: Any) -> None:
    cache = TextCache(tmp_path, fake)
    first = cache.features(FIRST)
    assert first.lengths.tolist() == [3, 4] and first.states.dtype == torch.float32
    torch.testing.assert_close(first.states, fake.encode(FIRST).states, rtol=1e-3, atol=0)  # float16 on the way
    fake.encoded.clear()
    again = cache.features([*SECOND, "runs"])
    assert fake.encoded == ["runs"] and again.lengths.tolist() == [1, 3, 4, 1]
    assert cache.token_counts(SECOND) == [1, 3, 4] and len(cache) == 3 and "runs" in cache


def test_a_second_process_reads_the_disk(tmp_path: Path, fake: Any) -> None:
    written = TextCache(tmp_path, fake)
    written.features(FIRST)
    written.features(SECOND)
    fake.encoded.clear()
    read = TextCache(tmp_path, fake)
    torch.testing.assert_close(read.features(SECOND).states, written.features(SECOND).states, rtol=0, atol=0)
    assert fake.encoded == []


def test_without_an_encoder(tmp_path: Path, fake: Any, other_fake: Any) -> None:
    TextCache(tmp_path, fake).features(FIRST)
    cache = TextCache(tmp_path)
    assert cache.name == fake.name and cache.dim == 4
    assert len(cache.features(FIRST)) == 2
    with pytest.raises(InputError, match="'runs'.*minilm.*T5.*already in the cache"):
        cache.features(["runs"])
    TextCache(tmp_path, other_fake).features(FIRST)
    with pytest.raises(InputError, match="fake/1 .*and fake/2"):
        TextCache(tmp_path)
    assert TextCache(tmp_path, name="fake/2").dim == 5


def test_an_empty_folder_names_the_three_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="minilm.*T5.*already in the cache"):
        TextCache(tmp_path / "nothing")


def test_memory_only(fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(TextCache(None, fake).features(FIRST)) == 2
    assert list(tmp_path.iterdir()) == []


def test_features_made_elsewhere(tmp_path: Path, fake: Any) -> None:
    cache = TextCache(tmp_path, fake)
    cache.add(["jumps"], TextFeatures.from_rows([torch.ones(2, 4)]))
    assert cache.token_counts(["jumps"]) == [2] and fake.encoded == []
    assert TextCache(tmp_path).token_counts(["jumps"]) == [2]
    with pytest.raises(InputError, match="width 7.*width 4"):
        cache.add(["rolls"], TextFeatures.from_rows([torch.ones(2, 7)]))


def test_features_can_be_trained_on(tmp_path: Path, fake: Any) -> None:
    states = TextCache(tmp_path, fake).features(FIRST).states
    layer = torch.nn.Linear(4, 1)
    layer(states).sum().backward()
    assert layer.weight.grad is not None


def test_empty_caption(tmp_path: Path, fake: Any) -> None:
    with pytest.raises(InputError, match="caption"):
        TextCache(tmp_path, fake).features(["a person walks", " "])


def test_truncated_file(tmp_path: Path, fake: Any) -> None:
    TextCache(tmp_path, fake).features(FIRST)
    path = only_file(tmp_path, "*.safetensors")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="shard-.*not those of the header.*Delete this file"):
        TextCache(tmp_path, fake)


def test_a_removed_file_is_made_again(tmp_path: Path, fake: Any) -> None:
    cache = TextCache(tmp_path, fake)
    cache.features(FIRST)
    only_file(tmp_path, "*.safetensors").unlink()
    fake.encoded.clear()
    assert len(TextCache(tmp_path, fake).features(FIRST)) == 2 and fake.encoded == FIRST
    assert len(cache.features(FIRST)) == 2, "one that had it open reads on"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 2, "identity": 3, "file": []}'])
def test_broken_index(tmp_path: Path, fake: Any, content: str) -> None:
    TextCache(tmp_path, fake).features(FIRST)
    only_file(tmp_path, "index.json").write_text(content)
    with pytest.raises(InputError, match="index.json.*Delete this folder"):
        TextCache(tmp_path, fake)


@pytest.mark.parametrize("changes", [{"format": 1}, {"identity": {"dim": 9}}])
def test_index_that_does_not_fit(tmp_path: Path, fake: Any, changes: dict[str, Any]) -> None:
    TextCache(tmp_path, fake).features(FIRST)
    path = only_file(tmp_path, "index.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InputError, match="Delete this folder"):
        TextCache(tmp_path, fake)


@pytest.mark.parametrize(
    "change",
    [{"name": "fake/2"}, {"dim": 5}, {"max_tokens": 9}, {"pooled": True}, {"dtype": torch.bfloat16}],
    ids=lambda change: next(iter(change)),
)
def test_features_are_keyed_by_all_that_they_depend_on(tmp_path: Path, fake: Any, change: dict[str, Any]) -> None:
    """With only a name, features of two dtypes, or captions over the limit, come out of one cache."""
    before = TextCache(tmp_path, fake)
    before.features(FIRST)
    fake.encoded.clear()
    for key, value in change.items():
        setattr(fake, key, value)
    other = TextCache(tmp_path, fake)
    other.features(FIRST)
    assert fake.encoded == FIRST and other.identity != before.identity
    assert len(list(tmp_path.iterdir())) == 2
    fake.encoded.clear()
    assert len(TextCache(tmp_path, fake).features(FIRST)) == 2 and fake.encoded == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 65536.0, -1e30])
def test_numbers_that_cannot_be_kept_are_refused_at_the_door(tmp_path: Path, fake: Any, value: float) -> None:
    states = torch.ones(1, 2, 4)
    states[0, 1, 2] = value
    broken = TextFeatures(states, torch.ones(1, 2, dtype=torch.bool))
    cache = TextCache(tmp_path, fake)
    with pytest.raises(InputError, match="features of caption 'jumps' from fake/1: found .* at most 65,504"):
        cache.add(["jumps"], broken)
    fake.encode = lambda captions: broken
    with pytest.raises(InputError, match="features of caption 'jumps' from fake/1"):
        cache.features(["jumps"])
    assert len(cache) == 0 and not list(tmp_path.rglob("*.*")), "nothing is stored"


def test_the_largest_number_of_float16_is_kept(fake: Any) -> None:
    cache = TextCache(None, fake)
    cache.add(["jumps"], TextFeatures.from_rows([torch.full((1, 4), 65504.0)]))
    assert cache.features(["jumps"]).states.max() == 65504


def test_several_dtypes_of_one_encoder_are_told_apart(tmp_path: Path, fake: Any) -> None:
    TextCache(tmp_path, fake).features(FIRST)
    fake.dtype = torch.bfloat16
    TextCache(tmp_path, fake).features(FIRST)
    with pytest.raises(InputError, match=r"\(torch\.\w+, 10 tokens.*and.*\(torch\.\w+, 10"):
        TextCache(tmp_path, name="fake/1")


def test_a_crash_while_saving_keeps_what_was_there(tmp_path: Path, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    TextCache(tmp_path, fake).features(FIRST)
    cache = TextCache(tmp_path, fake)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        cache.features(SECOND)
    monkeypatch.undo()
    assert len(TextCache(tmp_path).features(FIRST)) == 2
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")], "no temporary file is left"


def test_a_caption_that_cannot_be_read_loses_no_other(tmp_path: Path, fake: Any, monkeypatch: Any) -> None:
    """The longest caption comes last: what was encoded before it is kept."""
    monkeypatch.setattr("motionlab.text.cache._AT_ONCE", 0)  # 64 at a time
    captions = [f"caption {'x' * i}" for i in range(64)]
    whole = fake.encode

    def encode(some: list[str]) -> TextFeatures:
        if "a b c d e f g h i j " * 5 in some:
            raise InputError("caption", found="50 tokens", expected="at most 10", fix="Shorten it.")
        return whole(some)

    fake.encode = encode
    with pytest.raises(InputError, match="50 tokens"):
        TextCache(tmp_path, fake).features([*captions, "a b c d e f g h i j " * 5])
    assert len(TextCache(tmp_path).features(captions)) == 64


def test_names_with_any_character(tmp_path: Path, fake: Any) -> None:
    fake.name = "../a b:c/é"
    TextCache(tmp_path / "cache", fake).features(FIRST)
    assert TextCache(tmp_path / "cache").name == fake.name
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    shutil.rmtree(tmp_path / "cache")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
def test_eight_processes_add_and_two_read(tmp_path: Path, root: Path) -> None:
    """No caption is lost, and no reader meets an index without its file."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    script = Path(__file__).with_name("many_processes.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "codes": [0] * 10,
        "captions": 45,
        "left": [".json", ".safetensors"],
        "joined": True,
    }


def test_what_another_process_saved_is_not_encoded_again(tmp_path: Path, fake: Any) -> None:
    first, second = TextCache(tmp_path, fake), TextCache(tmp_path, fake)
    first.features(FIRST)
    fake.encoded.clear()
    assert second.features(FIRST).lengths.tolist() == [3, 4] and fake.encoded == []
    second.features(["runs"])
    first.features(["jumps"])
    assert sorted(TextCache(tmp_path).captions()) == sorted([*FIRST, "runs", "jumps"])


def test_batches_equal_a_dictionary_of_rows(tmp_path: Path, fake: Any) -> None:
    """Random batches with repeats from several files give the bits that a plain table in memory gives."""
    random = np.random.default_rng(0)
    captions = ["".join(map(chr, random.integers(97, 123, 6))) + " walks" * int(random.integers(4)) for _ in range(300)]
    on_disk, in_memory = TextCache(tmp_path, fake), TextCache(None, fake)
    for _ in range(25):
        some = [captions[i] for i in random.integers(0, 300, 20)]
        for one in (on_disk, in_memory):
            one.features(some)
    plain = {c: rows.half().float() for c in captions for rows in [fake.encode([c]).states[0]]}
    for _ in range(10):
        some = [captions[i] for i in random.integers(0, 300, 33)]
        expected = TextFeatures.from_rows([plain[caption] for caption in some])
        for one in (on_disk, in_memory, TextCache(tmp_path, fake)):
            found = one.features(some)
            assert torch.equal(found.states, expected.states) and torch.equal(found.mask, expected.mask)
            assert one.token_counts(some) == expected.lengths.tolist()


def test_a_copy_for_another_process_carries_no_features(tmp_path: Path, fake: Any) -> None:
    cache = TextCache(tmp_path, fake)
    cache.add(["jumps"], TextFeatures.from_rows([torch.ones(5000, 4)]))
    packed = pickle.dumps(cache)
    assert len(packed) < 2000
    assert torch.equal(pickle.loads(packed).features(["jumps"]).states, torch.ones(1, 5000, 4))
