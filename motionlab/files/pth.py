"""Reading `.pth` and `.bin` files of torch: as data, and only whole.

Such a file is a pickle, that is, a program, in a zip archive with the numbers. `torch.load(weights_only=True)` runs
only the instructions that build tensors and plain containers. torch does not compare the checksums of the archive or
the sizes that the pickle names, so both are compared here.
"""

from __future__ import annotations

import struct
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from motionlab.errors import InputError, printable
from motionlab.files.reading import reason
from motionlab.files.weights import bare_names, check_tensors


class Inert:
    """Replaces an unwanted class of a pickle; its arguments are thrown away."""

    def __init__(self, *arguments: object, **named: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_pth(path: str | Path, *, skip_classes: bool = False) -> object:
    """The content of a file that `torch.save` wrote, on the CPU; tensors are read from the file when they are used.

    The whole file is read once for its checksums.

    Args:
        skip_classes: replace classes that are neither tensors nor plain containers by `Inert`, instead of refusing the
            file. Checkpoints of a training hold its optimizer, whose classes belong to other packages. No foreign code
            runs either way.

    Raises:
        InputError: no such file; a file that is cut short, damaged, or no archive of torch; content that is refused.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, found="no such file", expected="a PyTorch checkpoint (.pth)", fix="Check the path.")
    try:
        _check_archive(path)
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path) if skip_classes else []
        with warnings.catch_warnings(), torch.serialization.safe_globals([(Inert, name) for name in names]):
            warnings.simplefilter("ignore")  # about the format of files that turn out to be none
            content: object = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        require_members(_tensors_in(content), path)
    except Exception as error:  # damaged bytes make nearly any exception: UnpicklingError, EOFError, RuntimeError, ...
        raise InputError(
            path,
            found=f"content that cannot be read ({reason(error)})",
            expected="a whole PyTorch checkpoint with weights only, in torch's zip format",
            fix="Copy or download the file again; if it holds other objects, save only the state dict of the model.",
        ) from None
    return content


def state_of(content: object, key: str, where: object, fix: str) -> dict[str, Tensor]:
    """The state dict under `key` of a checkpoint, or the checkpoint itself if it is one; names without wrappers.

    Args:
        fix: the advice when there is no state dict.

    Raises:
        InputError: no state dict, or a value in it that is not a plain tensor of finite numbers.

    >>> list(state_of({"net": {"module.a": torch.zeros(2)}, "nb_iter": 7}, "net", "net.pth", fix=""))
    ['a']
    """
    state = content.get(key, content) if isinstance(content, Mapping) else None
    apart = isinstance(content, Mapping) and key in content
    if not isinstance(state, Mapping) or not (apart or any(isinstance(value, Tensor) for value in state.values())):
        state = None
    if not state:
        kind = f"a {type(content).__name__}"
        if isinstance(content, Mapping) and content:
            kind = "keys " + ", ".join(printable(name)[:40] for name in list(content)[:5])
        raise InputError(
            where, found=f"{kind} without a state dict", expected=f"a state dict under the key {key!r}", fix=fix
        )
    bare = bare_names(state, where)
    check_tensors(bare, where)
    return bare


def require_members(tensors: Iterable[Tensor], path: Path) -> None:
    """Raise ValueError unless the memory of every tensor is one whole member of the archive that is mapped there.

    The pickle says how many bytes a tensor has, and the archive how many there are: both have to be the same. The place
    of the map itself is the same for all tensors, and is found by trying.
    """
    spans = {
        (storage.data_ptr(), storage.nbytes())
        for storage in (tensor.untyped_storage() for tensor in tensors)
        if storage.device.type == "cpu" and storage.nbytes()
    }
    members = set(_members(path))
    if not spans:
        return
    first, size = min(spans)
    bases = [first - begin for begin, length in members if length == size]
    if not any(all((begin - base, length) in members for begin, length in spans) for base in bases):
        raise ValueError("tensors that are larger or smaller than their numbers in the file")


def _members(path: Path) -> Iterator[tuple[int, int]]:
    """Where the content of each member begins in the file, and its length."""
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        for member in archive.infolist():
            file.seek(member.header_offset + 26)  # of the member's own header: lengths of its name and of its padding
            name, padding = struct.unpack("<HH", file.read(4))
            yield member.header_offset + 30 + name + padding, member.file_size


def _tensors_in(content: object) -> Iterator[Tensor]:
    """The tensors of nested groups and lists."""
    if isinstance(content, Tensor):
        if content.layout == torch.strided:
            yield content
    elif isinstance(content, Mapping | list | tuple | set):
        for value in content.values() if isinstance(content, Mapping) else content:
            yield from _tensors_in(value)


def _check_archive(path: Path) -> None:
    """Raise ValueError unless the file is a zip archive of uncompressed members with the right checksums."""
    if not zipfile.is_zipfile(path):
        raise ValueError("no zip archive")
    with zipfile.ZipFile(path) as file:
        members = file.infolist()
        packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
        if packed or sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("compressed members, which torch does not write")
        damaged = file.testzip()
    if damaged:
        raise ValueError(f"wrong checksum of {damaged}")
