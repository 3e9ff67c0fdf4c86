"""The panel of lesson 04: will a training step of the tokenizer fit into memory?"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.cost.settings import MIB, RESERVE, StepSettings
from motionlab.errors import InputError
from motionlab.views.memory import Fit, compute_fit, measure_fit
from motionlab.views.memory_figures import walk_figure
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = {
    "batch": 64, "window": 96, "width": 512, "precision": "fp32", "optimizer": "adamw",
    "checkpointing": False, "one_hot": False,
}  # fmt: skip


class MemoryPanel(Panel):
    """Turn batch, window, width, precision and optimizer; see what fits, and compare with a measured real step."""

    PRESETS: ClassVar = {
        "published": PUBLISHED,
        "with its one-hot matrix": PUBLISHED | {"one_hot": True},
        "frugal": PUBLISHED | {"precision": "bf16", "optimizer": "sgd", "checkpointing": True},
        "small": PUBLISHED | {"batch": 32, "window": 64, "width": 128},
    }

    def __init__(self) -> None:
        self._measured: dict[tuple[int, StepSettings], int] = {}
        super().__init__()
        button = W.Button(description=self.said("measure a real step"), icon="play", layout=W.Layout(width="auto"))
        button.on_click(lambda _: self._press())
        self._buttons.children = (*self._buttons.children, button)

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "110px"}

        def slide(options: Sequence[float], value: float, name: str) -> Any:
            return W.SelectionSlider(options=options, value=value, description=name, style=style)

        def choose(options: Sequence[str], name: str) -> Any:
            return W.Dropdown(options=options, description=name, style=style, layout=W.Layout(width="230px"))

        def tick(name: str) -> Any:
            return W.Checkbox(False, description=name, style=style, layout=W.Layout(width="auto"))

        return {
            "batch": slide((1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024), 64, "batch (clips)"),
            "window": slide((16, 32, 64, 96, 128, 192, 256, 300), 96, "window (frames)"),
            "width": slide((64, 128, 256, 512, 1024), 512, "width (channels)"),
            "precision": choose(("fp32", "bf16"), "precision"),
            "optimizer": choose(("adamw", "momentum", "sgd"), "optimizer"),
            "checkpointing": tick("checkpoint the residual blocks"),
            "one_hot": tick("count codes with a one-hot matrix"),
            "device": choose(("cpu", "cuda"), "device"),
            "memory_gib": slide((1, 2, 4, 8, 16, 24, 48, 80, 141), 2, "memory (GiB)"),
        }

    @staticmethod
    def compute(**params: Any) -> Fit:
        return compute_fit(**params)

    def measure(self) -> int:
        """Run a real step with these settings on this machine and return its peak in bytes.

        Raises:
            InputError: the device is not here, the step does not fit into half of the free memory, or it takes long.
        """
        fit = self.result
        peak = measure_fit(fit)
        self._measured[fit.width, fit.settings] = peak
        self._update()
        return peak

    def measured(self, fit: Fit) -> int | None:
        """The peak that was measured with these settings, if it was."""
        return self._measured.get((fit.width, fit.settings))

    def picture(self, result: Fit) -> Figure:
        there = f"{result.room / MIB:,.0f} MiB (besides {RESERVE // MIB} for the rest)"
        verdict = f"{'fits' if result.fits else 'does NOT fit'} into {there}"
        return walk_figure(result.memory, measured=self.measured(result), limit=result.room, title=verdict)

    def describe(self, result: Fit) -> str:
        memory, peak = result.memory, self.measured(result)
        text = (
            f"{'fits' if result.fits else 'does not fit'} | peak ≈{memory.peak / MIB:.1f} MiB, "
            f"most of it {result.largest_part} | largest batch that fits: {result.batch}"
        )
        if peak is None:
            return text
        verdict = "within 10 %" if result.agrees(peak) else "off by more than 10 %"
        return f"{text} | measured ≈{peak / MIB:.1f} MiB, {verdict}"

    def rows(self, result: Fit) -> Sequence[Sequence[str]]:
        parts = [(name, f"{size / MIB:.1f}") for name, size in result.memory.parts().items()]
        peak = self.measured(result)
        measured = [] if peak is None else [("measured peak", f"≈{peak / MIB:.1f}")]
        return [("part", "MiB"), *parts, ("peak", f"{result.memory.peak / MIB:.1f}"), *measured]

    def _press(self) -> None:
        self._text.value = f"<p>{self.said('measuring a real step ...')}</p>"
        try:
            self.measure()
        except InputError as error:  # an exception in a click would vanish into the server's log
            self._text.value = f'<p role="alert">{html.escape(str(error))}</p>'
