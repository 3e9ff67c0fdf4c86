"""Stage 2: train the decoder on captions and the tokens of the run's tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from motionlab.data.splits import Clips, Splits
from motionlab.errors import InputError
from motionlab.jobs.artefacts import claim
from motionlab.jobs.build import make_llama
from motionlab.jobs.memory_advice import llama_memory_advice, recompute_blocks
from motionlab.jobs.run_folder import Run
from motionlab.jobs.tokens import Codes, token_source, training_codes
from motionlab.jobs.training_hooks import keep_best, training_hooks
from motionlab.llama.losses import sequence_losses
from motionlab.llama.model import MotionLlama
from motionlab.llama.sequence import SequenceBatches, Sequences
from motionlab.llama.strategies import make_strategy
from motionlab.runtime import choose_device, seed_everything
from motionlab.training.checkpoint import has_checkpoint
from motionlab.training.distributed import World
from motionlab.training.loop import Losses, fit


def train_llama(run: Run, splits: Splits, *, watch: Callable[[int], None] | None = None) -> MotionLlama:
    """Train (or go on training) the decoder and keep its best weights with the run.

    Args:
        watch: called with the number of each micro-batch, before it is read. For a live plot; what it raises ends the
            training.
    """
    config, settings = run.config, run.config.llama_training
    device, world = torch.device(choose_device(config.device).value), World.current()
    tokenizer = run.tokenizer()
    if tokenizer.n_codebooks > 1:
        raise InputError(
            "tokenizer.quantizer",
            found=f"{config.tokenizer.quantizer!r} with {tokenizer.n_codebooks} codes a token",
            expected="one code a token: the decoder writes one stream",
            fix="Choose a quantizer with one codebook, such as fsq.",
        )
    folder = run.folder / "llama"
    with world.first_alone():
        codes, codebook_size = training_codes(run, splits), tokenizer.codebook_size
        claim(folder, llama_source(run, splits, codes))
    seed_everything(settings.seed)
    make = partial(make_llama, config, codebook_size=codebook_size, text_dim=run.text.dim, longest=splits.longest)
    model = make()
    if settings.activation_checkpointing:
        recompute_blocks(model)

    def sequence_batches(
        clips: Clips, rows: Sequence[Tensor], batch_size: int, text_drop: float, edge_drop: float
    ) -> SequenceBatches:
        return SequenceBatches(
            rows,
            [clips.captions(i) for i in range(len(clips))],
            run.text,
            codebook_size=codebook_size,
            batch_size=batch_size,
            seed=settings.seed,
            max_length=model.max_length,
            text_drop=text_drop,
            edge_drop=edge_drop,
        )

    with world.first_alone():  # encodes the captions that the cache does not hold yet
        sequences = sequence_batches(
            splits.train, codes.train, settings.batch_size, config.llama.text_drop, config.llama.edge_drop
        )
        held_out = sequence_batches(splits.validation, codes.validation, settings.batch_size, 0.0, 0.0)
    strategy = make_strategy(
        config.llama.strategy,
        keep=config.llama.keep_codes,
        per=config.llama.keep_rate,
        label_smoothing=config.llama.label_smoothing,
    )

    def batches(number: int) -> Sequences:
        if watch is not None:
            watch(number)
        return sequences(number)

    def step(batch: Sequences) -> Losses:
        losses = strategy(model, batch.to(device))
        return Losses(losses.loss, {"accuracy": losses.accuracy})

    def validate() -> dict[str, float]:
        loss = accuracy = labels = 0.0
        for i in world.share(range(held_out.batches_per_epoch)):
            batch = held_out(i)
            losses = sequence_losses(model, batch.to(device))
            loss += float(losses.loss) * batch.n_labels
            accuracy += float(losses.accuracy) * batch.n_labels
            labels += batch.n_labels
        loss, accuracy, labels = world.sum([loss, accuracy, labels])
        return {"loss": loss / labels, "accuracy": accuracy / labels}

    fit(
        model,
        batches=batches,
        step=step,
        validate=validate,
        count=lambda batch: batch.n_labels,
        settings=settings,
        folder=folder,
        device=device,
        resume=has_checkpoint(folder / "checkpoints"),
        architecture={"codebook_size": codebook_size, "text": run.text.name},
        title="llama",
        hooks=training_hooks(run, folder, settings),
        constants={"normalizer.mean": run.normalizer.mean, "normalizer.std": run.normalizer.std},
        explain_memory=llama_memory_advice(config.llama, settings, device, sequences, run.text.dim),
    )
    return keep_best(run, "llama", model, lambda: make().to(device))


def llama_source(run: Run, splits: Splits, codes: Codes) -> dict[str, str]:
    """What a decoder of this run is made from, besides its settings."""
    return {**token_source(run, splits), "tokens": codes.digest, "text": run.text.identity}
