"""A server's generation, read with the help of its mirror."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from tests.stores.catalogue import rng, unit, words
from tests.stores.conftest import MirroredStore
from tests.stores.qdrant_process import QdrantProcess
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.stores.base import StoredVideo, VectorQuery, point_id
from twinlens.stores.mirrored import MirroredReader, NameTable

DIMS = {TITLE: 512, THUMBNAIL: 128, WORDS: None}
ODD = ["a", "ක්‍රිකට්-තරගය", "🎸" * 64, "x" * 256, "\u0000", "-1", "quote'\"; -- \\ /"]


def test_a_table_knows_the_name_of_every_point_and_no_other() -> None:
    names = [*ODD, *(f"video-{number}" for number in range(5000))]
    table = NameTable([names[:3], names[3:4000], names[4000:]])
    assert table.find({point_id(name) for name in names}) == {point_id(n): n for n in names}
    unknown = {point_id("unknown"), str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))}
    # One that shares its first half with a known one.
    unknown.add(point_id(names[7])[:-1] + ("0" if point_id(names[7])[-1] != "0" else "1"))
    assert table.find([point_id("a"), *unknown]) == {point_id("a"): "a"}
    assert table.find([]) == {}
    assert NameTable([]).find(unknown) == {}


@pytest.fixture(scope="module")
def reader(
    qdrant_process: QdrantProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MirroredReader]:
    """One of 600 videos with vectors of the usual lengths."""
    drawn = rng()
    videos = [
        StoredVideo(
            f"video-{number}",
            {"video_id": f"video-{number}", "title": f"Title {number}"},
            {TITLE: unit(drawn, 512), THUMBNAIL: unit(drawn, 128)},
            {WORDS: words(drawn)},
        )
        for number in range(600)
    ]
    where = f"videos-{uuid.uuid4()}", tmp_path_factory.mktemp("mirrored") / "faiss"
    with closing(qdrant_process.client()) as client:
        store = MirroredStore.create(client, *where, DIMS)
        store.upsert(videos)
        yield store.reader
        store.close()


def three_lists() -> list[VectorQuery]:
    drawn = rng()
    asked = {TITLE: unit(drawn, 512), THUMBNAIL: unit(drawn, 128), WORDS: words(drawn, 20)}
    return [VectorQuery(name, vector, 200) for name, vector in asked.items()]


def test_three_lists_of_200_cost_two_milliseconds_in_the_store(reader, qdrant) -> None:
    qdrant.order(canned=True)
    asked = three_lists()
    assert [len(found) for found in reader.search(asked)] == [200, 200, 200]
    spent = []
    for _ in range(20):
        began = time.process_time()
        reader.search(asked)
        spent.append(time.process_time() - began)
    assert qdrant.asked() == ["QueryBatch"] * 21
    # What the stand-in reports is next to nothing.
    assert np.median(spent) < 5 * 0.002


def test_many_threads_get_what_each_asked_for(reader, qdrant) -> None:
    def ask(start: int) -> bool:
        ids = [f"video-{(start * 37 + number) % 600}" for number in range(20)]
        found = reader.get(ids, with_vectors=True)
        return all(found[one].payload["video_id"] == one for one in ids) and all(
            found[one].vectors.keys() == {TITLE, THUMBNAIL} for one in ids
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(200)))
    assert qdrant.asked() == []
