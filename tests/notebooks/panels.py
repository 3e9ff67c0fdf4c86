"""Panels for the browser's gallery that need more than a name: with as little as they can work with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

import motionlab as ml
from lessons.build_the_decoder.decoder import Decoder, parts
from lessons.build_the_decoder.panel import PartsPanel
from lessons.build_the_decoder.parts import held_out
from motionlab.data.composed.samples import load_samples
from motionlab.motion.features import POSITIONS
from motionlab.views.metric_reactions import Bench


def reaction_panel() -> ml.ReactionPanel:
    """That of lesson 13, with a judge that always sees a walk and mean places for an evaluator."""
    samples = load_samples()[:6]
    clips = [sample.motion.features for sample in samples]

    def embed(motions: Sequence[Tensor]) -> Tensor:
        return torch.stack([motion[:, POSITIONS].mean(0) for motion in motions])

    actions = [[sample.action] for sample in samples]
    return ml.ReactionPanel(Bench(clips, actions, lambda features: ["walk"], embed, embed(clips), embed(clips)))


def parts_panel() -> PartsPanel:
    """That of the appendix of lesson 18."""
    run = ml.pretrained_run()
    theirs = run.llama.eval()
    mine = Decoder(theirs.codebook_size, 4, 4, 2, 128, theirs.hidden_dim, theirs.text_dim).eval()
    mine.load_state_dict(theirs.state_dict(), strict=True)
    return PartsPanel(mine, parts, held_out(run, clips=4), run)
