"""How fast the decoder writes and learns, and how much memory it takes, against transformers with the same weights.

    python benchmarks/llama.py [--only GROUP ...] [--threads 1 2] [--repeat N] [--seconds S] [--quick]

| group | what | compared with | goal |
|-------|------|---------------|------|
| write | 6 x 256 writes greedy codes, batch 1 and 8, 150 and 256 of them | transformers' `generate`; its products | 2.5x |
| write_codes | the same with 64,000 codes | the same | 2.5x |
| write_wide | 12 x 768 writes 256 codes, batch 1 (and 64 at batch 8, without a goal) | the same; its matrix products only | 1.25x; 80 % of their rate |
| no_cache | 6 x 256 writes 256 codes, batch 1 and 8 | the released way: no cache | 10x, 40x |
| flat | 6 x 256 writes 150 codes, batch 1 and 8 | the same by modules instead of the flat step | none |
| train | a training step, eager, 6 x 256 (batch 8 x 256) and 12 x 768 (2 x 256) | transformers, eager | 1x |
| compile | a training step of 6 x 256, compiled | transformers, eager; the rate of a large product | 1.15x; 65 % |
| codes | a training step of 6 x 256 with 64,000 codes, cross entropy in chunks | transformers | 1.1x; a third of the memory |
| engines | 6 x 256 writes greedy codes by ONNX Runtime, float32 and int8, batch 1 and 8 | ours; CTranslate2 | 1.5x and 1.1x; int8 2.5x ours |
| engines_codes | the same with 64,000 codes | the same | the same |
| loss | cross entropy over 64,002 codes, forward and backward, 2,048 positions | `F.linear_cross_entropy` of torch | a third of the memory |
| optimizer | a step of AdamW, fused as here | torch's default form | none |
| growth | a token early and late in the sequence; the cache's bytes | each other; the formula | at most 1.5 times as long; equal |
| bf16 | 6 x 256 and 12 x 768 in bfloat16 | float32 | none |
| gpu | tokens a second and share of the card's rate at 111M and 1B; peak memory | the card's products | none; needs a GPU |

transformers (`pip install transformers`) is left out when it is missing; so are the engines (`pip install
"motionlab[fast]" ctranslate2==4.8.5`), whose rows, as those of `flat` and `loss`, are ratios of processor time with one thread. Both sides get the same weights and write the
same codes; that they do is a test (`tests/benchmarks/test_llama_benchmark.py`). How it is measured, and why so:
`support/measuring.py`. Results go to `benchmarks/results/`; `--quick` makes everything smaller, checks nothing but that
it runs, and writes nothing. The group `compile` needs a C++ compiler and about a minute to compile.
"""  # noqa: E501

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from motionlab.runtime import wait_passively

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
wait_passively()  # both before torch is imported; this one as the commands and the lessons do

import torch  # noqa: E402
from support import decoders, llama_gpu  # noqa: E402
from support.ctranslate import make_ctranslate, write_codes  # noqa: E402
from support.decoders import (  # noqa: E402
    SMALL,
    WIDE,
    Size,
    Work,
    losses,
    make_decoder,
    make_peer,
    our_step,
    their_step,
    under_autocast,
    writers,
)
from support.measuring import (  # noqa: E402
    Goal,
    Limits,
    Row,
    Spread,
    by_processor,
    machine,
    memory_row,
    save_rows,
    speed_row,
)

from motionlab.llama.decoding.fast.compiled import missing_compiler  # noqa: E402
from motionlab.llama.decoding.next_logits import CachedReader  # noqa: E402
from motionlab.llama.model import MotionLlama  # noqa: E402
from motionlab.training.optimizer import make_optimizer  # noqa: E402

RESULTS = Path(__file__).parent / "results"
FEW, MANY = 1024, 64000  # codes
NO_CACHE_GOALS = {1: 10.0, 8: 40.0}


@dataclass(frozen=True)
class Effort(Limits):
    """How much is measured, and how large it is."""

    seconds: float = 8.0

    def size(self, size: Size) -> Size:
        """A decoder, or one of the same shape that is soon done."""
        return Size(1, size.n_head, size.n_kv_heads, 12 * size.n_head) if self.quick else size

    def number(self, number: int) -> int:
        """Tokens, codes or rows."""
        return min(number, 16) if self.quick else number


def write_rows(effort: Effort) -> Iterator[Row]:
    """Writing with the small decoder."""
    yield from small_writes("write", effort, FEW)


def write_codes_rows(effort: Effort) -> Iterator[Row]:
    """The same with the published codebook, apart because it takes four times as long."""
    yield from small_writes("write_codes", effort, MANY)


def small_writes(group: str, effort: Effort, codes: int) -> Iterator[Row]:
    """Writing with 6 x 256, for each batch and length."""
    model = make_decoder(effort.size(SMALL), effort.number(codes))
    peer = make_peer(model)
    for batch in (1, 8):
        for tokens in (150, 256):
            ways = writers(model, batch, effort.number(tokens), peer)
            times = effort.take_turns(ours=ways["ours"], theirs=ways["theirs"], products=ways["products"])
            name = f"6x256 writes {tokens}, B={batch}, V={codes + 2:,}"
            yield speed_row(group, name, times, "ours", "theirs", Goal(">=", 2.5))
            yield speed_row(group, f"{name}, products", times, "ours", "products", None)


def write_wide_rows(effort: Effort) -> Iterator[Row]:
    """Writing with the wide decoder, where reading the weights is the limit."""
    model = make_decoder(effort.size(WIDE), effort.number(FEW))
    peer = make_peer(model)
    for batch, tokens, goals in ((1, 256, (Goal(">=", 1.25), Goal(">=", 0.8))), (8, 64, (None, None))):
        ways = writers(model, batch, effort.number(tokens), peer)
        times = effort.take_turns(ours=ways["ours"], theirs=ways["theirs"], products=ways["products"])
        name = f"12x768 writes {tokens}, B={batch}"
        yield speed_row("write_wide", name, times, "ours", "theirs", goals[0])
        yield speed_row("write_wide", f"{name}, products", times, "ours", "products", goals[1])


def no_cache_rows(effort: Effort) -> Iterator[Row]:
    """Writing as released: the whole sequence again for each token."""
    model = make_decoder(effort.size(SMALL), effort.number(FEW))
    for batch, goal in NO_CACHE_GOALS.items():
        ways = writers(model, batch, effort.number(256))
        times = effort.take_turns(ours=ways["ours"], no_cache=ways["no_cache"])
        yield speed_row(
            "no_cache", f"6x256 writes 256, B={batch}, no cache", times, "ours", "no_cache", Goal(">=", goal)
        )


def flat_rows(effort: Effort) -> Iterator[Row]:
    """The worth of the flat step: without another engine, generation uses it."""
    if torch.get_num_threads() != 1:
        return
    model = make_decoder(effort.size(SMALL), effort.number(FEW))
    for batch in (1, 8):
        ways = writers(model, batch, effort.number(150))
        times = by_processor(effort.take_turns(ours=ways["ours"], modules=ways["modules"]))
        yield speed_row("flat", f"6x256 writes 150, B={batch}, by modules", times, "ours", "modules", None)


def engines_rows(effort: Effort) -> Iterator[Row]:
    """Writing by other engines, with the small decoder."""
    yield from engine_writes("engines", effort, FEW, 256)


def engines_codes_rows(effort: Effort) -> Iterator[Row]:
    """The same with the published codebook."""
    yield from engine_writes("engines_codes", effort, MANY, 150)


def engine_writes(group: str, effort: Effort, codes: int, tokens: int) -> Iterator[Row]:
    """ONNX Runtime against ours and against CTranslate2, all with the same weights."""
    if torch.get_num_threads() != 1:
        return  # the engines have threads of their own
    model = make_decoder(effort.size(SMALL), effort.number(codes))
    for batch in (1, 8):
        ways = engine_writers(model, batch, effort.number(tokens))
        times = by_processor(effort.take_turns(**ways))
        name = f"6x256 writes {tokens}, B={batch}, V={codes + 2:,}"
        for kind, over_ours, over_theirs in (
            ("fp32", Goal(">=", 1.5), Goal(">=", 1.1)),
            ("int8", Goal(">=", 2.5), None),
        ):
            yield speed_row(group, f"{name}, ONNX {kind} / ours", times, f"onnx_{kind}", "ours", over_ours)
            theirs = f"ctranslate2_{kind}"
            if theirs in times:
                yield speed_row(group, f"{name}, ONNX {kind} / CT2 {kind}", times, f"onnx_{kind}", theirs, over_theirs)
                yield speed_row(group, f"{name}, CT2 {kind} / ours", times, theirs, "ours", None)


def engine_writers(model: MotionLlama, batch: int, tokens: int) -> dict[str, Work]:
    """Ways to write `tokens` greedy codes for `batch` texts by each engine that is installed, each `[B, tokens]`."""
    ways = {"ours": writers(model, batch, tokens)["ours"]}
    for kind, engine in (("fp32", "onnx"), ("int8", "onnx-int8")):
        ways[f"onnx_{kind}"] = writers(model, batch, tokens, engine=engine)["ours"]
    if importlib.util.find_spec("ctranslate2") is None or importlib.util.find_spec("transformers") is None:
        print("CTranslate2: left out, pip install ctranslate2 transformers to compare with it")
        return ways
    peer, (text, _) = make_peer(model), decoders.random_text(model, batch)
    for kind, precision in (("fp32", "float32"), ("int8", "int8")):
        generator = make_ctranslate(model, peer, text, precision)
        ways[f"ctranslate2_{kind}"] = functools.partial(write_codes, generator, model, batch, tokens)
    return ways


def loss_rows(effort: Effort) -> Iterator[Row]:
    """Cross entropy with all gradients: in chunks, and torch's own fused form."""
    ours, theirs = losses(effort.number(2048), effort.number(MANY + 2), 256)
    times = effort.take_turns(ours=ours, theirs=theirs)
    times = by_processor(times) if torch.get_num_threads() == 1 else times
    name = f"cross entropy, 2,048 x {MANY + 2:,}"
    yield speed_row("loss", f"{name}, linear_cross_entropy", times, "ours", "theirs", None)
    if torch.get_num_threads() == 1:
        yield memory_row("loss", f"{name}, extra memory", ours, theirs, Goal("<=", 1 / 3))


def train_rows(effort: Effort) -> Iterator[Row]:
    """Forward and backward, eager on both sides."""
    for size, batch in ((SMALL, 8), (WIDE, 2)):
        model, tokens = training_task(effort, size, FEW, batch)
        times = effort.take_turns(ours=our_step(model, tokens), theirs=their_step(model, make_peer(model), tokens))
        yield speed_row("train", f"{size} step, {batch} x 256, eager", times, "ours", "theirs", Goal(">=", 1.0))


def compile_rows(effort: Effort) -> Iterator[Row]:
    """The small decoder's step, compiled; and which share of the machine's rate of products it reaches."""
    model, tokens = training_task(effort, SMALL, FEW, 8)
    ours = our_step(model, tokens, compiled=True)
    ours()  # compiles
    times = effort.take_turns(ours=ours, theirs=their_step(model, make_peer(model), tokens), gemm=large_product())
    work = decoders.training_flops(model, *tokens.shape) / (2 * GEMM**3)
    times["gemm"] = [(wall * work, cpu * work) for wall, cpu in times["gemm"]]  # the step's work at that rate
    yield speed_row("compile", "6x256 step, 8 x 256, compiled", times, "ours", "theirs", Goal(">=", 1.15))
    yield speed_row("compile", "the same, rate of a large product", times, "ours", "gemm", Goal(">=", 0.65))


GEMM = 2048


def large_product() -> Work:
    """A product of two square matrices, whose rate is the most that this machine gives."""
    a, b = torch.randn(GEMM, GEMM), torch.randn(GEMM, GEMM)
    return lambda: a @ b


def codes_rows(effort: Effort) -> Iterator[Row]:
    """A step with the published codebook: time, and memory beyond what stays."""
    model, tokens = training_task(effort, SMALL, MANY, 8)
    ours, theirs = our_step(model, tokens), their_step(model, make_peer(model), tokens)
    times = effort.take_turns(ours=ours, theirs=theirs)
    yield speed_row("codes", "6x256 step, 64,000 codes", times, "ours", "theirs", Goal(">=", 1.1))
    if torch.get_num_threads() == 1:  # what is held does not depend on threads
        yield memory_row("codes", "6x256 step, 64,000 codes, extra memory", ours, theirs, Goal("<=", 1 / 3))


def optimizer_rows(effort: Effort) -> Iterator[Row]:
    """AdamW: one kernel for all parameters against a loop over them."""
    for size in (SMALL, WIDE):
        model = make_decoder(effort.size(size), effort.number(FEW))
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 1e-3)
        fused = make_optimizer(model, lr=1e-4)
        default = torch.optim.AdamW(model.parameters(), lr=1e-4)
        times = effort.take_turns(ours=fused.step, default=default.step)
        yield speed_row("optimizer", f"AdamW on {size}, fused", times, "ours", "default", None)


def growth_rows(effort: Effort) -> Iterator[Row]:
    """The last 32 of 256 tokens against tokens 9 to 40; and the cache's memory."""
    model, tokens = make_decoder(effort.size(SMALL), effort.number(FEW)), 60 if effort.quick else 256
    for batch in (1, 8):
        rounds = [token_times(model, batch, tokens) for _ in range(effort.rounds)]
        times = {
            name: [(sum(wall for wall, _ in row[part]), sum(cpu for _, cpu in row[part])) for row in rounds]
            for name, part in (("late", slice(-32, None)), ("early", slice(8, 40)))
        }
        yield speed_row("growth", f"6x256, batch {batch}, late tokens", times, "late", "early", Goal("<=", 1.5))
    if torch.get_num_threads() == 1:
        cache = model.new_cache(8, 257 if not effort.quick else 17)
        formula = 2 * len(model.blocks) * 8 * model.n_kv_heads * cache.length * model.head_dim * 4
        held, expected = (Spread.of([bytes_ / 2**20]) for bytes_ in (cache.nbytes, formula))
        ratio = Spread.of([cache.nbytes / formula])
        load = os.getloadavg()[0]
        yield Row("growth", "cache, batch 8, formula", 1, "MiB", held, expected, ratio, None, Goal("<=", 1.0), load)


def token_times(model: MotionLlama, batch: int, tokens: int) -> list[tuple[float, float]]:
    """Wall and processor seconds of each token."""
    reader, times = CachedReader(model, *decoders.random_text(model, batch), tokens), []
    with torch.inference_mode():
        logits = reader.first()
        for _ in range(tokens - 1):
            wall, processor = time.perf_counter(), time.process_time()
            logits = reader.next(logits.argmax(-1))
            times.append((time.perf_counter() - wall, time.process_time() - processor))
    return times


def bf16_rows(effort: Effort) -> Iterator[Row]:
    """The same in bfloat16, where the processor multiplies it."""
    if not native_bf16():
        print("bf16: left out, this processor has no instruction that multiplies it; emulated it is slower")
        return
    for size, batch in ((SMALL, 8), (WIDE, 2)):
        model, tokens = training_task(effort, size, FEW, batch)
        half = under_autocast(our_step(model, tokens))
        times = effort.take_turns(bf16=half, fp32=our_step(model, tokens))
        yield speed_row("bf16", f"{size} step, {batch} x 256, autocast", times, "bf16", "fp32", None)
    for size in (SMALL, WIDE):
        model = make_decoder(effort.size(size), effort.number(FEW))
        half = make_decoder(effort.size(size), effort.number(FEW)).bfloat16()
        for batch in (1, 8):
            ways = [writers(one, batch, effort.number(150))["ours"] for one in (half, model)]
            times = effort.take_turns(bf16=ways[0], fp32=ways[1])
            yield speed_row("bf16", f"{size} writes 150, batch {batch}, weights", times, "bf16", "fp32", None)


def native_bf16() -> bool:
    """Whether this processor multiplies bfloat16 natively."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def training_task(effort: Effort, size: Size, codes: int, batch: int) -> tuple[MotionLlama, torch.Tensor]:
    """A decoder in training mode and tokens `[B, 256]`."""
    model = make_decoder(effort.size(size), effort.number(codes)).train()
    return model, decoders.random_tokens(model, effort.number(batch), effort.number(256))


GROUPS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "write": write_rows,
    "write_codes": write_codes_rows,
    "write_wide": write_wide_rows,
    "no_cache": no_cache_rows,
    "flat": flat_rows,
    "engines": engines_rows,
    "engines_codes": engines_codes_rows,
    "loss": loss_rows,
    "train": train_rows,
    "compile": compile_rows,
    "codes": codes_rows,
    "optimizer": optimizer_rows,
    "growth": growth_rows,
    "bf16": bf16_rows,
}

NEED_PEER = {"write", "write_codes", "write_wide", "train", "compile", "codes"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a row at a time, and write the results."""
    parser = argparse.ArgumentParser(description="Speed and memory of the decoder against transformers.")
    parser.add_argument("--only", nargs="+", choices=[*GROUPS, "gpu"], default=[*GROUPS, "gpu"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeat", type=int, default=9, help="rounds of a comparison, at most")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a comparison, after which it has three rounds")
    parser.add_argument("--quick", action="store_true", help="everything smaller; writes nothing")
    options = parser.parse_args(arguments)
    effort = Effort(2 if options.quick else options.repeat, options.seconds, options.quick)
    print(", ".join(f"{key} {value}" for key, value in machine().items()))

    rows: list[Row] = []
    for name, reason in left_out().items():
        if name in options.only:
            print(f"{name}: left out, {reason}")
            options.only.remove(name)
    for threads in options.threads:
        torch.set_num_threads(threads)
        for name in (name for name in GROUPS if name in options.only):
            for row in GROUPS[name](effort):
                rows.append(row)
                print(row, flush=True)
            if not options.quick:
                save_rows(RESULTS / "llama_cpu.json", rows)
    if "gpu" in options.only:
        if torch.cuda.is_available():
            llama_gpu.main(RESULTS / "llama_gpu.json")
        else:
            print("gpu: left out, torch sees none")


def left_out() -> dict[str, str]:
    """Groups that this machine cannot run, and why."""
    reasons: dict[str, str] = {}
    compiler = missing_compiler("cpu")
    if compiler is not None:
        reasons["compile"] = compiler
    if importlib.util.find_spec("transformers") is None:
        reasons |= dict.fromkeys(NEED_PEER, "pip install transformers to compare with it")
    if not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        reasons |= dict.fromkeys(("engines", "engines_codes"), 'pip install "motionlab[fast]"')
    if not hasattr(torch.nn.functional, "linear_cross_entropy"):
        reasons["loss"] = "torch has linear_cross_entropy since 2.13"
    return reasons


if __name__ == "__main__":
    main()
