"""A vector that is nearly all zeros."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class SparseVector(NamedTuple):
    """The values other than 0, and where they stand.

    ``indices`` is uint32, rising and without repetition; ``values`` is float32, as long. Neither
    is empty: what has no values has no vector.
    """

    indices: npt.NDArray[np.uint32]
    values: npt.NDArray[np.float32]


def sparse_vector(entries: Iterable[tuple[int, float]]) -> SparseVector:
    """A sparse vector of (index, value) pairs, each index given once, in any order."""
    indices, values = zip(*sorted(entries), strict=True)
    return SparseVector(np.array(indices, dtype=np.uint32), np.array(values, dtype=np.float32))
