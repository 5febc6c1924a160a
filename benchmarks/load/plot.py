"""The figures as a picture, drawn from what a run wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from twinlens.benchmarks.load.summary import MEMORY
from twinlens.catalog.errors import UsageError

_MIB: Final = 2**20
_LABELS: Final = {
    "rss_bytes": "resident, shared pages once per process",
    "pss_bytes": "resident, shared pages once",
    "anonymous_bytes": "allocated",
}


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Write a picture to ``path``, PNG or SVG by its ending.

    Above: throughput and waits by the number of clients, every server. Below, where endurance was
    measured: waits, throughput and memory over time.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("--plot needs matplotlib: pip install 'twinlens[plots]'") from error
    endurance = report["endurance"]
    figure = Figure(figsize=(11, 8 if endurance else 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2 if endurance else 1, 2, squeeze=False)
    _throughput(panels[0, 0], report)
    _waits(panels[0, 1], report)
    if endurance:
        _over_time(panels[1, 0], endurance)
        _memory(panels[1, 1], endurance)
    record = report["machine"]
    disturbed = report["summary"]["disturbed"]
    figure.suptitle(
        f"{report['index']['counts']['videos']:,} videos, {record['cores']} cores with the load "
        f"tool on them, {record['taken_at'][:10]}"
        f"{' (DISTURBED by other programs)' if disturbed else ''}",
        fontsize=11,
    )
    figure.savefig(path, dpi=120)


def _throughput(axes: Any, report: Mapping[str, Any]) -> None:
    found = report["summary"]["per_second"]
    width = 0.8 / len(found)
    for number, (server, by_clients) in enumerate(found.items()):
        at = np.arange(len(by_clients)) + (number - (len(found) - 1) / 2) * width
        medians = np.array([one["median"] for one in by_clients.values()])
        ends = np.array([[one["low"], one["high"]] for one in by_clients.values()]).T
        bars = axes.bar(at, medians, width * 0.92, label=server)
        axes.errorbar(at, medians, np.abs(ends - medians), fmt="none", ecolor="black", capsize=3)
        axes.bar_label(bars, fmt="%.0f", padding=6, fontsize=8)
    clients = list(next(iter(found.values())))
    axes.set_xticks(range(len(clients)), clients)
    axes.set(xlabel="clients", ylabel="requests a second", title="Throughput")
    axes.margins(y=0.15)
    axes.legend(frameon=False, fontsize=8)


def _waits(axes: Any, report: Mapping[str, Any]) -> None:
    clients = list(dict.fromkeys(one["clients"] for one in report["slices"]))
    for number, server in enumerate(report["summary"]["per_second"]):
        for name, style in (("p50", "-"), ("p95", "--"), ("p99", ":")):
            medians = [
                np.median(
                    [
                        one["waited_ms"][name]
                        for one in report["slices"]
                        if one["server"] == server and one["clients"] == count
                    ]
                )
                for count in clients
            ]
            axes.plot(
                range(len(clients)), medians, style, marker="o", color=f"C{number}", markersize=4,
                label=f"{server}, {name}",
            )  # fmt: skip
    axes.set_xticks(range(len(clients)), clients)
    axes.set(xlabel="clients", ylabel="milliseconds", yscale="log", title="What a client waits")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)


def _over_time(axes: Any, endurance: Mapping[str, Any]) -> None:
    windows = [one for one in endurance["windows"] if one["waited_ms"]["count"]]
    minutes = [one["at_s"] / 60 for one in windows]
    for name, style in (("p50", "-"), ("p95", "--"), ("p99", ":")):
        waited = [one["waited_ms"][name] for one in windows]
        axes.plot(minutes, waited, style, color="C0", label=name)
    axes.set(xlabel="minutes", ylabel="milliseconds", ylim=(0, None))
    axes.set_title(
        f"{endurance['clients']} clients: {endurance['requests']:,} requests, "
        f"{endurance['failed']} failed"
    )
    rate = axes.twinx()
    rate.plot(minutes, [one["per_second"] for one in windows], color="C1", alpha=0.6)
    rate.set_ylabel("requests a second", color="C1")
    rate.set_ylim(0, None)
    axes.legend(frameon=False, fontsize=8, loc="lower left")


def _memory(axes: Any, endurance: Mapping[str, Any]) -> None:
    minutes = [one["at_s"] / 60 for one in endurance["memory"]]
    for name in MEMORY:
        values = [one[name] / _MIB for one in endurance["memory"]]
        axes.plot(minutes, values, label=_LABELS[name])
    axes.set(xlabel="minutes", ylabel="MiB", ylim=(0, None), title="Memory of the server")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
