"""Where the vectors of a comparison come from: a published index, a file, or a seeded mixture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from twinlens.benchmarks.drawn_index import mixture_for
from twinlens.benchmarks.engines.vectors import (
    DESCRIPTION,
    ONLY,
    TRUTH,
    Description,
    Ids,
    Matrix,
    VectorSet,
)
from twinlens.benchmarks.mixture import BLOCK
from twinlens.catalog.errors import SourceError
from twinlens.catalog.files import write_atomically
from twinlens.catalog.video import DENSE_VECTORS
from twinlens.stores.flat import FlatReader

_ROWS_AT_A_TIME: Final = 10_000
# Lengths within this of 1 are rounding, as of numbers kept in two bytes.
_UNIT_TOLERANCE: Final = 1e-3
_SHARES_STREAM: Final = 77


_Exact = npt.NDArray[np.float64]


class VectorSource(Protocol):
    """Where vectors come from."""

    @property
    def synthetic(self) -> bool:
        """Whether they were drawn, and no encoder made them."""
        ...

    @property
    def most(self) -> int | None:
        """How many videos it has, with queries taken out of them; None: as many as one likes."""
        ...

    @property
    def has_queries(self) -> bool:
        """Whether it has queries of its own, and none need be taken out of the videos."""
        ...

    @property
    def most_queries(self) -> int | None:
        """How many queries of its own it has; None: as many as one likes, or none at all."""
        ...

    def check(self) -> None:
        """Read all of it once.

        Raises:
            SourceError: a vector has no direction.
        """
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
    has_queries = True
    most_queries = None

    def __init__(self, dims: Mapping[str, int]) -> None:
        self._dims = dict(dims)

    def check(self) -> None:
        """See ``VectorSource``: they are drawn so that each has a direction."""

    def describe(self) -> str:
        """See ``VectorSource``."""
        return "synthetic: a seeded mixture of Gaussians on the sphere"

    def dims(self) -> dict[str, int]:
        """See ``VectorSource``."""
        return dict(self._dims)

    def read(
        self, videos: int, queries: int, seed: int
    ) -> tuple[Mapping[str, Matrix], Iterator[Mapping[str, Matrix]]]:
        """See ``VectorSource``."""
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
        self._train, self._test, self._named = _opened(path)
        # None until all were read.
        self._are_unit: bool | None = None

    @property
    def most(self) -> int:
        """See ``VectorSource``; without queries of its own, those taken out are still in it."""
        return int(self._train.shape[0])

    @property
    def has_queries(self) -> bool:
        """See ``VectorSource``."""
        return self._test is not None

    @property
    def most_queries(self) -> int | None:
        """See ``VectorSource``."""
        return None if self._test is None else int(self._test.shape[0])

    def check(self) -> None:
        """See ``VectorSource``; block by block, and once only."""
        if self._are_unit is not None:
            return
        are_unit = True
        for array, what in ((self._train, "train"), (self._test, "test")):
            if array is None:
                continue
            for first in range(0, array.shape[0], _ROWS_AT_A_TIME):
                last = min(first + _ROWS_AT_A_TIME, array.shape[0])
                _, lengths = self._directions(array, np.arange(first, last), what)
                are_unit = are_unit and bool(np.all(np.abs(lengths - 1) <= _UNIT_TOLERANCE))
        self._are_unit = are_unit

    def describe(self) -> str:
        """See ``VectorSource``; it reads the file where ``check`` has not.

        Raises:
            SourceError: a vector has no direction.
        """
        self.check()
        return (
            f"{self._path.name}, {self.most} vectors"
            + ("" if self._are_unit else ", brought to unit length")
            + ("" if self._named else ", distance not named, taken as angular")
        )

    def dims(self) -> dict[str, int]:
        """See ``VectorSource``."""
        return {ONLY: int(self._train.shape[1])}

    def read(
        self, videos: int, queries: int, seed: int
    ) -> tuple[Mapping[str, Matrix], Iterator[Mapping[str, Matrix]]]:
        """See ``VectorSource``."""
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
            here = stretches == stretch
            taken[here], _ = self._directions(array, rows[here], what)
        return taken

    def _directions(self, array: Any, rows: Ids, what: str) -> tuple[_Exact, _Exact]:
        """These rows, which lie close together, as unit vectors, and how long they were."""
        # Read whole and picked from in memory: HDF5 picks single rows very slowly.
        low, high = int(rows[0]), int(rows[-1]) + 1
        given = np.asarray(array[low:high], dtype=np.float64)[rows - low]
        # By the largest value first, whose square may be more or less than a number can hold.
        largest = np.abs(given).max(axis=1, keepdims=True)
        bad = np.flatnonzero(~(np.isfinite(largest[:, 0]) & (largest[:, 0] > 0)))
        if bad.size:
            raise SourceError(
                f"{self._path}: row {rows[bad[0]]} of {what} is zero or not finite,"
                " so it has no direction"
            )
        given /= largest
        lengths = np.linalg.norm(given, axis=1, keepdims=True)
        with np.errstate(over="ignore"):
            return given / lengths, (lengths * largest)[:, 0]


class GenerationVectors:
    """The vectors of a published index: of the videos that have all of its dense ones.

    Queries are videos taken out at random.
    """

    synthetic = False
    has_queries = False
    most_queries = None

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
        """See ``VectorSource``."""
        return len(self._ids)

    def check(self) -> None:
        """See ``VectorSource``, block by block."""
        reader = FlatReader.open(self._mirror)
        try:
            for batch in reader.scan(with_vectors=True):
                for video in batch:
                    for name, vector in video.vectors.items():
                        if not (np.all(np.isfinite(vector)) and np.any(vector)):
                            raise SourceError(
                                f"generation {self._generation}: the {name} of video"
                                f" {video.video_id} is zero or not finite, so it has no direction"
                            )
        finally:
            reader.close()

    def describe(self) -> str:
        """See ``VectorSource``."""
        return f"generation {self._generation}, {self.most} videos with every vector"

    def dims(self) -> dict[str, int]:
        """See ``VectorSource``."""
        return dict(self._dims)

    def read(
        self, videos: int, queries: int, seed: int
    ) -> tuple[Mapping[str, Matrix], Iterator[Mapping[str, Matrix]]]:
        """See ``VectorSource``."""
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


def _opened(path: Path) -> tuple[Any, Any | None, bool]:
    """Vectors, queries where there are some, and whether it is sure how they are compared."""
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    train: Any
    test: Any | None
    if path.suffix == ".npy":
        try:
            # Not np.load, which opens archives and pickles as well.
            train, test = np.lib.format.open_memmap(path, mode="r"), None
        except ValueError as error:
            raise SourceError(f"{path}: not a NumPy array: {error}") from error
        named = True
    elif path.suffix in {".hdf5", ".h5"}:
        train, test, named = _opened_hdf5(path)
    else:
        raise SourceError(f"{path}: neither .npy nor .hdf5")
    for array in (train, test):
        if array is not None and (len(array.shape) != 2 or array.dtype.kind not in "fiu"):
            raise SourceError(
                f"{path}: an array of shape {array.shape} and type {array.dtype},"
                " where (vectors, dim) numbers are expected"
            )
        if array is not None and 0 in array.shape:
            raise SourceError(f"{path}: an empty array, of shape {array.shape}")
    if test is not None and test.shape[1] != train.shape[1]:
        raise SourceError(f"{path}: train has {train.shape[1]} dimensions and test {test.shape[1]}")
    return train, test, named


def _opened_hdf5(path: Path) -> tuple[Any, Any | None, bool]:
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
    distance = file.attrs.get("distance")
    named = distance is not None
    distance = _as_text(distance) if named else "angular"
    if not isinstance(distance, str) or distance != "angular":
        raise SourceError(
            f"{path}: its distance is {distance!r}; only 'angular' can be compared here, as"
            " every engine is asked for the inner product of unit vectors"
        )
    if not isinstance(test, h5py.Dataset | None):
        raise SourceError(f"{path}: its 'test' is no dataset; ann-benchmarks' layout has one")
    return train, test, named


def _as_text(attribute: Any) -> Any:
    """What an attribute of HDF5 says, which may be bytes, or an array of one of them."""
    one = attribute
    if isinstance(one, np.ndarray) and one.size == 1:
        one = one.item()
    return one.decode("utf-8", "replace") if isinstance(one, bytes) else one
