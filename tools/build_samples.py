"""Build the motions of `data_samples/` again, byte for byte, from two public packages.

    python tools/build_samples.py                    # downloads with pip and apt-get, rebuilds, writes
    python tools/build_samples.py --pybullet-wheel FILE --assimp-deb FILE
    python tools/build_samples.py --check            # rebuilds and only compares
    python tools/build_samples.py --hashes           # after editing captions.jsonl: embeddings and provenance only

Neither package is installed: a wheel is a zip file and a .deb is an `ar` archive with a tar file in it, so this needs
Debian only for the download. All arithmetic is float64 and the result is stored as float16, so differences between
machines in the last bits are rounded away. The caption embeddings come from a float32 network, where this does not
hold: they are compared within a tolerance, and kept as they are while they agree.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from motionlab.data.composed.samples import CAPTIONS, EMBEDDINGS, PROVENANCE, load_caption_embeddings, read_captions
from motionlab.errors import InputError, MissingExtra
from motionlab.files import atomic_path, sha256, write_text
from motionlab.motion.features import crop, encode
from motionlab.motion.formats.bvh import parse_bvh
from motionlab.motion.formats.deepmimic import read_deepmimic, retarget_deepmimic
from motionlab.motion.skeleton import canonical_skeleton, forward_kinematics
from motionlab.text.minilm import MiniLM

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from tools.sample_retargeting import CMU_MAP, ROUNDED, TOES_MAP, BvhMap, retarget_bvh  # noqa: E402

FOLDER = ROOT / "data_samples"
FPS = 30.0
TOLERANCE = 2e-3  # of one number in a caption embedding; float16 steps are 2.4e-4 below 0.5


@dataclass(frozen=True)
class Package:
    """A file that a public archive serves, and how to get it."""

    name: str
    version: str
    sha256: str
    licence: str
    command: tuple[str, ...]


PYBULLET = Package(
    "pybullet",
    "3.2.7",
    "5d858abf7c12a21ef3ed351cf81dac1b5e486ec25c9ab59bfc84beb89034edff",
    "zlib",
    (sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--platform", "manylinux2014_x86_64")
    + ("--python-version", "3.11", "pybullet==3.2.7"),
)
ASSIMP = Package(
    "assimp-testmodels",
    "5.2.5~ds0-1",
    "526f326186000cd6f631ea806128548a7d3d391abd8149fddc5c4c8513e80b8a",
    "CMU: free for all uses; the boxing take: BSD-3-Clause",
    ("apt-get", "download", "assimp-testmodels=5.2.5~ds0-1"),
)


@dataclass(frozen=True)
class Take:
    """A recording in a package.

    Args:
        floor: height in metres, after scaling, of the lowest foot joint when the recorded person stands. It is taken
            away, so that all clips share one floor and can follow each other.
    """

    package: Package
    member: str
    body: BvhMap | None = None
    floor: float = 0.0


@dataclass(frozen=True)
class Clip:
    """Part of a take, in seconds; all of it by default."""

    name: str
    take: str
    start: float = 0.0
    stop: float | None = None


_MOTIONS = "pybullet_data/data/motions"
_BVH = "./usr/share/assimp/models/BVH"
_SINGLE = {
    **{
        name: f"humanoid3d_{name}.txt"
        for name in ("walk", "run", "jump", "kick", "punch", "spinkick", "spin", "cartwheel", "backflip", "roll")
        + ("crawl", "dance_a", "dance_b", "getup_facedown", "getup_faceup")
    },
    "walk_forward": "walker/0walk_forward.txt",
    **{name: f"walker/{name}.txt" for name in ("turn_left0", "turn_left1", "turn_right0", "turn_right1")},
}
TAKES: dict[str, Take] = {
    **{f"pybullet {name}": Take(PYBULLET, f"{_MOTIONS}/{file}") for name, file in _SINGLE.items()},
    "CMU 01_01": Take(ASSIMP, f"{_BVH}/01_01.bvh", CMU_MAP, floor=0.05),
    "CMU 01_03": Take(ASSIMP, f"{_BVH}/01_03.bvh", CMU_MAP, floor=0.05),
    "boxing": Take(ASSIMP, f"{_BVH}/Boxing_Toes.bvh", TOES_MAP, floor=0.01),
}

# The long takes begin with a T-pose, which is left out. Seconds were chosen by looking at the rendered takes.
CLIPS: tuple[Clip, ...] = (
    *(Clip(name, f"pybullet {name}") for name in _SINGLE),
    Clip("cmu_jump_1", "CMU 01_01", 0.6, 2.8),
    Clip("cmu_jump_2", "CMU 01_01", 2.8, 4.4),
    Clip("cmu_jump_3", "CMU 01_01", 4.4, 5.9),
    Clip("cmu_jump_4", "CMU 01_01", 5.9, 7.4),
    Clip("cmu_stand", "CMU 01_01", 7.4, 8.5),
    Clip("cmu_turn_around_right", "CMU 01_01", 8.4, 10.0),
    Clip("cmu_jump_5", "CMU 01_01", 10.0, 11.6),
    Clip("cmu_jump_6", "CMU 01_01", 12.1, 13.7),
    Clip("cmu_jump_7", "CMU 01_01", 14.0, 15.7),
    Clip("cmu_turn_around_left", "CMU 01_01", 16.1, 17.7),
    Clip("cmu_jump_8", "CMU 01_01", 17.7, 19.3),
    Clip("cmu_jump_9", "CMU 01_01", 19.5, 21.1),
    Clip("cmu_jump_10", "CMU 01_01", 21.3, 22.9),
    Clip("cmu_walk_turn_right", "CMU 01_03", 0.5, 2.4),
    Clip("cmu_climb_up_1", "CMU 01_03", 2.4, 5.8),
    Clip("cmu_lean_over", "CMU 01_03", 5.8, 9.5),
    Clip("cmu_climb_down_1", "CMU 01_03", 9.5, 12.0),
    Clip("cmu_walk_around_1", "CMU 01_03", 12.0, 13.9),
    Clip("cmu_swing_1", "CMU 01_03", 13.9, 18.1),
    Clip("cmu_walk_around_2", "CMU 01_03", 18.5, 20.2),
    Clip("cmu_climb_up_2", "CMU 01_03", 20.2, 23.2),
    Clip("cmu_climb_down_2", "CMU 01_03", 24.7, 27.6),
    Clip("cmu_walk_around_3", "CMU 01_03", 27.6, 29.5),
    Clip("cmu_swing_2", "CMU 01_03", 29.5, 34.9),
    Clip("cmu_let_go", "CMU 01_03", 34.9, 37.5),
    Clip("boxing_jab_1", "boxing", 2.3, 4.5),
    Clip("boxing_combination_1", "boxing", 4.5, 6.9),
    Clip("boxing_combination_2", "boxing", 8.4, 10.6),
    Clip("boxing_jab_2", "boxing", 11.9, 13.3),
    Clip("boxing_jab_3", "boxing", 13.6, 15.0),
    Clip("boxing_guard_1", "boxing", 15.0, 17.2),
    Clip("boxing_guard_2", "boxing", 18.9, 22.0),
    Clip("boxing_fall", "boxing", 22.0, 24.7),
    Clip("boxing_sit", "boxing", 24.7, 26.9),
    Clip("boxing_get_up", "boxing", 26.9, 30.3),
)


# The changes that zlib's second condition asks to mark; the other sources get the same.
ALTERED = (
    "Retargeted to a body of 22 joints: bone directions are kept, bone lengths are those of the pybullet humanoid.",
    "The CMU and boxing takes are scaled to that body's legs, cut into segments, and their T-poses left out.",
    "Resampled to 30 frames a second (linear for the root, slerp for rotations).",
    "Heights are relative to the floor of the recording.",
    "Encoded as 272 features a frame and rounded to float16.",
    "Captions, phrases and labels were written for this project by looking at the rendered clips.",
)
BACKGROUND = (
    "The pybullet package states the zlib licence for its files. Its humanoid clips came to it through the DeepMimic "
    "project (MIT licence) from public motion capture libraries; this last step is background knowledge, it is not "
    "stated in the package."
)


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the data_samples folder")
    parser.add_argument("--pybullet-wheel", type=Path, help="the downloaded wheel; by default pip downloads it")
    parser.add_argument("--assimp-deb", type=Path, help="the downloaded package; by default apt-get downloads it")
    parser.add_argument("--check", action="store_true", help="compare with the existing files and write nothing")
    parser.add_argument("--hashes", action="store_true", help="leave the motions; redo embeddings and provenance")
    arguments = parser.parse_args(argv)
    folder: Path = arguments.folder
    try:
        names = [row["name"] for row in read_captions(folder / CAPTIONS)]
        if names != [clip.name for clip in CLIPS]:
            raise InputError(
                folder / CAPTIONS, found="other clips", expected="those of CLIPS, in order", fix="Edit one."
            )
        if arguments.hashes:
            sources = read_provenance(folder)["sources"]
        else:
            with tempfile.TemporaryDirectory() as temporary:
                wheel = arguments.pybullet_wheel or download(PYBULLET, Path(temporary))
                deb = arguments.assimp_deb or download(ASSIMP, Path(temporary))
                takes = read_members(wheel, deb)
            built, sources = build_motions(takes), describe_sources(takes)
            if arguments.check:
                return compare(built, sources, folder)
            for name, content in built.items():
                with atomic_path(folder / name) as path:
                    path.write_bytes(content)
        write_embeddings(folder)
        write_text(folder / PROVENANCE, json.dumps(provenance(folder, sources), indent=1, ensure_ascii=False) + "\n")
        print(f"{len(names)} clips in {folder}")
        return 0
    except (InputError, MissingExtra) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def build_motions(content: dict[str, bytes]) -> dict[str, bytes]:
    """File name to content for every clip, from the content of every take."""
    takes = {name: take_features(name, take, content[name]) for name, take in TAKES.items()}
    result = {}
    for clip in CLIPS:
        features = takes[clip.take]
        start = round(clip.start * FPS)
        stop = len(features) if clip.stop is None else round(clip.stop * FPS)
        result[f"motions/{clip.name}.npy"] = npy_bytes(crop(features, start, stop - start))
    return result


def npy_bytes(features: torch.Tensor) -> bytes:
    """A `.npy` file in memory. Adding 0.0 turns -0.0 into 0.0: the sign of a zero is noise."""
    buffer = io.BytesIO()
    np.save(buffer, features.numpy().astype(np.float16) + np.float16(0), allow_pickle=False)
    return buffer.getvalue()


def take_features(name: str, take: Take, content: bytes) -> torch.Tensor:
    """`[T, 272]` float64. Heights stay relative to the take's own floor, not to the lowest joint of each clip."""
    if take.body is None:
        rotations, root = retarget_deepmimic(read_deepmimic(content, name), FPS, ROUNDED)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the boxing take has one row more than its header says
            clip = parse_bvh(content.decode("latin-1"), name)
        rotations, root = retarget_bvh(clip, take.body, FPS)
    joints = forward_kinematics(rotations, root, canonical_skeleton(torch.float64).offsets)
    joints[..., 1] -= take.floor
    return encode(joints, rotations, ground=False)


def read_members(wheel: Path, deb: Path) -> dict[str, bytes]:
    """Content of every take, after checking the packages."""
    for package, path in ((PYBULLET, wheel), (ASSIMP, deb)):
        if not path.is_file():
            raise InputError(path, found="no file", expected=f"{package.name} {package.version}", fix="Check the path.")
        digest = sha256(path)
        if digest != package.sha256:
            raise InputError(
                path,
                found=f"sha256 {digest[:16]}...",
                expected=f"{package.sha256[:16]}... ({package.name} {package.version})",
                fix="Download it with: " + " ".join(package.command[-6:]),
            )
    result = {}
    with zipfile.ZipFile(wheel) as archive, _open_deb(deb) as tar:
        for name, take in TAKES.items():
            if take.package is PYBULLET:
                result[name] = archive.read(take.member)
            else:
                file = tar.extractfile(take.member)
                assert file is not None  # the package was checked by its sha256
                result[name] = file.read()
    return result


def _open_deb(path: Path) -> tarfile.TarFile:
    """The `data.tar` of a Debian package. `ar`: 8 bytes of magic, then members with a header of 60 bytes."""
    content = path.read_bytes()
    position = 8
    while position < len(content):
        header = content[position : position + 60]
        name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
        if name.startswith("data.tar"):
            return tarfile.open(fileobj=io.BytesIO(content[position + 60 : position + 60 + size]))
        position += 60 + size + size % 2  # members begin at even places
    raise InputError(path, found="no data.tar", expected="a Debian package", fix="Download it again.")


def download(package: Package, folder: Path) -> Path:
    """Fetch a package with its own client into `folder`."""
    try:
        subprocess.run(package.command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(
            package.name,
            found=f"a failed download ({error})",
            expected=f"version {package.version}",
            fix="Download it by hand and give its path (see --help).",
        ) from error
    return next(path for path in folder.iterdir() if path.name.startswith(package.name))


def describe_sources(takes: dict[str, bytes]) -> list[dict[str, Any]]:
    """The files read, for the provenance file."""
    result: list[dict[str, Any]] = []
    for package in (PYBULLET, ASSIMP):
        members = {
            take.member: hashlib.sha256(takes[name]).hexdigest()
            for name, take in TAKES.items()
            if take.package is package
        }
        get = " ".join(word if word != sys.executable else "python" for word in package.command)
        result.append(
            {
                "package": package.name,
                "version": package.version,
                "sha256": package.sha256,
                "licence": package.licence,
                "get": get,
                "members": members,
            }
        )
    return result


def provenance(folder: Path, sources: list[dict[str, Any]]) -> dict[str, Any]:
    """Where every file comes from, with sha256."""
    files = [CAPTIONS, EMBEDDINGS, *(f"motions/{clip.name}.npy" for clip in CLIPS)]
    files += sorted(str(path.relative_to(folder)) for path in (folder / "LICENSES").iterdir())
    return {
        "made_by": "tools/build_samples.py",
        "altered": list(ALTERED),
        "background": BACKGROUND,
        "sources": sources,
        "clips": {
            clip.name: {"member": TAKES[clip.take].member, "start_s": clip.start, "stop_s": clip.stop} for clip in CLIPS
        },
        "files": {name: sha256(folder / name) for name in files},
    }


def read_provenance(folder: Path) -> dict[str, Any]:
    """The existing provenance file."""
    try:
        content: dict[str, Any] = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError) as error:
        raise InputError(
            folder / PROVENANCE,
            found=f"nothing readable ({error})",
            expected="a JSON file",
            fix="Rebuild without --hashes.",
        ) from error


def write_embeddings(folder: Path) -> None:
    """Encode all captions; keep the file when it already agrees within `TOLERANCE`."""
    captions = [caption for row in read_captions(folder / CAPTIONS) for caption in row["captions"]]
    encoder = MiniLM(pooled=True)
    vectors = encoder.encode(captions).states[:, 0].half()  # [N, 384]
    if (folder / EMBEDDINGS).is_file():
        old = load_caption_embeddings(folder, check=False)
        same = old.encoder == encoder.name and old.captions == tuple(captions)
        if same and float((old.vectors - vectors.float()).abs().max()) < TOLERANCE:
            return
    # One key only: safetensors does not keep the order of several, and the file should be the same each time.
    index = json.dumps({"encoder": encoder.name, "captions": captions}, ensure_ascii=False)
    with atomic_path(folder / EMBEDDINGS) as path:
        path.write_bytes(save({"vectors": vectors.contiguous()}, metadata={"index": index}))


def compare(built: dict[str, bytes], sources: list[dict[str, Any]], folder: Path) -> int:
    """Print each file that differs from the rebuilt one; 1 if there is any, else 0."""
    different = [
        name
        for name, content in built.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != content
    ]
    if read_provenance(folder) != provenance(folder, sources):
        different.append(PROVENANCE)
    for name in different:
        print(f"differs: {folder / name}")
    print(f"{len(built)} motions rebuilt, {len(different)} files differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
