"""Archives as folders: unpacked within bounds to a place that goes with the source."""

from __future__ import annotations

import errno
import lzma
import shutil
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from twinlens.catalog.errors import SourceError
from twinlens.catalog.files import ScratchFolder
from twinlens.catalog.sources.findings import Findings
from twinlens.catalog.sources.values import quote

ARCHIVE_SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_MEMBERS: Final = 1_000_000
MAX_BYTES: Final = 64 * 1024**3
_MAX_NAME: Final = 1_000
# Left free on the disk that is unpacked to.
_ROOM: Final = 1024**3
_CHUNK: Final = 1 << 20
# A name that the disk doesn't take, or one that is a file and a folder: only it is left out.
_OF_NAMES: Final = frozenset(
    {errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ, errno.EINVAL}
)
_ERRORS: Final = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError),
    *(NotImplementedError, lzma.LZMAError),
)


def is_archive(path: Path) -> bool:
    """Return whether ``path`` is called like an archive."""
    return path.name.casefold().endswith(ARCHIVE_SUFFIXES)


def unpack(path: Path, folder: Path, findings: Findings) -> None:
    """Unpack an archive into ``folder``. Links, devices and paths that lead outside are left out.

    Raises:
        SourceError: it is damaged, has too many members or bytes, or the disk is too small.
    """
    left = MAX_BYTES
    try:
        members = _read_zip(path) if path.suffix.casefold() == ".zip" else _read_tar(path)
        for number, (name, file) in enumerate(members, start=1):
            if number > MAX_MEMBERS:
                raise SourceError(f"{path}: more than {MAX_MEMBERS} files in an archive")
            to = _locate(folder, name)
            if to is None or file is None:
                findings.remark(f"{path.name} holds links or paths that lead outside; left out")
                continue
            try:
                to.parent.mkdir(parents=True, exist_ok=True)
                out = to.open("wb")
            except OSError as error:
                if error.errno not in _OF_NAMES:
                    raise
                findings.remark(f"{path.name}: {quote(name)} was left out: {error.strerror}")
                continue
            with file, out:
                left = _copy(file, out, left, path, folder)
    except _ERRORS as error:
        raise SourceError(f"{path} is a damaged archive: {error}") from error
    except OSError as error:
        raise SourceError(f"{path} can't be unpacked: {error.strerror or error}") from error


class Unpacked:
    """A folder to unpack into, which is removed when nothing refers to it any more."""

    def __init__(self) -> None:
        scratch = ScratchFolder("twinlens-archive-")
        self.path = Path(scratch.name)
        weakref.finalize(self, scratch.cleanup)


def _locate(folder: Path, name: str) -> Path | None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or len(name) > _MAX_NAME or ".." in parts or "\0" in name:
        return None
    if parts[0] == "/" or parts[0].endswith(":"):
        return None
    return folder.joinpath(*parts)


def _copy(file: IO[bytes], out: IO[bytes], left: int, path: Path, folder: Path) -> int:
    """Copy a member, of which no more than ``left`` bytes; return what is left of them."""
    while data := file.read(_CHUNK):
        left -= len(data)
        if left < 0:
            raise SourceError(f"{path}: more than {MAX_BYTES} bytes in an archive")
        if len(data) == _CHUNK and shutil.disk_usage(folder).free < _ROOM:
            raise SourceError(
                f"{path}: too little room in {folder.parent} to unpack it; TMPDIR names another "
                "place, or unpack it yourself"
            )
        out.write(data)
    return left


def _read_zip(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
            if not member.is_dir():
                yield member.filename, None if is_link else archive.open(member)


def _read_tar(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            if not member.isdir():
                yield member.name, archive.extractfile(member) if member.isreg() else None
            # Else every member would stay in memory.
            archive.members = []  # type: ignore[attr-defined]
