"""The ablation of lesson 03: the same small tokenizer with three quantizers, several codebook sizes and several seeds.

    python -m motionlab.jobs.ablate --out notebooks/results/fsq_vs_vq.json

trains every point and writes one JSON file, which the lesson draws. A point that the file already holds with the same
settings is not trained again, so the command can be stopped and started. Only the quantizer differs between the
three: the convolutions, the data, their order, the optimizer and the number of steps are equal, and so is the
number of codes (that of FSQ's levels: 240, not 256).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from motionlab.config import RunConfig, from_mapping, to_mapping
from motionlab.data.batches import WindowBatches
from motionlab.data.corpus import Corpus, build_corpus
from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.jobs.build import tokenizer_around
from motionlab.jobs.prepare import training_clips
from motionlab.jobs.train_tokenizer import measure_tokenizer
from motionlab.motion.normalizer import Normalizer
from motionlab.quantizers.base import Quantizer
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.levels import levels_for
from motionlab.quantizers.usage import CodeUsage, Usage
from motionlab.quantizers.vq import VQEMA
from motionlab.runtime import choose_device, seed_everything, set_threads
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.loop import Losses, fit

KINDS = ("fsq", "vq_ema", "vq_ema_no_reset")
SIZES = (256, 1024, 4096, 16384)
SEEDS = (0, 1, 2)
RATE = 3e-3  # peak learning rate of every size
MIDDLE, OTHER_RATES = 1024, (1e-3, 1e-2)  # this size is trained with these rates too
USAGE_BATCHES = 40  # batches of training windows over which codes are counted

# Written out in full, and independent of the presets: a preset may change, and these results stand in a lesson.
# A point takes half a minute on one core.
SETTINGS: dict[str, dict[str, Any]] = {
    "corpus": {
        "n_train": 300, "n_test_seen": 32, "n_test_unseen": 8, "min_frames": 60, "max_frames": 300, "max_actions": 3,
        "blend_frames": 10, "mirror_probability": 0.5, "speed_min": 0.8, "speed_max": 1.25, "seed": 0,
    },
    "tokenizer": {
        "width": 64, "code_dim": 32, "depth": 1, "down_t": 2, "dilation_growth_rate": 3, "activation": "relu",
        "norm": "LN", "velocity_weight": 0.5, "velocity_loss": "true", "window": 64,
    },
    "tokenizer_training": {
        "steps": 300, "batch_size": 32, "grad_accum_steps": 1, "warmup_steps": 30, "min_lr_ratio": 0.0,
        "betas": [0.9, 0.99], "weight_decay": 0.01, "clip_norm": 1.0, "precision": "fp32",
    },
}  # fmt: skip


Key = tuple[str, int, int, float]  # quantizer, nominal size, seed, learning rate


@dataclass(frozen=True)
class Point:
    """One trained tokenizer and what it reached.

    Fields:
        quantizer: one of `KINDS`.
        nominal: the codebook size asked for; `codebook_size` the number of codes there really are.
        lr: peak learning rate.
        steps: optimizer steps.
        mpjpe_heading_mm: joint error on whole test clips (combinations seen in training), pelvis and heading aligned.
        mpjpe_mm: the same with only the pelvis aligned; it also counts the heading, which drifts over a clip.
        tokens: how many tokens were counted for the three numbers below, all from training windows.
        used, used_fraction, perplexity: see `quantizers.usage.Usage`.
    """

    quantizer: str
    nominal: int
    codebook_size: int
    seed: int
    lr: float
    steps: int
    mpjpe_heading_mm: float
    mpjpe_mm: float
    tokens: int
    used: int
    used_fraction: float
    perplexity: float


def ablation_config(changes: Mapping[str, Mapping[str, Any]] | None = None) -> RunConfig:
    """The settings of every point of the ablation, with changes by section.

    >>> ablation_config({"tokenizer_training": {"steps": 60}}).tokenizer_training.steps
    60
    """
    values = {section: {**keys, **(changes or {}).get(section, {})} for section, keys in SETTINGS.items()}
    return from_mapping(RunConfig, values, where="ablation")


def make_ablation_quantizer(kind: str, nominal: int, dim: int) -> Quantizer:
    """A quantizer with the number of codes that FSQ has for a nominal size.

    >>> make_ablation_quantizer("vq_ema", 256, 32).codebook_size
    240
    """
    levels = levels_for(nominal)
    size = math.prod(levels)
    makers: dict[str, Callable[[], Quantizer]] = {
        "fsq": lambda: FSQ(levels, dim),
        "vq_ema": lambda: VQEMA(size, dim),
        "vq_ema_no_reset": lambda: VQEMA(size, dim, reset=False),
    }
    if kind not in makers:
        raise InputError("quantizer", found=repr(kind), expected=" or ".join(KINDS), fix="Choose one of these.")
    return makers[kind]()


def make_ablation_tokenizer(kind: str, nominal: int, config: RunConfig) -> MotionTokenizer:
    """An untrained tokenizer of the ablation."""
    shape = config.tokenizer
    return tokenizer_around(make_ablation_quantizer(kind, nominal, shape.code_dim), shape)


def corpus_normalizer(corpus: Corpus) -> Normalizer:
    """Mean and standard deviation of the clips that are trained on."""
    return Normalizer.fit(corpus.train.features(i) for i in training_clips(corpus.train))


def train_point(
    kind: str, nominal: int, seed: int, lr: float = RATE, *, config: RunConfig, corpus: Corpus
) -> tuple[Point, MotionTokenizer, Usage]:
    """Train one tokenizer and measure it. Returns its numbers, the model and the histogram of its codes."""
    settings, shape = replace(config.tokenizer_training, lr=lr, seed=seed), config.tokenizer
    device = torch.device(choose_device(config.device).value)
    clips, normalizer = training_clips(corpus.train), corpus_normalizer(corpus)
    seed_everything(seed)  # every quantizer meets the same first convolutions
    model = make_ablation_tokenizer(kind, nominal, config)
    batches = WindowBatches(corpus.train, normalizer, shape.window, settings.batch_size, seed=seed, clips=clips)
    weights = LossWeights(velocity=shape.velocity_weight, velocity_loss=shape.velocity_loss)

    def step(batch: torch.Tensor) -> Losses:
        x = batch.to(device)  # [B, window, 272]
        return Losses(tokenizer_losses(model(x), x, weights)["total"])

    with tempfile.TemporaryDirectory() as folder:  # the numbers are kept, the weights are not
        fit(
            model,
            batches=batches,
            step=step,
            settings=settings,
            folder=folder,
            device=device,
            title=f"{kind} {nominal}",
        )
    usage = count_codes(model, batches, device)
    scores, _ = measure_tokenizer(model, corpus.test_seen, normalizer.to(device))
    point = Point(
        quantizer=kind,
        nominal=nominal,
        codebook_size=model.codebook_size,
        seed=seed,
        lr=settings.lr,
        steps=settings.steps,
        mpjpe_heading_mm=round(scores["mpjpe_heading_mm"], 3),
        mpjpe_mm=round(scores["mpjpe_mm"], 3),
        tokens=usage.tokens,
        used=usage.used,
        used_fraction=round(usage.used_fraction, 5),
        perplexity=round(usage.perplexity, 2),
    )
    return point, model, usage


@torch.inference_mode()
def count_codes(model: MotionTokenizer, batches: WindowBatches, device: torch.device) -> Usage:
    """Use of the codebook over the first `USAGE_BATCHES` batches of training windows."""
    model.eval()
    usage = CodeUsage(model.codebook_size)
    for number in range(USAGE_BATCHES):
        usage.update(model.encode(batches(number).to(device)).cpu())
    return usage.summary()


def grid(kinds: Iterable[str] = KINDS, sizes: Iterable[int] = SIZES, seeds: Iterable[int] = SEEDS) -> list[Key]:
    """Every point of the ablation, seed by seed, so that a run that is stopped early has whole seeds."""
    conditions = [(size, lr) for size in sizes for lr in (RATE, *(OTHER_RATES if size == MIDDLE else ()))]
    return [(kind, size, seed, lr) for seed in seeds for size, lr in conditions for kind in kinds]


def ablate(out: Path, keys: Sequence[Key], config: RunConfig | None = None, command: str = "") -> list[Point]:
    """Train every point that `out` does not hold yet, and write `out` after each of them.

    Args:
        command: how to make the file again, as text to keep in it.

    Raises:
        InputError: `out` holds results of other settings.
    """
    config = config or ablation_config()
    corpus = build_corpus(config.corpus)
    points = {(p.quantizer, p.nominal, p.seed, p.lr): p for p in _earlier(out, config)}
    for key in keys:
        if key in points:
            continue
        point, _, usage = train_point(*key, config=config, corpus=corpus)
        points[key] = point
        write_text(out, _to_json([points[k] for k in sorted(points)], config, command or COMMAND))
        print(f"{point}\n{usage}", flush=True)
    return [points[key] for key in keys]


def load_points(path: str | Path) -> list[Point]:
    """Read the points of a result file.

    Raises:
        InputError: the file is missing or not of this form.
    """
    path = Path(path)
    try:
        return [Point(**row) for row in json.loads(path.read_text(encoding="utf-8"))["points"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path, found=f"{type(error).__name__}: {error}", expected="a result file", fix=f"Make it anew: {COMMAND}"
        ) from None


def mean(points: Iterable[Point], field: str, kind: str, nominal: int, lr: float = RATE) -> float:
    """Mean over the seeds of one field of the points of one quantizer, size and learning rate."""
    values = [getattr(p, field) for p in points if (p.quantizer, p.nominal, p.lr) == (kind, nominal, lr)]
    if not values:
        raise InputError("points", found="none", expected=f"{kind} {nominal} with lr {lr}", fix=f"Run: {COMMAND}")
    return float(sum(values) / len(values))


COMMAND = "python -m motionlab.jobs.ablate --out notebooks/results/fsq_vs_vq.json"


def _settings(config: RunConfig) -> dict[str, Any]:
    """The settings that decide the result, as they stand in the file."""
    kept = to_mapping(config)
    return {section: {key: kept[section][key] for key in keys} for section, keys in SETTINGS.items()}


def _earlier(out: Path, config: RunConfig) -> list[Point]:
    """Points of an earlier call, if it had the same settings."""
    if not out.exists():
        return []
    points = load_points(out)
    if json.loads(out.read_text(encoding="utf-8"))["settings"] != _settings(config):
        raise InputError(out, found="results of other settings", expected="a new file", fix="Choose another --out.")
    return points


def _to_json(points: Sequence[Point], config: RunConfig, command: str) -> str:
    head = {"command": command, "torch": torch.__version__, "settings": _settings(config)}
    rows = ",\n".join("  " + json.dumps(asdict(point)) for point in points)  # one point a line: a readable diff
    return json.dumps(head, indent=1)[:-2] + ',\n "points": [\n' + rows + "\n ]\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the points of lesson 03's ablation.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write, or to add to.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="nominal codebook sizes")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--steps", type=int, default=SETTINGS["tokenizer_training"]["steps"], help="optimizer steps")
    parser.add_argument("--rate", type=float, help="one peak learning rate instead of those of the grid")
    arguments = parser.parse_args()
    set_threads()
    keys = grid(arguments.kinds, arguments.sizes, arguments.seeds)
    if arguments.rate:
        keys = list(dict.fromkeys((kind, size, seed, arguments.rate) for kind, size, seed, _ in keys))
    config = ablation_config({"tokenizer_training": {"steps": arguments.steps}})
    ablate(arguments.out, keys, config, command=" ".join(["python -m motionlab.jobs.ablate", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
