"""From a sentence to a motion, and from a motion to a file that another program opens."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from motionlab.config import Sampling
from motionlab.errors import InputError
from motionlab.evaluation.judge import SeenAction, describe_actions
from motionlab.jobs.known_actions import compare_captions, warning
from motionlab.jobs.motion_files import find_target, write_target
from motionlab.jobs.run_folder import Run
from motionlab.llama.decoding.engine.packages import check_engine
from motionlab.llama.decoding.generate import Generated, generate
from motionlab.motion.formats.registry import WriteOptions
from motionlab.motion.motion import Motion
from motionlab.progress_bar import Kind, Tally, progress_kind, say
from motionlab.text.known_captions import Comparison

# ending -> name of the format where several share it; .npz is missing, because no reader would guess the right one
ENDINGS: dict[str, str | None] = {".bvh": None, ".glb": None, ".csv": None, ".npy": "272", ".gif": None, ".html": None}
FPS = Motion.fps  # frames a second of what a run generates


@dataclass(frozen=True)
class GeneratedMotion:
    """A motion made from a caption, its tokens, and why the decoder stopped (`end`, `limit` or `length`).

    Fields:
        actions: those that the judge of the run recognises in it; None when the run has none.
        known: how the caption stands to those of the training clips; None when that was not asked or not possible.
        outside: what a person should know about that, in one line; empty when the caption is known.
        judge: how far that judge can be trusted, or why there is none.
    """

    caption: str
    motion: Motion
    generated: Generated
    actions: tuple[SeenAction, ...] | None = None
    known: Comparison | None = None
    outside: str = ""
    judge: str = ""

    def notes(self) -> list[str]:
        """Notes for the user about the motion, one per line."""
        lines = [self.outside] if self.outside else []
        if self.generated.stopped_by == "limit":
            tokens = len(self.generated.tokens)
            lines.append(f"cut at {tokens} tokens: the decoder had not said END; raise --max-tokens for more")
        if self.actions is not None:
            lines.append(
                f"recognised: {describe_actions(self.actions)} (by a judge that knows the actions of the run's own "
                f"clips and no other; it {self.judge})"
            )
        elif self.judge:
            lines.append(self.judge)
        return lines


def generate_motions(
    run: Run,
    captions: Sequence[str],
    sampling: Sampling,
    frames: Sequence[int] | None = None,
    show: Kind = "silent",
    compare: bool = True,
    engine: str = "torch",
) -> tuple[list[GeneratedMotion], float]:
    """Generate one motion per caption, all in one batch.

    Args:
        frames: length of each motion; None lets the decoder say when it is over.
        show: how progress is shown.
        compare: compare the captions with those of the training clips, for the notes of each motion.
        engine: that writes the tokens: torch, onnx or onnx-int8, see `ml.generate`. Its files are kept in the
            folder of the decoder.

    Returns:
        the motions, and tokens per second of the decoder (END counted, text encoding not).
    """
    features = run.text.features(list(captions))
    llama, tokenizer = run.llama, run.tokenizer()
    device = next(llama.parameters()).device
    lengths = None if frames is None else [tokenizer.token_count(count) for count in frames]
    told = _told(run, captions) if compare else [(None, "")] * len(captions)
    began = time.perf_counter()
    most = sampling.max_tokens if lengths is None else max(lengths)
    title = "generating" if len(captions) == 1 else f"generating {len(captions)} motions"
    with Tally(title, most, "token", show) as tally:
        written = generate(
            llama, features.states, features.mask, sampling, lengths=lengths, on_token=tally.update, engine=engine,
            engine_folder=run.engine_folder,
        )  # fmt: skip
    seconds = time.perf_counter() - began
    motions = []
    with torch.inference_mode():
        for row, (caption, generated) in enumerate(zip(captions, written, strict=True)):
            indices = generated.tokens[None].to(device)  # [1, n]
            restored = run.normalizer.denormalize(tokenizer.to(device).decode(indices)[0].float().cpu())
            if frames is not None:
                restored = restored[: frames[row]]  # the last token may hold more
            known, outside = told[row]
            motions.append(
                GeneratedMotion(caption, Motion(restored, name=caption), generated, known=known, outside=outside)
            )
    tokens = sum(len(generated.tokens) + (generated.stopped_by == "end") for generated in written)
    return motions, tokens / seconds


def _told(run: Run, captions: Sequence[str]) -> list[tuple[Comparison | None, str]]:
    """For each caption its comparison with those of the training, and the warning; or the reason why there is none."""
    comparisons, reason = compare_captions(run, captions)
    if reason:
        return [(None, reason)] * len(captions)
    return [(comparison, warning(comparison, run.command_for_actions())) for comparison in comparisons]


def generate_file(
    prompt: str,
    run_folder: str | Path,
    out: str | Path,
    *,
    seconds: float | None = None,
    unit: str | None = None,
    show: bool = False,
    engine: str = "torch",
    **overrides: Any,
) -> GeneratedMotion:
    """`motionlab generate`: one prompt, one file.

    Args:
        out: .bvh or .glb (for Blender), .npy (272 features), .csv (places of joints), .gif or .html (a player).
        seconds: length of the motion, at 30 frames a second; None lets the decoder say when it is over.
        unit: of a .bvh file, "m" (the default) or "cm".
        show: say on stderr what is being done.
        engine: as in `generate_motions`.
        overrides: fields of Sampling; None keeps the run's own setting.

    Raises:
        InputError: unknown ending, a unit for another format or an unknown one, not a run, empty prompt, or a prompt or
            length over the limit; checked before any work.
        MissingExtra: the packages of the engine are not installed.
    """
    check_engine(engine)
    out = Path(out)
    if out.suffix.lower() not in ENDINGS:
        raise InputError(out, found=f"ending {out.suffix!r}", expected=" ".join(ENDINGS), fix="Choose one of these.")
    options = WriteOptions(unit=unit)
    writer = find_target(out, ENDINGS[out.suffix.lower()], options)
    kind = progress_kind(sys.stderr) if show else "silent"
    run = Run.open(run_folder)
    say(f"loading {run.title}", kind)
    changed = {name: value for name, value in overrides.items() if value is not None}
    sampling = dataclasses.replace(run.config.sampling, **changed)
    run.config = dataclasses.replace(run.config, sampling=sampling)  # checks it, and gives the decoder room for it
    limit = sampling.max_tokens * run.config.tokenizer.frames_per_token
    frames = None if seconds is None else [frames_of(seconds, limit)]
    result = generate_motions(run, [prompt], sampling, frames, kind, engine=engine)[0][0]
    write_target(out, result.motion, writer, options, caption=prompt)
    return judged(run, result)


def judged(run: Run, result: GeneratedMotion) -> GeneratedMotion:
    """The motion with the actions that the run's judge sees in it."""
    try:
        judge = run.judge
    except InputError as error:  # of an earlier version: the motion is there all the same
        return replace(result, judge=f"not judged: {error}")
    if judge is None:
        return result
    return replace(result, actions=tuple(judge.actions_in(result.motion.features)), judge=judge.describe())


def frames_of(seconds: float, limit: int) -> int:
    """Frames of a motion this long, at least one and at most `limit`."""
    frames = round(seconds * FPS) if math.isfinite(seconds) else 0
    if not 1 <= frames <= limit:
        raise InputError(
            "seconds",
            found=f"{seconds:g}",
            expected=f"above 0, at most {limit / FPS:g} (max_tokens)",
            fix="Ask for another length, or raise max_tokens.",
        )
    return frames
