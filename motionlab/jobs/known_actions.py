"""`known_captions.safetensors` of a run: what its training clips know, for sentences that a person asks for.

It is written when the captions of a run are encoded, before the decoder is trained, and by `motionlab evaluate`; its
header names the training clips and the text encoder that it is about. `generate` needs nothing else. A run that was
made before there was such a file gets one when its composed clips are still in the cache; for other motions
`motionlab generate --actions` makes it.

Of many captions a part stands for all: `MOST_CAPTIONS` whole ones, chosen by a hash, and the `MOST_PARTS` most frequent
parts of these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from motionlab.data.composed.corpus import corpus_digest
from motionlab.data.splits import Clips, Splits
from motionlab.errors import InputError, MissingExtra, printable
from motionlab.files.reading import refusing
from motionlab.jobs.prepare import check_captions, prepare, require_splits
from motionlab.jobs.run_folder import Run
from motionlab.motion.motion import Motion
from motionlab.runtime import cache_dir
from motionlab.text.cache import TextCache
from motionlab.text.caption_parts import action_parts, bare_action
from motionlab.text.known_captions import Comparison, KnownCaptions, Near, Vectors, blocks_of, write_known_captions
from motionlab.text.shard import encoded, keys_of

FILE = "known_captions.safetensors"
MOST_CAPTIONS, MOST_PARTS, MOST_ACTIONS = 1 << 18, 1 << 12, 1000
_AT_ONCE = 1024  # captions whose features are in memory
_PHRASES = 5  # shown of an action


@dataclass
class KnownAction:
    """An action of the training clips: its phrases, an example, how often it is done, and how long (frames)."""

    name: str
    phrases: list[str]
    example: str
    count: int
    shortest: int
    median: float
    longest: int


@dataclass(frozen=True)
class About:
    """The header of the file, without the numbers of `KnownCaptions`."""

    train: str
    encoder: str
    clips: int
    captions: int
    fps: float = Motion.fps
    actions: list[KnownAction] = field(default_factory=list)
    frequent: list[tuple[str, int]] = field(default_factory=list)


def sentence_vectors(text: TextCache) -> Vectors:
    """Sentences to unit vectors, float32 `[N, dim]`: the mean over the tokens of their cached features."""

    def vectors(sentences: Sequence[str]) -> np.ndarray:
        found = []
        for block in blocks_of(sentences, _AT_ONCE):
            found.append(text.features(block).sentences().numpy())
        return np.concatenate(found) if found else np.empty((0, text.dim), np.float32)

    return vectors


def record_known_captions(run: Run, splits: Splits) -> None:
    """Keep with the run what its training captions know, unless the file is there and about the same.

    Clips without any caption, which a decoder cannot learn from, leave no file.

    Raises:
        InputError: a caption that cannot be read, or the folder cannot be written.
    """
    path, train = run.folder / FILE, splits.train
    try:
        about = about_of(KnownCaptions(path, ""), path)
        if (about.train, about.encoder) == (train.digest, run.text.identity):
            return
    except InputError:
        pass  # none yet, or damaged: made again
    kept, total = _chosen(train)
    if not total:
        return
    counts = Counter(part for caption in kept for part in action_parts(caption))
    about = About(
        train=train.digest,
        encoder=run.text.identity,
        clips=len(train),
        captions=total,
        fps=train.fps,
        actions=_actions(train) if train.has_segments else [],
        frequent=counts.most_common(_PHRASES * 4),
    )
    parts = [part for part, _ in counts.most_common(MOST_PARTS)]
    write_known_captions(path, parts, blocks_of(kept, _AT_ONCE), sentence_vectors(run.text), asdict(about))


def open_known_captions(run: Run) -> KnownCaptions:
    """The file of a run; made now when it is missing and the composed clips of the run are in the cache.

    Raises:
        InputError: there is none, or it is damaged or about other clips or another text encoder; the message has the
            command that makes it.
    """
    path = run.folder / FILE
    if not path.is_file() and _in_cache(run):
        _make(run)
    fix = f"This makes it again, without training: {run.command_for_actions()}."
    if not path.is_file():
        raise InputError(path, found="no such file", expected="the captions that the run was trained on", fix=fix)
    known = KnownCaptions(path, fix)
    encoder = about_of(known, path).encoder
    if encoder != run.text.identity or known.vectors.shape[1] != run.text.dim:
        raise InputError(path, found=f"captions by text encoder {encoder[:8]}", expected=run.text.identity[:8], fix=fix)
    return known


def about_of(known: KnownCaptions, path: Path) -> About:
    """The header of the file."""
    with refusing(path, expected="a description of training captions", fix="Remove the file; it is made again."):
        return msgspec.convert(known.description, About)


def compare_captions(run: Run, captions: Sequence[str]) -> tuple[list[Comparison], str]:
    """How captions stand to those of the training; never an error, but a sentence that says why they are not compared.

    Returns:
        a comparison per caption and an empty text, or no comparison and the reason.
    """
    try:
        return open_known_captions(run).compare(captions, sentence_vectors(run.text)), ""
    except (InputError, MissingExtra) as error:
        return [], f"not compared with the training captions: {error}"


def warning(comparison: Comparison, command: str) -> str:
    """A line about the parts of a caption that are outside the training captions; empty when there are none."""
    unknown = comparison.unknown
    if not unknown:
        return ""
    told = "; ".join(f"{part.text!r} (nearest: {_named(part)})" for part in unknown)
    known = [part.text for part in comparison.parts if part not in unknown]
    rest = f" {', '.join(map(repr, known))} {'is' if len(known) == 1 else 'are'} known." if known else ""
    whole = comparison.whole.nearest[0][0]
    return (
        f"warning: no training caption is like {told}; similarity {comparison.threshold:.2f} or more counts as known."
        f"{rest} The motion shows something else there. Nearest training caption: {whole!r}, distance "
        f"{comparison.whole.distance:.2f}. All known actions: {command}"
    )


def describe_known(run_folder: str | Path) -> str:
    """`motionlab generate --actions`: the actions that the training clips of a run know, for a terminal.

    Raises:
        InputError: not a run, or its motions are not there any more and it does not hold their captions.
    """
    run = Run.open(run_folder)
    try:
        known = open_known_captions(run)
    except InputError:
        _make(run)
        known = open_known_captions(run)
    about = about_of(known, run.folder / FILE)
    if not about.actions:
        lines = [
            f"the {about.clips:,} training clips of {run.title} do not name their actions; the most frequent parts of "
            f"their {about.captions:,} captions:",
            *(f"  {count:>7,} times  {part}" for part, count in about.frequent),
            "captions, for example:",
            *(f"  {known.sentence(row)}" for row in _spread(known.n_parts, len(known), 5)),
        ]
        return "\n".join(map(printable, lines))
    lines = [f"{len(about.actions)} actions in the {about.clips:,} training clips of {run.title}:"]
    for action in about.actions:
        shortest, usual, longest = (frames / about.fps for frames in (action.shortest, action.median, action.longest))
        lines.append(
            f"{action.name:<18} {action.count:>6,} times, {shortest:.1f} to {longest:.1f} s, median {usual:.1f} s"
        )
        lines += [f"    phrases: {'; '.join(action.phrases)}", f"    caption: {action.example}"]
    return "\n".join(map(printable, lines))


def _make(run: Run) -> None:
    """Write the file of a finished run from its motions."""
    splits = prepare(run.config)
    require_splits(run, splits)
    check_captions(run, splits, "train")
    record_known_captions(run, splits)


def _in_cache(run: Run) -> bool:
    """Whether the composed clips of a run are there: opening them takes no time, making them would."""
    if run.config.data.source != "composed":
        return False
    return (cache_dir() / f"corpus-{corpus_digest(run.config.corpus)[:16]}" / "corpus.json").is_file()


def _chosen(clips: Clips) -> tuple[list[str], int]:
    """The captions that are kept, each once, in the order of the clips, and how many different ones there are.

    Of more than `MOST_CAPTIONS` those with the smallest keys, found in a second pass; only keys are in memory for it.
    """
    first, keys = list[str](), set[int]()
    for caption, key in _keyed(clips):
        if key not in keys:
            keys.add(key)
            if len(first) <= MOST_CAPTIONS:
                first.append(caption)
    if len(keys) <= MOST_CAPTIONS:
        return first, len(keys)
    kept = set(sorted(keys)[:MOST_CAPTIONS])
    captions = []
    for caption, key in _keyed(clips):
        if key in kept:
            kept.remove(key)
            captions.append(caption)
    return captions, len(keys)


def _keyed(clips: Clips) -> Iterator[tuple[str, int]]:
    """Every caption with its key of 64 bits."""
    for i in range(len(clips)):
        captions = clips.captions(i)
        yield from zip(captions, keys_of([encoded(text) for text in captions]).tolist(), strict=True)


def _actions(clips: Clips) -> list[KnownAction]:
    """The actions of clips with segments, the most frequent first; equal neighbours are one, as for the judge."""
    lengths: dict[str, list[int]] = {}
    phrases: dict[str, Counter[str]] = {}
    examples: dict[str, str] = {}
    for i in range(len(clips)):
        runs = [(name, list(some)) for name, some in groupby(clips.segments(i), lambda segment: segment.action)]
        alone = len(runs) == 1
        captions = clips.captions(i) if alone or not all(name in examples for name, _ in runs) else []
        for name, some in runs:
            lengths.setdefault(name, []).append(some[-1].stop - some[0].start)
            told = phrases.setdefault(name, Counter())
            if alone:  # the whole caption is about this action
                told.update(map(bare_action, captions))
                examples[name] = captions[0]
            elif not told:
                told.update([some[0].phrase])
            if name not in examples:
                examples[name] = captions[0]
    names = sorted(lengths, key=lambda name: (-len(lengths[name]), name))[:MOST_ACTIONS]
    return [
        KnownAction(
            name, [phrase for phrase, _ in phrases[name].most_common(_PHRASES)], examples[name], len(lengths[name]),
            min(lengths[name]), float(median(lengths[name])), max(lengths[name]),
        )
        for name in names
    ]  # fmt: skip


def _named(part: Near) -> str:
    return ", ".join(f"{text!r} {cosine:.2f}" for text, cosine in part.nearest)


def _spread(start: int, stop: int, count: int) -> list[int]:
    """`count` numbers from `start` to `stop` at even distances."""
    return sorted(set(np.linspace(start, stop - 1, count).astype(int).tolist()))
