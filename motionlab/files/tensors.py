"""Tensors on disk: one safetensors file, written atomically, with a JSON description and a digest of itself inside.

safetensors holds numbers and nothing else. A pickle (`torch.save`) is a program that runs when it is loaded, so a
checkpoint from a stranger could do anything; here loading can only fail with a message.

The file is written here and not by the library's `save_file`: a thread writes checkpoints during training, and the
training would pause while `save_file` copies all tensors; and the digest is computed on the way instead of by
reading the file again.
    8 bytes: length n of the header | n bytes: JSON {name: {dtype, shape, data_offsets}} | the numbers, little-endian

The library notices a file of the wrong length, but a flipped bit among the numbers is just another number. So the
header begins with the sha256 of the whole file, counted with zeros in its own place, and reading compares it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from motionlab.errors import InputError
from motionlab.files.atomic import atomic_path
from motionlab.files.reading import refusing, what_is_there

_DESCRIPTION_KEY, _DIGEST_KEY = "motionlab", "sha256"
_NO_DIGEST = "0" * 64
_DIGEST_AT = 8 + len('{"__metadata__":{"sha256":"')  # where our files hold the digest
_COPY_AGAIN = "Copy or download the file again, or make it again."

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
_BLOCK = 1 << 24  # bytes written or hashed at once
_known: dict[Path, tuple[tuple[int, int, int], str]] = {}  # the digests that this process has computed


def write_tensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor | Sequence[torch.Tensor]], description: Mapping[str, Any]
) -> str:
    """Write tensors (from any device) and a JSON-able description, whole or not at all; return the digest.

    A list of tensors becomes one tensor, joined along the first dimension while it is written.

    Raises:
        InputError: the folder cannot be written or the disk is full; an older file at `path` is untouched.
    """
    # The widest numbers first, so that each tensor begins at a multiple of its width.
    parts = {name: [one] if isinstance(one, torch.Tensor) else list(one) for name, one in tensors.items()}
    names = sorted(parts, key=lambda name: (-parts[name][0].element_size(), name))
    notes = {_DIGEST_KEY: _NO_DIGEST, _DESCRIPTION_KEY: json.dumps(description, sort_keys=True)}
    header: dict[str, Any] = {"__metadata__": notes}
    offset = 0
    for name in names:
        first, begin = parts[name][0], offset
        offset += sum(part.numel() * part.element_size() for part in parts[name])
        rows = [sum(len(part) for part in parts[name])] if first.dim() else []
        shape = [*rows, *first.shape[1:]]
        header[name] = {"dtype": DTYPES[first.dtype], "shape": shape, "data_offsets": [begin, offset]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with atomic_path(path) as temporary, open(temporary, "wb", buffering=0) as file:
        start = memoryview(len(text).to_bytes(8, "little") + text)
        for block in itertools.chain([start], _blocks(part for name in names for part in parts[name])):
            digest.update(block)
            rest = block
            while rest:  # without a buffer, a write may take a part only
                rest = rest[file.write(rest) :]
        file.seek(_DIGEST_AT)
        file.write(digest.hexdigest().encode())
    return digest.hexdigest()


def read_tensors(path: str | Path, digest: str | None = None) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and the description of a file that `write_tensors` or any safetensors writer made.

    Args:
        digest: what `write_tensors` returned, when that is kept elsewhere as well.

    Raises:
        InputError: no such file, it is not a whole safetensors file, or its content is not what was written.
    """
    path = Path(path)
    check_digest(path, digest)
    with refusing(path, expected="a whole safetensors file", fix=_COPY_AGAIN):
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            description = json.loads((file.metadata() or {}).get(_DESCRIPTION_KEY, "{}"))
        if not isinstance(description, dict):
            raise ValueError("a description that is no group of keys")
    return tensors, description


def content_digest(path: str | Path) -> str:
    """The digest of a file as `write_tensors` counts it; the plain sha256 of a file that has none inside.

    Computed once in a process for as long as the file's size and time do not change.

    Raises:
        InputError: no such file.
    """
    return _digests(Path(path))[0]


def check_digest(path: str | Path, digest: str | None = None) -> None:
    """Compare the content of a file with the digest inside, if there is one, and with `digest`, if it is given.

    Raises:
        InputError: no such file, or other content.
    """
    path = Path(path)
    found, inside = _digests(path)
    for expected in (inside, digest):
        if expected not in (None, found):
            raise InputError(
                path, found="changed content", expected=f"the content with digest {expected[:12]}", fix=_COPY_AGAIN
            )


def require_finite(tensors: Mapping[str, torch.Tensor], where: object, fix: str) -> None:
    """Raise an `InputError` that names the first tensor with NaN or infinity.

    >>> require_finite({"w": torch.tensor([1.0, float("nan")])}, "a file", "Train again.")
    Traceback (most recent call last):
    motionlab.errors.InputError: a file: found 1 of 2 values of w NaN or infinite, expected finite numbers. Train again.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            found = f"{bad:,} of {tensor.numel():,} values of {name} NaN or infinite"
            raise InputError(where, found=found, expected="finite numbers", fix=fix)


def _digests(path: Path) -> tuple[str, str | None]:
    """The digest of the content of a file, and the digest that the file states."""
    expected = "a safetensors file"
    with refusing(path, expected=expected, fix="Check the path."):  # a name may be longer than a system takes
        if not path.is_file():
            raise InputError(path, found=what_is_there(path), expected=expected, fix="Check the path.")
    with refusing(path, expected=expected, fix=_COPY_AGAIN), open(path, "rb") as file:
        stat = os.fstat(file.fileno())
        key = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        start = file.read(_DIGEST_AT + len(_NO_DIGEST))
        ours = start[8:_DIGEST_AT] == b'{"__metadata__":{"sha256":"'
        inside = start[_DIGEST_AT:].decode("ascii", errors="replace") if ours else None
        stored = _known.get(path.absolute())
        if stored is not None and stored[0] == key:
            return stored[1], inside
        digest = hashlib.sha256(start[:_DIGEST_AT] + _NO_DIGEST.encode() if ours else start)
        while block := file.read(_BLOCK):
            digest.update(block)
    _known[path.absolute()] = (key, digest.hexdigest())
    return digest.hexdigest(), inside


def _blocks(tensors: Iterator[torch.Tensor]) -> Iterator[memoryview]:
    """The bytes of each tensor, a block at a time. Tied weights are written once for each name."""
    for tensor in tensors:
        numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        whole = memoryview(numbers)  # type: ignore[arg-type]
        for begin in range(0, len(whole), _BLOCK):
            yield whole[begin : begin + _BLOCK]
