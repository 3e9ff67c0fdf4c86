"""Prepare: the motions of a run, and the statistics of its training split.

`prepare` is the one place in which jobs name a source of motions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from motionlab.config import CorpusConfig
from motionlab.data.composed.corpus import build_corpus
from motionlab.data.splits import Clips, Splits
from motionlab.errors import InputError
from motionlab.files.litter import sweep
from motionlab.jobs.artefacts import RECORD, difference, read_record, write_record
from motionlab.jobs.run_folder import Run
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import cache_dir
from motionlab.text.cache import TextCache

_CAPTIONS = 1 << 16  # in memory together, while those are looked for that have no features yet


def prepare(config: CorpusConfig, processes: int = 1) -> Splits:
    """Build the composed corpus, or open it when it was built before.

    Removes what killed processes left half-made in the cache.
    """
    sweep(cache_dir(), depth=2)
    return build_corpus(config, processes=processes)


def require_splits(run: Run, splits: Splits) -> None:
    """Make sure that a run was made from these motions, captions included. Nothing is written.

    What the folder of the run does not say, its trainings say. A run made before either was recorded is accepted when
    its normaliser is what these training clips give.

    Raises:
        InputError: the run was made from other clips. The split that differs is named.
    """
    record = _known_splits(run)
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


def bind_splits(run: Run, splits: Splits) -> None:
    """Make sure that a run uses these motions; a new run uses them from now on.

    Raises:
        InputError: as `require_splits`.
    """
    require_splits(run, splits)
    record = read_record(run.folder)
    if {**record, **splits.digests} != record:
        write_record(run.folder, {**record, **splits.digests})


def _known_splits(run: Run) -> dict[str, str]:
    """The digests of the splits that a run was made from, as far as any of its folders says."""
    trainings = sorted(path.parent for path in run.folder.glob(f"*/{RECORD}"))
    found: dict[str, str] = {}
    for folder in trainings:
        found |= {name: digest for name, digest in read_record(folder).items() if name in ("train", "validation")}
    return found | read_record(run.folder)


def check_captions(run: Run, splits: Splits, *names: str) -> None:
    """Encode the captions of these splits that the cache does not hold yet, before any work that needs them.

    Raises:
        InputError: names the first clip without captions, or with one that the text encoder cannot read.
    """
    splits.require_captions(*names)
    text, captions, count = run.text, dict[str, list[str]](), 0
    for name in names:
        clips = splits.named()[name]
        for i in range(len(clips)):
            captions[splits.clip_name(name, i)] = some = clips.captions(i)
            count += len(some)
            if count >= _CAPTIONS:
                encode_captions(text, captions)
                captions, count = {}, 0
    encode_captions(text, captions)


def encode_captions(text: TextCache, captions: Mapping[str, Sequence[str]]) -> None:
    """Encode the captions of some clips that the cache does not hold yet.

    Args:
        captions: the captions of each clip, by what the clip is called in a message.

    Raises:
        InputError: names the first clip with a caption that the text encoder cannot read.
    """
    try:
        _encode_missing(text, [caption for some in captions.values() for caption in some])
    except InputError:
        for clip, some in captions.items():
            try:
                _encode_missing(text, some)
            except InputError as error:
                raise InputError(
                    f"{clip}, {error.where}", found=error.found, expected=error.expected, fix=error.fix
                ) from None
        raise


def _encode_missing(text: TextCache, captions: Sequence[str]) -> None:
    missing = text.missing(captions)
    if missing:
        text.encode(missing)


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
