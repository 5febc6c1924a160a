"""Measures of rankings, one number a query, by ``ir-measures``.

``ir-measures`` asks trec_eval, the reference of the field, and brings one small package with it;
``ranx`` computes the same and brings numba, llvmlite and twelve more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import UsageError
from twinlens.evaluate.tasks import Qrels, Task

DEPTH: Final = 10
# The names are those of ir-measures: R@k is recall, RR the reciprocal rank, P@10 the precision.
MEASURES: Final = ("R@1", "R@10", "RR@10", "nDCG@10", "P@10")
# What one ranking is compared with another by, where one number must do.
CHIEF: Final = "R@10"
# Packages that the figures depend on, besides those that every result does.
LIBRARIES: Final = ("ir-measures", "pytrec-eval-terrier", "bm25s", "regex")

PerQuery = dict[str, npt.NDArray[np.float64]]


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
        query_id: {
            video_id: float(depth - at)
            for at, video_id in enumerate(ranked.get(query_id, ())[:depth])
        }
        for query_id in qrels
    }
    row = {query_id: at for at, query_id in enumerate(qrels)}
    found = {name: np.zeros(len(row)) for name in names}
    by_measure = {ir_measures.parse_measure(name): name for name in names}
    given = {query_id: dict(relevant) for query_id, relevant in qrels.items()}
    for one in ir_measures.iter_calc(list(by_measure), given, run):
        found[by_measure[one.measure]][row[one.query_id]] = one.value
    return found


def measure_task(
    task: Task, ranked: Mapping[str, Sequence[str]], names: Sequence[str] = MEASURES
) -> PerQuery:
    """Measure the queries of ``task``, in their order; see ``measure_rankings``."""
    return measure_rankings({key: task.qrels[key] for key in task.queries}, ranked, names)
