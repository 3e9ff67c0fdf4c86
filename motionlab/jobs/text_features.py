"""Encode many captions before a training: once each, in processes of this machine or over a cluster.

Workers write what they have encoded into the folder of the features, which all of them see, at least every half minute.
Nothing large goes through an engine, and a start after a kill encodes what is missing.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch

from motionlab.config import RunConfig, TextConfig
from motionlab.data.splits import Splits
from motionlab.errors import InputError
from motionlab.jobs.engines import map_parts
from motionlab.jobs.run_folder import Run
from motionlab.progress_bar import Kind, Tally, progress_kind, say
from motionlab.runtime import cache_dir, choose_device
from motionlab.text.cache import TextCache
from motionlab.text.load import EncoderSettings

_WINDOW = 1 << 18  # captions in memory at once
_PART = 2048  # captions that a worker gets at a time, at most
_WORTH_A_PROCESS = 1024  # new captions


@dataclass(frozen=True)
class Part:
    """Captions for one worker, and how to encode them."""

    folder: str
    settings: EncoderSettings
    threads: int | None  # of the worker; None leaves them as they are
    captions: tuple[str, ...]


def encoder_settings(config: TextConfig, device: str = "cpu") -> EncoderSettings:
    """The encoder of a config."""
    return EncoderSettings(config.encoder, config.folder, config.max_tokens, config.pooled, device)


def encode_many(
    captions: Iterable[str],
    folder: str | Path,
    settings: EncoderSettings,
    *,
    engine: str = "local",
    workers: int = 1,
    address: str | None = None,
    on_part: Callable[[int], None] | None = None,
) -> int:
    """Encode the captions that are not kept in `folder` yet; how many there were.

    The features are the same, whichever engine and however many workers encode them; workers compute with one thread
    each, and another number of threads may give other last bits.

    Args:
        captions: any number; a quarter of a million is in memory at a time.
        folder: of all encoders, as for `TextCache`. Workers on other machines have to see it under the same name.
        engine, workers, address: as for `map_parts`.
        on_part: is told after each part how many captions were encoded since the start.

    Raises:
        InputError: a caption that the encoder cannot read; the encoder or the engine is not there. Features made
            until then are kept.
        MissingExtra: the engine or transformers is not installed.
    """
    cache = TextCache(folder, settings.load())
    alone = engine == "local" and workers == 1
    place, threads = str(Path(folder).absolute()), None if alone else 1

    def parts() -> Iterator[Part]:
        captions_left = iter(captions)
        while window := list(islice(captions_left, _WINDOW)):
            missing = sorted(cache.missing(window), key=len)
            size = max(1, min(_PART, -(-len(missing) // workers)))
            for start in range(0, len(missing), size):
                yield Part(place, settings, threads, tuple(missing[start : start + size]))

    def here(part: Part) -> int:
        cache.encode(part.captions)
        return len(part.captions)

    done = 0
    for count in map_parts(here if alone else encode_part, parts(), engine=engine, workers=workers, address=address):
        done += count
        if on_part is not None:
            on_part(done)
    return done


def encode_ahead(run: Run, splits: Splits, processes: int) -> None:
    """Encode the captions of the splits of a run in several processes of this machine, when that saves time.

    Encoded later, in one process with two threads, they take nearly twice as long: 600 captions took 3.4 s with two
    threads and 4.2 s with one. Nothing is done for few new captions, since a process takes seconds to begin, or for
    another encoder, of which each process would hold a copy. A caption that cannot be read is left for
    `check_captions`, which says whose it is.
    """
    if run.config.text.encoder != "minilm" or choose_device(run.config.device).value != "cpu":
        return
    every = chain.from_iterable(clips.captions(i) for clips in splits.named().values() for i in range(len(clips)))
    captions = list(islice(every, _WINDOW))
    workers = min(processes, len(run.text.missing(captions)) // _WORTH_A_PROCESS)
    if workers > 1:
        with contextlib.suppress(InputError):
            encode_many(captions, cache_dir() / "text", encoder_settings(run.config.text), workers=workers)


def encode_part(part: Part) -> int:
    """Encode some captions in a worker and keep their features; how many there were."""
    if part.threads is not None:
        torch.set_num_threads(part.threads)
    cache = _cache(part.folder, part.settings)
    missing = cache.missing(part.captions)  # the first try of a part may have ended in the middle
    if missing:
        cache.encode(missing)
    return len(part.captions)


@functools.lru_cache(maxsize=1)
def _cache(folder: str, settings: EncoderSettings) -> TextCache:
    """The encoder of a worker, which is loaded once."""
    return TextCache(folder, settings.load())


def encode_splits(
    config: RunConfig, splits: Splits, *, engine: str = "local", workers: int = 1, address: str | None = None
) -> tuple[int, int]:
    """Encode all captions of the motions of a run; how many different captions are new, and how many clips there are.

    On the device of the config, as the models; several workers share it.

    Raises:
        InputError: as `encode_many`, or a clip without captions.
    """
    splits.require_captions(*splits.named())
    once = {split.digest: split for split in splits.named().values()}.values()  # few takes: splits share their clips
    clips = sum(map(len, once))
    total = sum(len(split.captions(i)) for split in once for i in range(len(split)))
    captions = (caption for split in once for i in range(len(split)) for caption in split.captions(i))
    kind: Kind = progress_kind(sys.stderr)
    say(f"{clips:,} clips with {total:,} captions; those that are kept already are left out", kind)
    with Tally("encoding", total, "caption", kind) as tally:
        done = encode_many(
            captions,
            cache_dir() / "text",
            encoder_settings(config.text, choose_device(config.device).value),
            engine=engine,
            workers=workers,
            address=address,
            on_part=tally.update,
        )
    return done, clips
