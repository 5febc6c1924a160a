"""Where the vectors of a comparison come from: a published index, a file, or a seeded mixture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from benchmarks.drawn_index import mixture_for
from benchmarks.engines.vectors import (
    DESCRIPTION,
    ONLY,
    TRUTH,
    Description,
    Ids,
    Matrix,
    VectorSet,
)
from benchmarks.mixture import BLOCK
from catalog.atomic import write_atomically
from catalog.errors import SourceError
from catalog.video import DENSE_VECTORS
from stores.flat import FlatReader

_ROWS_AT_A_TIME: Final = 10_000
_SHARES_STREAM: Final = 77


class VectorSource(Protocol):
    """Where vectors come from."""

    @property
    def synthetic(self) -> bool:
        """Whether they were drawn, and no encoder made them."""
        ...

    @property
    def most(self) -> int | None:
        """How many videos it can give beside the queries; None: as many as one likes."""
        ...

    def describe(self) -> str:
        """In a few words, without the machine's paths."""
        ...

    def dims(self) -> dict[str, int]:
        """Length of each named vector."""
        ...

    def read(
        self, videos: int, queries: int, seed: int
    ) -> tuple[Mapping[str, Matrix], Iterator[Mapping[str, Matrix]]]:
        """The queries by name, and blocks of as many vectors by name, ``videos`` in all."""
        ...


class DrawnVectors:
    """A seeded mixture with the shape of real embeddings; see ``benchmarks/mixture.py``."""

    synthetic = True
    most = None

    def __init__(self, dims: Mapping[str, int]) -> None:
        self._dims = dict(dims)

    def describe(self) -> str:
        """As of ``VectorSource``."""
        return "synthetic: a seeded mixture of Gaussians on the sphere"

    def dims(self) -> dict[str, int]:
        """As of ``VectorSource``."""
        return dict(self._dims)

    def read(
        self, videos: int, queries: int, seed: int
    ) -> tuple[Mapping[str, Matrix], Iterator[Mapping[str, Matrix]]]:
        """As of ``VectorSource``."""
        mixture = mixture_for(videos, {n: self._dims[n] for n in DENSE_VECTORS}, seed=seed)

        def blocks() -> Iterator[Mapping[str, Matrix]]:
            for first in range(0, videos, BLOCK):
                _, drawn = mixture.block(first // BLOCK)
                yield {str(name): rows[: videos - first] for name, rows in drawn.items()}

        return {str(name): rows for name, rows in mixture.queries(queries).items()}, blocks()


class FileVectors:
    """A ``.npy`` of shape (n, dim), or HDF5 in the layout of ann-benchmarks (``train``, ``test``).

    Vectors are brought to unit length. Queries are those of ``test``; without one, rows taken out
    at random. The distance that an HDF5 names must be ``angular``: every engine here asks for the
    inner product of unit vectors.
    """

    synthetic = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._train, self._test = _opened(path)

    @property
    def most(self) -> int:
        """As of ``VectorSource``; without queries of its own, those taken out are still in it."""
        return int(self._train.shape[0])

    @property
    def has_queries(self) -> bool:
        """Whether the file brings queries."""
        return self._test is not None

    def describe(self) -> str:
        """As of ``VectorSource``."""
        return f"{self._path.name}, {self.most} vectors"

    def dims(self) -> dict[str, int]:
        """As of ``VectorSource``."""
        return {ONLY: int(self._train.shape[1])}

    def read(
        self, videos: int, queries: int, seed: int
    ) -> tuple[Mapping[str, Matrix], Iterator[Mapping[str, Matrix]]]:
        """As of ``VectorSource``."""
        if self._test is not None:
            asked = self._unit(self._test, np.arange(min(queries, self._test.shape[0])), "test")
            chosen = _sample(self.most, videos, seed)
        else:
            both = _sample(self.most, videos + queries, seed)
            out = np.zeros(both.size, dtype=bool)
            out[np.random.default_rng([seed, 1]).permutation(both.size)[:queries]] = True
            asked, chosen = self._unit(self._train, both[out], "train"), both[~out]

        def blocks() -> Iterator[Mapping[str, Matrix]]:
            for first in range(0, chosen.size, _ROWS_AT_A_TIME):
                part = chosen[first : first + _ROWS_AT_A_TIME]
                yield {ONLY: self._unit(self._train, part, "train")}

        return {ONLY: asked}, blocks()

    def _unit(self, array: Any, rows: Ids, what: str) -> Matrix:
        taken = np.empty((rows.size, array.shape[1]), dtype=np.float32)
        stretches = rows // _ROWS_AT_A_TIME
        for stretch in np.unique(stretches):
            # Read whole and picked from in memory: HDF5 picks single rows very slowly.
            here = stretches == stretch
            low, high = int(rows[here][0]), int(rows[here][-1]) + 1
            taken[here] = np.asarray(array[low:high], dtype=np.float32)[rows[here] - low]
        lengths = np.linalg.norm(taken, axis=1, keepdims=True)
        bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
        if bad.size:
            raise SourceError(
                f"{self._path}: row {rows[bad[0]]} of {what} is zero or not finite,"
                " so it has no direction"
            )
        unit: Matrix = taken / lengths
        return unit


class GenerationVectors:
    """The vectors of a published index: of the videos that have all of its dense ones.

    Queries are videos taken out at random.
    """

    synthetic = False

    def __init__(self, mirror: Path, *, generation: str) -> None:
        self._mirror = mirror
        self._generation = generation
        reader = FlatReader.open(mirror)
        try:
            self._dims = {str(name): dim for name, dim in reader.dims.items()}
            self._ids = [
                video.video_id
                for batch in reader.scan(with_vectors=True)
                for video in batch
                if len(video.vectors) == len(self._dims)
            ]
        finally:
            reader.close()

    @property
    def most(self) -> int:
        """As of ``VectorSource``."""
        return len(self._ids)

    def describe(self) -> str:
        """As of ``VectorSource``."""
        return f"generation {self._generation}, {self.most} videos with every vector"

    def dims(self) -> dict[str, int]:
        """As of ``VectorSource``."""
        return dict(self._dims)

    def read(
        self, videos: int, queries: int, seed: int
    ) -> tuple[Mapping[str, Matrix], Iterator[Mapping[str, Matrix]]]:
        """As of ``VectorSource``."""
        order = np.random.default_rng(seed).permutation(self.most)
        asked = [self._ids[row] for row in order[:queries]]
        chosen = [self._ids[row] for row in order[queries : queries + videos]]

        def blocks(ids: Sequence[str]) -> Iterator[Mapping[str, Matrix]]:
            reader = FlatReader.open(self._mirror)
            try:
                for first in range(0, len(ids), _ROWS_AT_A_TIME):
                    part = ids[first : first + _ROWS_AT_A_TIME]
                    found = reader.get(part, with_vectors=True)
                    yield {
                        str(name): np.stack([found[one].vectors[name] for one in part])
                        for name in reader.dims
                    }
            finally:
                reader.close()

        [first] = blocks(asked)
        return first, blocks(chosen)


def prepared(
    source: VectorSource, path: Path, *, videos: int, queries: int, seed: int
) -> VectorSet:
    """The set of this source in ``path``, written unless it is there whole already.

    Raises:
        SourceError: a vector without direction, or fewer vectors than asked for.
    """
    dims = source.dims()
    asked, blocks = source.read(videos, queries, seed)
    description = Description(
        source=f"{source.describe()}, seed {seed}",
        synthetic=source.synthetic,
        videos=videos,
        queries=len(next(iter(asked.values()))),
        dims=dims,
        seed=seed,
        digest=_digest(asked),
    )
    if (path / DESCRIPTION).exists():
        there = VectorSet(path)
        if there.description == description:
            return there
        (path / DESCRIPTION).unlink()
    for stale in path.glob(f"{TRUTH}-*.npz"):
        stale.unlink()
    path.mkdir(parents=True, exist_ok=True)
    for name, rows in asked.items():
        np.save(path / f"{name}.queries.npy", rows)
    draws = np.random.default_rng([seed, _SHARES_STREAM]).random(videos, dtype=np.float32)
    np.save(path / "draws.npy", draws)
    files = {
        name: np.lib.format.open_memmap(
            path / f"{name}.npy", mode="w+", dtype=np.float32, shape=(videos, dim)
        )
        for name, dim in dims.items()
    }
    written = 0
    for block in blocks:
        for name, rows in block.items():
            files[name][written : written + len(rows)] = rows
        written += len(next(iter(block.values())))
    for file in files.values():
        file.flush()
    if written != videos:
        raise SourceError(f"{source.describe()}: {written} vectors came of {videos}")
    write_atomically(path / DESCRIPTION, json.dumps(asdict(description)))
    return VectorSet(path)


def _digest(asked: Mapping[str, Matrix]) -> str:
    """Of the queries, which are drawn from all that a source has."""
    found = hashlib.blake2b(digest_size=8)
    for rows in asked.values():
        found.update(np.ascontiguousarray(rows).tobytes())
    return found.hexdigest()


def _sample(of: int, count: int, seed: int) -> Ids:
    """``count`` of the numbers below ``of``, ascending."""
    if count > of:
        raise SourceError(f"{count} vectors are asked for, and there are {of}")
    chosen: Ids = np.sort(np.random.default_rng(seed).permutation(of)[:count])
    return chosen


def _opened(path: Path) -> tuple[Any, Any | None]:
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    arrays: tuple[Any, Any | None]
    if path.suffix == ".npy":
        try:
            # Not np.load, which opens archives and pickles as well.
            array: Any = np.lib.format.open_memmap(path, mode="r")
        except ValueError as error:
            raise SourceError(f"{path}: not a NumPy array: {error}") from error
        arrays = (array, None)
    elif path.suffix in {".hdf5", ".h5"}:
        arrays = _opened_hdf5(path)
    else:
        raise SourceError(f"{path}: neither .npy nor .hdf5")
    for array in arrays:
        if array is not None and (len(array.shape) != 2 or array.dtype.kind not in "fiu"):
            raise SourceError(
                f"{path}: an array of shape {array.shape} and type {array.dtype},"
                " where (vectors, dim) numbers are expected"
            )
        if array is not None and 0 in array.shape:
            raise SourceError(f"{path}: an empty array, of shape {array.shape}")
    train, test = arrays
    if test is not None and test.shape[1] != train.shape[1]:
        raise SourceError(f"{path}: train has {train.shape[1]} dimensions and test {test.shape[1]}")
    return arrays


def _opened_hdf5(path: Path) -> tuple[Any, Any | None]:
    try:
        import h5py
    except ImportError as error:
        raise SourceError(f"{path}: HDF5 needs `pip install 'twinlens[bench]'`") from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise SourceError(f"{path}: not HDF5: {error}") from error
    train, test = file.get("train"), file.get("test")
    if not isinstance(train, h5py.Dataset):
        raise SourceError(f"{path}: no dataset 'train' in it; ann-benchmarks' layout has one")
    distance = file.attrs.get("distance", "angular")
    if distance != "angular":
        raise SourceError(
            f"{path}: its distance is {distance!r}; only 'angular' can be compared here, as"
            " every engine is asked for the inner product of unit vectors"
        )
    if not isinstance(test, h5py.Dataset | None):
        raise SourceError(f"{path}: its 'test' is no dataset; ann-benchmarks' layout has one")
    return train, test
