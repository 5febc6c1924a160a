"""A result as pictures, drawn from what a run wrote: recall against latency, latency by size."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from twinlens.benchmarks.engines.record import Result
from twinlens.benchmarks.engines.tables import CHIEF_RECALL, at_recall
from twinlens.catalog.errors import UsageError

# Told apart with any color vision. Source: Okabe and Ito, Color Universal Design, 2008.
_COLORS: Final = ("#000000", "#666666", "#E69F00", "#56B4E9", "#CC79A7", "#0072B2", "#009E73")
_MORE_COLORS: Final = ("#D55E00", "#9467BD", "#8C6D4F", "#7F7F7F", "#B5A642")
_MARKERS: Final = "oos^vDPX*<hp"
_RECALLS: Final = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
PLOTS: Final = ("recall-against-latency", "latency-against-size")


def write_plots(result: Result, directory: Path, *, form: str) -> None:
    """Write every plot into ``directory``, which is made, as ``form``: svg or png.

    Raises:
        UsageError: matplotlib is missing.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("plots need matplotlib: pip install 'twinlens[bench]'") from error
    directory.mkdir(parents=True, exist_ok=True)
    synthetic = " (SYNTHETIC vectors)" if result.measured()[0].synthetic else ""
    for name, draw in zip(PLOTS, (_recall_against_latency, _latency_against_size), strict=True):
        # Text stays text; the ids are the same whenever the same is drawn.
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
            figure = Figure(layout="constrained")
            draw(result, figure)
            title = name.replace("-", " ").capitalize()
            figure.suptitle(f"{title}; engines are compared at recall {CHIEF_RECALL}{synthetic}")
            handles, labels = figure.axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
            undated: Any = {"Date": None} if form == "svg" else {}
            figure.savefig(directory / f"{name}.{form}", dpi=120, metadata=undated)


def _recall_against_latency(result: Result, figure: Any) -> None:
    """A panel a size: what each setting finds, and what its median query takes."""
    sizes, styles = result.measured(), _styles(result)
    rows = (len(sizes) + 1) // 2
    figure.set_size_inches(10, 1.8 + 3.4 * rows)
    panels = figure.subplots(rows, min(2, len(sizes)), squeeze=False, sharey=True).flatten()
    for axes, size in zip(panels, sizes, strict=False):
        for name, one in size.experiments.items():
            found = [search for search in one.searches.values() if not search.exact]
            found = sorted(found or one.searches.values(), key=lambda one: np.median(one.p50_ms))
            # What is missed, on a log scale: .98 and .99 lie as far apart as .8 and .9.
            missed = [1.001 - search.recall_at_10 for search in found]
            axes.plot([float(np.median(one.p50_ms)) for one in found], missed, **styles[name])
        axes.set(xscale="log", yscale="log", ylim=(0.8, 0.0008), title=f"{size.videos:,} videos")
        axes.set(xlabel="p50 of a query, milliseconds", ylabel="recall@10")
        axes.set_yticks([1.001 - one for one in _RECALLS], [f"{one:g}" for one in _RECALLS])
        axes.minorticks_off()
        axes.axhline(1.001 - CHIEF_RECALL, color="#808080", linewidth=1, linestyle=":")
        axes.grid(alpha=0.25)
    for axes in panels[len(sizes) :]:
        axes.set_axis_off()


def _latency_against_size(result: Result, figure: Any) -> None:
    """The median query at the chief recall by the number of videos."""
    figure.set_size_inches(10, 7)
    axes = figure.subplots()
    sizes = result.measured()
    for name, style in _styles(result).items():
        engines = [(size.videos, size.experiments.get(name)) for size in sizes]
        found = [(videos, at_recall(one)) for videos, one in engines if one]
        points = [(videos, float(np.median(at[1].p50_ms))) for videos, at in found if at]
        if points:
            axes.plot(*zip(*points, strict=True), **style)
    axes.set(xscale="log", yscale="log", xlabel="videos", ylabel="p50 of a query, milliseconds")
    axes.set_xticks([size.videos for size in sizes], [f"{size.videos:,}" for size in sizes])
    axes.grid(alpha=0.25)


def _styles(result: Result) -> dict[str, dict[str, Any]]:
    labels = {n: one.label for s in result.measured() for n, one in s.experiments.items()}
    looks = zip((_COLORS + _MORE_COLORS) * len(labels), _MARKERS * len(labels), strict=True)
    return {
        name: {"label": label, "color": color, "marker": marker}
        for (name, label), (color, marker) in zip(labels.items(), looks, strict=False)
    }
