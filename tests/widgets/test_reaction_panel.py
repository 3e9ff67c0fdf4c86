"""The panel of lesson 13."""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from motionlab.data.composed.samples import load_samples
from motionlab.motion.features import POSITIONS
from motionlab.views.metric_reactions import Bench
from motionlab.widgets.reaction_panel import ReactionPanel


def test_the_panel_measures_again_when_a_fault_is_chosen() -> None:
    samples = load_samples()[:4]
    clips = [one.motion.features for one in samples]

    def embed(motions: Sequence[Tensor]) -> Tensor:
        return torch.stack([one[:, POSITIONS].mean(0) for one in motions])

    bench = Bench(
        clips, [[one.action] for one in samples], lambda features: ["walk"], embed, embed(clips), embed(clips)
    )
    panel = ReactionPanel(bench)
    assert repr(panel) == "<ReactionPanel: fault, strength, clip>"
    panel.preset("nothing")
    assert panel.summary() == "fault=nothing, strength=2, clip=0 -> as recorded: ≈0 of 12 metrics react"
    panel.set(fault="random angles", clip=3)
    rows = {row[0]: row for row in panel.rows(panel.result)}
    assert [name for name, row in rows.items() if row[-1] == "yes"] == ["rotations_gap_mm"]
    assert Image.open(io.BytesIO(panel._image.value)).width > 600
