"""Descriptions of a folder of motions: captions in every form, the list of clips, the quarantine, archives."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.data.captions_file import Caption, read_caption_lines, read_timed_captions
from motionlab.data.folder import read_clips, read_quarantine
from motionlab.data.tar_members import LARGEST_MEMBER, read_members
from motionlab.errors import InputError
from motionlab.files.reading import read_text
from tests.data.folders import npy, tar
from tests.fuzz.registry import Format, register

CAPTIONS = {
    "csv": 'name,caption,start,end\nwalk,"goes, slowly",0,2.5\nkick,kicks,,\n',
    "jsonl": '{"name": "walk", "captions": ["goes", {"text": "slowly", "start": 0, "end": 2.5}]}\n'
    '{"id": "k", "text": "x"}\n',
    "json": json.dumps({"walk": {"seq_ann": {"labels": [{"proc_label": "goes", "start_t": 0.5, "end_t": 2}]}}}),
    "txt": "walk\tgoes\nkick: kicks\nrun|runs\n",
}


def _make_captions(kind: str) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        path = folder / f"captions.{kind}"
        path.write_text(CAPTIONS[kind], encoding="utf-8")
        return [path]

    return make


def _read_captions(kind: str, folder: Path) -> dict[str, list[Caption]]:
    return read_timed_captions(folder / f"captions.{kind}")


def _are_captions(found: dict[str, list[Caption]]) -> None:
    for name, captions in found.items():
        assert name and captions
        for caption in captions:
            assert caption.text.strip() and (caption.whole or 0 <= caption.start < caption.end < float("inf"))
            caption.text.encode()


def _make_lines(folder: Path) -> list[Path]:
    (folder / "walk.txt").write_text("a man walks#a/DET man/NOUN#0.0#0.0\nplain\nhe turns##1.5#2.5\n")
    return [folder / "walk.txt"]


def _read_lines(folder: Path) -> dict[str, list[Caption]]:
    text = read_text(folder / "walk.txt", expected="captions", fix="Correct the file.")
    found = read_caption_lines(text, "walk.txt")
    return {"walk": found} if found else {}


def _make_clips(folder: Path) -> list[Path]:
    row = {"name": "walk", "file": "motions/walk.npz", "captions": ["goes"], "source": "take", "mirrored": False}
    lines = [json.dumps({**row, "verdict": "right", "frames": 9, "reasons": []}), json.dumps({**row, "name": "run"})]
    (folder / "clips.jsonl").write_text("\n".join(lines) + "\n")
    return [folder / "clips.jsonl"]


def _are_clips(found: list[Any]) -> None:
    for record in found:
        assert not Path(record.file).is_absolute() and ".." not in Path(record.file).parts
        assert isinstance(record.take, str) and all(isinstance(text, str) for text in record.captions)


def _make_quarantine(folder: Path) -> list[Path]:
    (folder / "quarantine.jsonl").write_text('{"name": "walk", "reasons": ["jerk 9, more than 5"], "by": "audit"}\n')
    return [folder / "quarantine.jsonl"]


def _are_reasons(found: dict[str, str]) -> None:
    assert all(isinstance(part, str) for row in found.items() for part in row)


def _make_archive(folder: Path) -> list[Path]:
    tar(folder / "a.tar.gz", {f"x/{i}.npy": npy(np.zeros((4, 272), np.float32)) for i in range(3)})
    return [folder / "a.tar.gz"]


def _read_archive(folder: Path) -> list[tuple[str, int]]:
    faults: list[str] = []
    found = read_members(folder / "a.tar.gz", (".npy",), lambda name, why: faults.append(f"{name}: {why}"))
    sizes = [(name, len(content)) for name, content in found]
    if faults:  # which the summary counts, and the rest is used
        raise InputError("a.tar.gz", found=faults[0], expected="an archive", fix="Download it again.")
    return sizes


def _are_members(found: list[tuple[str, int]]) -> None:
    assert all(".." not in name.split("/") and size <= LARGEST_MEMBER for name, size in found)


for _kind in CAPTIONS:
    register(
        Format(
            f"captions.{_kind}",
            _make_captions(_kind),
            partial(_read_captions, _kind),
            _are_captions,
            ("bytes", "text", "json") if _kind.startswith("json") else ("bytes", "text"),
        )
    )
register(Format("caption lines", _make_lines, _read_lines, _are_captions))
register(
    Format("clips.jsonl", _make_clips, lambda folder: list(read_clips(folder)), _are_clips, ("bytes", "text", "json"))
)
register(Format("quarantine", _make_quarantine, read_quarantine, _are_reasons, ("bytes", "text", "json")))
register(Format("tar.gz", _make_archive, _read_archive, _are_members, ("bytes",)))
