"""The Qdrant server's side: whole collections, and a server that fails."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from functools import partial
from itertools import pairwise
from operator import methodcaller
from pathlib import Path

import pytest
from qdrant_client import models

from tests.stores.catalogue import DIMS, catalogue, manifest, query, rng, video
from tests.stores.conftest import NEEDS_SERVER, contents
from tests.stores.qdrant_process import QdrantProcess
from twinlens.catalog.errors import StoreError, StoreUnavailable
from twinlens.catalog.fields import FIELDS
from twinlens.encoders.lenses import THUMBNAIL, TITLE
from twinlens.stores.address import ServerAddress
from twinlens.stores.base import Order
from twinlens.stores.engines import ServerEngine, open_reader
from twinlens.stores.filters import AnyOf
from twinlens.stores.generations import DataDir
from twinlens.stores.qdrant_schema import list_payload_indexes
from twinlens.stores.server import ServerStore, copy_collection
from twinlens.stores.server_client import ServerClient


@pytest.fixture(params=["process", pytest.param("server", marks=NEEDS_SERVER)])
def client(request: pytest.FixtureRequest) -> ServerClient:
    made: ServerClient = request.getfixturevalue(request.param)
    return made


Connect = Callable[..., ServerClient]


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def connect(qdrant: QdrantProcess, pauses: list[float]) -> Iterator[Connect]:
    """Connections to the process; the pauses between attempts are noted, and not made."""
    with ExitStack() as made:
        yield lambda **how: made.enter_context(
            closing(qdrant.client(sleep=pauses.append, attempts=4, **how))
        )


@pytest.fixture(params=[True, False], ids=["gRPC", "REST"])
def connect_either(connect: Connect, request: pytest.FixtureRequest) -> Connect:
    """The same by each protocol."""
    return partial(connect, prefer_grpc=request.param)


@pytest.fixture
def store(connect: Connect, name: str) -> ServerStore:
    """That collection, made in the process."""
    return ServerStore.create(connect(), name, DIMS)


@pytest.fixture
def prefix(client: ServerClient, request: pytest.FixtureRequest) -> Iterator[str]:
    prefix = f"twinlens-{request.node.name}-"
    yield prefix
    for collection in client.list_collections(prefix):
        client.delete_collection(collection)


def test_an_alias_moves_from_one_collection_to_the_next(client: ServerClient, prefix: str) -> None:
    alias, first, second = f"{prefix}alias", f"{prefix}1", f"{prefix}2"
    assert client.find_alias_target(alias) is None
    for collection, count in ((first, 3), (second, 5)):
        ServerStore.create(client, collection, DIMS).upsert(catalogue(count))
        client.move_alias(alias, collection)
        assert client.find_alias_target(alias) == collection
        assert ServerStore.open(client, alias).count() == count
    client.move_alias(alias, second)
    assert client.find_alias_target(alias) == second
    client.move_alias(alias, first)
    assert ServerStore.open(client, alias).count() == 3


def test_collections_have_payload_indexes_are_listed_by_prefix_and_deleted(
    client: ServerClient, prefix: str
) -> None:
    for name in ("b", "a", "c"):
        ServerStore.create(client, prefix + name, DIMS)
        info = client.request(methodcaller("get_collection", prefix + name))
        kinds = {field: str(one.data_type.value) for field, one in info.payload_schema.items()}
        assert kinds == list_payload_indexes(FIELDS)
    assert client.list_collections(prefix) == [prefix + "a", prefix + "b", prefix + "c"]
    assert set(client.list_collections(prefix)) <= set(client.list_collections())
    client.delete_collection(prefix + "b")
    client.delete_collection(prefix + "b")
    assert client.list_collections(prefix) == [prefix + "a", prefix + "c"]
    assert client.has_collection(prefix + "a")
    assert not client.has_collection(prefix + "b")
    client._wake_optimizer(prefix + "a")
    client.wait_until_indexed(prefix + "a", stalled_after_s=60)


def test_a_copy_holds_the_same_and_goes_its_own_way(client: ServerClient, prefix: str) -> None:
    source, target = f"{prefix}source", f"{prefix}target"
    store = ServerStore.create(client, source, DIMS)
    store.upsert(catalogue(1_203))
    copy_collection(client, source, target)
    copied = ServerStore.open(client, target)
    assert (copied.dims, copied.count()) == (DIMS, 1_203)
    assert contents(copied) == contents(store)
    assert copied.search([query(TITLE, 50)]) == store.search([query(TITLE, 50)])
    copied.delete(["video-00000"])
    assert store.count() == 1_203
    with pytest.raises(StoreError, match="already"):
        copy_collection(client, source, target)
    with pytest.raises(StoreError):
        copy_collection(client, f"{prefix}nothing", f"{prefix}target 2")


def test_indexes_come_before_videos_and_a_search_is_one_request(
    qdrant: QdrantProcess, store: ServerStore
) -> None:
    store.upsert(catalogue(10))
    made = [one for one in qdrant.asked() if one in ("Create", "CreateFieldIndex", "Upsert")]
    assert made == ["Create", *["CreateFieldIndex"] * len(list_payload_indexes(FIELDS)), "Upsert"]
    qdrant.order()
    for _ in range(2):
        store.search([query(TITLE), query(THUMBNAIL)], filter=AnyOf("language", ("en",)))
    # The names of the videos that were found are asked for once.
    assert qdrant.asked() == ["QueryBatch", "GetPoints", "QueryBatch"]


@pytest.mark.parametrize("fault", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "lost"])
def test_a_passing_failure_is_tried_again_after_a_pause(
    qdrant: QdrantProcess, connect_either: Connect, pauses: list[float], fault: str
) -> None:
    client = connect_either()
    expected = client.list_collections()
    qdrant.order(fault=fault, times=2)
    assert client.list_collections() == expected
    assert qdrant.asked() == ["List"] * 3
    assert len(pauses) == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("UNAVAILABLE", "{url}"),
        ("UNAUTHENTICATED", "API key"),
        ("PERMISSION_DENIED", "API key"),
        ("NOT_FOUND", "NOT_FOUND|404"),
    ],
)
def test_a_lasting_failure_is_told_and_tried_again_only_where_it_may_pass(
    qdrant: QdrantProcess, connect_either: Connect, pauses: list[float], fault: str, said: str
) -> None:
    qdrant.order(fault=fault)
    with pytest.raises(StoreError, match=said.format(url=qdrant.url)) as caught:
        connect_either().list_collections()
    may_pass = fault == "UNAVAILABLE"
    assert isinstance(caught.value, StoreUnavailable) == may_pass
    assert caught.value.__cause__ is not None
    assert len(qdrant.asked()) == len(pauses) + 1 == (4 if may_pass else 1)


@pytest.mark.parametrize("prefer_grpc", [True, False])
def test_no_server_at_all_is_said_with_its_address(prefer_grpc: bool) -> None:
    # Port 1 is reserved, and nothing listens there; a key over plain HTTP does not warn.
    client = ServerClient.connect(
        ServerAddress("http://127.0.0.1:1", "secret", grpc_port=1),
        prefer_grpc=prefer_grpc,
        attempts=1,
        timeout_s=5,
    )
    for ask in (
        client.list_collections,
        lambda: ServerStore.open(client, "videos"),
        lambda: ServerStore.create(client, "videos", DIMS),
        lambda: client.move_alias("videos", "videos-1"),
    ):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1.*docker compose up"):
            ask()
    client.close()


def test_optimize_waits_until_the_collection_stays_green(
    qdrant: QdrantProcess, store: ServerStore, pauses: list[float]
) -> None:
    store.upsert([video(rng(), "one")])
    # Red, which it fails at, is not looked at before the next time.
    qdrant.order(states=["yellow", "green", "yellow", "green", "green", "red"])
    store.optimize()
    assert qdrant.asked() == ["Update", *["Get"] * 5]
    assert len(pauses) == 4
    with pytest.raises(StoreError, match="optimizer failed"):
        store.optimize()


def test_a_restarted_server_that_waits_for_a_write_is_sent_an_empty_one(
    qdrant: QdrantProcess, connect: Connect, store: ServerStore, name: str
) -> None:
    # It takes a moment to begin once it was sent something, and never begins before.
    qdrant.order(states=["grey", "yellow", "green"])
    connect().wait_until_indexed(name, stalled_after_s=60)
    assert qdrant.asked() == ["Get", "Update", *["Get"] * 3]


def test_an_optimizer_that_stands_still_is_an_error_that_says_where(
    qdrant: QdrantProcess, connect: Connect, store: ServerStore, name: str
) -> None:
    store.upsert(catalogue(3))
    qdrant.order(states=["yellow"], indexed=7)
    with pytest.raises(StoreError) as caught:
        connect().wait_until_indexed(name, stalled_after_s=0.05)
    assert str(caught.value) == (
        f"{qdrant.url}: collection {name}: the optimizer is not done, and nothing changed for"
        " 0.05 s: status yellow, 7 vectors of 3 videos are indexed; see the server's log"
    )


def test_a_collection_of_others_is_not_opened_and_none_is_made_twice(
    client: ServerClient, prefix: str
) -> None:
    size = models.VectorParams(size=3, distance=models.Distance.DOT)
    for collection, vectors, text in (
        (f"{prefix}named", {"sound": size}, "sound"),
        (f"{prefix}unnamed", size, "no named vectors"),
    ):
        create = methodcaller("create_collection", collection, vectors_config=vectors)
        client.request(create)
        with pytest.raises(StoreError, match=text):
            ServerStore.open(client, collection, expected=DIMS)
        with pytest.raises(StoreError, match="already exists"):
            client.request(create)
    with pytest.raises(StoreError, match=re.escape(f"{prefix}two")):
        ServerStore.open(client, f"{prefix}two")


@pytest.mark.parametrize("fault", ["lost", "UNAVAILABLE"])
@pytest.mark.parametrize("lost", ["Create", "CreateFieldIndex", "Upsert", "DeletePoints"])
def test_what_was_done_but_not_answered_is_not_an_error(
    qdrant: QdrantProcess, connect_either: Connect, name: str, lost: str, fault: str
) -> None:
    client = connect_either()
    qdrant.order(fault=fault, on=lost, times=1, done=True)
    store = ServerStore.create(client, name, DIMS)
    store.upsert(catalogue(3))
    store.delete(["video-00001"])
    assert store.count() == 2
    times = {"Create": 1, "CreateFieldIndex": len(list_payload_indexes(FIELDS)) + 1}
    assert qdrant.asked().count(lost) == times.get(lost, 2)


def test_a_store_closes_its_connection_once_where_it_owns_it(
    monkeypatch: pytest.MonkeyPatch, connect: Connect, name: str
) -> None:
    server = connect()
    closed: list[ServerClient] = []
    with monkeypatch.context() as patched:
        patched.setattr(ServerClient, "close", lambda client: closed.append(client))
        ServerStore.create(server, name, DIMS).close()
        assert closed == []
        store = ServerStore.open(server, name, owns_server=True)
        store.close()
        store.close()
    assert closed == [server]


def test_a_collection_whose_making_was_killed_gets_its_payload_indexes(
    qdrant: QdrantProcess, connect: Connect, name: str
) -> None:
    engine = ServerEngine(connect(), collection=name)
    engine.open_writer("one", DIMS, FIELDS)
    qdrant.order()
    engine.open_writer("one", DIMS, FIELDS)
    assert qdrant.asked().count("CreateFieldIndex") == len(list_payload_indexes(FIELDS))


def test_a_server_that_hangs_is_given_up_soon_by_readers(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    qdrant: QdrantProcess,
    store: ServerStore,
    name: str,
) -> None:
    """It accepts what is asked, and never answers."""
    monkeypatch.setattr("twinlens.stores.engines.READER_TIMEOUT_S", 1)
    store.upsert(catalogue(3))
    opened = partial(open_reader, DataDir(tmp_path), manifest("server", name), qdrant.address)

    def give_up(ask: Callable[[], object]) -> float:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match=qdrant.url):
            ask()
        return time.monotonic() - started

    with closing(opened()) as reader, ThreadPoolExecutor(2) as pool:
        searched = partial(reader.search, [query()])
        answers = searched()
        qdrant.order(fault="hang")
        # Two attempts of a second, or one until the circuit opens; and room for a busy machine.
        assert all(1 <= seconds < 10 for seconds in pool.map(give_up, (opened, searched)))
        qdrant.order()
        while True:  # until a probe has closed the circuit
            with suppress(StoreUnavailable):
                assert searched() == answers
                break


@pytest.mark.slow
def test_a_server_that_is_away_is_looked_for_every_second() -> None:
    """By itself a channel's pauses grow to two minutes; the eighth attempt came after 6 seconds."""
    attempts: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as nobody, ThreadPoolExecutor(1) as pool:

        def hang_up() -> None:
            while len(attempts) < 8:
                nobody.accept()[0].close()
                attempts.append(time.monotonic())

        hanging_up = pool.submit(hang_up)
        address = ServerAddress("http://127.0.0.1:1", grpc_port=nobody.getsockname()[1])
        reader = ServerClient.connect(address, attempts=1)
        while not hanging_up.done():
            with pytest.raises(StoreUnavailable, match=f"gRPC port {address.grpc_port}"):
                reader.list_collections()
            time.sleep(0.05)
        reader.close()
    assert max(after - before for before, after in pairwise(attempts)) < 5


@pytest.mark.slow
def test_a_server_that_is_gone_is_said_waited_for_and_used_again_when_it_is_back(
    qdrant: QdrantProcess, store: ServerStore, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.upsert(catalogue(3))
    patient, hasty = qdrant.client(patience_s=60), qdrant.client(attempts=1)
    with closing(patient), closing(hasty), ThreadPoolExecutor(1) as pool:
        there = ServerStore.open(patient, name)
        qdrant.order(fault="refuse")
        more = pool.submit(there.upsert, catalogue(9))
        while not caplog.records:
            assert not more.done()
            time.sleep(0.05)
        with pytest.raises(StoreUnavailable, match=qdrant.host):
            ServerStore.open(hasty, name)
        qdrant.order()
        more.result()
        assert there.count() == 9
        assert there.browse(limit=1, order=Order("view_count"))
    said = [record.getMessage() for record in caplog.records]
    assert re.match(rf"{qdrant.url} doesn't answer \(.*\); waiting for it for up to 60 s", said[0])
    assert re.match(rf"{qdrant.url} answers again, after \d+ s", said[1])
    assert len(said) == 2
