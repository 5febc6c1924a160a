"""The FAISS mirror on disk: old state or new, never a mixture."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path

import faiss
import numpy as np
import pytest

from tests.stores.catalogue import catalogue, query, video
from tests.stores.conftest import Home, contents
from twinlens.catalog.errors import IndexLocked, StoreCorrupt, StoreError
from twinlens.encoders.lenses import THUMBNAIL, TITLE
from twinlens.stores.base import StoredVideo, VectorQuery
from twinlens.stores.flat import FlatReader, FlatStore

pytestmark = pytest.mark.parametrize("home", ["flat"], indirect=True)


def test_the_directory_holds_one_file_per_vector_and_the_ids(folder: Path) -> None:
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["ids.sqlite", "thumbnail.faiss", "title.faiss"]
    index = faiss.read_index(str(folder / "title.faiss"))
    assert (index.d, index.ntotal) == (16, sum(1 for i in range(40) if i % 7 != 6 or i % 3 == 2))
    with closing(sqlite3.connect(folder / "ids.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def write_until_killed(folder: Path) -> None:
    store = FlatStore.open(folder)
    store.upsert(catalogue(8_000, seed=1))
    store.delete(["video-00001"])
    os.kill(os.getpid(), signal.SIGKILL)


def test_unflushed_changes_are_dropped_by_a_kill(home: Home, folder: Path) -> None:
    before = contents(home.reader())
    process = multiprocessing.get_context("spawn").Process(
        target=write_until_killed, args=(folder,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert contents(home.open()) == before


class Killed(BaseException):
    """Stands for the moment of a kill: nothing of ours handles it."""


# What a flush does on disk, in order: two files written, the commit, two files renamed.
STEPS = ["write 1", "write 2", "commit", "rename 1", "rename 2"]


@pytest.mark.parametrize("after", range(len(STEPS) + 1), ids=["nothing", *STEPS])
def test_a_flush_killed_anywhere_leaves_old_or_new(
    folder: Path, monkeypatch: pytest.MonkeyPatch, home: Home, after: int
) -> None:
    old = contents(home.reader())
    # Not the home's: a store that was killed is not closed.
    store = FlatStore.open(folder)
    store.upsert([video(np.random.default_rng(8), f"new {i}") for i in range(5)])
    store.delete(["video-00003"])
    new = contents(store)
    steps_left = after

    def step(do: Callable[[], object]) -> object:
        nonlocal steps_left
        if steps_left == 0:
            raise Killed
        steps_left -= 1
        return do()

    write, replace = faiss.write_index, Path.replace
    monkeypatch.setattr(faiss, "write_index", lambda *a: step(lambda: write(*a)))
    monkeypatch.setattr(Path, "replace", lambda *a: step(lambda: replace(*a)))
    database = store._database

    class Stepped:
        def execute(self, statement: str, *values: object) -> object:
            if statement == "COMMIT":
                return step(lambda: database.execute(statement))
            return database.execute(statement, *values)

    store._database = Stepped()  # type: ignore[assignment]
    with pytest.raises(Killed) if after < len(STEPS) else nullcontext():
        store.flush()
    monkeypatch.undo()
    database.close()

    expected = old if after < 3 else new
    assert contents(home.reader()) == expected
    again = home.open()
    assert contents(again) == expected
    again.upsert([video(np.random.default_rng(9), "later")])
    again.close()
    names = sorted(file.name for file in folder.glob("*.faiss*"))
    assert names == ["thumbnail.faiss", "title.faiss"]
    assert contents(home.reader()).keys() == expected.keys() | {"later"}


def spoil_by_older_vectors(folder: Path) -> None:
    older = folder.parent / "older"
    shutil.copytree(folder, older)
    store = FlatStore.open(folder)
    store.upsert([video(np.random.default_rng(3), "video-00001")])
    store.close()
    shutil.copy(older / "title.faiss", folder / "title.faiss")


SPOIL: dict[str, Callable[[Path], object]] = {
    "vectors of an older state": spoil_by_older_vectors,
    "vectors missing": lambda m: (m / "title.faiss").unlink(),
    "vectors cut short": lambda m: os.truncate(m / "title.faiss", 500),
    "vectors empty": lambda m: (m / "thumbnail.faiss").write_bytes(b""),
    "names exchanged": lambda m: (m / "title.faiss").replace(m / "thumbnail.faiss"),
    "vectors overwritten before the stamp": lambda m: (m / "title.faiss").write_bytes(
        b"nonsense" * 9 + (m / "title.faiss").read_bytes()[-16:]
    ),
    "database not one": lambda m: (m / "ids.sqlite").write_bytes(b"not a database " * 400),
    "database empty": lambda m: (m / "ids.sqlite").write_bytes(b""),
}


@pytest.mark.parametrize("spoil", SPOIL.values(), ids=SPOIL.keys())
def test_files_that_do_not_fit_together_are_refused(
    folder: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(folder)
    for opening in (FlatReader.open, FlatStore.open):
        with pytest.raises(StoreCorrupt, match=str(folder)):
            opening(folder)


def test_a_second_writer_is_refused(home: Home, folder: Path) -> None:
    first = home.open()
    for then in (first.flush, first.close):
        with pytest.raises(IndexLocked, match=str(folder)):
            FlatStore.open(folder)
        then()
    FlatStore.open(folder).close()


def test_a_reader_keeps_its_state_while_a_new_one_is_flushed(home: Home, folder: Path) -> None:
    reader = home.reader()
    ask = [query()]
    before = reader.search(ask)
    store = home.open()
    store.upsert(catalogue(500, seed=2))
    store.close()
    assert len(before[0]) == 10
    assert home.reader().count() == 500


@pytest.mark.usefixtures("folder")
def test_threads_read_one_reader(home: Home) -> None:
    reader = home.reader()
    asks = [[query(TITLE, 7, seed), query(THUMBNAIL, 7, seed)] for seed in range(64)]
    alone = [reader.search(ask) for ask in asks]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reader.search, asks)) == alone
        found = list(
            pool.map(lambda i: reader.get([f"video-{i:05d}"], with_vectors=True), range(40))
        )
    assert all(len(one) == 1 for one in found)


def test_searching_leaves_the_number_of_threads_alone(folder: Path) -> None:
    reader = FlatReader.open(folder, threads=1)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        reader.search([query()])
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)
    reader.close()


def test_more_ids_than_a_statement_binds(home: Home) -> None:
    store = home.create({TITLE: 2})
    vector = np.array([1.0, 0.0], dtype=np.float32)
    ids = [f"v{i}" for i in range(12_000)]
    store.upsert([StoredVideo(i, {"video_id": i}, {TITLE: vector}) for i in ids])
    assert len(store.get(ids)) == 12_000
    [hits] = store.search([VectorQuery(TITLE, vector, 12_000)])
    assert [hit.video_id for hit in hits] == sorted(ids)
    store.delete(ids[1:])
    assert store.count() == store.count(TITLE) == 1


@pytest.mark.usefixtures("folder")
def test_a_full_disk_is_told_and_keeps_the_old_state(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = home.open()
    store.upsert(catalogue(45))

    def no_space(*_: object) -> None:
        raise RuntimeError("write error: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(faiss, "write_index", no_space)
        with pytest.raises(StoreError, match="No space left"):
            store.flush()
    assert home.reader().count() == 40
    store.flush()
    store.close()
    assert home.reader().count() == 45
