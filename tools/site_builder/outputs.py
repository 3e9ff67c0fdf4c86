"""Saved outputs as a page without a kernel shows them."""

from __future__ import annotations

import html
import re
from typing import Any

# The text that a panel or a player prints: `<RopePanel: query, key, pair>`.
_WIDGET = re.compile(r"^<(?P<kind>\w+(?:Panel|Player)): (?P<names>.*)>$", flags=re.DOTALL)
PLOTLY = "application/vnd.plotly.v1+json"
_ALIVE = ("image/png", "text/html")
_LESSON = re.compile(r'(<a href="[./]*\d\d_\w+)\.ipynb"')  # a link that a cell printed, such as below a list of terms


def shown(output: dict[str, Any], language: str = "en") -> list[dict[str, Any]]:
    """The outputs to show in place of one saved output.

    A panel's output holds its picture, and a player's the player; a line below says what a reader of the page cannot
    do with it. A figure to explore is shown as its picture. All other outputs stay as they are, but a link to a lesson
    leads to its page.

    Args:
        language: of the line, "en" or "zh".
    """
    data = output.get("data", {})
    found = _WIDGET.match("".join(data.get("text/plain", "")))
    if not found:
        return [_with_pages(_without_plotly(output))]
    alive = {kind: data[kind] for kind in _ALIVE if kind in data}
    note = _note(found["kind"], found["names"], alive, language)
    saved = [{**output, "data": alive}] if alive else []
    if not note:
        return saved
    return [*saved, {"output_type": "display_data", "metadata": {}, "data": {"text/html": note}}]


def _without_plotly(output: dict[str, Any]) -> dict[str, Any]:
    """A figure to explore holds its picture as well; the script of the other form would be 5 MB."""
    if PLOTLY not in output.get("data", {}):
        return output
    return {**output, "data": {kind: value for kind, value in output["data"].items() if kind != PLOTLY}}


def _with_pages(output: dict[str, Any]) -> dict[str, Any]:
    """A link from one notebook to another as a link between their pages."""
    text = "".join(output.get("data", {}).get("text/html", ""))
    if not _LESSON.search(text):
        return output
    return {**output, "data": {**output["data"], "text/html": _LESSON.sub(r'\1.html"', text)}}


def _note(kind: str, names: str, alive: dict[str, Any], language: str) -> str:
    names = html.escape(names)
    if kind.endswith("Player"):
        says = {
            "en": f"A player: {names}. Run the lesson to see it move.",
            "zh": f"播放器：{names}。运行本课就能看到它动起来。",
        }
        words = "" if alive else says[language]
    else:
        says = {
            "en": f"A panel with the controls {names}. They move when you run the lesson.",
            "zh": f"面板，控件有 {names}。运行本课就可以操作它们。",
        }
        words = says[language]
    return f'<p class="site-note">{words}</p>' if words else ""
