"""Each fault of a protocol appears in numbers, and the figures that lessons quote come out."""

from __future__ import annotations

import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.evaluation import protocols
from motionlab.evaluation.physics import physics_of
from motionlab.motion.features import POSITIONS, decode_positions


@pytest.fixture(scope="module")
def recorded() -> list[torch.Tensor]:
    return [sample.motion.features for sample in load_samples(check=False) if len(sample.motion) > 20][:12]


def retrieval(n: int = 640, repeats: int = 1, noise: float = 0.8) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """Captions of which each has `repeats` motions; a caption is the middle of its motions."""
    random = torch.Generator().manual_seed(0)
    names = torch.arange(n) // repeats
    text = torch.randn(int(names.max()) + 1, 16, generator=random)[names]
    return text, text + noise * torch.randn(n, 16, generator=random), names.tolist()


def test_batches_decide_the_score() -> None:
    text, motion, _ = retrieval()
    found = protocols.batch_dependence(text, motion, sizes=(32, 128))
    assert list(found.by_size) == [32, 128, 640]
    assert found.by_size[32] > found.by_size[128] + 0.1 > found.by_size[640] + 0.2
    assert found.lowest < found.by_size[32] < found.highest and found.duplicates_right == {}


def test_duplicate_captions_decide_the_score() -> None:
    text, motion, names = retrieval(repeats=8, noise=0.1)
    found = protocols.batch_dependence(text, motion, names, sizes=(32, 128))
    assert min(found.duplicates_right.values()) > 0.99  # the evaluator is nearly perfect
    assert found.by_size[640] < 0.2 < 0.4 < found.by_size[128] < found.by_size[32] < 0.95


@pytest.mark.parametrize(("n", "bias"), [(256, 448), (1024, 129)])
def test_frechet_is_mostly_bias(n: int, bias: float) -> None:
    assert protocols.frechet_bias(n) == pytest.approx(bias, rel=0.01)


def test_the_limit_has_no_bias() -> None:
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(4000, 16, generator=random) for _ in range(2))
    found = protocols.frechet_curve(a, b + 0.5, numbers=(250, 500, 1000, 2000, 4000))
    assert found.by_number[250] > found.by_number[4000] > 4.0  # 16 x 0.25
    assert abs(found.limit - 4) < abs(found.by_number[250] - 4) / 2
    assert list(protocols.frechet_curve(a, b).by_number) == [2000, 2500, 3000, 3500, 4000]
    with pytest.raises(InputError, match="numbers"):
        protocols.frechet_curve(a, b, numbers=(10,))


def test_averages_beat_real_motions() -> None:
    text, motion, names = retrieval(repeats=16, noise=1.5)
    found = protocols.averaged_beats_real(text, motion, names)
    real, averaged = found.r_precision
    assert averaged.low > real.high and found.matching[1].high < found.matching[0].low
    assert found.diversity[1].high < found.diversity[0].low and found.frechet > 5
    same = protocols.averaged_beats_real(text, motion, names, toward_mean=0)
    assert same.r_precision[0] == same.r_precision[1] and same.frechet == pytest.approx(0, abs=1e-3)


def test_unit_length_turns_the_ranking() -> None:
    text, motion, _ = retrieval(noise=0.5)
    methods = {"long": 3 * (text + 0.1 * torch.randn(text.shape)), "noisy": motion}
    found = protocols.unit_length_ranking(text, methods)
    assert found.order_raw == ["noisy", "long"] and found.order_unit == ["long", "noisy"]


def test_a_capped_sampler(recorded: list[torch.Tensor]) -> None:
    found = protocols.capped_sampler(recorded, codes=20)
    assert max(map(len, found.motions)) == 40 and len(found.motions) == len(recorded)
    assert found.share_cut == sum(len(x) > 40 for x in recorded) / len(recorded) > 0
    assert found.frames_lost == pytest.approx(1 - sum(map(len, found.motions)) / sum(map(len, recorded)))
    assert protocols.capped_sampler(recorded, codes=10**6).share_cut == 0
    with pytest.raises(InputError, match="capped sampler"):
        protocols.capped_sampler([])


def test_position_error_counts_the_turn(recorded: list[torch.Tensor]) -> None:
    still, slow, fast = protocols.mpjpe_under_drift(recorded, degrees=(0, 5, 20))
    assert still.pelvis == pytest.approx(0, abs=0.01) and fast.pelvis > 2 * slow.pelvis > 10
    assert fast.heading < 0.1 * slow.pelvis and fast.degrees == 20


def test_a_score_that_noise_does_not_move(recorded: list[torch.Tensor]) -> None:
    """The mean pose of a clip tells actions apart, as a classifier may learn; trembling does not change a mean."""
    means = torch.stack([x[:, POSITIONS].mean(0) for x in recorded])

    def named(motions: list[torch.Tensor]) -> float:
        found = torch.stack([x[:, POSITIONS].mean(0) for x in motions])
        return float((torch.cdist(found, means).argmin(1) == torch.arange(len(means))).float().mean())

    def jerk(motions: list[torch.Tensor]) -> float:
        return physics_of([decode_positions(x) for x in motions])["jerk_mm"].value

    names = ("noise", "hold", "slide", "random_angles", "wrong_order", "wrong_unit")
    blind = protocols.reactions(named, recorded, names)
    assert all(blind[name].spoiled > 0.9 for name in names[:4]) and blind["wrong_unit"].spoiled < 0.5
    seen = protocols.reactions(jerk, recorded, ("noise", "hold"))
    assert seen["noise"].change > 50 and seen["noise"].real == pytest.approx(seen["hold"].real)
    with pytest.raises(InputError, match="two or more"):
        protocols.reactions(named, recorded[:1])
