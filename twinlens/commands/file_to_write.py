"""Files that measuring commands write to, checked before the measuring begins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


class FileToWrite(click.Path):
    """An ordinary file, new or not, in a folder that exists: checked before hours of measuring.

    A result is written beside its place and then moved there, which would put a file where a pipe,
    a device or a link to one was.
    """

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, as click checks it, in a folder that exists."""
        path: Any = super().convert(value, param, ctx)
        folder = path.absolute().parent
        if not folder.is_dir():
            self.fail(f"{path.parent} is no folder", param, ctx)
        if os.path.lexists(path) and not path.is_file():
            self.fail(f"{path} is there, and is no regular file", param, ctx)
        # /dev/stdout, which may lead to a file, and yet is none.
        if _of_proc(folder.resolve()) or (path.is_symlink() and _of_proc(path.readlink())):
            self.fail(f"{path} is no place for a file, but what a process has open", param, ctx)
        return path


def _of_proc(path: Path) -> bool:
    return path.parts[:2] == ("/", "proc")
