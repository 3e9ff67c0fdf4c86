"""Demonstrations: words of papers."""

from __future__ import annotations

import copy

import torch
from torch import nn

import motionlab as ml
from lessons.glossary.kit import CAPTION, kit
from lessons.glossary.registry import shows
from lessons.glossary.taxonomy import LEVELS, SYSTEMS


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int = 100, lr: float = 0.05) -> float:
    """Fit a model to pairs in place; the last loss."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


@shows("alignment")
def _alignment() -> str:
    motion, words = torch.randn(8, 4), torch.randn(8, 6)  # eight pairs of two modalities
    to_motion, hits = nn.Linear(6, 4), []
    for _ in range(2):
        scores = to_motion(words) @ motion.T  # [8, 8]; the right pairs are on the diagonal
        hits.append(int((scores.argmax(1) == torch.arange(8)).sum()))
        optimizer = torch.optim.Adam(to_motion.parameters(), lr=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            nn.functional.cross_entropy(to_motion(words) @ motion.T, torch.arange(8)).backward()
            optimizer.step()
    return f"texts whose own motion is nearest: before ≈{hits[0]} of 8, pulled together ≈{hits[1]}"


@shows("architecture", "model")
def _architecture() -> str:
    one, two = (ml.MotionLlama(100, n_layer=1, n_head=2, dim=32, text_dim=16) for _ in range(2))
    shapes = [[tuple(p.shape) for p in m.parameters()] for m in (one, two)]
    tokens, text = torch.full((1, 4), 7), torch.zeros(1, 1, 16)
    same = torch.equal(one(tokens, text, torch.ones(1, 1)), two(tokens, text, torch.ones(1, 1)))
    return f"one architecture (equal shapes: {shapes[0] == shapes[1]}), two models (equal answers: {same})"


@shows("convolutional network")
def _cnn() -> str:
    kinds = [type(layer).__name__ for layer in kit.tokenizer.encoder.modules() if "Conv" in type(layer).__name__]
    return f"the tokenizer's encoder is one: {len(kinds)} convolutions along time"


@shows("data augmentation")
def _augmentation() -> str:
    walk = kit.walk
    more = [walk, walk.mirror(), walk.resample(speed=0.9), walk.mirror().resample(speed=0.9)]
    caption = ml.mirror_caption("a person turns left")
    return f"one clip becomes {len(more)}; the caption has to follow: 'a person turns left', mirrored: {caption!r}"


@shows("fine-tuning", "pretraining", "transfer learning")
def _fine_tuning() -> str:
    x = torch.linspace(-1, 1, 64)[:, None]
    with ml.seeded(0):
        model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
    fresh = copy.deepcopy(model)
    train(model, x, (3 * x).sin(), steps=400)  # first task, much of it
    after = [train(m, x, (3 * x).sin() + 0.3 * x, steps=20, lr=0.01) for m in (model, fresh)]
    return (
        f"error after 20 steps on a like task: pretrained {ml.about(after[0], 2)}, from nothing {ml.about(after[1], 2)}"
    )


@shows("framework")
def _framework() -> str:
    built = [ml.MotionTokenizer(ml.make_quantizer(name, 64, 16), width=32, depth=1, down_t=1) for name in ("fsq", "vq")]
    kinds = [type(tokenizer.quantizer).__name__ for tokenizer in built]
    return f"the same two stages and loop, other parts in them: {kinds}; none of that is a model yet"


@shows("LSTM")
def _lstm() -> str:
    layer = nn.LSTM(8, 16, batch_first=True)
    sizes = [sum(s.numel() for s in layer(torch.rand(1, length, 8))[1]) for length in (10, 100)]
    cache = [kit.llama.new_cache(1, length).nbytes // 4 for length in (10, 100)]
    return f"memory after 10 and 100 steps: LSTM {sizes} numbers, a Transformer's cache {cache}"


@shows("meta-learning")
def _meta() -> str:
    x, start = torch.linspace(-1, 1, 20)[:, None], torch.zeros(2)
    for _ in range(300):  # over tasks y = a x + b with a near 3, b near 1
        a, b = 3 + 0.3 * torch.randn(1), 1 + 0.3 * torch.randn(1)
        w = start.clone()
        for _ in range(5):  # learn this task, then move the start a little there (Reptile)
            error = w[0] * x + w[1] - (a * x + b)
            w = w - 0.3 * torch.stack([(error * x).mean(), error.mean()])
        start = start + 0.1 * (w - start)
    a, b = (ml.about(value, 2) for value in start.tolist())
    return f"the start that it learned is a = {a}, b = {b}: the answer to no task, and near to all"


@shows("method")
def _method() -> str:
    same = kit.decoder
    losses = [float(way(same, kit.batch).loss.detach()) for way in (ml.TeacherForcing(), ml.RandomReplacement(0.5))]
    return f"how to train, whatever the network: two methods, one decoder, losses differ: {losses[0] != losses[1]}"


@shows("off-the-shelf model")
def _shelf() -> str:
    encoder = ml.load_text_encoder()
    states = encoder.encode([CAPTION]).states
    return f"MiniLM, trained by others and used as it is: {tuple(states.shape)}, nothing to train"


@shows("perception, planning, control")
def _levels() -> str:
    seen = kit.env.reset(task=0, seed=0)
    cube, hand = kit.env.table.cubes[0, :3], seen.ee_pos  # perception: where things are
    plan = "reach" if float(((cube - hand)[:2] ** 2).sum()) > 1e-4 else "grasp"  # planning: what to do next
    action = ml.expert_action(kit.env.table)  # control: how to move
    return f"where the cube is: {cube.shape}; what to do: {plan}; how: {action.shape}"


@shows("reinforcement learning")
def _rl() -> str:
    value, wins = torch.zeros(3), torch.tensor([0.2, 0.5, 0.8])  # three levers; nobody says which is best
    generator = torch.Generator().manual_seed(0)
    for turn in range(600):
        lever = int(value.argmax()) if turn % 4 else turn // 4 % 3  # now and then try another one
        reward = float(torch.rand(1, generator=generator) < wins[lever])
        value[lever] += 0.05 * (reward - value[lever])
    found = int(value.argmax()) == int(wins.argmax())
    return f"600 pulls of three levers, only rewards to learn from: it prefers the best one: {found}"


@shows("supervised learning", "unsupervised learning")
def _supervised() -> str:
    pairs = [(sample.captions[0], sample.action) for sample in kit.samples.values()][:1]
    return f"with answers: {pairs[0][0]!r} -> {pairs[0][1]!r}; without: give {tuple(kit.normal_walk.shape)} back"


@shows("survey taxonomy")
def _taxonomy() -> str:
    system = SYSTEMS["pi0"]
    return "pi0: " + "; ".join(f"{level.question} {system[level.name]}" for level in LEVELS)
