"""What a result comes to, as tables, the same for a report and a page of the docs, and as plots.

Figures are medians over the rounds; ratios are formed within a round and have their 95 % bootstrap
interval. A row or a column without any figure is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from twinlens.benchmarks.engines.record import Answers, Measured, Result, Rounds, Search, Size
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
_MARKERS: Final = "oos^vDPX*<hp"
# What is told of the largest size beside the seconds to build it.
_BYTES: Final = {
    "disk": ("built", "disk_bytes"),
    "peak while building": ("built", "peak_bytes"),
    "resident": ("memory", "rss_bytes"),
    "anonymous": ("memory", "anonymous_bytes"),
}
_RECALLS: Final = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)


# Its name, and its cells by column.
_Row = tuple[str, dict[str, str]]


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


def measure_ratio(above: Sequence[float], below: Sequence[float], *, paired: bool) -> Interval:
    """Return the median of ``above`` by ``below``: round by round, or of the rounds of two runs."""
    from scipy.stats import bootstrap

    def take_ratio(x: Any, y: Any, *, axis: int = -1) -> Any:
        if paired:
            return np.median(x / y, axis=axis)
        return np.median(x, axis=axis) / np.median(y, axis=axis)

    rounds = min(len(above), len(below)) if paired else None
    # One round is no sample: it stands for itself, and adds no spread.
    given = [np.resize(one[:rounds], max(2, len(one[:rounds]))) for one in (above, below)]
    found = bootstrap(
        given, take_ratio, n_resamples=_RESAMPLES, method="percentile", paired=paired, rng=0
    ).confidence_interval
    return Interval(float(take_ratio(*given)), float(found.low), float(found.high))


def choose_detailed(result: Result) -> Size:
    """Return the size that is told of in detail."""
    sizes = result.list_begun()
    return next((one for one in sizes if one.videos == _DETAILED), sizes[-1])


def choose_at_recall(one: Measured) -> tuple[str, Search] | None:
    """Choose the quickest setting that finds ``CHIEF_RECALL``; exact ones if alone."""
    enough = [(n, s) for n, s in one.searches.items() if s.recall_at_10 >= CHIEF_RECALL]
    found = [(name, search) for name, search in enough if not search.exact] or enough
    return min(found, key=lambda named: float(np.median(named[1].p50_ms)), default=None)


# The tables of a run: a row for each engine, a column for each size.


def _make_one_query(result: Result) -> Table | None:
    return _make_table(
        "One query",
        "p50 in ms of a query by one vector. Of an approximate engine with the quickest setting"
        f" that finds {CHIEF_RECALL} of the exact ten; of a single setting below it, its recall.",
        "p50 in ms, by videos",
        [*_make_rows(result, _show_exact, suffix=", exact"), *_make_rows(result, _show_at_recall)],
        order=map(_show_count, result.list_begun()),
    )


def _make_fused(result: Result) -> Table | None:
    rows = _make_rows(result, lambda one: _show_both(one.fused) if one.fused else "")
    return _make_table(
        "Both vectors, fused",
        "p50 in ms; recall@10 against the fusion of exact rankings, by a window of 200 each."
        + (_REST if any("REST" in name for name, _ in rows) else ""),
        "p50 in ms; recall@10, by videos",
        rows,
        order=map(_show_count, result.list_begun()),
    )


def _make_building(result: Result) -> Table | None:
    *_, largest = sizes = result.list_begun()
    rows = _make_rows(result, _show_seconds)
    for (_, cells), name in zip(rows, _list_labels(sizes), strict=True):
        one = largest.experiments.get(name)
        for column, (part, field) in _BYTES.items():
            size_bytes = getattr(getattr(one, part, None), field, None)
            cells |= {column: show_bytes(size_bytes)} if size_bytes else {}
    return _make_table(
        "Building, disk, memory",
        "Seconds to build. The rest at the largest size: memory is that of a process with the index"
        " open; what is not anonymous are pages of files, which the system can take back.",
        f"seconds by videos; the rest at {_show_count(largest)} videos",
        rows,
        order=[*map(_show_count, sizes), *_BYTES],
    )


# The tables of the size told of in detail: a row for each engine, or for each of its settings.


def _make_settings(result: Result) -> Table | None:
    size = choose_detailed(result)
    flat = size.experiments.get("faiss-flat")
    scan = flat.searches.get("exact") if flat else None

    def show(search: Search) -> dict[str, str]:
        cells = {"recall@10": _show_recall(search), "p50, ms": _show_median(search.p50_ms)}
        if search.server_ms:
            cells["of it in the server"] = _show_median(search.server_ms)
        if scan:
            times = measure_ratio(scan.p50_ms, search.p50_ms, paired=True)
            cells["times faster than flat"] = show_interval(times)
        return cells

    return _make_table(
        "Every setting",
        "Single queries by one vector, one client.",
        f"at {_show_count(size)} videos",
        [
            (f"{one.label}, {label}" if len(one.searches) > 1 else one.label, show(search))
            for one in size.experiments.values()
            for label, search in one.searches.items()
        ],
        order=["recall@10", "p50, ms", "of it in the server"],
    )


def _make_filters(result: Result) -> Table | None:
    size = choose_detailed(result)

    def show(one: Measured) -> dict[str, str]:
        found = sorted(one.filtered.items(), reverse=True)
        return {f"{share * 100:g} %": _show_both(at, lost=_LOST_RECALL) for share, at in found}

    return _make_table(
        "Filters",
        "p50 in ms; recall@10 among the videos that the filter lets through.",
        f"p50 in ms; recall@10, at {_show_count(size)} videos",
        [(_show_name(one), show(one)) for one in size.experiments.values()],
    )


def _make_clients(result: Result) -> Table | None:
    size = choose_detailed(result)
    return _make_table(
        "Clients",
        "Queries a second by clients that ask without a pause, and in batches of a hundred.",
        f"queries a second, at {_show_count(size)} videos",
        [
            (_show_name(one), {key: _show_median(rates) for key, rates in _list_rates(one).items()})
            for one in size.experiments.values()
        ],
    )


TABLES: Final[Mapping[str, Callable[[Result], Table | None]]] = {
    "one-query": _make_one_query,
    "fused": _make_fused,
    "building": _make_building,
    "settings": _make_settings,
    "filters": _make_filters,
    "clients": _make_clients,
}


def compare(a: Result, b: Result) -> Table:
    """Return every figure that both runs have; the ratio of their medians, with its interval.

    Raises:
        UsageError: they have none in common.
    """
    figures_of_a, figures_of_b = dict(_list_figures(a)), dict(_list_figures(b))
    rows = []
    for key in sorted(figures_of_a.keys() & figures_of_b.keys()):
        of_a, of_b = figures_of_a[key], figures_of_b[key]
        times = measure_ratio(of_b, of_a, paired=False)
        changed = "" if times.low <= 1 <= times.high or times.low == times.high else "changed"
        told = [_show_median(of_a), _show_median(of_b), show_interval(times), changed]
        rows.append([f"{key[0]:,}", *key[1:], *told])
    if not rows:
        raise UsageError("the two runs have no figure in common")
    note = (
        "The interval knows the noise between rounds, not what a machine does from one day to the"
        " next; a figure of a single round has none."
    )
    columns = ["videos", "engine", "figure", "a", "b", "b / a", "beyond noise"]
    return Table("b against a", note, columns, rows)


def _list_figures(result: Result) -> Iterator[tuple[tuple[int, str, str], Sequence[float]]]:
    for size in result.list_begun():
        for name, one in size.experiments.items():
            answers: dict[str, Answers] = {f"filter {n:g}": at for n, at in one.filtered.items()}
            answers |= one.searches | ({"fused": one.fused} if one.fused else {})
            found = {f"{label}: p50, ms": answer.p50_ms for label, answer in answers.items()}
            found |= {f"{n}: recall@10": [answer.recall_at_10] for n, answer in answers.items()}
            found |= {f"{n}: queries a second": rates for n, rates in _list_rates(one).items()}
            if one.built is not None and one.built.shared_with is None:
                found["building, s"] = [one.built.upload_s + one.built.index_s]
            for label, values in found.items():
                if min(values) > 0:
                    yield (size.videos, name, label), values


# What rows and cells are made of.


def _make_table(
    title: str, note: str, corner: str, rows: Sequence[_Row], *, order: Iterable[str] = ()
) -> Table | None:
    """Make a table of rows that have some cells; columns in this order, others as they come."""
    rows = [(name, cells) for name, cells in rows if cells]
    there = [*dict.fromkeys(column for _, cells in rows for column in cells)]
    columns = [*dict.fromkeys(column for column in [*order, *there] if column in there)]
    told = [[name, *(cells.get(one, NOT_MEASURED) for one in columns)] for name, cells in rows]
    return Table(title, note, [corner, *columns], told) if told else None


def _make_rows(result: Result, show: Callable[[Measured], str], *, suffix: str = "") -> list[_Row]:
    """Make a row for each engine: what each size shows; ``suffix`` where it approximates, too."""
    rows: list[_Row] = []
    begun = result.list_begun()
    for name, label in _list_labels(begun).items():
        found = {_show_count(s): s.experiments[name] for s in begun if name in s.experiments}
        cells = {count: shown for count, one in found.items() if (shown := show(one))}
        rows.append((label + (suffix if any(map(_is_approximate, found.values())) else ""), cells))
    return rows


def _list_rates(one: Measured) -> dict[str, Rounds]:
    """Queries a second by who asks; one process asks as one thread does."""
    by_threads, by_processes = one.clients.get("threads", {}), one.clients.get("processes", {})
    found = {f"{count} threads" if count > 1 else "1": of for count, of in by_threads.items()}
    found |= {f"{count} processes": of for count, of in by_processes.items() if count > 1}
    return found | ({"batch": one.batch} if one.batch else {})


def _list_labels(sizes: Sequence[Size]) -> dict[str, str]:
    return {name: one.label for size in sizes for name, one in size.experiments.items()}


def _is_approximate(one: Measured) -> bool:
    return any(not search.exact for search in one.searches.values())


def _show_count(size: Size) -> str:
    return f"{size.videos:,}"


def _show_name(one: Measured) -> str:
    """Return the engine, and the chosen setting where it has several."""
    return f"{one.label}, {one.chosen}" if len(one.searches) > 1 else one.label


def _show_exact(one: Measured) -> str:
    return next(
        (_show_median(search.p50_ms) for search in one.searches.values() if search.exact), ""
    )


def _show_at_recall(one: Measured) -> str:
    approximate = [search for search in one.searches.values() if not search.exact]
    at = choose_at_recall(one)
    if at is not None and approximate:
        return f"{_show_median(at[1].p50_ms)} ({at[0]})"
    if len(approximate) == 1:
        return f"{_show_median(approximate[0].p50_ms)} ({_show_recall(approximate[0])})"
    return ""


def _show_both(found: Answers, *, lost: float = 0.0) -> str:
    own = f" ({_show_median(found.server_ms)} in the server)" if found.server_ms else ""
    bold = "**" if found.recall_at_10 < lost else ""
    return f"{_show_median(found.p50_ms)}{own}; {bold}{_show_recall(found)}{bold}"


def _show_seconds(one: Measured) -> str:
    if one.built is None:
        return ""
    if one.built.shared_with is not None:
        return f"as {one.built.shared_with.rpartition(', ')[2]}"
    return show_number(one.built.upload_s + one.built.index_s)


def _show_recall(found: Answers) -> str:
    """``1`` where all were found, else three places: ``.987``, and ``1.000`` of nearly all."""
    return f"{found.recall_at_10:.3f}".removeprefix("0") if found.recall_at_10 < 1 else "1"


def _show_median(rounds: Sequence[float]) -> str:
    return show_number(float(np.median(rounds)))


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


def write_plots(result: Result, directory: Path) -> None:
    """Write every plot into ``directory``, which is made, as SVG and as PNG.

    Raises:
        UsageError: matplotlib is missing.
    """
    try:
        from matplotlib import rc_context, style
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("plots need matplotlib: pip install 'twinlens[bench]'") from error
    directory.mkdir(parents=True, exist_ok=True)
    synthetic = " (SYNTHETIC vectors)" if result.list_begun()[0].synthetic else ""
    for draw in (_draw_recall_against_latency, _draw_latency_against_size):
        name = draw.__name__.removeprefix("_draw_").replace("_", "-")
        # Text stays text; the ids are the same whenever the same is drawn.
        text = rc_context({"svg.fonttype": "none", "svg.hashsalt": name})
        with text, style.context("tableau-colorblind10"):
            figure = Figure(layout="constrained")
            draw(result, figure)
            title = name.replace("-", " ").capitalize()
            figure.suptitle(f"{title}; engines are compared at recall {CHIEF_RECALL}{synthetic}")
            handles, labels = figure.axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
            figure.savefig(directory / f"{name}.svg", metadata={"Date": None})
            figure.savefig(directory / f"{name}.png", dpi=120)


def _draw_recall_against_latency(result: Result, figure: Any) -> None:
    """Return a panel a size: what each setting finds, and what its median query takes."""
    sizes, styles = result.list_begun(), _choose_styles(result)
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


def _draw_latency_against_size(result: Result, figure: Any) -> None:
    """Return the median query at the chief recall by the number of videos."""
    figure.set_size_inches(10, 7)
    axes = figure.subplots()
    sizes = result.list_begun()
    for name, style in _choose_styles(result).items():
        engines = [(size.videos, size.experiments.get(name)) for size in sizes]
        found = [(videos, choose_at_recall(one)) for videos, one in engines if one]
        points = [(videos, float(np.median(at[1].p50_ms))) for videos, at in found if at]
        if points:
            axes.plot(*zip(*points, strict=True), **style)
    axes.set(xscale="log", yscale="log", xlabel="videos", ylabel="p50 of a query, milliseconds")
    axes.set_xticks([size.videos for size in sizes], [f"{size.videos:,}" for size in sizes])
    axes.grid(alpha=0.25)


def _choose_styles(result: Result) -> dict[str, dict[str, Any]]:
    return {
        name: {"label": label, "color": f"C{at % 10}", "marker": _MARKERS[at % len(_MARKERS)]}
        for at, (name, label) in enumerate(_list_labels(result.list_begun()).items())
    }
