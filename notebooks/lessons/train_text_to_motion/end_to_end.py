"""Why two stages? The same two models trained one after the other, at the same time, and end to end.

    way             what the tokenizer learns from           when the decoder learns
    two stages      its reconstruction                       after it, on tokens that no longer change
    side by side    its reconstruction                       at the same time, on tokens that change
    end to end, w   its reconstruction + w times the         at the same time; `soft_assignment.py` says how
                    decoder's loss, w = 0.01 or 1

*Side by side* is the control: it differs from two stages only in the changing tokens, and from end to end in the
gradient only. All have the same parameters, first weights, clips in the same order, and `STEPS` updates of every
weight. The numbers are kept in `notebooks/results/end_to_end.json`. A call computes the points that are missing, and
begins none after so many minutes, so that it can be stopped and called again:

    cd notebooks && python -m lessons.train_text_to_motion.end_to_end results/end_to_end.json 60
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from lessons.train_text_to_motion.end_to_end_measure import Look, Material, Watch, action_scores, short
from lessons.train_text_to_motion.soft_assignment import SoftFSQ, joint_losses
from lessons.train_tokenizer.experiment import mean_error
from motionlab import runtime
from motionlab.config import load_config
from motionlab.cost.allocations import record_memory
from motionlab.data.composed.corpus import build_corpus
from motionlab.errors import InputError
from motionlab.evaluation.anatomy import Pair
from motionlab.files import write_text
from motionlab.jobs.build import loss_weights, make_llama, text_cache, tokenizer_around
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.sequence import build_sequences
from motionlab.motion.normalizer import Normalizer
from motionlab.quantizers.levels import levels_for
from motionlab.runtime import one_thread, seeded
from motionlab.text.encoder import TextFeatures
from motionlab.tokenizer.losses import tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.optimizer import make_optimizer
from motionlab.training.schedule import make_schedule

WEIGHTS: dict[str, float | None] = {  # of the decoder's gradient in the tokenizer; None: one after the other
    "two stages": None,
    "side by side": 0.0,
    "end to end, 0.01": 0.01,
    "end to end, 1": 1.0,
}
SEEDS = (0, 1, 2)
STEPS, BATCH, LOOKS = 300, 16, 6  # updates of every weight, clips per batch, measurements along the way
CHANGES = (
    "corpus.n_train=600", "corpus.n_seen_pairs=48", "corpus.n_unseen_pairs=8",
    "corpus.n_new_takes=2", "corpus.n_validation=4", "corpus.max_frames=160",
    "tokenizer.codebook_size=256", "tokenizer.width=96", "tokenizer.code_dim=32", "tokenizer.depth=1",
    "tokenizer.down_t=2", "tokenizer.velocity_weight=0",
    "tokenizer.root_weight=0.5", "tokenizer.foot_weight=0", "tokenizer.acceleration_weight=0",
    "tokenizer.decoder_share=0", "llama.n_layer=3", "llama.n_head=4", "llama.n_kv_heads=2", "llama.dim=96",
    "llama.hidden=256", "llama.text_drop=0", "sampling.max_tokens=48",
    "sampling.guidance=1", "sampling.temperature=0.8",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One way with one seed. `score` is the action score: real clips, reconstructed, generated, other caption."""

    way: str
    seed: int
    parameters: int
    seconds: float  # of training only
    looks: list[Look]
    score: dict[str, float]


def load_material(changes: Sequence[str] = ()) -> Material:
    """The small corpus of the experiment; `changes` as in `load_config`."""
    config = load_config("two_frames", [*CHANGES, *changes])
    corpus = build_corpus(config.corpus)
    train = corpus.train  # nothing is chosen by validation here
    normalizer = Normalizer.fit(train.features(i) for i in range(len(train)))
    clips = [normalizer.normalize(train.features(i)) for i in range(len(train))]
    text = text_cache(config.text)
    text.features([store.captions(i)[0] for store in (train, corpus.seen_pairs) for i in range(len(store))])
    return Material(config, corpus, normalizer, text, clips)


def make_models(material: Material, seed: int) -> tuple[MotionTokenizer, MotionLlama]:
    """Both models; the same first weights for the same seed."""
    settings = material.config.tokenizer
    with seeded(seed):
        quantizer = SoftFSQ(levels_for(settings.codebook_size), settings.code_dim)
        tokenizer = tokenizer_around(quantizer, settings)
        llama = make_llama(material.config, codebook_size=quantizer.codebook_size, text_dim=material.text.dim)
    return tokenizer, llama


def clip_order(lengths: Sequence[int], seed: int, steps: int, batch: int = BATCH, pool: int = 8) -> Iterator[list[int]]:
    """Clips of every step: each epoch in a new order, clips of like length together.

    >>> [sorted(rows) for rows in clip_order([5, 9, 6, 8], seed=0, steps=2, batch=2)]
    [[0, 2], [1, 3]]
    """
    random, waiting = np.random.default_rng(seed), list[list[int]]()
    for _ in range(steps):
        if not waiting:
            order = random.permutation(len(lengths))
            for start in range(0, len(order), batch * pool):
                near = sorted(order[start : start + batch * pool].tolist(), key=lengths.__getitem__)
                waiting += [near[at : at + batch] for at in range(0, len(near) - batch + 1, batch)]
            random.shuffle(waiting)
        yield waiting.pop()


def train_point(way: str, seed: int, material: Material, steps: int = STEPS, looks: int = LOOKS) -> Point:
    """Train both models in one way and measure them.

    Raises:
        InputError: no such way.
    """
    if way not in WEIGHTS:
        raise InputError("way", found=repr(way), expected=", ".join(WEIGHTS), fix="Choose one of these.")
    weight, config = WEIGHTS[way], material.config
    tokenizer, llama = make_models(material, seed)
    watch = Watch(material, tokenizer, llama)
    loss, seconds = loss_weights(config.tokenizer), 0.0
    learners = [_Learner(tokenizer, config.tokenizer_training.lr, steps), _Learner(llama, 2e-3, steps)]
    lengths = [len(clip) for clip in material.clips]
    codes: list[Tensor] = []
    if weight is None:
        for rows in clip_order(lengths, seed, steps):
            began = time.perf_counter()
            motion, mask, _ = material.batch(rows)
            learners[0].step(tokenizer_losses(tokenizer(motion, mask), motion, loss, mask)["total"])
            seconds += time.perf_counter() - began
        began = time.perf_counter()
        codes = tokenizer.encode_clips(material.clips)
        seconds += time.perf_counter() - began
    found = [watch.look(0)]
    for step, rows in enumerate(clip_order(lengths, seed, steps), start=1):
        began = time.perf_counter()
        if weight is None:
            text = material.text.features([material.corpus.train.captions(i)[0] for i in rows])
            batch = build_sequences([codes[i] for i in rows], text, llama.codebook_size, llama.max_length)
            learners[1].step(sequence_losses(llama, batch).loss)
        else:
            total = joint_losses(tokenizer, llama, *material.batch(rows), loss=loss, weight=weight).total
            total.backward()
            for learner in learners:
                learner.step(None)
        seconds += time.perf_counter() - began
        if step % max(steps // looks, 1) == 0:
            found.append(watch.look(step))
    parameters = sum(p.numel() for model in (tokenizer, llama) for p in model.parameters())
    return Point(way, seed, parameters, round(seconds, 1), found, action_scores(material, tokenizer, llama))


class _Learner:
    """One model's optimizer: AdamW, warm-up and cosine. Each clips separately: neither may shrink the other's step."""

    def __init__(self, model: nn.Module, lr: float, steps: int) -> None:
        self.model = model
        self.optimizer = make_optimizer(model.train(), lr=lr)
        self.schedule = make_schedule(self.optimizer, steps=steps, warmup_steps=min(30, steps // 2), min_lr_ratio=0.02)

    def step(self, loss: Tensor | None) -> None:
        """One update; None when the gradients exist already."""
        if loss is not None:
            loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)


def measure_memory(material: Material, codes: Sequence[int] = (256, 1024, 4096, 16384)) -> list[dict[str, int]]:
    """Peak bytes of one training step of each way, for codebooks of several sizes; weights and optimizer included."""
    rows = []
    lengths = [len(clip) for clip in material.clips]
    batch = material.batch(next(clip_order(lengths, 0, 1)))
    for size in codes:
        config = load_config("two_frames", [*CHANGES, f"tokenizer.codebook_size={size}"])
        sized = Material(config, material.corpus, material.normalizer, material.text, material.clips)
        row: dict[str, int] = {}
        for way in ("stage 1", "stage 2", "side by side", "end to end, 1"):
            row[way] = _step_peak(sized, way, batch)
        rows.append({"codes": make_models(sized, 0)[0].codebook_size, **row})
    return rows


def _step_peak(material: Material, way: str, batch: tuple[Tensor, Tensor, TextFeatures]) -> int:
    """The peak of the second step: the first one makes the optimizers' state."""
    loss = loss_weights(material.config.tokenizer)
    motion, mask, text = batch
    tokens = make_models(material, 0)[0].encode_clips([row[there] for row, there in zip(motion, mask, strict=True)])
    with one_thread(), seeded(0), record_memory() as memory:
        tokenizer, llama = make_models(material, 0)
        if way == "stage 1":
            del llama
            learners = [_Learner(tokenizer, 1e-3, 9)]
        elif way == "stage 2":
            del tokenizer
            learners = [_Learner(llama, 1e-3, 9)]
        else:
            learners = [_Learner(tokenizer, 1e-3, 9), _Learner(llama, 1e-3, 9)]
        for _ in range(2):
            if way == "stage 1":
                total = tokenizer_losses(tokenizer(motion, mask), motion, loss, mask)["total"]
            elif way == "stage 2":
                total = sequence_losses(llama, build_sequences(tokens, text, llama.codebook_size)).loss
            else:
                total = joint_losses(tokenizer, llama, *batch, loss=loss, weight=WEIGHTS[way] or 0.0).total
            total.backward()
            for learner in learners:
                learner.step(None)
            del total
    return memory.peak


def mean_pose_mm(material: Material) -> dict[str, float]:
    """Error of the mean of all training frames on the test clips: the error of a tokenizer that says nothing."""
    store, mean = material.corpus.seen_pairs, material.normalizer.mean
    pairs = [Pair(real, mean.expand_as(real)) for real in (store.features(i) for i in range(len(store)))]
    return {f"{align} aligned": short(mean_error(pairs, align)) for align in ("pelvis", "heading")}


@dataclass(frozen=True)
class Results:
    """The file of results: see `Point`, `measure_memory` (bytes) and `mean_pose_mm`."""

    steps: int
    points: list[Point]
    memory: list[dict[str, int]]
    mean_pose_mm: dict[str, float]

    def of(self, way: str) -> list[Point]:
        """The points of one way, by seed."""
        return sorted((point for point in self.points if point.way == way), key=lambda point: point.seed)


def load_results(path: str | Path) -> Results:
    """Read what this module's main wrote.

    Raises:
        InputError: no such file, or another form.
    """
    try:
        kept = json.loads(Path(path).read_text(encoding="utf-8"))
        points = [Point(**{**row, "looks": [Look(**look) for look in row["looks"]]}) for row in kept.pop("points")]
        return Results(points=points, **kept)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(path, found=str(error), expected="results of end_to_end", fix="Make them again.") from error


def main(path: str | Path, minutes: float) -> None:
    """Compute points that the file does not hold, begin none after `minutes`; a new file starts with the memory."""
    began = time.perf_counter()
    runtime.set_threads()
    material = load_material()
    if not Path(path).is_file():
        _write(path, Results(STEPS, [], measure_memory(material), mean_pose_mm(material)))
    results = load_results(path)
    missing = [(way, seed) for seed in SEEDS for way in WEIGHTS]
    for point in results.points:
        missing.remove((point.way, point.seed))
    for way, seed in missing:
        if time.perf_counter() - began > 60 * minutes:
            break
        results.points.append(train_point(way, seed, material))
        _write(path, results)


def _write(path: str | Path, results: Results) -> None:
    write_text(path, json.dumps(asdict(results), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: cd notebooks && python -m lessons.train_text_to_motion.end_to_end OUT.json MINUTES")
    main(sys.argv[1], float(sys.argv[2]))
