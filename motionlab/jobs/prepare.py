"""Prepare: the motions of a run, and the statistics of its training split.

`prepare` is the one place in which jobs name a source of motions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from motionlab.config import RunConfig
from motionlab.data.batches import describe_short
from motionlab.data.composed.corpus import Corpus, build_corpus, corpus_digest
from motionlab.data.folder import Shares, folder_splits, is_imported, read_quarantine
from motionlab.data.motionmillion import motionmillion_splits
from motionlab.data.packed import Limits
from motionlab.data.splits import Clips, Splits
from motionlab.errors import InputError, printable
from motionlab.files.litter import sweep
from motionlab.jobs.artefacts import RECORD, difference, read_record, write_record
from motionlab.jobs.plain_folder import check_import, import_folder
from motionlab.jobs.run_folder import Run
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import cache_dir
from motionlab.text.cache import TextCache

_CAPTIONS = 1 << 16  # in memory together, while those are looked for that have no features yet


def check_data(config: RunConfig) -> None:
    """Raise an InputError, before anything is written, when the settings name motions that are not there."""
    data = config.data
    if data.source == "composed":
        return
    if data.path is None:
        raise InputError(
            "data.path",
            found="null",
            expected=f"the folder of {data.source}: its download, any part of it",
            fix="Add data.path=FOLDER; or train the same models on the bundled clips with data.source=composed.",
        )
    if not Path(data.path).is_dir():
        raise InputError(data.path, found="no such folder", expected="a folder of motions", fix="Check data.path.")


def prepare(config: RunConfig, processes: int = 1) -> Splits:
    """The motions of a run as splits: made, or opened when they were made before.

    Removes what killed processes left half-made in the cache.

    Raises:
        InputError: the motions are not there, cannot be read, or none of them can be used.
    """
    check_data(config)
    cache, data = cache_dir(), config.data
    sweep(cache, depth=2)
    if data.path is None or data.source == "composed":
        return build_corpus(config.corpus, processes=processes)
    folder = Path(data.path)
    check_import(folder)
    limits = Limits(
        data.min_frames,
        data.max_frames,
        captions=data.captions == "required",
        quarantine=read_quarantine(folder) if data.quarantine else {},
    )
    shares = Shares(data.validation_share, data.test_share, data.seed)
    if data.source == "motionmillion":
        splits = motionmillion_splits(folder, cache, limits, shares)
    elif is_imported(folder):
        splits = folder_splits(folder, cache, limits, shares)
    else:
        there = import_folder(folder, cache, processes)
        splits = folder_splits(
            there.folder, cache, limits, shares,
            captions=there.captions, name=f"folder {folder.name}", notes=there.notes,
        )  # fmt: skip
    return _with_window(splits, config.tokenizer.window)


def check_test_clips(config: RunConfig) -> None:
    """Raise an InputError when a composed corpus would hold nothing to score on; it is not made for that."""
    corpus = config.corpus
    if config.data.source == "composed" and not (corpus.n_seen_pairs or corpus.n_unseen_pairs or corpus.n_new_takes):
        raise InputError(
            "corpus.n_seen_pairs",
            found="0, as n_unseen_pairs and n_new_takes: no test clip",
            expected="at least one test clip, for the scores",
            fix="Raise one of the three; or train without scores: motionlab train tokenizer.",
        )


def check_tests(splits: Splits) -> None:
    """Raise an InputError when there is nothing to score on."""
    if not splits.tests:
        raise InputError(splits.name, found="no test split", expected="at least one", fix="Name clips to test on.")


def data_digest(config: RunConfig) -> str:
    """The digest of the motions that `prepare` would give; composed ones are not made for it."""
    return corpus_digest(config.corpus) if config.data.source == "composed" else prepare(config).digest


def describe_splits(splits: Splits) -> str:
    """One line a split, and for other motions than the composed ones how they came about."""
    lines = [
        f"{printable(name):<12} {len(clips):>6} clips {int(clips.lengths.sum()):>9} frames"
        for name, clips in splits.named().items()
    ]
    return "\n".join(lines if isinstance(splits, Corpus) else [*lines, printable(splits.note)])


def tell(splits: Splits) -> None:
    """Print what a person should know about motions that are not the bundled ones."""
    if splits.note:
        print(printable(f"{splits.name}: {splits.note}"), flush=True)


def _with_window(splits: Splits, window: int) -> Splits:
    """The same splits; their note says how many clips are shorter than a window of the tokenizer."""
    told = describe_short(splits.train.lengths, window)
    return replace(splits, note=f"{splits.note} {told}".strip()) if told else splits


def require_splits(run: Run, splits: Splits) -> None:
    """Make sure that a run was made from these motions, captions included. Nothing is written.

    Where the folder of the run has no record, its trainings have one. A run made before either was recorded is accepted
    when its normaliser is what these training clips give.

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
