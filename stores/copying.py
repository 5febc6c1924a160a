"""Copies of a store's files that take no more room than the original."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path


def copy_tree(source: Path, target: Path) -> None:
    """Copy a directory; holes in its files stay holes.

    Qdrant makes its files large and sparse: filled with zeros, a shard of 4 MB takes 200.
    """
    shutil.copytree(source, target, copy_function=_copy_file)


def _copy_file(source: str, target: str) -> None:
    if not hasattr(os, "SEEK_DATA"):  # a system that can't say where the holes are
        shutil.copy2(source, target)
        return
    with Path(source).open("rb") as reading, Path(target).open("wb") as writing:
        size = os.fstat(reading.fileno()).st_size
        end = 0
        while end < size:
            try:
                start = os.lseek(reading.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nothing but a hole up to the end
                    raise
                break
            end = os.lseek(reading.fileno(), start, os.SEEK_HOLE)
            os.lseek(writing.fileno(), start, os.SEEK_SET)
            while start < end:
                start += os.sendfile(writing.fileno(), reading.fileno(), start, end - start)
        os.ftruncate(writing.fileno(), size)
    shutil.copystat(source, target)
