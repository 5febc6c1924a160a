"""Where the vectors of a comparison come from, and what the exact answers over them are."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from tests.stores.catalogue import DIMS as STORED_DIMS
from tests.stores.catalogue import catalogue
from twinlens.benchmarks.engines import vectors as truth_module
from twinlens.benchmarks.engines.record import EngineFailed
from twinlens.benchmarks.engines.sources import (
    DrawnVectors,
    FileVectors,
    IndexVectors,
    VectorSource,
    write_vectors,
)
from twinlens.benchmarks.engines.vectors import SHARES, Truth, VectorSet, find_best
from twinlens.catalog.errors import SourceError
from twinlens.catalog.vectors import FloatMatrix
from twinlens.stores.flat import FlatStore

DIMS = {"title": 24, "thumbnail": 8}
LIMIT, WINDOW, K = 10, 50, 60.0
ONLY = "vector"


def rows(count: int, dim: int = 12, seed: int = 1) -> FloatMatrix:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def unit(given: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    exact = given.astype(np.float64)
    return exact / np.linalg.norm(exact, axis=1, keepdims=True)


def put(path: Path, content: Any) -> Path:
    """Write bytes as they are, an array as .npy, and arrays by name as HDF5 with its distance."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    elif content is not None:
        with h5py.File(path, "w") as file:
            for name, value in content.items():
                if name == "distance":
                    file.attrs[name] = value
                else:
                    file[name] = value
    return path


def made_of(source: VectorSource, path: Path, **asked: int) -> VectorSet:
    """A set of this source in a folder of its own."""
    return write_vectors(source, Path(tempfile.mkdtemp(dir=path)), **asked)


def brute_force(
    stored: npt.NDArray[Any], queries: npt.NDArray[Any], limit: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The plain computation: all products in float64, sorted."""
    scores = queries.astype(np.float64) @ stored.astype(np.float64).T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :limit]
    return best, np.take_along_axis(scores, best, axis=1)


@pytest.fixture
def drawn(tmp_path: Path) -> VectorSet:
    return made_of(DrawnVectors(DIMS), tmp_path, videos=2_345, queries=30, seed=5)


def test_drawn_vectors_are_unit_vectors_that_a_seed_repeats(
    drawn: VectorSet, tmp_path: Path
) -> None:
    again, other = (
        made_of(DrawnVectors(DIMS), tmp_path, videos=2_345, queries=30, seed=seed)
        for seed in (5, 6)
    )
    for name, dim in DIMS.items():
        assert drawn.rows[name].shape == (2_345, dim)
        np.testing.assert_allclose(np.linalg.norm(drawn.rows[name], axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(drawn.rows[name], again.rows[name])
        np.testing.assert_array_equal(drawn.queries[name], again.queries[name])
        assert not np.array_equal(drawn.rows[name], other.rows[name])


def test_drawn_vectors_have_neighbours_and_near_twins(drawn: VectorSet) -> None:
    stored = drawn.rows["title"].astype(np.float64)
    cosines = stored[:1000] @ stored[:1000].T - 2 * np.eye(1000)
    nearest = cosines.max(axis=1)
    assert np.mean(nearest > 0.98) > 0.1
    assert np.median(nearest) > 0.6 > np.median(np.abs(cosines))


def test_filters_let_through_the_shares_that_they_are_called_after(drawn: VectorSet) -> None:
    for share in SHARES[:3]:
        assert len(drawn.list_passing(share)) / drawn.videos == pytest.approx(share, rel=0.5)
    points = [point for batch in drawn.batch(1_000) for point in batch]
    assert [row for row, _, _ in points] == list(range(drawn.videos))
    for share in SHARES:
        passing = [row for row, _, tags in points if str(share) in tags]
        assert passing == drawn.list_passing(share).tolist()
    for row, named, _ in points[999:1_001]:
        for name, vector in named.items():
            np.testing.assert_array_equal(vector, drawn.rows[name][row])


def test_an_array_file_gives_unit_vectors_and_queries_that_are_not_among_them(
    tmp_path: Path,
) -> None:
    given = rows(300)
    source = FileVectors(put(tmp_path / "mine.npy", given))
    assert (source.videos, source.dims, source.queries) == (300, {ONLY: 12}, None)
    assert str(tmp_path) not in source.description
    made = made_of(source, tmp_path, videos=250, queries=40, seed=2)
    together = np.vstack([made.rows[ONLY], made.queries[ONLY]])
    assert len(np.unique(together, axis=0)) == 290
    nearest = (unit(given) @ together.T.astype(np.float64)).max(axis=0)
    np.testing.assert_allclose(nearest, 1.0, atol=1e-6)


def test_numbers_of_any_type_are_read(tmp_path: Path) -> None:
    kinds = (np.float16, np.float64, np.int8, np.uint8)
    given = [np.abs(rows(40) * 20).astype(kind) + kind(1) for kind in kinds]
    for at, array in enumerate(given):
        source = FileVectors(put(tmp_path / f"{at}.npy", array))
        made = made_of(source, tmp_path, videos=30, queries=10, seed=2)
        np.testing.assert_allclose(np.linalg.norm(made.rows[ONLY], axis=1), 1.0, atol=1e-6)


def test_queries_of_an_ann_benchmarks_file_are_its_own(tmp_path: Path) -> None:
    train, test = rows(500), rows(20, seed=2)
    neighbors, _ = brute_force(unit(train), unit(test), 100)
    file = put(tmp_path / "set.hdf5", {"train": train, "test": test, "distance": "angular"})
    source = FileVectors(file)
    assert source.queries == 20
    made = made_of(source, tmp_path, videos=500, queries=20, seed=2)
    np.testing.assert_allclose(made.rows[ONLY], unit(train), atol=1e-7)
    np.testing.assert_allclose(made.queries[ONLY], unit(test), atol=1e-7)
    # What the file's author found over his vectors is what we find over ours.
    truth = Truth(made, limit=LIMIT, window=WINDOW)
    np.testing.assert_array_equal(truth.best[ONLY][0], neighbors[:, :WINDOW])
    assert truth.measure_recall(range(20), neighbors[:, :LIMIT].tolist()) == 1.0


def test_fewer_vectors_of_a_file_are_a_sample_of_them(tmp_path: Path) -> None:
    train, test = rows(500), rows(20, seed=2)
    source = FileVectors(put(tmp_path / "set.h5", {"train": train, "test": test}))
    made = made_of(source, tmp_path, videos=100, queries=5, seed=2)
    of = (unit(train) @ made.rows[ONLY].T.astype(np.float64)).argmax(axis=0)
    assert len(set(of.tolist())) == 100
    assert of.max() > 250
    np.testing.assert_allclose(made.queries[ONLY], unit(test[:5]), atol=1e-7)


def write_index(path: Path, *names: str) -> list[Any]:
    """The videos of an index of vectors of these names, which is written to ``path``."""
    videos = [
        replace(video, vectors={n: v for n, v in video.vectors.items() if str(n) in names})
        for video in catalogue(200)
    ]
    videos = [video for video in videos if video.vectors]
    with closing(FlatStore.create(path, STORED_DIMS)) as store:
        store.upsert(videos)
        store.flush()
    return videos


def test_a_published_index_gives_the_videos_that_have_every_vector(tmp_path: Path) -> None:
    videos = write_index(tmp_path / "faiss", "title", "thumbnail")
    whole = [video for video in videos if len(video.vectors) == 2]
    source = IndexVectors(tmp_path / "faiss", generation="20260101")
    assert source.videos == len(whole) < len(videos)
    assert "20260101" in source.description
    made = made_of(source, tmp_path, videos=len(whole) - 20, queries=20, seed=4)
    title, thumbnail = made.dims
    given = {
        (first.tobytes(), second.tobytes())
        for read in (made.rows, made.queries)
        for first, second in zip(read[title], read[thumbnail], strict=True)
    }
    # Title and thumbnail of one video stay together, and no video is there twice.
    stored = [{str(name): vector for name, vector in one.vectors.items()} for one in whole]
    assert given == {(one[title].tobytes(), one[thumbnail].tobytes()) for one in stored}


def test_an_index_of_titles_alone_is_compared_by_its_titles(tmp_path: Path) -> None:
    videos = write_index(tmp_path / "faiss", "title")
    source = IndexVectors(tmp_path / "faiss", generation="20260101")
    assert list(source.dims) == ["title"]
    assert source.videos == len(videos)


BAD: Mapping[str, tuple[str, Any, str]] = {
    "one dimension": ("a.npy", np.ones(5), r"shape \(5,\)"),
    "words": ("a.npy", np.array([["a", "b"]]), "type <U1"),
    "objects": ("a.npy", np.array([[{}]], dtype=object), "not a NumPy array"),
    "no array": ("a.npy", b"video,1,2", "not a NumPy array"),
    "no rows": ("a.npy", np.ones((0, 4)), r"shape \(0, 4\)"),
    "another suffix": ("a.csv", b"1,2", "neither .npy nor .hdf5"),
    "no file": ("none.npy", None, "no such file"),
    "no HDF5": ("a.hdf5", b"1,2", "not HDF5"),
    "no train": ("a.hdf5", {"test": rows(3)}, "no dataset 'train'"),
    "dimensions that differ": (
        *("a.hdf5", {"train": rows(3), "test": rows(3, dim=5)}),
        "train has 12 dimensions and test 5",
    ),
} | {
    f"distance {distance!r}": ("a.hdf5", {"train": rows(3), "distance": distance}, "distance is")
    for distance in ("euclidean", np.bytes_(b"euclidean"), ["angular", "angular"])
}


@pytest.mark.parametrize(("file", "content", "said"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_by_name(file: str, content: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"{file}.*{said}"):
        FileVectors(put(tmp_path / file, content))


@pytest.mark.parametrize("distance", [np.bytes_(b"angular"), ["angular"]])
def test_an_angular_file_is_read_however_that_is_written(distance: Any, tmp_path: Path) -> None:
    given = {"train": rows(3), "distance": distance}
    assert FileVectors(put(tmp_path / "a.hdf5", given)).videos == 3


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_refused_by_its_row(tmp_path: Path, bad: float) -> None:
    given = rows(50)
    given[37] = bad
    for file, what, videos, queries in (
        (put(tmp_path / "a.npy", given), "train", 40, 10),
        (put(tmp_path / "b.hdf5", {"train": given, "test": rows(3)}), "train", 50, 3),
        (put(tmp_path / "c.hdf5", {"train": rows(3), "test": given}), "test", 3, 50),
    ):
        with pytest.raises(SourceError, match=f"row 37 of {what}"):
            made_of(FileVectors(file), tmp_path, videos=videos, queries=queries, seed=1)


@pytest.mark.parametrize("block", [100, 20_000])
def test_the_truth_is_the_plain_computation(
    drawn: VectorSet, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth_module, "_BLOCK", block)
    truth = Truth(drawn, limit=LIMIT, window=WINDOW)
    everyone = range(30)
    for name in DIMS:
        best, scores = brute_force(drawn.rows[name], drawn.queries[name], WINDOW)
        np.testing.assert_array_equal(truth.best[name][0], best)
        np.testing.assert_allclose(truth.best[name][1], scores, rtol=0, atol=1e-14)
    first = drawn.first
    best, _ = brute_force(drawn.rows[first], drawn.queries[first], WINDOW)
    # Some right, some wrong, some twice: the same share as by counting.
    rng = np.random.default_rng(0)
    found = [rng.choice(ids[:30], 12).tolist() for ids in best]
    pairs = zip(found, best, strict=True)
    counted = sum(len(set(ids) & set(exact[:LIMIT].tolist())) for ids, exact in pairs)
    assert truth.measure_recall(everyone, found) == counted / (30 * LIMIT)
    for share in SHARES:
        passing = drawn.list_passing(share)
        best, _ = brute_force(drawn.rows[first][passing], drawn.queries[first], LIMIT)
        found = [passing[ids].tolist() for ids in best]
        assert truth.measure_recall(everyone, found, share) == 1.0
        depth = min(LIMIT, len(passing))
        expected = 1.0 if depth == 0 else (depth - 1) / depth
        fewer = [ids[:-1] for ids in found]
        assert truth.measure_recall(everyone, fewer, share) == pytest.approx(expected)


def test_an_answer_with_what_may_not_be_in_it_is_an_error(drawn: VectorSet) -> None:
    truth = Truth(drawn, limit=LIMIT, window=WINDOW)
    outside = int(np.flatnonzero(drawn.draws >= 0.1)[0])
    with pytest.raises(EngineFailed, match=f"let video {outside} through"):
        truth.measure_recall([0], [[outside]], 0.1)
    with pytest.raises(EngineFailed, match="no ids"):
        truth.measure_recall([0], [[drawn.videos]])


def test_either_of_two_equal_videos_is_right(tmp_path: Path) -> None:
    given = np.vstack([rows(40), rows(40)])
    file = put(tmp_path / "twins.hdf5", {"train": given, "test": rows(6, seed=9)})
    made = made_of(FileVectors(file), tmp_path, videos=80, queries=6, seed=1)
    truth = Truth(made, limit=5, window=5)
    found = [ids[:5].tolist() for ids in truth.best[ONLY][0]]
    twins = [[(one + 40) % 80 for one in ids] for ids in found]
    assert truth.measure_recall(range(6), found) == 1.0
    # Of five, two pairs and one of a pair: its twin is as good.
    assert truth.measure_recall(range(6), twins) == 1.0
    assert truth.measure_recall(range(6), [[ids[0]] * 5 for ids in found]) == 0.2


def test_fused_recall_is_the_plain_computation(drawn: VectorSet) -> None:
    truth = Truth(drawn, limit=LIMIT, window=WINDOW)
    best = {name: brute_force(drawn.rows[name], drawn.queries[name], WINDOW)[0] for name in DIMS}
    found, counted = [], 0
    for row in range(30):
        fused: dict[int, float] = {}
        for ids in best.values():
            for rank, one in enumerate(ids[row].tolist(), start=1):
                fused[one] = fused.get(one, 0.0) + 1 / (K + rank)
        ordered = sorted(fused, key=lambda one: -fused[one])
        found.append(ordered[3 : LIMIT + 3])
        least = fused[ordered[LIMIT - 1]]
        counted += min(LIMIT, sum(fused[one] >= least - 1e-12 for one in found[-1]))
    assert truth.measure_fused_recall(range(30), found, k=K) == counted / (30 * LIMIT) < 1.0


def test_fewer_videos_than_asked_for_are_all_the_best() -> None:
    stored, queries = unit(rows(7)).astype(np.float32), unit(rows(3, seed=2)).astype(np.float32)
    ids, scores = find_best(stored, queries, limit=20)
    assert ids.shape == scores.shape == (3, 7)
    none, _ = find_best(stored, queries, limit=20, passing=np.empty(0, dtype=np.int64))
    assert none.shape == (3, 0)
