"""The first cell of every lesson: `ml.setup("03")`."""

from __future__ import annotations

import os
import warnings
from typing import Any

from motionlab.environment import QUICK
from motionlab.language import tr
from motionlab.plots.curves import forget_glyphs
from motionlab.runtime import choose_device, profile, seed_everything, set_threads, wait_passively
from motionlab.teaching.exercise import start_lesson
from motionlab.teaching.progress import note

SEED = 0


def setup(lesson: str) -> None:
    """Make a lesson repeatable, and print what it runs on.

    Sets the seeds and the threads, quiets progress bars under the quick profile, shows figures as small PNG pictures,
    and forgets exercises that an earlier run of the lesson registered. Running it twice does no harm. The record that
    `motionlab progress` shows has the day on which a lesson was first opened.

    Args:
        lesson: its number, such as "03".
    """
    wait_passively()  # before torch: the next line imports it
    device, level = choose_device(), profile()
    threads = set_threads()
    seed_everything(SEED)
    # Without it `import transformers` may look for a network. The lessons need none.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # tqdm's notebook bar is a widget and its absence is a warning; neither belongs into the saved outputs.
    warnings.filterwarnings("ignore", message=".*IProgress.*")
    _show_figures()
    start_lesson(lesson)
    name, meaning = _PROFILES[level]
    print(tr(f"lesson {lesson} · seed {SEED} · profile {name} ({meaning})", __file__))
    print(tr(f"device: {device} · threads: {threads}", __file__))
    note(lambda progress: progress.with_opened(str(lesson)))


_PROFILES = {"ci": (QUICK, "seconds"), "cpu": ("cpu", "minutes"), "gpu": ("gpu", "as large as it helps")}


def _show_figures() -> None:
    """Tell IPython to show a matplotlib figure as a PNG picture of 80 dots an inch, wherever it was made."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.core.pylabtools import print_figure
    except ImportError:  # a plain Python without notebooks
        return
    shell = get_ipython()
    if shell is None or shell.display_formatter is None:
        return

    def picture(figure: Any) -> Any:
        png = print_figure(figure, fmt="png", dpi=80, bbox_inches=None)
        forget_glyphs()
        return png

    shell.display_formatter.formatters["image/png"].for_type_by_name("matplotlib.figure", "Figure", picture)
