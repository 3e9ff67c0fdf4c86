"""The experiment "why two stages?": the ways differ in what they should and in nothing else; its file can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lessons.train_text_to_motion import end_to_end
from lessons.train_text_to_motion.end_to_end import (
    SEEDS,
    STEPS,
    WEIGHTS,
    clip_order,
    load_material,
    load_results,
    train_point,
)
from lessons.train_text_to_motion.end_to_end_measure import Material, token_entropy
from motionlab.errors import InputError

TINY = (
    "corpus.n_train=32", "corpus.n_seen_pairs=4", "corpus.n_unseen_pairs=2",
    "corpus.n_new_takes=2", "corpus.n_validation=4", "corpus.max_frames=100",
    "tokenizer.codebook_size=64", "tokenizer.width=16", "tokenizer.code_dim=8", "llama.n_layer=1", "llama.dim=32",
    "llama.hidden=32", "evaluation.classifier_steps=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def material() -> Material:
    return load_material(TINY)


@pytest.fixture(scope="module")
def points(material: Material) -> dict[str, end_to_end.Point]:
    return {way: train_point(way, 0, material, steps=4, looks=2) for way in WEIGHTS}


def test_same_parameters_and_as_many_looks(points: dict[str, end_to_end.Point]) -> None:
    assert len({point.parameters for point in points.values()}) == 1
    for point in points.values():
        assert [look.step for look in point.looks] == [0, 2, 4] and point.seconds > 0
        assert set(point.score) == {"real", "reconstructed", "generated", "other caption"}


def test_tokens_stand_still_in_two_stages_only(points: dict[str, end_to_end.Point]) -> None:
    assert all(look.tokens_changed == look.clips_changed == 0 for look in points["two stages"].looks)
    assert all(points[way].looks[-1].tokens_changed > 0 for way in WEIGHTS if way != "two stages")


def test_side_by_side_has_the_tokenizer_of_two_stages(points: dict[str, end_to_end.Point]) -> None:
    """The control is one: its tokenizer learns from the same losses on the same clips."""
    alone, beside = points["two stages"].looks[-1], points["side by side"].looks[-1]
    assert beside.mpjpe_mm == pytest.approx(alone.mpjpe_mm, rel=1e-3)
    assert beside.entropy == pytest.approx(alone.entropy, abs=0.02)
    assert points["end to end, 1"].looks[-1].mpjpe_mm != pytest.approx(alone.mpjpe_mm, rel=1e-4)


def test_fewer_steps_than_looks(material: Material) -> None:
    assert [look.step for look in train_point("side by side", 0, material, steps=1, looks=8).looks] == [0, 1]


def test_an_unknown_way_is_an_error(material: Material) -> None:
    with pytest.raises(InputError, match="two stages"):
        train_point("three stages", 0, material)


def test_every_clip_once_an_epoch() -> None:
    lengths = [9, 3, 7, 5, 8, 4, 6, 2]
    steps = list(clip_order(lengths, 0, 4, batch=2, pool=2))
    assert sorted(clip for rows in steps for clip in rows) == list(range(8))
    assert steps == list(clip_order(lengths, 0, 4, batch=2, pool=2))
    assert steps != list(clip_order(lengths, 1, 4, batch=2, pool=2))


def test_entropy_is_the_loss_of_the_shares() -> None:
    tokens = [torch.tensor([3, 3, 1]), torch.tensor([2])]
    labels = torch.tensor([3, 3, 1, 5, 2, 5])  # 5 is END
    share = torch.bincount(labels).float() / 6
    expected = -share[labels].log().mean()
    assert token_entropy(tokens) == pytest.approx(float(expected), abs=1e-6)


def test_memory_of_side_by_side_is_above_each_stage(material: Material) -> None:
    (row,) = end_to_end.measure_memory(material, codes=(64,))
    assert max(row["stage 1"], row["stage 2"]) < row["side by side"] < row["end to end, 1"]


def test_main_goes_on_where_it_was(tmp_path: Path, material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_to_end, "load_material", lambda: material)
    monkeypatch.setattr(end_to_end, "measure_memory", lambda _: [])
    made: list[tuple[str, int]] = []

    def point(way: str, seed: int, _: Material) -> end_to_end.Point:
        made.append((way, seed))
        return end_to_end.Point(way, seed, 1, 1.0, [], {})

    monkeypatch.setattr(end_to_end, "train_point", point)
    end_to_end.main(tmp_path / "out.json", 0)
    assert made == [], "no time, no point"
    monkeypatch.setitem(WEIGHTS, "two stages", None)
    whole = dict(WEIGHTS)
    for way in list(WEIGHTS)[1:]:
        monkeypatch.delitem(WEIGHTS, way)
    end_to_end.main(tmp_path / "out.json", 9)
    assert made == [("two stages", seed) for seed in SEEDS]
    WEIGHTS.update(whole)
    end_to_end.main(tmp_path / "out.json", 9)
    assert len(made) == len(set(made)) == len(WEIGHTS) * len(SEEDS)
    assert [point.seed for point in load_results(tmp_path / "out.json").of("side by side")] == list(SEEDS)


def test_the_file_of_results_is_whole(root: Path) -> None:
    results = load_results(root / "notebooks" / "results" / "end_to_end.json")
    assert results.steps == STEPS
    for way in WEIGHTS:
        assert [point.seed for point in results.of(way)] == list(SEEDS)
        assert all(point.looks[-1].step == STEPS for point in results.of(way))
    assert len({point.parameters for point in results.points}) == 1


def test_a_broken_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    for text in ("[", "{}", '{"points": [{}]}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match="bad.json"):
            load_results(tmp_path / "bad.json")
