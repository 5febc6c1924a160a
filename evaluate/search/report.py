"""The figures for a person: a table of every task, and what the fusion gains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.evaluate.search.metrics import CHIEF
from twinlens.evaluate.search.results import FUSION, Lead, Measured, Row, TaskResult

_SINGLE_ANSWER: Final = ("R@1", "R@10", "RR@10", "nDCG@10")
_MANY_ANSWERS: Final = ("P@10", "RR@10", "nDCG@10", "R@10")
_OF_A_TITLE_MODEL: Final = (TITLE, FUSION)
_NAME_WIDTH: Final = 34
_WIDTH: Final = 23


def table(measured: Measured) -> str:
    """One block a task: its rankings, with 95 % bootstrap intervals, and the fusion's lead."""
    lines: list[str] = []
    for result in measured.results:
        lines += [*_block(result), ""]
    lines += _standing(measured.results)
    lines += [f"left out: {model}: {why}" for model, why in measured.failed.items()]
    return "\n".join(lines).rstrip("\n")


def _standing(results: Sequence[TaskResult]) -> Iterator[str]:
    """On how many tasks each model's fusion is above its rivals in ``CHIEF``."""
    leads: dict[tuple[str, str], list[Lead]] = {}
    for result in results:
        for lead in result.leads():
            rival = "best single" if lead.rival in (TITLE, THUMBNAIL, WORDS) else lead.rival
            leads.setdefault((lead.model, rival), []).append(lead)
    for (model, rival), of in leads.items():
        above = [lead for lead in of if lead.difference.value > 0]
        level = sum(lead.difference.value == 0 for lead in of)
        apart = sum(lead.apart for lead in above)
        yield (
            f"{CHIEF}, {short(model)}: fusion above {rival} on {len(above)} of {len(of)} tasks "
            f"(intervals apart on {apart}), equal on {level}"
        )


def _block(result: TaskResult) -> Iterator[str]:
    task = result.task
    columns = _MANY_ANSWERS if task.many_relevant else _SINGLE_ANSWER
    heading = "".join(f"{name:>{_WIDTH}}" for name in columns)
    size = f"{len(task.queries)} queries, {len(task.corpus.videos)} videos"
    yield f"{task.family}: {task.name} ({size})"
    yield f"  {'mean [95 %]':<{_NAME_WIDTH}}{heading}"
    for label, row in labelled(result.rows):
        means = row.means()
        yield f"  {label:<{_NAME_WIDTH}}" + "".join(
            f"{means[name]!s:>{_WIDTH}}" for name in columns
        )
    for lead in result.leads():
        low, high = lead.difference.low, lead.difference.high
        mark = "intervals apart" if lead.apart else "differs" if low > 0 or high < 0 else "level"
        yield (
            f"  {CHIEF}, {short(lead.model)}: fusion - {lead.rival}: "
            f"{lead.difference.value:+.3f} [{low:+.3f}, {high:+.3f}] {mark}"
        )


def labelled(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Each row by a name of its own; a ranking that no title model changes is told once."""
    models = {row.model for row in rows if row.model is not None}
    told: list[tuple[str, Row]] = []
    for row in rows:
        if row.model is None or len(models) == 1:
            told.append((row.ranking, row))
            continue
        twins = [other for other in rows if other.ranking == row.ranking]
        if row.ranking in _OF_A_TITLE_MODEL or not all(_alike(row, other) for other in twins):
            told.append((f"{row.ranking}, {short(row.model)}", row))
        elif row is twins[0]:
            told.append((row.ranking, row))
    return told


def short(model: str) -> str:
    """The model's name without its source and folders."""
    return model.removeprefix("packaged:").rstrip("/").rpartition("/")[2]


def _alike(one: Row, other: Row) -> bool:
    return all((one.per_query[name] == other.per_query[name]).all() for name in one.per_query)
