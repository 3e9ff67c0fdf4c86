"""The panels of lesson 12: a sentence becomes a motion, and the curves of the decoder's training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W
import torch
from torch import Tensor

from motionlab.jobs.generate import generate_motions
from motionlab.jobs.run_folder import Run
from motionlab.llama.decoding.guidance import guide
from motionlab.llama.null_text import with_null_rows
from motionlab.llama.sequence import build_sequences
from motionlab.motion.motion import Motion
from motionlab.plots.curves import figure_to_png
from motionlab.plots.generation import DistributionView, decoder_figure, distribution_figure, view_distribution
from motionlab.plots.player import Track
from motionlab.training.history import History
from motionlab.widgets.panel import Panel
from motionlab.widgets.training_panel import TrainingPanel

if TYPE_CHECKING:
    from motionlab.evaluation.actions import ActionClassifier
    from motionlab.widgets.player import SkeletonPlayer


CURVES = ("loss", "held-out loss", "accuracy", "held-out accuracy")


@dataclass(frozen=True)
class GenerationView:
    """A generated motion and what it was drawn from.

    Fields:
        stopped_by: "end" or "limit"; actions: what the classifier sees, or None without one.
        path: metres that the pelvis went over the floor.
    """

    sentence: str
    motion: Motion
    codes: list[int]
    stopped_by: str
    path: float
    actions: list[str] | None
    distribution: DistributionView


@torch.inference_mode()
def token_logits(run: Run, sentence: str, tokens: Sequence[int], guidance: float) -> tuple[Tensor, Tensor]:
    """Logits `[n, K + 1]` that each of the `n` tokens of a motion was drawn from: of the text, and guided.

    Args:
        tokens: codes, and END at the end if the motion has one.
    """
    llama = run.llama
    features = run.text.features([sentence])
    device = llama.llama_proj.weight.device
    codes = torch.tensor([token for token in tokens if token != llama.end_token], dtype=torch.long)
    batch = build_sequences([codes], features, llama.codebook_size, llama.max_length).to(device)
    width = int(features.mask.sum())
    plain = llama(batch.tokens, batch.text, batch.text_mask)[0, width - 1 :][: len(tokens)]  # [n, K+1]
    if guidance == 1.0:
        return plain.cpu(), plain.cpu()
    _, null_mask = with_null_rows(batch.text[:, :1], batch.text_mask[:, :1])
    nothing = build_sequences(
        [codes], type(features)(torch.zeros(1, 1, features.dim), null_mask[1:].cpu()), llama.codebook_size,
        llama.max_length,
    ).to(device)  # fmt: skip
    without = llama(nothing.tokens, nothing.text, nothing.text_mask)[0][: len(tokens)]  # one slot of text: place 0 on
    return plain.cpu(), guide(torch.cat([plain, without]), guidance).cpu()


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

    PRESETS: ClassVar = {
        "careful": {"temperature": 0.3, "top_p": 0.8},
        "as trained": {"temperature": 1.0, "top_p": 1.0},
        "wild": {"temperature": 2.0, "top_p": 1.0},
    }

    def __init__(self, run: Run, sentence: str, judge: ActionClassifier | None = None) -> None:
        self.run, self.sentence, self.judge = run, sentence, judge
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "110px"}
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
        guidance = params["guidance"]
        sampling = replace(
            self.run.config.sampling,
            greedy=False,
            temperature=params["temperature"],
            top_p=params["top_p"],
            guidance=guidance,
            seed=params["seed"],
        )
        self.run.config.check_sampling(sampling)
        made = generate_motions(self.run, [params["sentence"]], sampling)[0][0]
        codes = made.generated.tokens.tolist()
        tokens = [*codes, self.run.llama.end_token] if made.generated.stopped_by == "end" else codes
        plain, guided = token_logits(self.run, params["sentence"], tokens, guidance)
        place = min(params["place"], len(tokens) - 1)  # the slider is as long as the longest motion
        floor = made.motion.joints()[:, 0, [0, 2]]  # [T, 2] metres, the pelvis from above
        return GenerationView(
            sentence=params["sentence"],
            motion=made.motion,
            codes=codes,
            stopped_by=made.generated.stopped_by,
            path=float(floor.diff(dim=0).norm(dim=-1).sum()),
            actions=None if self.judge is None else self.judge.recognise(made.motion.features),
            distribution=view_distribution(plain, guided, tokens, place, sampling),
        )

    def player(self) -> SkeletonPlayer:
        """The motion that the panel shows, in a player."""
        from motionlab.widgets.player import SkeletonPlayer

        view = self.result
        return SkeletonPlayer([Track("generated", view.motion.joints())], view.sentence, view.motion.fps)

    def picture(self, result: GenerationView) -> bytes:
        return figure_to_png(distribution_figure(result.distribution, title=verdict(result)))

    def describe(self, result: GenerationView) -> str:
        # Every number has the mark: a motion is drawn, and the last digit of a logit can change it.
        view, place = result.distribution, result.distribution.place
        mean = sum(view.entropy_after) / len(view.entropy_after)
        return (
            f"≈{len(result.codes)} codes, ≈{len(result.motion) / result.motion.fps:.1f} s, path ≈{result.path:.1f} m | "
            f"place {place}: ≈{view.kept[place]} tokens to draw from, ≈{view.entropy_after[place]:.2f} bits | "
            f"all places: ≈{mean:.2f} bits"
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

    def picture(self, result: Any) -> bytes:
        return figure_to_png(decoder_figure(*result.lines))

    def describe(self, result: Any) -> str:
        if not result.step:
            return "no training yet"
        parts = [f"step {result.step}"]
        for name, (_, values) in zip(
            ("loss", "held-out loss", "accuracy", "held-out accuracy"), result.lines, strict=True
        ):
            if values:
                parts.append(f"{name} ≈{values[-1]:.3f}")
        return " | ".join(parts)

    def rows(self, result: Any) -> Sequence[Sequence[str]]:
        _, held_out, _, accuracy = result.lines
        lines = [("step", "held-out loss", "held-out accuracy")]
        for step, loss, share in zip(held_out[0], held_out[1], accuracy[1], strict=True):
            lines.append((f"{step:g}", f"≈{loss:.3f}", f"≈{share:.3f}"))
        return lines


@dataclass(frozen=True)
class DecoderCurves:
    """`lines`: loss, held-out loss, accuracy, held-out accuracy; each (steps, values)."""

    step: int
    lines: tuple[tuple[list[float], list[float]], ...]


def read_decoder_curves(path: str | Path, smooth: int = 1) -> DecoderCurves:
    """The curves of a decoder's `history.csv`; empty when it is not there yet."""
    return decoder_curves(History.read(path) if Path(path).is_file() else History(), smooth)


def decoder_curves(history: History, smooth: int = 1) -> DecoderCurves:
    """What a history says about the training of a decoder; `smooth` rows of the training loss are averaged."""

    def line(name: str, width: int = 1) -> tuple[list[float], list[float]]:
        if name not in history.columns:
            return [], []
        at, values = history.points(name)
        return list(at), [sum(part := values[max(0, i + 1 - width) : i + 1]) / len(part) for i in range(len(values))]

    steps = history.column("step")
    lines = (line("loss", smooth), line("val_loss"), line("accuracy", smooth), line("val_accuracy"))
    return DecoderCurves(int(steps[-1]) if steps else 0, lines)
