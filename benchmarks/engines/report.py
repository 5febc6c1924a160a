"""A run's result for a reader: the same sentences and tables as Markdown and as one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from twinlens.benchmarks.engines.findings import findings, warnings
from twinlens.benchmarks.engines.result_file import Experiment, Result, Size, measured
from twinlens.benchmarks.engines.summary import (
    CHIEF_RECALL,
    RECALLS,
    AtRecall,
    Verdict,
    at_recall,
    crossing,
    described,
    disturbed_in,
    experiments,
    first_answer_ms,
    percentiles,
    ratio,
    speedup,
    verdicts,
)
from twinlens.benchmarks.engines.wording import number, size, spread
from twinlens.evaluate.intervals import over_rounds
from twinlens.evaluate.machine import machine_line

TITLE: Final = "FAISS against Qdrant"
_INTERVALS: Final = (
    "Medians over the rounds, with 95 % bootstrap intervals over them; ratios are formed within a "
    "round. What has no interval is of one round, or was the same in all."
)
NOT_MEASURED: Final = "–"
_INTERPOLATED: Final = (
    "p50 in milliseconds of a query by the title vector; log latency interpolated over recall "
    "between the two settings named, which differ in how far they look alone. “finds more” marks "
    "the fastest setting measured where that "
    f"already finds more; {NOT_MEASURED} where no setting finds as much, or none was measured."
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the first cell of a row is its name; ``note`` says what the figures are.

    ``disturbed`` says what disturbed their measuring; it is empty where nothing did.
    """

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    disturbed: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and the tables below it."""

    heading: str
    tables: Sequence[Table]


@dataclass(frozen=True, slots=True)
class Report:
    """What is told of a run, in the order in which it is told."""

    warnings: Sequence[str]
    findings: Sequence[str]
    verdicts: Sequence[Verdict]
    sections: Sequence[Section]
    facts: Mapping[str, str]


def report(result: Result) -> Report:
    """The whole report on a run."""
    sections = [Section("All sizes", [_by_size(result)])]
    for one in measured(result):
        found = [
            replace(made, disturbed=_disturbed(result, one, parts))
            for make, parts in _TABLES.items()
            if (made := make(one)) is not None
        ]
        sections.append(Section(f"{one['videos']:,} videos", found))
    return Report(warnings(result), findings(result), verdicts(result), sections, _facts(result))


def _disturbed(result: Result, of: Size, parts: Collection[str]) -> str:
    """What disturbed these parts; ``build`` stands for that of every experiment."""
    labels = {name: one["label"] for name, one in of["experiments"].items()}
    told = []
    for one in disturbed_in(result, of):
        kind, _, name = one.part.partition(" ")
        if kind in parts:
            told.append(f"{f'{kind} {labels.get(name, name)}' if name else kind} ({one.how})")
    return ", ".join(told)


def verdict_line(verdict: Verdict) -> str:
    """A demand and what came of it, in one line."""
    outcome = {True: "met", False: "MISSED", None: "not measured"}[verdict.met]
    return f"{outcome}: {verdict.demand} ({verdict.found})"


def markdown(told: Report) -> str:
    """The report as Markdown."""
    lines = [f"# {TITLE}", ""]
    for warning in told.warnings:
        lines += [f"> **{_escaped(warning)}**", ""]
    lines += [f"- {_escaped(sentence)}" for sentence in told.findings]
    lines += ["", "## What was to be reached", ""]
    lines += [f"- {_escaped(verdict_line(verdict))}" for verdict in told.verdicts]
    for section in told.sections:
        lines += ["", f"## {section.heading}"]
        for table in section.tables:
            lines += ["", f"### {table.title}", "", _escaped(table.note), "", *as_markdown(table)]
            if table.disturbed:
                lines += ["", f"Disturbed: {_escaped(table.disturbed)}."]
    lines += ["", "## What it was measured on", ""]
    lines += [f"- {name}: {_escaped(value)}" for name, value in told.facts.items()]
    return "\n".join(lines) + "\n"


def html(told: Report, plots: Mapping[str, str]) -> str:
    """The report as one HTML page that asks for nothing else; ``plots`` are SVG by caption."""
    # Only this page needs them: a comparison in a terminal does without.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("twinlens.benchmarks.engines", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Drawn by us, not given to us.
    drawn = {caption: Markup(svg) for caption, svg in plots.items()}
    page: str = environment.get_template("report.html").render(
        title=TITLE, told=told, plots=drawn, verdict_line=verdict_line
    )
    return page


def as_markdown(table: Table) -> Iterator[str]:
    """The lines of a table in Markdown."""
    yield f"| {' | '.join(map(_escaped, table.columns))} |"
    yield f"|{'---|' * len(table.columns)}"
    for row in table.rows:
        yield f"| {' | '.join(map(_escaped, row))} |"


def _escaped(text: str) -> str:
    # What Markdown would take for a cell's end, an element, or a second line; errors hold anything.
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _facts(result: Result) -> dict[str, str]:
    record, options = result["machine"], result["options"]
    sources = {one["videos"]: one["vectors"] for one in measured(result)}
    return {
        "Machine": machine_line(record),
        "Memory": size(record["memory_bytes"]),
        "System": record["system"],
        "Taken at": record["taken_at"],
        "Command": record["command"],
        "Commit": record["commit"] or "none",
        "Versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        "Options": described(options),
        "Vectors": "; ".join(
            f"{videos:,} videos: {one['source']}, {described(one['dims'])}, "
            f"{one['queries']:,} queries"
            for videos, one in sources.items()
        ),
    }


def _by_size(result: Result) -> Table:
    sizes = measured(result)
    rows = []
    for name, label in experiments(result).items():
        cells = [
            cell(
                at_recall(one["experiments"][name], CHIEF_RECALL)
                if name in one["experiments"]
                else None,
                _at_recall_shown,
            )
            for one in sizes
        ]
        found = crossing(result, name)
        if found is None:
            passes = NOT_MEASURED
        elif found.videos is not None:
            passes = found.videos_shown
        elif found.faster_from is None:
            passes = "not up to the largest, for sure"
        else:
            passes = "before the smallest" if found.always else f"before {found.faster_from:,}"
        rows.append([label, *cells, passes])
    return Table(
        f"One query at recall {CHIEF_RECALL}, by size",
        f"{_INTERPOLATED} The last column: from how many videos on it is faster than FAISS flat, "
        "beyond noise.",
        ["", *(f"{one['videos']:,} videos, ms" for one in sizes), "passes flat at, videos"],
        rows,
        ", ".join(
            f"{one['videos']:,} videos ({told})"
            for one in sizes
            if (told := _disturbed(result, one, ["latency"]))
        ),
    )


def _searches(of: Size) -> Table | None:
    rows = []
    for experiment in of["experiments"].values():
        for name, search in experiment.get("searches", {}).items():
            engine_ms = search.get("engine_ms")
            rows.append(
                [
                    experiment["label"],
                    f"{name}, chosen" if name == experiment.get("chosen") else name,
                    f"{search['recall_at_10']:.4f}",
                    *(_ms(search, percentile) for percentile in ("p50", "p95", "p99")),
                    cell(engine_ms, lambda ms: spread(over_rounds(ms["p50"]))),
                    cell(speedup(of, search["ms"]), spread),
                ]
            )
    return table_of(
        "Searches",
        "Single queries by the title vector, one client. " + _INTERVALS,
        [
            *("", "setting", "recall@10", "p50, ms", "p95, ms", "p99, ms"),
            *("of it in the server, p50, ms", "times as fast as flat, p50"),
        ],
        rows,
    )


def _equal_recall(of: Size) -> Table | None:
    rows = [
        [
            experiment["label"],
            *(cell(at_recall(experiment, recall), _at_recall_shown) for recall in RECALLS),
        ]
        for experiment in of["experiments"].values()
    ]
    return table_of(
        "Latency at equal recall",
        _INTERPOLATED,
        ["", *(f"recall {recall:.2f}, ms" for recall in RECALLS)],
        rows,
    )


def _at_recall_shown(at: AtRecall) -> str:
    return f"{spread(at.ms)} ({at.settings}{', finds more' if at.exceeded else ''})"


def _costs(of: Size) -> Table | None:
    rows = []
    for experiment in of["experiments"].values():
        built, memory = (experiment.get(key) or {} for key in ("built", "memory"))
        rows.append(
            [
                experiment["label"],
                _built_with(experiment),
                *(building_s(built, key) for key in ("upload_s", "index_s")),
                cell(built.get("threads"), number),
                cell(built.get("indexed_vectors"), number),
                *(cell(built.get(key), size) for key in ("disk_bytes", "peak_bytes")),
                *(cell(memory.get(key), size) for key in ("rss_bytes", "anonymous_bytes")),
                cell(experiment.get("cold"), _first_answer),
            ]
        )
    return table_of(
        "Building, disk, memory, first query",
        "Each measured once but for the last: of its tries it has the median, and their range. "
        "Memory is that of a process that has the index open and has answered a few queries: what "
        "is resident but not anonymous are pages of files that these touched, which the system can "
        "take back. The last is the time from a new process to its first answer, when no page of "
        "the files is in memory: opening and first query together.",
        [
            *("", "built with", "upload, s", "index, s", "threads", "vectors in graphs"),
            *("disk", "memory while building, peak", "resident", "anonymous"),
            "opening and first query, ms (setting)",
        ],
        rows,
    )


def building_s(built: Mapping[str, Any], *keys: str) -> str:
    """The seconds of these steps together; of an index that another one made, which one."""
    if (shared := built.get("shared_with")) is not None:
        return f"as {shared.rpartition(', ')[2]}"
    steps = [built[key] for key in keys if built.get(key) is not None]
    return number(float(sum(steps))) if steps else NOT_MEASURED


def with_range(values: Sequence[float]) -> str:
    """The median with the lowest and the highest: ``37.0 (30.0 to 40.0)``."""
    low, middle, high = (float(of(values)) for of in (min, np.median, max))
    return number(middle) + (f" ({number(low)} to {number(high)})" if low < high else "")


def _first_answer(cold: Mapping[str, Any]) -> str:
    return f"{with_range(first_answer_ms(cold))}, {cold['setting']}"


def _built_with(experiment: Experiment) -> str:
    """What the index was built with, and the variables of the process that held it."""
    told = [experiment["build"], experiment.get("environment") or {}]
    return "; ".join(described(one) for one in told if one) or described({})


def _throughput(of: Size) -> Table | None:
    ways = {
        (kind, count): None
        for experiment in of["experiments"].values()
        for kind, by_count in experiment.get("clients", {}).items()
        for count in by_count
    }
    rows = [
        [
            experiment["label"],
            experiment.get("chosen") or NOT_MEASURED,
            cell(experiment.get("batch"), lambda batch: _rounds(batch["per_second"])),
            *(
                cell(experiment.get("clients", {}).get(kind, {}).get(count), _rounds)
                for kind, count in ways
            ),
        ]
        for experiment in of["experiments"].values()
        if "batch" in experiment or "clients" in experiment
    ]
    return table_of(
        "Throughput",
        "Queries a second, in one batch and by clients that each ask one at a time. " + _INTERVALS,
        [
            *("", "setting", "in one batch, a second"),
            *(f"{count} {_clients(kind, count)}, a second" for kind, count in ways),
        ],
        rows,
    )


def _clients(kind: str, count: str) -> str:
    return {"threads": "thread", "processes": "process"}[kind] if count == "1" else kind


def _filtered(of: Size) -> Table | None:
    shares = list(
        dict.fromkeys(
            share
            for experiment in of["experiments"].values()
            for share in sorted(experiment.get("filtered", {}), key=float, reverse=True)
        )
    )
    rows = [
        [
            experiment["label"],
            experiment.get("chosen") or NOT_MEASURED,
            *(
                cell(
                    experiment["filtered"].get(share),
                    lambda one: f"{_ms(one)}; {one['recall_at_10']:.3f}",
                )
                for share in shares
            ),
        ]
        for experiment in of["experiments"].values()
        if experiment.get("filtered")
    ]
    return table_of(
        "Filtered search",
        "p50 in milliseconds; then recall@10 among the videos that the filter lets through.",
        ["", "setting", *(f"{float(share):.3g} of the videos, ms; recall" for share in shares)],
        rows,
    )


def _fused(of: Size) -> Table | None:
    rows = [
        [
            experiment["label"],
            experiment.get("chosen") or NOT_MEASURED,
            *(
                cell(
                    experiment["fused"].get(where),
                    lambda one: f"{_ms(one)}; {one['recall_at_10']:.4f}",
                )
                for where in ("python", "engine")
            ),
        ]
        for experiment in of["experiments"].values()
        if experiment.get("fused")
    ]
    return table_of(
        "Both vectors, fused",
        "p50 in milliseconds; then recall@10 against the fusion of exact rankings.",
        ["", "setting", "in Python, ms; recall", "in the engine, ms; recall"],
        rows,
    )


def _changing(of: Size) -> Table | None:
    rows = []
    for experiment in of["experiments"].values():
        changing = experiment.get("changing", {})
        if not {"without", "beside"} <= changing.keys():
            continue
        without, beside = changing["without"], changing["beside"]
        rows.append(
            [
                experiment["label"],
                *(_ms(one, p) for p in ("p50", "p99") for one in (without, beside)),
                spread(over_rounds(ratio(beside["ms"]["p50"], without["ms"]["p50"]))),
                number(beside["upserts_per_second"]),
                number(beside["deletes_per_second"]),
            ]
        )
    return table_of(
        "Searching while the index changes",
        "A query without changes, and beside upserts and deletes: each measured once, for some "
        "seconds, so that nothing is known of its noise.",
        [
            *("", "p50 without, ms", "p50 beside, ms", "p99 without, ms", "p99 beside, ms"),
            *("times as long, p50", "upserts a second", "deletes a second"),
        ],
        rows,
    )


# By the parts of a run that they are from.
_TABLES: Final[Mapping[Callable[[Size], Table | None], Collection[str]]] = {
    _searches: ["latency"],
    _equal_recall: ["latency"],
    _filtered: ["filters"],
    _fused: ["fusion"],
    _throughput: ["batches", "clients"],
    _costs: ["build", "cold"],
    _changing: ["changing"],
}


def table_of(
    title: str, note: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> Table | None:
    """The table without the columns that no row has a figure for; None without any figure."""
    kept = [
        at for at in range(len(columns)) if at == 0 or any(row[at] != NOT_MEASURED for row in rows)
    ]
    if len(kept) == 1:
        return None
    return Table(
        title, note, [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]
    )


def cell(value: Any, shown: Callable[[Any], str]) -> str:
    """The value as it is shown, or the dash of what was not measured."""
    return NOT_MEASURED if value is None else shown(value)


def _ms(found: Experiment, percentile: str = "p50") -> str:
    return cell(percentiles(found["ms"]).get(percentile), _rounds)


def _rounds(values: Sequence[float]) -> str:
    return spread(over_rounds(np.asarray(values)))
