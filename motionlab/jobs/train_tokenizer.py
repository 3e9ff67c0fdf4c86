"""Train stage 1, from Python and from lessons, one tokenizer or several side by side, and report on it.

`stages/tokenizer.py` says what the stage is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from motionlab.data.corpus import Corpus, build_corpus
from motionlab.evaluation.tokenizer import measure_tokenizer
from motionlab.jobs.run_folder import Run
from motionlab.jobs.run_settings import needs_training
from motionlab.jobs.stages.tokenizer import TokenizerStage
from motionlab.jobs.train import train
from motionlab.jobs.workers import worker_pool
from motionlab.runtime import set_threads
from motionlab.tokenizer.model import MotionTokenizer


def train_tokenizer(
    run: Run, corpus: Corpus, quantizer: str | None = None, *, watch: Callable[[int], None] | None = None
) -> MotionTokenizer:
    """Train (or continue to train) the tokenizer with one quantizer and keep its best weights with the run.

    Stopped anywhere and called again, it continues from its last checkpoint, and the result is the same, bit for bit on
    a CPU, as without the stop. A run that is finished is not trained again.

    Args:
        watch: called with the number of each micro-batch, before it is read. For a live plot; what it raises ends the
            training.
    """
    stage = TokenizerStage(run, corpus, quantizer)
    train(stage, watch)
    return stage.model


def train_tokenizers(run: Run, corpus: Corpus, quantizers: Sequence[str], threads: int) -> None:
    """Train one tokenizer a quantizer; those that are trained already are left alone.

    With `threads` of 2 or more they are trained side by side, one process each with its share of the threads: a step
    of a model this small took 0.092 s with one thread and 0.060 s with two, so a second thread is not fully used.
    """
    missing = [kind for kind in quantizers if needs_training(run.tokenizer_folder(kind), run.config.tokenizer_training)]
    if len(missing) < 2 or threads < 2:
        for kind in missing:
            train_tokenizer(run, corpus, kind)
        return
    share = max(threads // len(missing), 1)
    with worker_pool(min(threads, len(missing))) as pool:
        for future in [pool.submit(_train_in_own_process, run.folder, kind, share) for kind in missing]:
            future.result()


def _train_in_own_process(folder: Path, quantizer: str, threads: int) -> None:
    set_threads(threads)
    run = Run.open(folder)
    train_tokenizer(run, build_corpus(run.config.corpus), quantizer)


def tokenizer_report(run: Run, corpus: Corpus, quantizer: str) -> dict[str, Any]:
    """Everything the report says about one tokenizer, measured on the test splits."""
    model = run.tokenizer(quantizer)
    seen, usage = measure_tokenizer(model, corpus.test_seen, run.normalizer)
    unseen, _ = measure_tokenizer(model, corpus.test_unseen, run.normalizer)
    summary = usage.summary()
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "codebook_size": model.codebook_size,
        "frames_per_token": model.frames_per_token,
        "test_seen": seen,
        "test_unseen": unseen,
        "tokens": summary.tokens,
        "used": summary.used,
        "used_fraction": summary.used_fraction,
        "perplexity": summary.perplexity,
        "entropy_bits": summary.entropy_bits,
        "dead": summary.dead,
        "histogram": summary.histogram.tolist(),
    }
