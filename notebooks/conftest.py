"""The parts that `pytest --nbval notebooks/` leaves out of the comparison besides the marks of sanitize.cfg."""

from __future__ import annotations

from typing import Any


def pytest_collectstart(collector: Any) -> None:
    """Skip two forms of an output: plotly's JSON and HTML hold ids and floats, which sanitizers do not reach.

    An output that has only skipped forms is compared by nothing, and a wrong one passes: a plotly figure is stored as
    JSON alone. `tests/notebooks/test_hygiene.py` refuses such an output; print a line about the figure next to it, or
    return something with a text form.
    """
    path = getattr(collector, "path", None)
    if path is not None and path.suffix == ".ipynb" and hasattr(collector, "skip_compare"):
        collector.skip_compare += ("application/vnd.plotly.v1+json", "text/html")
