"""Reports for a person, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Final

from twinlens.catalog.sources.pictures import name_some
from twinlens.evaluate import recommendations
from twinlens.evaluate.distortions import DISTORTIONS
from twinlens.evaluate.fusion import JUDGED_BY, Sweep
from twinlens.evaluate.intervals import Mean
from twinlens.evaluate.measures import CHIEF
from twinlens.evaluate.recommendations import MEASURES, Way
from twinlens.evaluate.search import FUSION, Lead, Ranking, SearchReport, TaskReport
from twinlens.evaluate.thumbnails import ThumbnailReport

_SINGLE_ANSWER: Final = ("R@1", "R@10", "RR@10", "nDCG@10")
_MANY_ANSWERS: Final = ("P@10", "RR@10", "nDCG@10", "R@10")
_NAME_WIDTH: Final = 36
_WIDTH: Final = 23
_SHOWN: Final = 8


def format_search(report: SearchReport) -> str:
    """One block a task, with 95 % bootstrap intervals and the fusion's lead; and what they show."""
    lines: list[str] = []
    leads: dict[tuple[str, str], list[Lead]] = {}
    for task in report.tasks:
        lines += [*_format_task(task), ""]
        singles = {row.ranking for row in task.rows if row.model is not None}
        for lead in task.leads():
            rival = "best single" if lead.rival in singles else lead.rival
            leads.setdefault((lead.model, rival), []).append(lead)
    for (model, rival), of in leads.items():
        above = [lead for lead in of if lead.difference.value > 0]
        level = sum(lead.difference.value == 0 for lead in of)
        lines.append(
            f"{CHIEF}, {shorten(model)}: fusion above {rival} on {len(above)} of {len(of)} tasks "
            f"(intervals apart on {sum(lead.apart for lead in above)}), equal on {level}"
        )
    return "\n".join(lines).rstrip("\n")


def _format_task(task: TaskReport) -> Iterator[str]:
    columns = _MANY_ANSWERS if task.many_relevant else _SINGLE_ANSWER
    yield f"{task.family}: {task.name} ({task.queries} queries, {task.videos} videos)"
    yield _line("  mean [95 %]", columns)
    for label, row in label_rows(task.rows):
        yield _line(f"  {label}", [str(row.figures[name]) for name in columns])
    for lead in task.leads():
        value, low, high = lead.difference
        mark = "intervals apart" if lead.apart else "differs" if low > 0 or high < 0 else "level"
        yield (
            f"  {CHIEF}, {shorten(lead.model)}: fusion - {lead.rival}: "
            f"{value:+.3f} [{low:+.3f}, {high:+.3f}] {mark}"
        )


def label_rows(rows: Sequence[Ranking]) -> list[tuple[str, Ranking]]:
    """Each row by a name of its own; a ranking that no title model changes is named once."""
    models = {row.model for row in rows if row.model is not None}
    told: dict[str, Ranking] = {}
    for row in rows:
        twins = [other for other in rows if other.ranking == row.ranking]
        same = all(
            (other.per_query[name] == values).all()
            for other in twins
            for name, values in row.per_query.items()
        )
        of_a_model = row.ranking in ("title", FUSION) or not same
        if row.model is not None and len(models) > 1 and of_a_model:
            told[f"{row.ranking}, {shorten(row.model)}"] = row
        else:
            told.setdefault(row.ranking, row)
    return list(told.items())


def format_fusion(sweeps: Sequence[Sweep]) -> str:
    """Format the best settings of every sweep, and how the best does on held-out queries."""
    lines = []
    for sweep in sweeps:
        lines.append(
            f"{sweep.kind}: mean {JUDGED_BY} over families, on the queries to choose by; the best "
            f"{_SHOWN} of {len(sweep.trials)} settings, and the default"
        )
        best = sorted(sweep.trials, key=lambda trial: -trial.value)[:_SHOWN]
        for trial in [*best, sweep.default]:
            families = ", ".join(f"{name} {value:.4f}" for name, value in trial.families.items())
            lines.append(f"  {trial.value:.4f} ({families})  {trial.setting}")
        lines.append("held-out queries: default, and the best's difference [95 %]")
        for family, one in sweep.held_out.items():
            value, low, high = one.difference
            default = one.default.value
            lines.append(f"  {family}: {default:.4f} {value:+.4f} [{low:+.4f}, {high:+.4f}]")
        lines.append("")
    return "\n".join(lines).rstrip("\n")


def format_recommendations(ways: Sequence[Way]) -> str:
    """Format a line for each way to recommend."""
    lenses = sorted({lens for way in ways for lens in way.likeness})
    disliked = f"disliked in {recommendations.DEPTH}"
    lines = [_line("", [*MEASURES, disliked, *(f"alike by {lens}" for lens in lenses)])]
    for way in ways:
        cells = [*(str(way.measures[name]) for name in MEASURES), str(way.disliked)]
        cells += [f"{way.likeness.get(lens, float('nan')):.3f}" for lens in lenses]
        lines.append(_line(way.recommended, cells))
    return "\n".join(lines)


def format_thumbnails(report: ThumbnailReport) -> str:
    """Format a column for each encoder; ``±`` is half of a 95 % interval."""
    encoders = report.encoders
    labels = [shorten(one.name) for one in encoders]
    lines = [f"{report.source}: {report.pictures} pictures, {report.asked} damaged and looked for"]
    if report.left_out:
        lines.append(f"left out, {len(report.left_out)}: {name_some(report.left_out)}")
    for depth in ("1", "10"):
        recalls = [one.recall[depth] for one in encoders]
        lines += ["", _line(f"recall@{depth} of the original", labels)]
        for distortion in DISTORTIONS:
            values = [f"{one.by_distortion[distortion.name].value:.3f}" for one in recalls]
            lines.append(_line(f"  {distortion.name}{', unseen' * (not distortion.seen)}", values))
        for group in ("all", "seen", "unseen"):
            values = [_format_half(getattr(one, group)) for one in recalls]
            lines.append(_line(f"  mean, {group}", values))
    for which, likeness in (
        ("asked", [one.likeness_asked for one in encoders]),
        ("all", [one.likeness_all for one in encoders]),
    ):
        if any(likeness):
            lines += ["", _line(f"likeness, pictures {which}", labels)]
            lines += [_line(f"  {name}", _cells(likeness, key)) for key, name in _LIKENESS.items()]
    lines += ["", _line("health", labels)]
    for name in encoders[0].health._fields:
        values = [f"{getattr(one.health, name):.4g}" for one in encoders]
        lines.append(_line(f"  {name.replace('_', ' ')}", values))
    return "\n".join(lines)


_LIKENESS: Final = {"1": "1-NN category", "1_above_pixels": "above pixels", "10": "precision@10"}


def _cells(likeness: Sequence[Mapping[str, Mean]], key: str) -> list[str]:
    return [_format_half(of[key]) if key in of else "" for of in likeness]


def _format_half(mean: Mean) -> str:
    return f"{mean.value:.3f} ±{(mean.high - mean.low) / 2:.3f}"


def shorten(model: str) -> str:
    """Return the model's name without its source and folders."""
    return PurePath(model.removeprefix("packaged:")).name


def _line(first: str, cells: Sequence[str]) -> str:
    return f"{first:<{_NAME_WIDTH}}{''.join(f'{cell:>{_WIDTH}}' for cell in cells)}".rstrip()
