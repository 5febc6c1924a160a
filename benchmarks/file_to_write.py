"""What the commands that measure write to: known to be possible before they begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class FileToWrite(click.Path):
    """A file whose folder is there: better said before the measuring than after it."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, as click checks it, in a folder that exists."""
        path: Any = super().convert(value, param, ctx)
        if not path.absolute().parent.is_dir():
            self.fail(f"{path.parent} is no folder", param, ctx)
        return path
