"""The abilities of this machine: device and dtype, each with the reason it was chosen; seeds; profile; where the cache,
the progress and the lessons are.

An automatic choice that is not explained cannot be questioned, so every choice here is a `Choice`: a value and why.
torch is imported inside the functions: `import motionlab` must stay instant.
"""

from __future__ import annotations

import contextlib
import operator
import os
import platform
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from motionlab.environment import PROFILES, QUICK, asked_profile, language, switched_on, thread_count, usable_path
from motionlab.errors import InputError

if TYPE_CHECKING:
    import torch

LARGEST_SEED = 2**64 - 1  # that torch takes
Whole = TypeVar("Whole", bound=Any)  # an int, or an array of uint64


@dataclass(frozen=True)
class Choice:
    """A value and the reason it was chosen."""

    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.value} ({self.reason})"


def choose_device(requested: str = "auto") -> Choice:
    """Pick `cuda`, `mps` or `cpu`.

    Raises:
        InputError: a device was requested by name and torch cannot use it.
    """
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    kind = requested.split(":")[0]
    if requested != "auto":
        if not available.get(kind, False):
            raise InputError(
                "device",
                found=repr(requested),
                expected="one of " + ", ".join(name for name, there in available.items() if there),
                fix="Use device=auto, or install a torch build that supports it.",
            )
        return Choice(requested, "asked for")
    if available["cuda"]:
        return Choice("cuda", f"torch sees {torch.cuda.get_device_name(0)}")
    if available["mps"]:
        return Choice("mps", "torch sees an Apple GPU")
    return Choice("cpu", "torch sees no GPU")


def choose_precision(device: str, requested: str = "auto") -> Choice:
    """Pick the dtype of matrix products for a device: `fp32`, `tf32`, `bf16`, `fp16`, or `bf16_pure` (weights too).

    bf16 is chosen only where the hardware multiplies it natively (compute capability 8.0 or later): elsewhere it is
    emulated and slower than fp32. On a CPU the choice is fp32, so that a preset gives the same everywhere. Where a CPU
    has units for bf16 (`torch.cpu.get_capabilities()`), large models gain by asking for it: there a decoder of 12 x 768
    trained 2.5 times and the tokenizers of `tiny` about 1.5 times as fast, but the decoder of `tiny` not at all.
    """
    import torch

    names = ("fp32", "tf32", "bf16", "fp16", "bf16_pure")
    if requested != "auto":
        if requested not in names:
            raise InputError(
                "precision", found=repr(requested), expected="auto, " + ", ".join(names), fix="Choose one of these."
            )
        if requested == "tf32" and not device.startswith("cuda"):
            raise InputError("precision", found=f"tf32 on {device}", expected="an Nvidia GPU", fix="Use fp32.")
        return Choice(requested, "asked for")
    if device.startswith("cuda"):
        major, minor = torch.cuda.get_device_capability()
        if major >= 8:
            return Choice("bf16", f"compute capability {major}.{minor} multiplies bf16 natively")
        return Choice("fp16", f"compute capability {major}.{minor} has fp16 but no bf16 units; GradScaler is on")
    return Choice("fp32", f"on {device} half precision pays only for large models; ask for it")


def profile() -> str:
    """How much work a lesson should do: `ci` (seconds), `cpu` (minutes), `gpu`. `MOTIONLAB_PROFILE` decides.

    A lesson calls the first one `quick`, and the variable takes either name; `lessons_are_checked` tells them apart.

    Raises:
        InputError: the variable holds something else.
    """
    return asked_profile() or ("gpu" if choose_device().value == "cuda" else "cpu")


def lessons_are_checked() -> bool:
    """Whether lessons run here to be compared, and nobody learns: `MOTIONLAB_PROFILE=ci`. A learner writes `quick`.

    Raises:
        InputError: the variable holds something else.
    """
    return asked_profile() == PROFILES[0] and os.environ["MOTIONLAB_PROFILE"] != QUICK


def cache_dir() -> Path:
    """Folder for files that can be made again (corpora, text features). `MOTIONLAB_CACHE` moves it.

    Raises:
        InputError: no folder can have that name, or a file has it.
    """
    configured, base = os.environ.get("MOTIONLAB_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if configured:
        folder, where = usable_path(configured, "MOTIONLAB_CACHE"), "MOTIONLAB_CACHE"
    else:
        where = "XDG_CACHE_HOME"
        folder = (usable_path(base, where) if base else Path.home() / ".cache") / "motionlab"
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise InputError(where, found=f"{folder}, a file", expected="a folder", fix="Name a folder, or unset it.")
    return folder


def progress_file() -> Path | None:
    """The file with a learner's progress, which stays on this machine; `MOTIONLAB_PROGRESS` names another one.

    None when it is `off`: then nothing is kept.

    Raises:
        InputError: the variable is a relative path, which lessons and commands would read from different folders, or
            a path that no file can have; or this user has no home folder.
    """
    named = os.environ.get("MOTIONLAB_PROGRESS")
    if named == "off":
        return None
    if not named:
        try:
            return Path.home() / ".motionlab" / "progress.json"
        except RuntimeError as error:
            fix = "Set MOTIONLAB_PROGRESS to a file, or to off."
            raise InputError("home folder", found=error, expected="one for the progress", fix=fix) from error
    path = usable_path(named, "MOTIONLAB_PROGRESS")
    found = f"{named}, a folder" if os.path.isdir(path) else "" if path.is_absolute() else f"{named}, no absolute path"
    if found:
        fix = "Write the whole path of a file, or unset it."
        raise InputError("MOTIONLAB_PROGRESS", found=found, expected="off, or the absolute path of a file", fix=fix)
    return path


def check_environment() -> None:
    """Refuse a wrong variable of the environment before any work, by its name."""
    thread_count()
    asked_profile()
    cache_dir()
    progress_file()
    usable_path(os.environ.get("MOTIONLAB_SAMPLES", ""), "MOTIONLAB_SAMPLES")
    switched_on("MOTIONLAB_SOLUTIONS")
    language()


def physical_cores() -> int:
    """Cores of this machine; two hardware threads of one core count once."""
    import psutil

    return psutil.cpu_count(logical=False) or 1


def set_threads(count: int | None = None) -> int:
    """Set torch's CPU threads to `count`, or to `OMP_NUM_THREADS`, or to the physical cores; return the number.

    Threads that wait spin, so more threads than free cores can be several times slower than one.
    """
    import torch

    if count is None:
        count = thread_count() or physical_cores()
    torch.set_num_threads(count)
    return count


@contextlib.contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Run a block with one torch thread, for work made of thousands of small operations; or, unless `when`, as it is.

    Passing a small matrix to a second thread costs more than it saves: 500 clips of the corpus took 5.8 s with one
    thread and 8.6 s with two.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1 if when else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def wait_passively() -> None:
    """Let idle OpenMP threads sleep instead of spin. Has an effect only before torch is first imported.

    When another process takes a core, a thread that spins at a barrier keeps the one it waits for from running. On
    a busy two-core machine a decoder step took 0.57 s with it and 1.49 s with spinning threads (one pair of runs); on a
    quieter one 0.205 s and 0.209 s. Generation, which is made of small operations, was slower with it both times.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch (all devices).

    Raises:
        InputError: no seed that each of them takes.
    """
    import numpy as np
    import torch

    seed = check_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def check_seed(seed: int, where: str = "seed") -> int:
    """The seed as a plain int.

    Raises:
        InputError: no whole number from 0 to 2**64 - 1. torch ends in an OverflowError or RuntimeError above it.
    """
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value <= LARGEST_SEED:
        expected = "a whole number, 0 to 2**64 - 1"
        raise InputError(where, found=seed, expected=expected, fix="Choose a smaller one.")
    return value


def scramble(number: Whole) -> Whole:
    """Mix 64 bits so that neighbours have nothing in common (the finaliser of SplitMix64, Steele et al. 2014).

    Args:
        number: an int from 0 to 2**64 - 1, or an array of uint64.
    """
    number = (number + 0x9E3779B97F4A7C15) & LARGEST_SEED
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & LARGEST_SEED
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & LARGEST_SEED
    mixed: Whole = number ^ (number >> 31)
    return mixed


def random_generator(seed: int) -> torch.Generator:
    """A generator of torch, on the CPU, that starts at `seed`; an InputError for a seed that is none."""
    import torch

    return torch.Generator().manual_seed(check_seed(seed))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block with its own seed and put every generator back afterwards.

    A notebook cell that draws random numbers inside `with seeded(0):` gives the same result however often, and in
    whatever order, it is run.
    """
    import numpy as np
    import torch

    python, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda_states = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        seed_everything(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)
        if cuda_states:
            torch.cuda.set_rng_state_all(cuda_states)


def as_device(device: str | torch.device | None = None) -> torch.device:
    """`None` or `"auto"` becomes the chosen device; anything else is passed to `torch.device`."""
    import torch

    if device is None or device == "auto":
        return torch.device(choose_device().value)
    return torch.device(device)


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Run a block in eval mode; afterwards each part has its own mode again: a frozen part stays in eval mode.

    A policy that acts is in eval mode already, many times a second: then nothing is set, before or after.
    """
    learning = [module for module in model.modules() if module.training]
    if learning:
        model.eval()
    try:
        yield
    finally:
        for module in learning:
            module.training = True


def notebooks_folder() -> Path:
    """`notebooks/`, with the lessons, of the working folder or of the checkout that motionlab runs from.

    Raises:
        InputError: there is none.
    """
    for base in (Path.cwd(), Path(__file__).resolve().parent.parent):
        if (base / "notebooks" / "lessons").is_dir():
            return base / "notebooks"
    raise InputError(
        "notebooks",
        found="no such folder here",
        expected="the project's checkout",
        fix="The lessons are not part of the wheel: clone the repository and run this inside it.",
    )


def lab_environment(notebooks: Path) -> dict[str, str]:
    """The environment for JupyterLab on the lessons: as it is here, and with the settings in `notebooks/.jupyter`.

    They are defaults only, so a reader's own settings come first. Without them Lab opens a window over the first
    lesson, which asks whether it may fetch news from the network.
    """
    folders = [str(notebooks.resolve() / ".jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    return {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, folders))}


def has_display() -> bool:
    """Whether opening a browser window can work at all."""
    if platform.system() in ("Windows", "Darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
