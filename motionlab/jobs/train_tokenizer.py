"""Train stage 1, from Python and from lessons, one tokenizer or several in parallel, and report on it.

`stages/tokenizer.py` says what the stage is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from motionlab.data.splits import Splits
from motionlab.evaluation.tokenizer import measure_tokenizer
from motionlab.jobs.artefacts import is_trained
from motionlab.jobs.prepare import fit_normalizer
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.tokenizer import TokenizerStage, tokenizer_source
from motionlab.jobs.train import train
from motionlab.jobs.workers import worker_pool
from motionlab.runtime import set_threads
from motionlab.tokenizer.model import MotionTokenizer


def train_tokenizer(
    run: Run, splits: Splits, quantizer: str | None = None, *, watch: Callable[[int], None] | None = None
) -> MotionTokenizer:
    """Train (or continue to train) the tokenizer with one quantizer and keep its best weights with the run.

    Stopped anywhere and called again, it continues from its last checkpoint, and the result is the same, bit for bit on
    a CPU, as without the stop. A run that is finished is not trained again.

    Args:
        watch: called with the number of each micro-batch, before it is read. For a live plot; what it raises ends the
            training.
    """
    stage = TokenizerStage(run, splits, quantizer)
    train(stage, watch)
    return stage.model


def train_tokenizers(run: Run, splits: Splits, quantizers: Sequence[str], threads: int) -> None:
    """Train one tokenizer per quantizer; one that is already trained from the same inputs is kept.

    With `threads` of 2 or more they are trained in parallel, one process each with its share of the threads: a step
    of a model this small took 0.092 s with one thread and 0.060 s with two, so a second thread is not fully used.
    """
    fit_normalizer(run, splits)
    source, settings = tokenizer_source(run, splits), run.config.tokenizer_training
    missing = [kind for kind in quantizers if not is_trained(run.tokenizer_folder(kind), source, settings)]
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
