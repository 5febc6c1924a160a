"""Which Qdrant holds the generations: embedded, in their own directories, or a server."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from twinlens.catalog.errors import UsageError
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.stores.address import SERVERS_OWN, CollectionLayout, ServerAddress
from twinlens.stores.base import Dims, VectorReader, VectorStore
from twinlens.stores.checksums import QDRANT_FILES, WAY_OUT, require_unchanged
from twinlens.stores.copying import copy_tree
from twinlens.stores.edge import EdgeReader, EdgeStore
from twinlens.stores.generations import DataDir, Manifest, is_generation_name

if TYPE_CHECKING:
    from twinlens.stores.server import ServerStore
    from twinlens.stores.server_client import ServerClient

EMBEDDED: Final = "embedded"
SERVER: Final = "server"
# Somebody waits for what is read, while a job can wait for its server.
READER_TIMEOUT_S: Final = 3
READER_ATTEMPTS: Final = 2
# Of a server's collection, in a backup.
SNAPSHOT_FILE: Final = "collection.snapshot"

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """Where the Qdrant side of each generation lives, by the generation's name."""

    @property
    def name(self) -> str:
        """``embedded`` or ``server``; stands in the manifest."""
        ...

    @property
    def identity(self) -> str:
        """Which Qdrant it is: two with one identity hold the same."""
        ...

    @property
    def streams(self) -> int:
        """How many writes may be under way beside each other; 0: each is waited for."""
        ...

    def name_collection(self, generation: str) -> str | None:
        """Return the name of the generation's collection, where there are collections."""
        ...

    def has(self, generation: str) -> bool:
        """Return whether it keeps anything of the generation."""
        ...

    def open_writer(self, generation: str, dims: Dims, fields: Fields = FIELDS) -> VectorStore:
        """Return the generation's store for the job, made if it isn't there."""
        ...

    def open_reader(self, generation: str, fields: Fields = FIELDS) -> VectorReader:
        """Return the finished generation's store, for searching."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Make ``target`` hold what ``source`` holds."""
        ...

    def save(self, generation: str, folder: Path) -> None:
        """Write to ``folder``, for a backup, what of a generation is not in its directory."""
        ...

    def load(self, generation: str, folder: Path) -> bool:
        """Make a generation of what ``save`` wrote, unless it is there; return whether it is."""
        ...

    def publish(self, generation: str) -> None:
        """Make outside users see ``generation``."""
        ...

    def drop(self, generation: str) -> None:
        """Remove what the engine keeps of a generation; one that isn't there is ignored."""
        ...

    def list_orphans(self, data: DataDir) -> list[str]:
        """Return the generations that it keeps apart from ``data``, which has them no more."""
        ...


class EmbeddedEngine:
    """Qdrant in this process: one shard in each generation's directory."""

    name = EMBEDDED
    identity = EMBEDDED
    streams = 0

    def __init__(self, data: DataDir) -> None:
        self._data = data

    def _locate(self, generation: str) -> Path:
        return self._data.locate_generation(generation) / "qdrant"

    def name_collection(self, generation: str) -> None:
        """None: a generation is a directory."""

    def has(self, generation: str) -> bool:
        """See ``Engine``."""
        return self._locate(generation).exists()

    def open_writer(self, generation: str, dims: Dims, fields: Fields = FIELDS) -> VectorStore:
        """See ``Engine``."""
        path = self._locate(generation)
        if not self.has(generation):
            return EdgeStore.create(path, dims, fields=fields)
        store = EdgeStore.open(path, fields=fields)
        store.index_payload()  # its base may have had fewer fields
        return store

    def open_reader(self, generation: str, fields: Fields = FIELDS) -> VectorReader:
        """See ``Engine``."""
        return EdgeReader.open(self._locate(generation), fields=fields)

    def copy(self, source: str, target: str) -> None:
        """See ``Engine``."""
        copy_tree(self._locate(source), self._locate(target))

    def save(self, generation: str, folder: Path) -> None:
        """Nothing to do: all of it is in the generation's directory."""

    def load(self, generation: str, folder: Path) -> bool:
        """See ``Engine``; the directory holds it, or nothing does."""
        return self.has(generation)

    def publish(self, generation: str) -> None:
        """Nothing to do: whoever reads ``CURRENT`` sees it."""

    def drop(self, generation: str) -> None:
        """See ``Engine``."""
        shutil.rmtree(self._locate(generation), ignore_errors=True)

    def list_orphans(self, data: DataDir) -> list[str]:
        """None: it keeps them nowhere else."""
        return []


class ServerEngine:
    """A Qdrant server: one collection a generation, and an alias for the published one."""

    name = SERVER

    def __init__(
        self, server: ServerClient, *, collection: str, layout: CollectionLayout = SERVERS_OWN
    ) -> None:
        self._server = server
        self._alias = collection
        self._layout = layout

    @property
    def streams(self) -> int:
        """See ``Engine``."""
        from twinlens.stores.server import UPLOAD_STREAMS

        return UPLOAD_STREAMS

    @property
    def identity(self) -> str:
        """See ``Engine``."""
        return f"{SERVER} {self._server.url}, collection {self._alias}"

    def name_collection(self, generation: str) -> str:
        """See ``Engine``."""
        return f"{self._alias}-{generation}"

    def has(self, generation: str) -> bool:
        """See ``Engine``."""
        return self._server.has_collection(self.name_collection(generation))

    def open_writer(self, generation: str, dims: Dims, fields: Fields = FIELDS) -> VectorStore:
        """See ``Engine``."""
        from twinlens.stores.server import ServerStore

        collection = self.name_collection(generation)
        if self.has(generation):
            store = ServerStore.open(self._server, collection, expected=dims, fields=fields)
            store.index_payload()  # a killed job may have made the collection and no more
            return store
        return ServerStore.create(
            self._server, collection, dims, fields=fields, layout=self._layout
        )

    def open_reader(self, generation: str, fields: Fields = FIELDS) -> VectorReader:
        """See ``Engine``."""
        from twinlens.stores.server import ServerStore

        return ServerStore.open(self._server, self.name_collection(generation), fields=fields)

    def copy(self, source: str, target: str) -> None:
        """See ``Engine``."""
        from twinlens.stores.server import copy_collection

        names = self.name_collection(source), self.name_collection(target)
        copy_collection(self._server, *names, self._layout)

    def save(self, generation: str, folder: Path) -> None:
        """See ``Engine``: a snapshot, unless several nodes have the collection."""
        from twinlens.stores.snapshots import save_snapshot

        collection = self.name_collection(generation)
        if not save_snapshot(self._server.address, collection, folder / SNAPSHOT_FILE):
            logger.warning(
                "collection %s lies on several nodes, of which no snapshot holds all: a restore "
                "makes it anew of the FAISS mirror",
                collection,
            )

    def load(self, generation: str, folder: Path) -> bool:
        """See ``Engine``."""
        from twinlens.stores.snapshots import load_snapshot

        if self.has(generation):  # and may be searched
            return True
        file = folder / SNAPSHOT_FILE
        if not file.exists():
            return False
        return load_snapshot(self._server.address, self.name_collection(generation), file)

    def publish(self, generation: str) -> None:
        """Move the alias, in one step."""
        self._server.move_alias(self._alias, self.name_collection(generation))

    def drop(self, generation: str) -> None:
        """See ``Engine``."""
        self._server.delete_collection(self.name_collection(generation))

    def list_orphans(self, data: DataDir) -> list[str]:
        """See ``Engine``; what the alias stands for is none, and is in use by somebody."""
        used = self._server.find_alias_target(self._alias)
        prefix = self.name_collection("")
        kept = [
            name.removeprefix(prefix)
            for name in self._server.list_collections(prefix)
            if name != used
        ]
        here = data.list_generations()  # looked at last: a job makes its directory first
        return [name for name in kept if is_generation_name(name) and name not in here]


def is_kept_by(engine: Engine, manifest: Manifest) -> bool:
    """Return whether ``engine`` is the one that keeps a generation's vectors."""
    kept = engine.name, engine.name_collection(manifest.generation)
    return kept == (manifest.engine, manifest.collection)


def open_engine(
    data: DataDir,
    server: ServerAddress | None,
    *,
    collection: str,
    patience_s: float = 0.0,
    layout: CollectionLayout = SERVERS_OWN,
) -> Engine:
    """Return ``server``, or the embedded engine where it is None.

    A server that doesn't answer is waited for for ``patience_s``, at each request.
    """
    if server is None:
        return EmbeddedEngine(data)
    from twinlens.stores.server_client import ServerClient

    client = ServerClient.connect(server, patience_s=patience_s)
    return ServerEngine(client, collection=collection, layout=layout)


def open_reader(
    data: DataDir, manifest: Manifest, server: ServerAddress | None = None
) -> VectorReader:
    """Return the Qdrant side of a finished generation, for searching.

    Raises:
        UsageError: it lives in a server, and none is named.
        StoreUnavailable: the server doesn't answer.
    """
    if manifest.engine == EMBEDDED:
        return EmbeddedEngine(data).open_reader(manifest.generation, manifest.fields)
    return _open_collection(manifest, server)


def open_for_search(
    data: DataDir, manifest: Manifest, server: ServerAddress | None = None
) -> VectorReader:
    """Return what ``open_reader`` does; the generation's mirror spares most calls to a server.

    The files that it reads are compared with their checksums first.

    Raises:
        UsageError: it lives in a server, and none is named.
        StoreCorrupt: embedded, its files are not as they were published.
        StoreUnavailable: the server doesn't answer.
    """
    if manifest.engine == EMBEDDED:
        # What is searched, and not the mirror. It halts nobody: the GIL is let go meanwhile.
        require_unchanged(data, manifest, part=QDRANT_FILES, way_out=WAY_OUT)
        return open_reader(data, manifest)
    from twinlens.stores.mirrored import add_mirror

    store = _open_collection(manifest, server)
    try:
        return add_mirror(store, data, manifest)
    except BaseException:
        store.close()
        raise


def _open_collection(manifest: Manifest, server: ServerAddress | None) -> ServerStore:
    if server is None or manifest.collection is None:
        raise UsageError(
            f"generation {manifest.generation} lives in a Qdrant server, collection "
            f"{manifest.collection}: set qdrant_url (TWINLENS_QDRANT_URL or --qdrant-url)"
        )
    from twinlens.stores.server import ServerStore
    from twinlens.stores.server_client import ServerClient

    client = ServerClient.connect(server, timeout_s=READER_TIMEOUT_S, attempts=READER_ATTEMPTS)
    try:
        store = ServerStore.open(
            client,
            manifest.collection,
            expected=manifest.dims,
            owns_server=True,
            fields=manifest.fields,
        )
    except BaseException:
        client.close()
        raise
    store.watch()
    return store
