"""Reports for a person, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from twinlens.catalog.sources.pictures import name_some
from twinlens.evaluate import recommendations
from twinlens.evaluate.measures import CHIEF, JUDGED_BY, Mean
from twinlens.evaluate.recommendations import MEASURES, Way

if TYPE_CHECKING:  # engines take seconds to import, and pictures are measured without one
    from twinlens.evaluate.fusion import Sweep
    from twinlens.evaluate.search import Ranking, SearchReport, TaskReport
    from twinlens.evaluate.thumbnails import ThumbnailReport

_SINGLE_ANSWER: Final = ("R@1", "R@10", "RR@10", "nDCG@10")
_MANY_ANSWERS: Final = ("P@10", "RR@10", "nDCG@10", "R@10")
_NAME_WIDTH: Final = 36
_WIDTH: Final = 23
_SHOWN: Final = 8


def format_search(report: SearchReport) -> str:
    """Format a block a task, with 95 % intervals and the fusion's leads."""
    return "\n\n".join("\n".join(_format_task(task)) for task in report.tasks)


def _format_task(task: TaskReport) -> Iterator[str]:
    columns = _MANY_ANSWERS if task.many_relevant else _SINGLE_ANSWER
    yield f"{task.family}: {task.name} ({task.queries} queries, {task.videos} videos)"
    yield _line("  mean [95 %]", columns)
    for label, row in label_rows(task.rows):
        yield _line(f"  {label}", [str(row.figures[name]) for name in columns])
    for model, rival, (value, low, high) in task.leads:
        yield (
            f"  {CHIEF}, {shorten(model)}: fusion - {rival}: {value:+.3f} [{low:+.3f}, {high:+.3f}]"
        )


def label_rows(rows: Sequence[Ranking]) -> list[tuple[str, Ranking]]:
    """Return each row with its label: its ranking, and its title model where there are several."""
    several = len({row.model for row in rows} - {None}) > 1
    models = [f", {shorten(row.model)}" if several and row.model else "" for row in rows]
    return [(row.ranking + model, row) for row, model in zip(rows, models, strict=True)]


def format_fusion(sweeps: Sequence[Sweep]) -> str:
    """Format the best settings of every sweep, and how the best does on held-out queries."""
    return "\n\n".join("\n".join(_format_sweep(sweep)) for sweep in sweeps)


def _format_sweep(sweep: Sweep) -> Iterator[str]:
    yield (
        f"{sweep.kind}: mean {JUDGED_BY} over families, on the queries to choose by; the best"
        f" {_SHOWN} of {len(sweep.trials)} settings, and the default"
    )
    best = sorted(sweep.trials, key=lambda trial: -trial.value)[:_SHOWN]
    for trial in [*best, sweep.default]:
        families = ", ".join(f"{name} {value:.4f}" for name, value in trial.families.items())
        yield f"  {trial.value:.4f} ({families})  {trial.setting}"
    yield "held-out queries: default, and the best's difference [95 %]"
    for family, one in sweep.held_out.items():
        value, low, high = one.difference
        yield f"  {family}: {one.default.value:.4f} {value:+.4f} [{low:+.4f}, {high:+.4f}]"


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
    lines = [f"{report.source}: {report.pictures} pictures, {report.asked} damaged and looked for"]
    if report.left_out:
        lines.append(f"left out, {len(report.left_out)}: {name_some(report.left_out)}")
    for part in ("recall", "likeness"):
        for key in getattr(report.encoders[0], part):
            figures = [getattr(one, part)[key] for one in report.encoders]
            lines += _format_block(f"{part}, {key}", report, figures)
    health = [one.health._asdict() for one in report.encoders]
    return "\n".join([*lines, *_format_block("health", report, health)])


def _format_block(
    title: str, report: ThumbnailReport, figures: Sequence[Mapping[str, Mean | float]]
) -> Iterator[str]:
    yield ""
    yield _line(title, [shorten(one.name) for one in report.encoders])
    for name in dict.fromkeys(name for of in figures for name in of):
        yield _line(f"  {name}", [_format_half(of[name]) if name in of else "" for of in figures])


def _format_half(found: Mean | float) -> str:
    if isinstance(found, Mean):
        return f"{found.value:.3f} ±{(found.high - found.low) / 2:.3f}"
    return f"{found:.4g}"


def shorten(model: str) -> str:
    """Return the model's name without its source and folders."""
    return PurePath(model.removeprefix("packaged:")).name


def _line(first: str, cells: Sequence[str]) -> str:
    return f"{first:<{_NAME_WIDTH}}{''.join(f'{cell:>{_WIDTH}}' for cell in cells)}".rstrip()
