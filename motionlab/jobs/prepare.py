"""Prepare: the motions of a run, and the statistics of its training split.

`prepare` is the one place in which jobs name a source of motions.
"""

from __future__ import annotations

import torch

from motionlab.config import CorpusConfig
from motionlab.data.composed.corpus import build_corpus
from motionlab.data.splits import Clips, Splits
from motionlab.errors import InputError
from motionlab.files.litter import sweep
from motionlab.jobs.artefacts import difference, read_record, write_record
from motionlab.jobs.run_folder import Run
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import cache_dir


def prepare(config: CorpusConfig, processes: int = 1) -> Splits:
    """Build the composed corpus, or open it when it was built before.

    Removes what killed processes left half-made in the cache.
    """
    sweep(cache_dir(), depth=2)
    return build_corpus(config, processes=processes)


def bind_splits(run: Run, splits: Splits) -> None:
    """Make sure that a run uses these motions; a new run uses them from now on.

    A run made before this was recorded is accepted when its normaliser is what these training clips give.

    Raises:
        InputError: the run was made from other clips. The split that differs is named.
    """
    record = read_record(run.folder)
    needed = {name: digest for name, digest in splits.digests.items() if name in record or name not in splits.tests}
    changed = difference(record, needed) if record else ""
    if not record and (run.folder / "normalizer.safetensors").is_file():
        measured = measure_normalizer(splits.train)
        if not (torch.equal(measured.mean, run.normalizer.mean) and torch.equal(measured.std, run.normalizer.std)):
            changed = "normalizer of unknown clips"
    if changed:
        raise InputError(
            run.folder,
            found=f"a run on other motions ({changed})",
            expected=f"the motions of {splits.name} that are here now",
            fix="Bring back the motions that it was trained on, or begin a run under another --name.",
        )
    if {**record, **splits.digests} != record:
        write_record(run.folder, {**record, **splits.digests})


def fit_normalizer(run: Run, splits: Splits) -> Normalizer:
    """Measure mean and standard deviation on the training clips and keep them with the run.

    Raises:
        InputError: the run was made from other clips.
    """
    bind_splits(run, splits)
    path = run.folder / "normalizer.safetensors"
    if not path.exists():
        measure_normalizer(splits.train).save(path)
    return run.normalizer


def measure_normalizer(clips: Clips) -> Normalizer:
    """Mean and standard deviation over all frames; one clip is in memory at a time."""
    return Normalizer.fit(clips.features(i) for i in range(len(clips)))
