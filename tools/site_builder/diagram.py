"""A flowchart of the documentation as a picture: what Mermaid draws on the pages of a code host, without its script.

Reads the small part of Mermaid's language that the pages use: `flowchart TD`, boxes `name["text<br/>text"]` and arrows
`a --> b`. A box stands one row below the lowest box that points to it, boxes of a row are ordered by the middle of the
boxes above them, and an arrow that passes a row takes a place in it, so that it crosses no box.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

WIDTH, LINE, ROW_GAP, GAP, LETTER = 760.0, 15.0, 34.0, 16.0, 6.1
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="currentColor"/></marker></defs>'
)
_BOLD = ' class="path"'
_BOX = re.compile(r'(\w+)\["([^"]*)"\]')


@dataclass
class Box:
    """A box, or the place where an arrow passes a row (no lines)."""

    lines: list[str]
    row: int = 0
    x: float = 0.0  # of its middle
    y: float = 0.0  # of its upper edge
    passed: float = 0.0  # height of the row that an arrow passes

    @property
    def width(self) -> float:
        return max((len(line) for line in self.lines), default=0) * LETTER + 18 if self.lines else 8.0

    @property
    def height(self) -> float:
        return len(self.lines) * LINE + 14 if self.lines else self.passed


def read(mermaid: str) -> tuple[dict[str, Box], list[tuple[str, str]]]:
    """The boxes by name, and the arrows.

    >>> boxes, arrows = read('flowchart TD\\n a["one<br/>two"] --> b["three"]\\n b --> c["four"]')
    >>> boxes["a"].lines, arrows
    (['one', 'two'], [('a', 'b'), ('b', 'c')])
    """
    boxes = {name: Box(text.split("<br/>")) for name, text in _BOX.findall(mermaid)}
    arrows = []
    for line in _BOX.sub(r"\1", mermaid).splitlines()[1:]:
        names = [word.strip() for word in line.split("-->")]
        arrows += list(zip(names, names[1:], strict=False))
    for name in {name for arrow in arrows for name in arrow}:
        boxes.setdefault(name, Box([name]))
    return boxes, arrows


def as_html(mermaid: str) -> str:
    """The diagram as one `<svg>` in a figure, with the arrows in words for readers who hear the page."""
    boxes, arrows = read(mermaid)
    _set_rows(boxes, arrows)
    chains = _chains(boxes, arrows)
    width, height = _place(boxes, chains)
    drawn = [_arrow([boxes[name] for name in chain]) for chain in chains]
    drawn += [_box(box) for box in boxes.values() if box.lines]
    words = "; ".join(f"{boxes[a].lines[0]} to {boxes[b].lines[0]}" for a, b in arrows)
    size = f"min-width:{0.7 * width:.0f}px;max-width:{width:.0f}px"  # on a phone it scrolls, and its words can be read
    return (
        f'<div class="site-diagram"><svg role="img" aria-label="{html.escape(words)}" style="{size}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">{_TIP}{"".join(drawn)}</svg></div>'
    )


def _set_rows(boxes: dict[str, Box], arrows: list[tuple[str, str]]) -> None:
    for _ in boxes:  # the longest road from above; more rounds than boxes would be a circle
        for start, end in arrows:
            boxes[end].row = max(boxes[end].row, boxes[start].row + 1)
    for name, box in boxes.items():  # a source stands just above what it feeds
        below = [boxes[end].row for start, end in arrows if start == name]
        if below and not any(end == name for _, end in arrows):
            box.row = min(below) - 1


def _chains(boxes: dict[str, Box], arrows: list[tuple[str, str]]) -> list[list[str]]:
    """Each arrow as a row of boxes, with a new empty one in every row that it passes."""
    chains = []
    for start, end in arrows:
        chain = [start]
        for row in range(boxes[start].row + 1, boxes[end].row):
            name = f"{start}>{end}@{row}"
            boxes[name] = Box([], row)
            chain.append(name)
        chains.append([*chain, end])
    return chains


def _place(boxes: dict[str, Box], chains: list[list[str]]) -> tuple[float, float]:
    """Give every box its place; return width and height of the whole."""
    steps = [pair for chain in chains for pair in zip(chain, chain[1:], strict=False)]
    above: dict[str, list[str]] = {name: [a for a, b in steps if b == name] for name in boxes}
    below: dict[str, list[str]] = {name: [b for a, b in steps if a == name] for name in boxes}
    rows = [[name for name in boxes if boxes[name].row == row] for row in range(max(b.row for b in boxes.values()) + 1)]
    width = max(WIDTH, *(sum(boxes[name].width + GAP for name in row) for row in rows))
    for row in rows:
        _spread([boxes[name] for name in row], width)
    for turn in range(24):
        near, order = (above, rows) if turn % 2 == 0 else (below, rows[::-1])
        for row in order:
            wish = {name: _middle([boxes[other].x for other in near[name]], boxes[name].x) for name in row}
            row.sort(key=lambda name: wish[name])
            _settle([boxes[name] for name in row], [wish[name] for name in row], width)
    y = 4.0
    for row in rows:
        tallest = max(boxes[name].height for name in row)
        for name in row:
            if not boxes[name].lines:
                boxes[name].passed = tallest
            boxes[name].y = y + (tallest - boxes[name].height) / 2
        y += tallest + ROW_GAP
    return width, y - ROW_GAP + 6


def _middle(places: list[float], fallback: float) -> float:
    return sum(places) / len(places) if places else fallback


def _spread(row: list[Box], width: float) -> None:
    free = (width - sum(box.width for box in row)) / (len(row) + 1)
    x = free
    for box in row:
        box.x, x = x + box.width / 2, x + box.width + free


def _settle(row: list[Box], wishes: list[float], width: float) -> None:
    """As near to the wishes as the order and the gaps allow: pushed to the right, then back from the border."""
    edge = 2.0
    for box, wish in zip(row, wishes, strict=True):
        box.x = max(wish, edge + box.width / 2)
        edge = box.x + box.width / 2 + GAP
    edge = width - 2.0
    for box in reversed(row):
        box.x = min(box.x, edge - box.width / 2)
        edge = box.x - box.width / 2 - GAP


def _box(box: Box) -> str:
    first = box.y + 7 + LINE * 0.75
    lines = "".join(
        f'<tspan x="{box.x:.0f}" y="{first + LINE * number:.0f}"{_BOLD * (number == 0)}>{html.escape(line)}</tspan>'
        for number, line in enumerate(box.lines)
    )
    corner = f'x="{box.x - box.width / 2:.0f}" y="{box.y:.0f}"'
    return (
        f'<rect {corner} width="{box.width:.0f}" height="{box.height:.0f}" rx="5"/>'
        f'<text text-anchor="middle">{lines}</text>'
    )


def _arrow(chain: list[Box]) -> str:
    x, y = chain[0].x, chain[0].y + chain[0].height
    path = [f"M{x:.0f} {y:.0f}"]
    for box in chain[1:]:
        end = box.y - (1 if box.lines else 0)
        half = (end - y) / 2
        path.append(f"C{x:.0f} {y + half:.0f} {box.x:.0f} {end - half:.0f} {box.x:.0f} {end:.0f}")
        x, y = box.x, box.y + (0 if box.lines else box.height)
        path.append("" if box.lines else f"V{y:.0f}")
    return f'<path class="arrow" d="{"".join(path)}" marker-end="url(#tip)"/>'
