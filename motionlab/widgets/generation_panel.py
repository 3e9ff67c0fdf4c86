"""The panels of lesson 12: a sentence becomes a motion, and the curves of the decoder's training."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W
from PIL import Image

from motionlab.jobs.run_folder import Run
from motionlab.plots.generation import decoder_figure, distribution_figure
from motionlab.plots.gif import film_strip
from motionlab.plots.player import Track
from motionlab.views.decoder_training import CURVES, read_decoder_curves
from motionlab.views.generation import GenerationView, compute_generation
from motionlab.widgets.fitting import DENSITY
from motionlab.widgets.panel import Panel, still_picture
from motionlab.widgets.player import SkeletonPlayer
from motionlab.widgets.training_panel import TrainingPanel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from motionlab.evaluation.actions import ActionClassifier

MOMENTS = 6  # of the motion in the still picture
_PLAYER = 330  # CSS pixels of the player; the picture has the rest


def verdict(view: GenerationView) -> str:
    """Whether the motion was finished, and what a classifier sees in it."""
    stop = "finished: the decoder wrote END" if view.stopped_by == "end" else "CUT at the limit: it was not finished"
    seen = "" if view.actions is None else f" · seen: {', '.join(view.actions) or 'no action'}"
    return f"{stop}{seen}"


class GenerationPanel(Panel):
    """Write a sentence, choose temperature, top-p and guidance; see what the codes are drawn from, and the motion.

    Args:
        run: with a trained tokenizer and decoder.
        sentence: the one to begin with.
        judge: names the actions of the motion, if given.
    """

    COLUMNS: ClassVar = 3
    PRESETS: ClassVar = {
        "careful": {"temperature": 0.3, "top_p": 0.8},
        "as trained": {"temperature": 1.0, "top_p": 1.0},
        "wild": {"temperature": 2.0, "top_p": 1.0},
    }

    def __init__(self, run: Run, sentence: str, judge: ActionClassifier | None = None) -> None:
        self.run, self.sentence, self.judge = run, sentence, judge
        self._player: SkeletonPlayer | None = None  # made with the first motion
        super().__init__()
        parts = [self._image] if self._player is None else [self._player, self._image]
        beside = W.HBox(parts, layout=W.Layout(align_items="center"))
        self.children = [self._grid, self._buttons, self._text, beside]

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "85px"}
        own, slider = self.run.config.sampling, W.FloatSlider
        return {
            "sentence": W.Text(self.sentence, description="sentence", style=style, layout=W.Layout(width="90%")),
            "temperature": slider(own.temperature, min=0.1, max=3, step=0.1, description="temperature", style=style),
            "top_p": slider(
                1.0 if own.top_p is None else own.top_p, min=0.05, max=1, step=0.05, description="top-p", style=style
            ),
            "guidance": slider(1.0, min=0, max=6, step=0.5, description="guidance", style=style),
            "place": W.IntSlider(0, 0, own.max_tokens - 1, description="place", style=style),
            "seed": W.IntSlider(0, 0, 20, description="seed", style=style),
        }

    def compute(self, **params: Any) -> GenerationView:  # type: ignore[override]  # not static: it knows the run
        return compute_generation(self.run, params.pop("sentence"), judge=self.judge, **params)

    def player(self) -> SkeletonPlayer:
        """The motion that the panel shows, in a player of its own."""
        view = self.result
        return SkeletonPlayer([Track(self.said("generated"), view.motion.joints())], view.sentence, view.motion.fps)

    def picture(self, result: GenerationView) -> Figure:
        return distribution_figure(result.distribution, title=verdict(result), size=(4.4, 3.7))

    def _draw(self, result: GenerationView) -> None:
        super()._draw(result)
        tracks = [Track(self.said("generated"), result.motion.joints())]
        if self._player is None:
            self._player = SkeletonPlayer(tracks, fps=result.motion.fps)
            self._player.layout.width = f"{_PLAYER}px"
            self._player.playing = True
        else:
            self._player.show(tracks)

    def still(self) -> dict[str, str]:
        """Moments of the motion above the picture: without a kernel no player moves."""
        if self.result is None:
            return {}
        picture = Image.open(BytesIO(self._image.value)).convert("RGB")
        strip = film_strip(self.result.motion.joints(), MOMENTS, size=picture.width // MOMENTS)
        page = Image.new("RGB", (picture.width, strip.height + picture.height), "white")
        page.paste(strip, ((picture.width - strip.width) // 2, 0))
        page.paste(picture, (0, strip.height))
        buffer = BytesIO()
        page.save(buffer, "PNG")
        return still_picture(buffer.getvalue(), 1 / DENSITY)

    def describe(self, result: GenerationView) -> str:
        # Every number has the mark: a motion is drawn, and the last digit of a logit can change it.
        view, place = result.distribution, result.distribution.place
        return (
            f"≈{len(result.codes)} codes, ≈{result.seconds:.1f} s, path ≈{result.path:.1f} m | "
            f"place {place}: ≈{view.kept[place]} tokens to draw from, ≈{view.entropy_after[place]:.2f} bits | "
            f"all places: ≈{result.mean_bits:.2f} bits"
        )

    def rows(self, result: GenerationView) -> Sequence[Sequence[str]]:
        view = result.distribution
        lines = [("code", "at temperature 1", "drawn from")]
        for name, before, after in list(zip(view.names, view.before, view.after, strict=True))[:8]:
            lines.append((name, f"≈{before:.3f}", f"≈{after:.3f}"))
        return lines


class DecoderTrainingPanel(TrainingPanel):
    """Curves of stage 2, as `TrainingPanel` shows those of stage 1: loss and accuracy, on training and held-out clips.

    Args:
        folder: of the decoder, where `history.csv` is or will be.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)

    def make_controls(self) -> dict[str, Any]:
        controls = super().make_controls()
        return {"smooth": controls["smooth"]}

    def compute(self, **params: Any) -> Any:  # type: ignore[override]  # not static: the panel knows the file
        return read_decoder_curves(self.path, **params)

    def curves(self, result: Any) -> Figure:
        return decoder_figure(*result.lines)

    def describe(self, result: Any) -> str:
        if not result.step:
            return "no training yet"
        parts = [f"step {result.step}"]
        for name, (_, values) in zip(CURVES, result.lines, strict=True):
            if values:
                parts.append(f"{self.said(name)} ≈{values[-1]:.3f}")
        return " | ".join(parts)

    def rows(self, result: Any) -> Sequence[Sequence[str]]:
        _, held_out, _, accuracy = result.lines
        lines = [("step", "held-out loss", "held-out accuracy")]
        for step, loss, share in zip(held_out[0], held_out[1], accuracy[1], strict=True):
            lines.append((f"{step:g}", f"≈{loss:.3f}", f"≈{share:.3f}"))
        return lines
