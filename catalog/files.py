"""Files and directories that are there whole or not at all, and locks between processes."""

from __future__ import annotations

import fcntl
import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from twinlens.catalog.errors import OutOfRoom, StoreError

_HELD: Final = ".held"
_BLOCK_BYTES: Final = 512  # of st_blocks, whatever the disk's are


def write_atomically(
    path: Path, data: bytes | str | Callable[[BinaryIO], object], *, durable: bool = True
) -> None:
    """Replace the content of ``path`` by ``data`` (text as UTF-8), all or nothing.

    What can be called writes the data into the file that it is given.

    A ``durable`` write survives a loss of power once it returns; a loss before that leaves the old
    or the new content. Otherwise readers still see old or new, but a loss of power may leave a part
    or nothing; it does not wait for the disk.
    """
    # Not tempfile's: its files can be read by nobody else, whatever the umask says.
    making = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with making.open("xb") as file:
            if callable(data):
                data(file)
            else:
                file.write(data.encode() if isinstance(data, str) else data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        making.replace(path)
    except BaseException as error:
        making.unlink(missing_ok=True)
        if isinstance(error, OSError):  # that of a full disk doesn't say where
            error.filename = error.filename or str(path)
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Return once the names in ``path`` survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(directory: Path) -> None:
    """Return once the files in ``directory``, and their names, survive a loss of power."""
    for file in directory.iterdir():
        sync_directory(file)
    sync_directory(directory)


def count_disk_bytes(directory: Path) -> int:
    """Return what the files in ``directory`` take on disk; holes in them take nothing."""
    return sum(
        (Path(folder) / file).lstat().st_blocks * _BLOCK_BYTES
        for folder, _, files in os.walk(directory)
        for file in files
    )


def require_room(directory: Path, needed_bytes: int, *, to: str) -> None:
    """Return if the disk that holds ``directory`` has so many free bytes; ``to`` says for what.

    Raises:
        OutOfRoom: it has fewer.
    """
    free = shutil.disk_usage(directory).free
    if free < needed_bytes:
        raise OutOfRoom(
            f"{directory}: to {to} takes about {math.ceil(needed_bytes / 1e6)} MB, and "
            f"{free // 10**6} MB are free. Nothing was published; make room and run it again, "
            "which goes on from here"
        )


@contextmanager
def create_whole(path: Path) -> Iterator[Path]:
    """Yield a directory to fill; it becomes ``path`` if nothing is raised.

    So a creation that failed or was killed leaves no ``path``, and the next one starts afresh. One
    process at a time.

    Raises:
        StoreError: ``path`` is there already, and holds something.
    """
    if path.exists() and any(path.iterdir()):
        raise StoreError(f"{path}: there is something here already; remove it, or open it")
    making = path.with_name(f"{path.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        yield making
        making.replace(path)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    sync_directory(path.parent)


class ScratchFolder(tempfile.TemporaryDirectory[str]):
    """A temporary directory; one left by a process that was killed is removed by the next process.

    ``prefix`` tells which belong together. A lock says that somebody lives who uses it.
    """

    def __init__(self, prefix: str) -> None:
        _remove_abandoned(prefix)
        super().__init__(prefix=prefix, ignore_cleanup_errors=True)
        making = Path(self.name, f"{_HELD}.new")
        self._held = making.open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        making.rename(making.with_name(_HELD))  # only now may others look at the lock

    def cleanup(self) -> None:
        """Remove the directory."""
        try:
            super().cleanup()
        finally:
            self._held.close()


def _remove_abandoned(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        # Somebody else's, one without a lock yet, or one whose owner lives.
        with suppress(OSError):
            if folder.lstat().st_uid != os.geteuid():
                continue
            with (folder / _HELD).open("r+") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)


@contextmanager
def hold_lock(file: Path, taken: Callable[[str], Exception]) -> Iterator[None]:
    """Hold the lock on ``file``, which is created if missing and not removed.

    Raises:
        the exception that ``taken(pid)`` returns, if another process holds the lock.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise taken(lock.read().strip() or "unknown") from error
        with suppress(OSError):  # only messages name it, and the disk may be full
            os.truncate(lock.fileno(), 0)
            os.write(lock.fileno(), str(os.getpid()).encode())
        yield
