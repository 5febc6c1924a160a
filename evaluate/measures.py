"""Measures of rankings, one number a query, and how sure their means are.

The measures are by ``ir-measures``, which asks trec_eval, the reference of the field, and brings
one small package with it; ``ranx`` computes the same and brings numba, llvmlite and twelve more.

Sources: Efron: Bootstrap Methods: Another Look at the Jackknife, 1979 (percentile intervals);
Sakai: Evaluating Evaluation Metrics based on the Bootstrap, SIGIR 2006 (paired, over queries).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import UsageError
from twinlens.evaluate.tasks import Qrels

DEPTH: Final = 10
# The names are those of ir-measures: R@k is recall, RR the reciprocal rank, P@10 the precision.
MEASURES: Final = ("R@1", "R@10", "RR@10", "nDCG@10", "P@10")
# What one ranking is compared with another by, where one number must do.
CHIEF: Final = "R@10"
# How good an order is: the first ten count, the higher the more.
JUDGED_BY: Final = "nDCG@10"
# The name of the ranking that is made of all others.
FUSION: Final = "fusion"
# Packages that the figures depend on, besides those that every result does.
LIBRARIES: Final = ("ir-measures", "pytrec-eval-terrier", "bm25s", "regex")
_RESAMPLES: Final = 2000
_CHUNK: Final = 100  # resamples in memory at a time

PerQuery = dict[str, npt.NDArray[np.float64]]


class Mean(NamedTuple):
    """A mean, and the ends of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_mean(values: npt.ArrayLike) -> Mean:
    """Return the mean of one number per query, and its interval.

    Given the differences between two rankings of the same queries, this is the paired bootstrap.
    The resampling is seeded, and the same for all arrays of one length.

    Raises:
        ValueError: there is no value.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.size == 0:
        raise ValueError("there is no mean of nothing")
    rng = np.random.default_rng(0)
    size = _CHUNK, given.size
    drawn = (rng.integers(given.size, size=size) for _ in range(0, _RESAMPLES, _CHUNK))
    means = np.concatenate([given[rows].mean(axis=1) for rows in drawn])
    low, high = np.percentile(means, [2.5, 97.5])
    return Mean(float(given.mean()), float(low), float(high))


def measure_rankings(
    qrels: Qrels,
    ranked: Mapping[str, Sequence[str]],
    names: Sequence[str] = MEASURES,
    *,
    depth: int = DEPTH,
) -> PerQuery:
    """Each measure of every query: float64 arrays in the order of ``qrels``.

    ``ranked`` holds video ids, the best first, by query id. The first ``depth`` count; a query
    without an answer counts 0.

    Raises:
        UsageError: ``ir-measures`` is not installed.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise UsageError("this needs ir-measures: pip install 'twinlens[evaluate]'") from error
    # By rank alone: trec_eval would order equal scores by id.
    run = {
        key: {one: float(-at) for at, one in enumerate(ranked.get(key, ())[:depth])}
        for key in qrels
    }
    given = {key: dict(relevant) for key, relevant in qrels.items()}
    parsed = {name: ir_measures.parse_measure(name) for name in names}
    calculated = ir_measures.iter_calc([*parsed.values()], given, run)
    found = {(one.measure, one.query_id): float(one.value) for one in calculated}
    return {
        name: np.array([found.get((one, key), 0.0) for key in qrels])
        for name, one in parsed.items()
    }
