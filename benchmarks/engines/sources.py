"""Where the vectors of a comparison come from: a published index, a file, or a seeded mixture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np

from twinlens.benchmarks.engines.vectors import Ids, VectorSet
from twinlens.catalog.errors import SourceError
from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.stores.flat import FlatReader

_ROWS_AT_A_TIME: Final = 10_000
_SHARES_STREAM: Final = 77
# The name of the only vector of a file.
_ONLY: Final = "vector"

_BLOCK: Final = 1000
_VIDEOS_PER_CLUSTER: Final = 100
# How far a member lies from its centre, and a twin from its original, in lengths of a centre.
_SPREAD: Final = 0.6
_TWIN_SPREAD: Final = 0.1
_TWINS: Final = 0.1
# The share of videos whose other vectors lie in the cluster of their first.
_AGREEING: Final = 0.5
# Streams of random numbers that must not meet.
_CENTRES, _BLOCKS, _QUERIES = range(3)

Blocks = Iterator[Mapping[str, FloatMatrix]]


class VectorSource:
    """``videos`` is how many it has, None where as many as one likes.

    ``queries`` is how many queries of its own it has; None where they are taken out of the videos.
    """

    description: str
    synthetic: bool = False
    dims: Mapping[str, int]
    videos: int | None = None
    queries: int | None = None

    def read(
        self, videos: int, queries: int, seed: int
    ) -> tuple[Mapping[str, FloatMatrix], Blocks]:
        """Return the queries by name, and blocks of unit vectors by name, ``videos`` in all.

        Raises:
            SourceError: a vector has no direction.
        """
        order = np.random.default_rng(seed).permutation(self.videos or videos)
        own = self.queries is not None
        asked = self.fetch(np.arange(queries) if own else np.sort(order[:queries]), own=own)
        rows = np.sort(order[:videos] if own else order[queries : queries + videos])
        parts = (rows[at : at + _ROWS_AT_A_TIME] for at in range(0, rows.size, _ROWS_AT_A_TIME))
        return asked, (self.fetch(part) for part in parts)

    def fetch(self, rows: Ids, *, own: bool = False) -> Mapping[str, FloatMatrix]:
        """These vectors by name, of the videos or of its ``own`` queries; rows ascend."""
        raise NotImplementedError


class DrawnVectors(VectorSource):
    """Seeded unit vectors with the shape of real embeddings: clusters, overlap and near twins.

    Random directions are no stand-in: in hundreds of dimensions they are all equally far from each
    other, so nothing has neighbours. Here a vector is its cluster's centre plus noise, both with a
    variance that falls as 1/i along the dimensions. Cluster sizes follow Zipf's law. A tenth of the
    vectors are near twins of another one of their block, as uploads of the same thing are.
    """

    description = "synthetic: a seeded mixture of Gaussians on the sphere"
    synthetic = True
    queries = 10_000

    def __init__(self, dims: Mapping[str, int]) -> None:
        self.dims = dict(dims)

    def read(
        self, videos: int, queries: int, seed: int
    ) -> tuple[Mapping[str, FloatMatrix], Blocks]:
        """See `VectorSource.read`."""
        rng = np.random.default_rng([seed, _CENTRES])
        clusters = max(1, videos // _VIDEOS_PER_CLUSTER)
        centres = {name: _draw_noise(rng, clusters, dim) for name, dim in self.dims.items()}

        def make_blocks() -> Blocks:
            for first in range(0, videos, _BLOCK):
                rng = np.random.default_rng([seed, _BLOCKS, first // _BLOCK])
                drawn = _draw_members(rng, centres, _BLOCK, twins=_TWINS)
                yield {name: rows[: videos - first] for name, rows in drawn.items()}

        rng = np.random.default_rng([seed, _QUERIES])
        return _draw_members(rng, centres, queries, twins=0.0), make_blocks()


class FileVectors(VectorSource):
    """A ``.npy`` of shape (n, dim), or HDF5 in the layout of ann-benchmarks (``train``, ``test``).

    Queries are those of ``test``; without one, rows taken out at random. The distance that an HDF5
    names must be ``angular``: every engine here asks for the inner product of unit vectors.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrays = _open_arrays(path)
        for array in self._arrays.values():
            if len(array.shape) != 2 or array.dtype.kind not in "fiu" or 0 in array.shape:
                raise SourceError(
                    f"{path}: an array of shape {array.shape} and type {array.dtype},"
                    " where (vectors, dim) numbers are expected"
                )
        train, test = self._arrays["train"], self._arrays.get("test")
        if test is not None and test.shape[1] != train.shape[1]:
            raise SourceError(
                f"{path}: train has {train.shape[1]} dimensions and test {test.shape[1]}"
            )
        self.videos, self.queries = len(train), None if test is None else len(test)
        self.dims = {_ONLY: train.shape[1]}
        self.description = f"{path.name}, {self.videos} vectors, brought to unit length"

    def fetch(self, rows: Ids, *, own: bool = False) -> Mapping[str, FloatMatrix]:
        """See `VectorSource.fetch`."""
        part = "test" if own else "train"
        given = self._arrays[part][rows].astype(np.float64)
        norms = np.linalg.norm(given, axis=1, keepdims=True)
        bad = rows[~(np.isfinite(norms) & (norms > 0))[:, 0]]
        if bad.size:
            raise SourceError(
                f"{self._path}: row {bad[0]} of {part} is zero or not finite: it has no direction"
            )
        return {_ONLY: (given / norms).astype(np.float32)}


class IndexVectors(VectorSource):
    """The vectors of a published index, of the videos that have all of those that any has.

    So an index of titles alone is compared by its titles. Queries are videos taken out at random.
    """

    def __init__(self, mirror: Path, *, generation: str) -> None:
        self._mirror = mirror
        with closing(FlatReader.open(mirror)) as reader:
            there = {
                video.video_id: frozenset(map(str, video.vectors))
                for batch in reader.scan(with_vectors=True)
                for video in batch
            }
            all_dims = {str(name): dim for name, dim in reader.dims.items()}
        any_has = frozenset().union(*there.values())
        self.dims = {name: dim for name, dim in all_dims.items() if name in any_has}
        self._ids = [video_id for video_id, names in there.items() if names >= any_has]
        self.videos = len(self._ids) if any_has else 0
        self.description = f"generation {generation}, {self.videos} videos with every vector"

    def fetch(self, rows: Ids, *, own: bool = False) -> Mapping[str, FloatMatrix]:
        """See `VectorSource.fetch`; the index holds unit vectors."""
        ids = [self._ids[row] for row in rows]
        with closing(FlatReader.open(self._mirror)) as reader:
            found = reader.get(ids, with_vectors=True)
        named = [{str(name): v for name, v in found[one].vectors.items()} for one in ids]
        return {name: np.stack([one[name] for one in named]) for name in self.dims}


def _draw_members(
    rng: np.random.Generator, centres: Mapping[str, FloatMatrix], count: int, *, twins: float
) -> dict[str, FloatMatrix]:
    """By name ``count`` unit vectors of clusters around these centres."""
    clusters = len(next(iter(centres.values())))
    sizes = 1.0 / (np.arange(clusters) + 10.0)
    shares = sizes / sizes.sum()
    topics = rng.choice(clusters, count, p=shares)
    vectors = {}
    for number, (name, of) in enumerate(centres.items()):
        others = rng.choice(clusters, count, p=shares)
        agrees = rng.random(count) < _AGREEING
        rows = of[topics if number == 0 else np.where(agrees, topics, others)]
        rows = rows + _SPREAD * _draw_noise(rng, count, of.shape[1])
        copies = np.flatnonzero(rng.random(count) < twins)
        originals = rng.integers(count, size=copies.size)
        rows[copies] = rows[originals] + _TWIN_SPREAD * _draw_noise(rng, copies.size, of.shape[1])
        vectors[name] = unit_rows(rows)
    return vectors


def _draw_noise(rng: np.random.Generator, count: int, dim: int) -> FloatMatrix:
    """Gaussian rows (count, dim) of expected squared length 1, with variances that fall as 1/i."""
    variances = 1.0 / np.arange(1, dim + 1)
    scales = np.sqrt(variances / variances.sum()).astype(np.float32)
    rows: FloatMatrix = rng.standard_normal((count, dim), dtype=np.float32) * scales
    return rows


def write_vectors(
    source: VectorSource, path: Path, *, videos: int, queries: int, seed: int
) -> VectorSet:
    """Write the set of this source into the folder ``path``.

    Raises:
        SourceError: a vector has no direction.
    """
    asked, blocks = source.read(videos, queries, seed)
    for name, rows in asked.items():
        np.save(path / f"{name}.queries.npy", rows)
    draws = np.random.default_rng([seed, _SHARES_STREAM]).random(videos, dtype=np.float32)
    np.save(path / "draws.npy", draws)
    files = {
        name: np.lib.format.open_memmap(
            path / f"{name}.npy", mode="w+", dtype=np.float32, shape=(videos, dim)
        )
        for name, dim in source.dims.items()
    }
    written = 0
    for block in blocks:
        for name, rows in block.items():
            files[name][written : written + len(rows)] = rows
        written += len(rows)
    for file in files.values():
        file.flush()
    return VectorSet(path, source.dims)


def _open_arrays(path: Path) -> dict[str, Any]:
    """Return the vectors of a file as ``train``, and its queries as ``test`` where it has some.

    An array is mapped; HDF5, which picks single rows very slowly, is read into memory.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    if path.suffix == ".npy":
        try:
            # Not np.load, which opens archives and pickles as well.
            return {"train": np.lib.format.open_memmap(path, mode="r")}
        except ValueError as error:
            raise SourceError(f"{path}: not a NumPy array: {error}") from error
    if path.suffix not in {".hdf5", ".h5"}:
        raise SourceError(f"{path}: neither .npy nor .hdf5")
    try:
        import h5py

        with h5py.File(path, "r") as file:
            there = {name: file.get(name) for name in ("train", "test")}
            arrays = {n: one[()] for n, one in there.items() if isinstance(one, h5py.Dataset)}
            # The attribute may be text, bytes, or an array of one of them.
            told = np.asarray(file.attrs.get("distance", "angular")).astype(str).ravel().tolist()
    except ImportError as error:
        raise SourceError(f"{path}: HDF5 needs `pip install 'twinlens[bench]'`") from error
    except OSError as error:
        raise SourceError(f"{path}: not HDF5: {error}") from error
    if "train" not in arrays:
        raise SourceError(f"{path}: no dataset 'train' in it; ann-benchmarks' layout has one")
    if told != ["angular"]:
        raise SourceError(
            f"{path}: its distance is {', '.join(told)}; only angular can be compared here, as"
            " every engine is asked for the inner product of unit vectors"
        )
    return arrays
