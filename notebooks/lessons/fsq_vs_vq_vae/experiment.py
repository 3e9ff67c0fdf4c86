"""The 87 trained tokenizers that lesson 03 compares, and the tables that its appendix shows of them.

They were trained by `motionlab ablate tokenizer` and kept in `notebooks/results/tokenizer_ablation.jsonl`:

    motionlab ablate tokenizer --grid quantizer=fsq,ifsq,vq_ema,vq_ema_no_reset \
        codebook_size=256,1024,4096,16384,65536 seed=0,1,2

Each number is a mean over the same test clips; there are three, one for each seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionlab.data.composed.corpus import Corpus
from motionlab.evaluation.intervals import means_differ
from motionlab.evaluation.reconstruction import acceleration_error, mpjpe
from motionlab.jobs.ablations.results import Row, load_rows, mean, select
from motionlab.motion.features import decode_positions
from motionlab.motion.normalizer import Normalizer
from motionlab.widgets.panel import Table

FILE = "results/tokenizer_ablation.jsonl"
ERROR = "mpjpe_heading_mm"  # mean distance of a joint from its place; position and heading of the body aligned
MAIN = ("fsq", "ifsq", "vq_ema", "vq_ema_no_reset")  # trained at every size
USUAL = {"lr": 3e-3, "steps": 300}


@dataclass(frozen=True)
class Results:
    """Trained tokenizers; the methods give one number for each seed, in the order of the seeds.

    Fields:
        rows: all of them, sorted by seed.
    """

    rows: list[Row]

    @property
    def usual(self) -> list[Row]:
        """Those trained with the usual learning rate for 300 steps."""
        return select(self.rows, **USUAL)

    @property
    def sizes(self) -> list[int]:
        """The codebook sizes that were asked for, such as 256; see `codes`."""
        return sorted({row["codebook_size"] for row in self.usual})

    def codes(self, size: int) -> int:
        """How many codes FSQ really has at this size, and so VQ, too: 240 for 256."""
        return int(select(self.usual, quantizer="fsq", codebook_size=size)[0]["codes"])

    def each(self, kind: str, size: int, field: str = ERROR) -> list[float]:
        """A field of one quantizer at one size; empty when it was not trained there."""
        return [row[field] for row in select(self.usual, quantizer=kind, codebook_size=size)]

    def everywhere(self, kind: str, field: str = ERROR, sizes: Sequence[int] = ()) -> list[float]:
        """The mean over sizes; none named means all at which this quantizer was trained."""
        columns = [numbers for size in sizes or self.sizes if (numbers := self.each(kind, size, field))]
        return [sum(of_a_seed) / len(columns) for of_a_seed in zip(*columns, strict=True)]


def load(path: str | Path = FILE) -> Results:
    """Read the kept results.

    Raises:
        InputError: the file is missing, or broken.
    """
    return Results(sorted(load_rows(path), key=lambda row: row["seed"]))


def use_of_codes(results: Results, size: int, kinds: Sequence[str] = MAIN) -> Table:
    """One size: codes used, perplexity and error of each quantizer, as means over the seeds."""
    table = [("quantizer", "codes", "used", "perplexity", "error (mm)")]
    for kind in kinds:
        used, perplexity, error = (_mean(results.each(kind, size, name)) for name in ("used", "perplexity", ERROR))
        table.append((kind, f"{results.codes(size):,}", f"{used:,.0f}", f"{perplexity:,.0f}", f"{error:.1f}"))
    return Table(table)


def use_by_size(results: Results, kinds: Sequence[str] = MAIN) -> Table:
    """Share of the codes that is used, and perplexity, at every size; a cell is empty where nothing was trained."""
    table = [("codes", *(f"{kind}: used / perplexity" for kind in kinds))]
    for size in results.sizes:
        shown = []
        for kind in kinds:
            used, perplexity = (results.each(kind, size, name) for name in ("used_fraction", "perplexity"))
            shown.append(f"{_mean(used):.0%} / {_mean(perplexity):,.0f}" if used else "")
        table.append((f"{results.codes(size):,}", *shown))
    return Table(table)


def seed_by_seed(results: Results, first: str, second: str) -> Table:
    """Perplexity and error of two quantizers, one number a seed, and whether their means differ."""
    table: list[tuple[str, ...]] = [("codes", f"perplexity: {first}", second, "", f"error (mm): {first}", second, "")]
    for size in results.sizes:
        cells = []
        for field, digits in (("perplexity", 0), (ERROR, 1)):
            numbers = [results.each(kind, size, field) for kind in (first, second)]
            cells += [" ".join(f"{number:,.{digits}f}" for number in of_one) for of_one in numbers]
            cells.append("counts" if means_differ(numbers[1], numbers[0]).counts else "no verdict")
        table.append((f"{results.codes(size):,}", *cells))
    return Table(table)


def all_at(results: Results, size: int) -> Table:
    """Every quantizer at one size: bits it may spend and spends, use of its codes, errors; means over the seeds."""
    here = select(results.usual, codebook_size=size)
    table = [("quantizer", "codes", "bits a frame", "spent", "used", "perplexity", "error (mm)", "acceleration error")]
    forms = {
        "bits_per_frame": ".2f", "entropy_bits_per_frame": ".2f", "used_fraction": ".0%", "perplexity": ",.0f",
        ERROR: ".1f", "acceleration_mm": ".1f",
    }  # fmt: skip
    for kind in {row["quantizer"]: None for row in here}:  # in the order of the file
        one = select(here, quantizer=kind)
        numbers = (format(mean(one, field), form) for field, form in forms.items())
        table.append((kind, f"{one[0]['codebooks']} x {one[0]['codes']:,}", *numbers))
    return Table(table)


def by_learning_rate(results: Results, kind: str, size: int, rates: Sequence[float]) -> Table:
    """Codes used and error of one quantizer at each learning rate, one number a seed."""
    table = [("learning rate", "codes used, seed by seed", "error (mm)")]
    for rate in rates:
        here = select(results.rows, lr=rate, quantizer=kind, codebook_size=size)
        used, error = ([row[field] for row in here] for field in ("used", ERROR))
        table.append((f"{rate:g}", " ".join(map(str, used)), " ".join(f"{value:.1f}" for value in error)))
    return Table(table)


def mean_pose_errors(corpus: Corpus, normalizer: Normalizer) -> tuple[float, float]:
    """Errors on the test clips of a decoder that gives the mean pose in every frame.

    Returns:
        Distance of a joint from its place (mm, heading aligned), and acceleration error (mm per frame squared).
    """
    clips = corpus.seen_pairs
    place = shaking = frames = 0.0
    for i in range(len(clips)):
        real = clips.features(i)  # [T, 272]
        still, moving = (decode_positions(x) for x in (normalizer.denormalize(torch.zeros_like(real)), real))
        place += float(mpjpe(still, moving, align="heading")) * len(real)
        shaking += float(acceleration_error(still, moving)) * len(real)
        frames += len(real)
    return place / frames, shaking / frames


def alive_by_published_rule(codes: int, tokens: int, batches: int = 1000, decay: float = 0.99) -> tuple[int, Tensor]:
    """How many codes a rescue rule calls alive when every code is equally likely.

    The rule is that of the published MotionMillion code: a running mean of hits per batch of at least 1.

    Args:
        codes: size of the codebook.
        tokens: tokens of a batch.

    Returns:
        The number of codes that count as alive, and the running means `[codes]`.
    """
    counts = torch.ones(codes)
    for _ in range(batches):
        hits = torch.bincount(torch.randint(codes, (tokens,)), minlength=codes)
        counts = decay * counts + (1 - decay) * hits
    return int((counts >= 1).sum()), counts


def _mean(numbers: Sequence[Any]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
