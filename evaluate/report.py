"""Reports for a person, as text and as a picture: dots with their 95 % intervals, by matplotlib."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from twinlens.catalog.errors import UsageError
from twinlens.catalog.files import write_atomically
from twinlens.catalog.sources.pictures import name_some
from twinlens.evaluate import recommendations
from twinlens.evaluate.distortions import DISTORTIONS
from twinlens.evaluate.measures import CHIEF, FUSION, JUDGED_BY, Mean
from twinlens.evaluate.recommendations import MEASURES, Way

if TYPE_CHECKING:  # engines take seconds to import, and pictures are measured without one
    from matplotlib.figure import Figure

    from twinlens.evaluate.fusion import Sweep
    from twinlens.evaluate.matching import MatchReport
    from twinlens.evaluate.search import Lead, RankingFigures, SearchReport, TaskReport
    from twinlens.evaluate.thumbnails import ThumbnailReport

# Means by name, row by row, by the title of their panel.
Panels = Mapping[str, Mapping[str, Mapping[str, Mean]]]

_SINGLE_ANSWER: Final = ("R@1", "R@10", "RR@10", "nDCG@10")
_MANY_ANSWERS: Final = ("P@10", "RR@10", "nDCG@10", "R@10")
_NAME_WIDTH: Final = 36
_WIDTH: Final = 23
_SHOWN: Final = 8
_LIKENESS: Final = {"1": "1-NN category", "1_above_pixels": "above pixels", "10": "precision@10"}


def format_search(report: SearchReport) -> str:
    """Format a block a task, with 95 % intervals and the fusion's lead; and what they show."""
    lines: list[str] = []
    leads: defaultdict[tuple[str, str], list[Lead]] = defaultdict(list)
    for task in report.tasks:
        lines += [*_format_task(task), ""]
        singles = {row.ranking for row in task.rows if row.model is not None}
        for lead in task.find_leads():
            rival = "best single" if lead.rival in singles else lead.rival
            leads[lead.model, rival].append(lead)
    for (model, rival), of in leads.items():
        above = [lead for lead in of if lead.difference.value > 0]
        level = sum(lead.difference.value == 0 for lead in of)
        lines.append(
            f"{CHIEF}, {shorten(model)}: fusion above {rival} on {len(above)} of {len(of)} tasks "
            f"(intervals apart on {sum(lead.apart for lead in above)}), equal on {level}"
        )
    return "\n".join(lines).rstrip("\n")


def format_matching(report: MatchReport) -> str:
    """Format a line a catalogue, judged by what the others gave, and what all of them give."""
    lines = [f"{shorten(report.model)}: each catalogue judged by the others' calibration"]
    for one in report.judged:
        lost = ", ".join(f"{family} {share:.1%}" for family, share in one.lost.items())
        answered = ", ".join(f"{family} {share:.1%}" for family, share in one.answered.items())
        lines += [
            f"  {one.corpus} ({one.queries} queries): expected calibration error {one.error:.3f}",
            f"    good first hits below the floor: {lost}",
            f"    answered all the same: {answered}",
        ]
    return "\n".join([*lines, "by all of them:", report.to_toml().rstrip("\n")])


def _format_task(task: TaskReport) -> Iterator[str]:
    columns = _MANY_ANSWERS if task.many_relevant else _SINGLE_ANSWER
    yield f"{task.family}: {task.name} ({task.queries} queries, {task.videos} videos)"
    yield _format_line("  mean [95 %]", columns)
    for label, row in label_rows(task.rows):
        yield _format_line(f"  {label}", [str(row.figures[name]) for name in columns])
    for lead in task.find_leads():
        value, low, high = lead.difference
        mark = "intervals apart" if lead.apart else "differs" if low > 0 or high < 0 else "level"
        yield (
            f"  {CHIEF}, {shorten(lead.model)}: fusion - {lead.rival}: "
            f"{value:+.3f} [{low:+.3f}, {high:+.3f}] {mark}"
        )


def label_rows(rows: Sequence[RankingFigures]) -> list[tuple[str, RankingFigures]]:
    """Each row by a name of its own; a ranking that no title model changes is named once."""
    several = len({row.model for row in rows} - {None}) > 1
    told: dict[str, RankingFigures] = {}
    for row in rows:
        twins = [other.per_query for other in rows if other.ranking == row.ranking]
        differs = any((of[name] != row.per_query[name]).any() for of in twins for name in of)
        if row.model and several and (differs or row.ranking in ("title", FUSION)):
            told[f"{row.ranking}, {shorten(row.model)}"] = row
        else:
            told.setdefault(row.ranking, row)
    return list(told.items())


def format_fusion(sweeps: Sequence[Sweep]) -> str:
    """Format the best settings of every sweep, and how the best does on held-out queries."""
    lines = []
    for sweep in sweeps:
        told = f"the best {_SHOWN} of {len(sweep.trials)} settings, and the default"
        by = f"mean {JUDGED_BY} over families, on the queries to choose by"
        lines.append(f"{sweep.kind}: {by}; {told}")
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
    lines = [_format_line("", [*MEASURES, disliked, *(f"alike by {lens}" for lens in lenses)])]
    for way in ways:
        cells = [*(str(way.measures[name]) for name in MEASURES), str(way.disliked)]
        cells += [f"{way.likeness.get(lens, float('nan')):.3f}" for lens in lenses]
        lines.append(_format_line(way.recommended, cells))
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
        lines += ["", _format_line(f"recall@{depth} of the original", labels)]
        for name, seen, _ in DISTORTIONS:
            values = [f"{one.by_distortion[name].value:.3f}" for one in recalls]
            lines.append(_format_line(f"  {name}{', unseen' * (not seen)}", values))
        for group in ("all", "seen", "unseen"):
            values = [_format_half(getattr(one, group)) for one in recalls]
            lines.append(_format_line(f"  mean, {group}", values))
    for which in ("asked", "all"):
        likeness = [getattr(one, f"likeness_{which}") for one in encoders]
        if any(likeness):
            lines += ["", _format_line(f"likeness, pictures {which}", labels)]
            for key, name in _LIKENESS.items():
                values = [_format_half(of[key]) if key in of else "" for of in likeness]
                lines.append(_format_line(f"  {name}", values))
    lines += ["", _format_line("health", labels)]
    for name in encoders[0].health._fields:
        values = [f"{getattr(one.health, name):.4g}" for one in encoders]
        lines.append(_format_line(f"  {name.replace('_', ' ')}", values))
    return "\n".join(lines)


def _format_half(mean: Mean) -> str:
    return f"{mean.value:.3f} ±{(mean.high - mean.low) / 2:.3f}"


def shorten(model: str) -> str:
    """Return the model's name without its source and folders."""
    return PurePath(model.removeprefix("packaged:")).name


def _format_line(first: str, cells: Sequence[str]) -> str:
    return f"{first:<{_NAME_WIDTH}}{''.join(f'{cell:>{_WIDTH}}' for cell in cells)}".rstrip()


def check_plots(path: Path | None) -> None:
    """Return where plots can be drawn, or none is asked for.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if path is not None and find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'twinlens[evaluate]'")


def make_search_panels(report: SearchReport) -> Panels:
    """Make a panel per family: recall@10 of every ranking, or precision@10 if much is relevant."""
    panels = {}
    for family in dict.fromkeys(task.family for task in report.tasks):
        tasks = [task for task in report.tasks if task.family == family]
        measure = "P@10" if any(task.many_relevant for task in tasks) else CHIEF
        panels[f"{family}: {measure}"] = {
            f"{task.name} ({task.queries})": {
                label: row.figures[measure] for label, row in label_rows(task.rows)
            }
            for task in tasks
        }
    return panels


def make_thumbnail_panels(report: ThumbnailReport) -> Panels:
    """Recall of the original by distortion, and likeness where pictures have categories."""
    recall = {shorten(one.name): one.recall["1"] for one in report.encoders}
    names = list(next(iter(recall.values())).by_distortion)
    rows = {at: {name: one.by_distortion[at] for name, one in recall.items()} for at in names}
    for group in ("seen", "unseen", "all"):
        rows[f"mean, {group}"] = {name: getattr(one, group) for name, one in recall.items()}
    panels = {"recall@1 of the original": rows}
    likeness = {shorten(one.name): one.likeness_asked for one in report.encoders}
    if any(likeness.values()):
        panels["same category"] = {
            f"nearest {depth}": {name: of[depth] for name, of in likeness.items()}
            for depth in ("1", "10")
        }
    return panels


def draw_panels(panels: Panels, path: Path | None) -> None:
    """Write a PNG to ``path``, if there is one: one panel below another, a colour a name."""
    if path is None:
        return
    from matplotlib.figure import Figure

    heights = [*map(len, panels.values())]
    names = list(
        dict.fromkeys(name for of in panels.values() for row in of.values() for name in row)
    )
    size = (10, 1.6 + 0.45 * sum(heights) + 0.5 * len(heights))
    figure = Figure(figsize=size, layout="constrained")
    drawn = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    handles: dict[str, Any] = {}
    for axes, (title, rows) in zip(drawn, panels.items(), strict=True):
        for line, row in enumerate(rows.values()):
            for name, (value, low, high) in row.items():
                at = names.index(name)
                y = line + 0.7 * ((at + 0.5) / len(names) - 0.5)
                style = {"fmt": f"C{at % 10}{'osD^vPX*<>'[at % 10]}", "ms": 5, "lw": 1.2}
                spread = [[value - low], [high - value]]
                handles[name] = axes.errorbar(value, y, xerr=spread, **style)
            if line:
                axes.axhline(line - 0.5, color="0.85", linewidth=0.8)
        axes.set_title(f"{title}, mean and 95 % interval", loc="left", fontsize=10)
        axes.set_yticks(range(len(rows)), list(rows), fontsize=8)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
    figure.legend(handles.values(), [*handles], loc="outside upper center", ncols=3, frameon=False)
    write_figure(path, figure)


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure of matplotlib as a PNG, whole or not at all."""
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=120))
