"""Dense and sparse vectors, operations on them, and a video that has some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import UnencodableItems

Vector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]


class SparseVector(NamedTuple):
    """The values other than 0, and their indices.

    ``indices`` is uint32, rising and without repetition; ``values`` is float32, as long. Neither
    is empty: an empty vector is represented by None.
    """

    indices: npt.NDArray[np.uint32]
    values: npt.NDArray[np.float32]


AnyVector = Vector | SparseVector


@dataclass(frozen=True, slots=True)
class StoredVideo:
    """One video as an index holds it, each vector under the name of the lens that made it.

    ``vectors`` are the dense ones: unit vectors, float32 of shape (dim,); ``sparse`` are the
    others. Both hold only the vectors that the video has. ``payload`` holds JSON values,
    ``video_id`` among them.
    """

    video_id: str
    payload: Mapping[str, Any]
    vectors: Mapping[str, Vector] = field(default_factory=dict)
    sparse: Mapping[str, SparseVector] = field(default_factory=dict)


def to_sparse_vector(entries: Iterable[tuple[int, float]]) -> SparseVector:
    """Return a sparse vector of (index, value) pairs, each index given once, in any order."""
    indices, values = zip(*sorted(entries), strict=True)
    return SparseVector(np.array(indices, dtype=np.uint32), np.array(values, dtype=np.float32))


def unit_rows(matrix: npt.NDArray[np.floating]) -> FloatMatrix:
    """Return a new float32 array whose rows are those of ``matrix``, scaled to unit length.

    Raises:
        UnencodableItems: rows that are zero or not finite, by number.
    """
    rows = np.array(matrix, dtype=np.float32, ndmin=2)
    norms = np.linalg.norm(rows, axis=1)
    bad = np.flatnonzero(~np.isfinite(norms) | (norms < 1e-12))
    if bad.size:
        raise UnencodableItems([int(row) for row in bad])
    rows /= norms[:, None]
    return rows


def find_direction(vectors: Sequence[Vector]) -> Vector:
    """Return the unit vector along the mean of unit vectors, of which there is at least one.

    Raises:
        UnencodableItems: they cancel each other out.
    """
    if len(vectors) == 1:
        return vectors[0]
    row: Vector = unit_rows(np.mean(np.stack(vectors), axis=0, dtype=np.float64))[0]
    return row


def find_share(asked: SparseVector, held: SparseVector | None) -> float:
    """Return the share, 0 to 1, of the weight of ``asked`` on indices that ``held`` has, too."""
    if held is None:
        return 0.0
    return float(asked.values[find_held(asked, held)].sum() / asked.values.sum())


def find_held(asked: SparseVector, held: SparseVector) -> npt.NDArray[np.bool_]:
    """Return for each index of ``asked`` whether ``held`` has it; quicker than ``np.isin``."""
    if not held.indices.size:
        return np.zeros(asked.indices.size, dtype=np.bool_)
    at = np.searchsorted(held.indices, asked.indices)
    at[at == held.indices.size] = 0
    found: npt.NDArray[np.bool_] = held.indices[at] == asked.indices
    return found
