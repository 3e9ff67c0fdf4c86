"""Saved outputs as a page without a kernel shows them."""

from __future__ import annotations

import html
import re
from typing import Any

# The text that a panel or a player prints: `<RopePanel: query, key, pair>`.
_WIDGET = re.compile(r"^<(?P<kind>\w+(?:Panel|Player)): (?P<names>.*)>$", flags=re.DOTALL)
PLOTLY = "application/vnd.plotly.v1+json"
_ALIVE = ("image/png", "text/html")


def shown(output: dict[str, Any]) -> list[dict[str, Any]]:
    """The outputs to show in place of one saved output.

    A panel's output holds its picture, and a player's the player; a line below says what a reader of the page cannot
    do with it. A figure to explore is shown as its picture. All other outputs stay as they are.
    """
    data = output.get("data", {})
    found = _WIDGET.match("".join(data.get("text/plain", "")))
    if not found:
        return [_without_plotly(output)]
    alive = {kind: data[kind] for kind in _ALIVE if kind in data}
    note = _note(found["kind"], found["names"], alive)
    saved = [{**output, "data": alive}] if alive else []
    if not note:
        return saved
    return [*saved, {"output_type": "display_data", "metadata": {}, "data": {"text/html": note}}]


def _without_plotly(output: dict[str, Any]) -> dict[str, Any]:
    """A figure to explore holds its picture as well; the script of the other form would be 5 MB."""
    if PLOTLY not in output.get("data", {}):
        return output
    return {**output, "data": {kind: value for kind, value in output["data"].items() if kind != PLOTLY}}


def _note(kind: str, names: str, alive: dict[str, Any]) -> str:
    if kind.endswith("Player"):
        words = "" if alive else f"A player: {names}. Run the lesson to see it move."
    else:
        controls = html.escape(names)
        words = f"A panel with the controls {controls}. They move when you run the lesson."
    return f'<p class="site-note">{words}</p>' if words else ""
