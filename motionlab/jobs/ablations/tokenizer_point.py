"""One point of an ablation: a small tokenizer trained with given settings, and what it reached.

A point is a flat mapping such as `{"quantizer": "fsq", "codebook_size": 1024, "seed": 0}`; every key of
`TokenizerConfig` or `TrainConfig` may appear in it. A key not named has the value of `SETTINGS`, so two points
differ in what they name and in nothing else: not in the data, their order, the optimizer or the number of steps.
"""

from __future__ import annotations

import difflib
import functools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch

from motionlab.config import RunConfig, TokenizerConfig, TrainConfig, from_mapping
from motionlab.data.batches import RaggedBatches, Windows
from motionlab.data.splits import Splits
from motionlab.errors import InputError
from motionlab.evaluation.tokenizer import count_codes, measure_tokenizer
from motionlab.files.litter import temporary_folder
from motionlab.jobs.build import loss_weights, make_tokenizer
from motionlab.jobs.prepare import check_tests, measure_normalizer
from motionlab.motion.normalizer import Normalizer
from motionlab.quantizers.levels import LEVELS
from motionlab.quantizers.usage import Usage
from motionlab.runtime import choose_device, seed_everything
from motionlab.tokenizer.kinematics import Body
from motionlab.tokenizer.losses import tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.loop import fit
from motionlab.training.stage import FunctionStage, Losses

Point = dict[str, Any]  # key of a config -> value, in the form that `canonical` gives

ALWAYS_NAMED = ("quantizer", "codebook_size", "seed")  # a point names these even where they have the usual value
POWERS_OF_TWO = ("lfq", "bsq")  # one bit per dimension: they cannot have 1,000 codes
USAGE_BATCHES = 40  # batches of training windows over which codes are counted

# Written out, and independent of the presets: a preset may change, and these results are in a lesson. A point takes
# half a minute on one core.
SETTINGS: dict[str, dict[str, Any]] = {
    "corpus": {
        "n_train": 300, "n_seen_pairs": 32, "n_unseen_pairs": 8,
        "n_new_takes": 2, "n_validation": 4, "min_frames": 60, "max_frames": 300, "max_actions": 3,
        "blend_frames": 10, "mirror_probability": 0.5, "speed_min": 0.8, "speed_max": 1.25, "seed": 0,
    },
    "tokenizer": {
        "quantizer": "fsq", "codebook_size": 1024, "width": 64, "code_dim": 32, "depth": 1, "down_t": 2,
        "dilation_growth_rate": 3, "activation": "relu", "norm": "LN", "causal": False, "velocity_weight": 0.5,
        "velocity_loss": "true", "root_weight": 0.0, "window": 64,
    },
    "tokenizer_training": {
        "steps": 300, "batch_size": 32, "grad_accum_steps": 1, "lr": 3e-3, "warmup_steps": 30, "min_lr_ratio": 0.0,
        "betas": [0.9, 0.99], "weight_decay": 0.01, "clip_norm": 1.0, "precision": "fp32", "seed": 0,
    },
}  # fmt: skip

KEYS = {  # every key that a point may name -> the section of RunConfig that it belongs to
    **{field.name: "tokenizer" for field in fields(TokenizerConfig)},
    **{field.name: "tokenizer_training" for field in fields(TrainConfig)},
}


@dataclass(frozen=True)
class Result:
    """The results of one trained tokenizer.

    Errors are means over the frames of whole test clips (`seen_pairs`: combinations of actions seen in training).

    Fields:
        mpjpe_heading_mm: joint error with pelvis and heading aligned.
        mpjpe_mm: with the pelvis aligned only; it also counts the heading, which drifts over a clip.
        acceleration_mm: error of the joint accelerations, in mm per frame squared: trembling.
        codes: K, the number of codes of one codebook that really exist; `codebooks` how many codebooks there are.
        bits_per_frame: codebooks * log2(codes) / frames per token: what a token costs when every code costs the same.
        entropy_bits_per_frame: the same with the entropy of the codes that were counted: what a perfect entropy coder
            that looks at one token at a time would need. Several codebooks are counted one by one and added up.
        tokens: how many tokens were counted for the entropy and the three numbers below, all from training windows.
        used: codes seen at least once, over all codebooks; `used_fraction` is their share.
        perplexity: 2 ** (mean entropy of a codebook).
        seconds: training time on the machine where the row was made.
    """

    mpjpe_heading_mm: float
    mpjpe_mm: float
    acceleration_mm: float
    codes: int
    codebooks: int
    bits_per_frame: float
    entropy_bits_per_frame: float
    tokens: int
    used: int
    used_fraction: float
    perplexity: float
    seconds: float


class Trained(NamedTuple):
    """A trained point: its numbers, the model, and the use of its codes."""

    result: Result
    model: MotionTokenizer
    usage: Usage


def check_key(key: str) -> None:
    """Raise an InputError with the nearest name unless a point may name this key."""
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1)
        raise InputError(
            f"grid axis {key}",
            found="an unknown key",
            expected="a field of TokenizerConfig or TrainConfig",
            fix=f"Did you mean {near[0]}?" if near else "The keys are: " + ", ".join(KEYS) + ".",
        )


def point_config(
    point: Mapping[str, Any] | None = None,
    corpus: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The settings of a point, complete and checked.

    Args:
        corpus: changes of the corpus, for a quick trial; committed results never have any.
        data: settings of `DataConfig`, to train on other motions than the composed ones.

    >>> config = point_config({"quantizer": "vq_ema", "steps": 60})
    >>> config.tokenizer.quantizer, config.tokenizer_training.steps, config.tokenizer.width
    ('vq_ema', 60, 64)
    """
    values = {section: dict(keys) for section, keys in SETTINGS.items()}
    values["corpus"].update(corpus or {})
    values["data"] = dict(data or {})
    for key, value in (point or {}).items():
        check_key(key)
        values[KEYS[key]][key] = value
    return from_mapping(RunConfig, values, where="ablation")


@functools.cache
def usual_value(key: str) -> Any:
    """The value of a key at every point that does not name it."""
    return getattr(getattr(point_config(), KEYS[key]), key)


def canonical(point: Mapping[str, Any]) -> Point:
    """The one form of a point: values as the config reads them; keys with the usual value left out.

    >>> canonical({"lr": 3e-3, "width": 32})
    {'quantizer': 'fsq', 'codebook_size': 1024, 'seed': 0, 'width': 32}
    """
    config = point_config(point)
    named: Point = {key: getattr(getattr(config, KEYS[key]), key) for key in (*ALWAYS_NAMED, *sorted(point))}
    return {key: value for key, value in named.items() if key in ALWAYS_NAMED or value != usual_value(key)}


def real_codebook_size(quantizer: str, nominal: int) -> int:
    """How many codes a quantizer gets for a nominal size: as many as FSQ has, so that no one is given more.

    LFQ and BSQ have a power of two, so they keep the nominal size, and with it up to 7 % more codes than FSQ.

    >>> real_codebook_size("vq_ema", 256), real_codebook_size("fsq", 65536), real_codebook_size("lfq", 1024)
    (240, 64000, 1024)
    """
    if quantizer in POWERS_OF_TWO or nominal not in LEVELS:
        return nominal
    return math.prod(LEVELS[nominal])


def corpus_normalizer(splits: Splits) -> Normalizer:
    """Mean and standard deviation of the clips that are trained on."""
    return measure_normalizer(splits.train)


def make_point_tokenizer(config: RunConfig) -> MotionTokenizer:
    """An untrained tokenizer of the ablation."""
    shape = config.tokenizer
    return make_tokenizer(
        replace(shape, codebook_size=real_codebook_size(shape.quantizer, shape.codebook_size)), shape.quantizer
    )


def train_point(config: RunConfig, splits: Splits) -> Trained:
    """Train one tokenizer and measure it on the first test split. The weights are not written anywhere."""
    settings, shape = config.tokenizer_training, config.tokenizer
    check_tests(splits)
    device = torch.device(choose_device(config.device).value)
    normalizer = corpus_normalizer(splits)
    seed_everything(settings.seed)  # every quantizer meets the same first convolutions
    model = make_point_tokenizer(config)
    batches = RaggedBatches(splits.train, normalizer, shape.window, settings.batch_size, seed=settings.seed)
    weights, body = loss_weights(shape), Body(normalizer.to(device))

    def step(batch: Windows) -> Losses:
        batch = batch.to(device)
        x = batch.values  # [B, window, 272]
        return Losses(tokenizer_losses(model(x, batch.mask), x, weights, batch.mask, body=body)["total"])

    began = time.perf_counter()
    with temporary_folder("training") as folder:  # the numbers are kept, the weights are not
        stage = FunctionStage(
            model, batches, step, count=lambda batch: batch.n_frames, title=f"{shape.quantizer} {shape.codebook_size}"
        )
        try:
            fit(stage, settings, folder, device=device)
        except InputError as error:
            if folder not in error.fix:
                raise
            fix = "Lower lr, or use a longer warm-up."  # the batches that it kept in the folder go with it
            raise InputError(error.where, found=error.found, expected=error.expected, fix=fix) from error
    seconds = time.perf_counter() - began
    usage = count_codes(model, batches, USAGE_BATCHES).summary()
    errors, _ = measure_tokenizer(model, next(iter(splits.tests.values())), normalizer.to(device))
    return Trained(_result(model, usage, errors, seconds), model, usage)


def _result(model: MotionTokenizer, usage: Usage, errors: Mapping[str, float], seconds: float) -> Result:
    quantizer, frames = model.quantizer, model.frames_per_token
    return Result(
        mpjpe_heading_mm=round(errors["mpjpe_heading_mm"], 3),
        mpjpe_mm=round(errors["mpjpe_mm"], 3),
        acceleration_mm=round(errors["acceleration_mm"], 4),
        codes=quantizer.codebook_size,
        codebooks=quantizer.n_codebooks,
        bits_per_frame=round(quantizer.bits / frames, 4),
        entropy_bits_per_frame=round(usage.entropy_bits / frames, 4),
        tokens=usage.tokens,
        used=usage.used,
        used_fraction=round(usage.used_fraction, 5),
        perplexity=round(usage.perplexity, 2),
        seconds=round(seconds, 1),
    )
