"""The files of a sharded checkpoint: one of tensors per process, and an index that says where each part belongs.

    last-00001200-9f86d081.parts/
        index.json             {"tensors": {name: {dtype, shape, parts: [{file, offset, shape}, ...]}, ...}}
        part-0.safetensors     what process 0 holds, each tensor under its own name
        part-1.safetensors     ...

Each part is a box: its numbers begin at `offset` in the whole tensor and have the extent `shape`. A part that several
processes hold is written by the first of them. Any box of a tensor is put together from the parts that it overlaps, so
any number of processes reads what any other number has written.

`torch.distributed.checkpoint` does the same, but reads its index with pickle, which may run any program. Here all is
JSON and safetensors, and the index is compared with the files before any memory is asked for: the parts of a tensor
must fill it exactly, so it cannot be larger than the files are.
"""

from __future__ import annotations

import contextlib
import math
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.files.reading import refusing
from motionlab.files.records import read_record, write_record
from motionlab.files.tensors import DTYPES, check_digest, write_tensors
from motionlab.training.distributed import World

INDEX = "index.json"
_COPY_AGAIN = "Copy the folder again."


@dataclass(frozen=True)
class Box:
    """A part of a tensor: where it begins, and how far it extends, along each dimension."""

    offset: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Box:
        """All of a tensor."""
        return cls((0,) * len(shape), tuple(shape))

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Box:
        """The part of a tensor that this process holds."""
        if not isinstance(tensor, DTensor):
            return cls.whole(tensor.shape)
        shape, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
        return cls(tuple(offset), tuple(shape))

    @property
    def size(self) -> int:
        """How many numbers it has; a box without dimensions has one."""
        return math.prod(self.shape)

    def overlap(self, other: Box) -> Box:
        """The box that both have in common; its size is 0 when there is none.

        >>> Box((0, 2), (4, 3)).overlap(Box((1, 0), (9, 4)))
        Box(offset=(1, 2), shape=(3, 2))
        """
        offset = tuple(max(a, b) for a, b in zip(self.offset, other.offset, strict=True))
        ends = (min(a, b) for a, b in zip(self.ends, other.ends, strict=True))
        return Box(offset, tuple(max(0, end - begin) for begin, end in zip(offset, ends, strict=True)))

    @property
    def ends(self) -> tuple[int, ...]:
        """Where it ends along each dimension."""
        return tuple(begin + length for begin, length in zip(self.offset, self.shape, strict=True))

    def within(self, outer: Box) -> tuple[slice, ...]:
        """Itself as an index into a tensor that holds the box `outer`."""
        begins = [begin - start for begin, start in zip(self.offset, outer.offset, strict=True)]
        return tuple(slice(begin, begin + length) for begin, length in zip(begins, self.shape, strict=True))


@dataclass(frozen=True)
class Part:
    """A box of a tensor, and the file in which it stands under the name of the tensor."""

    file: str
    offset: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def box(self) -> Box:
        return Box(self.offset, self.shape)


@dataclass(frozen=True)
class Entry:
    """A tensor: its type as safetensors names it, its shape, and its parts."""

    dtype: str
    shape: tuple[int, ...]
    parts: list[Part]


@dataclass(frozen=True)
class Index:
    """The content of the index."""

    tensors: dict[str, Entry]


def write_parts(target: Path, tensors: Mapping[str, torch.Tensor], world: World) -> dict[str, str]:
    """Write the folder and return the digest of every file; every process must call it.

    Raises:
        InputError: in every process, when one of them cannot write.
    """
    boxes = {name: Box.of(tensor) for name, tensor in tensors.items()}
    claims = world.gather(boxes)
    mine = {
        name: tensors[name]
        for name, box in boxes.items()
        if box.size and not any(earlier[name] == box for earlier in claims[: world.rank])
    }
    file = f"part-{world.rank}.safetensors"
    with _together(world, target):
        local = {name: value.to_local() if isinstance(value, DTensor) else value for name, value in mine.items()}
        digest = write_tensors(target / file, local, {"process": world.rank, "processes": world.size})
    written = world.gather((file, {name: boxes[name] for name in mine}, digest))
    digests = {name: found for name, _, found in written}
    with _together(world, target):
        if world.is_first:
            entries = {
                name: {
                    "dtype": DTYPES[tensor.dtype],
                    "shape": list(tensor.shape),
                    "parts": [
                        {"file": where, "offset": parts[name].offset, "shape": parts[name].shape}
                        for where, parts, _ in written
                        if name in parts
                    ],
                }
                for name, tensor in tensors.items()
            }
            write_record(target / INDEX, {"tensors": entries})
            digests[INDEX] = sha256(target / INDEX)
    return world.from_first(digests)


def read_parts(path: Path, digests: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """All tensors of a sharded checkpoint as whole ones on the CPU; one process is enough.

    Raises:
        InputError: as `Parts.open`.
    """
    with Parts.open(path, digests, World()) as parts:
        return {name: parts.read(name, Box.whole(entry.shape)) for name, entry in parts.entries.items()}


class Parts:
    """An open sharded checkpoint, whose index was found to fit its files."""

    def __init__(self, path: Path, index: Index) -> None:
        self.path, self.entries = path, index.tensors
        self._files: dict[str, Any] = {}

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, digests: Mapping[str, str], world: World) -> Iterator[Parts]:
        """Compare the files with their digests (each process some of them), and the index with the files.

        Raises:
            InputError: a file is missing or has other content, the index does not fit the files, or the folder was
                written in torch's own format, which is pickled.
        """
        if ".metadata" in digests:
            folder = shlex.quote(str(path.parent))
            command = f"python -m motionlab.training.checkpoints.convert_sharded {folder} --trust-pickle"
            raise InputError(
                path,
                found="parts with a pickled index, as earlier versions wrote them",
                expected="parts with an index in JSON",
                fix=f"If you trust whoever wrote the folder, convert it: {command}.",
            )
        wrong = changed_files(path, digests, world.share(sorted(digests)))
        refuse(path, [file for some in world.gather(wrong) for file in some])
        index = read_record(path / INDEX, Index, expected="the index of a sharded checkpoint", fix=_COPY_AGAIN)
        this = cls(path, index)
        with contextlib.ExitStack() as stack:
            with refusing(path, expected="parts as the index describes them", fix=_COPY_AGAIN):
                for file in sorted(set(digests) - {INDEX}):
                    this._files[file] = stack.enter_context(safe_open(path / file, framework="pt", device="cpu"))
                this._check()
            yield this

    def read(self, name: str, box: Box) -> torch.Tensor:
        """A box of a tensor, on the CPU, from the parts that it overlaps."""
        entry = self.entries[name]
        dtype = next(key for key, value in DTYPES.items() if value == entry.dtype)
        result = torch.empty(box.shape, dtype=dtype)
        for part in entry.parts:
            common = part.box.overlap(box)
            if not common.size:
                continue
            file = self._files[part.file]
            if common == part.box:
                found = file.get_tensor(name)  # a slice of a tensor without dimensions is not possible
            else:
                found = file.get_slice(name)[common.within(part.box)]
            result[common.within(box)] = found
        return result

    def _check(self) -> None:
        """Raise when the parts do not fill each tensor exactly once, or are not in the files as the index says."""
        stored = {name: set(file.keys()) for name, file in self._files.items()}
        for name, entry in self.entries.items():
            whole = Box.whole(entry.shape)
            if entry.dtype not in DTYPES.values() or any(length < 0 for length in entry.shape):
                raise ValueError(f"{name} of type {entry.dtype} and shape {list(entry.shape)}")
            for part in entry.parts:
                if name not in stored.get(part.file, ()):
                    raise ValueError(f"no {name} in {part.file}")
                stored[part.file].remove(name)  # so that no two parts are the same numbers
                found = self._files[part.file].get_slice(name)
                if (found.get_dtype(), tuple(found.get_shape())) != (entry.dtype, part.shape):
                    raise ValueError(f"{name} in {part.file}: {found.get_dtype()} {list(found.get_shape())}")
                if len(part.offset) != len(entry.shape) or part.box.overlap(whole) != part.box:
                    raise ValueError(f"a part of {name} outside of it")
            boxes = [part.box for part in entry.parts]
            twice = any(a.overlap(b).size for i, a in enumerate(boxes) for b in boxes[:i])
            if twice or sum(box.size for box in boxes) != whole.size:
                raise ValueError(f"parts that do not fill {name} exactly once")
        left = sorted(f"{name} in {file}" for file, names in stored.items() for name in names)
        if left:
            raise ValueError(f"{left[0]}, which the index does not name")


def changed_files(path: Path, digests: Mapping[str, str], files: Sequence[str]) -> list[str]:
    """Those of `files` in the folder `path` that are missing or have another digest than that in `digests`."""
    return [file for file in files if not _is_as_written(path / file, digests[file])]


def refuse(path: Path, wrong: Sequence[str]) -> None:
    """Raise `InputError` when there are `wrong` files in the folder `path`."""
    if wrong:
        raise InputError(path, found=f"{wrong[0]} missing or changed", expected="the files as written", fix=_COPY_AGAIN)


def _is_as_written(path: Path, digest: str) -> bool:
    if Path(path.name).suffix != ".safetensors":
        return path.is_file() and sha256(path) == digest
    try:
        check_digest(path, digest)
    except InputError:
        return False
    return True


@contextlib.contextmanager
def _together(world: World, target: Path) -> Iterator[None]:
    """If one process cannot write, all of them refuse and the folder is removed: no checkpoint has room for it."""
    error: InputError | None = None
    try:
        yield
    except InputError as found:
        error = found
    errors = [found for found in world.gather(error) if found is not None]
    if errors:
        if world.is_first:
            shutil.rmtree(target, ignore_errors=True)
        raise error or errors[0]
