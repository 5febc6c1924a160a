"""One flat FAISS index under an id map, in memory and in its file with a stamp behind it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import StoreCorrupt
from twinlens.catalog.vectors import Vector

STAMP_BYTES: Final = 16

Ids = npt.NDArray[np.int64]


def read_index(path: Path, name: str, dim: int, stamp: bytes, *, writable: bool) -> Any:
    """Return the index of vector ``name`` in ``path`` whose file has this stamp.

    Raises:
        StoreCorrupt: there is none, or FAISS can't read it.
    """
    final, pending = locate_final(path, name), locate_pending(path, name)
    file = next((file for file in (final, pending) if _read_stamp(file) == stamp), None)
    if file is None:
        raise StoreCorrupt(f"{final}: missing, cut short or of another state than the database")
    if writable and file == pending:
        # The flush was killed between its commit and this.
        pending.replace(final)
        file = final
    try:
        # A mapped index can't grow: FAISS aborts the process where one tries.
        index = faiss.read_index(str(file), 0 if writable else faiss.IO_FLAG_MMAP_IFC)
    except (RuntimeError, MemoryError) as error:  # a damaged size asks for much of the latter
        raise StoreCorrupt(f"{file}: FAISS can't read it: {error}") from error
    if index.d != dim:
        raise StoreCorrupt(f"{file}: vectors of length {index.d}, where {dim} is expected")
    return index


def make_empty_index(dim: int) -> Any:
    """Return an index with nothing in it."""
    return faiss.IndexIDMap(faiss.IndexFlatIP(dim))


def write_index(index: Any, file: Path, stamp: bytes) -> None:
    """Write the index and its stamp; both survive a loss of power."""
    faiss.write_index(index, str(file))
    with file.open("ab") as opened:
        opened.write(stamp)
        opened.flush()
        os.fsync(opened.fileno())


def _read_stamp(file: Path) -> bytes | None:
    try:
        with file.open("rb") as opened:
            opened.seek(-STAMP_BYTES, os.SEEK_END)
            return opened.read()
    except OSError:
        return None


def locate_final(path: Path, name: str) -> Path:
    """Return where the index of vector ``name`` lies."""
    return path / f"{name}.faiss"


def locate_pending(path: Path, name: str) -> Path:
    """Return where it is written before the database decides."""
    return path / f"{name}.faiss.new"


class RowFinder:
    """Finds the rows of an index by id; void once the index changes."""

    def __init__(self, index: Any) -> None:
        keys: Ids = faiss.vector_to_array(index.id_map)
        # Ids grow as videos come, so this sorts what is all but sorted: linear time.
        rising = bool((keys[1:] > keys[:-1]).all())
        self._order = None if rising else np.argsort(keys, kind="stable")
        self._keys = keys if self._order is None else keys[self._order]

    def find(self, wanted: Ids) -> tuple[npt.NDArray[np.bool_], Ids]:
        """Return which of ``wanted`` the index holds, and the rows of those, in their order."""
        if not self._keys.size:
            return np.zeros(wanted.shape, dtype=np.bool_), np.empty(0, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._keys, wanted), self._keys.size - 1)
        present = self._keys[at] == wanted
        return present, at[present] if self._order is None else self._order[at[present]]


def find_rows(index: Any, wanted: Ids) -> tuple[npt.NDArray[np.bool_], Ids]:
    """Return which of ``wanted`` the index holds, and the rows of those, in their order."""
    return RowFinder(index).find(wanted)


def view_vectors(index: Any) -> npt.NDArray[np.float32]:
    """Return a view of the index's own memory, shape (ntotal, d); void once the index grows."""
    if index.ntotal == 0:
        return np.empty((0, index.d), dtype=np.float32)
    flat: Any = faiss.downcast_index(index.index)
    view: npt.NDArray[np.float32] = faiss.rev_swig_ptr(flat.get_xb(), index.ntotal * index.d)
    return view.reshape(index.ntotal, index.d)


def put(index: Any, vectors: Mapping[int, Vector]) -> int:
    """Add or overwrite vectors by id, and say how many."""
    if not vectors:
        return 0
    keys = np.fromiter(vectors, dtype=np.int64, count=len(vectors))
    matrix = np.stack(list(vectors.values()))
    present, rows = find_rows(index, keys)
    # In place: taking rows out of a flat index moves all that stand behind them.
    view_vectors(index)[rows] = matrix[present]
    if not present.all():
        index.add_with_ids(matrix[~present], keys[~present])
    return len(vectors)


def remove(index: Any, keys: Sequence[int]) -> int:
    """Remove the vectors of these ids, and say how many there were."""
    present, _ = find_rows(index, np.array(keys, dtype=np.int64))
    if not present.any():
        return 0
    return int(index.remove_ids(faiss.IDSelectorBatch(np.array(keys, dtype=np.int64)[present])))


def make_search_parameters(selector: Any) -> Any:
    """Return FAISS's parameters for a search among those that ``selector`` selects."""
    parameters: Any = faiss.SearchParameters
    return parameters(sel=selector)


@contextmanager
def use_omp_threads(count: int) -> Iterator[None]:
    """Let FAISS use ``count`` threads in this thread's calls."""
    # OpenMP keeps this number per calling thread, so others are left alone.
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
