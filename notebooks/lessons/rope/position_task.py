"""The experiment of lesson 05: which way of telling positions lets a small decoder look back, near and far?

    cd notebooks && python -m lessons.rope.position_task --out results/positions.json

trains each way with three seeds (about 20 seconds each) and measures on sequences as long as in training and up to
eight times as long. The task is made up, so that its answer needs positions and nothing else:

    16..23 start    the first token of every sequence; all others are drawn at random
     0..7  near     "which number was v + 1 places before me?", v being the token
     8..15 far      "which number did the start have?"        the number of a token is its remainder by 8

A near answer needs the exact distance; a far one needs a look over any distance.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessons.shared.one_cycle import one_cycle
from lessons.shared.results import read_result
from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.llama.masks import causal_mask
from motionlab.llama.model import Block, RMSNorm
from motionlab.llama.rope import rope_frequencies, rope_table
from motionlab.llama.rope_scaling import RopeScaling, make_scaling
from motionlab.runtime import set_threads

COMMAND = "cd notebooks && python -m lessons.rope.position_task --out results/positions.json"
SEEDS = (0, 1, 2)
DIM, HEADS, LAYERS = 64, 2, 2
NUMBERS = 8  # numbers that a token can carry; tokens: 8 that ask near, 8 that ask far, 8 starts
LENGTH, BATCH, STEPS = 64, 32, 600
LENGTHS = (64, 128, 256, 512)
# "norm changed": each vector gets the length that adding the sinusoidal vector would have given it, and keeps its
# direction. "norm kept": the sinusoidal vector is added, then the length is put back. So length and direction part.
METHODS = ("rope", "rope, norm changed", "sinusoidal", "sinusoidal, norm kept", "none")
SCALINGS = ("none", "linear", "ntk", "llama3")  # tried on the trained "rope", without further training


def sinusoidal(length: int, dim: int, theta: float = 10_000.0) -> Tensor:
    """The vectors that the first transformer added: sine and cosine of `position * frequency`, `[length, dim]`.

    Vaswani et al., arXiv:1706.03762, section 3.5. The frequencies are those of RoPE; each vector has the norm
    `sqrt(dim / 2)`, because sin² + cos² = 1 for each pair.

    >>> sinusoidal(2, dim=2).round(decimals=3)
    tensor([[0.0000, 1.0000],
            [0.8410, 0.5400]])
    """
    angle = torch.outer(torch.arange(length, dtype=torch.float32), rope_frequencies(dim, theta))  # [length, dim/2]
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def make_batch(batch: int, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tokens and answers, int64 `[B, S]` each; -100 where a near question points before the first token."""
    tokens = torch.randint(2 * NUMBERS, (batch, length), generator=generator)
    start = torch.randint(NUMBERS, (batch, 1), generator=generator)
    tokens[:, :1] = start + 2 * NUMBERS
    place = torch.arange(length) - tokens - 1  # [B, S]: where a near question points
    near = tokens.gather(1, place.clamp(min=0)) % NUMBERS
    answers = torch.where(tokens < NUMBERS, near.masked_fill(place < 0, -100), start)
    answers[:, 0] = -100
    return tokens, answers


class PositionModel(nn.Module):
    """A decoder of two of the package's blocks. Only the way in which it learns of positions differs."""

    def __init__(self, method: str) -> None:
        super().__init__()
        if method not in METHODS:
            raise InputError("method", found=repr(method), expected=", ".join(METHODS), fix="Choose one of these.")
        self.method = method
        self.embedding = nn.Embedding(3 * NUMBERS, DIM)  # N(0, 1): its rows have a norm of about sqrt(dim)
        self.blocks = nn.ModuleList([Block(DIM, HEADS, HEADS, 2 * DIM) for _ in range(LAYERS)])
        self.norm = RMSNorm(DIM)
        self.head = nn.Linear(DIM, NUMBERS, bias=False)

    def embed(self, tokens: Tensor) -> Tensor:
        """`[B, S] -> [B, S, dim]`, with the position added where the method adds one."""
        x: Tensor = self.embedding(tokens)
        moved = x + sinusoidal(tokens.shape[1], DIM)
        ratio: Tensor = moved.norm(dim=-1, keepdim=True) / x.norm(dim=-1, keepdim=True)  # [B, S, 1]
        if self.method == "rope, norm changed":
            return x * ratio
        if self.method == "sinusoidal":
            return moved
        return moved / ratio if self.method == "sinusoidal, norm kept" else x

    def forward(self, tokens: Tensor, scaling: RopeScaling | None = None) -> Tensor:
        """Logits of the answers, `[B, S, 8]`."""
        length = tokens.shape[1]
        turn = rope_table(length, DIM // HEADS, scaling=scaling)
        if not self.method.startswith("rope"):
            turn = torch.ones_like(turn)  # an angle of 0: nothing turns
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, turn, causal_mask(length))
        logits: Tensor = self.head(self.norm(x))
        return logits


@dataclass(frozen=True)
class Point:
    """Share of right answers of one trained model at one length; chance is 1/8. `scaling` holds for "rope" only.

    `steps` counts those until the loss first fell below 0.1, None when it never did.
    """

    method: str
    seed: int
    steps: int | None
    scaling: str
    length: int
    near: float
    far: float


def train(
    method: str, seed: int = 0, steps: int = STEPS, kind: type[PositionModel] = PositionModel
) -> tuple[PositionModel, list[float]]:
    """Train on fresh sequences; the model and the loss of each step. Same seed, same sequences for every method.

    Args:
        kind: the class of the model, for one with an `embed` of its own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(method)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = one_cycle(optimizer, 3e-3, max(steps, 1), warmup_share=0.1)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        tokens, answers = make_batch(BATCH, LENGTH, generator)
        loss = F.cross_entropy(model(tokens).flatten(0, 1), answers.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return model, losses


@torch.no_grad()
def accuracy(model: PositionModel, length: int, scaling: str = "none", sequences: int = 64) -> tuple[float, float]:
    """Share of right answers to near and to far questions, over the last `LENGTH` positions of fresh sequences.

    Args:
        scaling: "none", or a stretch of the RoPE table by `length / LENGTH` (see `llama/rope_scaling.py`).
    """
    tokens, answers = make_batch(sequences, length, torch.Generator().manual_seed(10_000 + length))
    kind = None if scaling == "none" else scaling
    logits = torch.cat([model(part, make_scaling(kind, length / LENGTH, LENGTH)) for part in tokens.split(16)])
    right, last = logits.argmax(-1) == answers, slice(length - LENGTH, None)  # [B, S]
    asked = (answers >= 0)[:, last]
    near = asked & (tokens < NUMBERS)[:, last]
    far = asked & ~near
    right = right[:, last]
    return float(right[near].float().mean()), float(right[far].float().mean())


def measure(method: str, seed: int) -> list[Point]:
    """Train one model and measure it at every length, "rope" with every scaling."""
    model, losses = train(method, seed)
    learned = next((step for step, loss in enumerate(losses, 1) if loss < 0.1), None)
    points = []
    for scaling in SCALINGS if method == "rope" else ("none",):
        for length in LENGTHS if scaling == "none" else LENGTHS[1:]:
            near, far = accuracy(model, length, scaling)
            points.append(Point(method, seed, learned, scaling, length, round(near, 4), round(far, 4)))
    return points


def load_points(path: str | Path) -> list[Point]:
    """The points of a result file.

    Raises:
        InputError: the file is missing or not of this form.
    """
    return read_result(path, lambda kept: [Point(**row) for row in kept["points"]], COMMAND)


def position_rows(points: Sequence[Point], kind: str, *, by: str = "method") -> list[tuple[str, ...]]:
    """A table of "near" or "far": one row per method (unscaled) or scaling, one column per length, from seed to seed.

    Args:
        kind: "near" or "far".
        by: "method", or "scaling" for the trained "rope", at the lengths beyond that of the training.
    """
    names, lengths = (METHODS, LENGTHS) if by == "method" else (SCALINGS, LENGTHS[1:])
    rows: list[tuple[str, ...]] = [(by, *(f"length {length}" for length in lengths))]
    for name in names:
        method, scaling = (name, "none") if by == "method" else ("rope", name)
        cells = []
        for length in lengths:
            here = [p for p in points if (p.method, p.scaling, p.length) == (method, scaling, length)]
            values = sorted(getattr(point, kind) for point in here)
            cells.append(f"{values[0]:.0%} to {values[-1]:.0%}")
        rows.append((name, *cells))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the ways of telling positions of lesson 05.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write; points that it holds are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    arguments = parser.parse_args()
    set_threads(1)  # one thread: the same sums in the same order on every machine
    points = load_points(arguments.out) if arguments.out.exists() else []
    for seed in arguments.seeds:
        for method in arguments.methods:
            if any((point.method, point.seed) == (method, seed) for point in points):
                continue
            points += measure(method, seed)
            points.sort(key=lambda p: (METHODS.index(p.method), p.seed, SCALINGS.index(p.scaling), p.length))
            rows = ",\n".join("  " + json.dumps(asdict(point)) for point in points)
            head = json.dumps({"command": COMMAND, "torch": torch.__version__, "steps": STEPS}, indent=1)
            write_text(arguments.out, head[:-2] + ',\n "points": [\n' + rows + "\n ]\n}\n")
            print(method, seed, flush=True)


if __name__ == "__main__":
    main()
