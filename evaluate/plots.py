"""Reports as pictures: dots with their 95 % intervals, by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twinlens.catalog.errors import UsageError
from twinlens.catalog.files import write_atomically
from twinlens.evaluate.intervals import Mean
from twinlens.evaluate.measures import CHIEF
from twinlens.evaluate.search import SearchReport
from twinlens.evaluate.tables import label_rows, shorten
from twinlens.evaluate.thumbnails import ThumbnailReport


@dataclass(frozen=True, slots=True)
class Panel:
    """Means by name, row by row; the rows are labelled."""

    title: str
    rows: Mapping[str, Mapping[str, Mean]]


def check_plots() -> None:
    """Return where plots can be drawn.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'twinlens[evaluate]'")


def make_search_panels(report: SearchReport) -> list[Panel]:
    """A panel per family: recall@10 of every ranking, or precision@10 where much is relevant."""
    panels = []
    for family in dict.fromkeys(task.family for task in report.tasks):
        tasks = [task for task in report.tasks if task.family == family]
        measure = "P@10" if any(task.many_relevant for task in tasks) else CHIEF
        rows = {
            f"{task.name} ({task.queries})": {
                label: row.figures[measure] for label, row in label_rows(task.rows)
            }
            for task in tasks
        }
        panels.append(Panel(f"{family}: {measure}", rows))
    return panels


def make_thumbnail_panels(report: ThumbnailReport) -> list[Panel]:
    """Recall of the original by distortion, and likeness where pictures have categories."""
    recall = {shorten(one.name): one.recall["1"] for one in report.encoders}
    names = list(next(iter(recall.values())).by_distortion)
    rows = {at: {name: one.by_distortion[at] for name, one in recall.items()} for at in names}
    for group in ("seen", "unseen", "all"):
        rows[f"mean, {group}"] = {name: getattr(one, group) for name, one in recall.items()}
    panels = [Panel("recall@1 of the original", rows)]
    likeness = {shorten(one.name): one.likeness_asked for one in report.encoders}
    if any(likeness.values()):
        rows = {
            f"nearest {depth}": {name: of[depth] for name, of in likeness.items()}
            for depth in ("1", "10")
        }
        panels.append(Panel("same category", rows))
    return panels


def draw_panels(panels: Sequence[Panel], path: Path) -> None:
    """Write a PNG to ``path``, replaced whole: one panel below another, a colour a name."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for one in panels for row in one.rows.values() for name in row))
    heights = [len(one.rows) for one in panels]
    size = (10, 1.6 + 0.45 * sum(heights) + 0.5 * len(heights))
    figure = Figure(figsize=size, layout="constrained")
    drawn = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    handles: dict[str, Any] = {}
    for axes, panel in zip(drawn, panels, strict=True):
        for line, row in enumerate(panel.rows.values()):
            for name, (value, low, high) in row.items():
                at = names.index(name)
                handles[name] = axes.errorbar(
                    value,
                    line + 0.7 * ((at + 0.5) / len(names) - 0.5),
                    xerr=[[value - low], [high - value]],
                    fmt="osD^vPX*<>"[at % 10],
                    color=f"C{at % 10}",
                    markersize=5,
                    linewidth=1.2,
                )
            if line:
                axes.axhline(line - 0.5, color="0.85", linewidth=0.8)
        axes.set_title(f"{panel.title}, mean and 95 % interval", loc="left", fontsize=10)
        axes.set_yticks(range(len(panel.rows)), list(panel.rows), fontsize=8)
        axes.set_ylim(len(panel.rows) - 0.5, -0.5)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=3, frameon=False
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())
