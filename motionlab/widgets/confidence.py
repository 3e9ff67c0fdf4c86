"""Two questions of a lesson, before and after it: how sure is the learner? `ml.confidence("05", "before")`.

The answers go into the record of `motionlab/teaching/progress.py`, which stays on this machine. A saved notebook holds
the question and no answer.
"""

from __future__ import annotations

import html
import re
from typing import Any, NamedTuple

from motionlab.environment import language
from motionlab.errors import InputError, MissingExtra
from motionlab.teaching.learning_path import lesson_title
from motionlab.teaching.progress import MOMENTS, SUREST, Moment, keep, kept, recording
from motionlab.widgets.fitting import OUTER, TIGHT

try:
    import ipywidgets as W
except ImportError:  # pragma: no cover - the notebooks extra is installed wherever this is tested
    raise MissingExtra("ipywidgets", extra="notebooks", purpose="ask how sure you are") from None


class Words(NamedTuple):
    """The texts of the widget in one language."""

    question: str
    this: str
    least: str
    most: str
    before: str
    after: str
    between: str
    not_kept: str
    failed: str


ENGLISH = Words(
    question="How sure are you that you could explain this to a colleague: {title}",
    this="what is this lesson about?",
    least="not at all",
    most="completely",
    before="before {sure}",
    after="now {sure}",
    between=", ",
    not_kept=" (shown only: nothing is kept here)",
    failed=" (not kept: {why})",
)
CHINESE = Words(
    question="你有多大把握能把它给同事讲清楚：{title}",  # noqa: RUF001
    this="这一课讲的是什么？",  # noqa: RUF001
    least="完全没有",
    most="完全有",
    before="之前 {sure}",
    after="现在 {sure}",
    between="，",  # noqa: RUF001
    not_kept="（只在此显示，不会保存）",  # noqa: RUF001
    failed="（没有保存：{why}）",  # noqa: RUF001
)
_HAN = re.compile("[\u4e00-\u9fff]")


def confidence(lesson: str, moment: Moment) -> Confidence:
    """Ask how sure the learner is, before a lesson and after it; the answer stays on this machine.

    Args:
        lesson: its number, such as "05".
        moment: "before" or "after".

    Raises:
        InputError: another moment.
    """
    return Confidence(lesson, moment)


class Confidence(W.VBox):  # type: ignore[misc]  # ipywidgets has no annotations
    """The question, five buttons, and a line with the answers. Chinese, in a lesson with a Chinese title as well."""

    def __init__(self, lesson: str, moment: Moment) -> None:
        if moment not in MOMENTS:
            raise InputError("confidence", found=repr(moment), expected=" or ".join(MOMENTS), fix="Ask for one.")
        self._lesson, self._moment = str(lesson), moment
        title = lesson_title(self._lesson)
        self._words = CHINESE if language() == "zh" or _HAN.search(title or "") else ENGLISH
        self._question = self._words.question.format(title=title or self._words.this)
        self._progress = kept()
        self._buttons = W.ToggleButtons(
            options=list(zip(self._labels(), range(1, SUREST + 1), strict=True)),
            value=self._progress.sure(self._lesson, moment),
            layout=W.Layout(width="auto", margin="0"),
            style={"button_width": "auto"},
        )
        self._line = W.HTML(layout=W.Layout(margin="0"))
        self._buttons.observe(self._clicked, names="value")
        question = W.HTML(f'<p style="{TIGHT}">{html.escape(self._question)}</p>', layout=W.Layout(margin="0"))
        super().__init__([question, self._buttons, self._line], layout=W.Layout(max_width=f"{OUTER}px"))
        self._show("")

    def answer(self, sure: int) -> None:
        """Press a button.

        Raises:
            InputError: no whole number from 1 to 5.
        """
        if isinstance(sure, bool) or sure not in range(1, SUREST + 1):
            raise InputError("confidence", found=sure, expected=f"1 to {SUREST}", fix="Choose one of these.")
        self._buttons.value = sure

    def summary(self) -> str:
        """The answers that are known, in one line."""
        known = ((moment, self._progress.sure(self._lesson, moment)) for moment in MOMENTS)
        return self._words.between.join(
            getattr(self._words, moment).format(sure=sure) for moment, sure in known if sure is not None
        )

    def still(self) -> dict[str, str]:
        """The output for a page without a kernel, by mime type: the question and five answers, none of them chosen."""
        scale = " · ".join(html.escape(label) for label in self._labels())
        return {"text/html": f'<p style="{TIGHT}">{html.escape(self._question)}<br>{scale}</p>'}

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The live widget, for Jupyter, and the question as HTML, which stays in a saved notebook."""
        return {**super()._repr_mimebundle_(**kwargs), **self.still()}

    def __repr__(self) -> str:
        return f"<confidence: lesson {self._lesson}, {self._moment}>"

    # ---- inside ----
    def _labels(self) -> list[str]:
        labels = [str(number) for number in range(1, SUREST + 1)]
        labels[0] += f" {self._words.least}"
        labels[-1] += f" {self._words.most}"
        return labels

    def _clicked(self, change: Any) -> None:
        sure = change["new"]
        why = keep(lambda progress: progress.with_answer(self._lesson, self._moment, sure))
        # Read again: the other question may have been answered since this one was shown.
        self._progress = kept().with_answer(self._lesson, self._moment, sure)
        self._show(self._words.failed.format(why=why) if why else "" if recording() else self._words.not_kept)

    def _show(self, remark: str) -> None:
        text = html.escape(self.summary() + remark)
        self._line.value = f'<p class="motionlab-confidence" role="status" style="{TIGHT}">{text}</p>'
