"""Files that are replaced whole: a reader sees the old or the new, never a part."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes | str, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data`` (text as UTF-8) whole.

    When a ``durable`` write returns, it survives a loss of power, and one before that leaves old or
    new. Without, readers still see old or new, but a loss of power may leave a part or nothing
    under the name; it costs no wait for the disk.
    """
    # Not tempfile's: its files can be read by nobody else, whatever the umask says.
    making = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with making.open("xb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        making.replace(path)
    except BaseException:
        making.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Return once the names in ``path`` survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
