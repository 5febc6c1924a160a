"""Which values have a row of their own in a table of embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]


class Vocabulary:
    """The values that are known, by rank; the code of the first is 1.

    Code 0 is out of vocabulary: its row of an embedding is zero and stays so.
    """

    def __init__(self, values: Sequence[str]) -> None:
        self.values = tuple(values)

    @classmethod
    def fit(cls, values: Iterable[str | None], *, most: int) -> Self:
        """Return the ``most`` frequent of ``values``, ties by text.

        Source: Covington et al. 2016, section 4.1: the top N by frequency in clicked impressions.
        """
        counts = Counter(values)
        ranked = sorted((-count, value) for value, count in counts.items() if value is not None)
        return cls([value for _, value in ranked[:most]])

    @cached_property
    def codes(self) -> dict[str, int]:
        """The code of each value."""
        return {value: code for code, value in enumerate(self.values, start=1)}

    def __len__(self) -> int:
        """Return how many rows a table of embeddings has: one a value, and the zero row."""
        return len(self.values) + 1

    def encode(self, values: Iterable[Any]) -> Codes:
        """Return a code a value, 0 for None and for what is unknown."""
        return np.fromiter((self.codes.get(value, 0) for value in values), np.int32)

    @property
    def dim(self) -> int:
        """The length of an embedding: about twice the logarithm of the vocabulary, at most 32.

        Source: Covington et al. 2016, section 4.1: proportional to the logarithm.
        """
        return int(np.clip(round(2 * np.log(len(self))), 2, 32))
