"""The files of a folder that may belong to a catalogue: not hidden ones, and not our own."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from twinlens.catalog.errors import SourceError
from twinlens.catalog.sources.findings import Findings

# What archives of a Mac bring along.
_JUNK: Final = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
_REJECT_KEYS: Final = frozenset({"file", "row", "reason", "detail", "kept"})
_GENERATION_FILES: Final = ("ledger.sqlite", "manifest.json", "build.json")
# Of what ``index --json`` writes.
_SUMMARY_KEYS: Final = frozenset({"generation", "published", "timings_s", "rejected"})
_OUTPUTS: Final = (".jsonl", ".json", ".ndjson", ".log")
_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Walk:
    """Files in and below ``folder``, in an order that does not depend on the disk.

    A data directory below it is left out, and so is what is in ``leave_out``, such as the one that
    is being written to; both are remarked in ``findings``.

    Raises:
        SourceError: on iterating, a folder can't be listed.
    """

    folder: Path
    findings: Findings
    leave_out: Collection[Path] = ()

    def __iter__(self) -> Iterator[Path]:
        for parent, folders, names in os.walk(self.folder, onerror=_refuse):
            inside = Path(parent)
            folders[:] = [name for name in sorted(folders) if self._is_foreign(inside, name)]
            for name in sorted(names):
                path = inside / name
                if name.startswith(".") or name in _JUNK:
                    continue
                if _is_special(path):
                    self.findings.remark(f"{self._name(path)} is no file and was left out")
                elif path in self.leave_out or _is_output(path):
                    self.findings.remark(f"{self._name(path)} is TwinLens' own and was left out")
                else:
                    yield path

    def _is_foreign(self, parent: Path, name: str) -> bool:
        if name.startswith(".") or name in _JUNK:
            return False
        path = parent / name
        if path in self.leave_out or _is_data_directory(path):
            self.findings.remark(f"{self._name(path)} is a data directory and was left out")
            return False
        return True

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _is_special(path: Path) -> bool:
    """Return whether it is a pipe, a socket or a device, which may never end or never begin."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _is_data_directory(path: Path) -> bool:
    """Return whether TwinLens keeps an index there; others have folders of that name, too."""
    generations = path / "generations"
    return generations.is_dir() and (
        (path / "CURRENT").is_file()
        or any(next(generations.glob(f"*/{name}"), None) for name in _GENERATION_FILES)
    )


def _is_output(path: Path) -> bool:
    """Return whether it is a list of rejected rows or a summary, wherever options put it."""
    if path.suffix.casefold() not in _OUTPUTS or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_BYTES)
        # The one is lines, the other one object.
        is_object = head.startswith(b"{\n") and b'"timings_s"' in head
        values = json.loads(head if is_object else head.partition(b"\n")[0])
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and (
        values.keys() >= _REJECT_KEYS or values.keys() >= _SUMMARY_KEYS
    )


def _refuse(error: OSError) -> NoReturn:
    raise SourceError(f"{error.filename}: {error.strerror}") from error
