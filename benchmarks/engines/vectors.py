"""The vectors of a comparison: on disk, mapped into memory, the same for every engine.

A set is written once, block by block, so that a million vectors need no more memory than a block,
and every process that measures maps the same files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

# The share of the videos that each filtered search lets through.
SHARES: Final = (0.5, 0.1, 0.01, 0.001)
# The name of the only vector of a file.
ONLY: Final = "vector"
# The file that makes a directory a set; it is written last.
DESCRIPTION: Final = "set.json"
# How the files with its exact answers begin, which are of no use to another set.
TRUTH: Final = "truth"


@dataclass(frozen=True, slots=True)
class Description:
    """What a set holds and where it is from; ``synthetic`` vectors say nothing about quality."""

    source: str
    synthetic: bool
    videos: int
    queries: int
    dims: Mapping[str, int]
    seed: int
    # Tells sets of one description apart, as where a file was replaced by another of its name.
    digest: str = ""


class VectorSet:
    """Unit vectors of ``videos`` videos, whose ids are their rows, and the queries asked of them.

    Arrays are float32, memory-mapped and read-only: ``rows(name)`` (videos, dim), ``queries(name)``
    (queries, dim). ``draws`` (videos,) is uniform in [0, 1): a filter of share 0.1 lets through
    the videos whose draw is below 0.1, which has nothing to do with their vectors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrays: dict[str, Matrix] = {}
        self.description = Description(
            **json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        )

    @property
    def videos(self) -> int:
        """How many videos there are."""
        return self.description.videos

    @property
    def dims(self) -> Mapping[str, int]:
        """Length of each named vector; the first is the one that single searches ask."""
        return self.description.dims

    @property
    def first(self) -> str:
        """The name of the vector that single searches ask."""
        return next(iter(self.dims))

    def rows(self, name: str) -> Matrix:
        """The vectors of this name, in the order of their ids."""
        return self._mapped(f"{name}.npy")

    def queries(self, name: str) -> Matrix:
        """The queries for this name; none is a vector of the set."""
        return self._mapped(f"{name}.queries.npy")

    @property
    def draws(self) -> Matrix:
        """One number a video, which decides what filters let through."""
        return self._mapped("draws.npy")

    def passing(self, share: float) -> Ids:
        """The ids of the videos that the filter of this share lets through, ascending."""
        return np.flatnonzero(self.draws < share)

    def tags(self, ids: Ids) -> list[list[str]]:
        """For each video the shares whose filters let it through, as its payload says it."""
        return [
            [str(share) for share in SHARES if draw < share] for draw in self.draws[ids].tolist()
        ]

    @property
    def size_bytes(self) -> int:
        """What all vectors take, four bytes a value."""
        return self.videos * sum(self.dims.values()) * 4

    def _mapped(self, file: str) -> Matrix:
        if file not in self._arrays:
            self._arrays[file] = np.load(self.path / file, mmap_mode="r")
        return self._arrays[file]
