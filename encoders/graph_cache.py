"""Folders that are made once, by one process of several, and are there whole or not at all."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

from twinlens.catalog.files import create_whole, sync_files


def ensure_made(directory: Path, fill: Callable[[Path], None]) -> Path:
    """Return ``directory``; where it isn't there yet, ``fill`` fills it while others wait.

    Raises:
        OSError: it can't be written.
    """
    if directory.is_dir():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f".{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.is_dir():  # or else another process has made it meanwhile
            with create_whole(directory) as making:
                fill(making)
                sync_files(making)
    return directory
