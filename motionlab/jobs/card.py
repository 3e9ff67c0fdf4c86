"""The card of a data source: how much there is, of what, and what is missing, as text, JSON and one HTML page.

It describes the motions that a run with these settings would be made from: what is left out is counted with its reason.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.config import RunConfig
from motionlab.data.splits import Clips, Splits
from motionlab.data.takes import take_of
from motionlab.errors import printable
from motionlab.files import write_text
from motionlab.jobs.page_language import spoken
from motionlab.jobs.prepare import prepare
from motionlab.jobs.report import table
from motionlab.motion.audit import first_frame_jump
from motionlab.motion.features import decode_positions
from motionlab.text.action_types import action_types, words_of

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
STILL = 0.05  # m/s; a clip is static when its joints are slower on average, which is the sway of a person who stands
JUMP = 1.0  # m/s by which the first step is faster than the next ones
TAXONOMY = (
    "Action types are counted by a table of English words (motionlab/text/action_types.py): a clip counts for every "
    "type that at least half of its captions name, so shares may add up to more than 100 %."
)


@dataclass(frozen=True)
class SplitCard:
    """The numbers of one split.

    Fields:
        seconds: quantiles 0, 5, 25, 50, 75, 95 and 100 % of the lengths of clips.
        captions: the same of the captions of a clip; words: of the words of a caption.
        uncaptioned: clips without text. vocabulary: different words.
        actions: category -> clips. unnamed: clips with captions of no category.
        static: share of the clips in which hardly anything moves. jumps: clips whose first frame jumps.
        takes: recordings, as far as they are known. mirrored: clips whose name or parts say that they are mirrored.
    """

    clips: int
    hours: float
    fps: float
    takes: int
    mirrored: int
    seconds: list[float]
    captions: list[float]
    words: list[float]
    uncaptioned: int
    vocabulary: int
    actions: dict[str, int]
    unnamed: int
    static: float
    jumps: int


def write_card(config: RunConfig, out: str | Path | None = None) -> str:
    """Describe the motions of a config; return the text, and write `card.json` and `card.html` into `out`."""
    splits = prepare(config)
    cards = {name: describe(clips) for name, clips in splits.named().items() if len(clips)}
    if out is not None:
        values = {
            "name": splits.name,
            "note": splits.note,
            "digest": splits.digest,
            "taxonomy": TAXONOMY,
            "splits": {name: asdict(card) for name, card in cards.items()},
        }
        write_text(Path(out) / "card.json", json.dumps(values, indent=1, ensure_ascii=False) + "\n")
        write_text(Path(out) / "card.html", spoken(_html(splits, cards)))
    return _text(splits, cards)


def describe(clips: Clips) -> SplitCard:
    """The numbers of some clips; one clip is in memory at a time."""
    captions, lengths = [], []
    takes, words, actions = set[str](), Counter[str](), Counter[str]()
    uncaptioned = unnamed = still = jumps = mirrored = 0
    for i in range(len(clips)):
        texts, name = clips.captions(i), clips.name(i)
        captions.append(len(texts))
        parts = clips.segments(i)  # of the composed motions
        takes.update({part.sample for part in parts} or {clips.source(i) or name})
        mirrored += take_of(name) != name or any(part.mirrored for part in parts)
        named = Counter[str]()
        for text in texts:
            found = words_of(text)
            lengths.append(len(found))
            words.update(found)
            named.update(action_types(text))
        kinds = [kind for kind, count in named.items() if 2 * count >= len(texts)]
        actions.update(kinds)
        uncaptioned += not texts
        unnamed += bool(texts) and not kinds
        joints = decode_positions(clips.features(i))  # [T, 22, 3]
        still += float(joints.diff(dim=0).norm(dim=-1).mean()) * clips.fps < STILL
        jumps += first_frame_jump(joints, clips.fps) > JUMP
    return SplitCard(
        clips=len(clips),
        hours=float(clips.lengths.sum()) / clips.fps / 3600,
        fps=clips.fps,
        takes=len(takes),
        mirrored=mirrored,
        seconds=_quantiles(np.asarray(clips.lengths) / clips.fps),
        captions=_quantiles(captions),
        words=_quantiles(lengths),
        uncaptioned=uncaptioned,
        vocabulary=len(words),
        actions=dict(actions.most_common()),
        unnamed=unnamed,
        static=still / len(clips),
        jumps=jumps,
    )


def _quantiles(values: Sequence[float] | np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in np.quantile(values, QUANTILES)] if len(values) else []


def _tables(splits: Splits, cards: Mapping[str, SplitCard]) -> list[dict[str, Any]]:
    """The rows of both the text and the page."""
    head = ["", *cards]

    def row(label: str, show: Any) -> list[str]:
        return [label, *(show(card) for card in cards.values())]

    size = [
        row("clips", lambda card: f"{card.clips:,}"),
        row("length", lambda card: _duration(card.hours)),
        row("frames a second", lambda card: f"{card.fps:g}"),
        row("takes", lambda card: f"{card.takes:,}"),
        row("mirrored, in part or whole", lambda card: f"{card.mirrored:,}"),
        row("seconds: shortest, 5 %, median, 95 %, longest", lambda card: _five(card.seconds)),
        row("static clips", lambda card: f"{card.static:.1%}"),
        row("clips whose first frame jumps", lambda card: f"{card.jumps:,}"),
    ]
    text = [
        row("captions a clip: least, 5 %, median, 95 %, most", lambda card: _five(card.captions)),
        row("clips without text", lambda card: f"{card.uncaptioned:,}"),
        row("words a caption: least, 5 %, median, 95 %, most", lambda card: _five(card.words)),
        row("different words", lambda card: f"{card.vocabulary:,}"),
    ]
    kinds = sorted({kind for card in cards.values() for kind in card.actions}, key=lambda kind: -_count(cards, kind))
    types = [row(kind, lambda card, kind=kind: _share(card.actions.get(kind, 0), card)) for kind in kinds]
    types.append(row("none of these", lambda card: _share(card.unnamed, card)))
    return [table(head, size, "Motions"), table(head, text, "Captions"), table(head, types, "Action types")]


def _count(cards: Mapping[str, SplitCard], kind: str) -> int:
    return sum(card.actions.get(kind, 0) for card in cards.values())


def _share(count: int, card: SplitCard) -> str:
    return f"{count:,} ({count / card.clips:.0%})"


def _five(values: Sequence[float]) -> str:
    return ", ".join(f"{values[at]:.3g}" for at in (0, 1, 3, 5, 6)) if values else "-"


def _duration(hours: float) -> str:
    """Hours, or minutes or seconds where there is less than one of them.

    >>> _duration(2.371), _duration(0.073), _duration(0.005)
    ('2.37 h', '4.4 min', '18 s')
    """
    if hours >= 1:
        return f"{hours:,.2f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"


def _text(splits: Splits, cards: Mapping[str, SplitCard]) -> str:
    lines = [printable(splits.name), printable(splits.note)]
    for content in _tables(splits, cards):
        rows = [content["head"], *content["rows"]]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines += ["", content["caption"]]
        lines += [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        ]
    return "\n".join([*lines, "", TAXONOMY])


def _html(splits: Splits, cards: Mapping[str, SplitCard]) -> str:
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(default=True), trim_blocks=True
    )
    # With few takes, splits share their clips.
    once = {splits.named()[name].digest: name for name in reversed(list(cards))}
    everything = [cards[name] for name in once.values()]
    tiles = [
        {"value": f"{sum(card.clips for card in everything):,}", "label": "clips"},
        {"value": _duration(sum(card.hours for card in everything)), "label": "of motion"},
        {
            "value": f"{statistics.mean(card.captions[3] for card in everything):g}",
            "label": "captions a clip (mean of the medians)",
        },
    ]
    return templates.get_template("card.html.j2").render(
        name=printable(splits.name),
        note=printable(splits.note),
        tiles=tiles,
        tables=_tables(splits, cards),
        taxonomy=TAXONOMY,
    )
