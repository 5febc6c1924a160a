"""In how many videos of a generation each index of its sparse vectors occurs.

The rarer an index, the more it weighs in a query: by the inverse document frequency of BM25, as
Qdrant's modifier ``idf`` has it. Qdrant counts by itself, but in each shard, so that what a search
finds would depend on how the videos are shared out. Here they are counted when a generation is
published.

A table is hashed, and of one size however many videos there are: two rows of places, in each of
which an index has one. A place holds the count of its most frequent index, and the lower of the two
counts. So it is never too low, and too high only where more frequent ones have both places.

Sources: Robertson, Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond, 2009. Cormode,
Muthukrishnan: An improved data stream summary: the count-min sketch and its applications, 2005.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import StoreCorrupt
from twinlens.catalog.files import write_atomically
from twinlens.catalog.vectors import SparseVector, StoredVideo
from twinlens.catalog.versions import refuse_newer
from twinlens.stores.checksums import FREQUENCY_FILES, WAY_OUT, require_unchanged
from twinlens.stores.generations import FREQUENCIES_FORMAT, DataDir, Manifest

_PLACES_LOG2: Final = 19
# Odd, for multiplicative hashing of 32 bits (Knuth: The Art of Computer Programming 3, 6.4).
_MULTIPLIERS: Final = np.array([[2654435769], [2246822519]], dtype=np.uint32)
_SHAPE: Final = (len(_MULTIPLIERS), 1 << _PLACES_LOG2)
# So many indices are counted at once: 16 MB.
_MOST_PENDING: Final = 1 << 22

Counts = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class DocumentFrequencies:
    """How many videos have a vector by each sparse lens, and the table of those with an index."""

    videos: Mapping[str, int]
    tables: Mapping[str, Counts]

    def weigh(self, lens: str, asked: SparseVector) -> SparseVector:
        """Return a query of this lens, each value times the inverse document frequency."""
        row = np.arange(len(_MULTIPLIERS))[:, None]
        having = self.tables[lens][row, _find_places(asked.indices)].min(axis=0)
        idf = np.log1p((self.videos[lens] - having + 0.5) / (having + 0.5))
        return SparseVector(asked.indices, (asked.values * idf).astype(np.float32))


@dataclass(slots=True)
class FrequencyCounter:
    """Counts in how many videos the indices of these sparse lenses occur."""

    lenses: Iterable[str]
    _of: dict[str, _LensCounter] = field(init=False)

    def __post_init__(self) -> None:
        self._of = {name: _LensCounter() for name in self.lenses}

    def add(self, videos: Iterable[StoredVideo]) -> None:
        """Count videos, each given once."""
        for video in videos:
            for name, vector in video.sparse.items():
                self._of[name].add(vector.indices)

    def finish(self) -> DocumentFrequencies:
        """Return what was counted."""
        return DocumentFrequencies(
            {name: of.videos for name, of in self._of.items()},
            {name: of.make_table() for name, of in self._of.items()},
        )


class _LensCounter:
    def __init__(self) -> None:
        self.videos = 0
        self._pending: list[npt.NDArray[np.uint32]] = []
        self._pending_size = 0
        self._indices = np.empty(0, dtype=np.uint32)
        self._counts = np.empty(0, dtype=np.uint32)

    def add(self, indices: npt.NDArray[np.uint32]) -> None:
        self.videos += 1
        self._pending.append(indices)
        self._pending_size += indices.size
        if self._pending_size > _MOST_PENDING:
            self._merge()

    def make_table(self) -> Counts:
        self._merge()
        table = np.zeros(_SHAPE, dtype=np.uint32)
        for row, places in zip(table, _find_places(self._indices), strict=True):
            np.maximum.at(row, places, self._counts)
        return table

    def _merge(self) -> None:
        every = np.concatenate([self._indices, *self._pending])
        ones = np.ones(self._pending_size, dtype=np.uint32)
        self._pending, self._pending_size = [], 0
        self._indices, inverse = np.unique(every, return_inverse=True)
        counts = np.bincount(inverse, weights=np.concatenate([self._counts, ones]))
        self._counts = counts.astype(np.uint32)


def write_frequencies(folder: Path, found: DocumentFrequencies) -> None:
    """Write the tables to the folder of a generation; its manifest counts the videos."""
    (folder / FREQUENCY_FILES).mkdir(exist_ok=True)
    for name, table in found.tables.items():
        write_atomically(_locate(folder, name), partial(np.save, arr=table), durable=False)


def read_frequencies(data: DataDir, manifest: Manifest) -> DocumentFrequencies | None:
    """Return the tables of a generation, mapped; None if its Qdrant weighs queries by itself.

    Raises:
        StoreCorrupt: they are not as they were published.
        StoreError: a newer TwinLens made them.
    """
    if manifest.frequencies is None:
        return None
    refuse_newer("the table of document frequencies has", manifest.frequencies, FREQUENCIES_FORMAT)
    require_unchanged(data, manifest, part=FREQUENCY_FILES, way_out=WAY_OUT)
    folder = data.locate_generation(manifest.generation)
    sparse = [name for name, dim in manifest.dims.items() if dim is None]
    return DocumentFrequencies(
        {name: manifest.counts[name] for name in sparse},
        {name: _map(_locate(folder, name)) for name in sparse},
    )


def _map(path: Path) -> Counts:
    try:
        table: Counts = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise StoreCorrupt(f"{path} can't be read: {error}. {WAY_OUT}") from error
    if table.shape != _SHAPE or table.dtype != np.uint32:
        raise StoreCorrupt(f"{path} is no table of document frequencies. {WAY_OUT}")
    return table


def _locate(folder: Path, lens: str) -> Path:
    return folder / FREQUENCY_FILES / f"{lens}.npy"


def _find_places(indices: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return the place of each index in each row."""
    return (indices * _MULTIPLIERS) >> np.uint32(32 - _PLACES_LOG2)
