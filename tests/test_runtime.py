import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab import runtime
from motionlab.environment import PROFILES
from motionlab.errors import InputError


def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Test GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)


def test_device_is_chosen_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    no_gpu(monkeypatch)
    assert str(runtime.choose_device()) == "cpu (torch sees no GPU)"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert runtime.choose_device().value == "mps"
    gpu(monkeypatch, (9, 0))
    assert str(runtime.choose_device()) == "cuda (torch sees Test GPU)"
    assert runtime.choose_device("cuda:1") == runtime.Choice("cuda:1", "asked for")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "tpu", ""])
def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    no_gpu(monkeypatch)
    with pytest.raises(InputError, match=f"device: found '{name}', expected one of cpu"):
        runtime.choose_device(name)


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16"), ((7, 0), "fp16")]
)
def test_precision_follows_the_hardware(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    gpu(monkeypatch, capability)
    choice = runtime.choose_precision("cuda")
    assert choice.value == expected and f"{capability[0]}.{capability[1]}" in choice.reason


def test_precision_on_a_cpu() -> None:
    assert str(runtime.choose_precision("cpu")) == "fp32 (on cpu half precision pays only for large models; ask for it)"
    assert runtime.choose_precision("cpu", "fp16").value == "fp16"
    with pytest.raises(InputError, match="precision: found 'half', expected auto, fp32, tf32, bf16, fp16, bf16_pure"):
        runtime.choose_precision("cpu", "half")


def test_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    no_gpu(monkeypatch)
    for value in PROFILES:
        monkeypatch.setenv("MOTIONLAB_PROFILE", value)
        assert runtime.profile() == value
    monkeypatch.setenv("MOTIONLAB_PROFILE", "quick")
    assert runtime.profile() == "ci"
    monkeypatch.delenv("MOTIONLAB_PROFILE")
    assert runtime.profile() == "cpu"
    gpu(monkeypatch, (9, 0))
    assert runtime.profile() == "gpu"
    monkeypatch.setenv("MOTIONLAB_PROFILE", "fast")
    with pytest.raises(InputError, match="MOTIONLAB_PROFILE: found 'fast', expected quick or cpu or gpu"):
        runtime.profile()


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOTIONLAB_CACHE", str(tmp_path / "a"))
    assert runtime.cache_dir() == tmp_path / "a"
    monkeypatch.delenv("MOTIONLAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert runtime.cache_dir() == tmp_path / "b" / "motionlab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert runtime.cache_dir() == Path.home() / ".cache" / "motionlab"


def test_progress_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for named, expected in (
        (str(tmp_path / "mine.json"), tmp_path / "mine.json"),
        ("", tmp_path / ".motionlab" / "progress.json"),
        ("off", None),
    ):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("MOTIONLAB_PROGRESS", named)
        assert runtime.progress_file() == expected

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MOTIONLAB_PROGRESS")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match="home folder: found Could not .* Set MOTIONLAB_PROGRESS"):
        runtime.progress_file()


def test_the_lessons_of_the_working_folder_come_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()  # a folder of one's own with that name is not the lessons
    assert runtime.notebooks_folder() == root / "notebooks"
    (tmp_path / "notebooks" / "lessons").mkdir()
    assert runtime.notebooks_folder() == tmp_path / "notebooks"


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        assert runtime.set_threads(2) == 2 == torch.get_num_threads()
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert runtime.set_threads() == 1 == torch.get_num_threads()
        monkeypatch.setenv("OMP_NUM_THREADS", "many")
        with pytest.raises(InputError, match="OMP_NUM_THREADS: found OMP_NUM_THREADS=many"):
            runtime.set_threads()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", None])
def test_a_seed_that_is_none_is_one_error(seed: Any) -> None:
    for use in (runtime.seed_everything, runtime.random_generator, runtime.check_seed):
        with pytest.raises(InputError, match=r"seed: found .*, expected a whole number, 0 to 2\*\*64 - 1"):
            use(seed)
    assert runtime.check_seed(2**64 - 1) == 2**64 - 1 == runtime.random_generator(2**64 - 1).initial_seed() % 2**64


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OMP_NUM_THREADS", "0"),
        ("OMP_NUM_THREADS", "²"),
        ("MOTIONLAB_PROFILE", "fast"),
        ("MOTIONLAB_SOLUTIONS", "yes"),
        ("MOTIONLAB_CACHE", "c" * 5000),
        ("MOTIONLAB_CACHE", __file__),
        ("XDG_CACHE_HOME", "c" * 300),
        ("MOTIONLAB_SAMPLES", "c" * 300),
        ("MOTIONLAB_PROGRESS", "0"),
        ("MOTIONLAB_PROGRESS", "/" + "c" * 300),
        ("MOTIONLAB_PROGRESS", str(Path(__file__).parent)),
    ],
)
def test_a_wrong_variable_is_named_before_any_work(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.delenv("MOTIONLAB_CACHE", raising=False)
    runtime.check_environment()
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"^{name}: "):
        runtime.check_environment()


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def test_a_seed_reaches_every_generator() -> None:
    with runtime.seeded(0):  # so that the generators of other tests are not touched
        runtime.seed_everything(5)
        first = draw()
        runtime.seed_everything(6)
        other = draw()
        runtime.seed_everything(5)
        assert draw() == first
        assert all(a != b for a, b in zip(first, other, strict=True))
        runtime.seed_everything(2**40)  # numpy takes 32 bits only


def test_seeded_puts_every_generator_back() -> None:
    with runtime.seeded(0):
        expected = draw(), draw()
    with runtime.seeded(0):
        first = draw()
        with pytest.raises(RuntimeError), runtime.seeded(9):
            draw()
            raise RuntimeError
        assert (first, draw()) == expected


def test_as_device(monkeypatch: pytest.MonkeyPatch) -> None:
    no_gpu(monkeypatch)
    for nothing in (None, "auto"):
        assert runtime.as_device(nothing) == torch.device("cpu")
    assert runtime.as_device("meta") == torch.device("meta")


def test_importing_runtime_does_not_import_torch() -> None:
    code = "import sys, motionlab.runtime; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(runtime.__file__).parents[1]).returncode == 0
    )


def test_one_thread_is_given_back_also_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ValueError), runtime.one_thread():
        assert torch.get_num_threads() == 1
        raise ValueError
    assert torch.get_num_threads() == before
