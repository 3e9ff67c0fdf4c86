"""The panel of lesson 18: exchange a part of the learner's own decoder, and see loss and motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import ipywidgets as W
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from lessons.build_the_decoder.parts import EXCHANGES, loss_of
from lessons.build_the_decoder.sequence import write
from lessons.shared.exchange import AS_WRITTEN, exchanged
from motionlab.jobs.run_folder import Run
from motionlab.llama.sequence import Sequences
from motionlab.motion.motion import Motion
from motionlab.plots.gif import film_strip
from motionlab.widgets.panel import Panel

MOST, MOMENTS = 60, 7  # tokens that are written, moments of the motion that are drawn


@dataclass(frozen=True)
class PartsView:
    """Nats per token as written and now, the tokens that it writes, and their motion's joints `[T, 22, 3]`."""

    intact: float
    loss: float
    guessing: float
    tokens: list[int]
    joints: Tensor | None


class PartsPanel(Panel):
    """Exchange parts of a trained decoder.

    Args:
        decoder: called as `decoder(tokens, text, text_mask)`, it asks `parts` for its functions.
        parts: this namespace.
        batch: held-out clips, to measure the loss on.
        run: whose tokenizer makes the motion.
        sentence: what the motion is written from.
    """

    PRESETS: ClassVar = {"no positions": {"turn": "none"}, "no text": {"sees": "no text"}}

    def __init__(
        self, decoder: nn.Module, parts: SimpleNamespace, batch: Sequences, run: Run, sentence: str = "a person kicks"
    ) -> None:
        self.decoder, self.parts, self.batch, self.run = decoder, parts, batch, run
        self.words = run.text.features([sentence])
        self.tokenizer = run.tokenizer()
        self.intact = self._loss()
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "60px"}
        return {
            name: W.Dropdown(options=[AS_WRITTEN, *choices], description=name, style=style)
            for name, choices in EXCHANGES.items()
        }

    @torch.no_grad()
    def _loss(self) -> float:
        batch = self.batch
        return loss_of(self.decoder(batch.tokens, batch.text, batch.text_mask), batch)

    @torch.no_grad()
    def _next(self, tokens: list[int]) -> Tensor:
        width = self.words.mask.shape[1]
        row = torch.tensor([[0] * width + tokens])
        logits: Tensor = self.decoder(row, self.words.states, self.words.mask)[0, -1]
        return logits

    def compute(self, **params: Any) -> PartsView:  # type: ignore[override]  # not static: it knows the decoder
        with exchanged(self.parts, EXCHANGES, **params):
            loss, tokens = self._loss(), write(self._next, self.tokenizer.codebook_size, MOST)
        joints = None
        if tokens:
            motion = self.run.normalizer.denormalize(self.tokenizer.decode(torch.tensor([tokens]))[0])  # [T, 272]
            joints = Motion(motion).joints()
        return PartsView(self.intact, loss, math.log(self.tokenizer.codebook_size + 1), tokens, joints)

    def picture(self, result: PartsView) -> Figure:
        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        bars, strip = figure.subplots(2, 1, height_ratios=(1, 1.5))
        names = ("guessing", "now", AS_WRITTEN)
        values = (result.guessing, result.loss, result.intact)
        bars.barh(names, values, color=("#c9ced6", "#d1495b", "#30638e"))
        for place, value in enumerate(values):
            bars.text(value, place, f" {value:.2f}", va="center", fontsize=8)
        bars.set_xlim(0, max(1.15 * max(values), 8.0))
        bars.set_xlabel("nats per token, held-out clips", fontsize=8)
        bars.tick_params(labelsize=8)
        bars.spines[["top", "right"]].set_visible(False)
        strip.axis("off")
        if result.joints is None:
            strip.text(0.5, 0.5, "nothing was written: END came first", ha="center")
        else:
            strip.imshow(np.asarray(film_strip(result.joints, MOMENTS, size=150)))
        return figure

    def describe(self, result: PartsView) -> str:
        return (
            f"≈{result.loss:.2f} nats per token, as written ≈{result.intact:.2f} | ≈{len(result.tokens)} tokens written"
        )

    def rows(self, result: PartsView) -> Sequence[Sequence[str]]:
        return [
            ("decoder", "nats per token"), ("guessing", f"≈{result.guessing:.2f}"), ("now", f"≈{result.loss:.2f}"),
            (AS_WRITTEN, f"≈{result.intact:.2f}"),
        ]  # fmt: skip
