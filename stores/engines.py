"""Which Qdrant holds the generations: embedded, in their own directories, or a server."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Final, Protocol

from catalog.errors import UsageError
from catalog.video import VectorName
from stores.base import VectorReader, VectorStore
from stores.edge import EdgeReader, EdgeStore
from stores.generations import DataDir, Manifest
from stores.server import ServerClient, ServerStore

EMBEDDED: Final = "embedded"
SERVER: Final = "server"


class Engine(Protocol):
    """Where the Qdrant side of each generation lives, by the generation's name."""

    @property
    def name(self) -> str:
        """``embedded`` or ``server``; stands in the manifest."""
        ...

    def writer(self, generation: str, dims: Mapping[VectorName, int]) -> VectorStore:
        """The generation's store for the job, made if it isn't there."""
        ...

    def reader(self, generation: str) -> VectorReader:
        """The finished generation's store, for searching."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Make ``target`` hold what ``source`` holds."""
        ...

    def publish(self, generation: str) -> str | None:
        """Make outside users see ``generation``; the name of its collection, if it has one."""
        ...

    def drop(self, generation: str) -> None:
        """Remove what the engine keeps of a generation; one that isn't there is ignored."""
        ...
