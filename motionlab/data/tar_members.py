"""The files in a tar archive, one after the other, without unpacking it: no claim of an archive is believed.

Nothing is written to the disk, so no member can leave a folder; still its name becomes the name of a clip, so names
with `..` or from the root are handed on as faults, and so are links, devices and members of absurd size. An archive
that ends early, as half a download does, gives what it holds and then says so.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from motionlab.errors import is_out_of_memory, printable
from motionlab.files.reading import reason

LARGEST_MEMBER = 1 << 28  # bytes of a file in an archive
LARGEST_HEADER = 1 << 20  # bytes of a long name or of a list of attributes
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ARCHIVE, MEMBER = "an archive that", "a member of an archive"  # how reasons begin that are not about one clip
Fault = Callable[[str, str], None]  # takes a name and a reason


class _Info(tarfile.TarInfo):
    """A member whose extra headers are not read when they claim to be huge: tarfile would make room for them."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        extra = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        if self.type in (*extra, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK) and self.size > LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


def is_archive(path: Path) -> bool:
    """Whether a file is an archive by its name."""
    return path.name.lower().endswith(SUFFIXES)


def read_members(path: Path, wanted: tuple[str, ...], fault: Fault) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file in an archive whose name ends in one of `wanted`.

    Args:
        fault: called for what is left out, with the name and why.
    """
    count = 0
    try:
        with tarfile.open(path, "r|*", tarinfo=_Info) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all, a kilobyte each
                name = member.name
                parts = PurePosixPath(name).parts
                if not name.lower().endswith(wanted) or PurePosixPath(name).name.startswith("._"):
                    continue
                if not member.isreg() or member.issparse():
                    fault(name, f"{MEMBER} that is a link or no file")
                elif ".." in parts or PurePosixPath(name).is_absolute() or "\\" in name:
                    fault(name[:200], f"{MEMBER} whose name leaves the folder")
                elif printable(name) != name:
                    fault(name[:200], f"{MEMBER} whose name is no text")
                elif member.size > LARGEST_MEMBER:
                    fault(name, f"{MEMBER} that is too large")
                else:
                    file = archive.extractfile(member)
                    if file is not None:
                        yield name, file.read()
                        count += 1
    except Exception as error:  # tarfile meets damage with a dozen kinds of them
        if is_out_of_memory(error):
            raise
        fault(path.name, f"{ARCHIVE} is damaged or ends early after {count:,} files ({reason(error)})")
