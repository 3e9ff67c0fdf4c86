"""The composed corpus: thousands of clips made from a few dozen real ones.

131 seconds of real motion are too few to show generalisation. So a seeded generator joins one to three real clips,
repeats those that loop, changes their speed, mirrors the result with some probability, and writes the captions from
the phrases of the actions. It can teach how known actions combine; it has no action that the samples lack.

Which clip becomes what, and how the splits differ, is decided in `plan.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from torch import Tensor

from motionlab import runtime
from motionlab.config import CorpusConfig
from motionlab.data.building import building
from motionlab.data.clip import Clip, Segment
from motionlab.data.composed.captions import compose_captions
from motionlab.data.composed.join import Track, join_tracks
from motionlab.data.composed.mirrored_words import mirror_words, side
from motionlab.data.composed.plan import APART, Plan, Planner, usable_samples, why_unmirrored
from motionlab.data.composed.samples import Sample, load_samples
from motionlab.data.composed.together import Library, join_together
from motionlab.data.splits import Clips, Splits
from motionlab.data.store import MotionStore
from motionlab.data.store_files import pack
from motionlab.errors import InputError
from motionlab.files.records import read_record, write_record
from motionlab.interrupt import end_with_parent, quiet_tracker
from motionlab.motion.motion import Motion
from motionlab.motion.transforms import mirror

# Raise this number when the same settings give other bytes than before: old caches are then not used.
FORMAT = 3
# Three are enough to show paraphrases; each further one costs the text encoder a third of its time.
CAPTIONS_PER_CLIP = 3
NOTE = (
    "Clips are composed from a few minutes of real motion capture: joined, mirrored and re-timed. "
    "Tests are made from takes that training never saw: seen_pairs are sequences of actions that training has seen, "
    "unseen_pairs have a pair that it never saw, new_takes are single actions. Actions that were recorded once are "
    "tested apart (_one_take): training knows their real motions. Nothing here says anything about other actions."
)
_PLANS_AT_ONCE = 100
# For each process. To start one (it imports torch) took as much time as to compose 800 clips.
_FEWEST_PLANS = 2000
_PLANS_TOGETHER = 12  # whose frames are in one tensor; with more, it leaves the processor's cache
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Note:
    """The part of `corpus.json` that is read again; the settings stand there for people."""

    digest: str  # of settings and samples
    actions: list[str]
    takes: dict[str, list[str]]
    splits: list[str]


@dataclass(frozen=True, kw_only=True)
class Corpus(Splits):
    """The composed splits, each a `MotionStore`; the labels that occur in them; and which takes are on which side.

    Fields:
        takes: "train", "validation" and "test" to names of bundled samples. The rest of the takes of validation clips
            are those of training.
    """

    actions: tuple[str, ...]
    takes: Mapping[str, Sequence[str]]
    folder: Path

    @property
    def seen_pairs(self) -> Clips:
        """Sequences of actions that training has seen, by takes that it has not seen."""
        return self.tests["seen_pairs"]

    @property
    def unseen_pairs(self) -> Clips:
        """Sequences with a pair of actions that training never saw, by takes that it has not seen."""
        return self.tests["unseen_pairs"]

    @property
    def new_takes(self) -> Clips:
        """Single actions, by takes that training has not seen."""
        return self.tests["new_takes"]


def compose(plan: Plan, blend_frames: int, tracks: dict[str, Track] | None = None) -> Clip:
    """Make one clip: resample, repeat, join, mirror, write captions and segments. (`build_corpus` makes many at once.)

    Args:
        tracks: samples that were taken apart before, by name; filled while it is used, so pass the same dictionary
            for many clips.
    """
    tracks = {} if tracks is None else tracks
    pieces: list[Track] = []
    firsts: list[int] = []
    for step in plan.steps:
        firsts.append(len(pieces))
        name = step.sample.name
        if name not in tracks:
            # float64, so that rounding to float16 gives the same bytes whatever the number of threads.
            tracks[name] = Track.of(step.sample.motion.features.double())
        pieces += [tracks[name].resampled(step.speed)] * step.repeats
    joined, begins = join_tracks(pieces, blend_frames)
    values = mirror(joined.features()) if plan.mirrored else joined.features()
    return _finished(plan, values, [begins[first] for first in firsts])


def _finished(plan: Plan, values: Tensor, starts: Sequence[int]) -> Clip:
    """The clip of a plan: its features with captions and segments; `starts` says at which frame each step begins."""
    phrases = [_plain_phrases(step.sample) for step in plan.steps]
    captions = compose_captions(phrases, np.random.default_rng(plan.seed), CAPTIONS_PER_CLIP, plan.mirrored)
    segments = [
        Segment(
            action=side(step.sample.action, plan.mirrored),
            phrase=side(step.sample.phrase, plan.mirrored),
            start=start,
            stop=stop,
            mirrored=plan.mirrored,
            speed=step.speed,
            sample=step.sample.name,
        )
        for step, start, stop in zip(plan.steps, starts, [*starts[1:], len(values)], strict=True)
    ]
    return Clip(plan.name, Motion(values.float(), name=plan.name), captions, segments)


def build_corpus(
    settings: CorpusConfig,
    folder: str | Path | None = None,
    *,
    samples: Sequence[Sample] | None = None,
    hard_heading: bool = False,
    processes: int = 1,
) -> Corpus:
    """Build the corpus, or open it if the same one was built before.

    Args:
        settings: numbers of clips, lengths, blending, seed.
        folder: where to put it; by default `corpus-<hash>` in the cache folder, where the hash covers settings,
            samples and the format of this file.
        samples: the real clips; by default the bundled ones.
        hard_heading: take in clips whose heading is singular somewhere.
        processes: how many compose clips in parallel; the bytes are the same. With 2 or more, a script must call this
            below `if __name__ == "__main__":`, because each new process imports the script again.

    Raises:
        InputError: settings that cannot be met, samples that are damaged, or a folder that cannot be written.
    """
    chosen = usable_samples(load_samples() if samples is None else samples, hard_heading)
    for sample in chosen if settings.mirror_probability > 0 else ():
        if reason := why_unmirrored(sample):
            _log.warning("No clip with sample %s is mirrored: %s may or may not be a side.", sample.name, reason)
    digest = _digest(settings, chosen)
    target = runtime.cache_dir() / f"corpus-{digest[:16]}" if folder is None else Path(folder)
    if target.exists():
        try:
            return _open(target, digest)
        except InputError as problem:
            if folder is not None and not (target / "corpus.json").is_file() and any(target.iterdir()):
                raise InputError(
                    target, found="other files", expected="a corpus or an empty folder", fix="Choose another folder."
                ) from problem
            _log.warning("The corpus is built again, because: %s", problem)
    planner = Planner(settings, chosen)
    plans = planner.plan()
    actions = sorted({action for split in plans.values() for plan in split for action in plan.actions})
    with building(target) as temporary, runtime.one_thread():
        for split, some in plans.items():
            if some:
                (temporary / split).mkdir()
                pack(temporary / split, _composed(some, settings.blend_frames, processes))
        kept = {"actions": actions, "takes": planner.takes.names, "splits": [name for name in plans if plans[name]]}
        note = {"digest": digest, "settings": dataclasses.asdict(settings), **kept}
        write_record(temporary / "corpus.json", note)
    return _open(target, digest)


def corpus_digest(settings: CorpusConfig) -> str:
    """The digest of the corpus that `build_corpus` would make from the samples that are here now; nothing is made."""
    return _digest(settings, usable_samples(load_samples()))


def _composed(plans: Sequence[Plan], blend_frames: int, processes: int) -> Iterator[Clip]:
    """The clips of the plans, in their order."""
    blocks = [plans[start : start + _PLANS_AT_ONCE] for start in range(0, len(plans), _PLANS_AT_ONCE)]
    if processes < 2 or len(plans) < _FEWEST_PLANS * processes:
        yield from _compose_block(plans, blend_frames)
        return
    # spawn, not fork: a forked process inherits torch's thread pool without its threads and can hang.
    quiet_tracker()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_begin_process) as pool:
        for block in pool.map(_compose_block, blocks, itertools.repeat(blend_frames)):
            yield from block


def _begin_process() -> None:
    end_with_parent()
    runtime.set_threads(1)


def _compose_block(plans: Sequence[Plan], blend_frames: int) -> list[Clip]:
    samples = {step.sample.name: step.sample for plan in plans for step in plan.steps}
    library = Library({name: Track.of(sample.motion.features.double()) for name, sample in samples.items()})
    clips: list[Clip] = []
    for start in range(0, len(plans), _PLANS_TOGETHER):
        some = plans[start : start + _PLANS_TOGETHER]
        for plan, (values, starts) in zip(some, join_together(some, library, blend_frames), strict=True):
            values = values.float()
            clips.append(_finished(plan, mirror(values) if plan.mirrored else values, starts))
    return clips


def _plain_phrases(sample: Sample) -> list[str]:
    """Without those that read like a list of actions ("jumps, spins and kicks"): in a list they would be ambiguous."""
    return [phrase for phrase in sample.phrases if "," not in phrase] or list(sample.phrases)


def _open(folder: Path, digest: str) -> Corpus:
    path = folder / "corpus.json"
    fix = "Delete the folder; it is built again."
    note = read_record(path, Note, expected="the description of a corpus", fix=fix)
    if note.digest != digest:
        raise InputError(path, found=f"hash {note.digest[:16]}", expected=f"{digest[:16]} (other settings)", fix=fix)
    stores = {split: MotionStore.open(folder / split) for split in note.splits}
    train, validation = stores.pop("train"), stores.pop("validation")
    apart = tuple(name for name in APART if name in stores)
    return Corpus(
        "composed", train, validation, stores, NOTE, apart,
        actions=tuple(note.actions), takes=note.takes, folder=folder,
    )  # fmt: skip


def _digest(settings: CorpusConfig, samples: Sequence[Sample]) -> str:
    """Everything that the bytes of the corpus depend on."""
    digest = hashlib.sha256(json.dumps([FORMAT, dataclasses.asdict(settings)], sort_keys=True).encode())
    for sample in samples:
        facts = [sample.name, sample.action, list(sample.phrases), sample.looping, sample.motion.fps]
        in_the_mirror = [mirror_words(text) for text in (sample.action, *sample.phrases)]
        if any(words.kept or words.unsure for words in in_the_mirror):  # by rules that an older corpus did not have
            facts.append([words.text for words in in_the_mirror])
        digest.update(json.dumps(facts).encode())
        digest.update(sample.motion.features.numpy().tobytes())
    return digest.hexdigest()
