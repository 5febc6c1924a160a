"""Temporary directories that a killed process doesn't leave behind for good."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path


class ScratchDirectory(tempfile.TemporaryDirectory[str]):
    """A temporary directory; making one removes those whose processes were killed.

    It is locked as long as a process lives that has it open: its maker, and what that forks.
    """

    def __init__(self, prefix: str) -> None:
        _remove_abandoned(prefix)
        self._lock: int | None = None
        while True:
            super().__init__(prefix=prefix, ignore_cleanup_errors=True)
            lock = os.open(self.name, os.O_RDONLY)
            with suppress(OSError):  # a file system without locks: then nobody removes it
                fcntl.flock(lock, fcntl.LOCK_EX)
            if Path(self.name).exists():
                self._lock = lock
                return
            os.close(lock)  # somebody took it for abandoned before it was locked

    def cleanup(self) -> None:
        """Remove it, once or more often."""
        super().cleanup()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _remove_abandoned(prefix: str) -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):  # it is locked, or somebody else's
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(lock)
