"""The experiment of lesson 02: fair between conditions, repeatable, and true to the rule that it blames."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lessons.vq_vae.chunk_vqvae import Chunks, load_chunks, to_chunks, train_chunks
from lessons.vq_vae.collapse import CONDITIONS, SEEDS, collapse_rows, load_points, train_condition
from lessons.vq_vae.published_rescue import PublishedRescue
from motionlab.errors import InputError
from motionlab.quantizers.vq_ema import VQEMA


@pytest.fixture(scope="module")
def chunks() -> Chunks:
    return load_chunks()


def test_chunks_are_frames_side_by_side(chunks: Chunks) -> None:
    features = torch.arange(11.0)[:, None].expand(11, 272)
    cut = to_chunks(features)
    assert cut.shape == (2, 1088) and cut[1, 0] == 4 and cut[1, -1] == 7
    assert chunks.train.shape[1] == 1088 and len(chunks.train) > 2000
    assert chunks.error_mm(chunks.test, chunks.test) == 0
    moved = chunks.test.clone().view(-1, 4, 272)
    moved[..., 8:74] += 0.1 / chunks.normalizer.std[8:74]  # every joint by 10 cm along each of the three axes
    assert chunks.error_mm(moved.view_as(chunks.test), chunks.test) == pytest.approx(100 * 3**0.5, rel=1e-4)


def test_conditions_differ_in_nothing_else(chunks: Chunks) -> None:
    """The same seed gives the same first encoder, whatever the quantizer drew before."""
    first = train_chunks(CONDITIONS["no rescue"], chunks, steps=0)
    second = train_chunks(CONDITIONS["SimVQ"], chunks, steps=0)
    assert torch.equal(first.latents, second.latents)


def test_codes_die_unless_the_encoder_stands_still(chunks: Chunks) -> None:
    moving = train_condition("no rescue", chunks, steps=60)
    still = train_condition("frozen encoder", chunks, steps=60)
    assert moving.used[-1] < 80 < 115 < still.used[-1]
    assert moving.spread > 2 * still.spread
    again = train_condition("no rescue", chunks, steps=60)
    assert again.used == moving.used and torch.equal(again.codebook, moving.codebook)


def test_the_published_rule() -> None:
    """Counts and sums continue; below a count of 1 a code is put onto a vector, above it is their quotient."""
    rule = PublishedRescue(3, 2)
    z = torch.tensor([[5.0, 4.0], [6.0, 7.0]])
    rule(z)  # three codes cannot all get one of two vectors
    dead = rule.count < 1
    assert 1 <= int(dead.sum()) <= 2
    assert float(torch.cdist(rule.codebook[dead], z).min(1).values.max()) < 0.05  # repeated rows get a little noise
    before = rule.sum.clone()
    many = 5 + torch.randn(900, 2, generator=torch.Generator().manual_seed(0))
    indices = rule(many).indices
    alive = rule.count >= 1
    assert alive.any()
    expected = 0.99 * before + 0.01 * torch.zeros(3, 2).index_add_(0, indices, many)
    assert torch.allclose(rule.sum, expected, atol=1e-4)
    assert torch.allclose(rule.codebook[alive], (expected / rule.count[:, None])[alive], atol=1e-4)


def test_the_committed_file_holds_every_condition_and_seed(root: Path) -> None:
    points = load_points(root / "notebooks" / "results" / "vq_collapse.json")
    assert sorted((p.condition, p.seed) for p in points) == sorted((c, s) for c in CONDITIONS for s in SEEDS)
    rows = collapse_rows(points, ["rescue"])
    used = [p.used for p in points if p.condition == "rescue"]
    assert rows[1][:2] == ("rescue", f"{min(used)} to {max(used)}")


def test_unknown_condition_and_missing_file(chunks: Chunks, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rescue"):
        train_condition("prayer", chunks)
    with pytest.raises(InputError, match="Make it again"):
        load_points(tmp_path / "none.json")


def test_no_rescue_means_no_rescue() -> None:
    quantizer = CONDITIONS["no rescue"]()
    assert isinstance(quantizer, VQEMA) and not quantizer.reset and quantizer.commitment == 0.25
