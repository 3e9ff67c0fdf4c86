"""Writing motion codes one at a time, for a batch of prompts of different lengths.

Each row of the batch has its own text length, position, random numbers and end. A row therefore gives the same codes
alone and in a batch; tests check this. `use_cache=False` is the plain way that the cached way must equal.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.decoding.engine.packages import check_engine
from motionlab.llama.decoding.engine.reader import OnnxReader
from motionlab.llama.decoding.fast.compiled import choose_compiled
from motionlab.llama.decoding.next_logits import CachedReader, CompiledReader, GuidedReader, PlainReader, Reader
from motionlab.llama.decoding.repetition import forbid_ngrams, penalise_repeats
from motionlab.llama.decoding.sampling import Sampling, choose_tokens, sample_noise
from motionlab.llama.model import MotionLlama
from motionlab.llama.null_text import with_null_rows
from motionlab.runtime import one_thread


@dataclass(frozen=True)
class Generated:
    """The codes of one sample (int64 `[n]`, on the CPU, without END) and why it stopped.

    `"end"`: the model said that the motion was over. `"limit"`: it was cut at `max_tokens`, the model had not finished.
    `"length"`: it has the requested length.
    """

    tokens: Tensor
    stopped_by: Literal["end", "limit", "length"]


def generate(
    model: MotionLlama,
    text: Tensor,
    text_mask: Tensor,
    sampling: Sampling,
    *,
    seeds: Sequence[int] | None = None,
    lengths: Sequence[int] | None = None,
    samples: int = 1,
    use_cache: bool = True,
    compiled: bool | None = None,
    engine: str = "torch",
    engine_folder: Path | None = None,
    on_token: Callable[[int], None] | None = None,
) -> list[Generated]:
    """Generate motions for each row of text.

    Args:
        text: `[B, W, text_dim]`; text_mask: `[B, W]`. They are moved to the model's device.
        seeds: one seed per motion; None is `sampling.seed + row`.
        lengths: codes of each motion; None lets the model write END.
        samples: motions per text. The text is read once for all of them; those of the first text come first.
        use_cache: False runs the whole sequence again for every token. Slow; it exists to check the cache.
        compiled: True compiles the steps where there is a compiler (else a warning says what is missing), False does
            not; None does so on a GPU, see `compiled.choose_compiled`.
        engine: "torch"; "onnx", the same tokens by ONNX Runtime, faster on a CPU; or "onnx-int8", with rounded weights
            (`engine/eight_bits.py`), faster still, whose tokens differ. Both need the extra `fast`.
        engine_folder: where the exported step of an engine is kept for the next process; None keeps it in memory.
        on_token: is told after each step how many tokens the longest motion has, to show progress.

    Returns:
        `B * samples` motions.

    Raises:
        InputError: an empty text, text and `max_tokens` that do not fit in `max_length`, not one seed or length per
            motion, a decoder of masked modelling, an engine that does not exist or cannot do this, or logits that are
            not numbers.
        MissingExtra: the packages of the engine are not installed.
    """
    check_engine(engine)
    if engine != "torch" and (compiled or not use_cache):
        raise InputError(
            "engine", found=f"{engine} with compiled or without the cache", expected="torch", fix="Use engine=torch."
        )
    device = model.llama_proj.weight.device
    text, text_mask = text.to(device), text_mask.to(device).bool()
    if model.mask_token is not None:
        raise InputError(
            "model",
            found="a decoder with a MASK token, which looks in both directions",
            expected="a causal decoder",
            fix="Use generate_masked.",
        )
    if samples < 1:
        raise InputError("samples", found=samples, expected="1 or more", fix="Ask for one motion per text.")
    check_text(model, text, text_mask, sampling.max_tokens)
    count = len(text) * samples
    seeds = [sampling.seed + row for row in range(count)] if seeds is None else seeds
    if len(seeds) != count:
        raise InputError("seeds", found=f"{len(seeds)} seeds", expected=f"{count}, one per motion", fix="Add seeds.")
    check_lengths(lengths, count, sampling.max_tokens)
    noise = sample_noise(seeds, sampling.max_tokens).to(device)  # [B * samples, max_tokens]
    stops = None if lengths is None else torch.tensor(lengths, device=device)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode(), _threads(model, count if sampling.guidance == 1.0 else 2 * count, use_cache):
            reader = _reader(model, text, text_mask, sampling, use_cache, compiled, engine, engine_folder)
            tokens = _write(reader, samples, noise, stops, sampling, model.end_token, on_token).cpu()
    finally:
        model.train(training)
    # Cloned out of inference mode.
    rows = list(tokens.clone())
    if lengths is not None:
        return [Generated(row[:length], "length") for row, length in zip(rows, lengths, strict=True)]
    return [_finish(row, model.end_token) for row in rows]


def _threads(model: MotionLlama, rows: int, use_cache: bool) -> contextlib.AbstractContextManager[None]:
    """One thread where a step is so little work that two wait for each other longer than they save."""
    weights = sum(parameter.numel() for parameter in model.parameters())
    small = model.llama_proj.weight.device.type == "cpu" and rows <= FEW_ROWS and weights <= FEW_WEIGHTS
    return one_thread(use_cache and small)


FEW_ROWS, FEW_WEIGHTS = 8, 2**23
"""With 5 million weights one row took 2.2 ms per token, and 3.1 ms with two threads; with 8 rows both took 3.0 ms. Two
were faster with 64 rows (8.5 against 11.1 ms), and with one row and 37 million weights (9.6 against 12.8 ms)."""


def _reader(
    model: MotionLlama,
    text: Tensor,
    text_mask: Tensor,
    sampling: Sampling,
    use_cache: bool,
    compiled: bool | None,
    engine: str,
    engine_folder: Path | None,
) -> Reader:
    rows, guided = len(text), sampling.guidance != 1.0
    if guided:
        text, text_mask = with_null_rows(text, text_mask)
    choice = choose_compiled(text.device.type, compiled)
    if compiled and choice.value == "no":
        warnings.warn(f"generating without torch.compile: {choice.reason}", stacklevel=3)
    inner: Reader
    if engine != "torch":
        int8 = engine == "onnx-int8"
        inner = OnnxReader(model, text, text_mask, sampling.max_tokens, int8=int8, folder=engine_folder)
    elif not use_cache:
        inner = PlainReader(model, text, text_mask)
    else:
        kind = CompiledReader if choice.value == "yes" else CachedReader
        inner = kind(model, text, text_mask, sampling.max_tokens)
    return GuidedReader(inner, rows, sampling.guidance) if guided else inner


def _write(
    reader: Reader,
    samples: int,
    noise: Tensor,
    stops: Tensor | None,
    sampling: Sampling,
    end_token: int,
    on_token: Callable[[int], None] | None = None,
) -> Tensor:
    """The loop: `[n, max_tokens]`, filled with END after the end of a row.

    Args:
        noise: `[n, max_tokens]`.
        stops: the length of each row, `[n]`, or None.
    """
    count = len(noise)
    written = torch.full((count, sampling.max_tokens), end_token, device=noise.device)  # of all rows, when they end
    rows, live = torch.arange(count, device=noise.device), written.clone()  # those that continue, and what they have
    repetition_control = sampling.repetition_penalty != 1.0 or sampling.no_repeat_ngram > 0
    logits = reader.first()  # [B, K+1]
    if samples > 1:
        repeated = rows // samples
        reader.keep(repeated)
        logits = logits[repeated]  # [n, K+1]
    for step in range(sampling.max_tokens):
        check_logits(logits, step)
        if step < sampling.min_tokens or stops is not None:
            logits[:, end_token] = float("-inf")
        if repetition_control:
            before = live[:, :step]
            logits = penalise_repeats(logits, before, sampling.repetition_penalty)
            logits = forbid_ngrams(logits, before, sampling.no_repeat_ngram)
        chosen = choose_tokens(logits, noise[:, step], sampling)  # [rows]
        live[:, step] = chosen
        if on_token is not None:
            on_token(step + 1)
        goes_on = chosen != end_token if stops is None else stops > step + 1  # [rows]
        left = int(goes_on.sum())
        if step + 1 == sampling.max_tokens or left == 0:
            break
        if left < len(goes_on):  # rows that have ended leave the batch
            written[rows] = live
            going = goes_on.nonzero()[:, 0]
            rows, live, chosen, noise = rows[going], live[going], chosen[going], noise[going]
            stops = None if stops is None else stops[going]
            reader.keep(going)
        logits = reader.next(chosen)
    written[rows] = live
    return written


def _finish(tokens: Tensor, end_token: int) -> Generated:
    ends = (tokens == end_token).nonzero()
    if len(ends) == 0:
        return Generated(tokens, "limit")
    return Generated(tokens[: int(ends[0])], "end")


def check_logits(logits: Tensor, step: int) -> None:
    """Raise InputError when a logit is NaN or infinite: drawing from such a row would give a code without meaning."""
    # One number to wait for instead of one per logit: any NaN or infinity makes the sum NaN or infinite.
    if not math.isfinite(logits.sum(dtype=torch.float32).item()):
        raise InputError(
            "logits",
            found=f"NaN or infinity at code {step}",
            expected="finite numbers",
            fix="Check the checkpoint and the text features, or lower sampling.guidance; with float16, use bfloat16.",
        )


def check_lengths(lengths: Sequence[int] | None, count: int, max_tokens: int) -> None:
    """Raise InputError unless there is one length per motion, from 1 to `max_tokens`."""
    if lengths is not None and (len(lengths) != count or not 1 <= min(lengths) <= max(lengths) <= max_tokens):
        raise InputError(
            "lengths",
            found=list(lengths),
            expected=f"{count} numbers from 1 to max_tokens={max_tokens}",
            fix="Give one length per motion, or raise max_tokens.",
        )


def check_text(model: MotionLlama, text: Tensor, text_mask: Tensor, max_tokens: int) -> None:
    """Raise InputError unless `text` and `text_mask` are features that the model can read with `max_tokens` codes."""
    if text.dim() != 3 or text.shape[:2] != text_mask.shape or text.shape[2] != model.text_dim or len(text) == 0:
        raise InputError(
            "text",
            found=f"features {list(text.shape)} with mask {list(text_mask.shape)}",
            expected=f"[B, W, {model.text_dim}] with [B, W], B at least 1",
            fix="Use the text encoder that the model was trained with.",
        )
    widths = text_mask.sum(1).tolist()
    slots = torch.arange(text_mask.shape[1], device=text_mask.device)
    if min(widths) == 0 or not torch.equal(text_mask, slots < text_mask.sum(1, keepdim=True)):
        raise InputError(
            "text_mask",
            found="a row without text, or with a gap",
            expected="one or more used slots at the start of every row",
            fix="Pass the features as the text encoder returns them.",
        )
    room = model.max_length - max_tokens - 1
    if room < 1:
        raise InputError(
            "max_tokens",
            found=max_tokens,
            expected=f"1 to {model.max_length - 2}: the model has {model.max_length} positions for text, codes and END",
            fix="Lower it, or build the model with a larger max_length.",
        )
    if max(widths) > room:
        raise InputError(
            "prompt",
            found=f"{max(widths)} tokens",
            expected=f"at most {room} (max_length {model.max_length} - max_tokens {max_tokens} - END)",
            fix="Shorten the prompt or lower max_tokens.",
        )
