"""The parts of the tokenizer of lesson 19, and what each of them may be exchanged for.

A tokenizer of that lesson asks a namespace `parts` for its functions: convolve, residual, double. Exchanging a function
there changes the tokenizer while its trained weights stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessons.build_the_tokenizer.layers import convolve, double, residual
from lessons.shared.exchange import Exchanges, Part
from motionlab.data.composed.corpus import build_corpus
from motionlab.jobs.run_folder import Run


# ---- material --------------------------------------------------------------------------------------------------------
def held_out(run: Run, clips: int, frames: int = 96) -> list[Tensor]:
    """The first validation clips of the corpus of a run, normalised, at most `frames` of each: `[T, 272]`.

    T is a multiple of 4. They are cut from takes that its training never saw.
    """
    few = replace(run.config.corpus, n_train=64, n_validation=clips, n_seen_pairs=1, n_unseen_pairs=1, n_new_takes=1)
    store = build_corpus(few).validation
    motions = (torch.as_tensor(store.features(i))[:frames] for i in range(clips))
    return [run.normalizer.normalize(motion[: len(motion) // 4 * 4]) for motion in motions]


@torch.no_grad()
def error_of(tokenizer: nn.Module, clips: list[Tensor]) -> float:
    """Mean absolute error of the reconstruction, in standard deviations of each feature."""
    errors = [(tokenizer(clip) - clip).abs().mean() for clip in clips]
    return float(torch.stack(errors).mean())


def reach(tokenizer: Callable[[Tensor], Tensor], clip: Tensor, token: int) -> Tensor:
    """How much the vector of one token changes with each frame of a clip: `[T]`, gradient norms that sum to 1.

    Args:
        tokenizer: from `[T, 272]` to vectors `[N, D]`, before they are rounded.
        clip: `[T, 272]`.
        token: which of the N.
    """
    clip = clip.clone().requires_grad_()
    vectors = tokenizer(clip)
    share = torch.zeros(len(clip))
    for number in vectors[token]:
        (gradient,) = torch.autograd.grad(number, clip, retain_graph=True)
        share += gradient.norm(dim=1)
    return share / share.sum()


# ---- exchanges -------------------------------------------------------------------------------------------------------
def _backwards(x: Tensor, weight: Tensor, *rest: Any) -> Tensor:
    return convolve(x, weight.flip(2), *rest)


def _not_dilated(x: Tensor, weight: Tensor, bias: Tensor, stride: int, dilation: int, sides: int) -> Tensor:
    return convolve(x, weight, bias, stride, 1, sides // dilation)


def _past_only(x: Tensor, weight: Tensor, bias: Tensor, stride: int, dilation: int, sides: int) -> Tensor:
    return convolve(F.pad(x, (0, 0, sides, -sides)), weight, bias, stride, dilation, sides)


def _edges(x: Tensor, weight: Tensor, bias: Tensor, stride: int, dilation: int, sides: int) -> Tensor:
    x = torch.cat([x[:1].expand(sides, -1), x, x[-1:].expand(sides, -1)])
    return convolve(x, weight, bias, stride, dilation, 0)


def _activation_first(x: Tensor, n1: Part, wide: Part, n2: Part, narrow: Part, activation: Part) -> Tensor:
    changed: Tensor = x + narrow(n2(activation(wide(n1(activation(x))))))
    return changed


def _relu(x: Tensor, n1: Part, wide: Part, n2: Part, narrow: Part, activation: Part) -> Tensor:
    return residual(x, n1, wide, n2, narrow, F.relu)


EXCHANGES: Exchanges = {
    "convolve": {
        "kernel runs backwards": _backwards, "no dilation": _not_dilated, "sees the past only": _past_only,
        "edges repeated, not zeros": _edges,
    },
    "residual": {
        "nothing is added": lambda x, *parts: residual(x, *parts) - x, "left out": lambda x, *parts: x,
        "activation first": _activation_first, "ReLU for GELU": _relu,
    },
    "double": {
        "zeros between": lambda x: torch.stack([x, torch.zeros_like(x)], dim=1).flatten(0, 1),
        "whole clip twice": lambda x: x.repeat(2, 1),
    },
}  # fmt: skip

WRITTEN: Mapping[str, Part] = {"convolve": convolve, "residual": residual, "double": double}
