"""The API over a Qdrant server with the mirror's help: the same answers, in two calls at most."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.backend.asking import MULTI, RECOMMEND, SEARCH, body_of, problem
from tests.backend.catalogue import RED, Catalogue
from tests.backend.served import publish_in_server
from tests.stores.qdrant_process import QdrantProcess
from twinlens.backend.access import Policy
from twinlens.backend.app import create_app
from twinlens.catalog.errors import StoreError
from twinlens.search.published import PublishedIndex
from twinlens.search.whole import WholeVideos
from twinlens.stores.base import VectorReader
from twinlens.stores.engines import open_for_search, open_reader
from twinlens.stores.generations import DataDir, Manifest
from twinlens.stores.mirrored import MirroredReader
from twinlens.stores.server import _PROBE_TIMEOUT_S, ServerStore

VIDEOS = "/api/v1/videos"
IMAGE = base64.b64encode(RED).decode()
TEXT = {"text": "beach film"}
EN = {"filter": {"language": "en"}}
HISTORY = {"liked": ["beach-1", "kitchen-2"], "disliked": ["cricket-3"]}
# How often a request asks the server, at most; the last are of what only the server counts.
ASKED = [
    (2, SEARCH, TEXT),
    (2, SEARCH, {"text": "film beach wwwww"}),
    (2, SEARCH, {"text": "odd ක්‍රිකට්", "explain": True, "highlight": True}),
    (2, SEARCH, {**TEXT, **EN}),
    (2, SEARCH, {**TEXT, "collapse_duplicates": True}),
    (2, SEARCH, {**TEXT, "diversity": 0.5, "limit": 7}),
    (2, SEARCH, {**TEXT, "facets": ["language", "tags", "view_count"]}),
    (2, SEARCH, {**TEXT, "expand": 0}),
    (2, SEARCH, {**TEXT, "weights": {"words": 0, "thumbnail": 3}}),
    (2, SEARCH, {**TEXT, "image": IMAGE}),
    (1, SEARCH, {"image": IMAGE}),
    (1, SEARCH, {"video_id": "beach-1"}),
    (1, SEARCH, {"video_id": "beach-1", **EN, "collapse_duplicates": True}),
    (1, RECOMMEND, HISTORY),
    (1, RECOMMEND, {**HISTORY, **EN, "diversity": 0.3, "facets": ["category"]}),
    (3, MULTI, {"searches": [TEXT, {"image": IMAGE}], "fuse": True}),
    (3, MULTI, {"searches": [TEXT, {"video_id": "kitchen-4"}]}),
    (0, f"{VIDEOS}/beach-1", None),
    (1, f"{VIDEOS}/beach-1/similar", None),
    (4, f"{VIDEOS}?facets=category,tags", None),
    (4, f"{VIDEOS}?sort=view_count:desc", None),
    (1, f"{VIDEOS}/unknown", None),
]


@pytest.fixture(scope="module")
def data(
    catalogue: Catalogue, qdrant_process: QdrantProcess, tmp_path_factory: pytest.TempPathFactory
) -> DataDir:
    return publish_in_server(catalogue, tmp_path_factory.mktemp("server"), qdrant_process)


@pytest.fixture
def clients(catalogue: Catalogue, data: DataDir, qdrant: QdrantProcess) -> Iterator[Any]:
    """Makes clients over what opens a generation."""
    with ExitStack() as made:

        def make(opener: Any = open_for_search) -> FlaskClient:
            index = PublishedIndex(
                data,
                open_reader=partial(opener, data, server=qdrant.address),
                open_lenses=lambda *_: catalogue.lenses,
            )
            made.enter_context(closing(index))
            return create_app(index, thumbnails=data.thumbnails, policy=Policy()).test_client()

        yield make


def ask(client: FlaskClient, path: str, body: dict | None) -> dict:
    response = client.get(path) if body is None else client.post(path, json=body)
    assert response.status_code == (404 if "unknown" in path else 200), response.text
    return response.get_json()


def without_times(answer: Any) -> Any:
    if isinstance(answer, dict):
        left_out = ("took_ms", "timings_ms", "query_id", "request_id")
        return {key: without_times(one) for key, one in answer.items() if key not in left_out}
    return [without_times(one) for one in answer] if isinstance(answer, list) else answer


def count_calls(qdrant: QdrantProcess) -> int:
    """Without those that only look whether it answers."""
    return sum(body.get("timeout") != _PROBE_TIMEOUT_S for _, body in qdrant.requests())


def test_answers_are_those_of_the_server_alone(clients) -> None:
    alone, mirrored = clients(open_reader), clients()
    for _, path, body in ASKED:
        asked = body
        for _ in range(3):  # pages
            expected = ask(alone, path, asked)
            assert without_times(ask(mirrored, path, asked)) == without_times(expected), (
                path,
                asked,
            )
            cursor = expected.get("next_cursor")
            if cursor is None or body is None:
                break
            asked = {**body, "cursor": cursor}


@pytest.mark.parametrize(("most", "path", "body"), ASKED)
def test_a_request_asks_the_server_so_often_cold_and_warm(
    clients, qdrant, most: int, path: str, body: dict | None
) -> None:
    client = clients()
    body_of(client.get(f"{VIDEOS}/beach-1"))  # opens the index
    for _ in range(2):
        qdrant.order()
        ask(client, path, body)
        assert count_calls(qdrant) <= most


def test_without_a_whole_mirror_the_server_answers_alone(data, qdrant, caplog, tmp_path) -> None:
    manifest = data.read_published()
    for damage in (None, "ids.sqlite", "title.faiss", "."):
        elsewhere = DataDir(tmp_path / str(damage).strip("."))
        mirror = elsewhere.locate_mirror(manifest.generation)
        shutil.copytree(data.locate_mirror(manifest.generation), mirror)
        if damage == ".":
            shutil.rmtree(mirror)
        elif damage is not None:
            (mirror / damage).write_bytes(b"damaged")
        caplog.clear()
        with closing(open_for_search(elsewhere, manifest, qdrant.address)) as reader:
            assert isinstance(reader, MirroredReader if damage is None else ServerStore)
            assert list(reader.get(["beach-1"])) == ["beach-1"]
        assert len(caplog.records) == (damage is not None)


def test_a_directory_with_nothing_but_the_manifest_is_served(
    data, qdrant, catalogue, tmp_path
) -> None:
    manifest = replace(data.read_published(), checksums="of files that are not here")
    elsewhere = DataDir(tmp_path)
    elsewhere.locate_generation(manifest.generation).mkdir(parents=True)
    elsewhere.publish(manifest)
    opener = partial(open_for_search, elsewhere, server=qdrant.address)
    index = PublishedIndex(elsewhere, open_reader=opener, open_lenses=lambda *_: catalogue.lenses)
    with closing(index), index.borrow() as snapshot:
        assert list(snapshot.reader.get(["beach-1"])) == ["beach-1"]


def test_a_newer_generation_is_taken_with_its_mirror_and_the_old_one_let_go(
    catalogue, qdrant, tmp_path
) -> None:
    data = publish_in_server(catalogue, tmp_path, qdrant)
    opened = []

    def opener(manifest: Manifest) -> VectorReader:
        opened.append(open_for_search(data, manifest, qdrant.address))
        return opened[-1]

    index = PublishedIndex(data, open_reader=opener, open_lenses=lambda *_: catalogue.lenses)
    client = create_app(index, thumbnails=data.thumbnails, policy=Policy()).test_client()
    body_of(client.get(f"{VIDEOS}/beach-9"))
    publish_in_server(Catalogue(per_subject=9), tmp_path, qdrant, "g2")
    shutil.rmtree(data.locate_generation("g1"))  # as a takedown does, at once
    problem(client.get(f"{VIDEOS}/beach-9"), "video_not_found")
    found = body_of(client.post(SEARCH, json={"text": "beach film number 9", "limit": 100}))
    assert len(found["hits"]) == 28
    assert [type(one) for one in opened] == [MirroredReader, MirroredReader]
    with pytest.raises(StoreError, match="has been closed"):
        opened[0].get(["beach-1"])
    index.close()


def test_videos_are_whole_though_the_mirror_has_no_words(data, qdrant, catalogue) -> None:
    ids = [one.video_id for one in catalogue.videos()]
    manifest = data.read_published()
    with (
        closing(open_for_search(data, manifest, qdrant.address)) as mirrored,
        closing(open_reader(data, manifest, qdrant.address)) as alone,
    ):
        assert not mirrored.get(ids[:1], with_vectors=True)[ids[0]].sparse
        found = WholeVideos(mirrored, catalogue.lenses, data.thumbnails).get(ids)
        expected = alone.get(ids, with_vectors=True)
        assert found.keys() == expected.keys() == set(ids)
        for one in ids:
            assert found[one].payload == expected[one].payload
            for kind in ("vectors", "sparse"):
                got, had = getattr(found[one], kind), getattr(expected[one], kind)
                assert got.keys() == had.keys()
                assert all(np.array_equal(got[name], had[name]) for name in had)


def test_what_only_the_server_has_is_found_and_got(clients, data, qdrant, catalogue) -> None:
    client = clients()
    before = ask(client, SEARCH, {"text": "beach film number 77"})
    [one] = catalogue.stored(catalogue.videos()[:1])
    added = {**one.payload, "video_id": "later", "title": "beach film number 77"}
    with closing(open_reader(data, data.read_published(), qdrant.address)) as store:
        store.upsert([one.__class__("later", added, one.vectors, one.sparse)])
        try:
            after = ask(client, SEARCH, {"text": "beach film number 77", "limit": 100})
            assert "later" in [hit["video"]["video_id"] for hit in after["hits"]]
            assert body_of(client.get(f"{VIDEOS}/later"))["video"]["title"] == added["title"]
        finally:
            store.delete(["later"])
    assert without_times(ask(client, SEARCH, {"text": "beach film number 77"})) == without_times(
        before
    )


def test_while_the_server_is_away_nothing_is_answered_in_part(clients, qdrant) -> None:
    client = clients()
    body_of(client.get(f"{VIDEOS}/beach-1"))
    qdrant.order(fault="refuse")
    problem(client.post(SEARCH, json=TEXT), "not_ready")
    while client.get(f"{VIDEOS}/beach-1").status_code == 200:
        pass  # until it is known
    problem(client.get(f"{VIDEOS}/beach-1"), "not_ready")
