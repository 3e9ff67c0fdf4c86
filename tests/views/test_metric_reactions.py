"""Which metric notices a fault: what each fault must and must not move."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.features import POSITIONS
from motionlab.plots.metric_reactions import reaction_figure
from motionlab.views.metric_reactions import FAULTS, UNITS, Bench, compute_reactions


@pytest.fixture(scope="module")
def bench() -> Bench:
    """Twelve bundled clips; the judge knows them by their first pose, the evaluator by their mean pose."""
    samples = [one for one in load_samples() if not one.hard_heading][:12]
    clips = [one.motion.features for one in samples]
    firsts = {one.action: one.motion.features[0, POSITIONS] for one in samples}

    def recognise(features: Tensor) -> list[str]:
        return [min(firsts, key=lambda action: float((firsts[action] - features[0, POSITIONS]).norm()))]

    def embed(motions: Sequence[Tensor]) -> Tensor:
        return torch.stack([one[:, POSITIONS].mean(0) for one in motions])  # [N, 66]

    others = [one.motion.features for one in samples[:8]]
    return Bench(clips, [[one.action] for one in samples], recognise, embed, embed(clips), embed(others))


def reacting(bench: Bench, fault: str, strength: int = 3) -> set[str]:
    return {one.metric for one in compute_reactions(bench, fault, strength).reactions if one.reacts}


def test_nothing_moves_nothing(bench: Bench) -> None:
    view = compute_reactions(bench, "nothing")
    assert view.blind == list(UNITS) and all(abs(one.change) < 1e-6 for one in view.reactions)


def test_a_fault_moves_what_it_is_about_and_leaves_the_rest(bench: Bench) -> None:
    assert {"jerk_mm", "MPJPE, pelvis", "bone_drift_mm"} <= reacting(bench, "noise")
    assert "jerk_mm" in reacting(bench, "hold")
    gliding = reacting(bench, "slide")
    assert "sliding" in gliding and not gliding & {"MPJPE, pelvis", "R@1", "FID", "action score"}, "poses are as before"
    assert reacting(bench, "random angles") == {"rotations_gap_mm"}
    drifting = reacting(bench, "heading drift")
    assert "MPJPE, pelvis" in drifting and "MPJPE, heading" not in drifting
    assert {"jerk_mm", "float_mm", "MPJPE, heading"} <= reacting(bench, "centimetres")


@pytest.mark.parametrize("fault", list(FAULTS))
def test_every_fault_has_strengths_and_a_picture(bench: Bench, fault: str) -> None:
    assert 1 <= len(FAULTS[fault]) <= 4
    view = compute_reactions(bench, fault, 3, clip=1)
    figure = reaction_figure(view)
    assert len(figure.axes[1].patches) == len(UNITS) and view.words in figure.axes[0].get_title()


def test_stronger_noise_shakes_more(bench: Bench) -> None:
    jerks = [
        next(one.spoiled for one in compute_reactions(bench, "noise", strength).reactions if one.metric == "jerk_mm")
        for strength in range(4)
    ]
    assert jerks == sorted(jerks) and jerks[3] > 5 * jerks[0]


def test_what_is_refused(bench: Bench) -> None:
    for changes in ({"fault": "rain"}, {"fault": "noise", "strength": 4}, {"fault": "noise", "clip": 12}):
        with pytest.raises(InputError):
            compute_reactions(bench, **changes)
    with pytest.raises(InputError, match="12 clips, 1 lists"):
        Bench(bench.clips, [["walk"]], bench.recognise, bench.embed, bench.text, bench.reference)


def test_a_fault_is_measured_once_and_gives_the_same_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Bench(bench.clips, bench.wanted, bench.recognise, bench.embed, bench.text, bench.reference)
    first = compute_reactions(fresh, "noise", 1)
    plain = fresh.measure([list(FAULTS["noise"].values())[1](features) for features in fresh.clips])
    assert {one.metric: one.spoiled for one in first.reactions} == plain
    monkeypatch.setattr(Bench, "measure", lambda *_: pytest.fail("measured again"))
    again = compute_reactions(fresh, "noise", 1, clip=3)
    assert again.reactions == first.reactions and again.spoiled.shape != first.spoiled.shape
    with pytest.raises(BaseException, match="measured again"):
        compute_reactions(fresh, "noise", 2)
