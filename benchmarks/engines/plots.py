"""The figures as pictures: each is drawn from what a run wrote, in the same colors everywhere."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.benchmarks.engines.experiments import EMBEDDED, VARIANTS
from twinlens.benchmarks.engines.result_file import Result, measured
from twinlens.benchmarks.engines.summary import (
    CHIEF_RECALL,
    at_recall,
    chosen_search,
    detailed,
    disturbed,
    engines,
    experiments,
    families,
)
from twinlens.benchmarks.engines.wording import number
from twinlens.catalog.errors import UsageError
from twinlens.catalog.files import write_atomically
from twinlens.evaluate.intervals import over_rounds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS: Final = ("svg", "png")
_INCHES_WIDE: Final = 10.0
_MIB: Final = 2**20
_LIMIT_COLOR: Final = "#808080"
_RECALL_TICKS: Final = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)
# Where recalls below the first tick are to be seen, the scale has these, too.
_LOW_RECALL_TICKS: Final = (0.0, 0.3)
# So far below its first tick it begins, for a mark to stand there whole.
_BELOW_TICKS: Final = 0.1
# More than any axis has: none is to be left out.
_ALL_TICKS: Final = 100
# Where the scale of recalls, which widens towards 1, ends: 1 itself would lie at infinity.
_RECALL_END: Final = 0.002


class _Style(NamedTuple):
    color: str
    marker: str


# Told apart with any color vision, and on white as on black (black itself becomes the ink).
# Source: Okabe and Ito, Color Universal Design, 2008, but for its yellow.
_STYLES: Final[Mapping[str, _Style]] = {
    "faiss-flat": _Style("#000000", "o"),
    "faiss-flat-memory": _Style("#666666", "o"),
    "faiss-hnsw": _Style("#E69F00", "s"),
    "faiss-ivf": _Style("#56B4E9", "^"),
    "faiss-sq8": _Style("#CC79A7", "v"),
    "qdrant-embedded": _Style("#0072B2", "D"),
    "qdrant-embedded-int8": _Style("#009E73", "P"),
    "qdrant-server-rest": _Style("#D55E00", "X"),
    "qdrant-server-grpc": _Style("#9467BD", "*"),
    "qdrant-local": _Style("#8C6D4F", "<"),
}
_SPARE: Final = (
    _Style("#7F7F7F", "h"),
    _Style("#B5A642", "p"),
    _Style("#3BA7A0", ">"),
    _Style("#C44E52", "8"),
    _Style("#4C4C8C", "d"),
    _Style("#8C564B", "H"),
)


def recall_against_latency(result: Result) -> Figure:
    """A panel a size: what each setting finds, and what its median query takes.

    Settings that differ in how far they look alone are joined, in their order; hollow marks are
    exact searches, or without rescoring.
    """
    sizes = measured(result)
    lowest = _lowest_recall(
        search
        for size in sizes
        for experiment in engines(size).values()
        for search in experiment.get("searches", {}).values()
    )
    rows = (len(sizes) + 1) // 2
    figure = _figure(1.1 + 3.4 * rows)
    styles = _styles(result)
    panels = figure.subplots(rows, min(2, len(sizes)), squeeze=False, sharey=True).flatten()
    for axes, size in zip(panels, sizes, strict=False):
        for name, experiment in engines(size).items():
            for family in families(experiment):
                of = list(family.values())
                axes.plot(
                    [float(np.median(one["ms"]["p50"])) for one in of],
                    [one["recall_at_10"] for one in of],
                    **_line(styles[name], experiment["label"]),
                    linestyle="-" if len(of) > 1 else "none",
                    fillstyle="none" if _is_hollow(of[0]) else "full",
                )
        _scale_log(axes.xaxis)
        axes.set_title(f"{size['videos']:,} videos")
        axes.set_xlabel("p50 of a query, milliseconds")
        _scale_recall(axes, lowest)
        axes.axhline(CHIEF_RECALL, color=_LIMIT_COLOR, linewidth=1, linestyle=":")
        axes.grid(alpha=0.25)
    for axes in panels[len(sizes) :]:
        axes.set_axis_off()
    figure.axes[0].set_ylabel("recall@10")
    return _titled(figure, result, "Recall against latency; hollow: exact, or not rescored")


def _is_hollow(search: Mapping[str, Any]) -> bool:
    return bool(search["exact"]) or search["setting"].get("rescore") is False


def _lowest_recall(found: Iterable[Mapping[str, Any]]) -> float:
    return min((float(one["recall_at_10"]) for one in found), default=1.0)


def latency_against_size(result: Result) -> Figure:
    """The median query at ``CHIEF_RECALL`` by the number of videos, and what a flat scan must do.

    That is to read the vectors once, as the run measured it.
    """
    figure = _figure(6.2)
    axes = figure.subplots()
    styles = _styles(result)
    sizes = measured(result)
    for name, label in experiments(result).items():
        found = [
            (size["videos"], at.ms)
            for size in sizes
            if name in engines(size)
            and (at := at_recall(size["experiments"][name], CHIEF_RECALL)) is not None
        ]
        if found:
            _with_intervals(axes, found, styles[name], label)
    limit = [
        (size["videos"], float(np.median(size["reading"]["ms"])))
        for size in sizes
        if "reading" in size
    ]
    if limit:
        axes.plot(
            *zip(*limit, strict=True), color=_LIMIT_COLOR, linestyle="--", linewidth=2,
            label="reading float32 vectors once",
        )  # fmt: skip
    axes.set(xscale="log", xlabel="videos", ylabel="p50 of a query, milliseconds")
    _scale_log(axes.yaxis)
    _only_ticks(axes.xaxis, {size["videos"]: f"{size['videos']:,}" for size in sizes})
    axes.grid(alpha=0.25)
    return _titled(figure, result, f"Latency at recall {CHIEF_RECALL} against size")


def throughput_against_clients(result: Result) -> Figure:
    """Queries a second by the number of clients, as threads and as processes, at one size."""
    size = detailed(result)
    figure = _figure(5.6)
    styles = _styles(result)
    for axes, kind in zip(
        figure.subplots(1, 2, sharey=True), ("threads", "processes"), strict=True
    ):
        counts: set[int] = set()
        for name, experiment in engines(size).items():
            by_count = experiment.get("clients", {}).get(kind, {})
            found = sorted((int(count), over_rounds(rates)) for count, rates in by_count.items())
            counts |= {count for count, _ in found}
            if found:
                _with_intervals(axes, found, styles[name], experiment["label"])
        axes.set(xscale="log", xlabel="clients", title=f"Clients are {kind}")
        _scale_log(axes.yaxis)
        _only_ticks(axes.xaxis, {count: f"{count}" for count in sorted(counts)})
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("queries a second")
    return _titled(figure, result, f"Throughput at {size['videos']:,} videos")


def costs(result: Result) -> Figure:
    """Building time, disk and memory of each engine, at one size."""
    size = detailed(result)
    styles = _styles(result)
    # An index that another engine made cost nothing more.
    of = {
        name: one
        for name, one in reversed(engines(size).items())
        if (one.get("built") or {}).get("shared_with") is None
    }
    figure = _figure(1.6 + 0.42 * len(of), legend=False)
    build, disk, memory = figure.subplots(1, 3, sharey=True)
    _bars(build, of, styles, lambda one: _sum(one.get("built"), "upload_s", "index_s"))
    build.set(title="Building", xlabel="seconds")
    _bars(disk, of, styles, lambda one: _mib(one.get("built"), "disk_bytes"))
    disk.set(title="Disk", xlabel="MiB")
    _bars(memory, of, styles, lambda one: _mib(one.get("memory"), "rss_bytes"), pale=True)
    _bars(memory, of, styles, lambda one: _mib(one.get("memory"), "anonymous_bytes"), label=False)
    memory.set(title="Memory: resident (pale),\nof it anonymous (full)", xlabel="MiB")
    build.set_yticks(range(len(of)), [one["label"] for one in of.values()])
    for axes in (build, disk, memory):
        axes.grid(axis="x", alpha=0.25)
        axes.margins(x=0.22)
    return _titled(figure, result, f"What an index costs at {size['videos']:,} videos")


def filtered_against_selectivity(result: Result) -> Figure:
    """What a filtered query takes, and finds, by the share of videos that are let through."""
    size = detailed(result)
    figure = _figure(5.8)
    styles = _styles(result)
    latency, recall = figure.subplots(1, 2)
    shares: set[float] = set()
    lowest = _lowest_recall(
        one
        for experiment in engines(size).values()
        for one in experiment.get("filtered", {}).values()
    )
    for name, experiment in engines(size).items():
        found = sorted((float(share), one) for share, one in experiment.get("filtered", {}).items())
        shares |= {share for share, _ in found}
        if not found:
            continue
        _with_intervals(
            latency,
            [(share, over_rounds(one["ms"]["p50"])) for share, one in found],
            styles[name],
            experiment["label"],
        )
        recall.plot(
            [share for share, _ in found],
            [one["recall_at_10"] for _, one in found],
            **_line(styles[name], experiment["label"]),
        )
    latency.set(ylabel="p50 of a query, milliseconds", title="Latency")
    _scale_log(latency.yaxis)
    recall.set(ylabel="recall@10 among these", title="Recall")
    _scale_recall(recall, lowest)
    for axes in (latency, recall):
        axes.set(xscale="log", xlabel="share of the videos that the filter lets through")
        _only_ticks(axes.xaxis, {share: f"{share * 100:g} %" for share in sorted(shares)})
        axes.invert_xaxis()
        axes.grid(alpha=0.25)
    return _titled(figure, result, f"Filtered search at {size['videos']:,} videos")


def settings_compared(result: Result) -> Figure | None:
    """What embedded Qdrant finds, and takes, where its graph is built with other settings.

    None where no such graph was measured.
    """
    size = detailed(result)
    drawn = {
        name: found
        for name in (EMBEDDED, *sorted(VARIANTS))
        if (
            found := [
                one
                for one in size["experiments"].get(name, {}).get("searches", {}).values()
                if not one["exact"]
            ]
        )
    }
    if not drawn.keys() & VARIANTS:
        return None
    figure = _figure(5.2)
    axes = figure.subplots()
    styles = _styles(result)
    for name, found in drawn.items():
        label = size["experiments"][name]["label"].removeprefix("Qdrant embedded, ")
        axes.plot(
            [float(np.median(one["ms"]["p50"])) for one in found],
            [one["recall_at_10"] for one in found],
            **_line(styles[name], label),
        )
    _scale_log(axes.xaxis)
    _scale_recall(axes, _lowest_recall(one for found in drawn.values() for one in found))
    axes.set(xlabel="p50 of a query, milliseconds", ylabel="recall@10")
    axes.grid(alpha=0.25)
    return _titled(figure, result, f"How the graph is built, at {size['videos']:,} videos")


def latency_histogram(result: Result) -> Figure:
    """How the waits of single queries are spread, with each engine's chosen setting."""
    size = detailed(result)
    figure = _figure(5.2)
    axes = figure.subplots()
    styles = _styles(result)
    for name, experiment in engines(size).items():
        search = chosen_search(experiment)
        if search is None:
            continue
        edges, counts = zip(*search["ms"]["histogram"], strict=True)
        axes.plot(
            # The middle of a bin, of which there are ten a decade.
            np.array(edges) * 10**0.05,
            np.array(counts) / sum(counts) * 100,
            **_line(styles[name], experiment["label"]),
        )
    _scale_log(axes.xaxis)
    axes.set(xlabel="milliseconds", ylabel="% of the queries")
    axes.grid(alpha=0.25)
    return _titled(figure, result, f"Waits of single queries at {size['videos']:,} videos")


# None where the run has nothing for it.
PLOTS: Final[Mapping[str, Callable[[Result], Figure | None]]] = {
    "recall-against-latency": recall_against_latency,
    "latency-against-size": latency_against_size,
    "throughput-against-clients": throughput_against_clients,
    "costs": costs,
    "filtered-against-selectivity": filtered_against_selectivity,
    "latency-histogram": latency_histogram,
    "settings-compared": settings_compared,
}
CAPTIONS: Final[Mapping[str, str]] = {
    "recall-against-latency": "Recall@10 against the median query, every setting.",
    "latency-against-size": "The median query by the number of videos; dashed, what reading takes.",
    "throughput-against-clients": "Queries a second by the number of clients.",
    "costs": "Building time, disk and memory.",
    "filtered-against-selectivity": "Latency and recall under a filter, by what it lets through.",
    "latency-histogram": "How long single queries wait.",
    "settings-compared": "Embedded Qdrant with its graph built otherwise.",
}


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` to ``path``, as SVG or PNG by its suffix.

    Raises:
        UsageError: the suffix is another.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise UsageError(f"{path}: a plot is written as {' or '.join(FORMATS)}")
    write_atomically(path, _drawn(figure, form, path.stem))


def inline_svg(figure: Figure, name: str, caption: str) -> str:
    """``figure`` as an element for a page: it takes the page's ink and ground, light or dark.

    ``name`` keeps its ids apart from those of the page's other plots.
    """
    svg = _drawn(figure, "svg", name, transparent=True).decode()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("#000000", "currentColor")
    svg = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", svg, count=2)
    # The fill is for text in plain black, which names no color at all.
    return svg.replace(
        "<svg", f'<svg role="img" aria-label="{escape(caption)}" fill="currentColor"', 1
    )


def _drawn(figure: Figure, form: str, salt: str, *, transparent: bool = False) -> bytes:
    from matplotlib import rc_context

    buffer = io.BytesIO()
    # Text stays text; the ids are the same whenever the same is drawn.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(
            buffer,
            format=form,
            dpi=120,
            transparent=transparent,
            metadata={"Date": None} if form == "svg" else {},
        )
    return buffer.getvalue()


def _figure(inches_high: float, *, legend: bool = True) -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("plots need matplotlib: pip install 'twinlens[bench]'") from error
    figure = Figure(
        figsize=(_INCHES_WIDE, inches_high + (0.8 if legend else 0)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    return figure


def _titled(figure: Figure, result: Result, title: str) -> Figure:
    """The figure with a title that says what a reader must know, and one legend for all panels."""
    record = result["machine"]
    parts = disturbed(result)
    by_others = any(one.by_others for one in parts)
    marks = [
        mark
        for mark, holds in (
            ("SYNTHETIC vectors", any(one["vectors"]["synthetic"] for one in measured(result))),
            ("DISTURBED by other programs", by_others),
            ("DISTURBED, the machine slowed down meanwhile", bool(parts) and not by_others),
        )
        if holds
    ]
    about = [f"{record['cores']} cores", record["taken_at"][:10], *marks]
    figure.suptitle(f"{title}\n{', '.join(about)}", fontsize=12)
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            # Hollow only if all of an engine's marks are.
            if label not in handles or (_hollow(handles[label]) and not _hollow(handle)):
                handles[label] = handle
    if handles:
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False
        )
    return figure


def _hollow(handle: Any) -> bool:
    # An error bar's handle is no line, and never hollow.
    return hasattr(handle, "get_fillstyle") and handle.get_fillstyle() == "none"


def _styles(result: Result) -> dict[str, _Style]:
    spare: Iterator[_Style] = iter(_SPARE * len(experiments(result)))
    return {name: _STYLES.get(name) or next(spare) for name in experiments(result)}


def _line(style: _Style, label: str) -> dict[str, Any]:
    return {
        "color": style.color, "marker": style.marker, "markersize": 7, "linewidth": 1.6,
        "label": label,
    }  # fmt: skip


def _with_intervals(
    axes: Any, found: Sequence[tuple[float, Any]], style: _Style, label: str
) -> None:
    at, intervals = zip(*found, strict=True)
    medians, lows, highs = (np.array(values) for values in zip(*intervals, strict=True))
    axes.errorbar(
        at, medians, yerr=[medians - lows, highs - medians], capsize=2.5, **_line(style, label)
    )


def _scale_recall(axes: Any, lowest: float) -> None:
    """The scale of recalls, which holds ``lowest``."""

    # Half of what is missed is as far again: 0.98 and 0.99 lie as far apart as 0.8 and 0.9.
    def forward(recall: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        missed = np.maximum(1 - np.asarray(recall), -_RECALL_END / 2) + _RECALL_END
        return np.asarray(-np.log10(missed))

    def inverse(scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return 1 + _RECALL_END - 10.0 ** -np.asarray(scaled)

    axes.set_yscale("function", functions=(forward, inverse))
    ticks = (*(_LOW_RECALL_TICKS if lowest < _RECALL_TICKS[0] else ()), *_RECALL_TICKS)
    _only_ticks(axes.yaxis, {tick: f"{tick:g}" for tick in ticks})
    axes.set_ylim(ticks[0] - _BELOW_TICKS, 1 + _RECALL_END / 4)


def _scale_log(axis: Any) -> None:
    """1, 2 and 5 of each decade as plain numbers: 0.1 is read faster than a power of ten."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=_ALL_TICKS))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _position: f"{value:,.10g}")


def _only_ticks(axis: Any, ticks: Mapping[float, str]) -> None:
    # Of this axis alone: ``minorticks_off`` takes those of the other one, too.
    from matplotlib.ticker import NullLocator

    axis.set_ticks(list(ticks), labels=list(ticks.values()))
    axis.set_minor_locator(NullLocator())


def _bars(
    axes: Any,
    of: Mapping[str, Any],
    styles: Mapping[str, _Style],
    value: Callable[[Any], float | None],
    *,
    pale: bool = False,
    label: bool = True,
) -> None:
    for at, (name, experiment) in enumerate(of.items()):
        found = value(experiment)
        if found is None:
            continue
        bar = axes.barh(at, found, 0.7, color=styles[name].color, alpha=0.35 if pale else 1)
        if label:
            axes.bar_label(bar, labels=[number(found)], padding=3, fontsize=9)


def _sum(of: Mapping[str, float] | None, *keys: str) -> float | None:
    return None if of is None else sum(of[key] for key in keys)


def _mib(of: Mapping[str, float] | None, key: str) -> float | None:
    return None if of is None or of.get(key) is None else of[key] / _MIB
