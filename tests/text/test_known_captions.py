"""The nearest known caption: the search in blocks is the plain one, and a file that was changed is refused."""

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.text import known_captions
from motionlab.text.known_captions import (
    OTHER_THINGS,
    KnownCaptions,
    blocks_of,
    calibrate,
    nearest_rows,
    write_known_captions,
)

DIM = 64
PARTS = [
    f"{verb} {way}" for verb in ("walks", "runs", "jumps", "kicks", "turns") for way in ("ahead", "fast", "left", "up")
]
CAPTIONS = [[f"a person {PARTS[i]}, then {PARTS[j]}" for j in range(5)] for i in range(20)]


def word_vectors(sentences):
    """Every word has a direction of its own; a sentence is their sum, later words a little less, at length 1."""
    rows = []
    for sentence in sentences:
        total = np.zeros(DIM)
        for place, word in enumerate(sentence.replace(",", "").split()):
            total += (1 - 0.02 * place) * np.random.default_rng(list(word.encode())).normal(size=DIM)
        rows.append(total / np.linalg.norm(total))
    return np.array(rows, np.float32)


@pytest.fixture
def path(tmp_path):
    out = tmp_path / "known.safetensors"
    write_known_captions(out, PARTS, CAPTIONS, word_vectors, {"about": "a test"})
    return out


@pytest.mark.parametrize("count", [1, 3, 50])
def test_blocks_find_what_all_at_once_find(monkeypatch, count):
    monkeypatch.setattr(known_captions, "_BLOCK", 7)
    generator = np.random.default_rng(0)
    vectors, queries = (
        generator.normal(size=(40, 8)).astype(np.float16),
        generator.normal(size=(5, 8)).astype(np.float32),
    )
    cosines, rows = nearest_rows(queries, vectors, count)
    plain = queries @ vectors.astype(np.float32).T
    order = np.argsort(-plain, axis=1, kind="stable")[:, :count]
    assert np.array_equal(rows, order)
    np.testing.assert_allclose(cosines, np.take_along_axis(plain, order, 1), rtol=1e-5, atol=1e-6)


def test_what_was_written_is_found_again(path):
    known = KnownCaptions(path, "fix")
    assert [known.sentence(row) for row in range(len(known))] == PARTS + sum(CAPTIONS, [])
    assert known.description["about"] == "a test" and not [p for p in path.parent.iterdir() if p != path]
    result = known.compare([CAPTIONS[3][1]], word_vectors)[0]
    assert result.whole.nearest[0][0] == CAPTIONS[3][1] and result.whole.distance == pytest.approx(0, abs=1e-3)
    assert [part.nearest[0][0] for part in result.parts] == [PARTS[3], PARTS[1]] and not result.unknown


def test_an_unknown_half_is_found(path):
    result = KnownCaptions(path, "fix").compare(
        ["somebody walks ahead, and afterwards swims", "kicks up"], word_vectors
    )
    assert [part.text for part in result[0].unknown] == ["swims"] and not result[1].unknown
    assert len(result[0].unknown[0].nearest) == 3
    cosines = [cosine for _, cosine in result[0].unknown[0].nearest]
    assert cosines == sorted(cosines, reverse=True) and cosines[0] < result[0].threshold


def test_the_threshold_is_halfway_between_other_things_and_other_words():
    generator = np.random.default_rng(1)

    def unit(rows):
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    base = np.repeat(generator.normal(size=(20, 32)), 2, axis=0)
    known = unit(base + 0.3 * generator.normal(size=base.shape))  # 20 actions in two wordings
    others = unit(generator.normal(size=(30, 32)))
    found = calibrate([str(i) for i in range(40)], known, others)
    low = np.quantile((others @ known.T).max(1), 0.95)
    apart = known @ known.T - 9 * np.eye(40)
    assert found["low"] == pytest.approx(low, abs=1e-5)
    assert found["high"] == pytest.approx(max((1 + low) / 2, np.quantile(apart.max(1), 0.05)), abs=1e-5)
    assert found["threshold"] == pytest.approx((found["low"] + found["high"]) / 2, abs=1e-5)


def test_left_and_right_are_not_other_words():
    known = np.eye(32, dtype=np.float32)[np.repeat(np.arange(16), 2)]  # the twins of 16 actions are equal
    parts = [f"does {i // 2} to the {('left', 'right')[i % 2]}" for i in range(32)]
    assert calibrate(parts, known, np.eye(32, dtype=np.float32)[20:])["high"] == 0.5


@pytest.mark.parametrize("count", [1, 19])
def test_few_parts_say_nothing_about_other_words(count):
    known = np.eye(32, dtype=np.float32)[:count]
    assert calibrate([str(i) for i in range(count)], known, known[:1])["high"] == 1.0


def test_the_other_things_are_all_different():
    assert len(set(OTHER_THINGS)) == len(OTHER_THINGS) >= 50


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text"])
def test_a_damaged_file_is_refused(path, damage):
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-100] ^= 1
    path.write_bytes({"flip": content, "cut": content[:-10], "empty": b"", "text": b"not a file of tensors"}[damage])
    with pytest.raises(InputError, match="known"):
        KnownCaptions(path, "fix")


def test_another_format_is_refused(path, monkeypatch):
    monkeypatch.setattr(known_captions, "FORMAT", 2)
    with pytest.raises(InputError, match=r"format 2\. Make it again"):
        KnownCaptions(path, "Make it again.")


def test_a_failed_write_leaves_the_old_file(path):
    before = path.read_bytes()

    def broken():
        yield CAPTIONS[0]
        raise InputError("caption", found="nothing", expected="words", fix="Write some.")

    with pytest.raises(InputError, match="Write some"):
        write_known_captions(path, PARTS, broken(), word_vectors, {})
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]


def test_captions_with_halves_of_surrogate_pairs_are_kept(tmp_path):
    write_known_captions(tmp_path / "k.safetensors", ["walks \ud800"], [["a person walks \ud800"]], _by_length, {})
    assert KnownCaptions(tmp_path / "k.safetensors", "fix").sentence(0) == "walks \ud800"


def _by_length(sentences):
    return np.array([[1.0, len(text)] for text in sentences], np.float32) / 100


def test_blocks():
    assert list(blocks_of("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]] and list(blocks_of("", 2)) == []
