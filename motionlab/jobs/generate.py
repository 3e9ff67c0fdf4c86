"""From a sentence to a motion, and from a motion to a file that another program opens."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from motionlab.config import Sampling
from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.jobs.run_folder import Run
from motionlab.llama.decoding.generate import Generated, generate
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.motion import Motion
from motionlab.plots.gif import write_gif
from motionlab.plots.player import Track, player_page

SUFFIXES = (".bvh", ".npy", ".gif", ".html")
FPS = Motion.fps  # frames a second of what a run generates


@dataclass(frozen=True)
class GeneratedMotion:
    """A motion made from a caption, its tokens, and why the decoder stopped (`end`, `limit` or `length`)."""

    caption: str
    motion: Motion
    generated: Generated


def generate_motions(
    run: Run, captions: Sequence[str], sampling: Sampling, frames: Sequence[int] | None = None
) -> tuple[list[GeneratedMotion], float]:
    """Generate one motion per caption, all in one batch.

    Args:
        frames: length of each motion; None lets the decoder say when it is over.

    Returns:
        the motions, and tokens per second of the decoder (END counted, text encoding not).
    """
    features = run.text.features(list(captions))
    llama, tokenizer = run.llama, run.tokenizer()
    device = next(llama.parameters()).device
    lengths = None if frames is None else [tokenizer.token_count(count) for count in frames]
    began = time.perf_counter()
    written = generate(llama, features.states, features.mask, sampling, lengths=lengths)
    seconds = time.perf_counter() - began
    motions = []
    with torch.inference_mode():
        for row, (caption, generated) in enumerate(zip(captions, written, strict=True)):
            indices = generated.tokens[None].to(device)  # [1, n]
            restored = run.normalizer.denormalize(tokenizer.to(device).decode(indices)[0].float().cpu())
            if frames is not None:
                restored = restored[: frames[row]]  # the last token may hold more
            motions.append(GeneratedMotion(caption, Motion(restored, name=caption), generated))
    tokens = sum(len(generated.tokens) + (generated.stopped_by == "end") for generated in written)
    return motions, tokens / seconds


def generate_file(
    prompt: str, run_folder: str | Path, out: str | Path, *, seconds: float | None = None, **overrides: Any
) -> GeneratedMotion:
    """`motionlab generate`: one prompt, one file.

    Args:
        out: .bvh (for Blender), .npy (272 features), .gif or .html (a player).
        seconds: length of the motion, at 30 frames a second; None lets the decoder say when it is over.
        overrides: fields of Sampling; None keeps the run's own setting.

    Raises:
        InputError: unknown ending, not a run, empty prompt, or a prompt or length over the limit; checked before any
            work.
    """
    out = Path(out)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(out, found=f"ending {out.suffix!r}", expected=" ".join(SUFFIXES), fix="Choose one of these.")
    run = Run.open(run_folder)
    changed = {name: value for name, value in overrides.items() if value is not None}
    sampling = dataclasses.replace(run.config.sampling, **changed)
    run.config = dataclasses.replace(run.config, sampling=sampling)  # checks it, and gives the decoder room for it
    limit = sampling.max_tokens * run.config.tokenizer.frames_per_token
    frames = None if seconds is None else [_frames(seconds, limit)]
    result = generate_motions(run, [prompt], sampling, frames)[0][0]
    write_motion(out, result.motion, caption=prompt)
    return result


def _frames(seconds: float, limit: int) -> int:
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


def write_motion(out: Path, motion: Motion, caption: str) -> None:
    """Write a motion in the format that the ending names."""
    suffix = out.suffix.lower()
    if suffix == ".bvh":
        write_bvh(out, motion)
    elif suffix == ".npy":
        motion.save(out)
    elif suffix == ".gif":
        write_gif(out, motion.joints(), fps=motion.fps, label=caption)
    else:
        write_text(out, player_page([Track("generated", motion.joints())], caption, motion.fps))
