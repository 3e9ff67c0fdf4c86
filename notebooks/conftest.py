"""What `pytest --nbval notebooks/` leaves out of the comparison besides the marks of sanitize.cfg."""

from __future__ import annotations

from typing import Any


def pytest_collectstart(collector: Any) -> None:
    """Skip two forms of an output. Its text/plain form stays compared, so a cell is never compared by nothing.

    plotly's JSON holds floats, which sanitizers do not reach; HTML holds ids and the floats of tables and players.
    """
    path = getattr(collector, "path", None)
    if path is not None and path.suffix == ".ipynb" and hasattr(collector, "skip_compare"):
        collector.skip_compare += ("application/vnd.plotly.v1+json", "text/html")
