"""The panel of the first page: a sentence becomes a moving figure, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any, ClassVar

import ipywidgets as W
from PIL import Image

from motionlab.errors import InputError
from motionlab.jobs.generate import FPS
from motionlab.jobs.run_folder import Run
from motionlab.language import Own
from motionlab.plots.gif import film_strip
from motionlab.plots.player import PALETTE, Track
from motionlab.views.sentence import MOST, SentenceView, compute_sentence, known_sentences
from motionlab.widgets.panel import Panel
from motionlab.widgets.player import SkeletonPlayer

MOMENTS = 6  # of each motion in the still picture


class MotionPanel(Panel):
    """Write a sentence, or choose one; see its motion move. The same sentence may be drawn several times.

    The player shows the motions; the picture, for readers without a kernel, shows moments of them.

    Args:
        run: with a trained tokenizer and decoder, such as `ml.pretrained_run()`.
        sentence: the one to begin with.
    """

    COLUMNS: ClassVar = 3
    PRESETS: ClassVar = {
        "one": {"motions": 1},
        "three of them": {"motions": 3},
        "without guidance": {"guidance": 1.0},
    }

    def __init__(self, run: Run, sentence: str = "a person kicks") -> None:
        self.run, self.sentence = run, sentence
        self.player: SkeletonPlayer | None = None  # made with the first motion
        super().__init__()
        self.children = [self._grid, self._buttons, self._text, self.player]

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "90px"}
        own = self.run.config.sampling
        slider, whole = W.FloatSlider, W.IntSlider
        return {
            "sentence": W.Combobox(
                self.sentence, options=self.known(), description="sentence", ensure_option=False, style=style,
            ),
            "motions": whole(1, 1, MOST, description="motions", style=style),
            "guidance": slider(own.guidance, min=1, max=6, step=0.5, description="guidance", style=style),
            "temperature": slider(
                own.temperature, min=0.1, max=2, step=0.1, description="temperature", style=style
            ),
            "seconds": slider(  # 0 asks for no length
                0, min=0, max=self.longest(), step=0.5, description="seconds", style=style, readout_format=".1f"
            ),
            "seed": whole(0, 0, 20, description="seed", style=style),
        }  # fmt: skip

    def known(self) -> list[str]:
        """Sentences to choose from: one for each action that the run knows."""
        try:
            return known_sentences(self.run)
        except InputError:
            return []  # a run that does not say: any sentence can be written all the same

    def longest(self) -> float:
        """Seconds of the longest motion that the settings of the run allow."""
        config = self.run.config
        return config.sampling.max_tokens * config.tokenizer.frames_per_token / FPS

    def compute(self, **params: Any) -> SentenceView:  # type: ignore[override]  # not static: it knows the run
        return compute_sentence(self.run, params.pop("sentence"), **params)

    def tracks(self, result: SentenceView) -> list[Track]:
        """The skeletons of the player."""
        labels = map(self.said, result.labels())
        return [Track(label, one.motion.joints()) for label, one in zip(labels, result.motions, strict=True)]

    def picture(self, result: SentenceView) -> bytes:
        strips = [
            film_strip(track.joints, MOMENTS, size=110, color=PALETTE[number % len(PALETTE)])
            for number, track in enumerate(self.tracks(result))
        ]
        page = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips)))
        for number, strip in enumerate(strips):
            page.paste(strip, (0, sum(one.height for one in strips[:number])))
        buffer = BytesIO()
        page.save(buffer, "PNG")
        return buffer.getvalue()

    def _draw(self, result: SentenceView) -> None:
        if self.player is None:
            self.player = SkeletonPlayer(self.tracks(result), result.sentence)
            self.player.playing = True
        else:
            self.player.show(self.tracks(result), result.sentence)

    def still(self) -> dict[str, str]:
        """The player itself: it needs no kernel."""
        return self.player.still() if self.player is not None else {}

    def describe(self, result: SentenceView) -> str:
        length = "length: as asked" if result.asked else "length: its own choice"
        parts = [f"{self.said(f'{len(result.motions)} of')} {result.sentence!r}", length]
        if result.cut:
            parts.append(f"cut at the limit: {result.cut}")
        if result.outside:
            parts.append(result.outside)
        return " | ".join(parts)

    def told(self, result: SentenceView | None = None) -> str:
        shown = self.result if result is None else result
        begin, sentence, rest = self.describe(shown).partition(repr(shown.sentence))
        return begin + sentence + " | ".join(map(self.said, rest.split(" | ")))  # a bar in the sentence parts nothing

    def rows(self, result: SentenceView) -> Sequence[Sequence[str]]:
        lines = [("motion", "seconds", "seen in it")]
        for number, one in enumerate(result.motions, start=1):
            names = [] if one.actions is None else [action.name for action in one.actions]
            lines.append((str(number), f"≈{one.motion.duration:.1f}", Own(", ".join(names))))
        return lines
