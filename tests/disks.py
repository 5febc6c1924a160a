"""Disks of their own, mounted for a test: tmpfs, or ext4 in a file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEBIBYTE = 2**20
SIZE = 1000 * MEBIBYTE


class Disk:
    """A mounted disk, of which a test says how much is free."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def leave(self, free_bytes: int) -> None:
        """Fill the disk, or make room, until so much is free."""
        self._filler.unlink(missing_ok=True)
        told = os.statvfs(self.path)
        taken = told.f_bavail * told.f_frsize - free_bytes
        assert taken > 0, "the disk is too small for this test"
        with self._filler.open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, taken)

    def fill(self) -> None:
        """Leave nothing, however fast others write."""
        with self._filler.open("ab") as filler:
            for piece in (2**24, 2**20, 2**12):
                while True:
                    try:
                        os.posix_fallocate(filler.fileno(), filler.seek(0, 2), piece)
                    except OSError:
                        break

    def make_room(self) -> None:
        """Remove what fills it."""
        self._filler.unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """Let nobody write to it any more."""
        _run("mount", "-o", "remount,ro", self.path)


@contextmanager
def mount(path: Path, kind: str) -> Iterator[Disk]:
    """Mount an empty disk; the test is skipped where that is not allowed."""
    path.mkdir()
    try:
        if kind == "tmpfs":
            _run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path)
        else:
            image = path.with_name(f"{path.name}.img")
            with image.open("wb") as made:
                made.truncate(SIZE)
            _run("mkfs.ext4", "-q", "-F", "-m", "0", image)
            _run("mount", "-o", "loop", image, path)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no {kind} can be mounted here: {error}")
    try:
        yield Disk(path)
    finally:
        _run("umount", "--lazy", path)


def _run(*command: object) -> None:
    subprocess.run([str(one) for one in command], check=True, capture_output=True)
