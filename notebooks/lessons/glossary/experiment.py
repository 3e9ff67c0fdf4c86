"""Lesson 17, the jargon: one architecture trained by two methods, keys under a mask, curves of a policy, products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lessons.shared.main_job import Rows
from lessons.shared.small_models import sequence_batches, small_decoder
from lessons.vla.kept import load_kept
from motionlab.cost.roofline import best_seconds, matmul
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.corruption import corrupt_codes
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.objectives.strategies import Strategy
from motionlab.llama.sequence import Sequences
from motionlab.plots.attention_masks import Tokens, mask_figure
from motionlab.training.optimizer import make_optimizer
from motionlab.views.attention_masks import compute_mask

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUITES = {"other words": "libero_goal_lan", "other things": "libero_goal_object", "other places": "libero_goal_swap"}


# ---- one architecture, two methods -----------------------------------------------------------------------------------
def trained_by(method: Strategy, steps: int = 60, seed: int = 0) -> MotionLlama:
    """The small decoder after some steps with a method; start, batches and optimizer are the same for all of them."""
    model, batches = small_decoder(seed).train(), sequence_batches(8, seed=seed)
    optimizer = make_optimizer(model, lr=3e-3)
    for number in range(steps):
        optimizer.zero_grad(set_to_none=True)
        method(model, batches(number)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def distance(one: torch.nn.Module, other: torch.nn.Module) -> float:
    """How far apart the weights of two models of the same architecture are, as a share of their size."""
    a, b = (torch.cat([p.detach().flatten() for p in m.parameters()]) for m in (one, other))
    return float((a - b).norm() / a.norm())


@torch.no_grad()
def loss_on(model: MotionLlama, batch: Sequences, keep: float = 1.0) -> float:
    """Nats a code when a share of the codes that are read is true and the others are random."""
    tokens = corrupt_codes(batch.tokens, keep, model.codebook_size, torch.Generator().manual_seed(0))
    changed = Sequences(tokens, batch.labels, batch.text, batch.text_mask)
    return float(sequence_losses(model, changed).loss)


# ---- what a mask lets a cache keep -----------------------------------------------------------------------------------
@torch.no_grad()
def keys(model: MotionLlama, tokens: Tensor, allow: Tensor) -> list[Tensor]:
    """The keys of every layer, `[N, G * hd]` each, for tokens `[N]` under a mask `[N, N]`."""
    found: list[Tensor] = []
    start, stop = model.n_head * model.head_dim, (model.n_head + model.n_kv_heads) * model.head_dim

    def keep(module: Any, inputs: Any, output: Tensor) -> None:
        found.append(output[0, :, start:stop].clone())

    hooks = [block.attn.c_attn.register_forward_hook(keep) for block in model.blocks]  # type: ignore[union-attr]
    nothing = torch.zeros(1, 1, model.text_dim), torch.zeros(1, 1)  # no text: the mask is all that connects tokens
    try:
        model.hidden(tokens[None], *nothing, mask=allow[None, None])
    finally:
        for hook in hooks:
            hook.remove()
    return found


def same_keys(model: MotionLlama, allow: Tensor, changed: Sequence[int], seed: int = 0) -> list[list[int]]:
    """For each layer the tokens whose keys stay when the inputs of some tokens change."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(model.codebook_size, (len(allow),), generator=generator)
    other = tokens.clone()
    other[list(changed)] = (tokens[list(changed)] + 1) % model.codebook_size
    pairs = zip(keys(model, tokens, allow), keys(model, other, allow), strict=True)
    return [[i for i in range(len(allow)) if torch.allclose(a[i], b[i], atol=1e-5)] for a, b in pairs]


def paint(names: list[str], pad: Tensor, att: Tensor) -> Figure:
    """The mask of one sequence as a figure, with the flags of every token above its column."""
    labels = tuple(f"{name}{names[: i + 1].count(name)}" for i, name in enumerate(names))  # image1, image2, text1
    tokens = Tokens(labels, tuple(map(int, pad)), tuple(map(int, att)))
    return mask_figure(compute_mask("make_att_2d_masks", tokens), framed=False)


# ---- a policy fits, and does it generalise? --------------------------------------------------------------------------
def policy_curves(path: str) -> dict[str, tuple[list[float], list[float]]]:
    """Loss on training and on held-out episodes over the steps, each a mean over the runs of the file."""
    runs = load_kept(path)["runs"]
    curves = {}
    for name, kind in (("training episodes", "loss"), ("held-out episodes", "val_loss")):
        steps = runs[0]["curves"]["vla"][kind][0]
        values = torch.tensor([run["curves"]["vla"][kind][1] for run in runs]).mean(0)
        curves[name] = (steps, values.tolist())
    return curves


def fit_rows(paths: dict[str, str]) -> Rows:
    """Rows for a table: the last losses on training and held-out episodes, and success on new tables in closed loop."""
    rows: Rows = [("policy", "loss, training", "loss, held out", "lowest held out", "success, closed loop")]
    for name, path in paths.items():
        runs, curves = load_kept(path)["runs"], policy_curves(path)
        known, new = (curves[kind][1] for kind in curves)
        success = sum(run["overall"]["success"][0] for run in runs) / len(runs)
        last = sum(known[-10:]) / 10  # the loss of one batch jumps
        rows.append((name, f"{last:.3f}", f"{new[-1]:.3f}", f"{min(new):.3f}", f"{success:.0%}"))
    return rows


def variant_success(path: str) -> dict[str, float]:
    """Success of the same policy when something was changed on purpose, over all tasks and runs: change -> share."""
    runs = load_kept(path)["runs"]
    found = {"nothing": [run["overall"]["success"][0] for run in runs]}
    for name, suite in SUITES.items():
        found[name] = [task["success"][0] for run in runs for task in run["variants"][suite].values()]
    return {name: sum(shares) / len(shares) for name, shares in found.items()}


# ---- TOPS ------------------------------------------------------------------------------------------------------------
def product_speeds(size: int = 768, device: str | torch.device = "cpu") -> dict[str, float]:
    """Operations a second of a product of two square matrices: kind of number -> speed.

    A CPU has one kind. A GPU of NVIDIA has float32 on its CUDA cores, and TF32 and bf16 on its Tensor Cores.
    """
    device = torch.device(device)
    kinds = {"float32": (torch.float32, False)}
    if device.type == "cuda":
        kinds |= {"tf32, Tensor Cores": (torch.float32, True), "bf16, Tensor Cores": (torch.bfloat16, False)}
    before, speeds = torch.backends.cuda.matmul.allow_tf32, {}
    try:
        for name, (dtype, tf32) in kinds.items():
            torch.backends.cuda.matmul.allow_tf32 = tf32
            a, b = (torch.rand(size, size, device=device, dtype=dtype) for _ in range(2))
            out = torch.empty_like(a)

            def multiply(a: Tensor = a, b: Tensor = b, out: Tensor = out) -> None:
                torch.mm(a, b, out=out)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)  # a GPU only notes the order: wait for the result

            speeds[name] = matmul(size, size, size).flops / best_seconds(multiply)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return speeds
