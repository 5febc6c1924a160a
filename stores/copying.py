"""Copies of a store's files that take no more room than the original."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from twinlens.catalog.files import sync_directory

_CHUNK_BYTES: Final = 1024 * 1024


def copy_tree(source: Path, target: Path) -> None:
    """Copy a directory; holes in its files stay holes.

    Qdrant makes its files large and sparse: filled with zeros, a shard of 4 MB takes 200. When it
    returns, the copy survives a loss of power: what a job does not change afterwards, nobody else
    flushes.
    """
    shutil.copytree(source, target, copy_function=copy_file)
    for folder, _, _ in os.walk(target):
        sync_directory(Path(folder))
    sync_directory(target.parent)


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file with its times; holes stay holes, and the copy survives a loss of power."""
    with Path(source).open("rb") as reading, Path(target).open("wb") as writing:
        descriptor, size = reading.fileno(), os.fstat(reading.fileno()).st_size
        for start, end in find_stretches(descriptor, size):
            writing.seek(start)
            at = start
            # Not os.sendfile: on macOS it writes to sockets only.
            while chunk := os.pread(descriptor, min(end - at, _CHUNK_BYTES), at):
                writing.write(chunk)
                at += len(chunk)
        writing.truncate(size)
        writing.flush()
        os.fsync(writing.fileno())
    shutil.copystat(source, target)


def find_stretches(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where a file of ``size`` bytes has data: (start, end) of each part that is no hole."""
    if not hasattr(os, "SEEK_DATA"):  # a system that can't say where the holes are
        yield 0, size
        return
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing but a hole up to the end
                raise
            return
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end
