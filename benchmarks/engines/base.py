"""The seam of a comparison: an engine that is configured, uploaded to, and searched."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twinlens.benchmarks.engines.vectors import Ids, Matrix, VectorSet
from twinlens.catalog.errors import TwinLensError
from twinlens.catalog.vectors import Vector
from twinlens.catalog.video import VectorName
from twinlens.stores.base import ScoredVideo

# What a search is asked with: {"exact": True}, {"ef": 64}, {"ef": 64, "oversampling": 2.0}, …
Setting = Mapping[str, Any]


class EngineFailed(TwinLensError):
    """An engine could not do what a measurement asked of it; the others go on."""


class NotOffered(Exception):
    """The engine has no such thing, which is no failure."""


class Answer(NamedTuple):
    """The ids that a search found, best first, and the engine's own time where it tells it."""

    ids: Sequence[int]
    engine_ms: float | None = None


class Uploaded(NamedTuple):
    """What making the index took, how many vectors its graphs hold, and how many segments it has.

    None where it has none of them. ``shared``: another engine had made it before.
    """

    upload_s: float
    index_s: float
    indexed_vectors: int | None
    segments: int | None = None
    shared: bool = False


class Engine(ABC):
    """One engine over one set of vectors, whose index lies in ``directory``.

    ``build`` are the settings that the index is made with. An index is made once, by ``configure``
    and ``upload``; after that any number of processes ``open`` it and ``search``, each with one
    thread inside the engine unless the engine says otherwise.
    """

    # Whether searches and changes may run at once in one process, without a lock of the caller's.
    changes_beside_searches = True

    def __init__(self, vectors: VectorSet, directory: Path, *, build: Mapping[str, Any]) -> None:
        self.vectors = vectors
        self.directory = directory
        self.build = dict(build)

    @abstractmethod
    def configure(self, *, threads: int) -> None:
        """Make an empty index, which will be built with so many threads."""

    @abstractmethod
    def upload(self) -> Uploaded:
        """Write all vectors, build what the engine builds, keep it, let go of it.

        Raises:
            EngineFailed: the engine did not build what it was told to.
        """

    @abstractmethod
    def open(self) -> None:
        """Make the kept index searchable."""

    @abstractmethod
    def search(
        self,
        name: str,
        query: Vector,
        *,
        limit: int,
        setting: Setting,
        share: float | None = None,
    ) -> Answer:
        """The nearest by the vector ``name`` among those that the filter ``share`` lets through."""

    @abstractmethod
    def search_many(
        self, name: str, queries: Matrix, *, limit: int, setting: Setting
    ) -> list[Sequence[int]]:
        """The answers to many queries that are handed over in one call."""

    @abstractmethod
    def rankings(
        self, query: Mapping[str, Vector], *, limit: int, setting: Setting
    ) -> dict[VectorName, list[ScoredVideo]]:
        """One ranking for each named vector, as cheaply as the engine has it, to be fused by us."""

    def fused(
        self, query: Mapping[str, Vector], *, limit: int, window: int, k: float, setting: Setting
    ) -> Answer:
        """The fusion of both rankings by the engine itself.

        Raises:
            NotOffered: it has none.
        """
        raise NotOffered

    def open_for_changes(self) -> None:
        """Make a copy of the index searchable and changeable.

        Raises:
            NotOffered: this index can't be changed.
        """
        raise NotOffered

    def upsert(self, ids: Ids) -> None:
        """Write these videos anew, with the vectors they have."""
        raise NotOffered

    def delete(self, ids: Ids) -> None:
        """Remove these videos."""
        raise NotOffered

    def disk_bytes(self) -> int:
        """What the kept index takes on disk."""
        return sum(
            file.stat().st_blocks * 512 for file in self.directory.rglob("*") if file.is_file()
        )

    def remove(self) -> None:
        """Remove the kept index for good, whole or not."""
        shutil.rmtree(self.directory, ignore_errors=True)

    @abstractmethod
    def close(self) -> None:
        """Let go of the index."""
