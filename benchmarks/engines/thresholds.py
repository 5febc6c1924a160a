"""From which size on Qdrant builds a graph, lowered where a set is too small to get one."""

from __future__ import annotations

from twinlens.benchmarks.engines.vectors import VectorSet
from twinlens.stores.qdrant_schema import FULL_SCAN_THRESHOLD_KB


def lowered_threshold_kb(vectors: VectorSet, *, segments: int = 1, least: int = 1) -> int:
    """Qdrant's own threshold in KB, or a quarter of the smallest vectors that a segment holds.

    So every vector of a set gets a graph, in each of so many equal ``segments``. ``least`` is the
    smallest threshold that the engine takes.
    """
    smallest_kb = vectors.videos * min(vectors.dims.values()) * 4 // 1024
    return min(FULL_SCAN_THRESHOLD_KB, max(least, smallest_kb // max(1, segments) // 4))
