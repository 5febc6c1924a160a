"""The Qdrant server's side: whole collections, and a server that fails."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException

from tests.stores.catalogue import DIMS, catalogue, unit, video
from tests.stores.conftest import MEMORY_WARNS, NEEDS_SERVER
from twinlens.catalog.errors import StoreError, StoreUnavailable
from twinlens.catalog.fields import FIELDS
from twinlens.encoders.lenses import THUMBNAIL, TITLE
from twinlens.stores.base import VectorQuery
from twinlens.stores.engines import ServerEngine, open_reader
from twinlens.stores.filters import AnyOf
from twinlens.stores.generations import DataDir, Manifest
from twinlens.stores.qdrant_schema import payload_indexes
from twinlens.stores.server import ServerClient, ServerStore


@pytest.fixture(
    params=[
        pytest.param("memory", marks=MEMORY_WARNS),
        pytest.param("server", marks=NEEDS_SERVER),
    ]
)
def client(request: pytest.FixtureRequest) -> Iterator[ServerClient]:
    if request.param == "server":
        yield request.getfixturevalue("server")
        return
    memory = ServerClient(QdrantClient(":memory:"), url=":memory:")
    yield memory
    memory.close()


@pytest.fixture
def prefix(client: ServerClient, request: pytest.FixtureRequest) -> Iterator[str]:
    prefix = f"twinlens-{request.node.name}-"
    yield prefix
    for collection in client.collections(prefix):
        client.delete_collection(collection)


def test_an_alias_moves_from_one_collection_to_the_next(client: ServerClient, prefix: str) -> None:
    alias, first, second = f"{prefix}alias", f"{prefix}1", f"{prefix}2"
    assert client.alias_target(alias) is None
    for collection, count in ((first, 3), (second, 5)):
        ServerStore.create(client, collection, DIMS).upsert(catalogue(count))
        client.move_alias(alias, collection)
        assert client.alias_target(alias) == collection
        assert ServerStore.open(client, alias).count() == count
    client.move_alias(alias, second)
    assert client.alias_target(alias) == second
    client.move_alias(alias, first)
    assert ServerStore.open(client, alias).count() == 3


def test_collections_are_listed_by_prefix_and_deleted(client: ServerClient, prefix: str) -> None:
    for name in ("b", "a", "c"):
        ServerStore.create(client, prefix + name, DIMS)
    assert client.collections(prefix) == [prefix + "a", prefix + "b", prefix + "c"]
    assert set(client.collections(prefix)) <= set(client.collections())
    client.delete_collection(prefix + "b")
    client.delete_collection(prefix + "b")
    assert client.collections(prefix) == [prefix + "a", prefix + "c"]
    assert client.has_collection(prefix + "a")
    assert not client.has_collection(prefix + "b")


def test_a_copy_holds_the_same_and_goes_its_own_way(client: ServerClient, prefix: str) -> None:
    source, target = f"{prefix}source", f"{prefix}target"
    store = ServerStore.create(client, source, DIMS)
    store.upsert(catalogue(1_203))
    client.copy_collection(source, target)
    copied = ServerStore.open(client, target)
    assert copied.dims == DIMS
    assert copied.count() == 1_203
    for name in (TITLE, THUMBNAIL):
        assert copied.count(name) == store.count(name)
    ask = [VectorQuery(TITLE, unit(np.random.default_rng(1), 16), 50)]
    assert copied.search(ask) == store.search(ask)
    copied.delete(["video-00000"])
    assert store.count() == 1_203
    with pytest.raises(StoreError, match="already"):
        client.copy_collection(source, target)
    with pytest.raises(StoreError):
        client.copy_collection(f"{prefix}nothing", f"{prefix}target 2")


@NEEDS_SERVER
def test_the_server_has_the_payload_indexes(client: ServerClient, prefix: str) -> None:
    ServerStore.create(client, f"{prefix}indexed", DIMS)
    info = client.request(lambda c: c.get_collection(f"{prefix}indexed"))
    assert {k: str(v.data_type.value) for k, v in info.payload_schema.items()} == payload_indexes(
        FIELDS
    )


class Asked(QdrantClient):
    """The library's own local engine, which notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if not name.startswith("_") and name != "calls" and callable(value):
            self.calls.append(name)
        return value


@MEMORY_WARNS
def test_indexes_come_before_videos_and_a_search_is_one_request() -> None:
    asked = Asked()
    store = ServerStore.create(ServerClient(asked, url=":memory:"), "videos", DIMS)
    store.upsert(catalogue(10))
    calls = asked.calls
    assert calls.count("create_payload_index") == len(payload_indexes(FIELDS))
    assert calls.index("create_collection") < calls.index("create_payload_index")
    last_index = len(calls) - 1 - calls[::-1].index("create_payload_index")
    assert last_index < calls.index("upsert")
    calls.clear()
    rng = np.random.default_rng(2)
    queries = [VectorQuery(name, unit(rng, DIMS[name]), 5) for name in (TITLE, THUMBNAIL)]
    store.search(queries, filter=AnyOf("language", ("en",)))
    assert calls == ["query_batch_points"]


class FlakyServer(ThreadingHTTPServer):
    """Answers with what it was given, one answer a request, the last for ever."""

    daemon_threads = True

    def __init__(self, answers: list[tuple[int, dict[str, object]]]) -> None:
        super().__init__(("127.0.0.1", 0), FlakyHandler)
        self.answers = answers
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class FlakyHandler(BaseHTTPRequestHandler):
    server: FlakyServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        answers = self.server.answers
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def flaky() -> Iterator[Callable[..., FlakyServer]]:
    servers = []

    def start(*answers: tuple[int, dict[str, object]]) -> FlakyServer:
        server = FlakyServer(list(answers))
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


GOOD = (200, {"result": {"collections": [{"name": "videos"}]}, "status": "ok", "time": 0.0})
OVERLOADED = (503, {"status": {"error": "overloaded"}})
REFUSED = (401, {"status": {"error": "Must provide an API key"}})


def connected(url: str, sleeps: list[float], attempts: int = 4) -> ServerClient:
    client = QdrantClient(url=url, prefer_grpc=False, check_compatibility=False, timeout=5)
    return ServerClient(client, url=url, attempts=attempts, sleep=sleeps.append)


def test_a_passing_failure_is_tried_again_after_a_pause(flaky: Callable[..., FlakyServer]) -> None:
    server, sleeps = flaky(OVERLOADED, OVERLOADED, GOOD), []
    client = connected(server.url, sleeps)
    assert client.collections() == ["videos"]
    assert len(server.asked) == 3
    assert len(sleeps) == 2
    client.close()


def test_a_lasting_failure_names_the_server_after_the_last_attempt(
    flaky: Callable[..., FlakyServer],
) -> None:
    server, sleeps = flaky(OVERLOADED), []
    client = connected(server.url, sleeps)
    with pytest.raises(StoreUnavailable, match=server.url) as caught:
        client.collections()
    assert len(server.asked) == 4
    assert len(sleeps) == 3
    assert caught.value.__cause__ is not None
    client.close()


@pytest.mark.parametrize(
    ("answer", "text"),
    [(REFUSED, "API key"), ((404, {"status": {"error": "Not found"}}), "404")],
    ids=["refused", "not found"],
)
def test_what_will_not_pass_is_not_tried_again(
    flaky: Callable[..., FlakyServer], answer: tuple[int, dict[str, object]], text: str
) -> None:
    server, sleeps = flaky(answer), []
    client = connected(server.url, sleeps)
    with pytest.raises(StoreError, match=text) as caught:
        client.collections()
    assert not isinstance(caught.value, StoreUnavailable)
    assert len(server.asked) == 1
    assert sleeps == []
    client.close()


@pytest.mark.parametrize("prefer_grpc", [True, False])
def test_no_server_at_all_is_said_with_its_address(prefer_grpc: bool) -> None:
    # Port 1 is reserved, and nothing listens there.
    client = ServerClient.connect(
        "http://127.0.0.1:1", prefer_grpc=prefer_grpc, grpc_port=1, attempts=1, timeout_s=5
    )
    for ask in (
        client.collections,
        lambda: ServerStore.open(client, "videos"),
        lambda: ServerStore.create(client, "videos", DIMS),
        lambda: client.move_alias("videos", "videos-1"),
    ):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1.*docker compose up"):
            ask()
    client.close()


@MEMORY_WARNS
def test_optimize_waits_until_the_collection_stays_green() -> None:
    states = iter(["yellow", "green", "yellow", "green", "green"])

    class Busy(QdrantClient):
        def get_collection(self, collection_name: str, **_: object) -> models.CollectionInfo:
            info = super().get_collection(collection_name)
            info.status = models.CollectionStatus(next(states))
            return info

    sleeps: list[float] = []
    client = ServerClient(Busy(":memory:"), url=":memory:", sleep=sleeps.append)
    store = ServerStore.create(client, "videos", DIMS)
    store.upsert([video(np.random.default_rng(0), "one")])
    store.optimize()
    assert next(states, None) is None
    assert len(sleeps) == 4


@MEMORY_WARNS
def test_a_restarted_server_that_waits_for_a_write_is_sent_an_empty_one() -> None:
    # It takes a moment to begin once it was sent something, and never begins before.
    after = iter(["grey", "yellow", "green", "green"])
    sent: list[object] = []

    class Restarted(QdrantClient):
        def get_collection(self, collection_name: str, **_: object) -> models.CollectionInfo:
            info = super().get_collection(collection_name)
            info.status = models.CollectionStatus(next(after) if sent else "grey")
            return info

        def update_collection(self, collection_name: str, **options: object) -> bool:
            sent.append(options)
            return super().update_collection(collection_name)

    client = ServerClient(Restarted(":memory:"), url=":memory:", sleep=lambda _: None)
    ServerStore.create(client, "videos", DIMS)
    client.wait_until_indexed("videos", limit_s=5)
    assert sent == [{"optimizers_config": models.OptimizersConfigDiff()}]
    assert next(after, None) is None


@MEMORY_WARNS
def test_an_optimizer_that_stands_still_is_an_error_that_says_where() -> None:
    class Stuck(QdrantClient):
        def get_collection(self, collection_name: str, **_: object) -> models.CollectionInfo:
            info = super().get_collection(collection_name)
            info.status = models.CollectionStatus.YELLOW
            info.indexed_vectors_count = 7
            return info

    client = ServerClient(Stuck(":memory:"), url="http://qdrant:6333", sleep=lambda _: None)
    ServerStore.create(client, "videos-1", DIMS).upsert(catalogue(3))
    with pytest.raises(StoreError) as caught:
        client.wait_until_indexed("videos-1", limit_s=0.05)
    assert str(caught.value) == (
        "http://qdrant:6333: collection videos-1: the optimizer was not done after 0.05 s: status"
        " yellow, 7 vectors of 3 videos are indexed; see the server's log"
    )


@NEEDS_SERVER
def test_an_empty_change_of_the_optimizer_is_taken(client: ServerClient, prefix: str) -> None:
    ServerStore.create(client, f"{prefix}calm", DIMS)
    client._wake_optimizer(f"{prefix}calm")
    client.wait_until_indexed(f"{prefix}calm", limit_s=60)


@MEMORY_WARNS
def test_an_optimizer_that_failed_is_an_error() -> None:
    class Red(QdrantClient):
        def get_collection(self, collection_name: str, **_: object) -> models.CollectionInfo:
            info = super().get_collection(collection_name)
            info.status = models.CollectionStatus.RED
            return info

    client = ServerClient(Red(":memory:"), url=":memory:")
    store = ServerStore.create(client, "videos", DIMS)
    with pytest.raises(StoreError, match="optimizer failed"):
        store.optimize()


@MEMORY_WARNS
def test_a_collection_of_others_is_not_opened() -> None:
    client = ServerClient(QdrantClient(":memory:"), url=":memory:")
    size = models.VectorParams(size=3, distance=models.Distance.DOT)
    client.request(lambda c: c.create_collection("named", vectors_config={"sound": size}))
    client.request(lambda c: c.create_collection("unnamed", vectors_config=size))
    for collection, text in (("named", "sound"), ("unnamed", "no named vectors")):
        with pytest.raises(StoreError, match=text):
            ServerStore.open(client, collection)


@MEMORY_WARNS
def test_a_creation_whose_answer_was_lost_is_not_an_error() -> None:
    class Lossy(QdrantClient):
        lost = False

        def create_collection(self, *args: object, **options: object) -> bool:
            created = super().create_collection(*args, **options)
            if not self.lost:
                self.lost = True
                raise ResponseHandlingException(TimeoutError("timed out"))
            return created

    client = ServerClient(Lossy(":memory:"), url=":memory:", sleep=lambda _: None)
    store = ServerStore.create(client, "videos", DIMS)
    store.upsert(catalogue(3))
    assert store.count() == 3


@MEMORY_WARNS
def test_a_store_closes_its_connection_once_where_it_owns_it() -> None:
    class Counted(ServerClient):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    server = Counted(QdrantClient(":memory:"), url=":memory:")
    ServerStore.create(server, "videos", DIMS).close()
    assert server.closed == 0
    store = ServerStore.open(server, "videos", owns_server=True)
    store.close()
    store.close()
    assert server.closed == 1


@MEMORY_WARNS
def test_a_collection_whose_making_was_killed_gets_its_payload_indexes() -> None:
    made: list[str] = []

    class Watched(QdrantClient):
        def create_payload_index(self, collection_name: str, field_name: str, *args, **kwargs):
            made.append(field_name)
            return super().create_payload_index(collection_name, field_name, *args, **kwargs)

    server = ServerClient(Watched(":memory:"), url=":memory:")
    engine = ServerEngine(server, collection="videos")
    engine.writer("one", DIMS, FIELDS)
    made.clear()
    engine.writer("one", DIMS, FIELDS)
    assert made == list(payload_indexes(FIELDS))


def test_a_server_that_hangs_is_given_up_soon_by_readers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # By HTTP, as gRPC's port is the one of the server.
    monkeypatch.setattr(ServerClient, "connect", partial(ServerClient.connect, prefer_grpc=False))
    monkeypatch.setattr("twinlens.stores.engines.READER_TIMEOUT_S", 1)
    manifest = Manifest(
        generation="g1",
        created_at="2026-11-21T00:00:00Z",
        engine="server",
        collection="videos-g1",
        encoders={},
        counts={},
        source="tests",
        versions={},
        timings_s={},
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match=url):
            open_reader(DataDir(tmp_path), manifest, qdrant_url=url)
        assert 2 <= time.monotonic() - started < 10


def test_a_key_over_plain_http_does_not_warn() -> None:
    ServerClient.connect("http://127.0.0.1:1", api_key="secret").close()
