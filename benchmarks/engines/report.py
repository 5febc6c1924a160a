"""A result for a reader, as Markdown: a report of its own, or tables between a page's markers."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from twinlens.benchmarks.engines.record import Result, Size, read_result
from twinlens.benchmarks.engines.tables import TABLES, Table, compare, show_bytes
from twinlens.catalog.errors import UsageError

_BLOCK: Final = re.compile(
    r"(?P<open><!-- bench: (?P<table>\S+) (?P<result>\S+) -->\n).*?(?P<close><!-- /bench -->)", re.S
)
# What is meant as a marker, however it is misspelt.
_MEANT: Final = re.compile(r"<!--\s*/?\s*bench\b")


def report_on(result: Result) -> str:
    """Return all tables of a run as Markdown, with what it was measured on.

    Raises:
        UsageError: nothing was measured in it.
    """
    sizes = result.list_begun()
    if not sizes:
        raise UsageError("an empty run: nothing was measured in it")
    lines = ["# FAISS against Qdrant", ""]
    lines += [f"- {name}: {_escape(told)}" for name, told in _list_facts(result).items() if told]
    for make in TABLES.values():
        if (table := make(result)) is not None:
            lines += ["", f"## {table.title}", "", table.note, "", *to_markdown(table)]
    return "\n".join(lines) + "\n"


def report_two(a: Result, b: Result) -> str:
    """Set both runs side by side, as Markdown: what differs of the machines, and `compare`."""
    told = {"a": _list_facts(a), "b": _list_facts(b)}
    lines = [
        f"- {name} of {run}: {_escape(fact)}"
        for name in told["a"]
        for run, facts in told.items()
        if told["a"][name] != told["b"][name] and (fact := facts[name])
    ]
    return "\n".join([*lines, "", *to_markdown(compare(a, b))]) + "\n"


def draw_page(page: str, results: Path, *, path: Path) -> str:
    """Draw the tables between the markers of ``page`` from the files in ``results``.

    A table stands between the lines ``<!-- bench: TABLE RESULT.json -->`` and ``<!-- /bench -->``.
    ``path`` is where the page lies: what its links start from, and what an error names.

    Raises:
        UsageError: a marker is misspelt or not closed, its table is unknown, its result is missing
            or has nothing for it.
    """
    read = cache(read_result)

    def draw(block: re.Match[str]) -> str:
        name, file = block["table"], results / block["result"]
        where = f"{path}: {name} {block['result']}"
        if not file.is_file():
            raise UsageError(f"{where}: no result {file}")
        if name not in TABLES:
            raise UsageError(f"{where}: there are {', '.join(TABLES)}")
        result = read(file)
        table = TABLES[name](result)
        if table is None:
            raise UsageError(f"{where}: nothing was measured for it")
        link = Path(os.path.relpath(file, path.parent)).as_posix()
        source = (
            f"From [`{file.name}`]({link}), made by `{'` and `'.join(_list_commands(result))}`;"
            f" {_format_loads(result, result.list_begun())}."
        )
        return "\n".join([block["open"].rstrip(), *to_markdown(table), "", source, block["close"]])

    drawn, count = _BLOCK.subn(draw, page)
    if 2 * count != len(_MEANT.findall(page)):
        raise UsageError(
            f"{path}: a marker is misspelt or not closed: write <!-- bench: TABLE RESULT.json -->"
            " and <!-- /bench -->, each alone in its line"
        )
    return drawn


def to_markdown(table: Table) -> Iterator[str]:
    """Yield the lines of a table."""
    yield f"| {' | '.join(map(_escape, table.columns))} |"
    yield f"|{'---|' * len(table.columns)}"
    for row in table.rows:
        yield f"| {' | '.join(map(_escape, row))} |"


def _list_facts(result: Result) -> Mapping[str, str]:
    machine, sizes = result.machine, result.list_begun()
    return {
        "Vectors": "; ".join(dict.fromkeys(size.source for size in sizes)),
        "SYNTHETIC": "recall is that of made-up vectors" if sizes[0].synthetic else "",
        "FAILED": ", ".join(result.list_failures()),
        "UNFINISHED": "" if result.finished else "the same command goes on with it",
        "Machine": f"{machine.processor}, {machine.cores} cores, {show_bytes(machine.memory_bytes)}"
        f", {machine.system}",
        "Load": _format_loads(result, sizes),
        "Taken at": machine.taken_at,
        "Command": ", then ".join(_list_commands(result)),
        "Commit": machine.commit or "none",
        "Versions": ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
    }


def _list_commands(result: Result) -> list[str]:
    """Return the command as it is typed, and others by which the run went on."""
    typed = [
        re.sub(r"^python (-m )?twinlens(\.__main__)? ", "twinlens ", machine.command)
        for machine in (result.machine, *result.continued)
    ]
    return list(dict.fromkeys(typed))


def _format_loads(result: Result, sizes: list[Size]) -> str:
    """Return the machine's load average over a minute, at the beginning and after each part."""
    began = [machine.load[0] for machine in (result.machine, *result.continued)]
    loads = [*began, *(load for size in sizes for load in size.loads.values())]
    low, high = min(loads), max(loads)
    told = f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"
    return f"load average {told} on {result.machine.cores} cores"


def _escape(text: str) -> str:
    # What Markdown would take for a cell's end, an element, or a second line; errors hold anything.
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
