"""How a server is told to keep a collection, and what it is asked with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from operator import methodcaller
from typing import Any

import pytest
from qdrant_client import models

from tests.stores.catalogue import DIMS, catalogue, query
from tests.stores.qdrant_process import QdrantProcess
from twinlens.catalog.errors import StoreError
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.stores.address import SERVERS_OWN, CollectionLayout
from twinlens.stores.base import Order
from twinlens.stores.engines import ServerEngine
from twinlens.stores.filters import AnyOf
from twinlens.stores.qdrant_schema import HNSW_M
from twinlens.stores.server import ServerStore
from twinlens.stores.server_client import ServerClient
from twinlens.stores.server_layout import COLLECTION_FORMAT

EVERYTHING = CollectionLayout(
    shards=6, replicas=3, write_consistency=2, on_disk=True, quantization="int8", strict=True
)


@pytest.fixture(params=[True, False], ids=["gRPC", "REST"])
def client(qdrant: QdrantProcess, request: pytest.FixtureRequest) -> Iterator[ServerClient]:
    with closing(qdrant.client(prefer_grpc=request.param, sleep=lambda _: None)) as client:
        yield client


def sent(qdrant: QdrantProcess, name: str) -> dict[str, Any]:
    """The body of the one request of this name."""
    (body,) = [body for asked, body in qdrant.requests() if asked == name]
    body.setdefault("vectors", body.pop("vectors_config", {}).get("params_map", {}).get("map"))
    body.setdefault("sparse_vectors", body.pop("sparse_vectors_config", {}).get("map"))
    return body


def test_every_setting_of_a_collection_reaches_the_server(
    qdrant: QdrantProcess, client: ServerClient, name: str
) -> None:
    qdrant.order()
    ServerStore.create(client, name, DIMS, layout=EVERYTHING)
    body = sent(qdrant, "Create")
    assert (body["shard_number"], body["replication_factor"]) == (6, 3)
    assert body["write_consistency_factor"] == 2
    assert body["on_disk_payload"] is True
    assert body["vectors"][TITLE]["on_disk"] is body["vectors"][THUMBNAIL]["on_disk"] is True
    assert body["sparse_vectors"][WORDS]["index"]["on_disk"] is True
    assert body["quantization_config"]["scalar"]["always_ram"] is True
    strict = body["strict_mode_config"]
    assert strict["enabled"] is True
    assert strict["unindexed_filtering_retrieve"] is strict["unindexed_filtering_update"] is False


def test_what_is_not_set_is_left_to_the_server(
    qdrant: QdrantProcess, client: ServerClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As the profile `cluster` needs it, whose servers say how many copies there are."""
    caplog.set_level(logging.WARNING)
    qdrant.order()
    ServerStore.create(client, name, DIMS, layout=SERVERS_OWN)
    body = sent(qdrant, "Create")
    for setting in (
        *("shard_number", "replication_factor", "write_consistency_factor"),
        *("on_disk_payload", "quantization_config", "strict_mode_config"),
    ):
        assert body.get(setting) is None, setting
    assert body["vectors"][TITLE].get("on_disk") is None
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["int8", "binary", "turbo"])
def test_of_a_quantised_collection_the_whole_vectors_decide_and_come_back(
    qdrant: QdrantProcess, client: ServerClient, name: str, kind: Any
) -> None:
    """The process refuses a search that scores by what is quantised alone."""
    videos = catalogue(20)
    store = ServerStore.create(client, name, DIMS, layout=CollectionLayout(quantization=kind))
    store.upsert(videos)
    (how,) = sent(qdrant, "Create")["quantization_config"]
    assert how in {"int8": ("scalar",), "turbo": ("turbo", "turboquant")}.get(kind, (kind,))
    searched = methodcaller("query_points", name, [0.0] * DIMS[TITLE], using=TITLE)
    with pytest.raises(StoreError, match=r"whole vectors|400"):
        client.request(searched)
    assert len(store.search([query(TITLE), query(THUMBNAIL)])[0]) == 10
    stored = store.get(["video-00003"], with_vectors=True)["video-00003"]
    assert stored.vectors[TITLE].tolist() == videos[3].vectors[TITLE].tolist()


def test_the_graph_is_built_once_when_all_is_written(
    qdrant: QdrantProcess, client: ServerClient, name: str
) -> None:
    def ask_m() -> int:
        m: int = client.request(methodcaller("get_collection", name)).config.hnsw_config.m
        return m

    store = ServerStore.create(client, name, DIMS)
    store.upsert(catalogue(5))
    assert ask_m() == 0
    store.optimize()
    assert ask_m() == HNSW_M
    assert int(sent(qdrant, "Update")["hnsw_config"]["m"]) == HNSW_M
    store.optimize()
    assert ask_m() == HNSW_M


def test_a_server_that_builds_no_graph_publishes_nothing(
    qdrant: QdrantProcess, client: ServerClient, name: str
) -> None:
    store = ServerStore.create(client, name, DIMS)
    qdrant.order(deaf=True)
    with pytest.raises(StoreError, match="told to build graphs, and has not"):
        store.optimize()


def test_a_copy_of_a_finished_collection_is_laid_out_as_is_set_now_and_has_no_graph_yet(
    qdrant: QdrantProcess, client: ServerClient, name: str
) -> None:
    ServerEngine(client, collection=name).open_writer("one", DIMS).optimize()
    qdrant.order()
    ServerEngine(client, collection=name, layout=EVERYTHING).copy("one", "two")
    body = sent(qdrant, "Create")
    assert (body["shard_number"], int(body["hnsw_config"]["m"])) == (6, 0)


def test_reads_tell_the_server_when_to_give_up_and_writes_are_waited_for(
    qdrant: QdrantProcess, name: str
) -> None:
    with closing(qdrant.client(timeout_s=3)) as client:
        store = ServerStore.create(client, name, DIMS)
        store.upsert(catalogue(10))
        store.delete(["video-00001"])
        waited = [body["wait"] for asked, body in qdrant.requests() if asked in WRITES]
        assert set(waited) == {True}
        qdrant.order()
        store.search([query(TITLE)])
        store.browse(limit=2, order=Order("view_count"), filter=AnyOf("language", ("en",)))
        store.count(TITLE)
        store.facet("language", limit=3)
        asked = {asked: body.get("timeout") for asked, body in qdrant.requests()}
        reads = ("QueryBatch", "Scroll", "Count", "Facet")
        assert {read: asked[read] for read in reads} == dict.fromkeys(reads, 3)


WRITES = ("Upsert", "DeletePoints", "CreateFieldIndex")


def test_strict_mode_refuses_others_what_twinlens_does_not_ask(
    client: ServerClient, name: str
) -> None:
    ServerStore.create(client, name, DIMS, layout=EVERYTHING)
    match = models.FieldCondition(key="nobody's", match=models.MatchValue(value="x"))
    for ask in (
        methodcaller("scroll", name, limit=1_000_000),
        methodcaller("count", name, count_filter=models.Filter(must=[match])),
    ):
        with pytest.raises(StoreError, match=r"Forbidden|40[04]"):
            client.request(ask)


def test_a_collection_of_a_newer_twinlens_is_refused_by_its_format(
    client: ServerClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("twinlens.stores.server_layout.COLLECTION_FORMAT", COLLECTION_FORMAT + 1)
        ServerStore.create(client, name, DIMS)
        ServerStore.open(client, name)
    with pytest.raises(StoreError, match=f"{name}' has format 2, and this TwinLens reads up to 1"):
        ServerStore.open(client, name)
