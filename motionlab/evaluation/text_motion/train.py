"""Train the evaluator on the training split of any source; the validation split decides when to stop.

The evaluator must not have seen what it scores: it learns from `splits.train` alone, as the generator does, and no test
clip has a part in it. It is small and learns from at most a few thousand clips, because it is trained with each run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from motionlab.data.splits import Splits
from motionlab.errors import InputError
from motionlab.evaluation.text_motion.batches import Batch, LoadedClips
from motionlab.evaluation.text_motion.evaluator import Record, Sizes, TextMotionEvaluator
from motionlab.evaluation.text_motion.inputs import encoder_inputs
from motionlab.evaluation.text_motion.losses import contrastive_loss
from motionlab.evaluation.text_motion.meaning import alike
from motionlab.evaluation.text_motion.model import TextMotionModel
from motionlab.evaluation.text_motion.spoiled import harmless, spoil
from motionlab.runtime import check_seed, random_generator, seeded
from motionlab.text.cache import TextCache
from motionlab.training.ema import AveragedWeights
from motionlab.training.optimizer import clip_gradients, make_optimizer


@dataclass(frozen=True)
class EvaluatorSettings:
    """How the evaluator is trained.

    Args:
        clips: most training clips to learn from.
        epochs: most passes over them.
        patience: epochs without a better validation loss after which it stops.
        batch_size: clips of a step, which are each other's rivals.
        lr: highest learning rate.
        temperature: of the cosines.
        spoiled: spoiled copies for each clip of a batch.
        alike: cosine of two sentences above which they are no rivals, where actions are not known.
        width, size: of the encoders and of the embeddings.
        validation_clips: most validation clips that are looked at.
    """

    clips: int = 2500
    epochs: int = 5
    patience: int = 3
    batch_size: int = 64
    lr: float = 2e-3
    temperature: float = 0.1
    spoiled: float = 0.5
    alike: float = 0.85
    width: int = 128
    size: int = 128
    validation_clips: int = 512

    def __post_init__(self) -> None:
        whole = ("clips", "epochs", "patience", "batch_size", "width", "size", "validation_clips")
        least = {name: 1 for name in whole} | {"batch_size": 2, "clips": 2, "spoiled": 0, "alike": -1}
        for name, value in asdict(self).items():
            low = least.get(name, 0)
            good = value == int(value) if name in whole else value > low or name in ("spoiled", "alike")
            if not (good and low <= value < float("inf")):
                raise InputError(
                    f"evaluator setting {name}",
                    found=value,
                    expected=f"{'a whole number' if name in whole else 'a number'} from {low}",
                    fix="Change it.",
                )


def train_evaluator(
    splits: Splits,
    texts: TextCache,
    settings: EvaluatorSettings | None = None,
    *,
    seed: int = 0,
    on_epoch: Callable[[int, float | None], None] = lambda epoch, loss: None,
) -> TextMotionEvaluator:
    """A trained evaluator; equal splits, features, settings and seed give equal weights on one machine.

    Args:
        texts: features of all captions; missing ones are encoded on the way.
        on_epoch: is told after each epoch its number, from 1, and the validation loss in nats.

    Raises:
        InputError: fewer than two training clips, a clip without captions, or a caption that cannot be read.
    """
    settings, seed = settings or EvaluatorSettings(), check_seed(seed)
    splits.require_captions("train", "validation")
    if len(splits.train) < 2:
        raise InputError(splits.name, found="one training clip", expected="two or more", fix="Add clips.")
    train, held = LoadedClips(splits.train, settings.clips), LoadedClips(splits.validation, settings.validation_clips)
    sizes = Sizes(texts.dim, settings.width, settings.size)
    known = splits.train.has_segments
    with seeded(seed):
        model = TextMotionModel(**asdict(sizes))
        model.motion.mean, model.motion.std = train.statistics
        optimizer = make_optimizer(model, lr=settings.lr, betas=(0.9, 0.98), weight_decay=0.05)
        per_epoch = sum(1 for _ in train.epoch(settings.batch_size, np.random.default_rng(0)))
        steps = per_epoch * settings.epochs
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.15)
        averaged = AveragedWeights(model, decay=0.98)
        rows, numbers = np.random.default_rng(seed), random_generator(seed)
        best, best_epoch, kept, step = float("inf"), 0, _copy(model), 0
        for epoch in range(1, settings.epochs + 1):
            model.train()
            for batch in train.epoch(settings.batch_size, rows):
                loss = _loss(model, batch, texts, settings, known, numbers)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                clip_gradients(list(model.parameters()), 1.0)
                optimizer.step()
                schedule.step()
                step += 1
                averaged.update(step)
            with averaged.in_use():
                found = _validation(model.eval(), held, texts, settings, known)
                on_epoch(epoch, found)
                if found is None or found < best:
                    best, best_epoch, kept = found if found is not None else best, epoch, _copy(model)
            if epoch - best_epoch >= settings.patience:
                break
    model.load_state_dict(kept)
    record = Record(
        sizes=sizes,
        text_encoder=texts.name,
        fps=float(splits.train.fps),
        trained_on={name: splits.digests[name] for name in ("train", "validation")},
        clips=len(train),
        settings=asdict(settings),
        seed=seed,
        validation=best if len(held) else None,
        epoch=best_epoch,
    )
    return TextMotionEvaluator(model, record)


def _loss(
    model: TextMotionModel,
    batch: Batch,
    texts: TextCache,
    settings: EvaluatorSettings,
    known: bool,
    numbers: torch.Generator,
    change: bool = True,
) -> Tensor:
    """The loss of a batch with spoiled copies of some of its motions."""
    features = texts.features(batch.captions)
    same = batch.meanings[:, None] == batch.meanings  # [B, B]
    if not known:
        same = same | alike(features, settings.alike)
    joints, lengths = harmless(batch.joints, batch.lengths, numbers) if change else (batch.joints, batch.lengths)
    count = round(settings.spoiled * len(joints))
    chosen = torch.randperm(len(joints), generator=numbers).repeat(1 + count // len(joints))[:count]
    worse = spoil(joints[chosen], lengths[chosen], numbers)
    inputs = encoder_inputs(torch.cat((joints, worse)))
    motion = model.motion(inputs, torch.cat((lengths, lengths[chosen])))  # [B + S, D]
    text = model.embed_text(features)
    return contrastive_loss(text, motion[: len(joints)], same, settings.temperature, motion[len(joints) :])


@torch.no_grad()
def _validation(
    model: TextMotionModel, held: LoadedClips, texts: TextCache, settings: EvaluatorSettings, known: bool
) -> float | None:
    """The mean loss over the validation clips, with the same captions and spoiled copies each time."""
    if len(held) < 2:
        return None
    total, numbers = 0.0, random_generator(0)
    for batch in held.epoch(settings.batch_size, np.random.default_rng(0)):
        total += float(_loss(model, batch, texts, settings, known, numbers, change=False)) * len(batch.captions)
    return total / len(held)


def _copy(model: TextMotionModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
