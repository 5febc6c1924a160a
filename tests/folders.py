"""What lies in a folder, for tests that compare it before and after."""

from __future__ import annotations

from pathlib import Path


def files_in(*folders: Path) -> dict[Path, bytes]:
    """The content of all files, by their paths."""
    found = (path for folder in folders for path in folder.rglob("*"))
    return {path: path.read_bytes() for path in found if path.is_file()}
