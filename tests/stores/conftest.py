"""Every store, made and reopened the same way, for the contract suite."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from tests.folders import files_in
from tests.stores.catalogue import DIMS, catalogue
from tests.stores.qdrant_process import QdrantProcess
from twinlens.stores.address import CollectionLayout, ServerAddress
from twinlens.stores.base import Dims, StoredVideo, VectorReader, VectorStore
from twinlens.stores.edge import EdgeReader, EdgeStore
from twinlens.stores.flat import FlatReader, FlatStore
from twinlens.stores.mirrored import MirroredReader
from twinlens.stores.server import ServerStore
from twinlens.stores.server_client import ServerClient

SERVER_URL = os.environ.get("TWINLENS_TEST_QDRANT_URL")

NEEDS_SERVER = pytest.mark.skipif(
    SERVER_URL is None, reason="needs a Qdrant server: set TWINLENS_TEST_QDRANT_URL"
)


def contents(store: VectorReader) -> dict[str, object]:
    """The payload and all vectors of each video, to be compared."""
    return {
        v.video_id: (v.payload, {n: repr(a) for n, a in {**v.vectors, **v.sparse}.items()})
        for batch in store.scan(with_vectors=True)
        for v in batch
    }


class Home:
    """A place that holds one store at a time; what is opened here is closed after the test."""

    def __init__(self, kept: ExitStack, store: Any, reader: Any, *place: Any) -> None:
        self._kept, self.kind, self._reader, self._place = kept, store, reader, place

    def create(self, dims: Mapping[str, int | None] = DIMS) -> VectorStore:
        return self._keep(self.kind.create(*self._place, dims))

    def open(self) -> VectorStore:
        return self._keep(self.kind.open(*self._place))

    def reader(self) -> VectorReader:
        return self._keep(self._reader.open(*self._place))

    def _keep(self, opened: Any) -> Any:
        self._kept.callback(opened.close)
        return opened

    def state(self) -> object:
        """All that is kept, to the byte where it lies in files."""
        return contents(self.reader())


class FileHome(Home):
    @property
    def path(self) -> Path:
        return self._place[0]

    def state(self) -> dict[str, bytes]:
        return files_in(self.path)


class MirroredStore:
    """Writes to a server and to a mirror, and reads as a search over both does."""

    def __init__(self, server: ServerStore, path: Path) -> None:
        self._server, self._path = server, path
        self._mirror = FlatStore.open(path)
        self.reader = self._read()

    @classmethod
    def create(cls, server: ServerClient, collection: str, path: Path, dims: Dims) -> Self:
        FlatStore.create(path, dims).close()
        return cls(ServerStore.create(server, collection, dims), path)

    @classmethod
    def open(cls, server: ServerClient, collection: str, path: Path) -> Self:
        return cls(ServerStore.open(server, collection), path)

    def upsert(self, videos: Sequence[StoredVideo]) -> None:
        self._write("upsert", videos)

    def delete(self, video_ids: Sequence[str]) -> None:
        self._write("delete", video_ids)

    def close(self) -> None:
        self._mirror.close()
        self.reader.close()

    def _write(self, name: str, given: Any) -> None:
        getattr(self._server, name)(given)
        getattr(self._mirror, name)(given)
        self._mirror.flush()
        self.reader = self._read()

    def _read(self) -> MirroredReader:
        return MirroredReader(self._server, FlatReader.open(self._path))

    def __getattr__(self, name: str) -> Any:
        of = self._server if name in ("dims", "flush", "optimize") else self.reader
        return getattr(of, name)


def open_mirrored(server: ServerClient, collection: str, path: Path) -> MirroredReader:
    """Both halves, as a search reads them."""
    return MirroredReader(ServerStore.open(server, collection), FlatReader.open(path))


class MirroredHome(Home):
    def reader(self) -> VectorReader:
        return self._keep(open_mirrored(*self._place))


# Both outlive every fixture of a test: what removes its collections runs after the test.
@pytest.fixture(scope="session")
def process(qdrant_process: QdrantProcess) -> Iterator[ServerClient]:
    """The process that stands in for a server."""
    client = qdrant_process.client(sleep=lambda _: None)
    yield client
    client.close()


@pytest.fixture(scope="session")
def server() -> Iterator[ServerClient]:
    """A real server where there is one to test against."""
    assert SERVER_URL is not None
    key = os.environ.get("TWINLENS_TEST_QDRANT_API_KEY")
    client = ServerClient.connect(ServerAddress(SERVER_URL, key))
    yield client
    client.close()


@pytest.fixture
def name() -> str:
    """A collection that nobody made."""
    return f"videos-{uuid.uuid4()}"


class StrictStore(ServerStore):
    """A collection in strict mode: nothing that TwinLens asks may be refused."""

    @classmethod
    def create(cls, *place: Any, **how: Any) -> Self:
        return super().create(*place, **how, layout=CollectionLayout(strict=True))


@pytest.fixture
def shard_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where the system has one: a shard syncs some hundred files."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="twinlens-test-") as path:
        yield Path(path)


@pytest.fixture(
    params=["edge", "flat", "process", "mirrored", pytest.param("server", marks=NEEDS_SERVER)]
)
def home(request: pytest.FixtureRequest, shard_path: Path) -> Iterator[Home]:
    """A place of each engine; a collection on a server is removed afterwards."""
    with ExitStack() as kept:
        if request.param == "edge":
            yield FileHome(kept, EdgeStore, EdgeReader, shard_path / "qdrant")
        elif request.param == "flat":
            yield FileHome(kept, FlatStore, FlatReader, shard_path / "faiss")
        else:
            mirrored = request.param == "mirrored"
            server: ServerClient = request.getfixturevalue("process" if mirrored else request.param)
            collection = f"twinlens-test-{uuid.uuid4()}"
            kept.callback(server.delete_collection, collection)
            if mirrored:
                path = shard_path / "faiss"
                yield MirroredHome(kept, MirroredStore, None, server, collection, path)
            else:
                yield Home(kept, StrictStore, ServerStore, server, collection)


@pytest.fixture
def store(home: Home) -> VectorStore:
    return home.create()


@pytest.fixture
def folder(home: FileHome) -> Path:
    """Where the home's store of 40 videos lies, closed."""
    store = home.create()
    store.upsert(catalogue(40))
    store.close()
    return home.path
