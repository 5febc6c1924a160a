"""What a result comes to, as tables, the same for a report and a page of the docs, and as plots.

Figures are medians over the rounds; ratios are formed within a round and have their 95 % bootstrap
interval. A row or a column without any figure is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.benchmarks.engines.record import Answers, Measured, Result, Search, Size
from twinlens.catalog.errors import UsageError

# The recall at which engines are compared.
CHIEF_RECALL: Final = 0.98
NOT_MEASURED: Final = "–"
# The size that is told of in detail, where it was measured; else the largest.
_DETAILED: Final = 100_000
# Below this, an engine under a filter has lost its results.
_LOST_RECALL: Final = 0.9
_RESAMPLES: Final = 2000
_REST: Final = (
    " By REST, the second packet of an answer waits for the acknowledgement of the first, which"
    " Linux delays by 40 ms; two rankings of 200 are more than one packet, so some rounds take that"
    " long. gRPC has no such wait."
)
# Told apart with any color vision. Source: Okabe and Ito, Color Universal Design, 2008.
_COLORS: Final = ("#000000", "#666666", "#E69F00", "#56B4E9", "#CC79A7", "#0072B2", "#009E73")
_MORE_COLORS: Final = ("#D55E00", "#9467BD", "#8C6D4F", "#7F7F7F", "#B5A642")
_MARKERS: Final = "oos^vDPX*<hp"
_RECALLS: Final = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)


class Table(NamedTuple):
    """The first cell of a row is its name; ``note`` says what the figures are."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Interval(NamedTuple):
    """A median, and the ends of its 95 % interval; both are the median of a single round."""

    median: float
    low: float
    high: float


def ratio_interval(above: Sequence[float], below: Sequence[float], *, paired: bool) -> Interval:
    """Return the median of ``above`` by ``below``: round by round, or of the rounds of two runs."""
    from scipy.stats import bootstrap

    def ratio(x: Any, y: Any, *, axis: int = -1) -> Any:
        if paired:
            return np.median(x / y, axis=axis)
        return np.median(x, axis=axis) / np.median(y, axis=axis)

    rounds = min(len(above), len(below)) if paired else None
    # One round is no sample: it stands for itself, and adds no spread.
    given = [np.resize(one[:rounds], max(2, len(one[:rounds]))) for one in (above, below)]
    found = bootstrap(
        given, ratio, n_resamples=_RESAMPLES, method="percentile", paired=paired, rng=0
    ).confidence_interval
    return Interval(float(ratio(*given)), float(found.low), float(found.high))


def detail(result: Result) -> Size:
    """Return the size that is told of in detail."""
    sizes = result.measured()
    return next((one for one in sizes if one.videos == _DETAILED), sizes[-1])


def at_recall(one: Measured) -> tuple[str, Search] | None:
    """Choose the quickest setting that finds ``CHIEF_RECALL``; exact ones if alone."""
    enough = [(n, s) for n, s in one.searches.items() if s.recall_at_10 >= CHIEF_RECALL]
    found = [(name, search) for name, search in enough if not search.exact] or enough
    return min(found, key=lambda named: float(np.median(named[1].p50_ms)), default=None)


# The tables of a run: a row for each engine, a column for each size.


def _one_query(result: Result) -> Table | None:
    return _table(
        "One query",
        "p50 in ms of a query by one vector. Of an approximate engine with the quickest setting"
        f" that finds {CHIEF_RECALL} of the exact ten; of a single setting below it, its recall.",
        ["p50 in ms, by videos", *_counts(result.measured())],
        [*_across(result, _exact, suffix=", exact"), *_across(result, _at_chief_recall)],
    )


def _fused(result: Result) -> Table | None:
    rows = _across(result, lambda one: _wait_and_recall(one.fused))
    return _table(
        "Both vectors, fused",
        "p50 in ms; recall@10 against the fusion of exact rankings, by a window of 200 each."
        + (_REST if any("REST" in row[0] for row in rows) else ""),
        ["p50 in ms; recall@10, by videos", *_counts(result.measured())],
        rows,
    )


def _building(result: Result) -> Table | None:
    sizes = result.measured()
    rows = _across(result, _seconds)
    for row, name in zip(rows, _labels(sizes), strict=True):
        one = sizes[-1].experiments.get(name)
        built, memory = (one.built, one.memory) if one else (None, None)
        sizes_bytes = [built.disk_bytes, built.peak_bytes] if built else [None, None]
        sizes_bytes += [memory.rss_bytes, memory.anonymous_bytes] if memory else [None, None]
        row += [show_bytes(one) if one else NOT_MEASURED for one in sizes_bytes]
    return _table(
        "Building, disk, memory",
        "Seconds to build. The rest at the largest size: memory is that of a process with the index"
        " open; what is not anonymous are pages of files, which the system can take back.",
        [
            f"seconds by videos; the rest at {sizes[-1].videos:,} videos",
            *_counts(sizes),
            *("disk", "peak while building", "resident", "anonymous"),
        ],
        rows,
    )


# The tables of one size: a row for each engine, or for each of its settings.


def _settings(size: Size) -> Table | None:
    flat = size.experiments.get("faiss-flat")
    scan = flat.searches.get("exact") if flat else None
    return _table(
        "Every setting",
        "Single queries by one vector, one client.",
        [
            *(f"at {size.videos:,} videos", "recall@10", "p50, ms"),
            *("of it in the server", "times faster than flat"),
        ],
        [
            [
                f"{one.label}, {label}" if len(one.searches) > 1 else one.label,
                _recall(search),
                *map(_median, (search.p50_ms, search.server_ms)),
                show_interval(ratio_interval(scan.p50_ms, search.p50_ms, paired=True))
                if scan
                else NOT_MEASURED,
            ]
            for one in size.experiments.values()
            for label, search in one.searches.items()
        ],
    )


def _filters(size: Size) -> Table | None:
    engines = size.experiments.values()
    shares = sorted({share for one in engines for share in one.filtered}, reverse=True)
    return _table(
        "Filters",
        "p50 in ms; recall@10 among the videos that the filter lets through.",
        [
            f"p50 in ms; recall@10, at {size.videos:,} videos",
            *(f"{share * 100:g} %" for share in shares),
        ],
        [
            [
                _name(one),
                *(_wait_and_recall(one.filtered.get(share), lost=_LOST_RECALL) for share in shares),
            ]
            for one in engines
        ],
    )


def _clients(size: Size) -> Table | None:
    engines = size.experiments.values()
    counts = sorted({c for one in engines for by in one.clients.values() for c in by} - {1})
    ways: list[tuple[Any, int]] = [("threads", 1)]
    ways += [(kind, count) for kind in ("threads", "processes") for count in counts]
    columns = ["1", *(f"{count} {kind}" for kind, count in ways[1:]), "batch"]
    rates = [
        [*(one.clients.get(kind, {}).get(count) for kind, count in ways), one.batch]
        for one in engines
    ]
    return _table(
        "Clients",
        "Queries a second by clients that ask without a pause, and in batches of a hundred.",
        [f"queries a second, at {size.videos:,} videos", *columns],
        [[_name(one), *map(_median, of)] for one, of in zip(engines, rates, strict=True)],
    )


BY_RUN: Final[Mapping[str, Callable[[Result], Table | None]]] = {
    "one-query": _one_query,
    "fused": _fused,
    "building": _building,
}
BY_SIZE: Final[Mapping[str, Callable[[Size], Table | None]]] = {
    "settings": _settings,
    "filters": _filters,
    "clients": _clients,
}


def compare(a: Result, b: Result) -> Table:
    """Return every figure that both runs have; the ratio of their medians, with its interval.

    Raises:
        UsageError: they have none in common.
    """
    figures_of_a, figures_of_b = dict(_figures(a)), dict(_figures(b))
    rows = []
    for key in sorted(figures_of_a.keys() & figures_of_b.keys()):
        of_a, of_b = figures_of_a[key], figures_of_b[key]
        times = ratio_interval(of_b, of_a, paired=False)
        changed = "" if times.low <= 1 <= times.high or times.low == times.high else "changed"
        told = [_median(of_a), _median(of_b), show_interval(times), changed]
        rows.append([f"{key[0]:,}", *key[1:], *told])
    if not rows:
        raise UsageError("the two runs have no figure in common")
    note = (
        "The interval knows the noise between rounds, not what a machine does from one day to the"
        " next; a figure of a single round has none."
    )
    columns = ["videos", "engine", "figure", "a", "b", "b / a", "beyond noise"]
    return Table("b against a", note, columns, rows)


def _figures(result: Result) -> Iterator[tuple[tuple[int, str, str], Sequence[float]]]:
    for size in result.measured():
        for name, one in size.experiments.items():
            answers = {f"filter {share:g}": found for share, found in one.filtered.items()}
            answers |= one.searches | ({"fused": one.fused} if one.fused else {})
            found = {f"{label}: p50, ms": answer.p50_ms for label, answer in answers.items()}
            found |= {f"{n}: recall@10": [answer.recall_at_10] for n, answer in answers.items()}
            for kind, by_count in one.clients.items():
                found |= {f"{n} {kind}: queries a second": rates for n, rates in by_count.items()}
            found["batch: queries a second"] = one.batch or []
            if one.built is not None and one.built.shared_with is None:
                found["building, s"] = [one.built.upload_s + one.built.index_s]
            for label, values in found.items():
                if values and min(values) > 0:
                    yield (size.videos, name, label), values


# What rows and cells are made of.


def _table(title: str, note: str, columns: list[str], rows: list[list[str]]) -> Table | None:
    rows = [row for row in rows if any(cell != NOT_MEASURED for cell in row[1:])]
    kept = [at for at in range(len(columns)) if any(row[at] != NOT_MEASURED for row in rows)]
    if not rows:
        return None
    return Table(title, note, [columns[at] for at in kept], [[r[at] for at in kept] for r in rows])


def _across(
    result: Result, show: Callable[[Measured], str | None], *, suffix: str = ""
) -> list[list[str]]:
    """Make a row for each engine: what each size shows; ``suffix`` where it approximates, too."""
    sizes = result.measured()
    rows = []
    for name, label in _labels(sizes).items():
        found = [size.experiments.get(name) for size in sizes]
        cells = [(one and show(one)) or NOT_MEASURED for one in found]
        rows.append([label + (suffix if any(map(_approximate, found)) else ""), *cells])
    return rows


def _labels(sizes: Sequence[Size]) -> dict[str, str]:
    return {name: one.label for size in sizes for name, one in size.experiments.items()}


def _approximate(one: Measured | None) -> bool:
    return one is not None and any(not search.exact for search in one.searches.values())


def _counts(sizes: Sequence[Size]) -> list[str]:
    return [f"{one.videos:,}" for one in sizes]


def _name(one: Measured) -> str:
    """Return the engine, and the chosen setting where it has several."""
    return f"{one.label}, {one.chosen}" if len(one.searches) > 1 else one.label


def _exact(one: Measured) -> str:
    return next((_median(search.p50_ms) for search in one.searches.values() if search.exact), "")


def _at_chief_recall(one: Measured) -> str:
    approximate = [search for search in one.searches.values() if not search.exact]
    at = at_recall(one)
    if at is not None and approximate:
        return f"{_median(at[1].p50_ms)} ({at[0]})"
    if len(approximate) == 1:
        return f"{_median(approximate[0].p50_ms)} ({_recall(approximate[0])})"
    return ""


def _wait_and_recall(found: Answers | None, *, lost: float = 0.0) -> str:
    if found is None:
        return NOT_MEASURED
    own = f" ({_median(found.server_ms)} in the server)" if found.server_ms else ""
    bold = "**" if found.recall_at_10 < lost else ""
    return f"{_median(found.p50_ms)}{own}; {bold}{_recall(found)}{bold}"


def _seconds(one: Measured) -> str:
    if one.built is None:
        return NOT_MEASURED
    if one.built.shared_with is not None:
        return f"as {one.built.shared_with.rpartition(', ')[2]}"
    return show_number(one.built.upload_s + one.built.index_s)


def _recall(found: Answers) -> str:
    """``1`` where all were found, else three places: ``.987``, and ``1.000`` of nearly all."""
    return f"{found.recall_at_10:.3f}".removeprefix("0") if found.recall_at_10 < 1 else "1"


def _median(rounds: Sequence[float] | npt.NDArray[np.float64] | None) -> str:
    return NOT_MEASURED if rounds is None else show_number(float(np.median(rounds)))


def show_interval(found: Interval) -> str:
    """``37.0 [30.0, 40.0]``; the median alone where it has no interval."""
    if found.low == found.high:
        return show_number(found.median)
    return f"{show_number(found.median)} [{show_number(found.low)}, {show_number(found.high)}]"


def show_number(value: float) -> str:
    """Three figures, or all whole ones: ``0.0123``, ``1.20``, ``1,234``."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def show_bytes(size_bytes: float) -> str:
    """``0.500 KiB``, ``512 KiB``, ``1.50 GiB``."""
    power = min(3, max(1, int(np.log2(size_bytes)) // 10))
    return f"{show_number(size_bytes / 1024**power)} {('KiB', 'MiB', 'GiB')[power - 1]}"


# The plots.


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
    for draw in (_recall_against_latency, _latency_against_size):
        name = draw.__name__.strip("_").replace("_", "-")
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
    """Return a panel a size: what each setting finds, and what its median query takes."""
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
    """Return the median query at the chief recall by the number of videos."""
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
    labels = _labels(result.measured())
    looks = zip((_COLORS + _MORE_COLORS) * len(labels), _MARKERS * len(labels), strict=True)
    return {
        name: {"label": label, "color": color, "marker": marker}
        for (name, label), (color, marker) in zip(labels.items(), looks, strict=False)
    }
