"""The panel of lesson 02: a codebook on a plane, whose codes are dragged with the mouse.

The page draws with `codebook_panel.js`, asks no network, and sends every new place to Python; Python counts. The same
can be done without a mouse:

    panel = CodebookPanel()
    panel.set(codes=[[0, 0], [1, 1], [-1, 1]])
    panel.step(20)
    print(panel.summary())
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets as W

from motionlab.errors import MissingExtra
from motionlab.plots.codebook import Plane, codebook_figure
from motionlab.plots.curves import figure_to_png
from motionlab.views.codebook import (
    FAR_AWAY,
    ON_THE_DATA,
    compute_plane,
    moved_codes,
    plane_places,
    rescued_codes,
    rounded,
)
from motionlab.widgets.panel import Panel, grid_of, still_picture

try:
    import anywidget
    import traitlets
except ImportError:  # pragma: no cover - the notebooks extra is installed wherever this is tested
    raise MissingExtra("anywidget", extra="notebooks", purpose="drag codes in a notebook") from None

PLACES = ("codes", "probe", "target")


class CodebookCanvas(anywidget.AnyWidget):
    """The plane in the page.

    Attributes:
        value: {"codes": [[x, y], ...], "probe": [x, y], "target": [x, y]}; dragging changes it.
        points: the dots; the page only draws them.
        beta: how strong the commitment loss is; only for the length of its arrow.
    """

    _esm = Path(__file__).with_name("codebook_panel.js").read_text(encoding="utf-8")
    value = traitlets.Dict().tag(sync=True)
    points: Any = traitlets.List().tag(sync=True)
    beta = traitlets.Float(0.25).tag(sync=True)


class CodebookPanel(Panel):
    """Drag codes; see which dots they get, which of them are dead, and where each gradient pulls.

    Controls: `codes`, `probe` and `target` (places on the plane, by mouse or `set`), `spread` and `shift` (how far the
    encoder has spread the dots, and moved them) and `commitment` (beta). Buttons: one training step of the codebook,
    twenty, and the rescue.
    """

    children: Any  # a trait
    PRESETS: ClassVar = {
        "start far away": {"codes": FAR_AWAY, "spread": 0.6, "shift": 0.0},
        "start on the data": {"codes": ON_THE_DATA, "spread": 1.2, "shift": 0.0},
        "the encoder moved": {"codes": ON_THE_DATA, "spread": 1.2, "shift": 2.0},
    }

    def __init__(self) -> None:
        super().__init__()
        actions = []
        for name, act in (("step", self.step), ("20 steps", lambda: self.step(20)), ("rescue", self.rescue)):
            button = W.Button(description=self.said(name), button_style="primary", layout=W.Layout(width="auto"))
            button.on_click(lambda _, act=act: act())
            actions.append(button)
        canvas, *sliders = self.inputs.values()
        # The canvas is the picture; the base's image stays out.
        buttons = W.HBox([*actions, *self._buttons.children])
        self.children = [grid_of(sliders, columns=3)[0], buttons, self._text, canvas]

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "105px"}
        places = plane_places({"codes": ON_THE_DATA, "probe": (-2.2, 0.6), "target": (-0.4, 2.9)})
        return {
            "plane": CodebookCanvas(value=places),
            "spread": W.FloatSlider(1.2, min=0.1, max=2.5, step=0.1, description="spread", style=style),
            "shift": W.FloatSlider(0.0, min=-2.0, max=2.0, step=0.1, description="shift", style=style),
            "commitment": W.FloatSlider(0.25, min=0.0, max=1.0, step=0.05, description="commitment β", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> Plane:
        sliders = {name: value for name, value in params.items() if name != "plane"}
        return compute_plane(**params["plane"], **sliders)

    def set(self, **params: Any) -> None:
        """Move codes, probe, target and sliders at once and compute once.

        Raises:
            InputError: no such control, or a value that it cannot take. The panel is then as before.
        """
        places: dict[str, Any] = {name: params.pop(name) for name in PLACES if name in params}
        if places:
            params["plane"] = plane_places({**self.inputs["plane"].value, **places})
        super().set(**params)

    def step(self, count: int = 1) -> None:
        """Train the codebook: each used code goes 30 % of the way to the mean of its dots, `count` times."""
        for _ in range(count):
            self.set(codes=moved_codes(self.result).tolist())

    def rescue(self) -> None:
        """Put every dead code onto a dot."""
        self.set(codes=rescued_codes(self.result).tolist())

    def describe(self, result: Plane) -> str:
        usage = result.usage
        pulls = [f"(≈{x:.2f}, ≈{y:.2f})" for x, y in (result.decoder_pull.tolist(), result.commitment_pull.tolist())]
        return (
            f"{usage.used} of {len(usage.histogram)} codes used, perplexity ≈{usage.perplexity:.1f}, "
            f"squared distance ≈{result.distance:.3f} | diamond: token {result.token}, "
            f"pulled by the decoder {pulls[0]} and by commitment {pulls[1]}"
        )

    def summary(self) -> str:
        """One line: the sliders and what is to be seen."""
        sliders = ", ".join(f"{name}={value}" for name, value in self.params.items() if name != "plane")
        return f"{sliders} -> {self.told()}"

    def rows(self, result: Plane) -> Sequence[Sequence[str]]:
        lines = [("code", "dots", "share", "pull of the codebook loss")]
        for i, (hits, pull) in enumerate(zip(result.hits.tolist(), result.code_pull.norm(dim=1).tolist(), strict=True)):
            share = f"{hits / len(result.points):.0%}"
            lines.append((str(i), str(hits), share, f"≈{pull:.3f}" if hits else "none: dead"))
        return lines

    def picture(self, result: Plane) -> bytes:
        return b""  # the canvas draws

    def still(self) -> dict[str, str]:
        return still_picture(figure_to_png(codebook_figure(self.result)))

    def _update(self) -> None:
        super()._update()
        canvas = self.inputs["plane"]
        canvas.points = rounded(self.result.points).tolist()
        canvas.beta = self.inputs["commitment"].value
