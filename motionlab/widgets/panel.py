"""Panels: a picture, the controls that change it, and one line of text that says what it shows.

A panel computes a pure function of its controls, tested without a browser. In a notebook the panel is
the last expression of a cell; the next cell drives it with `set(...)` and prints `summary()`, which the build compares.
"""

from __future__ import annotations

import base64
import html
import re
import sys
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from motionlab.environment import language
from motionlab.errors import InputError, MissingExtra
from motionlab.language import tr, width_of
from motionlab.widgets.fitting import DENSITY, HEIGHT, OUTER, TIGHT, WIDTH, fitted_png, room

if TYPE_CHECKING:
    from matplotlib.figure import Figure

try:
    import ipywidgets as W
except ImportError:  # pragma: no cover - the notebooks extra is installed wherever this is tested
    raise MissingExtra("ipywidgets", extra="notebooks", purpose="show panels") from None

COLOURS = 128  # of a picture in a saved notebook
LIVE = 0.1  # seconds: a panel whose compute takes less follows a slider while it is dragged
FIRST = 10  # times as long may the first compute take, which imports what it needs


class Panel(W.VBox):  # type: ignore[misc]  # ipywidgets has no annotations
    """Base of every panel. A subclass says which controls exist, what they compute and how it is shown.

    Subclasses write:
        `make_controls()`: name -> control, in the order of the page. The names are the parameters.
        `compute(**params)`: a static, pure function; it may be slow but knows no widget.
        `picture(result)`: a figure, which is drawn as large as the panel has room, or PNG bytes.
        `describe(result)`: one line, with `≈` before every float.
        `rows(result)`: the same as a table, for readers without widgets: the first row holds the titles.
        `PRESETS`: name -> parameters worth looking at.

    All of it in English. With `MOTIONLAB_LANG=zh` the words are looked up in the `zh.yaml` next to the subclass, and
    then in that of the other panels; names of parameters, options and presets stay as they are, and so do pictures.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    COLUMNS: ClassVar[int] = 0  # of controls; 0: two, or three when there are many
    BESIDE: ClassVar[int] = 0  # CSS pixels of the controls, when they are next to a picture that is not wide
    MORE_ROWS: ClassVar[int] = 0  # that a subclass adds to the controls and the buttons

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = self.make_controls()
        for control in self.inputs.values():
            self._translate(control)
        self._defaults = {name: control.value for name, control in self.inputs.items()}
        # Without align_self the box would stretch a picture to its own width, which blurs it.
        self._image = W.Image(format="png", layout=W.Layout(max_width="100%", align_self="flex-start"))
        self._grid, rows = grid_of(list(self.inputs.values()), 1 if self.BESIDE else self.COLUMNS)
        height = HEIGHT - _EDGE if self.BESIDE else room(rows + 1 + self.MORE_ROWS)  # 1: the buttons
        self._room = (OUTER - self.BESIDE - _EDGE if self.BESIDE else WIDTH), height
        self._text = W.HTML()
        self._quiet = False
        self.result: Any = None
        for control in self.inputs.values():
            if hasattr(control, "continuous_update"):
                control.continuous_update = False  # of a slider `_update` decides, once it is known what it costs
            control.observe(self._changed, names="value")
        buttons = [self._button(name, values) for name, values in self.PRESETS.items()]
        buttons.append(self._button("reset", self._defaults))
        self._buttons = W.HBox(buttons)
        parts = [self._grid, self._buttons, self._text]
        if self.BESIDE:
            self._buttons.layout.flex_flow = "row wrap"
            left = W.VBox(parts, layout=W.Layout(width=f"{self.BESIDE}px", flex="0 0 auto"))
            parts = [W.HBox([left, self._image], layout=W.Layout(align_items="flex-start"))]
        else:
            parts.append(self._image)
        super().__init__(parts, layout=W.Layout(max_width=f"{OUTER}px"))
        self._patience = FIRST
        self._update()
        self._patience = 1

    # ---- what a subclass writes ----
    def make_controls(self) -> dict[str, Any]:
        raise NotImplementedError

    @staticmethod
    def compute(**params: Any) -> Any:
        raise NotImplementedError

    def picture(self, result: Any) -> Figure | bytes:
        raise NotImplementedError

    def describe(self, result: Any) -> str:
        raise NotImplementedError

    def rows(self, result: Any) -> Sequence[Sequence[str]]:
        raise NotImplementedError

    # ---- what a lesson uses ----
    @property
    def params(self) -> dict[str, Any]:
        """The value of every control."""
        return {name: control.value for name, control in self.inputs.items()}

    def set(self, **params: Any) -> None:
        """Move several controls at once and compute once, as a user would.

        Raises:
            InputError: no such control, or a value that the control cannot take.
        """
        before = self.params
        self._quiet = True
        try:
            for name, value in params.items():
                if name not in self.inputs:
                    raise InputError("panel", found=repr(name), expected=", ".join(self.inputs), fix="Check the name.")
                self._assign(name, value)
        except InputError:
            for name, value in before.items():  # all or nothing: a refused call leaves the panel unchanged
                self.inputs[name].value = value
            raise
        finally:
            self._quiet = False
        self._update()

    def reset(self) -> None:
        """Put every control back."""
        self.set(**self._defaults)

    def preset(self, name: str) -> None:
        """Move the controls to a preset."""
        if name not in self.PRESETS:
            raise InputError("preset", found=repr(name), expected=", ".join(self.PRESETS), fix="Choose one of these.")
        self.set(**self.PRESETS[name])

    def summary(self) -> str:
        """One line: the parameters and what they give."""
        settings = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return f"{settings} -> {self.told()}"

    def told(self, result: Any = None) -> str:
        """The sentence of `describe` for a result, by default of the one that is shown, in the language of the reader.

        Parts between bars are looked up one by one.
        """
        text = self.describe(self.result if result is None else result)
        return " | ".join(map(self.said, text.split(" | ")))

    @classmethod
    def said(cls, text: str) -> str:
        """A text of this panel in the language of the reader."""
        modules = (sys.modules.get(kind.__module__) for kind in cls.__mro__ if issubclass(kind, Panel))
        files = (getattr(module, "__file__", None) for module in modules)  # one made in a notebook has no file
        return tr(text, *(file for file in files if file))

    def table(self) -> Table:
        """The result as a table, for a page without a kernel."""
        return Table([[self.said(cell) for cell in row] for row in self.rows(self.result)])

    def still(self) -> dict[str, str]:
        """The output for a page without a kernel, by mime type: the panel's picture, as base64."""
        return still_picture(b"" if self.result is None else self._image.value, 1 / DENSITY)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The live panel, for Jupyter, and its picture, which stays in a saved notebook."""
        return {**super()._repr_mimebundle_(**kwargs), **self.still()}

    def __repr__(self) -> str:  # the default one prints every child and changes with each version of ipywidgets
        return f"<{type(self).__name__}: {', '.join(self.inputs)}>"

    # ---- inside ----
    def _translate(self, control: Any) -> None:
        """Words of a control and of its choices, as the page shows them; `options` and `value` stay what code names."""
        if language() == "en":
            return
        control.description = self.said(getattr(control, "description", ""))
        if isinstance(control, _CHOICES):
            labels = tuple(map(self.said, control._options_labels))
            control.set_trait("_options_labels", labels)
            chosen = control.index
            control.label = tuple(labels[i] for i in chosen) if isinstance(chosen, tuple) else labels[chosen]

    def _assign(self, name: str, value: Any) -> None:
        from traitlets import TraitError

        control = self.inputs[name]
        try:
            control.value = value
        except TraitError as error:
            text = " ".join(str(error).split())
            raise InputError(f"panel {name}", found=repr(value), expected=text, fix="Choose another value.") from None
        if control.value != value:  # sliders pull a value into their range silently
            limits = f"{control.min} to {control.max}" if hasattr(control, "min") else "a value of the control"
            raise InputError(f"panel {name}", found=repr(value), expected=limits, fix="Choose another value.")

    def _button(self, name: str, values: Mapping[str, Any]) -> Any:
        button = W.Button(description=self.said(name), layout=W.Layout(width="auto"))
        button.on_click(lambda _: self.set(**values))
        return button

    def _changed(self, change: Any) -> None:
        if not self._quiet:
            self._update()

    def _draw(self, result: Any) -> None:
        picture = self.picture(result)
        if not isinstance(picture, bytes):
            picture, width = fitted_png(picture, *self._room)
            self._image.layout.width = f"{width}px"
        self._image.value = picture

    def _update(self) -> None:
        # An exception inside an observer would vanish into the log of the notebook server; show it where the reader
        # looks. Only user-caused errors: a bug still raises.
        began = time.perf_counter()
        try:
            self.result = self.compute(**self.params)
        except InputError as error:
            self._text.value = f'<p role="alert" style="{TIGHT}">{html.escape(str(error))}</p>'
            return
        self._follow_drags(time.perf_counter() - began < self._patience * LIVE)
        self._draw(self.result)
        words = html.escape(self.told())
        self._text.value = f'<p class="motionlab-summary" style="{TIGHT}">{words}</p>'

    def _follow_drags(self, live: bool) -> None:
        """A slider reports while it is dragged, or only where it is released.

        However long a drawing takes, a drag does not run ahead of it: the browser sends one value at a time, and the
        newest one when that is shown.
        """
        for control in self.inputs.values():
            if isinstance(control, _SLIDERS) and control.continuous_update != live:
                control.continuous_update = live


_EDGE = 16  # CSS pixels of margins
_CHOICES = (W.Dropdown, W.ToggleButtons, W.SelectMultiple, W.SelectionSlider)
_SLIDERS = (W.IntSlider, W.FloatSlider, W.SelectionSlider)
_WIDE = (W.ToggleButtons, W.Text, W.Combobox, W.SelectMultiple)  # controls that take a whole row


def grid_of(controls: Sequence[Any], columns: int = 0) -> tuple[Any, int]:
    """The controls side by side, and how many rows these are. Without a number of columns: two, or three for many.

    A control that needs a whole row stands above the others if it comes first, else below them.
    """
    columns = columns or (2 if len(controls) <= 6 else 3)
    narrow = [control for control in controls if not isinstance(control, _WIDE)]
    wide = [control for control in controls if isinstance(control, _WIDE)]
    for control in controls:
        control.layout.width = "auto"
        if isinstance(control, W.Checkbox):
            control.indent = False  # its words need the place
        if isinstance(control, W.ToggleButtons):  # by itself it puts its name above the buttons
            control.layout.display, control.layout.flex_flow = "flex", "row wrap"
            control.style.button_width = "auto"
    grid = W.GridBox(narrow, layout=W.Layout(grid_template_columns=f"repeat({columns}, minmax(0, 1fr))"))
    first = wide[:1] if wide and controls[0] is wide[0] else []
    boxes = [*first, grid, *wide[len(first) :]]
    return W.VBox(boxes, layout=W.Layout(width=f"{WIDTH}px", max_width="100%")), -(-len(narrow) // columns) + len(wide)


def still_picture(png: bytes, scale: float = 1.0) -> dict[str, str]:
    """A PNG as an output of a notebook holds it, with few colours: a third of the bytes. No picture, no output."""
    if not png:
        return {}
    buffer, image = BytesIO(), Image.open(BytesIO(png)).convert("RGB")
    size = round(image.width * scale), round(image.height * scale)
    small = image.resize(size, Image.Resampling.LANCZOS)
    # The default (median cut) gives a rare colour, such as a swatch of a legend, to its frequent neighbour.
    small.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE).save(buffer, "PNG", optimize=True)
    return {"image/png": base64.b64encode(buffer.getvalue()).decode("ascii")}


# A marked number as `notebooks/sanitize.cfg` knows it: `≈0.0123`, `≈-1.2e-05`, `≈nan`, `⏱ 3.1 s`.
MARKED = re.compile(r"≈\s*([-+]?(?:\d+(?:[.,]\d+)*(?:e[-+]?\d+)?|nan|inf))|⏱\s*([\d.]+\s*(?:ms|s|min))")
MARKED_WIDTH = 11  # the longest number of `ml.about` with its four digits: -1.234e+308
LEFT = ' style="text-align:left"'
NUMBER = re.compile(r"[≈⏱]|[-+]?[\d.]|$")  # how a cell of a column of numbers begins


class Table:
    """A small table that prints as aligned text and shows as HTML. The first row holds the titles.

    A marked number has more or fewer digits on another machine; the columns may not move with it. So each marked number
    is padded, between its mark and itself, to `MARKED_WIDTH`. (A longer one would still widen its column.)

    >>> Table([("size", "used", "loss"), ("64", "60", "≈0.0123")])
    size  used  loss
    64    60    ≈     0.0123
    """

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        self.rows = [[str(cell) for cell in row] for row in rows]

    def __repr__(self) -> str:
        rows = [[MARKED.sub(_padded, cell) for cell in row] for row in self.rows]
        widths = [max(width_of(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = (
            "  ".join(cell + " " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        # JupyterLab puts every cell to the right, which suits numbers; words that wrap are read from the left.
        of_numbers = [all(map(NUMBER.match, column)) for column in zip(*self.rows[1:], strict=True)]
        styles = ["" if numbers else LEFT for numbers in of_numbers] or [LEFT] * len(self.rows[0])

        def line(cells: Sequence[str], tag: str) -> str:
            shown = (f"<{tag}{style}>{html.escape(cell)}</{tag}>" for cell, style in zip(cells, styles, strict=True))
            return "<tr>" + "".join(shown) + "</tr>"

        body = "".join(line(row, "td") for row in self.rows[1:])
        return f"<table><thead>{line(self.rows[0], 'th')}</thead><tbody>{body}</tbody></table>"


def _padded(found: re.Match[str]) -> str:
    """A mark and its number, as wide as any other."""
    return found[0][0] + (found[1] or found[2]).rjust(MARKED_WIDTH)
