"""The bundled motions: real clips of people, with captions, in the folder `data_samples/`.

    motions/<name>.npy       [T, 272] float16, physical units, 30 frames a second
    captions.jsonl           one JSON object per line: captions, phrases, action, poses
    embeddings.safetensors   caption embeddings, so that lessons run without a text encoder
    provenance.json          sha256 of every file and of the packages it was made from
    LICENSES/                the terms of the sources

`tools/build_samples.py` makes the motions from two public packages. Every file is checked against its sha256 when it
is loaded: a lesson that compares numbers is worth nothing if the numbers behind it can change unseen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.files.reading import read_text, refusing
from motionlab.files.records import parse_json, parse_record, read_record
from motionlab.files.tensors import require_finite
from motionlab.motion.motion import Motion

FPS = 30.0
# How a clip begins and ends; two clips can follow each other when end and start agree. "raised" is up on something
# that is not in the data (a playground frame), "hang" is with the hands on a bar overhead, "fight" a boxer's stance.
POSES = ("stand", "fight", "raised", "hang", "sit", "prone", "supine")
CAPTIONS = "captions.jsonl"
EMBEDDINGS = "embeddings.safetensors"
PROVENANCE = "provenance.json"
_FIX = "Restore data_samples/ (git checkout data_samples), or rebuild it with tools/build_samples.py."


@dataclass(frozen=True)
class Sample:
    """One bundled clip.

    Args:
        name: file name without suffix.
        motion: 272 features in physical units, starting at the origin and facing +z.
        captions: full English sentences, paraphrases of each other.
        captions_zh: the same in Chinese.
        action: class label; clips that show the same action share it.
        phrases: what fits after "a person ...", to compose longer captions.
        source: the public recording it was made from.
        start_pose, end_pose: one of `POSES`.
        looping: the clip can be repeated, its last frame leads into its first.
        hard_heading: the pelvis points straight up or down somewhere, so the heading jumps by more than 30 degrees
            in one frame (a flip, a roll). Decoding is exact, but a network sees an outlier.
    """

    name: str
    motion: Motion = field(repr=False)
    captions: list[str]
    captions_zh: list[str] = field(repr=False)
    action: str
    phrases: list[str] = field(repr=False)
    source: str
    start_pose: str
    end_pose: str
    looping: bool
    hard_heading: bool

    @property
    def phrase(self) -> str:
        """The first of `phrases`."""
        return self.phrases[0]


@dataclass(frozen=True)
class Provenance:
    """The part of `provenance.json` that is checked: the sha256 of each file."""

    files: dict[str, str]


@dataclass(frozen=True)
class EmbeddingsIndex:
    """The header of the embeddings' file, about its rows."""

    encoder: str
    captions: list[str]


@dataclass(frozen=True)
class CaptionEmbeddings:
    """Sentence vectors of the bundled captions.

    Args:
        encoder: name of the text encoder.
        captions: `N` sentences.
        vectors: `[N, dim]` float32, length 1.
    """

    encoder: str
    captions: tuple[str, ...]
    vectors: Tensor

    def vector(self, caption: str) -> Tensor:
        """`[dim]`.

        Raises:
            InputError: the caption is not one of the bundled ones.
        """
        try:
            return self.vectors[self.captions.index(caption)]
        except ValueError:
            raise InputError(
                "caption",
                found=repr(caption[:80]),
                expected="a caption of the bundled samples",
                fix="Encode new captions with a text encoder (motionlab.text).",
            ) from None


def samples_dir() -> Path:
    """Where the samples are: `$MOTIONLAB_SAMPLES`, else next to the package (a checkout), else inside it (a wheel).

    Raises:
        InputError: none of them exists.
    """
    chosen = os.environ.get("MOTIONLAB_SAMPLES")
    package = Path(__file__).resolve().parents[2]
    places = [Path(chosen)] if chosen else [package.parent / "data_samples", package / "data_samples"]
    for place in places:
        if (place / CAPTIONS).is_file():
            return place
    raise InputError(
        "MOTIONLAB_SAMPLES" if chosen else places[0],
        found=f"no {CAPTIONS} in {', '.join(map(str, places))}",
        expected="the folder with the bundled samples",
        fix="Set MOTIONLAB_SAMPLES to the data_samples folder of a checkout.",
    )


def load_samples(folder: str | Path | None = None, check: bool = True) -> list[Sample]:
    """All bundled clips, in the order of the caption file.

    Args:
        folder: by default `samples_dir()`.
        check: compare every file with its sha256 first. `False` is for a folder of your own in the same layout.

    Raises:
        InputError: a file is missing or differs, or a line of the caption file is wrong; the message names it.
    """
    folder = samples_dir() if folder is None else Path(folder)
    rows = read_captions(folder / CAPTIONS)
    if check:
        check_files(folder, [CAPTIONS, *(f"motions/{row['name']}.npy" for row in rows)])
    return [Sample(motion=Motion.load(folder / "motions" / f"{row['name']}.npy", fps=FPS), **row) for row in rows]


def load_caption_embeddings(folder: str | Path | None = None, check: bool = True) -> CaptionEmbeddings:
    """Sentence vectors of the bundled captions, made once by the bundled encoder.

    Raises:
        InputError: the file is missing or differs from its sha256.
    """
    folder = samples_dir() if folder is None else Path(folder)
    path = folder / EMBEDDINGS
    if check:
        check_files(folder, [EMBEDDINGS])
    from safetensors import safe_open

    expected = "caption embeddings"
    with refusing(path, expected=expected, fix=_FIX), safe_open(path, framework="pt") as file:
        text, vectors = file.metadata()["index"], file.get_tensor("vectors").float()
    index = parse_record(text, EmbeddingsIndex, path, expected=expected, fix=_FIX)
    if vectors.ndim != 2 or len(vectors) != len(index.captions):
        found = f"{len(index.captions)} captions and vectors of shape {list(vectors.shape)}"
        raise InputError(path, found=found, expected="one vector for each caption", fix=_FIX)
    require_finite({"vectors": vectors}, path, _FIX)
    return CaptionEmbeddings(index.encoder, tuple(index.captions), vectors)


def check_files(folder: Path, names: list[str]) -> None:
    """Raise `InputError` naming the first file that is missing or is not the one `provenance.json` lists."""
    path = folder / PROVENANCE
    known = read_record(path, Provenance, expected="sha256 of each file", fix=_FIX).files
    for name in names:
        if not (folder / name).is_file():
            raise InputError(folder / name, found="no file", expected="a bundled sample", fix=_FIX)
        if name not in known:
            raise InputError(folder / name, found=f"no sha256 in {PROVENANCE}", expected="one for each file", fix=_FIX)
        digest = sha256(folder / name)
        if digest != known[name]:
            raise InputError(
                folder / name, found=f"sha256 {digest[:16]}...", expected=f"{known[name][:16]}...", fix=_FIX
            )


def read_captions(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a caption file, checked field by field.

    Raises:
        InputError: names the file, the line, the field, and what is expected there.
    """
    text = read_text(path, expected="a caption file in UTF-8", fix=_FIX)
    rows: list[dict[str, Any]] = []
    names: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _parse_line(line, where)
        if row["name"] in names:
            raise InputError(
                f"{where}, field name", found=repr(row["name"]), expected="a name used once", fix="Rename the clip."
            )
        names.add(row["name"])
        rows.append(row)
    if not rows:
        raise InputError(path, found="no lines", expected="one JSON object for each clip", fix=_FIX)
    return rows


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or not value.strip():
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in value)  # halves of surrogate pairs: no file takes them


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


# Field to (test, what is expected).
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: _is_text(value) and value.replace("_", "").isalnum(), "letters, digits and _"),
    "action": (_is_text, "a class label such as 'walk'"),
    "phrases": (_is_texts, "a list of verb phrases such as 'walks forward'"),
    "captions": (_is_texts, "a list of sentences, none empty"),
    "captions_zh": (_is_texts, "a list of sentences, none empty"),
    "source": (_is_text, "the recording it was made from"),
    "start_pose": (lambda value: value in POSES, "one of " + ", ".join(POSES)),
    "end_pose": (lambda value: value in POSES, "one of " + ", ".join(POSES)),
    "looping": (lambda value: isinstance(value, bool), "true or false"),
    "hard_heading": (lambda value: isinstance(value, bool), "true or false"),
}


def _parse_line(line: str, where: str) -> dict[str, Any]:
    row = parse_json(line, where, expected="one JSON object", fix=_FIX)
    if not isinstance(row, dict):
        raise InputError(where, found=type(row).__name__, expected="one JSON object", fix=_FIX)
    for name, (good, expected) in _FIELDS.items():
        if name not in row:
            raise InputError(f"{where}, field {name}", found="nothing", expected=expected, fix="Add the field.")
        if not good(row[name]):
            value = json.dumps(row[name], ensure_ascii=False)[:80]
            raise InputError(f"{where}, field {name}", found=value, expected=expected, fix="Correct this line.")
    unknown = sorted(set(row) - set(_FIELDS))
    if unknown:
        raise InputError(
            f"{where}, field {unknown[0]}",
            found="a field that is not known",
            expected="only " + ", ".join(_FIELDS),
            fix="Remove the field or correct its name.",
        )
    return row
