"""Every store, made and reopened the same way, for the contract suite."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.stores.catalogue import DIMS
from tests.stores.qdrant_process import QdrantProcess
from twinlens.stores.base import VectorReader, VectorStore
from twinlens.stores.edge import EdgeReader, EdgeStore
from twinlens.stores.flat import FlatReader, FlatStore
from twinlens.stores.server import ServerStore
from twinlens.stores.server_client import ServerClient

SERVER_URL = os.environ.get("TWINLENS_TEST_QDRANT_URL")

NEEDS_SERVER = pytest.mark.skipif(
    SERVER_URL is None, reason="needs a Qdrant server: set TWINLENS_TEST_QDRANT_URL"
)


class Home(Protocol):
    """A place that holds one store at a time."""

    def create(self, dims: Mapping[str, int] = ...) -> VectorStore: ...

    def open(self) -> VectorStore: ...

    def reader(self) -> VectorReader: ...

    def state(self) -> object:
        """All that is kept, to the byte where it lies in files."""
        ...


class FileHome:
    def __init__(self, path: Path, store: Any, reader: Any) -> None:
        self.path, self._store, self._reader = path, store, reader

    def create(self, dims: Mapping[str, int] = DIMS) -> VectorStore:
        return self._store.create(self.path, dims)

    def open(self) -> VectorStore:
        return self._store.open(self.path)

    def reader(self) -> VectorReader:
        return self._reader.open(self.path)

    def state(self) -> dict[str, bytes]:
        return {
            str(file.relative_to(self.path)): file.read_bytes()
            for file in sorted(self.path.rglob("*"))
            if file.is_file()
        }


class ServerHome:
    def __init__(self, server: ServerClient) -> None:
        self.server = server
        self.collection = f"twinlens-test-{uuid.uuid4()}"

    def create(self, dims: Mapping[str, int] = DIMS) -> VectorStore:
        return ServerStore.create(self.server, self.collection, dims)

    def open(self) -> VectorStore:
        return ServerStore.open(self.server, self.collection)

    def reader(self) -> VectorReader:
        return ServerStore.open(self.server, self.collection)

    def state(self) -> list[tuple[str, ...]]:
        batches = ServerStore.open(self.server, self.collection).scan(with_vectors=True)
        return sorted(
            # A server gives a payload's keys in any order.
            (v.video_id, json.dumps(v.payload, sort_keys=True), repr((v.vectors, v.sparse)))
            for batch in batches
            for v in batch
        )


MakeHome = Callable[[str], Home]


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
    client = ServerClient.connect(
        SERVER_URL, api_key=os.environ.get("TWINLENS_TEST_QDRANT_API_KEY")
    )
    yield client
    client.close()


@pytest.fixture
def shard_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where the system has one: a shard syncs some hundred files."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="twinlens-test-") as path:
        yield Path(path)


@pytest.fixture
def make_home(shard_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeHome]:
    """Homes by the engine's name; collections on a server are removed afterwards."""
    collections: list[ServerHome] = []

    def make(engine: str) -> Home:
        if engine == "edge":
            return FileHome(shard_path / "qdrant", EdgeStore, EdgeReader)
        if engine == "flat":
            return FileHome(shard_path / "faiss", FlatStore, FlatReader)
        home = ServerHome(request.getfixturevalue(engine))
        collections.append(home)
        return home

    yield make
    for home in collections:
        home.server.delete_collection(home.collection)


@pytest.fixture(
    params=[
        "edge",
        "flat",
        "process",
        pytest.param("server", marks=NEEDS_SERVER),
    ]
)
def home(request: pytest.FixtureRequest, make_home: MakeHome) -> Home:
    return make_home(request.param)


@pytest.fixture
def store(home: Home) -> Iterator[VectorStore]:
    opened = home.create()
    yield opened
    opened.close()
