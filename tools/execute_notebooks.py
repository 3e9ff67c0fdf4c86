"""Execute the lessons and save their outputs: the only way that outputs are made (`make notebooks`).

    python tools/execute_notebooks.py                       all lessons and their appendices
    python tools/execute_notebooks.py notebooks/03*.ipynb   some

Kept: outputs and execution counts, because the tests compare them. Dropped: widget state and widget views (they hold
random ids, and a page without a kernel cannot draw them; the text form stays), times, the version of this Python, and
the path of this checkout in tracebacks. So a lesson whose results did not change gives the same file. A lesson that
fails is not written.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from motionlab.files import write_text

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CELL_SECONDS = 300
LARGEST_BYTES = 1_000_000
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


def lessons(folder: Path = FOLDER) -> list[Path]:
    """Every lesson, then every appendix."""
    return [path for place in (folder, folder / "appendix") for path in sorted(place.glob("[0-9][0-9]_*.ipynb"))]


def execute(path: Path) -> NotebookNode:
    """Run every cell in a fresh kernel, with the notebook's folder as the working folder."""
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    return notebook


def clean(notebook: NotebookNode) -> NotebookNode:
    """Drop what differs from run to run although the result is the same."""
    notebook.metadata = NotebookNode(
        {key: value for key, value in notebook.metadata.items() if key not in ("widgets", "language_info")}
        | {"kernelspec": NotebookNode(KERNEL), "language_info": NotebookNode({"name": "python"})}
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
            output.get("metadata", {}).pop(WIDGET_VIEW, None)
            if "traceback" in output:
                output.traceback = [line.replace(f"{FOLDER.parent}/", "") for line in output.traceback]
    return notebook


def save(path: Path) -> bool:
    """Execute one notebook and write its outputs; False, and a line about it, when a cell failed or it is too large."""
    started, name = time.perf_counter(), f"appendix/{path.name}" if path.parent.name == "appendix" else path.name
    try:
        text = nbformat.writes(clean(execute(path))) + "\n"
    except CellExecutionError as error:
        print(f"{name}: FAILED, not written\n{error}", file=sys.stderr)
        return False
    seconds, size = time.perf_counter() - started, len(text.encode())
    if size > LARGEST_BYTES:
        print(f"{name}: {size:,} bytes, more than {LARGEST_BYTES:,}; not written", file=sys.stderr)
        return False
    state = "unchanged" if text == path.read_text(encoding="utf-8") else "written"
    write_text(path, text)
    print(f"{name}: {state}, {seconds:.0f} s, {size:,} bytes", flush=True)
    return True


def main() -> int:
    """Execute the given notebooks, or all; the exit code is 1 when one failed."""
    parser = argparse.ArgumentParser(description="Execute lessons and save their outputs.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="notebooks at the same time")
    chosen = parser.parse_args()
    os.environ["MOTIONLAB_LANG"] = "en"  # of the kernels: outputs that are compared are English
    # A thread waits for its kernel, which is a process. A lesson that needs another one's run waits for it.
    with ThreadPoolExecutor(max(1, chosen.jobs)) as pool:
        saved = list(pool.map(save, chosen.notebooks or lessons()))
    return 0 if all(saved) else 1


if __name__ == "__main__":
    raise SystemExit(main())
