"""The seam of a comparison: an engine whose index is built once, and then searched."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twinlens.benchmarks.engines.record import Setting
from twinlens.benchmarks.engines.vectors import VectorSet
from twinlens.catalog.errors import TwinLensError
from twinlens.catalog.vectors import Vector


class EngineFailed(TwinLensError):
    """An engine could not do what a measurement asked of it; the others go on."""


class Query(NamedTuple):
    """The nearest by the vector ``name`` among those that the filter ``share`` lets through."""

    name: str
    vector: Vector
    limit: int
    setting: Setting
    share: float | None = None


class Answer(NamedTuple):
    """What was found, best first, and the engine's own time where it tells it."""

    ids: Sequence[int]
    scores: Sequence[float]
    server_ms: float | None = None


class Uploaded(NamedTuple):
    """What making an index took, and how many vectors its graphs hold; None without graphs."""

    upload_s: float
    index_s: float
    indexed_vectors: int | None


class Engine(ABC):
    """One engine over one set of vectors, whose index lies in ``directory``.

    ``build`` is what the index is made with. It is made once, by ``upload``; after that any number
    of processes ``open`` it and ``search``, each with one thread inside the engine unless the
    engine says otherwise.
    """

    def __init__(self, vectors: VectorSet, directory: Path, *, build: Mapping[str, Any]) -> None:
        self.vectors = vectors
        self.directory = directory
        self.build = dict(build)

    @abstractmethod
    def upload(self, *, threads: int) -> Uploaded:
        """Make the whole index with so many threads, keep it, and let go of it.

        Raises:
            EngineFailed: the engine did not build what it was told to.
        """

    @abstractmethod
    def open(self) -> None:
        """Make the kept index searchable."""

    @abstractmethod
    def search(self, query: Query) -> Answer:
        """The answer to one query."""

    @abstractmethod
    def search_many(self, queries: Sequence[Query]) -> list[Answer]:
        """The answers to queries without filters that are handed over in one call.

        Their own time, where the engine tells it, is that of the whole call.
        """

    def disk_bytes(self) -> int | None:
        """What the kept index takes on disk, or None where nobody can say."""
        files = (file for file in self.directory.rglob("*") if file.is_file())
        return sum(file.stat().st_blocks * 512 for file in files)

    def remove(self) -> None:
        """Remove the kept index for good, whole or not."""
        shutil.rmtree(self.directory, ignore_errors=True)

    @abstractmethod
    def close(self) -> None:
        """Let go of the index."""
