"""Trees of motions for tests, made from the bundled clips: an imported folder, and MotionMillion in both layouts."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.data.composed.samples import Sample, load_samples

LISTS = "split/version1/t2m_60_300"


def short_samples(count: int) -> list[Sample]:
    """The first clips of 64 to 160 frames."""
    return [sample for sample in load_samples() if 64 <= len(sample.motion) <= 160][:count]


def write_imported(folder: Path, samples: Sequence[Sample], **changes: Any) -> Path:
    """A folder as `motionlab import` writes it; `changes` are fields of the records, by the name of a clip."""
    (folder / "motions").mkdir(parents=True)
    lines = []
    for sample in samples:
        sample.motion.save(folder / "motions" / f"{sample.name}.npz")
        record = {
            "name": sample.name,
            "file": f"motions/{sample.name}.npz",
            "format": "BVH",
            "captions": sample.captions,
            "source": sample.name,
            "subject": None,
            "mirrored": False,
            "verdict": "right",
            "reasons": [],
            **changes.get(sample.name, {}),
        }
        lines.append(json.dumps(record) + "\n")
    (folder / "clips.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def tar(path: Path, members: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


class Tree:
    """A small MotionMillion: ten clips in three folders, a mirrored twin, one clip with NaN, one of 263 numbers, one
    without text, and a name that is not there."""

    def __init__(self) -> None:
        self.features: dict[str, np.ndarray] = {}
        self.texts: dict[str, str] = {}
        names = []
        for number, sample in enumerate(short_samples(10)):
            name = f"MotionGV/folder{number % 3}/{sample.name}"
            names.append(name)
            self.features[name] = sample.motion.features.numpy().astype(np.float64)
            self.texts[name] = "\n".join([*sample.captions, ""])
        self.twin = f"Mirror_{names[0]}"
        self.features[self.twin] = short_samples(1)[0].motion.mirror().features.numpy()
        self.texts[self.twin] = "the same in the mirror\n"
        self.nan, self.wrong, self.silent = (f"MotionGV/folder0/{word}" for word in ("nan", "wrong", "silent"))
        self.features[self.nan] = self.features[names[1]].copy()
        self.features[self.nan][3, 5] = np.nan
        self.features[self.wrong] = np.zeros((70, 263))
        self.features[self.silent] = self.features[names[2]] + 0.001
        self.texts |= {self.nan: "x\n", self.wrong: "x\n", self.silent: "\n"}
        self.lists = {
            "train": [*names[:7], self.nan, self.wrong, self.silent, "AIST/gone"],
            "val": names[7:8],
            "test": [*names[8:], self.twin],
        }

    def write_code_layout(self, folder: Path) -> Path:
        """The files that the published code reads."""
        files = {f"motion_data/vector_272/{name}.npy": npy(values) for name, values in self.features.items()}
        files |= {f"texts/{name}.txt": text.encode() for name, text in self.texts.items()}
        files |= {f"{LISTS}/{name}.txt": "\n".join(rows).encode() for name, rows in self.lists.items()}
        files["mean_std/vector_272/mean.npy"] = npy(np.zeros(272))
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder

    def write_archives(self, folder: Path) -> Path:
        """The download: one archive with the top folder, one with it doubled, one without."""
        tops = {"folder0": "", "folder1": "MotionGV/MotionGV/", "folder2": None}
        for part, top in tops.items():
            inside = {
                name: npy(values) for name, values in self.features.items() if name.startswith(f"MotionGV/{part}/")
            }
            short = {name.removeprefix("MotionGV/"): content for name, content in inside.items()}
            if top is None:
                members = {f"{name.rpartition('/')[2]}.npy": content for name, content in short.items()}
            else:
                members = {f"{top}{name}.npy": content for name, content in short.items()}
            tar(folder / "motion_272rpr" / "MotionGV" / f"{part}.tar.gz", members)
        tar(
            folder / "motion_272rpr" / "Mirror_MotionGV" / "folder0.tar.gz",
            {f"{self.twin}.npy": npy(self.features[self.twin]), "mean.npy": npy(np.zeros(272))},
        )
        tar(folder / "texts.tar.gz", {f"texts/texts/{name}.txt": text.encode() for name, text in self.texts.items()})
        tar(
            folder / "split.tar.gz",
            {f"{LISTS}/{name}.txt": "\n".join(rows).encode() for name, rows in self.lists.items()},
        )
        return folder
