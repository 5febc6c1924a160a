"""Files that measuring commands write to, checked before the measuring begins."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click


class FileToWrite(click.Path):
    """An ordinary file, new or not, in a folder that exists: checked before hours of measuring.

    A result is written beside its place and then moved there, which would put a file where a pipe,
    a device or a link to one was. Where the result is ``json``, it replaces nothing but JSON: the
    path may be a slip of the hand.
    """

    def __init__(self, *, json: bool = False) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)
        self._json = json

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
        if self._json and path.is_file() and not _is_json(path):
            self.fail(f"{path} is there, and is no JSON; name another, or remove it", param, ctx)
        return path


def _is_json(path: Path) -> bool:
    """Return whether a file holds a JSON object or array, or nothing yet."""
    try:
        content = path.read_bytes()
        return not content or isinstance(json.loads(content), dict | list)
    except ValueError:
        return False


def _of_proc(path: Path) -> bool:
    return path.parts[:2] == ("/", "proc")
