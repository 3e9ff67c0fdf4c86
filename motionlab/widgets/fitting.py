"""How large a panel may be, and pictures that fit it: all of a panel stays in sight on a laptop, and sharp.

A notebook on a screen of 1440 x 900 leaves about 779 x 560 CSS pixels to an output. Pictures are made with two dots for
each of them, as screens of high density show them, and are never stretched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from motionlab.plots.curves import figure_to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OUTER, HEIGHT = 779, 560  # CSS pixels of a panel at most
WIDTH = 760  # of what is in it
ROW, TEXT = 33, 48  # of a row of controls or buttons, and of the line of text, which may wrap once
LEAST = 200  # of the picture, however many controls there are
DENSITY = 2  # dots of a picture for each CSS pixel
INCH = 96  # CSS pixels of an inch
TIGHT = "margin: 2px 0; line-height: 1.4"  # of a line of text; ipywidgets would make it twice as high


def room(rows: int) -> int:
    """Height in CSS pixels that is left for the picture above or below so many rows of controls and buttons."""
    return max(HEIGHT - rows * ROW - TEXT, LEAST)


def fitted_png(figure: Figure, width: float, height: float) -> tuple[bytes, int]:
    """A figure as PNG and its width in CSS pixels: its own size, or smaller, so that it fits in `width` x `height`.

    >>> from matplotlib.figure import Figure
    >>> png, width = fitted_png(Figure(figsize=(10.0, 2.0)), 760, 300)
    >>> width, int.from_bytes(png[16:20], "big")  # a PNG has its width there
    (760, 1520)
    """
    inches_wide, inches_high = figure.get_size_inches()
    per_inch = min(INCH, width / inches_wide, height / inches_high)
    return figure_to_png(figure, dpi=DENSITY * per_inch), round(per_inch * inches_wide)
