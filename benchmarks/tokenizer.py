"""How fast the tokenizer and its quantizers are, and how much memory they take, against plain ways of the same thing.

    python benchmarks/tokenizer.py [--only GROUP ...] [--threads 1 2] [--repeat N] [--seconds S] [--quick]

| group | what | compared with | goal |
|-------|------|---------------|------|
| vq    | a training step of VQ with moving averages, 12,288 vectors of 512 | `vector_quantize_pytorch.VectorQuantize` | K 512: 2.5x, K 1024: 3x; two fifths of the memory |
| vq_large | the same with K 16,384 | the same | 4x; two fifths of the memory |
| fsq   | FSQ forward and backward, the same vectors | `vector_quantize_pytorch.FSQ` | as fast, within 5 % |
| usage | counting 64,000 codes over a batch | a one-hot matrix | a hundredth of the memory, not slower |
| step  | a training step of the published size, batch 64, window 96 | its convolutions only | at most 12 % more time |
| clips | a data set in batches of like length | one clip after the other | 5x |
| gpu   | a training step in fp32, tf32, bf16, compiled | the card's own rate of matrix products | none; needs a GPU |

Peers are in `support/plain.py` or in that package (`pip install vector-quantize-pytorch`; only benchmarks and tests
use it). How it is measured, and why so: `support/measuring.py`. Results go to `benchmarks/results/`; `--quick` makes
everything smaller, checks nothing but that it runs, and writes nothing.

These are measurements and not tests: a busy machine makes any wall-clock limit a lie. That both sides compute the same
is a test (`tests/benchmarks/`).
"""  # noqa: E501

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionlab.runtime import wait_passively

os.environ.setdefault(
    "TORCH_CPP_LOG_LEVEL", "ERROR"
)  # else a line that memory of earlier steps is released in later ones
wait_passively()  # both before torch is imported; this one as the commands and the lessons do

import torch  # noqa: E402
from support import gpu, plain  # noqa: E402
from support.measuring import Goal, Limits, Row, machine, memory_row, save_rows, speed_row  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from motionlab.quantizers.fsq import FSQ  # noqa: E402
from motionlab.quantizers.levels import levels_for  # noqa: E402
from motionlab.quantizers.usage import CodeUsage  # noqa: E402
from motionlab.quantizers.vq_ema import VQEMA  # noqa: E402
from motionlab.tokenizer.convolution import TimeConv  # noqa: E402
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses  # noqa: E402
from motionlab.tokenizer.model import MotionTokenizer  # noqa: E402
from motionlab.training.optimizer import clip_gradients, make_optimizer  # noqa: E402

RESULTS = Path(__file__).parent / "results"
VQ_GOALS = {512: 2.5, 1024: 3.0, 16384: 4.0}
FSQ_GOAL = 0.95  # both sides spend their time in the same two linear maps of torch
PUBLISHED = dict(codebook_size=65536, width=512, depth=3, code_dim=512)
# The network of the preset "two_frames", and half of that again, as lessons use; all with the published 64,000 codes.
SMALL = dict(codebook_size=65536, width=128, depth=2, code_dim=64)
SMALLEST = dict(codebook_size=65536, width=64, depth=1, code_dim=32)

Work = Callable[[], Any]


@dataclass(frozen=True)
class Effort(Limits):
    """How much is measured, and how large it is."""

    @property
    def vectors(self) -> int:
        """How many vectors the quantizers get."""
        return 1536 if self.quick else 12288


def vq_pair(codebook_size: int, vectors: int, dim: int, *, dying: bool = False) -> tuple[Work, Work]:
    """A training step with each quantizer, forward and backward; both begin with one codebook and get one input.

    Rescuing dead codes is on in ours, as it is by default, and off in the peer, also by default; within the
    rounds measured here no code dies. With `dying` it is on in both, and half of the codes die before every step.
    """
    from vector_quantize_pytorch import VectorQuantize

    torch.manual_seed(0)
    ours = VQEMA(codebook_size, dim, start="random")
    peer = VectorQuantize(
        dim,
        codebook_size,
        decay=0.99,
        commitment_weight=0.02,
        eps=0.0,
        rotation_trick=False,
        threshold_ema_dead_code=1 if dying else 0,
    )
    peer._codebook.embed.copy_(ours.codebook.unsqueeze(0))
    peer._codebook.embed_avg.copy_(ours.cluster_sum.unsqueeze(0))
    z = (torch.randn(64, vectors // 64, dim) / dim**0.5).requires_grad_()  # [B, N, D]
    gradient = torch.randn_like(z) / vectors

    def step(quantizer: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if dying:
            (quantizer if quantizer is ours else quantizer._codebook).cluster_size[..., ::2] = 0.0
        result = quantizer(z)
        codes, indices, loss = result[:3]
        (grad,) = torch.autograd.grad([codes, loss], [z], [gradient, torch.ones_like(loss)])
        return codes.detach(), indices, loss.detach().squeeze(), grad

    return lambda: step(ours), lambda: step(peer)


def vq_rows(effort: Effort) -> Iterator[Row]:
    """VQ with moving averages."""
    yield from vq_sizes("vq", effort, 512, 1024)
    ours, peer = vq_pair(1024, effort.vectors, 512, dying=True)
    times = effort.take_turns(ours=ours, peer=peer)
    yield speed_row("vq", "VQ EMA step, K=1024, half of the codes die", times, "ours", "peer", None)


def vq_large_rows(effort: Effort) -> Iterator[Row]:
    """The same with a codebook of 16,384, apart because the peer takes most of a minute and 5 GB."""
    yield from vq_sizes("vq_large", effort, 16384)


def vq_sizes(group: str, effort: Effort, *sizes: int) -> Iterator[Row]:
    """Time and memory of a step for each codebook size."""
    for k in sizes:
        ours, peer = vq_pair(k, effort.vectors, 512)
        times = effort.take_turns(ours=ours, peer=peer)
        yield speed_row(group, f"VQ EMA step, K={k}", times, "ours", "peer", Goal(">=", VQ_GOALS[k]))
        if torch.get_num_threads() == 1:  # what is held does not depend on threads
            yield memory_row(group, f"VQ EMA step, K={k}, extra memory", ours, peer, Goal("<=", 0.4))


def fsq_pair(layout: str, clips: int, tokens: int, dim: int) -> tuple[Work, Work]:
    """Forward and backward of FSQ with 64,000 codes, for channels "channels last" or "channels first" in memory."""
    from vector_quantize_pytorch import FSQ as PeerFSQ

    torch.manual_seed(0)
    first = layout == "channels first"
    levels = levels_for(65536)
    ours, peer = FSQ(levels, dim), PeerFSQ(list(levels), dim=dim, channel_first=first)
    peer.load_state_dict(ours.state_dict())
    z = torch.randn(clips, *((dim, tokens) if first else (tokens, dim)), requires_grad=True)
    gradient = torch.randn_like(z)

    def step_ours() -> tuple[Tensor, ...]:
        codes, indices, _ = ours(z.transpose(1, 2) if first else z)  # [B, N, D]
        codes = codes.transpose(1, 2) if first else codes
        return codes.detach(), indices, *torch.autograd.grad(codes, [z, *ours.parameters()], gradient)

    def step_peer() -> tuple[Tensor, ...]:
        codes, indices = peer(z)
        return codes.detach(), indices, *torch.autograd.grad(codes, [z, *peer.parameters()], gradient)

    return step_ours, step_peer


def fsq_rows(effort: Effort) -> Iterator[Row]:
    """FSQ."""
    for layout in ("channels last", "channels first"):
        ours, peer = fsq_pair(layout, effort.vectors // 48, 48, 512)
        times = effort.take_turns(ours=ours, peer=peer)
        yield speed_row("fsq", f"FSQ forward+backward, {layout}", times, "ours", "peer", Goal(">=", FSQ_GOAL))


def usage_pair(codebook_size: int, tokens: int) -> tuple[Work, Work]:
    """Perplexity and used fraction of one batch."""
    indices = torch.randint(codebook_size, (64, tokens // 64), generator=torch.Generator().manual_seed(0))

    def ours() -> tuple[float, float]:
        usage = CodeUsage(codebook_size)
        usage.update(indices)
        summary = usage.summary()
        return summary.perplexity, summary.used_fraction

    return ours, lambda: tuple(float(x) for x in plain.one_hot_usage(indices, codebook_size))


def usage_rows(effort: Effort) -> Iterator[Row]:
    """Counting codes."""
    ours, peer = usage_pair(64000, 256 if effort.quick else 3072)
    times = effort.take_turns(ours=ours, peer=peer)
    yield speed_row("usage", "usage of 64,000 codes, a batch", times, "ours", "peer", Goal(">=", 1.0))
    if torch.get_num_threads() == 1:
        yield memory_row("usage", "usage of 64,000 codes, extra memory", ours, peer, Goal(">=", 100.0))


def tokenizer_pair(
    *, codebook_size: int, width: int, depth: int, code_dim: int
) -> tuple[MotionTokenizer, plain.PlainTokenizer]:
    """The same network twice, with the same weights."""
    torch.manual_seed(0)
    levels = levels_for(codebook_size)
    ours = MotionTokenizer(FSQ(levels, code_dim), width=width, depth=depth)
    peer = plain.PlainTokenizer(levels, code_dim=code_dim, width=width, depth=depth)
    peer.load_state_dict(ours.state_dict())
    return ours, peer


def training_step(model: MotionTokenizer, x: Tensor) -> Work:
    """One step as `motionlab.training.loop` makes it, without its book-keeping."""
    optimizer = make_optimizer(model, lr=1e-4, weight_decay=0.0)
    model.train()
    parameters = list(model.parameters())

    def step() -> Tensor:
        loss = tokenizer_losses(model(x), x, LossWeights())["total"]
        loss.backward()
        clip_gradients(parameters, None)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step


def convolutions_alone(model: nn.Module, x: Tensor, kind: type[nn.Conv1d]) -> Work:
    """Forward and backward of every convolution (instance of `kind`) of a model, each on an input made beforehand.

    The input has the shape and layout that it has in the model. The first convolution computes no gradient of it.
    """
    shapes: list[tuple[nn.Conv1d, Tensor, Tensor]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv1d)
        source = torch.randn_like(inputs[0]).requires_grad_(bool(shapes))  # randn_like keeps the layout
        shapes.append((layer, source, torch.randn_like(output)))

    hooks = [layer.register_forward_hook(note) for layer in model.modules() if isinstance(layer, kind)]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()

    def run() -> None:
        for layer, source, gradient in shapes:
            wanted = [source, *layer.parameters()] if source.requires_grad else [*layer.parameters()]
            torch.autograd.grad(layer(source), wanted, gradient)

    return run


def step_rows(effort: Effort) -> Iterator[Row]:
    """A training step of the published size."""
    batch = 4 if effort.quick else 64
    ours, peer = tokenizer_pair(**PUBLISHED)
    x = torch.randn(batch, 96, 272, generator=torch.Generator().manual_seed(0))
    times = effort.take_turns(
        step=training_step(ours, x),
        convolutions=convolutions_alone(ours, x, TimeConv),
        conv1d=convolutions_alone(peer, x, nn.Conv1d),
    )
    name = "step of the published size vs"
    yield speed_row("step", f"{name} its convolutions", times, "step", "convolutions", Goal("<=", 1.12))
    # Were our own convolutions slow, the row above would flatter. This one cannot.
    yield speed_row("step", f"{name} them as nn.Conv1d", times, "step", "conv1d", Goal("<=", 1.12))


def make_clips(count: int) -> list[Tensor]:
    """Clips of 60 to 300 frames, even, as the published data set has."""
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(30, 151, (count,), generator=random) * 2
    return [torch.randn(int(length), 272, generator=random) for length in lengths]


def clip_pairs(
    ours: MotionTokenizer, peer: plain.PlainTokenizer, clips: Sequence[Tensor], batch_size: int
) -> dict[str, tuple[Work, Work]]:
    """A data set by batches and clip by clip: encode, decode, and both with a count of the codes."""
    tokens = plain.encode_one_by_one(peer, clips)

    def restore() -> list[Tensor]:
        found = ours.encode_clips(clips, batch_size)
        usage = CodeUsage(ours.codebook_size)
        usage.update(torch.cat(found))
        usage.summary()
        return ours.decode_clips(found, batch_size)

    return {
        "encode": (lambda: ours.encode_clips(clips, batch_size), lambda: plain.encode_one_by_one(peer, clips)),
        "decode": (lambda: ours.decode_clips(tokens, batch_size), lambda: plain.decode_one_by_one(peer, tokens)),
        "encode+decode+usage": (restore, lambda: plain.restore_one_by_one(peer, clips)),
    }


def clip_rows(effort: Effort) -> Iterator[Row]:
    """A data set of clips."""
    sizes_of = {"width 64": (SMALLEST, 128, 32), "width 128": (SMALL, 128, 32), "published": (PUBLISHED, 16, 8)}
    for name, (sizes, count, batch_size) in sizes_of.items():
        clips = make_clips(count // 16 if effort.quick else count)
        ours, peer = tokenizer_pair(**sizes)
        for verb, (batched, single) in clip_pairs(ours.eval(), peer.eval(), clips, batch_size).items():
            times = effort.take_turns(ours=batched, peer=single)
            label = f"{verb}, {len(clips)} clips, {name}"
            yield speed_row("clips", label, times, "ours", "peer", Goal(">=", 5.0))


GROUPS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "vq": vq_rows,
    "fsq": fsq_rows,
    "usage": usage_rows,
    "step": step_rows,
    "clips": clip_rows,
    "vq_large": vq_large_rows,
}

NEED_PEER = {"vq", "vq_large", "fsq"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a row at a time, and write the results."""
    parser = argparse.ArgumentParser(description="Speed and memory of the tokenizer against plain ways.")
    parser.add_argument("--only", nargs="+", choices=[*GROUPS, "gpu"], default=[*GROUPS, "gpu"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeat", type=int, default=9, help="rounds of a comparison, at most")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a comparison, after which it has three rounds")
    parser.add_argument("--quick", action="store_true", help="everything smaller; writes nothing")
    options = parser.parse_args(arguments)
    effort = Effort(2 if options.quick else options.repeat, options.seconds, options.quick)
    print(", ".join(f"{key} {value}" for key, value in machine().items()))

    rows: list[Row] = []
    groups = [name for name in GROUPS if name in options.only]
    if importlib.util.find_spec("vector_quantize_pytorch") is None:
        for name in NEED_PEER & set(groups):
            print(f"{name}: left out, pip install vector-quantize-pytorch to compare with it")
            groups.remove(name)
    for threads in options.threads:
        torch.set_num_threads(threads)
        for name in groups:
            for row in GROUPS[name](effort):
                rows.append(row)
                print(row, flush=True)
            if not options.quick:
                save_rows(RESULTS / "tokenizer_cpu.json", rows)
    if "gpu" in options.only:
        if torch.cuda.is_available():
            gpu.main(lambda: tokenizer_pair(**PUBLISHED)[0], training_step, RESULTS / "tokenizer_gpu.json")
        else:
            print("gpu: left out, torch sees none")


if __name__ == "__main__":
    main()
