"""Where the vectors of a comparison come from, and what the exact answers over them are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from tests.stores.catalogue import DIMS as STORED_DIMS
from tests.stores.catalogue import catalogue
from twinlens.benchmarks.engines import sources
from twinlens.benchmarks.engines import truth as truth_module
from twinlens.benchmarks.engines.base import EngineFailed
from twinlens.benchmarks.engines.sources import (
    DrawnVectors,
    FileVectors,
    GenerationVectors,
    prepared,
)
from twinlens.benchmarks.engines.truth import best_of, exact_truth
from twinlens.benchmarks.engines.vectors import ONLY, SHARES, Matrix, VectorSet
from twinlens.catalog.errors import SourceError
from twinlens.catalog.video import DENSE_VECTORS
from twinlens.stores.flat import FlatReader, FlatStore

DIMS = {"title": 24, "thumbnail": 8}
LIMIT, WINDOW, K = 10, 50, 60.0


def rows(count: int, dim: int = 12, seed: int = 1) -> Matrix:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def unit(given: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    exact = given.astype(np.float64)
    return exact / np.linalg.norm(exact, axis=1, keepdims=True)


def hdf5(path: Path, *, distance: Any = "angular", **arrays: npt.NDArray[Any]) -> Path:
    with h5py.File(path, "w") as file:
        if distance is not None:
            file.attrs["distance"] = distance
        for name, array in arrays.items():
            file[name] = array
    return path


def npy(path: Path, array: npt.NDArray[Any]) -> Path:
    np.save(path, array)
    return path


def brute_force(
    stored: npt.NDArray[Any], queries: npt.NDArray[Any], limit: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The plain computation: all products in float64, sorted."""
    scores = queries.astype(np.float64) @ stored.astype(np.float64).T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :limit]
    return best, np.take_along_axis(scores, best, axis=1)


@pytest.fixture
def drawn(tmp_path: Path) -> VectorSet:
    return prepared(DrawnVectors(DIMS), tmp_path / "drawn", videos=2_345, queries=30, seed=5)


def test_drawn_vectors_are_unit_vectors_that_a_seed_repeats(
    drawn: VectorSet, tmp_path: Path
) -> None:
    assert drawn.description.synthetic
    assert "synthetic" in drawn.description.source
    assert dict(drawn.dims) == DIMS
    for name, dim in DIMS.items():
        assert drawn.rows(name).shape == (2_345, dim)
        assert drawn.queries(name).shape == (30, dim)
        for array in (drawn.rows(name), drawn.queries(name)):
            assert array.dtype == np.float32
            assert not array.flags.writeable
            np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1.0, atol=1e-6)
    again = prepared(DrawnVectors(DIMS), tmp_path / "again", videos=2_345, queries=30, seed=5)
    other = prepared(DrawnVectors(DIMS), tmp_path / "other", videos=2_345, queries=30, seed=6)
    for name in DIMS:
        np.testing.assert_array_equal(drawn.rows(name), again.rows(name))
        np.testing.assert_array_equal(drawn.queries(name), again.queries(name))
        assert not np.array_equal(drawn.rows(name), other.rows(name))
    np.testing.assert_array_equal(drawn.draws, again.draws)


def test_filters_let_through_the_shares_that_they_are_called_after(drawn: VectorSet) -> None:
    tags = drawn.tags(np.arange(drawn.videos))
    for share in SHARES:
        passing = drawn.passing(share)
        assert len(passing) == pytest.approx(share * drawn.videos, abs=4 * drawn.videos**0.5)
        assert passing.tolist() == [row for row, of in enumerate(tags) if str(share) in of]


def test_an_array_file_gives_unit_vectors_and_queries_that_are_not_among_them(
    tmp_path: Path,
) -> None:
    given = rows(300)
    source = FileVectors(npy(tmp_path / "mine.npy", given))
    assert (source.most, source.dims(), source.has_queries) == (300, {ONLY: 12}, False)
    assert str(tmp_path) not in source.describe()
    made = prepared(source, tmp_path / "set", videos=250, queries=40, seed=2)
    assert not made.description.synthetic
    together = np.vstack([made.rows(ONLY), made.queries(ONLY)])
    assert len(np.unique(together, axis=0)) == 290
    nearest = (unit(given) @ together.T.astype(np.float64)).max(axis=0)
    np.testing.assert_allclose(nearest, 1.0, atol=1e-6)
    # In the order of the file, which says nothing about which were chosen.
    of = (unit(given) @ made.rows(ONLY).T.astype(np.float64)).argmax(axis=0)
    assert np.all(np.diff(of) > 0)


def test_numbers_of_any_type_are_read(tmp_path: Path) -> None:
    for kind in (np.float16, np.float64, np.int8, np.uint8):
        given = np.abs(rows(40) * 20).astype(kind) + kind(1)
        source = FileVectors(npy(tmp_path / "mine.npy", given))
        made = prepared(source, tmp_path / np.dtype(kind).name, videos=30, queries=10, seed=2)
        np.testing.assert_allclose(np.linalg.norm(made.rows(ONLY), axis=1), 1.0, atol=1e-6)


def test_queries_of_an_ann_benchmarks_file_are_its_own(tmp_path: Path) -> None:
    train, test = rows(500), rows(20, seed=2)
    neighbors, _ = brute_force(unit(train), unit(test), 100)
    file = hdf5(tmp_path / "set.hdf5", train=train, test=test, neighbors=neighbors)
    source = FileVectors(file)
    assert source.has_queries
    made = prepared(source, tmp_path / "set", videos=500, queries=1_000, seed=2)
    assert (made.videos, made.description.queries) == (500, 20)
    np.testing.assert_allclose(made.rows(ONLY), unit(train), atol=1e-7)
    np.testing.assert_allclose(made.queries(ONLY), unit(test), atol=1e-7)
    # What the file's author found over his vectors is what we find over ours.
    truth = exact_truth(made, limit=LIMIT, window=WINDOW)
    np.testing.assert_array_equal(truth.best[ONLY], neighbors[:, :WINDOW])
    found = [ids.tolist() for ids in neighbors[:, :LIMIT]]
    assert truth.recall(ONLY, np.arange(20), found, limit=LIMIT) == 1.0


def test_fewer_vectors_of_a_file_are_a_sample_of_them(tmp_path: Path) -> None:
    train, test = rows(500), rows(20, seed=2)
    source = FileVectors(hdf5(tmp_path / "set.h5", distance=None, train=train, test=test))
    made = prepared(source, tmp_path / "set", videos=100, queries=5, seed=2)
    of = (unit(train) @ made.rows(ONLY).T.astype(np.float64)).argmax(axis=0)
    assert len(set(of.tolist())) == 100
    assert of.max() > 250
    np.testing.assert_allclose(made.queries(ONLY), unit(test[:5]), atol=1e-7)


def test_a_published_index_gives_the_videos_that_have_every_vector(tmp_path: Path) -> None:
    videos = catalogue(200)
    store = FlatStore.create(tmp_path / "faiss", STORED_DIMS)
    store.upsert(videos)
    store.flush()
    store.close()
    whole = [video for video in videos if len(video.vectors) == len(DENSE_VECTORS)]
    source = GenerationVectors(tmp_path / "faiss", generation="20260101")
    assert source.most == len(whole) < len(videos)
    assert "20260101" in source.describe()
    made = prepared(source, tmp_path / "set", videos=source.most - 20, queries=20, seed=4)
    stored = {tuple(video.vectors[name].tobytes() for name in DENSE_VECTORS) for video in whole}
    given = [
        tuple(of(name)[row].tobytes() for name in DENSE_VECTORS)
        for of, count in ((made.rows, made.videos), (made.queries, 20))
        for row in range(count)
    ]
    # Title and thumbnail of one video stay together, and no video is there twice.
    assert len(given) == len(stored)
    assert set(given) == stored


BAD: Mapping[str, tuple[Any, str]] = {
    "one dimension": (lambda path: npy(path / "a.npy", np.ones(5)), r"shape \(5,\)"),
    "words": (lambda path: npy(path / "a.npy", np.array([["a", "b"]])), "type <U1"),
    "objects": (
        lambda path: npy(path / "a.npy", np.array([[{}]], dtype=object)),
        "not a NumPy array",
    ),
    "no array": (lambda path: written(path / "a.npy", b"video,1,2"), "not a NumPy array"),
    "nothing": (lambda path: written(path / "a.npy", b""), "not a NumPy array"),
    "an archive": (lambda path: archive(path / "a.npy"), "not a NumPy array"),
    "no rows": (lambda path: npy(path / "a.npy", np.ones((0, 4))), "an empty array"),
    "another suffix": (lambda path: written(path / "a.csv", b"1,2"), "neither .npy nor .hdf5"),
    "no file": (lambda path: path / "none.npy", "no such file"),
    "no HDF5": (lambda path: written(path / "a.hdf5", b"1,2"), "not HDF5"),
    "no train": (lambda path: hdf5(path / "a.hdf5", test=rows(3)), "no dataset 'train'"),
    "train as a group": (
        lambda path: hdf5(path / "a.hdf5", **{"train/inner": rows(3)}),
        "no dataset 'train'",
    ),
    "test as a group": (
        lambda path: hdf5(path / "a.hdf5", **{"train": rows(3), "test/inner": rows(3)}),
        "'test' is no dataset",
    ),
    "another distance": (
        lambda path: hdf5(path / "a.hdf5", distance="euclidean", train=rows(3)),
        "'euclidean'",
    ),
    "another distance in bytes": (
        lambda path: hdf5(path / "a.hdf5", distance=np.bytes_(b"euclidean"), train=rows(3)),
        "'euclidean'",
    ),
    "two distances": (
        lambda path: hdf5(path / "a.hdf5", distance=["angular", "angular"], train=rows(3)),
        "its distance is",
    ),
    "dimensions that differ": (
        lambda path: hdf5(path / "a.hdf5", train=rows(3), test=rows(3, dim=5)),
        "train has 12 dimensions and test 5",
    ),
}


def archive(path: Path) -> Path:
    with path.open("wb") as file:
        np.savez(file, rows(3))
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("make", "said"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, make: Any, said: str) -> None:
    path = make(tmp_path)
    with pytest.raises(SourceError, match=said) as refused:
        FileVectors(path)
    assert path.name in str(refused.value)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_refused_by_its_row(tmp_path: Path, bad: float) -> None:
    given = rows(50)
    given[37] = bad
    for file, what, videos, queries in (
        (npy(tmp_path / "a.npy", given), "train", 40, 10),
        (hdf5(tmp_path / "b.hdf5", train=given, test=rows(3)), "train", 50, 3),
        (hdf5(tmp_path / "c.hdf5", train=rows(3), test=given), "test", 3, 50),
    ):
        with pytest.raises(SourceError, match=f"row 37 of {what}"):
            prepared(FileVectors(file), tmp_path / "set", videos=videos, queries=queries, seed=1)


@pytest.mark.parametrize("bad", [0.0, np.nan, -np.inf])
def test_a_vector_without_direction_is_found_by_a_check_wherever_it_is(
    tmp_path: Path, bad: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the last of many blocks, and in queries beyond those that are asked."""
    monkeypatch.setattr(sources, "_ROWS_AT_A_TIME", 20)
    given = rows(50)
    given[47] = bad
    for file, what in (
        (npy(tmp_path / "a.npy", given), "train"),
        (hdf5(tmp_path / "b.hdf5", train=given, test=rows(3)), "train"),
        (hdf5(tmp_path / "c.hdf5", train=rows(3), test=given), "test"),
    ):
        for look in (FileVectors(file).check, FileVectors(file).describe):
            with pytest.raises(SourceError, match=rf"{file.name}: row 47 of {what} is zero or"):
                look()


def test_a_check_reads_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_ROWS_AT_A_TIME", 100)
    source = FileVectors(npy(tmp_path / "a.npy", rows(250)))
    counted = Counted(source._train)
    source._train = counted
    for _ in range(2):
        source.check()
        source.describe()
    assert (counted.times, counted.most) == (3, 100)


def test_a_published_vector_without_direction_is_found_by_a_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FlatStore.create(tmp_path / "faiss", STORED_DIMS)
    store.upsert(catalogue(20))
    store.flush()
    store.close()
    source = GenerationVectors(tmp_path / "faiss", generation="20260101")
    source.check()
    scan = FlatReader.scan

    def damaged(reader: FlatReader, **more: Any) -> Iterator[Any]:
        for batch in scan(reader, **more):
            for video in batch:
                for vector in video.vectors.values():
                    vector[:] = np.nan
            yield batch

    monkeypatch.setattr(FlatReader, "scan", damaged)
    with pytest.raises(SourceError, match=r"generation 20260101: the \w+ of video \S+ is zero or"):
        source.check()


def test_drawn_vectors_need_no_check() -> None:
    source = DrawnVectors(DIMS)
    source.check()
    assert (source.most, source.has_queries, source.most_queries) == (None, True, None)


@pytest.mark.parametrize("size", [1e30, 1e-30, 1e300, 1e-300])
def test_vectors_of_any_length_have_a_direction(tmp_path: Path, size: float) -> None:
    given = rows(60).astype(np.float64)
    kind = np.float32 if 1e-38 < size < 1e38 else np.float64
    source = FileVectors(npy(tmp_path / "a.npy", (given * size).astype(kind)))
    made = prepared(source, tmp_path / "set", videos=50, queries=10, seed=1)
    together = np.vstack([made.rows(ONLY), made.queries(ONLY)])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose((unit(given) @ together.T).max(axis=0), 1.0, atol=1e-6)


def test_what_was_done_to_the_vectors_is_told(tmp_path: Path) -> None:
    given = unit(rows(30))
    scaled, unnamed = "brought to unit length", "distance not named, taken as angular"
    for number, (array, distance, told) in enumerate(
        (
            (given, "angular", ()),
            (given.astype(np.float16), "angular", ()),
            (given * 1.01, "angular", (scaled,)),
            (given, None, (unnamed,)),
            (given * 5, None, (scaled, unnamed)),
            # As some who write HDF5 have it.
            (given, np.bytes_(b"angular"), ()),
            (given, np.array([b"angular"]), ()),
            (given, np.array("angular", dtype="S"), ()),
        )
    ):
        name = f"{number}.hdf5"
        source = FileVectors(hdf5(tmp_path / name, distance=distance, train=array))
        assert source.describe() == ", ".join([name, "30 vectors", *told])
    source = FileVectors(npy(tmp_path / "a.npy", given))
    assert source.describe() == "a.npy, 30 vectors"
    # One among many, and one of the queries alone.
    given[20] *= 2
    for name, arrays in (
        ("train.hdf5", {"train": given}),
        ("test.hdf5", {"train": unit(rows(30)), "test": given}),
    ):
        source = FileVectors(hdf5(tmp_path / name, **arrays))
        assert source.describe() == f"{name}, 30 vectors, {scaled}"


@pytest.mark.parametrize("queries", [1, 2])
def test_a_file_may_bring_one_query_or_two(tmp_path: Path, queries: int) -> None:
    file = hdf5(tmp_path / "set.hdf5", train=rows(100), test=rows(queries, seed=2))
    source = FileVectors(file)
    assert (source.has_queries, source.most_queries) == (True, queries)
    made = prepared(source, tmp_path / "set", videos=100, queries=500, seed=2)
    assert made.description.queries == queries
    truth = exact_truth(made, limit=LIMIT, window=WINDOW)
    assert truth.best[ONLY].shape == (queries, WINDOW)


def test_more_vectors_than_there_are_is_refused(tmp_path: Path) -> None:
    source = FileVectors(npy(tmp_path / "a.npy", rows(50)))
    with pytest.raises(SourceError, match="55 vectors are asked for, and there are 50"):
        prepared(source, tmp_path / "set", videos=45, queries=10, seed=1)


class Breaking(DrawnVectors):
    def read(
        self, videos: int, queries: int, seed: int
    ) -> tuple[Mapping[str, Matrix], Iterator[Mapping[str, Matrix]]]:
        asked, blocks = super().read(videos, queries, seed)

        def some() -> Iterator[Mapping[str, Matrix]]:
            yield next(blocks)
            raise KeyboardInterrupt

        return asked, some()


def test_a_set_is_found_again_when_it_is_whole_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "set"
    with pytest.raises(KeyboardInterrupt):
        prepared(Breaking(DIMS), path, videos=1_500, queries=5, seed=1)
    with pytest.raises(FileNotFoundError):
        VectorSet(path)
    prepared(DrawnVectors(DIMS), path, videos=1_500, queries=5, seed=1)
    files = {file: file.stat().st_mtime_ns for file in path.iterdir()}
    prepared(DrawnVectors(DIMS), path, videos=1_500, queries=5, seed=1)
    assert {file: file.stat().st_mtime_ns for file in path.iterdir()} == files


def test_another_set_in_its_place_has_a_truth_of_its_own(tmp_path: Path) -> None:
    for seed in (1, 2):
        made = prepared(DrawnVectors(DIMS), tmp_path, videos=500, queries=5, seed=seed)
        truth = exact_truth(made, limit=LIMIT, window=WINDOW)
        best, _ = brute_force(made.rows("title"), made.queries("title"), WINDOW)
        np.testing.assert_array_equal(truth.best["title"], best)


@pytest.mark.parametrize(("block", "queries_at_once"), [(100, 7), (20_000, 500)])
def test_the_truth_is_the_plain_computation(
    drawn: VectorSet, block: int, queries_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth_module, "_BLOCK", block)
    monkeypatch.setattr(truth_module, "_QUERIES_AT_ONCE", queries_at_once)
    truth = exact_truth(drawn, limit=LIMIT, window=WINDOW)
    everyone = np.arange(30)
    for name in DIMS:
        best, scores = brute_force(drawn.rows(name), drawn.queries(name), WINDOW)
        np.testing.assert_array_equal(truth.best[name], best)
        np.testing.assert_allclose(truth.scores[name], scores, rtol=0, atol=1e-14)
        # Some right, some wrong, some twice: the same share as by counting.
        rng = np.random.default_rng(0)
        found = [rng.choice(ids[:30], 12).tolist() for ids in best]
        counted = sum(
            len(set(ids) & set(exact[:LIMIT].tolist()))
            for ids, exact in zip(found, best, strict=True)
        )
        assert truth.recall(name, everyone, found, limit=LIMIT) == counted / (30 * LIMIT)
    first = drawn.first
    for share in SHARES:
        passing = drawn.passing(share)
        best, _ = brute_force(drawn.rows(first)[passing], drawn.queries(first), LIMIT)
        found = [passing[ids].tolist() for ids in best]
        assert truth.filtered_recall(share, everyone, found, limit=LIMIT) == 1.0
        fewer = [ids[:-1] for ids in found]
        depth = min(LIMIT, len(passing))
        expected = 1.0 if depth == 0 else (depth - 1) / depth
        assert truth.filtered_recall(share, everyone, fewer, limit=LIMIT) == pytest.approx(expected)


def test_an_answer_with_what_a_filter_keeps_out_is_an_error(drawn: VectorSet) -> None:
    truth = exact_truth(drawn, limit=LIMIT, window=WINDOW)
    outside = int(np.flatnonzero(drawn.draws >= 0.1)[0])
    with pytest.raises(EngineFailed, match=f"let video {outside} through"):
        truth.filtered_recall(0.1, np.array([0]), [[outside]], limit=LIMIT)


def test_either_of_two_equal_videos_is_right(tmp_path: Path) -> None:
    given = np.vstack([rows(40), rows(40)])
    file = hdf5(tmp_path / "twins.hdf5", train=given, test=rows(6, seed=9))
    made = prepared(FileVectors(file), tmp_path / "set", videos=80, queries=6, seed=1)
    truth = exact_truth(made, limit=5, window=5)
    everyone = np.arange(6)
    found = [ids[:5].tolist() for ids in truth.best[ONLY]]
    twins = [[(one + 40) % 80 for one in ids] for ids in found]
    assert truth.recall(ONLY, everyone, found, limit=5) == 1.0
    # Of five, two pairs and one of a pair: its twin is as good.
    assert truth.recall(ONLY, everyone, twins, limit=5) == 1.0
    assert truth.recall(ONLY, everyone, [[ids[0]] * 5 for ids in found], limit=5) == 0.2


def test_fused_recall_is_the_plain_computation(drawn: VectorSet) -> None:
    truth = exact_truth(drawn, limit=LIMIT, window=WINDOW)
    everyone = np.arange(30)
    best = {name: brute_force(drawn.rows(name), drawn.queries(name), WINDOW)[0] for name in DIMS}
    found, counted = [], 0
    for row in everyone:
        fused: dict[int, float] = {}
        for ids in best.values():
            for rank, one in enumerate(ids[row].tolist(), start=1):
                fused[one] = fused.get(one, 0.0) + 1 / (K + rank)
        ordered = sorted(fused, key=lambda one: -fused[one])
        found.append(ordered[3 : LIMIT + 3])
        least = fused[ordered[LIMIT - 1]]
        counted += min(LIMIT, sum(fused[one] >= least - 1e-12 for one in found[-1]))
    recall = truth.fused_recall(everyone, found, limit=LIMIT, window=WINDOW, k=K)
    assert recall == counted / (30 * LIMIT) < 1.0


def test_fewer_videos_than_asked_for_are_all_the_best(tmp_path: Path) -> None:
    stored, queries = unit(rows(7)).astype(np.float32), unit(rows(3, seed=2)).astype(np.float32)
    ids, scores = best_of(stored, queries, limit=20)
    assert ids.shape == scores.shape == (3, 7)
    none, _ = best_of(stored, queries, limit=20, passing=np.empty(0, dtype=np.int64))
    assert none.shape == (3, 0)


class Counted:
    """An array that remembers the most rows that were asked of it at once, and how often."""

    def __init__(self, array: Matrix) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.most = 0
        self.times = 0

    def __getitem__(self, rows: slice) -> Matrix:
        taken = self.array[rows]
        self.times += 1
        self.most = max(self.most, len(taken))
        return taken


def test_a_file_is_never_read_into_memory_whole(tmp_path, monkeypatch):
    """Neither for queries taken out all over it, nor for a few vectors of many."""
    monkeypatch.setattr(sources, "_ROWS_AT_A_TIME", 100)
    source = FileVectors(npy(tmp_path / "some.npy", rows(2_000)))
    counted = Counted(source._train)
    source._train = counted

    made = prepared(source, tmp_path / "set", videos=300, queries=50, seed=0)

    assert 0 < counted.most <= 100
    both = np.vstack([made.rows(ONLY), made.queries(ONLY)])
    there = {row.tobytes() for row in source._unit(counted, np.arange(2_000), "train")}
    assert len({row.tobytes() for row in both} & there) == 350
