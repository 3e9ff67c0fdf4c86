"""Stage 1: train a tokenizer on windows of motion, measure it on whole clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from motionlab.data.batches import WindowBatches
from motionlab.data.splits import Clips, Splits
from motionlab.evaluation.anatomy import Pair
from motionlab.evaluation.reconstruction import acceleration_error, mpjpe
from motionlab.jobs.artefacts import claim, is_trained, tensor_digest
from motionlab.jobs.build import loss_weights, make_tokenizer
from motionlab.jobs.memory_advice import recompute_blocks, tokenizer_memory_advice
from motionlab.jobs.prepare import fit_normalizer
from motionlab.jobs.run_folder import Run
from motionlab.jobs.training_hooks import keep_best, training_hooks
from motionlab.jobs.workers import worker_pool
from motionlab.motion.features import decode_positions
from motionlab.motion.normalizer import Normalizer
from motionlab.quantizers.usage import CodeUsage
from motionlab.runtime import choose_device, seed_everything, set_threads
from motionlab.tokenizer.body import Body
from motionlab.tokenizer.losses import tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.checkpoint import has_checkpoint
from motionlab.training.distributed import World
from motionlab.training.loop import Losses, fit
from motionlab.training.prefetch import Prefetch

VALIDATION_CLIPS = 32  # held-out clips that a validation reconstructs
# Batches of training windows over which a validation counts codes: the same ones every time, so that the curve of usage
# shows the tokenizer and not the draw. The held-out clips alone would have too few tokens for a large codebook.
USAGE_BATCHES = 8
CLIPS_AT_ONCE = 64  # clips that are measured together: this many are held in memory


def train_tokenizer(
    run: Run, splits: Splits, quantizer: str | None = None, *, watch: Callable[[int], None] | None = None
) -> MotionTokenizer:
    """Train (or go on training) the tokenizer with one quantizer and keep its best weights with the run.

    Stopped anywhere and called again, it goes on from its last checkpoint, and the result is the same, bit for bit on a
    CPU, as without the stop. A run that is finished is not trained again.

    The history (`history.csv` in the folder of the tokenizer) holds, at every validation: `val_mpjpe_mm`,
    `val_mpjpe_heading_mm` and `val_acceleration_mm` over held-out clips; `val_used_fraction` and `val_perplexity` of
    the codebook over `val_tokens` tokens of fixed training windows.

    Args:
        watch: called with the number of each micro-batch, before it is read. For a live plot; what it raises ends the
            training.
    """
    config = run.config
    quantizer = quantizer or config.tokenizer.quantizer
    folder = run.tokenizer_folder(quantizer)
    device, world = torch.device(choose_device(config.device).value), World.current()
    with world.first_alone():
        normalizer = fit_normalizer(run, splits).to(device)
        claim(folder, tokenizer_source(run, splits))
    seed_everything(config.tokenizer_training.seed)  # the same first weights for every quantizer of a comparison
    model = make_tokenizer(config.tokenizer, quantizer)
    weights, body = loss_weights(config.tokenizer), Body(normalizer)
    settings = config.tokenizer_training
    if settings.activation_checkpointing:
        recompute_blocks(model)

    drawn = WindowBatches(
        splits.train,
        run.normalizer,
        window=config.tokenizer.window,
        batch_size=settings.batch_size,
        seed=settings.seed,
    )
    windows = Prefetch(drawn, stride=world.size)

    def batches(number: int) -> torch.Tensor:
        if watch is not None:
            watch(number)
        return windows(number)

    def step(batch: torch.Tensor) -> Losses:
        x = batch.to(device, non_blocking=True)  # [B, window, 272]
        losses = tokenizer_losses(model(x), x, weights, body=body)
        return Losses(losses.pop("total"), losses)

    def validate() -> dict[str, float]:
        kept = range(min(VALIDATION_CLIPS, len(splits.validation)))
        errors, _ = measure_tokenizer(model, splits.validation, normalizer, kept, world)
        usage = count_codes(model, windows, USAGE_BATCHES, world).summary()
        return {
            **errors,
            "used_fraction": usage.used_fraction,
            "perplexity": usage.perplexity,
            "tokens": usage.tokens,
        }

    fit(
        model,
        batches=batches,
        step=step,
        validate=validate,
        best_metric="mpjpe_mm",
        settings=settings,
        folder=folder,
        device=device,
        resume=has_checkpoint(folder / "checkpoints"),
        architecture={"quantizer": quantizer},
        title=f"tokenizer {quantizer}",
        hooks=training_hooks(run, folder, settings),
        constants={"normalizer.mean": run.normalizer.mean, "normalizer.std": run.normalizer.std},
        explain_memory=tokenizer_memory_advice(config.tokenizer, settings, device),
    )
    return keep_best(run, folder.name, model, lambda: make_tokenizer(config.tokenizer, quantizer).to(device))


def tokenizer_source(run: Run, splits: Splits) -> dict[str, str]:
    """What a tokenizer of this run is made from, besides its settings."""
    normalizer = tensor_digest([run.normalizer.mean, run.normalizer.std])
    return {"train": splits.train.digest, "validation": splits.validation.digest, "normalizer": normalizer}


def train_tokenizers(run: Run, splits: Splits, quantizers: Sequence[str], threads: int) -> None:
    """Train one tokenizer a quantizer; one that was trained from the same to the last step is left alone.

    With `threads` of 2 or more they are trained side by side, one process each with its share of the threads: a step
    of a model this small took 0.092 s with one thread and 0.060 s with two, so a second thread is not fully used.
    """
    fit_normalizer(run, splits)
    source, steps = tokenizer_source(run, splits), run.config.tokenizer_training.steps
    missing = [kind for kind in quantizers if not is_trained(run.tokenizer_folder(kind), source, steps)]
    if len(missing) < 2 or threads < 2:
        for kind in missing:
            train_tokenizer(run, splits, kind)
        return
    share = max(threads // len(missing), 1)
    with worker_pool(min(threads, len(missing))) as pool:
        for future in [pool.submit(_train_in_own_process, run.folder, splits, kind, share) for kind in missing]:
            future.result()


def _train_in_own_process(folder: Path, splits: Splits, quantizer: str, threads: int) -> None:
    set_threads(threads)
    train_tokenizer(Run.open(folder), splits, quantizer)


@torch.inference_mode()
def measure_tokenizer(
    model: MotionTokenizer,
    store: Clips,
    normalizer: Normalizer,
    clips: Sequence[int] | None = None,
    world: World = World(),  # noqa: B008 (frozen)
) -> tuple[dict[str, float], CodeUsage]:
    """Reconstruction error of whole clips, in millimetres, and the use of the codebook over them.

    Errors are means over the frames of all clips: a long clip counts more than a short one. Several processes measure
    a part of the clips each, and all get the numbers of all clips.
    """
    sums: dict[str, float] = {"mpjpe_mm": 0.0, "mpjpe_heading_mm": 0.0, "acceleration_mm": 0.0}
    frames, usage = 0.0, CodeUsage(model.codebook_size, model.quantizer.n_codebooks)
    mine = world.share(range(len(store)) if clips is None else clips)
    for pair, indices in reconstructions(model, store, normalizer, mine):
        usage.update(indices.cpu())
        a, b = decode_positions(pair.restored), decode_positions(pair.real)  # [T, 22, 3]
        sums["mpjpe_mm"] += float(mpjpe(a, b, align="pelvis")) * len(a)
        sums["mpjpe_heading_mm"] += float(mpjpe(a, b, align="heading")) * len(a)
        sums["acceleration_mm"] += float(acceleration_error(a, b)) * len(a)
        frames += len(a)
    *totals, frames = world.sum([*sums.values(), frames])
    world.sum_tensor(usage.histogram)
    return {name: value / max(frames, 1) for name, value in zip(sums, totals, strict=True)}, usage


def reconstructions(
    model: MotionTokenizer, store: Clips, normalizer: Normalizer, clips: Sequence[int] | None = None
) -> Iterator[tuple[Pair, torch.Tensor]]:
    """Each clip beside what the tokenizer makes of it, in physical units and on the model's device, and its tokens.

    Args:
        normalizer: on the model's device.
        clips: numbers of the clips; all of the store by default.
    """
    model.eval()
    device = next(model.parameters()).device
    numbers = list(range(len(store)) if clips is None else clips)
    for start in range(0, len(numbers), CLIPS_AT_ONCE):
        real = [store.features(i).to(device) for i in numbers[start : start + CLIPS_AT_ONCE]]
        with torch.inference_mode():
            tokens = model.encode_clips([normalizer.normalize(clip) for clip in real])
            restored = [normalizer.denormalize(clip.float()) for clip in model.decode_clips(tokens)]
        for clip, row, other in zip(real, tokens, restored, strict=True):
            yield Pair(clip, other[: len(clip)]), row  # the last token may reach beyond the clip


@torch.inference_mode()
def count_codes(
    model: MotionTokenizer,
    batches: Callable[[int], torch.Tensor],
    number: int,
    world: World = World(),  # noqa: B008 (frozen)
) -> CodeUsage:
    """Use of the codebook over the first `number` batches of normalised windows `[B, window, 272]`."""
    model.eval()
    device = next(model.parameters()).device
    usage = CodeUsage(model.codebook_size, model.quantizer.n_codebooks)
    for i in world.share(range(number)):
        usage.update(model.encode(batches(i).to(device)).cpu())
    world.sum_tensor(usage.histogram)
    return usage


@torch.inference_mode()
def reconstruct(model: MotionTokenizer, normalizer: Normalizer, indices: torch.Tensor) -> torch.Tensor:
    """Tokens [1, N] (or [1, N, Q]) to features [N * frames_per_token, 272] in physical units."""
    return normalizer.denormalize(model.decode(indices)[0].float())


def tokenizer_report(run: Run, splits: Splits, quantizer: str) -> dict[str, Any]:
    """Everything the report says about one tokenizer: errors on every test split, use of the codebook on the first."""
    model = run.tokenizer(quantizer)
    measured = {name: measure_tokenizer(model, clips, run.normalizer) for name, clips in splits.tests.items()}
    first = next(iter(measured))
    summary = measured[first][1].summary()
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "codebook_size": model.codebook_size,
        "frames_per_token": model.frames_per_token,
        "errors": {name: errors for name, (errors, _) in measured.items()},
        "codes_of": first,
        "tokens": summary.tokens,
        "used": summary.used,
        "used_fraction": summary.used_fraction,
        "perplexity": summary.perplexity,
        "entropy_bits": summary.entropy_bits,
        "dead": summary.dead,
        "histogram": summary.histogram.tolist(),
    }
