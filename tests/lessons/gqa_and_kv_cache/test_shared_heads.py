"""The first experiment of lesson 06: what differs between its decoders, and what its file carries."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lessons.gqa_and_kv_cache.shared_heads import (
    KINDS,
    SEEDS,
    Material,
    head_rows,
    layer_weights,
    load_points,
    make_model,
    measure,
)
from lessons.shared.small_models import WordVectors, small_codes
from motionlab.config import load_config
from motionlab.data.composed.corpus import build_corpus
from motionlab.errors import InputError
from motionlab.jobs.tokens import Codes


class _Run:
    """As much of a run as `Material` asks for."""

    text = WordVectors()


def test_the_control_has_as_few_weights() -> None:
    weights = {kind: layer_weights(make_model(kind, 20, 8)) for kind in KINDS}
    assert weights["8"] > weights["2"] > weights["1"]
    control = weights["8, as few weights as 1"]
    assert abs(control - weights["1"]) / weights["1"] < 0.002
    assert [make_model(kind, 20, 8).n_kv_heads for kind in KINDS] == [8, 2, 1, 8]


def test_a_point_is_repeatable_and_learns() -> None:
    corpus, codes = build_corpus(load_config("ci", ["corpus.n_train=64"]).corpus), list(small_codes())
    of_validation = codes[: len(corpus.validation)]  # any codes will do
    material = Material(_Run(), corpus, Codes(codes, of_validation), 240)  # type: ignore[arg-type]
    first, second = (measure("2", 1, material, steps=10) for _ in range(2))
    assert first == second and first.kind == "2" and first.seed == 1
    assert measure("2", 1, material, steps=25).loss < first.loss
    train, held_out = material.batches(held_out=False), material.batches(held_out=True)
    assert len(train.codes) == len(codes) and len(held_out.codes) == len(of_validation)
    assert all(torch.equal(row, other) for row, other in zip(held_out.codes, of_validation, strict=True))


def test_the_committed_file_carries_what_the_lesson_says(root: Path) -> None:
    points = load_points(root / "notebooks" / "results" / "shared_heads.json")
    assert [(p.kind, p.seed) for p in points] == [(kind, seed) for kind in KINDS for seed in SEEDS]
    assert {p.kind: p.layer_weights for p in points} == {
        kind: layer_weights(make_model(kind, 1000, 384)) for kind in KINDS
    }
    loss = {kind: [p.loss for p in points if p.kind == kind] for kind in KINDS}
    assert max(loss["8"]) < min(loss["2"]) and max(loss["2"]) < min(loss["1"])
    assert max(loss["8, as few weights as 1"]) < min(loss["2"])  # so the number of weights is not the reason
    assert head_rows(points)[1][0] == "8" and len(head_rows(points)) == 1 + len(KINDS)


def test_unknown_kind_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="as few weights"):
        make_model("3", 20, 8)
    with pytest.raises(InputError, match="Make it again"):
        load_points(tmp_path / "none.json")
