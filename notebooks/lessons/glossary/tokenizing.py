"""Demonstrations: from a motion to tokens and back."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F

import motionlab as ml
from lessons.glossary.kit import kit
from lessons.glossary.registry import shows
from motionlab.views.levels import level_thresholds


@shows("autoencoder")
def _autoencoder() -> str:
    x = kit.normal_walk
    numbers = [x.numel(), kit.latents.numel(), kit.tokenizer(x).reconstruction.numel()]
    return " -> ".join(f"{count:,} numbers" for count in numbers)


@shows("bit")
def _bit() -> str:
    shares = torch.tensor([1 / 2, 1 / 4, 1 / 8, 1 / 8])
    carried = float(-(shares * shares.log2()).sum())
    return f"one of four codes: {math.log2(4):g} bits if equally likely, {carried:g} at shares 1/2, 1/4, 1/8, 1/8"


@shows("bottleneck")
def _bottleneck() -> str:
    x = kit.normal_walk
    before, bits = 32 * x.numel(), kit.codes.numel() * kit.tokenizer.quantizer.bits
    return f"{before:,} bits of float32 pass through {kit.codes.numel()} tokens of {bits / kit.codes.numel():.2f} bits"


@shows("bound")
def _bound() -> str:
    fsq = ml.FSQ((5,), dim=1)
    far = fsq.bound(torch.tensor([[-100.0], [100.0]])).flatten()
    return f"-100 and 100 become {ml.about(float(far[0]), 3)} and {ml.about(float(far[1]), 3)}, so 5 levels are enough"


@shows("codebook")
def _codebook() -> str:
    vq = ml.VQ(8, 2)
    same = torch.equal(vq.codebook[3], vq.indices_to_codes(torch.tensor(3)))
    return f"{tuple(vq.codebook.shape)}: 8 vectors of 2 numbers; code 3 is row 3: {same}"


@shows("codebook collapse", "dead code")
def _collapse() -> str:
    vq = ml.VQ(64, 2, start="random")
    vq(3.0 + torch.randn(4000, 2))  # the vectors lie elsewhere than the codes
    usage = vq.usage.summary()
    return f"of 64 codes ≈{usage.used} are used and ≈{usage.dead} are dead: no vector is near them"


@shows("codebook drift")
def _drift() -> str:
    tokenizer = copy.deepcopy(kit.tokenizer).train()
    optimizer = torch.optim.AdamW(tokenizer.parameters(), lr=1e-3)
    (tokenizer(kit.normal_walk).reconstruction - kit.normal_walk).square().mean().backward()
    optimizer.step()
    moved = (tokenizer.encode(kit.normal_walk) != kit.codes).double().mean()
    return f"one training step later {ml.about(100 * float(moved), 2)} % of the tokens of the same clip are others"


@shows("commitment loss")
def _commitment() -> str:
    z = torch.randn(100, 4)
    losses = [float(ml.VQ(16, 4, commitment=weight)(z).loss.detach()) for weight in (0.25, 1.0)]
    return f"loss of a VQ with weight 1 > with weight 0.25: {losses[1] > losses[0]}; FSQ needs none: 0"


@shows("convolution")
def _convolution() -> str:
    mean = torch.ones(1, 1, 3) / 3
    out = F.conv1d(torch.tensor([[[0.0, 0, 3, 0, 0, 6, 0]]]), mean)
    return f"mean over 3 neighbours of 0 0 3 0 0 6 0: {[round(float(v), 1) for v in out.flatten()]}"


@shows("decoder")
def _decoder() -> str:
    motion = kit.tokenizer.decode(kit.codes)
    return f"stage 1: {kit.codes.numel()} codes -> {tuple(motion.shape)}; stage 2: {type(kit.llama).__name__}"


@shows("dilation", "receptive field")
def _dilation() -> str:
    reach = []
    for dilation in (1, 3):
        layer = torch.nn.Conv1d(1, 1, 3, dilation=dilation, padding=dilation, bias=False)
        x = torch.zeros(1, 1, 41, requires_grad=True)
        (slopes,) = torch.autograd.grad(layer(layer(x))[0, 0, 20], x)
        touched = slopes[0, 0].nonzero().flatten()  # all that this one output depends on
        reach.append(int(touched[-1] - touched[0]) + 1)
    return f"two layers of 3 weights: an output depends on {reach[0]} frames, with dilation 3 on a span of {reach[1]}"


@shows("encoder")
def _encoder() -> str:
    return f"{tuple(kit.normal_walk.shape)} -> {tuple(kit.latents.shape)}: a quarter of the places, 64 numbers each"


@shows("entropy", "perplexity")
def _entropy() -> str:
    usage = ml.CodeUsage(4)
    usage.update(torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]))
    even = usage.summary()
    usage.update(torch.tensor([0] * 24))
    uneven = usage.summary()
    rows = (f"{one.entropy_bits:.2f} bits, perplexity {one.perplexity:.2f}" for one in (even, uneven))
    return "4 codes used evenly: {}; one of them mostly: {}".format(*rows)


@shows("FSQ")
def _fsq() -> str:
    fsq = ml.FSQ((8, 5, 5, 5), dim=64)
    return f"levels {tuple(fsq.levels.tolist())}: {math.prod(fsq.levels.tolist())} codes, no codebook to learn, loss 0"


@shows("implicit codebook")
def _implicit() -> str:
    fsq = ml.FSQ((3, 2), dim=2)
    return f"3 x 2 levels give {fsq.indices_to_implicit(torch.arange(6)).tolist()}"


@shows("k-means")
def _k_means() -> str:
    x = torch.cat([torch.randn(50, 2) * 0.1 + place for place in (-1.0, 1.0)])
    centres = x[[0, 1]].clone()  # both from the first heap
    for _ in range(5):
        nearest = torch.cdist(x, centres).argmin(1)
        centres = torch.stack([x[nearest == i].mean(0) for i in range(2)])
    return f"two heaps around -1 and 1: the centres end near {sorted(round(float(c[0])) for c in centres)}"


@shows("latent")
def _latent() -> str:
    rounded = ml.FSQ((8, 5, 5, 5), dim=64).project_in(kit.latents)
    return f"between encoder and quantizer {tuple(kit.latents.shape)}; FSQ would round {tuple(rounded.shape)} of it"


@shows("mixed radix")
def _radix() -> str:
    digits, levels = (7, 4, 0, 2), (8, 5, 5, 5)
    number = sum(digit * math.prod(levels[:i]) for i, digit in enumerate(digits))
    return f"digits {digits} to the bases {levels}: 7 + 4*8 + 0*40 + 2*200 = {number}"


@shows("motion tokenizer")
def _tokenizer() -> str:
    there = kit.tokenizer.encode(kit.normal_walk)
    back = kit.tokenizer.decode(there)
    return f"{tuple(kit.normal_walk.shape)} -> {tuple(there.shape)} whole numbers -> {tuple(back.shape)}"


@shows("one-hot matrix")
def _one_hot() -> str:
    matrix = F.one_hot(torch.tensor([2, 0, 2]), 4).T  # [codes, tokens]
    return f"tokens 2 0 2 of 4 codes: {matrix.tolist()}"


@shows("quantizer")
def _quantizer() -> str:
    found = kit.tokenizer.quantizer(kit.latents)
    below = int(found.indices.max()) < 1024
    return f"{tuple(kit.latents.shape)} -> {tuple(found.indices.shape)}, all in 0..1023: {below}"


@shows("rate-distortion curve")
def _rate() -> str:
    x, points = torch.linspace(-1, 1, 1001), []
    for bits in (1, 2, 3):
        step = 2 / 2**bits
        rounded = ((x / step).floor() + 0.5) * step
        points.append(f"{bits} bit {float((x - rounded).abs().mean()):.3f}")
    return "mean error: " + ", ".join(points)


@shows("reconstruction")
def _reconstruction() -> str:
    back = kit.run.normalizer.denormalize(kit.tokenizer.decode(kit.codes)[0, : len(kit.walk.features)].detach())
    error = (ml.Motion(back).joints() - kit.walk.joints()).norm(dim=-1).mean()
    return f"walk -> {kit.codes.numel()} tokens -> walk: joints are off by {ml.about(100 * float(error), 2)} cm"


@shows("rescue")
def _rescue() -> str:
    used = []
    for rescued in (False, True):
        vq = ml.VQEMA(64, 2, reset=rescued, start="random")
        for _ in range(100):  # a count needs 69 steps to fall to half of its share
            vq(3.0 + torch.randn(640, 2))  # the vectors lie elsewhere than the codes
        used.append(vq.usage.summary().used)
    return f"of 64 codes that begin far away, after 100 batches: ≈{used[0]} are used without it, ≈{used[1]} with it"


@shows("residual quantization")
def _residual() -> str:
    z, errors = torch.randn(500, 8), []
    for count in (1, 3):
        with ml.seeded(0):
            layers = ml.ResidualVQ(16, 8, n_codebooks=count).train()
        for _ in range(20):
            found = layers(z)
        errors.append(float((found.codes - z).square().mean()))
    return (
        f"error with 3 codebooks < with 1: {errors[1] < errors[0]}; a token is then {found.indices.shape[-1]} indices"
    )


@shows("soft assignment")
def _soft() -> str:
    codes, z = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.4]], requires_grad=True)
    share = torch.softmax(-((z - codes.T) ** 2) / 0.1, dim=-1)  # [1, 2]
    (share @ codes).backward()
    passes = z.grad is not None and bool(z.grad.abs() > 0)
    return f"shares {[round(float(s), 2) for s in share[0].detach()]} instead of 1 and 0; a gradient passes: {passes}"


@shows("straight-through estimator")
def _straight() -> str:
    x = torch.tensor([0.3], requires_grad=True)
    (plain,) = torch.autograd.grad(x.round(), x)
    (straight,) = torch.autograd.grad(ml.straight_through(x, x.round()), x)
    return f"gradient through round: {plain.item():g}; straight through: {straight.item():g}"


@shows("stride")
def _stride() -> str:
    layer = torch.nn.Conv1d(1, 1, 4, stride=2, padding=1)
    return f"64 frames in, {layer(torch.rand(1, 1, 64)).shape[-1]} out"


@shows("threshold")
def _threshold() -> str:
    edges = level_thresholds([5])[0]
    return f"FSQ with 5 levels changes its answer at {', '.join(ml.about(edge, 2) for edge in edges)}"


@shows("token")
def _token() -> str:
    each = kit.tokenizer.frames_per_token
    return f"{kit.codes.dtype}, one for {each} frames: 36 frames of walking are {kit.codes.numel()}"


@shows("usage")
def _usage() -> str:
    usage = ml.CodeUsage(1024)
    usage.update(kit.codes)
    found = usage.summary()
    return (
        f"{found.tokens} tokens can show at most 0.9 % of 1,024 codes; this clip shows {ml.about(found.used, 2)} codes"
    )


@shows("VQ-VAE")
def _vq() -> str:
    vq = ml.VQ(8, 2)
    z = torch.tensor([[0.05, -0.02]])
    nearest = int((vq.codebook - z).norm(dim=-1).argmin())
    return f"the nearest row of a learned table is the code: {nearest == int(vq.eval()(z).indices)}"


@shows("window")
def _window() -> str:
    clip, length = kit.samples["spin"].motion, 64
    return f"a clip of {len(clip.features)} frames has {len(clip.features) - length + 1} windows of {length}"
