"""Embedded Qdrant: one writer, many readers, and files that are damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge

from tests.folders import files_in
from tests.stores.catalogue import DIMS, query, unit, video
from tests.stores.conftest import FileHome, Home
from twinlens.catalog.errors import IndexLocked, OutOfRoom, StoreCorrupt, StoreError
from twinlens.catalog.fields import FIELDS
from twinlens.encoders.lenses import TITLE
from twinlens.stores.base import StoredVideo, VectorQuery
from twinlens.stores.edge import EdgeReader, EdgeStore, link_view
from twinlens.stores.qdrant_schema import list_payload_indexes

pytestmark = pytest.mark.parametrize("home", ["edge"], indirect=True)


def test_a_shard_being_written_has_no_second_writer_and_no_reader(home: Home, folder: Path) -> None:
    first = home.open()
    with pytest.raises(IndexLocked, match=str(folder)):
        home.open()
    with pytest.raises(StoreError, match="not closed by its writer"):
        home.reader()
    first.upsert([video(np.random.default_rng(0), "after")])
    assert first.count() == 41


def test_a_reader_outlives_the_removal_of_its_shard(home: Home, folder: Path) -> None:
    reader = home.reader()
    # Far from the threshold, vectors are in no graph.
    assert (reader.dims, reader.indexed_vector_count) == (DIMS, 0)
    ask = [query(TITLE, 40)]
    before = reader.search(ask)
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert reader.search(ask) == before
    assert len(reader.get(["video-00001", "video-00002"], with_vectors=True)) == 2


def test_an_index_that_is_made_again_as_it_is_loaded_is_not_the_published_one(
    folder: Path, tmp_path: Path
) -> None:
    """Qdrant does so where it has no memory to open one."""
    before = files_in(folder)
    view = tmp_path / "view"
    view.mkdir()
    link_view(folder, view)
    parts = list(view.glob("segments/*/payload_index/*"))
    assert parts
    for part in parts:
        part.unlink() if part.is_symlink() else shutil.rmtree(part)
        part.mkdir()
        (part / "config.json").write_text("made again")
    assert files_in(folder) == before


def test_nothing_is_loaded_with_too_little_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinlens.catalog.memory._list_address_limits", lambda: [(2**29, "here")])
    with pytest.raises(OutOfRoom, match="to open the index takes at least"):
        EdgeReader.open(folder)


def test_a_readers_view_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = folder.parent / "views"
    views.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(views))
    reader = EdgeReader.open(folder)
    assert len(list(views.iterdir())) == 1
    reader.close()
    assert list(views.iterdir()) == []
    segment = next(p for p in (folder / "segments").iterdir() if (p / "segment.json").exists())
    (segment / "segment.json").write_text("{}")
    with pytest.raises(StoreCorrupt):
        EdgeReader.open(folder)
    assert list(views.iterdir()) == []


@pytest.mark.slow
def test_a_graph_is_built_and_finds_what_is_nearest(home: Home) -> None:
    rng = np.random.default_rng(2)
    # A mixture, as real titles are: neighbours mean something, and the graph can find them.
    centres = unit(rng, 100, 256)
    drawn = centres[np.arange(11_000) % 100] + 0.05 * rng.standard_normal((11_000, 256))
    vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    videos = [StoredVideo(str(i), {"video_id": str(i)}, {TITLE: v}) for i, v in enumerate(vectors)]
    store = home.create({TITLE: 256})
    for start in range(0, len(vectors), 1000):
        store.upsert(videos[start : start + 1000])
    store.optimize()
    assert store.indexed_vector_count == 11_000
    store.close()
    reader = home.reader()
    assert reader.indexed_vector_count == 11_000
    found = 0
    for i in range(0, 11_000, 1100):
        [hits] = reader.search([VectorQuery(TITLE, vectors[i], 50)])
        truth = {str(k) for k in np.argsort(-(vectors @ vectors[i]))[:50]}
        found += len(truth & {hit.video_id for hit in hits})
    assert found / 500 > 0.95


def test_payload_indexes_are_there_before_the_first_video(home: FileHome) -> None:
    home.create().close()
    shard = qdrant_edge.EdgeShard.load(str(home.path))
    kinds = {name: str(info.data_type) for name, info in shard.info().payload_schema.items()}
    shard.close()
    asked = {
        name: f"PayloadSchemaType.{kind.title()}"
        for name, kind in list_payload_indexes(FIELDS).items()
    }
    assert kinds == asked


def spoil(folder: Path, name: str, change: Callable[[Path], object]) -> None:
    files = [file for file in folder.rglob(name) if file.is_file()]
    assert files
    for file in files:
        change(file)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("version.info", Path.unlink),
        ("segment.json", Path.unlink),
        ("mutable_id_tracker.mappings", Path.unlink),
        ("mutable_id_tracker.mappings", lambda file: os.truncate(file, file.stat().st_size // 3)),
        ("payload_storage/page_0.dat", Path.unlink),
        *(
            ("edge_config.json", methodcaller("write_text", text))
            for text in ("", "{", "[]", '{"vectors": {"sound": {"size": 3}}}')
        ),
    ],
)
def test_a_damaged_shard_is_refused_and_never_read_short(
    folder: Path, name: str, change: Callable[[Path], object]
) -> None:
    spoil(folder, name, change)
    with pytest.raises(StoreCorrupt, match=str(folder)):
        EdgeReader.open(folder)
    if name == "edge_config.json":
        with pytest.raises(StoreCorrupt, match=name):
            EdgeStore.open(folder)


def test_a_panic_of_the_engine_is_an_error_of_the_store(home: Home, folder: Path) -> None:
    tracker = "payload_storage/tracker.dat"
    spoil(folder, tracker, lambda file: file.write_bytes(b"\xff" * file.stat().st_size))
    with pytest.raises(StoreError, match=str(folder)) as caught:
        list(home.reader().scan())
    assert not isinstance(caught.value.__cause__, Exception)
