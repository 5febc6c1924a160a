"""The figures as a picture: a panel per family of tasks, a dot per ranking, with its interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from twinlens.catalog.errors import UsageError
from twinlens.evaluate.search.metrics import CHIEF
from twinlens.evaluate.search.report import labelled
from twinlens.evaluate.search.results import Measured, TaskResult

_MANY_ANSWERS: Final = "P@10"
_SPREAD: Final = 0.7  # of the height of a task's line, over which its dots are spread


def draw(measured: Measured, path: Path) -> None:
    """Write a PNG to ``path``: recall@10, or precision@10 where much is relevant, on every task.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("--plot needs matplotlib: pip install 'twinlens[evaluate]'") from error
    families = list(dict.fromkeys(result.task.family for result in measured.results))
    by_family = [
        [result for result in measured.results if result.task.family == family]
        for family in families
    ]
    names = list(
        dict.fromkeys(name for result in measured.results for name, _ in labelled(result.rows))
    )
    heights = [len(results) for results in by_family]
    figure = Figure(
        figsize=(10, 1.6 + 0.55 * sum(heights) + 0.5 * len(heights)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(families), 1, squeeze=False, height_ratios=heights)
    for axes, family, results in zip(panels[:, 0], families, by_family, strict=True):
        _panel(axes, family, results, names)
    handles = {
        name: handle
        for axes in panels[:, 0]
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=3, frameon=False
    )
    figure.savefig(path, format="png", dpi=120)


def _panel(axes: Any, family: str, results: list[TaskResult], names: list[str]) -> None:
    many = any(result.task.many_relevant for result in results)
    measure = _MANY_ANSWERS if many else CHIEF
    for line, result in enumerate(results):
        for name, row in labelled(result.rows):
            at = names.index(name)
            found = row.means()[measure]
            axes.errorbar(
                found.value,
                line + _SPREAD * ((at + 0.5) / len(names) - 0.5),
                xerr=[[found.value - found.low], [found.high - found.value]],
                fmt="osD^vPX*<>"[at % 10],
                color=f"C{at % 10}",
                markersize=5,
                linewidth=1.2,
                label=name,
            )
        if line:
            axes.axhline(line - 0.5, color="0.85", linewidth=0.8)
    axes.set_title(
        f"{family}: {'precision' if many else 'recall'}@10, mean and 95 % interval",
        loc="left",
        fontsize=10,
    )
    axes.set_yticks(
        range(len(results)),
        [f"{one.task.name} ({len(one.task.queries)})" for one in results],
        fontsize=8,
    )
    axes.set_ylim(len(results) - 0.5, -0.5)
    if not many:
        axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
