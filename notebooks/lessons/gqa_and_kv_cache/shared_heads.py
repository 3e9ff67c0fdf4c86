"""The first experiment of lesson 06: does a decoder get worse when its heads share keys and values?

    motionlab train tokenizer --preset two_frames
    cd notebooks && python -m lessons.gqa_and_kv_cache.shared_heads ../runs/two_frames --out results/shared_heads.json

trains decoders of two layers with 8, 2 and 1 key-value heads on the captions and codes of this run, three seeds
each, about half a minute per point on one core. "8, as few weights as 1" is the control: multi-head attention whose
SwiGLU layer is narrower, so that it has the number of weights that multi-query attention has.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lessons.shared.one_cycle import one_cycle
from lessons.shared.results import read_result
from motionlab.data.composed.corpus import build_corpus
from motionlab.data.splits import Splits
from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.jobs.run_folder import Run
from motionlab.jobs.tokens import Codes, training_codes
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.sequence import SequenceBatches
from motionlab.llama.variant import LlamaVariant
from motionlab.runtime import seeded, set_threads

COMMAND = (
    "cd notebooks && python -m lessons.gqa_and_kv_cache.shared_heads ../runs/two_frames --out results/shared_heads.json"
)
SEEDS = (0, 1, 2)
LAYERS, HEADS, DIM, HIDDEN = 2, 8, 128, 384
STEPS, BATCH = 150, 32
NARROW = HIDDEN - 2 * (HEADS - 1) * (DIM // HEADS) // 3  # 310: 3 d h falls by the weights of 7 key and 7 value heads
KINDS = {  # name -> key-value heads, width of the SwiGLU layer
    "8": (8, HIDDEN),
    "2": (2, HIDDEN),
    "1": (1, HIDDEN),
    "8, as few weights as 1": (8, NARROW),
}


@dataclass(frozen=True)
class Point:
    """One trained decoder: the weights of its layers, and loss (nats per token) and accuracy on kept-out clips."""

    kind: str
    seed: int
    layer_weights: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Material:
    """Batches of one run: `train` makes those of a seed, `held_out` is the same for every point."""

    run: Run
    splits: Splits
    codes: Codes
    codebook_size: int

    @classmethod
    def open(cls, folder: str | Path) -> Material:
        """The captions and codes of a finished run."""
        run = Run.open(folder)
        corpus = build_corpus(run.config.corpus)
        return cls(run, corpus, training_codes(run, corpus), run.tokenizer().codebook_size)

    def batches(self, *, held_out: bool, seed: int = 0) -> SequenceBatches:
        """Training batches of a seed, or the kept-out clips."""
        clips = self.splits.validation if held_out else self.splits.train
        return SequenceBatches(
            self.codes.validation if held_out else self.codes.train,
            [clips.captions(i) for i in range(len(clips))],
            self.run.text,
            codebook_size=self.codebook_size,
            batch_size=BATCH,
            seed=seed,
        )


def make_model(kind: str, codebook_size: int, text_dim: int) -> MotionLlama:
    """The decoder of a kind, with its first weights.

    Raises:
        InputError: an unknown kind.
    """
    if kind not in KINDS:
        raise InputError("kind", found=repr(kind), expected=", ".join(KINDS), fix="Choose one of these.")
    groups, hidden = KINDS[kind]
    return MotionLlama(
        codebook_size,
        n_layer=LAYERS,
        n_head=HEADS,
        dim=DIM,
        text_dim=text_dim,
        n_kv_heads=groups,
        variant=LlamaVariant(hidden=hidden),
    )


def layer_weights(model: MotionLlama) -> int:
    """Weights of the decoder layers: without embedding, output and text projection, which sharing does not touch."""
    return sum(parameter.numel() for parameter in model.blocks.parameters())


def measure(kind: str, seed: int, material: Material, steps: int = STEPS) -> Point:
    """Train one decoder and measure it on the kept-out clips."""
    with seeded(seed):
        model = make_model(kind, material.codebook_size, material.run.text.dim)
    batches, held_out = material.batches(held_out=False, seed=seed), material.batches(held_out=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1, betas=(0.9, 0.95))
    schedule = one_cycle(optimizer, 3e-3, steps, warmup_share=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        sequence_losses(model, batches(step)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    loss = accuracy = labels = 0.0
    with torch.no_grad():
        for i in range(held_out.batches_in_pass):
            batch = held_out.of_pass(i)
            losses = sequence_losses(model, batch)
            loss += float(losses.loss) * batch.n_labels
            accuracy += float(losses.accuracy) * batch.n_labels
            labels += batch.n_labels
    return Point(kind, seed, layer_weights(model), round(loss / labels, 4), round(accuracy / labels, 4))


def load_points(path: str | Path) -> list[Point]:
    """The points of a result file.

    Raises:
        InputError: the file is missing or not of this form.
    """
    return read_result(path, lambda kept: [Point(**row) for row in kept["points"]], COMMAND)


def head_rows(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """A table: one row per kind, with lowest to highest seed."""
    rows: list[tuple[str, ...]] = [("key-value heads", "weights of the layers", "loss (nats a token)", "accuracy")]
    for kind in KINDS:
        here = [point for point in points if point.kind == kind]
        loss, right = sorted(p.loss for p in here), sorted(p.accuracy for p in here)
        cells = (f"{loss[0]:.3f} to {loss[-1]:.3f}", f"{right[0]:.1%} to {right[-1]:.1%}")
        rows.append((kind, f"{here[0].layer_weights:,}", *cells))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Train decoders whose heads share keys and values.")
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write; points that it holds are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    arguments = parser.parse_args()
    set_threads(1)  # one thread: the same sums in the same order on every machine
    points = load_points(arguments.out) if arguments.out.exists() else []
    material = Material.open(arguments.run)
    for seed in arguments.seeds:
        for kind in arguments.kinds:
            if any((point.kind, point.seed) == (kind, seed) for point in points):
                continue
            points.append(measure(kind, seed, material))
            print(points[-1], flush=True)
            points.sort(key=lambda point: (list(KINDS).index(point.kind), point.seed))
            rows = ",\n".join("  " + json.dumps(asdict(point)) for point in points)
            head = json.dumps({"command": COMMAND, "torch": torch.__version__, "steps": STEPS}, indent=1)
            write_text(arguments.out, head[:-2] + ',\n "points": [\n' + rows + "\n ]\n}\n")


if __name__ == "__main__":
    main()
