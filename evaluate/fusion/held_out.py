"""The chosen setting against the default, on queries that had no say in the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from twinlens.evaluate.bootstrap import Mean, mean
from twinlens.evaluate.fusion.setting import Setting, served
from twinlens.evaluate.search.metrics import PerQuery, per_query
from twinlens.evaluate.search.rankings import ask
from twinlens.evaluate.search.tasks import Task
from twinlens.search.searcher import Searcher

COMPARED: Final = ("R@1", "R@10", "nDCG@10")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of the default and of the choice on one task with one title model, query by query."""

    task: Task
    model: str
    default: PerQuery
    chosen: PerQuery

    def to_json(self) -> dict[str, Any]:
        """Both means and their difference, by measure."""
        return {
            "family": self.task.family,
            "task": self.task.name,
            "model": self.model,
            "queries": len(self.task.queries),
            **{
                name: {
                    "default": mean(self.default[name]).to_json(),
                    "chosen": mean(self.chosen[name]).to_json(),
                    "difference": mean(self.chosen[name] - self.default[name]).to_json(),
                }
                for name in COMPARED
            },
        }


def compare(
    searcher: Searcher, task: Task, model: str, chosen: Setting, *, borrows: bool
) -> Comparison:
    """Both asked through the backend, as they would be served."""
    figures = []
    for setting in (served(borrows=borrows), chosen):
        answers = ask(searcher, task, setting.request(borrows=borrows))
        figures.append(per_query(task, {key: one.fused for key, one in answers.items()}, COMPARED))
    return Comparison(task, model, *figures)


def over_families(comparisons: Sequence[Comparison]) -> dict[str, dict[str, tuple[Mean, Mean]]]:
    """By family and measure: the default's mean and by how much the choice is above it.

    All queries of a family are taken together, and those that one title was made into, or one
    sentence in several languages, are resampled together: they are not independent.
    """
    found: dict[str, dict[str, tuple[Mean, Mean]]] = {}
    for family in dict.fromkeys(one.task.family for one in comparisons):
        of = [one for one in comparisons if one.task.family == family]
        found[family] = {
            name: (
                mean(_by_query_id(of, name, chosen=False)),
                mean(_by_query_id(of, name, chosen=True)),
            )
            for name in COMPARED
        }
    return found


def _by_query_id(comparisons: Sequence[Comparison], name: str, *, chosen: bool) -> list[float]:
    """The mean over all that one query id stands for: of the default, or of the difference."""
    values: dict[str, list[float]] = {}
    for one in comparisons:
        figures = one.chosen[name] - one.default[name] if chosen else one.default[name]
        for query_id, value in zip(one.task.queries, figures, strict=True):
            values.setdefault(query_id, []).append(float(value))
    return [float(np.mean(of)) for of in values.values()]
