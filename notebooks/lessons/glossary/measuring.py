"""Demonstrations: how good it is."""

from __future__ import annotations

import torch
from torch import Tensor

import motionlab as ml
from lessons.glossary.kit import kit
from lessons.glossary.registry import shows
from lessons.shared.small_models import small_store
from motionlab.evaluation.text_motion.inputs import encoder_inputs, padded
from motionlab.evaluation.text_motion.losses import contrastive_loss
from motionlab.evaluation.text_motion.model import TextMotionModel
from motionlab.tokenizer.resnet import ResidualBlock


def polynomial(degree: int, x: Tensor, y: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
    """The least squares polynomial through (x, y): its values at x and at other places."""
    powers, more = (v[:, None] ** torch.arange(degree + 1) for v in (x.double(), new.double()))
    weights = torch.linalg.lstsq(powers, y.double()[:, None], driver="gelsd").solution
    return (powers @ weights)[:, 0], (more @ weights)[:, 0]


def curve_errors(degree: int) -> tuple[float, float]:
    """Error of a polynomial on 12 noisy points of a sine, and on 100 other points of it."""
    generator = torch.Generator().manual_seed(0)
    x, new = torch.linspace(-1, 1, 12), torch.linspace(-0.98, 0.98, 100)
    y = (3 * x).sin() + 0.2 * torch.randn(12, generator=generator)
    known, other = polynomial(degree, x, y, new)
    return float((known - y).square().mean()), float((other - (3 * new).sin()).square().mean())


@shows("fitting", "underfitting", "overfitting", "generalisation")
def _fitting() -> str:
    rows = (f"degree {degree}: {ml.about(a, 2)} / {ml.about(b, 2)}" for degree, (a, b) in
            ((d, curve_errors(d)) for d in (1, 4, 11)))  # fmt: skip
    return f"error on 12 known points / on new ones: {'; '.join(rows)}"


@shows("ablation")
def _ablation() -> str:
    blocks, errors = [m for m in kit.tokenizer.decoder.modules() if isinstance(m, ResidualBlock)], []
    for removed in (None, *blocks):  # one of the blocks hands on what it gets, all else stays
        hook = removed and removed.register_forward_hook(lambda block, given, made: given[0])
        errors.append(float((kit.tokenizer.decode(kit.codes) - kit.normal_walk).detach().abs().mean()))
        if hook:
            hook.remove()
    return f"error whole {ml.about(errors[0], 2)}, without a block {', '.join(ml.about(e, 2) for e in errors[1:])}"


@shows("baseline")
def _baseline() -> str:
    x = kit.walk.joints()
    still = x[:1].expand_as(x)  # a body that never moves
    return f"guessing a still body for a walk is off by {ml.about(1000 * float((still - x).norm(dim=-1).mean()), 3)} mm"


@shows("confidence interval")
def _interval() -> str:
    found = (ml.wilson(9, 10), ml.wilson(90, 100))
    return "; ".join(f"{one.n} trials, 90 % right: {one.low:.2f} to {one.high:.2f}" for one in found)


@shows("data leak")
def _leak() -> str:
    clip = kit.samples["turn_left0"].motion
    same = torch.allclose(clip.features, clip.mirror().mirror().features, atol=1e-4)
    return f"a mirror image in the test holds nothing new: mirrored back it is the training clip: {same}"


@shows("FID")
def _fid() -> str:
    a, b = torch.randn(500, 8).double(), torch.randn(500, 8).double() + 1
    same, moved = ml.frechet_distance(a, a), ml.frechet_distance(a, b)
    return f"a cloud and itself {ml.about(abs(round(same, 6)), 2)}; moved by 1 in 8 dimensions {ml.about(moved, 2)}"


@shows("foot skating")
def _skating() -> str:
    joints = kit.walk.joints().clone()
    slid = joints.clone()
    slid[..., 2] += torch.arange(len(slid))[:, None] * 0.03  # the whole body glides 0.9 m/s faster
    real, glide = (ml.physics(one, kit.walk.fps).sliding for one in (joints, slid))
    return f"share of low toes that move: {ml.about(real, 2)} as recorded, {ml.about(glide, 2)} when the body glides"


@shows("judge")
def _judge() -> str:
    judge = kit.run.judge
    return f"it knows {len(judge.classifier.actions)} actions, and {judge.describe()}"


@shows("linear probe")
def _probe() -> str:
    store = small_store()
    poses = torch.cat([store.features(i)[::8] for i in range(16)])
    height = poses[:, 9:10]  # the height of the pelvis
    z = kit.tokenizer.encoder(kit.run.normalizer.normalize(poses)[:, None].expand(-1, 4, -1)).detach()[:, 0]
    z = torch.cat([z, torch.ones(len(z), 1)], dim=1)
    left = height - z @ torch.linalg.lstsq(z, height).solution
    share = 1 - float(left.var() / height.var())
    return f"a linear layer reads the height of the pelvis from latents: {ml.about(share, 2)} of the variance"


@shows("MPJPE")
def _mpjpe() -> str:
    joints = kit.walk.joints()
    moved = joints.clone()
    moved[:, 20] += torch.tensor([0.0, 0.22, 0.0])  # one wrist of 22 joints is off by 22 cm
    return f"one joint of 22 off by 220 mm: {ml.about(float(ml.mpjpe(moved, joints)), 3)} mm on average"


@shows("out-of-distribution")
def _ood() -> str:
    noise = torch.randn(1, 64, 272) * 5
    motions = {"walk": kit.normal_walk, "noise": noise}
    errors = (f"{name} {ml.about(float((kit.tokenizer(x).reconstruction - x).detach().square().mean()), 2)}"
              for name, x in motions.items())  # fmt: skip
    return f"reconstruction error of a tokenizer that knows human motion: {', '.join(errors)}"


@shows("R-precision")
def _precision() -> str:
    text = torch.randn(32, 16)
    found = ml.r_precision(text, text + 2 * torch.randn(32, 16), (1, 3))
    one, three = (ml.about(found[k].value, 2) for k in (1, 3))
    return f"own motion nearest: {one}, among the nearest 3: {three} (by chance 0.03 and 0.09)"


@shows("robustness")
def _robustness() -> str:
    same = []
    for size in (0.01, 1.0):
        codes = kit.tokenizer.encode(kit.normal_walk + size * torch.randn_like(kit.normal_walk))
        same.append(float((codes == kit.codes).double().mean()))
    return f"tokens that stay: {ml.about(same[0], 2)} with a little noise, {ml.about(same[1], 2)} with a lot"


@shows("text-motion evaluator")
def _evaluator() -> str:
    some = ml.load_samples()[:8]
    words = kit.run.text.features([sample.captions[0] for sample in some])
    joints, lengths = padded([sample.motion.joints()[:24] for sample in some])
    model, apart = TextMotionModel(words.states.shape[-1], width=32, size=16), torch.zeros(8, 8, dtype=torch.bool)
    optimizer, found = torch.optim.AdamW(model.parameters(), lr=5e-3), []
    for _ in range(30):
        text, motion = model.embed_text(words), model.motion(encoder_inputs(joints), lengths)
        found.append(int((torch.cdist(text, motion).argmin(1) == torch.arange(8)).sum()))
        optimizer.zero_grad()
        contrastive_loss(text, motion, apart, 0.1).backward()
        optimizer.step()
    return f"captions whose own motion is the nearest of 8: ≈{found[0]} at first, ≈{found[-1]} after 30 steps"


@shows("test set", "validation")
def _split() -> str:
    corpus = ml.build_corpus(ml.load_config("ci", ["corpus.n_train=64"]).corpus)
    sizes = {name: len(clips) for name, clips in corpus.named().items() if name != "train"}
    chooses = sizes.pop("validation")
    return f"validation, {chooses} clips, chooses the best weights; {len(sizes)} test splits are asked once, at the end"
