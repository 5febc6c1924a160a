"""``python -m twinlens.benchmarks.engines.page``: the tables of Markdown pages, drawn from results.

A table stands between two lines, of which the first names it and the result that it is from; what
is between them is replaced::

    <!-- bench: one-query engines.json -->
    <!-- /bench -->

Figures are medians over the rounds; only ratios have their interval. An engine keeps its place,
whatever order a run measured them in; a column without any figure is left out.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click
import numpy as np

from twinlens.benchmarks.engines.experiments import (
    EMBEDDED,
    EXPERIMENTS,
    FLAT,
    FLAT_IN_MEMORY,
    VARIANTS,
)
from twinlens.benchmarks.engines.report import (
    NOT_MEASURED,
    Table,
    as_markdown,
    building_s,
    cell,
    table_of,
    with_range,
)
from twinlens.benchmarks.engines.result_file import Experiment, Result, Size, measured, read_result
from twinlens.benchmarks.engines.summary import (
    CHIEF_RECALL,
    FUSED_WHERE,
    at_recall,
    by_loop,
    by_reading,
    detailed,
    engines,
    experiments,
    first_answer_ms,
    percentiles,
    speedup,
)
from twinlens.benchmarks.engines.wording import listed, number, size, spread
from twinlens.catalog.errors import TwinLensError, UsageError
from twinlens.catalog.files import write_atomically

RESULTS: Final = Path(__file__).parents[1] / "results"

_OPENED: Final = re.compile(r"<!-- bench: (?P<table>\S+) (?P<result>\S+) -->")
_CLOSED: Final = "<!-- /bench -->"
# What is meant as a marker, however it is misspelt.
_MEANT: Final = re.compile(r"<!--\s*/?\s*bench\b")
_PLACES: Final = {one.name: at for at, one in enumerate(EXPERIMENTS)}
_INT8: Final = f"{EMBEDDED}-int8"
# How far a graph's search walks, where graphs built otherwise are compared.
_EFS: Final = (32, 64, 128)
# Below this, an engine under a filter has lost its results.
_LOST_RECALL: Final = 0.9


class Drawing(NamedTuple):
    """A table's rows, the headings before them, and what of the run they were measured in.

    ``parts_of_last`` are parts of the last size alone.
    """

    rows: Sequence[Sequence[str]]
    sizes: Sequence[Size]
    parts: Collection[str]
    parts_of_last: Collection[str] = ()


class Block(NamedTuple):
    """A table's place in a page: what its marker names, and the lines of both, counted from 1."""

    table: str
    result: str
    opened: int
    closed: int

    @property
    def between(self) -> slice:
        """The table's own lines, in a list of the page's."""
        return slice(self.opened, self.closed - 1)

    def __str__(self) -> str:
        return f"{self.table} {self.result}"


def drawn(page: str, results: Path, *, path: Path) -> str:
    """The text of ``page`` with its tables drawn from the files in ``results``.

    ``path`` is where the page lies: what its links start from, and what an error names.

    Raises:
        UsageError: a marker is misspelt or not closed, its table is unknown, its result is missing
            or has nothing for it.
    """
    read: dict[str, Result] = {}
    tables = []
    for block in blocks(page, path=path):
        file = results / block.result
        try:
            if block.result not in read:
                read[block.result] = read_result(file)
            table, drawing = _drawn(block.table, read[block.result])
        except FileNotFoundError as error:
            raise UsageError(f"{path}:{block.opened}: {block}: no result {file}") from error
        except UsageError as error:
            raise UsageError(f"{path}:{block.opened}: {block}: {error}") from error
        source = _source(read[block.result], drawing, Path(os.path.relpath(file, path.parent)))
        tables.append((block, [*as_markdown(table), "", source]))
    lines = page.split("\n")
    # From the last to the first, so that lines keep their numbers.
    for block, told in reversed(tables):
        lines[block.between] = told
    return "\n".join(lines)


def blocks(page: str, *, path: Path) -> list[Block]:
    """Where the tables of a page stand, from the first to the last.

    Raises:
        UsageError: a marker is misspelt, not closed, or closes nothing.
    """
    found = []
    opened: Block | None = None
    for number_of_line, line in enumerate(page.split("\n"), start=1):
        if not _MEANT.search(line):
            continue
        where = f"{path}:{number_of_line}"
        if line == _CLOSED:
            if opened is None:
                raise UsageError(f"{where}: {_CLOSED} closes no table")
            found.append(opened._replace(closed=number_of_line))
            opened = None
        elif named := _OPENED.fullmatch(line):
            if opened is not None:
                break
            opened = Block(named["table"], named["result"], number_of_line, number_of_line)
        else:
            raise UsageError(
                f"{where}: no marker: write <!-- bench: TABLE RESULT.json --> or {_CLOSED}, "
                "alone in its line"
            )
    if opened is not None:
        raise UsageError(f"{path}:{opened.opened}: {opened} is not closed by {_CLOSED}")
    return found


def stale(page: str, anew: str, *, path: Path) -> list[str]:
    """Which tables of ``page`` differ from those of ``anew``, the same page drawn: line and name.

    ``path`` is where the page lies.
    """
    old, new = page.split("\n"), anew.split("\n")
    return [
        f"{path}:{was.opened}: {was}"
        for was, now in zip(blocks(page, path=path), blocks(anew, path=path), strict=True)
        if old[was.between] != new[now.between]
    ]


def _drawn(name: str, result: Result) -> tuple[Table, Drawing]:
    if name not in TABLES:
        raise UsageError(f"no such table; there are {listed(list(TABLES))}")
    drawing = TABLES[name](result)
    columns, *rows = drawing.rows
    table = table_of(name, "", columns, rows)
    if table is None:
        raise UsageError("nothing was measured for it")
    return table, drawing


def _source(result: Result, drawing: Drawing, file: Path) -> str:
    # As it is typed, whichever way the command was started.
    command = re.sub(r"^python (-m )?twinlens ", "twinlens ", result["machine"]["command"])
    told = f"From [`{file.name}`]({file.as_posix()}), made by `{command}`."
    by_part: dict[str, list[str]] = {}
    for of in drawing.sizes:
        last = drawing.parts_of_last if of is drawing.sizes[-1] else ()
        for part in of.get("disturbed", ()):
            if part in (*drawing.parts, *last):
                by_part.setdefault(part, []).append(f"{of['videos']:,}")
    if by_part:
        parts = "; ".join(f"{part} at {listed(at)}" for part, at in by_part.items())
        told += f" Disturbed: {parts} videos."
    return told


# The tables: each gives its headings, then its rows.


def _one_query(result: Result) -> Drawing:
    """p50 at ``CHIEF_RECALL`` by size: exact searches, the limit of a scan, approximate ones."""
    sizes = measured(result)
    exact, others = [], []
    for name, label in _engines(result).items():
        found = [of["experiments"].get(name, {}) for of in sizes]
        kinds = {search["exact"] for one in found for search in _searches(one).values()}
        if True in kinds:
            row = label if kinds == {True} else f"{label}, exact"
            exact.append([row, *(cell(_exact_rounds(one), _shown) for one in found)])
        if kinds != {True}:
            others.append([label, *(_at_chief_recall(one) for one in found)])
    reading = [cell(of.get("reading"), lambda read: _shown(read["ms"])) for of in sizes]
    return Drawing(
        [
            ["p50 in ms, by videos", *_counts(sizes)],
            *exact,
            ["*reading the vectors once*", *reading],
            *others,
        ],
        sizes,
        ["latency"],
    )


def _scan_limit(result: Result) -> Drawing:
    """How near a flat index comes to reading its vectors once, and our timing to faiss' own."""
    sizes = measured(result)
    labels = experiments(result)
    rows = [
        [labels[name], *(cell(by_reading(of).get(name), spread) for of in sizes)]
        for name in (FLAT, FLAT_IN_MEMORY)
        if name in labels
    ]
    loop = [
        "our timing: times `faiss`' own loop",
        *(cell(by_loop(of), spread) for of in sizes),
    ]
    return Drawing(
        [["times reading once, by videos", *_counts(sizes)], *rows, loop], sizes, ["latency"]
    )


def _settings(result: Result) -> Drawing:
    """Every setting of every engine at one size."""
    of = detailed(result)
    rows = [
        [
            _named(experiment, setting),
            _recall(search),
            *(
                cell(percentiles(search["ms"]).get(percentile), _shown)
                for percentile in ("p50", "p95", "p99")
            ),
            cell(speedup(of, search["ms"]), spread),
        ]
        for experiment in _told(of)
        for setting, search in _searches(experiment).items()
    ]
    columns = [_at(of), "recall@10", "p50, ms", "p95, ms", "p99, ms", "times faster than flat"]
    return Drawing([columns, *rows], [of], ["latency"])


def _filters(result: Result) -> Drawing:
    """p50 and recall at one size, by the share of the videos that a filter lets through."""
    of = detailed(result)
    told = [one for one in _told(of) if one.get("filtered")]
    shares = sorted({share for one in told for share in one["filtered"]}, key=float, reverse=True)
    rows = [
        [
            _named(one, one.get("chosen")),
            *(cell(one["filtered"].get(share), _under_filter) for share in shares),
        ]
        for one in told
    ]
    columns = [f"p50 in ms; recall@10, {_at(of)}", *(f"{float(one) * 100:g} %" for one in shares)]
    return Drawing([columns, *rows], [of], ["filters"])


def _fused(result: Result) -> Drawing:
    """p50 and recall of queries by both vectors, by size and by where the lists are fused."""
    sizes = [
        of for of in measured(result) if any(one.get("fused") for one in of["experiments"].values())
    ]
    rows = [
        [
            f"{label}, {told}",
            *(
                cell(of["experiments"].get(name, {}).get("fused", {}).get(where), _wait_and_recall)
                for of in sizes
            ),
        ]
        for name, label in _engines(result).items()
        for where, told in FUSED_WHERE.items()
    ]
    rows = [row for row in rows if any(cell != NOT_MEASURED for cell in row[1:])]
    columns = ["p50 in ms; recall@10, by videos", *_counts(sizes)]
    return Drawing([columns, *rows], sizes, ["fusion"])


def _clients(result: Result) -> Drawing:
    """Queries a second at one size, by clients that ask one at a time, and in a batch."""
    of = detailed(result)
    told = [one for one in _told(of) if "clients" in one or "batch" in one]
    counts = {
        int(count)
        for one in told
        for by_count in one.get("clients", {}).values()
        for count in by_count
    }
    # One thread of one process is one client, whichever of the two it was measured as.
    ways = [
        ("threads", 1),
        *((k, c) for k in ("threads", "processes") for c in sorted(counts - {1})),
    ]
    rows = [
        [
            _named(one, one.get("chosen")),
            *(
                cell(one.get("clients", {}).get(kind, {}).get(str(count)), _shown)
                for kind, count in ways
            ),
            cell(one.get("batch"), lambda batch: _shown(batch["per_second"])),
        ]
        for one in told
    ]
    headings = ["1", *(f"{count} {kind}" for kind, count in ways[1:]), "batch"]
    return Drawing(
        [[f"queries a second, {_at(of)}", *headings], *rows], [of], ["clients", "batches"]
    )


def _building(result: Result) -> Drawing:
    """Seconds by size; disk, memory and the first answer of a new process at the largest."""
    sizes = measured(result)
    largest = sizes[-1]["experiments"]
    names = _engines(result)
    rows = []
    for name, label in names.items():
        at_largest = largest.get(name, {})
        built, memory = (at_largest.get(key) or {} for key in ("built", "memory"))
        rows.append(
            [
                label,
                *(_built_in(of["experiments"].get(name, {})) for of in sizes),
                *(cell(built.get(key), size) for key in ("disk_bytes", "peak_bytes")),
                *(cell(memory.get(key), size) for key in ("rss_bytes", "anonymous_bytes")),
                cell(at_largest.get("cold"), _first_answer),
            ]
        )
    columns = [
        f"seconds by videos; the rest {_at(sizes[-1])}",
        *_counts(sizes),
        *("disk", "peak while building", "resident", "anonymous"),
        "opening and first query, ms",
    ]
    return Drawing([columns, *rows], sizes, [f"build {name}" for name in names], ["cold"])


def _changing(result: Result) -> Drawing:
    """p50 and p99 at one size without changes and beside them."""
    of = detailed(result)
    rows = [
        [
            _named(one, one.get("chosen")),
            *(_waits(one["changing"][how]) for how in ("without", "beside")),
            number(one["changing"]["beside"]["upserts_per_second"]),
        ]
        for one in _told(of)
        if {"without", "beside"} <= one.get("changing", {}).keys()
    ]
    columns = [
        f"p50; p99 in ms, measured once, {_at(of)}",
        "alone",
        "beside changes",
        "upserts a second",
    ]
    return Drawing([columns, *rows], [of], ["changing"])


def _graph_settings(result: Result) -> Drawing:
    """Graphs of the embedded engine that were built otherwise, at one size."""
    of = detailed(result)
    names = [
        name
        for name in _in_order(of["experiments"])
        if name in (EMBEDDED, _INT8) or name in VARIANTS
    ]
    rows = []
    for name in names:
        one = of["experiments"][name]
        graph = _graph(one)
        rows.append(
            [
                # What the product's index is built with.
                f"**{graph}**" if name == EMBEDDED else graph,
                _built_in(one),
                *(cell(_walked(one, ef), _wait_and_recall) for ef in _EFS),
                cell((one.get("built") or {}).get("disk_bytes"), size),
                cell((one.get("memory") or {}).get("anonymous_bytes"), size),
            ]
        )
    columns = [
        f"p50 in ms; recall@10, {_at(of)}",
        *("built in, s", *(f"ef {ef}" for ef in _EFS), "disk", "anonymous"),
    ]
    return Drawing([columns, *rows], [of], ["latency", *(f"build {name}" for name in names)])


TABLES: Final[Mapping[str, Callable[[Result], Drawing]]] = {
    "one-query": _one_query,
    "scan-limit": _scan_limit,
    "settings": _settings,
    "filters": _filters,
    "fused": _fused,
    "clients": _clients,
    "building": _building,
    "changing": _changing,
    "graph-settings": _graph_settings,
}


# What their rows and cells are made of.


def _in_order(names: Iterable[str]) -> list[str]:
    """As they are always told, whatever their order in a run; those of a server come last."""
    return sorted(names, key=lambda name: _PLACES.get(name, len(_PLACES)))


def _engines(result: Result) -> dict[str, str]:
    """The name and label of every engine of the run but for variants."""
    labels = experiments(result)
    return {name: labels[name] for name in _in_order(labels) if name not in VARIANTS}


def _told(of: Size) -> list[Experiment]:
    """The engines of a size but for variants."""
    found = engines(of)
    return [found[name] for name in _in_order(found)]


def _searches(experiment: Experiment) -> Mapping[str, Experiment]:
    found: Mapping[str, Experiment] = experiment.get("searches", {})
    return found


def _exact_rounds(experiment: Experiment) -> Sequence[float] | None:
    for search in _searches(experiment).values():
        if search["exact"]:
            rounds: Sequence[float] = search["ms"]["p50"]
            return rounds
    return None


def _at_chief_recall(experiment: Experiment) -> str:
    """p50 at the recall, and between which ``ef``; at its own one, of a single setting below it."""
    at = at_recall(experiment, CHIEF_RECALL)
    searches = _searches(experiment)
    if at is None:
        approximate = [search for search in searches.values() if not search["exact"]]
        if len(approximate) != 1:
            return NOT_MEASURED
        [only] = approximate
        return f"{_shown(only['ms']['p50'])} ({_recall(only)})"
    p50 = number(at.ms.median)
    if "ef" not in searches[at.between[0]]["setting"]:
        return p50
    low, high = map(_setting, at.between)
    walked = low if low == high else f"{low}–{high.removeprefix('ef ')}"
    return f"{p50} ({walked}{'+' if at.exceeded else ''})"


def _named(experiment: Experiment, setting: str | None) -> str:
    """The engine, and the setting where it has several."""
    label: str = experiment["label"]
    if setting is None or len(_searches(experiment)) < 2:
        return label
    return f"{label}, {_setting(setting)}"


def _setting(name: str) -> str:
    """``ef 64`` for ``ef=64``; that int8 is rescored goes without saying."""
    return name.replace("=", " ").removesuffix(", rescored")


def _graph(experiment: Experiment) -> str:
    build = experiment["build"]
    told = f"m {build['m']}, ef_construct {build['ef_construct']}"
    return f"{told}, {build['quantization']}" if build.get("quantization") else told


def _walked(experiment: Experiment, ef: int) -> Experiment | None:
    searches = _searches(experiment)
    return searches.get(f"ef={ef}", searches.get(f"ef={ef}, rescored"))


def _built_in(experiment: Experiment) -> str:
    return building_s(experiment.get("built") or {}, "upload_s", "index_s")


def _first_answer(cold: Experiment) -> str:
    return f"{with_range(first_answer_ms(cold))}, {_setting(cold['setting'])}"


def _counts(sizes: Iterable[Size]) -> list[str]:
    return [f"{of['videos']:,}" for of in sizes]


def _at(of: Size) -> str:
    return f"at {of['videos']:,} videos"


def _shown(rounds: Sequence[float]) -> str:
    return number(float(np.median(rounds)))


def _recall(found: Experiment) -> str:
    """``1`` where all were found, else three places: ``.987``, and ``1.000`` of nearly all."""
    recall = found["recall_at_10"]
    return "1" if recall == 1 else f"{recall:.3f}".removeprefix("0")


def _wait_and_recall(found: Experiment) -> str:
    return f"{_shown(found['ms']['p50'])}; {_recall(found)}"


def _under_filter(found: Experiment) -> str:
    recall = _recall(found)
    lost = found["recall_at_10"] < _LOST_RECALL
    return f"{_shown(found['ms']['p50'])}; {f'**{recall}**' if lost else recall}"


def _waits(found: Experiment) -> str:
    told = percentiles(found["ms"])
    return "; ".join(cell(told.get(percentile), _shown) for percentile in ("p50", "p99"))


@click.command()
@click.argument(
    "paths",
    metavar="FILE.md [FILE.md ...]",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--results",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=RESULTS,
    help="Where the results lie [default: benchmarks/results].",
)
@click.option("--check", is_flag=True, help="Write nothing; end with 1 if a table is stale.")
def main(paths: tuple[Path, ...], results: Path, check: bool) -> None:
    """Draw the tables of Markdown pages anew from results of `twinlens bench`.

    A table stands between the lines <!-- bench: TABLE RESULT.json --> and <!-- /bench -->. Nothing
    is written unless all of them can be drawn.

    \b
    Example:
      python -m twinlens.benchmarks.engines.page docs/faiss-vs-qdrant.md
    """  # noqa: D301 - the backslash-b is click's
    try:
        pages = {path: path.read_bytes().decode() for path in paths}
        anew = {path: drawn(page, results, path=path) for path, page in pages.items()}
    except TwinLensError as error:
        click.echo(f"page: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    found = False
    for path, page in pages.items():
        for one in stale(page, anew[path], path=path):
            click.echo(f"{one}: {'stale' if check else 'drawn anew'}")
            found = True
        if anew[path] != page and not check:
            write_atomically(path, anew[path])
    if check and found:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
