"""A built site of two lessons in English and one in Chinese, made once for all tests that look at it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.site.building import build_site

LESSONS = ("00_start_here", "05_rope")  # with players and a panel; with formulas, pictures and a table


@pytest.fixture(scope="session")
def small_root(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two lessons, a Chinese twin of one of them, and an appendix of the other in both languages."""
    copy = tmp_path_factory.mktemp("root")
    for name in ("README.md", "README.zh.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml"):
        shutil.copyfile(root / name, copy / name)
    for name in ("docs", "motionlab", "benchmarks", "notebooks/results"):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).symlink_to(root / name, target_is_directory=True)
    for name in LESSONS:
        shutil.copyfile(root / "notebooks" / f"{name}.ipynb", copy / "notebooks" / f"{name}.ipynb")
    for name in LESSONS[:1]:
        appendix = json.loads((root / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
        appendix["cells"] = [{**appendix["cells"][0], "source": f"# 00 · Appendix: Why?\n\n[lesson](../{name}.ipynb)"}]
        for folder in ("appendix", "zh/appendix"):
            (copy / "notebooks" / folder).mkdir(parents=True)
            (copy / "notebooks" / folder / f"{name}.ipynb").write_text(json.dumps(appendix), encoding="utf-8")
    chinese = json.loads((root / "notebooks" / "05_rope.ipynb").read_text(encoding="utf-8"))
    chinese["cells"][0]["source"] = "# 05 · RoPE 如何编码位置？"
    (copy / "notebooks" / "zh" / "05_rope.ipynb").write_text(json.dumps(chinese), encoding="utf-8")
    return copy


@pytest.fixture(scope="session")
def built(root: Path, small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages of `small_root`."""
    return build_site(root, small_root, tmp_path_factory.mktemp("site"))
