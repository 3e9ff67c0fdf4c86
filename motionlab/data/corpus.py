"""The composed corpus: thousands of clips made from a few dozen real ones.

131 seconds of real motion are too few to show generalisation. So a seeded generator joins one to three real clips,
repeats those that loop, changes their speed, mirrors the result with some probability, and writes the captions from
the phrases of the actions. What it can teach is how known actions combine; it holds no action that the samples do not.

Splits, by the ordered tuple of actions ("combination"):

* `train`;
* `test_seen`: new clips of combinations that occur in train;
* `test_unseen`: combinations with a neighbouring pair of actions that never occurs in train, neither alone nor inside
  a longer combination, although each single action does. Held-out pairs come with their mirror images.

Clips whose pelvis points straight up or down somewhere (`hard_heading`: roll, crawl, backflip, spin, some get-ups)
are left out by default: their heading jumps by up to 146 degrees in one frame, which decodes exactly but puts outliers
into two of the 272 features. `hard_heading=True` takes them in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motionlab import runtime
from motionlab.config import CorpusConfig
from motionlab.data.captions import compose_captions, mirror_caption
from motionlab.data.join import Track, join_tracks
from motionlab.data.samples import Sample, load_samples
from motionlab.data.store import Clip, MotionStore, Segment, building, pack
from motionlab.errors import InputError
from motionlab.motion.motion import Motion
from motionlab.motion.transforms import mirror

# Raise this number when the same settings give other bytes than before: old caches are then left alone.
FORMAT = 1
SPLITS = ("train", "test_seen", "test_unseen")
# Poses that may follow each other; the others ("raised", "hang", "lie", "ground") are left out because few clips begin
# in them, so combinations with them could not be held out.
UPRIGHT = frozenset({"stand", "fight"})
# Turning and walking a few steps cannot be told from "turns left, then walks", so its captions would be ambiguous.
AMBIGUOUS = frozenset({"walk_around"})
HELD_OUT_SHARE = 0.15
# Three are enough to show paraphrases; each further one costs the text encoder a third of its time.
CAPTIONS_PER_CLIP = 3
# How often a clip has one, two, three, ... actions.
_COUNT_WEIGHTS = (0.25, 0.45, 0.30)
# A looping sample is repeated until it lasts about this many frames.
_LOOP_FRAMES = (40, 110)
_MAX_TRIES = 2000

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """Three stores and the labels that occur in them."""

    train: MotionStore
    test_seen: MotionStore
    test_unseen: MotionStore
    actions: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Step:
    """One action of a composed clip."""

    sample: Sample
    speed: float = 1.0
    repeats: int = 1

    @property
    def frames(self) -> int:
        """Frames after the change of speed, all repeats."""
        once = int((len(self.sample.motion) - 1) / self.speed + 1e-6) + 1
        return (once - 1) * self.repeats + 1


@dataclass(frozen=True)
class Plan:
    """What a clip will be, before any motion is touched."""

    name: str
    steps: tuple[Step, ...]
    mirrored: bool
    seed: tuple[int, ...]

    @property
    def frames(self) -> int:
        return 1 + sum(step.frames - 1 for step in self.steps)

    @property
    def actions(self) -> tuple[str, ...]:
        """Labels as they are seen in the finished clip."""
        return tuple(_side(step.sample.action, self.mirrored) for step in self.steps)


def compose(plan: Plan, blend_frames: int, tracks: dict[str, Track] | None = None) -> Clip:
    """Make one clip: resample, repeat, join, mirror, write captions and segments.

    Args:
        tracks: samples that were taken apart before, by name; filled while it is used, so hand in the same dictionary
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
    phrases = [_plain_phrases(step.sample) for step in plan.steps]
    captions = compose_captions(phrases, np.random.default_rng(plan.seed), CAPTIONS_PER_CLIP, plan.mirrored)
    starts = [begins[first] for first in firsts]
    segments = [
        Segment(
            action=_side(step.sample.action, plan.mirrored),
            phrase=_side(step.sample.phrase, plan.mirrored),
            start=start,
            stop=stop,
            mirrored=plan.mirrored,
            speed=step.speed,
            sample=step.sample.name,
        )
        for step, start, stop in zip(plan.steps, starts, [*starts[1:], len(values)], strict=True)
    ]
    return Clip(plan.name, Motion(values.float(), name=plan.name), captions, segments)


def usable_samples(samples: Sequence[Sample], hard_heading: bool = False) -> list[Sample]:
    """The samples that the corpus is made from: upright at both ends, unambiguous, by default with an easy heading."""
    return [
        sample
        for sample in samples
        if {sample.start_pose, sample.end_pose} <= UPRIGHT
        and sample.action not in AMBIGUOUS
        and (hard_heading or not sample.hard_heading)
    ]


def plan_corpus(settings: CorpusConfig, samples: Sequence[Sample]) -> dict[str, list[Plan]]:
    """Decide every clip of every split. Pure: the same settings and samples give the same plans.

    Raises:
        InputError: the settings leave too few combinations.
    """
    planner = _Planner(settings, samples)
    train = planner.train()
    known = {plan.actions for plan in train}
    return {"train": train, "test_seen": planner.seen(known), "test_unseen": planner.unseen(known)}


def build_corpus(
    settings: CorpusConfig,
    folder: str | Path | None = None,
    *,
    samples: Sequence[Sample] | None = None,
    hard_heading: bool = False,
) -> Corpus:
    """Build the corpus, or open it if the same one was built before.

    Args:
        settings: numbers of clips, lengths, blending, seed.
        folder: where to put it; by default `corpus-<hash>` in the cache folder, where the hash covers settings,
            samples and the format of this file.
        samples: the real clips; by default the bundled ones.
        hard_heading: take in clips whose heading is singular somewhere.

    Raises:
        InputError: settings that cannot be met, samples that are damaged, or a folder that cannot be written.
    """
    chosen = usable_samples(load_samples() if samples is None else samples, hard_heading)
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
    plans = plan_corpus(settings, chosen)
    actions = sorted({action for split in plans.values() for plan in split for action in plan.actions})
    with building(target) as temporary:
        for split in SPLITS:
            (temporary / split).mkdir()
            pack(temporary / split, _composed(plans[split], settings.blend_frames))
        note = {"digest": digest, "settings": dataclasses.asdict(settings), "actions": actions}
        (temporary / "corpus.json").write_text(json.dumps(note, indent=1), encoding="utf-8")
    return _open(target, digest)


class _Planner:
    """Draws plans. Every clip has its own generator, so adding clips to one split changes no other clip."""

    def __init__(self, settings: CorpusConfig, samples: Sequence[Sample]) -> None:
        self.settings = settings
        self.takes: dict[str, list[Sample]] = {}  # by action as recorded
        for sample in samples:
            self.takes.setdefault(sample.action, []).append(sample)
        self.actions = sorted(self.takes)
        if len(self.actions) < 2 or settings.max_actions < 2:
            raise InputError(
                "corpus",
                found=f"{len(self.actions)} usable actions and max_actions {settings.max_actions}",
                expected="at least 2 of both, or no combination can be held out",
                fix="Use more samples or raise max_actions.",
            )
        self.held_out = self._hold_out()

    def train(self) -> list[Plan]:
        return self._split("train", self.settings.n_train, lambda plan: not self._has_held_out(plan.actions))

    def seen(self, known: set[tuple[str, ...]]) -> list[Plan]:
        return self._split("test_seen", self.settings.n_test_seen, lambda plan: plan.actions in known, sorted(known))

    def unseen(self, known: set[tuple[str, ...]]) -> list[Plan]:
        trained = {action for actions in known for action in actions}

        def wanted(plan: Plan) -> bool:
            return self._has_held_out(plan.actions) and trained.issuperset(plan.actions)

        return self._split("test_unseen", self.settings.n_test_unseen, wanted)

    def _split(
        self,
        split: str,
        count: int,
        wanted: Callable[[Plan], bool],
        combinations: list[tuple[str, ...]] | None = None,
    ) -> list[Plan]:
        plans = []
        for number in range(count):
            seed = (self.settings.seed, SPLITS.index(split), number)
            generator = np.random.default_rng(seed)
            # Each action in turn must occur, so that all are trained, and about equally often.
            required = self.actions[number % len(self.actions)] if split == "train" else None
            for _ in range(_MAX_TRIES):
                plan = self._draw(f"{split}-{number:05d}", seed, generator, required, combinations)
                if plan is not None and wanted(plan):
                    plans.append(plan)
                    break
            else:
                raise InputError(
                    f"corpus {split}",
                    found=f"no clip after {_MAX_TRIES} tries (number {number}, with {required or 'any action'})",
                    expected=f"clips of {self.settings.min_frames} to {self.settings.max_frames} frames",
                    fix="Widen min_frames and max_frames, or raise n_train so that more combinations are known.",
                )
        return plans

    def _draw(
        self,
        name: str,
        seed: tuple[int, ...],
        generator: np.random.Generator,
        required: str | None,
        combinations: list[tuple[str, ...]] | None,
    ) -> Plan | None:
        settings = self.settings
        mirrored = bool(generator.random() < settings.mirror_probability)
        if combinations is None:
            weights = np.array([_COUNT_WEIGHTS[min(n, 2)] for n in range(settings.max_actions)])
            count = 1 + int(generator.choice(len(weights), p=weights / weights.sum()))
            labels = [self.actions[int(i)] for i in generator.integers(len(self.actions), size=count)]
            if required is not None:
                labels[int(generator.integers(count))] = required
        else:  # labels of finished clips; go back to what was recorded
            labels = [_side(label, mirrored) for label in combinations[int(generator.integers(len(combinations)))]]
        if any(first == second for first, second in zip(labels, labels[1:], strict=False)):
            return None  # "walks, then walks" is one longer walk
        if not all(label in self.takes for label in labels):
            return None  # the mirror image of an action that is not in the samples
        steps = []
        for label in labels:
            takes = self.takes[label]
            sample = takes[int(generator.integers(len(takes)))]
            speed = round(float(generator.uniform(settings.speed_min, settings.speed_max)), 3)
            target, repeats = int(generator.integers(*_LOOP_FRAMES)), 1
            if sample.looping:
                repeats = max(1, round(target * speed / (len(sample.motion) - 1)))
            steps.append(Step(sample, speed, repeats))
        plan = Plan(name, tuple(steps), mirrored, seed)
        return plan if settings.min_frames <= plan.frames <= settings.max_frames else None

    def _hold_out(self) -> set[tuple[str, str]]:
        """Ordered pairs of actions that training must not see, closed under mirroring."""
        labels = sorted({*self.actions, *(_side(action, True) for action in self.actions)})
        pairs = [(first, second) for first in labels for second in labels if first != second]
        generator = np.random.default_rng((self.settings.seed, len(SPLITS)))
        wanted = max(1, round(HELD_OUT_SHARE * len(pairs)))
        held_out: set[tuple[str, str]] = set()
        for number in generator.permutation(len(pairs)):
            if len(held_out) >= wanted:
                break
            first, second = pairs[int(number)]
            held_out |= {(first, second), (_side(first, True), _side(second, True))}
        return held_out

    def _has_held_out(self, actions: tuple[str, ...]) -> bool:
        return any(pair in self.held_out for pair in zip(actions, actions[1:], strict=False))


def _composed(plans: Sequence[Plan], blend_frames: int) -> Iterator[Clip]:
    tracks: dict[str, Track] = {}
    return (compose(plan, blend_frames, tracks) for plan in plans)


def _plain_phrases(sample: Sample) -> list[str]:
    """Without those that read like a list of actions ("jumps, spins and kicks"): in a list they would be ambiguous."""
    return [phrase for phrase in sample.phrases if "," not in phrase] or list(sample.phrases)


def _side(text: str, mirrored: bool) -> str:
    return mirror_caption(text) if mirrored else text


def _open(folder: Path, digest: str) -> Corpus:
    path = folder / "corpus.json"
    fix = "Delete the folder; it is built again."
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        found, actions = note["digest"], tuple(note["actions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(path, found=f"no description of a corpus ({error})", expected="one", fix=fix) from error
    if found != digest:
        raise InputError(path, found=f"hash {found[:16]}", expected=f"{digest[:16]} (other settings)", fix=fix)
    train, seen, unseen = (MotionStore.open(folder / split, verify=True) for split in SPLITS)
    return Corpus(train, seen, unseen, actions, folder)


def _digest(settings: CorpusConfig, samples: Sequence[Sample]) -> str:
    """What the bytes of the corpus depend on."""
    digest = hashlib.sha256(json.dumps([FORMAT, dataclasses.asdict(settings)], sort_keys=True).encode())
    for sample in samples:
        facts = (sample.name, sample.action, list(sample.phrases), sample.looping, sample.motion.fps)
        digest.update(json.dumps(facts).encode())
        digest.update(sample.motion.features.numpy().tobytes())
    return digest.hexdigest()
