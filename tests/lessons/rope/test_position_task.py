"""The experiment of lesson 05: its answers are right, its conditions differ in one thing, its file is complete."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from lessons.rope.position_task import (
    DIM,
    LENGTHS,
    METHODS,
    SCALINGS,
    SEEDS,
    PositionModel,
    accuracy,
    load_points,
    make_batch,
    position_rows,
    sinusoidal,
    train,
)
from motionlab.errors import InputError
from motionlab.llama.rope_scaling import make_scaling


def test_sinusoidal_vectors() -> None:
    vectors = sinusoidal(50, 16)
    assert vectors[7, 0] == pytest.approx(math.sin(7)) and vectors[7, 1] == pytest.approx(math.cos(7))
    assert vectors[7, 4] == pytest.approx(math.sin(7 * 10_000 ** (-4 / 16)), abs=1e-6)
    assert torch.allclose(vectors.norm(dim=1), torch.full((50,), math.sqrt(8)))


def test_answers_are_what_the_tokens_ask_for() -> None:
    tokens, answers = make_batch(4, 30, torch.Generator().manual_seed(0))
    for row, wanted in zip(tokens.tolist(), answers.tolist(), strict=True):
        assert row[0] >= 16 and wanted[0] == -100 and max(row[1:]) < 16
        for place in range(1, 30):
            if row[place] >= 8:
                assert wanted[place] == row[0] % 8
            elif place - row[place] - 1 < 0:
                assert wanted[place] == -100
            else:
                assert wanted[place] == row[place - row[place] - 1] % 8


def test_what_each_way_does_to_a_vector() -> None:
    tokens, _ = make_batch(2, 20, torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    models = {way: PositionModel(way) for way in METHODS}
    for model in models.values():
        model.load_state_dict(models["rope"].state_dict())
    x = {way: model.embed(tokens) for way, model in models.items()}
    assert torch.equal(x["rope"], x["none"])
    added = x["rope"] + sinusoidal(20, DIM)
    assert torch.allclose(x["sinusoidal"], added)
    norm = {way: vectors.norm(dim=-1) for way, vectors in x.items()}
    assert torch.allclose(norm["sinusoidal, norm kept"], norm["rope"], rtol=1e-5)
    assert torch.allclose(norm["rope, norm changed"], norm["sinusoidal"], rtol=1e-5)
    cosine = torch.nn.functional.cosine_similarity
    assert torch.allclose(cosine(x["rope, norm changed"], x["rope"], dim=-1), torch.ones(2, 20))
    assert torch.allclose(cosine(x["sinusoidal, norm kept"], added, dim=-1), torch.ones(2, 20))
    assert cosine(added, x["rope"], dim=-1).max().item() < 0.99


def test_without_positions_order_is_seen_through_the_mask_alone() -> None:
    """One block, no positions: a token does not see the order of those before it."""
    torch.manual_seed(0)
    model = PositionModel("none")
    model.blocks = model.blocks[:1]
    tokens, _ = make_batch(1, 12, torch.Generator().manual_seed(2))
    shuffled = tokens.clone()
    shuffled[0, 1:11] = tokens[0, 1:11].flip(0)
    assert torch.allclose(model(tokens)[0, -1], model(shuffled)[0, -1], atol=1e-5)
    turning = PositionModel("rope")
    turning.blocks = turning.blocks[:1]
    assert not torch.allclose(turning(tokens)[0, -1], turning(shuffled)[0, -1], atol=1e-3)


def test_training_is_repeatable_and_starts_alike() -> None:
    first, second = train("rope", seed=5, steps=3), train("rope", seed=5, steps=3)
    assert first[1] == second[1]
    assert train("sinusoidal", seed=5, steps=1)[1] != first[1][:1]
    assert len(train("rope", seed=5, steps=10)[1]) == 10  # a warm-up of one step
    states = [train(way, seed=5, steps=0)[0].state_dict() for way in METHODS]
    assert all(torch.equal(states[0][name], state[name]) for state in states for name in state)


def test_a_model_with_an_embedding_of_its_own_is_trained() -> None:
    class Silent(PositionModel):
        def embed(self, tokens: torch.Tensor) -> torch.Tensor:
            return torch.zeros(*tokens.shape, DIM)

    model, losses = train("sinusoidal", seed=5, steps=2, kind=Silent)
    assert isinstance(model, Silent) and losses != train("sinusoidal", seed=5, steps=2)[1]


def test_scaling_reaches_the_table() -> None:
    model, _ = train("rope", steps=0)
    tokens, _ = make_batch(1, 128, torch.Generator().manual_seed(0))
    logits = [model(tokens, make_scaling(kind, 2.0, 64)) for kind in (None, *SCALINGS[1:])]
    assert len({round(float(one.detach().sum()), 4) for one in logits}) == len(SCALINGS)
    assert len(accuracy(model, 128, "ntk", sequences=4)) == 2


def test_the_committed_file_carries_what_the_lesson_says(root: Path) -> None:
    points = load_points(root / "notebooks" / "results" / "positions.json")
    plain = [(way, seed, "none", length) for way in METHODS for seed in SEEDS for length in LENGTHS]
    scaled = [("rope", seed, kind, length) for kind in SCALINGS[1:] for seed in SEEDS for length in LENGTHS[1:]]
    assert sorted((p.method, p.seed, p.scaling, p.length) for p in points) == sorted(plain + scaled)

    def near(way: str, length: int, scaling: str = "none") -> list[float]:
        return [p.near for p in points if (p.method, p.length, p.scaling) == (way, length, scaling)]

    assert min(near("rope", 64)) > 0.99 and min(near("rope, norm changed", 64)) > 0.99
    assert max(near("sinusoidal", 128)) < 0.3 < 0.8 < min(near("rope", 128))
    assert max(near("rope", 512, "linear")) < 0.2 < 0.9 < min(near("rope", 512, "llama3"))
    steps = {way: [p.steps or 600 for p in points if p.method == way] for way in METHODS}
    assert max(steps["rope"] + steps["rope, norm changed"]) < 120 < 300 < min(steps["sinusoidal"])
    rows = position_rows(points, "near")
    assert rows[1][:2] == ("rope", "100% to 100%") and len(rows) == 6
    assert position_rows(points, "far", by="scaling")[0] == ("scaling", "length 128", "length 256", "length 512")


def test_unknown_way_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sinusoidal"):
        PositionModel("learned")
    with pytest.raises(InputError, match="Make it again"):
        load_points(tmp_path / "none.json")
