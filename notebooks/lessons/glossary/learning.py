"""Demonstrations: how a model learns."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

import motionlab as ml
from lessons.glossary.kit import kit
from lessons.glossary.registry import shows
from lessons.shared.small_models import small_codes, small_store, small_tokenizer
from motionlab.training.ema import AveragedWeights


def line_data(n: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Points on y = 2 x + 1 with a little noise, [n, 1] each."""
    x = torch.linspace(-1, 1, n)[:, None]
    return x, 2 * x + 1 + 0.05 * torch.randn(n, 1)


@shows("accumulation", "effective batch", "micro-batch")
def _accumulation() -> str:
    (x, y), model = line_data(), nn.Linear(1, 1)
    (model(x) - y).square().mean().backward()
    whole = model.weight.grad.clone()  # type: ignore[union-attr]
    model.zero_grad()
    for part in range(4):  # 4 micro-batches of 16 make an effective batch of 64
        rows = slice(16 * part, 16 * part + 16)
        ((model(x[rows]) - y[rows]).square().mean() / 4).backward()
    same = torch.allclose(whole, model.weight.grad)  # type: ignore[arg-type]
    return f"4 micro-batches of 16, added up, have the gradient of 64 at once: {same}"


@shows("AdamW", "SGD", "optimizer")
def _optimizers() -> str:
    moved = {}
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        w = nn.Parameter(torch.zeros(2))
        optimizer = kind([w], lr=0.1)
        (w * torch.tensor([1.0, 100.0])).sum().backward()  # one gradient is a hundred times the other
        optimizer.step()
        moved[kind.__name__] = [round(-v, 3) for v in w.tolist()]
    return f"gradients 1 and 100, lr 0.1: SGD moves by {moved['SGD']}, AdamW by {moved['AdamW']}"


@shows("backward pass", "gradient")
def _backward() -> str:
    loss = ml.sequence_losses(kit.decoder, kit.batch).loss
    gradients = torch.autograd.grad(loss, list(kit.decoder.parameters()))
    count = sum(p.numel() for p in kit.decoder.parameters())
    return f"{sum(g.numel() for g in gradients):,} numbers for {count:,} parameters"


@shows("batch")
def _batch() -> str:
    return f"four captions with their codes are one tensor of tokens {tuple(kit.batch.tokens.shape)}"


@shows("buffer")
def _buffer() -> str:
    norm = nn.BatchNorm1d(4)
    return (
        f"saved and not trained: {[name for name, _ in norm.named_buffers()]}; trained: {len(list(norm.parameters()))}"
    )


@shows("checkpoint")
def _checkpoint() -> str:
    def go_on(steps: int) -> dict[str, Any]:
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()
        return copy.deepcopy({"model": model.state_dict(), "optimizer": optimizer.state_dict()})

    model, same = nn.Linear(3, 1), {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    saved, straight = go_on(5), go_on(5)
    for name in ("everything", "weights only"):  # what is put back after the stop
        model.load_state_dict(saved["model"])
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        if name == "everything":
            optimizer.load_state_dict(saved["optimizer"])
        same[name] = torch.equal(go_on(5)["model"]["weight"], straight["model"]["weight"])
    return f"stopped after 5 of 10 steps and resumed, the same weights at the end: {same}"


@shows("cosine annealing", "learning-rate schedule")
def _cosine() -> str:
    factors = [ml.lr_factor(step, steps=8, warmup_steps=0, min_lr_ratio=0.1) for step in range(9)]
    return f"share of the peak in 8 steps down to 0.1: {[round(f, 2) for f in factors]}"


@shows("dropout", "eval mode")
def _dropout() -> str:
    layer, x = nn.Dropout(0.5), torch.ones(1, 1000, requires_grad=True)
    zeros = int((layer.train()(x) == 0).sum())
    out = layer.eval()(x)
    return f"train: ≈{zeros} of 1,000 become 0; eval: {int((out == 0).sum())}; gradients pass: {out.requires_grad}"


@shows("end-to-end training")
def _end_to_end() -> str:
    encoder, decoder = nn.Linear(8, 2), nn.Linear(2, 8)
    x = torch.rand(4, 8)
    (decoder(encoder(x)) - x).square().mean().backward()
    return f"one loss at the end gives the first part a gradient, too: {bool(encoder.weight.grad.norm() > 0)}"  # type: ignore[union-attr]


@shows("epoch")
def _epoch() -> str:
    clips, batch, steps = 2400, 32, 660  # of the bundled decoder
    return f"{clips // batch} steps read {clips:,} clips once; {steps} steps are {steps * batch / clips} epochs"


@shows("exponential moving average")
def _ema() -> str:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average, seen = AveragedWeights(model, decay=0.9), []
    nn.init.ones_(model.weight)  # the weight jumps from 0 to 1
    for step in range(1000, 1004):
        average.update(step)
        seen.append(round(float(average.averages["weight"]), 3))
    return f"the average follows a jump to 1 slowly: {seen}"


@shows("forward pass")
def _forward() -> str:
    with torch.no_grad():
        logits = kit.decoder(kit.batch.tokens, kit.batch.text, kit.batch.text_mask)
    return f"tokens {tuple(kit.batch.tokens.shape)} -> logits {tuple(logits.shape)}"


@shows("frozen model")
def _frozen() -> str:
    part = ml.Frozen(nn.Sequential(nn.Linear(4, 4), nn.Dropout()))
    model = nn.Sequential(part, nn.Linear(4, 1)).train()
    listed = sum(len(group["params"]) for group in ml.make_optimizer(model, lr=0.1).param_groups)
    wants, trains = any(p.requires_grad for p in part.parameters()), part.inner.training
    return f"wants a gradient: {wants}; train mode: {trains}; in the optimizer: {listed} of 4 tensors"


@shows("gradient clipping")
def _clipping() -> str:
    w = nn.Parameter(torch.zeros(2))
    (w * torch.tensor([3.0, 4.0])).sum().backward()
    before = float(nn.utils.clip_grad_norm_([w], 1.0))
    return f"norm {before:g} becomes 1, the direction stays: {[round(float(v), 2) for v in w.grad.tolist()]}"  # type: ignore[union-attr]


@shows("hyperparameter")
def _hyper() -> str:
    chosen = kit.run.config.llama_training
    return (
        f"set by a person for the bundled decoder: lr={chosen.lr}, batch_size={chosen.batch_size}, steps={chosen.steps}"
    )


@shows("inference")
def _inference() -> str:
    with torch.inference_mode():
        logits = kit.llama(torch.tensor([[1001] * 6]), kit.text.states, kit.text.mask)
    return f"a result without a gradient: requires_grad is {logits.requires_grad}"


@shows("learning rate")
def _lr() -> str:
    found = []
    for lr in (0.01, 0.5, 1.5):
        w = torch.tensor(1.0)
        for _ in range(20):
            w = w - lr * 2 * w  # the gradient of w squared
        found.append(f"lr {lr}: {float(w):.3g}")
    return f"20 steps down w^2 from 1: {', '.join(found)}"


@shows("linear scaling rule")
def _linear() -> str:
    lr, why = ml.scaled_lr(0.001, "linear", 64, 16)
    return f"0.001 for a batch of 16 becomes {lr:g} for 64"


@shows("parameter")
def _parameter() -> str:
    rows = ml.parameter_table(kit.llama)
    return "; ".join(f"{row.part} {row.total:,}" for row in rows)


@shows("random seed")
def _seed() -> str:
    def draw(seed: int) -> list[int]:
        return torch.randint(100, (3,), generator=torch.Generator().manual_seed(seed)).tolist()

    return f"seed 0: {draw(0)}, seed 0 again: {draw(0)}, seed 1: {draw(1)}"


@shows("regularization")
def _regularization() -> str:
    x, y = torch.randn(6, 8), torch.randn(6, 1)  # more knobs than points: the noise can be learned by heart
    sizes = []
    for weight in (0.0, 1.0):
        w = torch.linalg.solve(x.T @ x + (weight + 1e-4) * torch.eye(8), x.T @ y)
        sizes.append(float(w.norm()))
    return f"with a price on the weights their norm falls: {ml.about(sizes[0], 2)} -> {ml.about(sizes[1], 2)}"


@shows("smooth L1")
def _smooth() -> str:
    errors = torch.tensor([0.1, 1.0, 10.0])
    losses = nn.functional.smooth_l1_loss(errors, torch.zeros(3), reduction="none")
    return f"errors 0.1, 1, 10 cost {[round(float(v), 3) for v in losses]}; their squares {[0.01, 1, 100]}"


@shows("two-stage training")
def _two_stages() -> str:
    store = small_store()
    tokenizer, codes = small_tokenizer(), small_codes()
    frames = sum(len(store.features(i)) for i in range(len(store)))
    count, kind = sum(map(len, codes)), type(tokenizer).__name__
    return f"1: {kind} learns from {frames:,} frames; 2: it is fixed, and the decoder learns from {count:,} codes"


@shows("warm-up")
def _warm_up() -> str:
    return f"4 steps of warm-up: {[ml.lr_factor(step, steps=100, warmup_steps=4) for step in range(4)]} of the peak"


@shows("weight decay")
def _decay() -> str:
    w = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    w.grad = torch.zeros(1)  # nothing to learn
    optimizer.step()
    return f"the gradient is 0, and still 1 becomes {w.item():.2f}"


@shows("WSD")
def _wsd() -> str:
    factors = [ml.lr_factor(step, steps=10, warmup_steps=2, schedule="wsd", decay_ratio=0.3) for step in range(11)]
    return f"{[round(f, 2) for f in factors]}"


@shows("invariant", "regression test")
def _invariant() -> str:
    def normalise(x: torch.Tensor) -> torch.Tensor:
        return (x - x.mean()) / x.std()

    x = torch.randn(50)
    moved = torch.allclose(normalise(3 * x + 7), normalise(x), atol=1e-4)
    return f"scaled and shifted numbers normalise to the same: {moved}; a test may ask for that after every change"


@shows("silent failure")
def _silent() -> str:
    scores, targets = torch.rand(8, 1), torch.rand(8)
    wrong, right = (scores - targets).square(), (scores[:, 0] - targets).square()
    return f"[8, 1] minus [8] is {list(wrong.shape)}, not {list(right.shape)}: a mean of it is a number, and no error"
