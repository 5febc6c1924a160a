"""Embedded Qdrant: one writer, many readers, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge

from tests.stores import writer
from tests.stores.catalogue import DIMS, catalogue, unit, video
from tests.stores.conftest import FileHome, Home, MakeHome
from twinlens.catalog.errors import IndexLocked, StoreCorrupt, StoreError
from twinlens.catalog.fields import FIELDS
from twinlens.encoders.lenses import TITLE
from twinlens.stores.base import StoredVideo, VectorQuery
from twinlens.stores.edge import EdgeReader, EdgeStore
from twinlens.stores.qdrant_schema import payload_indexes


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    return make_home("edge")


@pytest.fixture
def shard(home: FileHome) -> Path:
    store = home.create()
    store.upsert(catalogue(40))
    store.close()
    return home.path


def start_writer(engine: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.stores.writer", engine, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def kill_after(process: subprocess.Popen[str], acknowledged: int) -> int:
    """SIGKILL after that many acknowledged batches; how many there were in the end."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == str(acknowledged - 1):
            break
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.stdout.close()
    process.wait()
    return acknowledged + len(rest)


@pytest.mark.parametrize("acknowledged", [1, 23])
def test_a_kill_loses_nothing_acknowledged(home: FileHome, acknowledged: int) -> None:
    home.create().close()
    done = kill_after(start_writer("edge", home.path), acknowledged)
    with pytest.raises(StoreError, match="not closed by its writer"):
        home.reader()
    store = home.open()
    for i in range(done):
        written = {v.video_id: v for v in writer.batch(i)}
        found = store.get(list(written), with_vectors=True)
        assert found.keys() == written.keys()
        for video_id, one in written.items():
            assert np.array_equal(found[video_id].vectors[TITLE], one.vectors[TITLE])
    # A batch may have been applied and not yet acknowledged, and never in part.
    assert store.count() in (done * writer.BATCH, (done + 1) * writer.BATCH)
    store.close()
    assert home.reader().count() >= done * writer.BATCH


def test_a_shard_being_written_has_no_second_writer_and_no_reader(home: Home, shard: Path) -> None:
    first = home.open()
    with pytest.raises(IndexLocked, match=str(shard)):
        home.open()
    with pytest.raises(StoreError, match="not closed by its writer"):
        home.reader()
    first.upsert([video(np.random.default_rng(0), "after")])
    assert first.count() == 41


def test_a_reader_outlives_the_removal_of_its_shard(home: Home, shard: Path) -> None:
    reader = home.reader()
    # Far from the threshold, vectors are in no graph.
    assert (reader.dims, reader.indexed_vector_count) == (DIMS, 0)
    ask = [VectorQuery(TITLE, unit(np.random.default_rng(1), 16), 40)]
    before = reader.search(ask)
    for file in sorted(shard.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert reader.search(ask) == before
    assert len(reader.get(["video-00001", "video-00002"], with_vectors=True)) == 2


def test_a_readers_view_is_removed(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = shard.parent / "views"
    views.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(views))
    reader = EdgeReader.open(shard)
    assert len(list(views.iterdir())) == 1
    reader.close()
    assert list(views.iterdir()) == []
    segment = next(p for p in (shard / "segments").iterdir() if (p / "segment.json").exists())
    (segment / "segment.json").write_text("{}")
    with pytest.raises(StoreCorrupt):
        EdgeReader.open(shard)
    assert list(views.iterdir()) == []


@pytest.mark.slow
def test_a_graph_is_built_and_finds_what_is_nearest(shard_path: Path) -> None:
    dims = {TITLE: 256}
    rng = np.random.default_rng(2)
    # A mixture, as real titles are: neighbours mean something, and the graph can find them.
    centres = unit(rng, 100, 256)
    drawn = centres[np.arange(11_000) % 100] + 0.05 * rng.standard_normal((11_000, 256))
    vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    videos = [StoredVideo(str(i), {"video_id": str(i)}, {TITLE: v}) for i, v in enumerate(vectors)]
    path = shard_path / "large"
    store = EdgeStore.create(path, dims)
    for start in range(0, len(vectors), 1000):
        store.upsert(videos[start : start + 1000])
    store.optimize()
    assert store.indexed_vector_count == 11_000
    store.close()
    reader = EdgeReader.open(path)
    assert reader.indexed_vector_count == 11_000
    found = 0
    for i in range(0, 11_000, 1100):
        [hits] = reader.search([VectorQuery(TITLE, vectors[i], 50)])
        truth = {str(k) for k in np.argsort(-(vectors @ vectors[i]))[:50]}
        found += len(truth & {hit.video_id for hit in hits})
    assert found / 500 > 0.95
    reader.close()


def test_payload_indexes_are_there_before_the_first_video(home: FileHome) -> None:
    home.create().close()
    shard = qdrant_edge.EdgeShard.load(str(home.path))
    kinds = {name: str(info.data_type) for name, info in shard.info().payload_schema.items()}
    shard.close()
    asked = {
        name: f"PayloadSchemaType.{kind.title()}" for name, kind in payload_indexes(FIELDS).items()
    }
    assert kinds == asked


def spoil(shard: Path, name: str, change: Callable[[Path], object]) -> None:
    files = [file for file in shard.rglob(name) if file.is_file()]
    assert files
    for file in files:
        change(file)


def written(text: str) -> Callable[[Path], object]:
    return lambda file: file.write_text(text)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("version.info", Path.unlink),
        ("segment.json", Path.unlink),
        ("mutable_id_tracker.mappings", Path.unlink),
        ("mutable_id_tracker.mappings", lambda file: os.truncate(file, file.stat().st_size // 3)),
        ("payload_storage/page_0.dat", Path.unlink),
        *(
            ("edge_config.json", written(text))
            for text in ("", "{", "[]", '{"vectors": {"sound": {"size": 3}}}')
        ),
    ],
)
def test_a_damaged_shard_is_refused_and_never_read_short(
    shard: Path, name: str, change: Callable[[Path], object]
) -> None:
    spoil(shard, name, change)
    with pytest.raises(StoreCorrupt, match=str(shard)):
        EdgeReader.open(shard)
    if name == "edge_config.json":
        with pytest.raises(StoreCorrupt, match=name):
            EdgeStore.open(shard)


def test_a_panic_of_the_engine_is_an_error_of_the_store(home: Home, shard: Path) -> None:
    tracker = "payload_storage/tracker.dat"
    spoil(shard, tracker, lambda file: file.write_bytes(b"\xff" * file.stat().st_size))
    with pytest.raises(StoreError, match=str(shard)) as caught:
        list(home.reader().scan())
    assert not isinstance(caught.value.__cause__, Exception)
