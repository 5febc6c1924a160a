"""A report drawn as one PNG: recall by distortion, likeness, speed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twinlens.catalog.errors import UsageError
from twinlens.catalog.files import write_atomically
from twinlens.evaluate.thumbnails.report import label


def check_plots() -> None:
    """Return where plots can be drawn.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs the package matplotlib: pip install 'twinlens[plots]'")


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw ``report`` into ``path``, replaced whole."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    encoders = report["encoders"]
    labels = [label(one["name"]) for one in encoders]
    colours = [colormaps["tab10"](number % 10) for number in range(len(encoders))]
    with_likeness = encoders[0]["likeness"]["asked"] is not None
    with_speed = report["yardstick"] is not None
    figure = Figure(figsize=(9 + 3.2 * with_likeness + 3.2 * with_speed, 6.2), layout="constrained")
    widths = [2.2, *[1.0] * (with_likeness + with_speed)]
    panels = list(figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0])
    _draw_recall(panels.pop(0), report, labels, colours)
    if with_likeness:
        _draw_likeness(panels.pop(0), encoders, labels, colours)
    if with_speed:
        _draw_speed(panels.pop(0), report, labels, colours)
    figure.suptitle(
        f"{report['asked']} pictures damaged and looked for among {report['pictures']}", fontsize=11
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def _draw_recall(axes: Any, report: Mapping[str, Any], labels: Any, colours: Any) -> None:
    distortions = report["distortions"]
    encoders = report["encoders"]
    height = 0.8 / len(encoders)
    for number, (one, name, colour) in enumerate(zip(encoders, labels, colours, strict=True)):
        recall = one["recall"]["1"]
        shares = [recall["by_distortion"][each["name"]] for each in distortions]
        shares += [recall[group] for group in ("seen", "unseen", "all")]
        places = [row - 0.4 + height * (number + 0.5) for row in range(len(shares))]
        values = [share["value"] for share in shares]
        errors = [
            [value - share["low"] for value, share in zip(values, shares, strict=True)],
            [share["high"] - value for value, share in zip(values, shares, strict=True)],
        ]
        axes.errorbar(
            values,
            places,
            xerr=errors,
            fmt="o",
            markersize=4,
            linewidth=1,
            color=colour,
            label=name,
        )
    names = [each["name"] + ("" if each["seen"] else " *") for each in distortions]
    names += ["mean, seen", "mean, unseen *", "mean, all"]
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color="0.3" if row == len(distortions) else "0.9", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(len(names) - 0.5, -0.5), xlim=(-0.02, 1.02))
    axes.set_title("recall@1 of the original (* not in training)", fontsize=10)
    axes.grid(visible=True, axis="x", alpha=0.3)
    # Below: there is no corner that some encoder doesn't reach.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.05), ncols=4, fontsize=8)


def _draw_likeness(axes: Any, encoders: Any, labels: Any, colours: Any) -> None:
    for offset, depth, alpha in ((-0.2, "1", 1.0), (0.2, "10", 0.45)):
        shares = [one["likeness"]["asked"][depth] for one in encoders]
        values = [share["value"] for share in shares]
        errors = [
            [share["value"] - share["low"] for share in shares],
            [share["high"] - share["value"] for share in shares],
        ]
        places = [row + offset for row in range(len(shares))]
        axes.barh(places, values, 0.38, xerr=errors, color=colours, alpha=alpha)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_title("same category: nearest (full),\namong ten nearest (pale)", fontsize=10)
    axes.grid(visible=True, axis="x", alpha=0.3)


def _draw_speed(axes: Any, report: Mapping[str, Any], labels: Any, colours: Any) -> None:
    speeds = [one["speed"] for one in report["encoders"]] + [report["yardstick"]]
    names, colours = [*labels, "original 480x360"], [*colours, "0.5"]
    for offset, key, alpha in (
        (-0.2, "times_the_original", 1.0),
        (0.2, "network_times_the_original", 0.45),
    ):
        for row, speed in enumerate(speeds):
            if key in speed:
                axes.barh(row + offset, speed[key]["median"], 0.38, color=colours[row], alpha=alpha)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(left=0.5)
    axes.axvline(1, color="0.3", linewidth=0.8)
    axes.set_title("speed, times the original's:\nfrom bytes (full), network (pale)", fontsize=10)
    axes.grid(visible=True, axis="x", alpha=0.3)
