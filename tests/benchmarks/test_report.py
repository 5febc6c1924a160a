"""What is told of a result: its tables, two runs side by side, plots, and the pages of the docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from twinlens.benchmarks.engines.record import Result, read_result
from twinlens.benchmarks.engines.report import draw_page, report_on, report_two
from twinlens.benchmarks.engines.tables import (
    TABLES,
    Table,
    choose_at_recall,
    choose_detailed,
    compare,
    measure_ratio,
    show_bytes,
    show_number,
)
from twinlens.catalog.errors import UsageError
from twinlens.cli import main

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture(scope="module")
def server() -> Result:
    """The run with a real Qdrant server."""
    return read_result(RESULTS / "engines-server.json")


def row_of(table: Table | None, name: str) -> dict[str, str]:
    assert table is not None
    [row] = [row for row in table.rows if row[0] == name]
    return dict(zip(table.columns[1:], row[1:], strict=True))


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


@pytest.mark.parametrize("file", sorted(RESULTS.glob("engines*.json")), ids=lambda one: one.stem)
def test_what_is_read_is_what_is_written(file: Path, tmp_path: Path) -> None:
    result = read_result(file)
    result.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()
    assert report_on(result).startswith("# FAISS against Qdrant")


FLAT = ("sizes", 0, "experiments", "faiss-flat")


@pytest.mark.parametrize(
    ("path", "to", "said"),
    [
        (("format",), 2, "format: Input should be 3"),
        (("machine",), None, "machine: Field required"),
        (("sizes", 0, "videos"), "many", "sizes.0.videos"),
        ((*FLAT, "label"), None, "faiss-flat.label: Field required"),
        ((*FLAT, "batch"), [], "faiss-flat.batch"),
        ((*FLAT, "searches", "exact", "p50_ms"), [-1.0], "p50_ms.0"),
        ((*FLAT, "searches", "exact", "recall_at_10"), 1.5, "recall_at_10"),
        ((*FLAT, "surprise"), 1, "surprise: Extra inputs"),
    ],
)
def test_what_is_wrong_in_a_result_is_named(
    path: tuple[Any, ...], to: Any, said: str, server: Result, tmp_path: Path
) -> None:
    given = json.loads(server.model_dump_json(exclude_defaults=True))
    part = given
    for key in path[:-1]:
        part = part[key]
    part.pop(path[-1]) if to is None else part.update({path[-1]: to})
    (tmp_path / "bad.json").write_text(json.dumps(given), encoding="utf-8")
    outcome = invoke("report", tmp_path / "bad.json")
    assert outcome.exit_code == 2
    assert "bad.json: not a result" in outcome.output
    assert said in outcome.output


def test_an_empty_run_has_nothing_to_report(server: Result) -> None:
    empty = server.model_copy(deep=True)
    for size in empty.sizes:
        size.experiments = {}
    with pytest.raises(UsageError, match="nothing was measured"):
        report_on(empty)


EMBEDDED = "Qdrant embedded, ef 64"


@pytest.mark.parametrize(
    ("file", "table", "row", "cells"),
    [
        ("server", "one-query", "FAISS flat", {"20,000": "1.37"}),
        ("server", "one-query", "Qdrant server, gRPC", {"1,400": "1.09 (ef 16)"}),
        ("server", "one-query", "Qdrant server, gRPC, exact", {"100,000": "15.9"}),
        ("server", "one-query", "FAISS SQ8", {"100,000": "5.51 (.956)"}),
        ("server", "settings", "Qdrant server, gRPC, ef 64", {"of it in the server": "0.646"}),
        # A server's disk is unknown, and never no bytes.
        ("server", "building", "Qdrant server, REST", {"disk": "–", "resident": "–"}),
        ("server", "building", "Qdrant server, gRPC", {"disk": "–", "100,000": "as REST"}),
        ("server", "building", "Qdrant embedded", {"disk": "332 MiB"}),
        ("server", "fused", "Qdrant server, REST", {"100,000": "47.2; 1"}),
        # Lost results are bold.
        ("", "filters", "FAISS HNSW, ef 64", {"1 %": "0.227; **.337**"}),
        ("", "filters", EMBEDDED, {"1 %": "0.369; 1"}),
        ("", "clients", EMBEDDED, {"1": "2,560", "2 threads": "2,841", "2 processes": "6,688"}),
        ("", "clients", EMBEDDED, {"batch": "3,794"}),
    ],
)
def test_a_row_is_told(file: str, table: str, row: str, cells: dict[str, str]) -> None:
    result = read_result(RESULTS / f"engines{file and '-'}{file}.json")
    assert row_of(TABLES[table](result), row).items() >= cells.items()


def test_the_servers_own_time_is_told_beside_the_wait(server: Result) -> None:
    measured = server.model_copy(deep=True)
    fused = measured.sizes[-1].experiments["qdrant-server-rest"].fused
    assert fused is not None
    fused.server_ms = [2.5, 2.5, 2.5]
    row = row_of(TABLES["fused"](measured), "Qdrant server, REST")
    assert row["100,000"] == "47.2 (2.50 in the server); 1"


def test_the_quickest_setting_that_finds_enough_stands_for_an_engine(server: Result) -> None:
    size = choose_detailed(server)
    for name, label in (("faiss-hnsw", "ef 64"), ("faiss-flat", "exact")):
        one = size.experiments[name]
        at = choose_at_recall(one)
        assert at is not None
        assert at[0] == label
        for search in one.searches.values():
            quicker = np.median(search.p50_ms) < np.median(at[1].p50_ms)
            assert not quicker or search.recall_at_10 < 0.98
    assert choose_at_recall(size.experiments["faiss-sq8"]) is None


def test_what_was_not_measured_is_no_column_and_no_row(server: Result) -> None:
    small = server.model_copy(deep=True)
    for size in small.sizes:
        for one in size.experiments.values():
            one.batch = one.fused = one.memory = None
    assert TABLES["fused"](small) is None
    assert "Both vectors" not in report_on(small)
    building, clients = TABLES["building"](small), TABLES["clients"](small)
    assert building is not None
    assert "resident" not in building.columns
    assert clients is not None
    assert "batch" not in clients.columns


def test_ratios_are_formed_within_their_round() -> None:
    slow_round = measure_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0], paired=True)
    assert slow_round == (2.0, 2.0, 2.0)
    apart = measure_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0], paired=False)
    assert apart.low < 2.0 == apart.median < apart.high
    assert measure_ratio([3.0], [1.0], paired=True) == (3.0, 3.0, 3.0)


def test_two_runs_stand_side_by_side_with_the_interval_of_their_ratio(server: Result) -> None:
    server = server.model_copy(update={"sizes": server.sizes[:1]})
    slower = server.model_copy(deep=True)
    search = slower.sizes[0].experiments["faiss-flat"].searches["exact"]
    search.p50_ms = [2 * ms for ms in search.p50_ms]
    slower.machine.commit = "another"
    assert "Commit of b: another" in report_two(server, slower)
    rows = {tuple(row[:3]): row for row in compare(server, slower).rows}
    changed = [key for key, row in rows.items() if row[-1] == "changed"]
    assert changed == [("1,400", "faiss-flat", "exact: p50, ms")]
    low, high = rows[changed[0]][5].partition("[")[2].rstrip("]").split(", ")
    assert 1 < float(low) <= 2 <= float(high)
    same = rows["1,400", "faiss-hnsw", "batch: queries a second"]
    assert same[3] == same[4]
    assert same[-1] == ""


def test_two_runs_without_a_common_figure_are_refused(server: Result) -> None:
    with pytest.raises(UsageError, match="no figure in common"):
        report_two(server, read_result(RESULTS / "engines-films.json"))


def test_plots_are_drawn_in_both_forms(server: Result, tmp_path: Path) -> None:
    server.model_copy(update={"sizes": server.sizes[:2]}).write(tmp_path / "two-sizes.json")
    outcome = invoke("report", tmp_path / "two-sizes.json", "--plots", tmp_path / "plots")
    assert outcome.exit_code == 0, outcome.output
    for name in ("recall-against-latency", "latency-against-size"):
        assert (tmp_path / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        drawn = (tmp_path / "plots" / f"{name}.svg").read_text("utf-8")
        assert "Qdrant server, gRPC" in drawn
        assert "SYNTHETIC" in drawn


PAGES = [
    path
    for path in (ROOT / "docs").rglob("*.md")
    if "<!-- bench:" in path.read_text(encoding="utf-8")
]


def test_the_tables_of_the_docs_are_those_of_their_results() -> None:
    assert ROOT / "docs" / "faiss-vs-qdrant.md" in PAGES
    for path in PAGES:
        page = path.read_text("utf-8")
        assert draw_page(page, RESULTS, path=path) == page, "`twinlens bench page` draws it anew"


def test_a_stale_page_is_drawn_anew(tmp_path: Path) -> None:
    page, docs = tmp_path / "page.md", ROOT / "docs" / "faiss-vs-qdrant.md"
    fresh = draw_page(docs.read_text("utf-8"), RESULTS, path=page)
    page.write_text(fresh.replace("| FAISS flat | 0.112", "| FAISS flat | 0.001"), "utf-8")
    outcome = invoke("page", page, "--results", RESULTS)
    assert "page.md: drawn anew" in outcome.output
    assert page.read_text("utf-8") == fresh


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- bench: one-query engines.json -->\n", "misspelt or not closed"),
        ("<!--bench one-query engines.json -->\n<!-- /bench -->", "misspelt or not closed"),
        ("<!-- bench: nothing engines.json -->\n<!-- /bench -->", "there are one-query"),
        ("<!-- bench: one-query none.json -->\n<!-- /bench -->", "no result"),
        ("<!-- bench: fused engines-titles.json -->\n<!-- /bench -->", "nothing was measured"),
    ],
)
def test_a_marker_that_leads_nowhere_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        draw_page(text, RESULTS, path=tmp_path / "page.md")


def test_numbers_have_three_figures() -> None:
    shown = [show_number(value) for value in (0.012345, 1.2, 37.04, 99.96, 1234.5, 0.0)]
    assert shown == ["0.0123", "1.20", "37.0", "100", "1,234", "0"]
    shown = [show_bytes(size) for size in (512, 2**19, 1.5 * 2**30)]
    assert shown == ["0.500 KiB", "512 KiB", "1.50 GiB"]


def test_what_a_result_holds_can_not_break_a_table(server: Result) -> None:
    strange = server.model_copy(deep=True)
    strange.sizes[-1].experiments["faiss-flat"].label = "a | b <c>\nd"
    assert "| a \\| b &lt;c> d |" in report_on(strange)
