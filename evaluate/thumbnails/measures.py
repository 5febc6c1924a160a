"""What is measured of vectors: are damaged pictures found, are neighbours alike, is the code alive?

Everything is by cosine, as in the index. A vector of zeros is as far from all others as from
itself. Similarities within 1e-6 are ties, and count as ties broken at random would on average.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.thumbnails.evaluate import effective_rank

# Rounding of a float32 product of unit vectors; identical rows may differ by as much.
_TIE: Final = 1e-6
_BLOCK: Final = 1024

Shares = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


class Health(NamedTuple):
    """What a code makes of its outputs over all pictures.

    ``dead_outputs`` are the same for every picture, ``ever_nonzero`` are not 0 for some picture;
    ``zero_vectors`` counts pictures that get nothing but zeros. ``effective_rank`` is between 1
    and ``dim``, of the vectors at unit length.
    """

    dim: int
    dead_outputs: int
    ever_nonzero: int
    zero_vectors: int
    effective_rank: float


def unit_or_zero(codes: FloatMatrix) -> FloatMatrix:
    """Rows of ``codes`` at unit length; rows of zeros stay."""
    norms = np.linalg.norm(codes, axis=1, keepdims=True)
    unit: FloatMatrix = np.divide(codes, norms, where=norms > 0, out=np.zeros_like(codes))
    return unit


def found(queries: FloatMatrix, gallery: FloatMatrix, places: Places, *, within: int) -> Shares:
    """For each query, 1 where the row of ``gallery`` at its place is among the first ``within``.

    Rows are of unit length, or zero. Where others tie with that row, its chance to be among them.
    """
    shares = np.empty(len(places))
    for block in _blocks(len(places)):
        similarity = queries[block] @ gallery.T
        own = np.take_along_axis(similarity, places[block, None], axis=1)
        before = (similarity > own + _TIE).sum(axis=1)
        tied = (np.abs(similarity - own) <= _TIE).sum(axis=1)
        shares[block] = np.clip((within - before) / tied, 0.0, 1.0)
    return shares


def alike(
    gallery: FloatMatrix, categories: npt.NDArray[np.str_], places: Places, *, within: int
) -> Shares:
    """For each row at ``places``, the share of its nearest ``within`` rows of its category.

    The row itself is left out. Where rows tie for the last of the places, each fills a part.
    """
    shares = np.empty(len(places))
    for block in _blocks(len(places)):
        asked = places[block]
        similarity = gallery[asked] @ gallery.T
        similarity[np.arange(len(asked)), asked] = -np.inf
        last = -np.partition(-similarity, within - 1, axis=1)[:, within - 1 : within]
        inside = similarity > last + _TIE
        tied = np.abs(similarity - last) <= _TIE
        same = categories[asked, None] == categories
        part = (within - inside.sum(axis=1)) / tied.sum(axis=1)
        shares[block] = ((same & inside).sum(axis=1) + part * (same & tied).sum(axis=1)) / within
    return shares


def health(codes: FloatMatrix) -> Health:
    """Of ``codes`` as the encoder gave them, float32 (n, dim)."""
    largest = float(np.abs(codes).max(initial=0.0))
    return Health(
        dim=codes.shape[1],
        dead_outputs=int((np.ptp(codes, axis=0) <= 1e-6 * largest).sum()),
        ever_nonzero=int((codes != 0).any(axis=0).sum()),
        zero_vectors=int((~codes.any(axis=1)).sum()),
        effective_rank=effective_rank(unit_or_zero(codes)),
    )


def _blocks(rows: int) -> list[slice]:
    """A table of all similarities at once would take gigabytes from 20,000 pictures on."""
    return [slice(start, start + _BLOCK) for start in range(0, rows, _BLOCK)]
