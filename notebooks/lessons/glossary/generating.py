"""Demonstrations: predicting and drawing tokens."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

import motionlab as ml
from lessons.glossary.kit import kit
from lessons.glossary.registry import shows
from motionlab.llama.decoding.guidance import guide
from motionlab.llama.decoding.sampling import token_probabilities


@shows("autoregressive")
def _autoregressive() -> str:
    written, seen = [], []
    with torch.no_grad():
        reader = ml.CachedReader(kit.llama, kit.text.states, kit.text.mask, 5)
        logits = reader.first()
        for _ in range(4):
            written.append(logits[:, :1024].argmax(-1))
            seen.append(len(written))
            logits = reader.next(written[-1])
    return f"token n + 1 is computed after n tokens were read: {seen}; the loop cannot be turned into one pass"


@shows("classifier-free guidance")
def _guidance() -> str:
    logits = torch.tensor([[2.0, 1.0, 0.0], [1.0, 1.0, 1.0]])  # with the text, without it
    return f"with text 2 1 0, without 1 1 1, scale 3: {guide(logits, 3.0).flatten().tolist()}"


@shows("cross-entropy")
def _cross_entropy() -> str:
    logits = torch.zeros(1, 1001)
    loss = F.cross_entropy(logits, torch.tensor([7]))
    return f"knowing nothing about 1,001 tokens: {ml.about(float(loss), 4)} = ln 1001 = {ml.about(math.log(1001), 4)}"


@shows("diffusion model")
def _diffusion() -> str:
    x, left = torch.ones(10_000), []
    for step in range(1, 41):  # each step keeps 90 % of the variance and adds 10 % of noise
        x = 0.9**0.5 * x + 0.1**0.5 * torch.randn(10_000)
        if step in (1, 10, 40):
            left.append(ml.about(float(x.mean()), 2))
    return f"of a signal of 1 are left after 1, 10, 40 steps: {', '.join(left)}; a network learns the way back"


@shows("exposure bias")
def _exposure() -> str:
    steps, right = 20, 0.95
    return f"right with {right:.0%} while it reads the truth; {steps} codes in a row of its own: {right**steps:.0%}"


@shows("flow matching")
def _flow() -> str:
    data, x, steps = torch.tensor([2.0, -1.0]), torch.randn(2), 10
    noise = x.clone()
    for _ in range(steps):
        x = x + (data - noise) / steps  # the velocity that a network would have learned here
    return f"{steps} steps along the velocity lead from noise to {[round(float(v), 3) for v in x]}"


@shows("greedy decoding")
def _greedy() -> str:
    sampling = ml.Sampling(max_tokens=6, greedy=True)
    once, again = (ml.generate(kit.llama, kit.text.states, kit.text.mask, sampling, seeds=[s])[0] for s in (1, 2))
    return f"two seeds, the same tokens: {torch.equal(once.tokens, again.tokens)}"


@shows("iterative decoding")
def _iterative() -> str:
    left = [int(ml.masked_left(torch.tensor(19), look, 5)) for look in range(5)]
    return f"19 codes, all masked at first; still masked after each of 5 looks: {left}"


@shows("label smoothing")
def _smoothing() -> str:
    sure = torch.tensor([[20.0, 0.0, 0.0]])
    losses = [float(F.cross_entropy(sure, torch.tensor([0]), label_smoothing=s)) for s in (0.0, 0.1)]
    return f"being quite sure and right costs {losses[0]:.2f}; with smoothing 0.1 {losses[1]:.2f}"


@shows("logits")
def _logits() -> str:
    logits = torch.tensor([2.0, 1.0, -1.0])
    same = torch.allclose(logits.softmax(0), (logits + 100).softmax(0))
    return f"any numbers; 100 more on all of them change no probability: {same}"


@shows("masked modelling")
def _masked() -> str:
    variant = ml.LlamaVariant(mask_token=True)
    model = ml.MotionLlama(240, n_layer=1, n_head=2, dim=32, text_dim=16, max_length=128, variant=variant)
    strategy = ml.MaskedModelling()
    count, codes = strategy.count(kit.batch, 240), int((kit.batch.tokens < 240).sum())
    return f"{count} of {codes} codes hidden and predicted from both sides; MASK is token {model.mask_token}"


@shows("nucleus sampling")
def _nucleus() -> str:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    kept = token_probabilities(logits, ml.Sampling(max_tokens=1, top_p=0.75))
    return f"50 30 15 5 %, p = 0.75: {[round(float(p), 3) for p in kept]}"


@shows("prefill")
def _prefill() -> str:
    cache = kit.llama.new_cache(1, 30)
    with torch.no_grad():
        logits = kit.llama.prefill(kit.text.states, kit.text.mask, cache)
    return (
        f"6 words in one pass: {cache.used} places of the cache are filled, and {tuple(logits.shape)} logits come out"
    )


@shows("random replacement")
def _replacement() -> str:
    codes = torch.full((1, 1000), 5)
    changed = ml.corrupt_codes(codes, 0.9, 240, torch.Generator().manual_seed(0))
    count = int((changed != codes).sum())
    return f"keep 0.9: ≈{count} of 1,000 codes that are read become random; the targets stay true"


@shows("scheduled sampling")
def _scheduled() -> str:
    read = torch.tensor([7, 3, 9, 4])
    own = torch.tensor([7, 8, 9, 1])  # what the model would have written
    mixed = torch.where(torch.tensor([True, False, True, False]), read, own)
    return f"true codes {read.tolist()}, its own {own.tolist()}, it reads {mixed.tolist()}"


@shows("softmax")
def _softmax() -> str:
    return f"logits 2, 1, 0 -> {[round(float(p), 3) for p in torch.tensor([2.0, 1.0, 0.0]).softmax(0)]}, sum 1"


@shows("teacher forcing")
def _forcing() -> str:
    batch = ml.build_sequences([torch.tensor([5, 6, 7])], kit.text, codebook_size=10)
    read, wanted = batch.tokens[0, -4:].tolist(), batch.labels[0, -5:-1].tolist()
    return f"reads 5 6 7 as they are, wherever it would have erred: inputs end {read}, targets end {wanted}"


@shows("temperature")
def _temperature() -> str:
    logits = torch.tensor([2.0, 1.0, 0.0])
    return "; ".join(f"T = {t}: {[round(float(p), 2) for p in (logits / t).softmax(0)]}" for t in (0.5, 1.0, 2.0))


@shows("tokenization")
def _tokenization() -> str:
    return f"36 frames of 272 real numbers -> {kit.codes.numel()} whole numbers below 1,024: now each has a logit"


@shows("top-k sampling")
def _top_k() -> str:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    kept = token_probabilities(logits, ml.Sampling(max_tokens=1, top_k=2))
    return f"50 30 15 5 %, k = 2: {[round(float(p), 3) for p in kept]}"
