"""Directories that are there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twinlens.catalog.atomic import sync_directory
from twinlens.catalog.errors import StoreError


@contextmanager
def created_whole(path: Path) -> Iterator[Path]:
    """A directory to fill, which becomes ``path`` when all has gone well.

    So a killed creation leaves no ``path``, and the next one starts afresh.

    Raises:
        StoreError: ``path`` is there already, and holds something.
    """
    if path.exists() and any(path.iterdir()):
        raise StoreError(f"{path}: there is something here already; remove it, or open it")
    making = path.with_name(f"{path.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    yield making
    making.replace(path)
    sync_directory(path.parent)
