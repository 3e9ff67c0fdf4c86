"""The pages of `--help` in Chinese, with `MOTIONLAB_LANG=zh`.

typer builds a page in English; here its texts are looked up in `zh.yaml` when they are written. Chinese has no spaces
and its letters take two columns of a terminal, so lines are broken here, too. Messages of errors stay English.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

from motionlab.environment import language
from motionlab.language import tr, width_of

# A space, text in brackets, a word of another script, or one Chinese letter, with the marks that must not begin
# or end a line.
_PIECE = re.compile(r"\s+|\[[^\[\]]*\]|[（《“「]*(?:[^\s⺀-￯]+|[⺀-￯])[）》”」，。；：、？！]*")
# The remark that typer adds to the text of an option: "[default: tiny]", "[required]", "[default: 500; x>=1]".
_REMARKS = re.compile(r"(?:^|  )\[(required|[^\[\]]*(?:default: |[<>]=?)[^\[\]]*)\]$")


def let_it_speak(command: Any) -> Any:
    """Make a command and those below it write their help in the language of `MOTIONLAB_LANG`; return the command."""

    class Context(command.context_class):  # type: ignore[misc]  # of typer, which has no public name for it
        def make_formatter(self) -> Any:
            formatter = super().make_formatter()
            return formatter if language() == "en" else _chinese(formatter, self.command)

    command.context_class = Context
    for inner in getattr(command, "commands", {}).values():
        let_it_speak(inner)
    return command


def _chinese(formatter: Any, command: Any) -> Any:
    """A formatter of the same width that writes Chinese."""

    class Formatter(type(formatter)):  # type: ignore[misc]
        def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
            super().write_usage(prog, args, f"{tr('Usage', __file__)}：")

        def write_heading(self, heading: str) -> None:
            self.write(f"{'':>{self.current_indent}}{tr(heading, __file__)}：\n")

        def write_text(self, text: str) -> None:
            margin = "\n" + " " * self.current_indent
            paragraphs = (wrapped(each, self.width - self.current_indent) for each in translated(text))
            self.write("\n".join(margin.join(["", *lines])[1:] + "\n" for lines in paragraphs))

        def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
            first = min(max((width_of(name) for name, _ in rows), default=0), col_max) + col_spacing
            for name, text in rows:
                inner = getattr(command, "commands", {}).get(name)  # the text of a command may have been cut to fit
                chinese = next(iter(translated(inner.help))) if inner else option(text)
                begin = f"{'':>{self.current_indent}}{name}"
                room = self.width - first - self.current_indent
                lines = wrapped(chinese, max(room, 20)) or [""]
                space = first - width_of(name)
                margin = "\n" + " " * (first + self.current_indent)
                self.write(begin + (" " * space if space >= col_spacing else margin) + margin.join(lines) + "\n")

    chinese = Formatter(width=formatter.width)
    chinese.current_indent = formatter.current_indent
    return chinese


def translated(text: str) -> Iterator[str]:
    """The paragraphs of a text, each in Chinese on one line."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield tr(" ".join(paragraph.split()), __file__)


def option(text: str) -> str:
    """The text of an option, and what typer says behind it in brackets."""
    found = _REMARKS.search(text)
    remarks = "；".join(tr(each, __file__) for each in found[1].split("; ")) if found else ""
    own = tr(text[: found.start()] if found else text, __file__)
    return f"{own}  [{remarks}]".strip() if found else own


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, where a word is not longer.

    >>> wrapped("文件夹 runs 里的运行结果，供比较。", 12)
    ['文件夹 runs', '里的运行结', '果，供比较。']
    """
    lines = [""]
    for piece in _PIECE.findall(text):
        if width_of((lines[-1] + piece).rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines if line.strip()]
