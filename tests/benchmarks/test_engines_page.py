"""The tables of Markdown pages, drawn from results: those of docs/ are, and say what was measured.

Expected figures are worked out here from the JSON, by other means than those of the program.
"""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from statistics import median

import pytest
from click.testing import CliRunner, Result

from tests.benchmarks.engine_results import drawn_result
from twinlens.benchmarks.engines.page import RESULTS, TABLES, blocks, drawn, main, stale
from twinlens.catalog.errors import UsageError

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in (ROOT / "docs").rglob("*.md") if "<!-- bench" in path.read_text("utf-8")
)
DASH = "–"


def whole_result() -> dict:
    """A drawn run with all that a table may hold: both flat indexes, int8 rescored, a variant."""
    result = drawn_result()
    for of in result["sizes"]:
        found = of["experiments"]
        found["faiss-flat-memory"] = copy.deepcopy(found["faiss-flat"])
        found["faiss-flat-memory"]["label"] = "FAISS flat, in memory"
        for search in found["faiss-flat-memory"]["searches"].values():
            search["ms"]["p50"] = [0.8 * ms for ms in search["ms"]["p50"]]
        int8 = found["qdrant-embedded-int8"]
        int8["build"] = {"m": 16, "ef_construct": 100, "quantization": "int8"}
        int8["searches"] = {f"{ef}, rescored": one for ef, one in int8["searches"].items()}
        int8["chosen"] += ", rescored"
        variant = found["qdrant-embedded-m8"] = copy.deepcopy(found["qdrant-embedded"])
        variant["label"] = "Qdrant embedded, m 8"
        variant["build"] = {"m": 8, "ef_construct": 100}
        for search in variant["searches"].values():
            search["ms"]["p50"] = [0.7 * ms for ms in search["ms"]["p50"]]
    return result


def page_of(*tables: str) -> str:
    return "# A page\n\n" + "\n".join(
        f"<!-- bench: {table} -->\n<!-- /bench -->\n" for table in tables
    )


def table_of(tmp_path: Path, name: str, result: dict) -> tuple[list[str], dict[str, list[str]]]:
    """The headings of a table drawn from the result, and its rows by their name."""
    (tmp_path / "run.json").write_text(json.dumps(result))
    text = drawn(page_of(f"{name} run.json"), tmp_path, path=tmp_path / "page.md")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    headings, rule, *rows = [re.split(r" *\| *", line)[1:-1] for line in lines]
    assert set(rule) == {"---"}
    assert {len(row) for row in rows} == {len(headings)}
    named = {row[0]: row[1:] for row in rows}
    assert len(named) == len(rows), "every row has a name of its own"
    return headings, named


def figures(cell: str) -> list[float]:
    """Every number in a cell, in its order."""
    return [float(one) for one in re.findall(r"\d*\.?\d+", cell.replace(",", ""))]


def about(*values: float) -> object:
    """These to three figures."""
    return pytest.approx(list(values), rel=6e-3)


def recall(cell: str, value: float) -> bool:
    """Whether the cell ends with the recall to three places."""
    return figures(cell)[-1] == pytest.approx(value, abs=5.01e-4)


@pytest.fixture
def result() -> dict:
    return whole_result()


@pytest.fixture
def detailed(result: dict) -> dict:
    [of] = [one for one in result["sizes"] if one["videos"] == 100_000]
    return of["experiments"]


class TestDocs:
    def test_both_pages_that_quote_the_comparison_have_tables(self):
        assert {"faiss-vs-qdrant.md", "0021-graph-settings.md"} <= {path.name for path in PAGES}

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
    def test_its_tables_are_those_of_the_results(self, path: Path):
        page = path.read_text("utf-8")
        assert stale(page, drawn(page, RESULTS, path=path), path=path) == []

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
    def test_no_table_was_typed(self, path: Path):
        page = path.read_text("utf-8")
        lines = page.split("\n")
        for block in reversed(blocks(page, path=path)):
            del lines[block.between]
        assert [line for line in lines if line.startswith("|")] == []

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
    def test_its_links_to_results_lead_to_them(self, path: Path):
        links = re.findall(r"\[`[^`]*\.json`\]\(([^)]+)\)", path.read_text("utf-8"))
        assert links
        assert all((path.parent / link).resolve().parent == RESULTS for link in links)
        assert all((path.parent / link).is_file() for link in links)


class TestOneQuery:
    def test_between_two_settings_log_latency_is_interpolated_over_recall(
        self, tmp_path, result, detailed
    ):
        _, rows = table_of(tmp_path, "one-query", result)
        found = detailed["faiss-hnsw"]["searches"]
        low, high = found["ef=32"], found["ef=64"]
        assert low["recall_at_10"] < 0.98 < high["recall_at_10"]
        share = (0.98 - low["recall_at_10"]) / (high["recall_at_10"] - low["recall_at_10"])
        each = [
            math.exp((1 - share) * math.log(a) + share * math.log(b))
            for a, b in zip(low["ms"]["p50"], high["ms"]["p50"], strict=True)
        ]
        assert figures(rows["FAISS HNSW"][2])[:1] == about(median(each))
        assert rows["FAISS HNSW"][2].endswith(" (ef 32–64)")
        assert rows["Qdrant embedded, int8"][2].endswith(" (ef 32–64)")

    def test_a_setting_that_finds_more_already_is_marked(self, tmp_path, result):
        searches = result["sizes"][0]["experiments"]["faiss-hnsw"]["searches"]
        searches["ef=16"]["recall_at_10"] = 0.99
        _, rows = table_of(tmp_path, "one-query", result)
        assert rows["FAISS HNSW"][0].endswith(" (ef 16+)")
        assert figures(rows["FAISS HNSW"][0])[:1] == about(median(searches["ef=16"]["ms"]["p50"]))

    def test_lists_have_no_setting_and_exact_searches_a_row_of_their_own(
        self, tmp_path, result, detailed
    ):
        headings, rows = table_of(tmp_path, "one-query", result)
        assert headings == ["p50 in ms, by videos", "1,400", "20,000", "100,000"]
        assert list(rows) == [
            "FAISS flat",
            "FAISS flat, in memory",
            "Qdrant embedded, exact",
            "qdrant-client local mode",
            "Qdrant server, REST, exact",
            "Qdrant server, gRPC, exact",
            "*reading the vectors once*",
            "FAISS HNSW",
            "FAISS IVF",
            "FAISS SQ8",
            "Qdrant embedded",
            "Qdrant embedded, int8",
            "Qdrant server, REST",
            "Qdrant server, gRPC",
        ]
        assert len(figures(rows["FAISS IVF"][2])) == 1
        exact = detailed["qdrant-embedded"]["searches"]["exact"]["ms"]["p50"]
        assert figures(rows["Qdrant embedded, exact"][2]) == about(median(exact))
        assert rows["qdrant-client local mode"][2] == DASH
        reading = result["sizes"][1]["reading"]["ms"]
        assert figures(rows["*reading the vectors once*"][1]) == about(median(reading))

    def test_a_single_setting_below_the_recall_has_its_own_beside_it(
        self, tmp_path, result, detailed
    ):
        scan = detailed["faiss-sq8"]["searches"]["scan"]
        _, rows = table_of(tmp_path, "one-query", result)
        assert figures(rows["FAISS SQ8"][2]) == about(median(scan["ms"]["p50"]))
        scan["recall_at_10"] = 0.9561
        _, rows = table_of(tmp_path, "one-query", result)
        assert figures(rows["FAISS SQ8"][2]) == about(median(scan["ms"]["p50"]), 0.956)
        assert rows["FAISS SQ8"][2].endswith(" (.956)")

    def test_a_graph_that_never_finds_as_much_has_a_dash(self, tmp_path, result, detailed):
        for search in detailed["faiss-hnsw"]["searches"].values():
            search["recall_at_10"] -= 0.1
        _, rows = table_of(tmp_path, "one-query", result)
        assert rows["FAISS HNSW"][2] == DASH


def test_the_limit_of_a_scan_is_a_ratio_within_each_round(tmp_path, result):
    headings, rows = table_of(tmp_path, "scan-limit", result)
    assert headings[1:] == ["1,400", "20,000", "100,000"]
    assert list(rows) == [
        "FAISS flat",
        "FAISS flat, in memory",
        "our timing: times `faiss`' own loop",
    ]
    for at, of in enumerate(result["sizes"]):
        flat, memory = (
            of["experiments"][name]["searches"]["exact"]["ms"]["p50"]
            for name in ("faiss-flat", "faiss-flat-memory")
        )
        for cells, above, below in zip(
            rows.values(),
            (flat, memory, flat),
            (of["reading"]["ms"], of["reading"]["ms"], of["loop"]["ms"]["p50"]),
            strict=True,
        ):
            ratios = [a / b for a, b in zip(above, below, strict=True)]
            middle, low, high = figures(cells[at])
            assert [middle] == about(median(ratios))
            assert 0.99 * min(ratios) <= low <= middle <= high <= 1.01 * max(ratios)


def test_every_setting_has_its_recall_waits_and_speedup(tmp_path, result, detailed):
    headings, rows = table_of(tmp_path, "settings", result)
    assert headings[0] == "at 100,000 videos"
    assert not any("m 8" in name for name in rows)
    flat = detailed["faiss-flat"]["searches"]["exact"]["ms"]["p50"]
    for row, name, setting in (
        ("FAISS flat", "faiss-flat", "exact"),
        ("FAISS HNSW, ef 128", "faiss-hnsw", "ef=128"),
        ("Qdrant embedded, exact", "qdrant-embedded", "exact"),
        ("Qdrant embedded, int8, ef 64", "qdrant-embedded-int8", "ef=64, rescored"),
        ("FAISS SQ8", "faiss-sq8", "scan"),
    ):
        search = detailed[name]["searches"][setting]
        cells = rows[row]
        assert recall(cells[0], search["recall_at_10"])
        for cell, percentile in zip(cells[1:4], ("p50", "p95", "p99"), strict=True):
            assert figures(cell) == about(median(search["ms"][percentile]))
        ratios = [a / b for a, b in zip(flat, search["ms"]["p50"], strict=True)]
        assert figures(cells[4])[:1] == about(median(ratios))
    told = sum(
        len(one["searches"]) for name, one in detailed.items() if name != "qdrant-embedded-m8"
    )
    assert len(rows) == told


def test_a_percentile_of_few_queries_is_not_told(tmp_path, result, detailed):
    # Twenty a round: enough for a 95th of a hundred, not for a 99th.
    detailed["faiss-flat"]["searches"]["exact"]["ms"]["histogram"] = [[20.0, 100]]
    _, rows = table_of(tmp_path, "settings", result)
    assert [cell == DASH for cell in rows["FAISS flat"]] == [False, False, False, True, False]


def test_under_a_filter_lost_results_are_bold(tmp_path, result, detailed):
    hnsw = detailed["faiss-hnsw"]["filtered"]
    hnsw["0.01"]["recall_at_10"], hnsw["0.1"]["recall_at_10"] = 0.337, 0.9
    del hnsw["0.001"]
    detailed["faiss-flat"]["filtered"]["0.1"]["recall_at_10"] = 1.0
    headings, rows = table_of(tmp_path, "filters", result)
    assert headings[1:] == ["50 %", "10 %", "1 %", "0.1 %"]
    cells = rows["FAISS HNSW, ef 64"]
    assert figures(cells[2]) == about(median(hnsw["0.01"]["ms"]["p50"]), 0.337)
    assert cells[2].endswith("; **.337**")
    assert cells[1].endswith("; .900")
    assert cells[3] == DASH
    assert rows["FAISS flat"][1].endswith("; 1")
    assert "Qdrant embedded, int8, ef 64" in rows
    assert not any("m 8" in name for name in rows)


def test_fusion_is_told_by_where_it_is_done(tmp_path, result):
    del result["sizes"][0]["experiments"]["qdrant-embedded"]["fused"]["engine"]
    for one in result["sizes"][2]["experiments"].values():
        one.pop("fused")
    headings, rows = table_of(tmp_path, "fused", result)
    assert headings[1:] == ["1,400", "20,000"], "nothing was fused at the third size"
    fused = result["sizes"][1]["experiments"]["qdrant-embedded"]["fused"]
    for where, name in (("python", "in Python"), ("engine", "in the engine")):
        cell = rows[f"Qdrant embedded, fused {name}"][1]
        assert figures(cell)[:1] == about(median(fused[where]["ms"]["p50"]))
        assert recall(cell, fused[where]["recall_at_10"])
    assert rows["Qdrant embedded, fused in the engine"][0] == DASH
    assert "FAISS flat, fused in the engine" not in rows


def test_clients_are_counted_by_threads_and_by_processes(tmp_path, result, detailed):
    del detailed["faiss-flat"]["clients"]["processes"]["8"]
    headings, rows = table_of(tmp_path, "clients", result)
    assert headings[1:] == [
        *("1", "2 threads", "4 threads", "8 threads"),
        *("2 processes", "4 processes", "8 processes", "batch"),
    ]
    one = detailed["qdrant-embedded"]
    threads, processes = one["clients"]["threads"], one["clients"]["processes"]
    expected = [
        *(threads[count] for count in ("1", "2", "4", "8")),
        *(processes[count] for count in ("2", "4", "8")),
        one["batch"]["per_second"],
    ]
    for cell, rounds in zip(rows["Qdrant embedded, ef 64"], expected, strict=True):
        assert figures(cell) == about(median(rounds))
    assert rows["FAISS flat"][6] == DASH


def test_building_is_told_by_size_and_what_it_takes_at_the_largest(tmp_path, result, detailed):
    del detailed["faiss-ivf"]["built"]["peak_bytes"]
    headings, rows = table_of(tmp_path, "building", result)
    assert headings == [
        "seconds by videos; the rest at 100,000 videos",
        *("1,400", "20,000", "100,000"),
        *("disk", "peak while building", "resident", "anonymous"),
        "opening and first query, ms",
    ]
    one = detailed["qdrant-embedded"]
    cells = rows["Qdrant embedded"]
    for cell, of in zip(cells[:3], result["sizes"], strict=True):
        built = of["experiments"]["qdrant-embedded"]["built"]
        assert figures(cell) == about(built["upload_s"] + built["index_s"])
    units = {"MiB": 2**20, "GiB": 2**30}
    for cell, size_bytes in zip(
        cells[3:7],
        (
            *(one["built"][key] for key in ("disk_bytes", "peak_bytes")),
            *(one["memory"][key] for key in ("rss_bytes", "anonymous_bytes")),
        ),
        strict=True,
    ):
        assert [figures(cell)[0] * units[cell.split()[1]]] == about(size_bytes)
    cold = one["cold"]
    both = [sum(pair) for pair in zip(cold["open_ms"], cold["first_query_ms"], strict=True)]
    assert figures(cells[7].partition(",")[0]) == about(median(both), min(both), max(both))
    assert cells[7].endswith("), ef 64")
    assert rows["Qdrant server, gRPC"][:3] == ["as REST"] * 3
    assert rows["Qdrant server, gRPC"][4:] == [DASH] * 4
    assert rows["FAISS IVF"][4] == DASH
    assert rows["qdrant-client local mode"][2:] == [DASH] * 6


def test_a_column_without_any_figure_is_left_out(tmp_path, result, detailed):
    for one in detailed.values():
        del one["built"]["peak_bytes"]
    headings, _ = table_of(tmp_path, "building", result)
    assert "peak while building" not in headings
    assert "disk" in headings


def test_waits_are_told_alone_and_beside_changes(tmp_path, result, detailed):
    changing = detailed["qdrant-embedded"]["changing"]
    changing["beside"]["upserts_per_second"] = 4652.9
    _, rows = table_of(tmp_path, "changing", result)
    *waits, upserts = rows["Qdrant embedded, ef 64"]
    for cell, how in zip(waits, ("without", "beside"), strict=True):
        of = changing[how]["ms"]
        assert figures(cell) == about(median(of["p50"]), median(of["p99"]))
    assert upserts == "4,653"
    assert not any(name.startswith("FAISS") for name in rows), "the drawn run has none of these"


def test_the_highest_wait_of_few_queries_is_left_out(tmp_path, result, detailed):
    beside = detailed["qdrant-embedded"]["changing"]["beside"]["ms"]
    beside["histogram"] = [[1.0, 99]]
    headings, rows = table_of(tmp_path, "changing", result)
    assert "measured once" in headings[0]
    assert rows["Qdrant embedded, ef 64"][1].endswith(f"; {DASH}")


def test_graphs_are_told_with_what_they_were_built_with(tmp_path, result, detailed):
    del detailed["qdrant-embedded-m8"]["searches"]["ef=128"]
    headings, rows = table_of(tmp_path, "graph-settings", result)
    assert headings[1:] == ["built in, s", "ef 32", "ef 64", "ef 128", "disk", "anonymous"]
    assert list(rows) == [
        "**m 16, ef_construct 100**",
        "m 16, ef_construct 100, int8",
        "m 8, ef_construct 100",
    ]
    names = ("qdrant-embedded", "qdrant-embedded-int8", "qdrant-embedded-m8")
    for cells, name in zip(rows.values(), names, strict=True):
        one = detailed[name]
        assert figures(cells[0]) == about(one["built"]["upload_s"] + one["built"]["index_s"])
        for cell, ef in zip(cells[1:4], (32, 64, 128), strict=True):
            setting = f"ef={ef}, rescored" if name.endswith("int8") else f"ef={ef}"
            search = one["searches"].get(setting)
            if search is None:
                assert cell == DASH
                continue
            assert figures(cell)[:1] == about(median(search["ms"]["p50"]))
            assert recall(cell, search["recall_at_10"])
        assert [figures(cells[4])[0] * 2**20] == about(one["built"]["disk_bytes"])
        assert [figures(cells[5])[0] * 2**20] == about(one["memory"]["anonymous_bytes"])


class TestTables:
    @pytest.mark.parametrize("name", TABLES)
    def test_each_can_be_drawn_of_a_run_that_an_engine_failed_in(self, tmp_path, result, name):
        for of in result["sizes"]:
            for failed in ("faiss-hnsw", "qdrant-embedded-int8"):
                one = of["experiments"][failed]
                of["experiments"][failed] = {
                    **{key: one[key] for key in ("engine", "label", "build")},
                    "failed": {"part": "build", "error": "no memory"},
                }
        result["sizes"].append({"videos": 10**6, "skipped": "too little memory"})
        assert table_of(tmp_path, name, result)

    @pytest.mark.parametrize("name", TABLES)
    def test_the_order_that_a_run_measured_in_changes_nothing(self, tmp_path, result, name):
        headings, rows = table_of(tmp_path, name, result)
        result["sizes"].reverse()
        for of in result["sizes"]:
            # Those of a server keep the order in which they were measured.
            found = sorted(of["experiments"].items(), key=lambda one: "server" in one[0])
            servers = [one for one in found if "server" in one[0]]
            of["experiments"] = dict([*found[: len(found) - len(servers)][::-1], *servers])
        again, other = table_of(tmp_path, name, result)
        assert (again, list(other.items())) == (headings, list(rows.items()))

    def test_each_stands_in_a_page(self):
        told = {
            block.table for path in PAGES for block in blocks(path.read_text("utf-8"), path=path)
        }
        assert told == set(TABLES)


class TestSource:
    def source(self, tmp_path: Path, name: str, result: dict) -> str:
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / "results" / "run.json").write_text(json.dumps(result))
        path = tmp_path / "docs" / "decisions" / "page.md"
        lines = drawn(page_of(f"{name} run.json"), tmp_path / "results", path=path).splitlines()
        [line] = [line for line in lines if line.startswith("From ")]
        assert lines[lines.index(line) - 1] == "", "else it would be a row of the table"
        return line

    @pytest.mark.parametrize("recorded", ["python -m twinlens", "python twinlens", "twinlens"])
    def test_it_links_the_result_and_says_the_command_as_it_is_typed(
        self, tmp_path, result, recorded: str
    ):
        result["machine"]["command"] = f"{recorded} bench --json run.json"
        assert self.source(tmp_path, "one-query", result) == (
            "From [`run.json`](../../results/run.json), made by `twinlens bench --json run.json`."
        )

    def test_it_says_which_parts_of_the_table_were_disturbed(self, tmp_path, result):
        small, middle, large = result["sizes"]
        small["disturbed"] = {"latency": {"others_cores": 0.4}, "fusion": {"others_cores": 0.3}}
        middle["disturbed"] = {"build faiss-hnsw": {"others_cores": 0.2}}
        middle["disturbed"]["cold"] = {"others_cores": 0.2}
        large["disturbed"] = {
            "latency": {"slowed": 1.2},
            "clients": {"others_cores": 0.4},
            "build qdrant-embedded": {"others_cores": 0.4},
            "build qdrant-embedded-m8": {"others_cores": 0.4},
            "cold": {"others_cores": 0.4},
        }
        disturbed = {
            name: self.source(tmp_path, name, result).partition(" Disturbed: ")[2]
            for name in TABLES
        }
        assert disturbed == {
            "one-query": "latency at 1,400 and 100,000 videos.",
            "scan-limit": "latency at 1,400 and 100,000 videos.",
            "settings": "latency at 100,000 videos.",
            "filters": "",
            "fused": "fusion at 1,400 videos.",
            "clients": "clients at 100,000 videos.",
            "building": "build faiss-hnsw at 20,000; build qdrant-embedded at 100,000; "
            "cold at 100,000 videos.",
            "changing": "",
            "graph-settings": "latency at 100,000; build qdrant-embedded at 100,000; "
            "build qdrant-embedded-m8 at 100,000 videos.",
        }


class TestMarkers:
    @pytest.fixture(autouse=True)
    def _run(self, tmp_path: Path):
        (tmp_path / "run.json").write_text(json.dumps(drawn_result(videos=(1_400,))))
        (tmp_path / "flat.json").write_text(
            json.dumps(drawn_result(videos=(1_400,), engines=("faiss-flat",)))
        )
        (tmp_path / "broken.json").write_text("{")

    def test_only_what_is_between_them_is_replaced(self, tmp_path):
        page = "A\n<!-- bench: fused run.json -->\nold\n<!-- /bench -->\n| typed |\n"
        anew = drawn(page, tmp_path, path=tmp_path / "page.md")
        assert anew.startswith("A\n<!-- bench: fused run.json -->\n| p50 in ms")
        assert anew.endswith("\n<!-- /bench -->\n| typed |\n")
        assert "old" not in anew
        assert drawn(anew, tmp_path, path=tmp_path / "page.md") == anew

    def test_a_page_without_any_stays_as_it_is(self, tmp_path):
        page = "A page\n\n| typed |\n|---|\n\n<!-- a bench in the park -->"
        assert drawn(page, tmp_path, path=tmp_path / "page.md") == page

    @pytest.mark.parametrize(
        ("lines", "line", "why"),
        [
            (["", "<!-- bench: none run.json -->", "<!-- /bench -->"], 2, "no such table.*fused"),
            (["<!-- bench: fused no.json -->", "<!-- /bench -->"], 1, "no result .*no.json"),
            (["<!-- bench: fused broken.json -->", "<!-- /bench -->"], 1, "not JSON"),
            (["<!-- bench: changing flat.json -->", "<!-- /bench -->"], 1, "nothing was measured"),
            (["", "", "<!-- bench: fused run.json -->"], 3, "not closed"),
            (
                [*["<!-- bench: fused run.json -->"] * 2, "<!-- /bench -->"],
                1,
                "not closed",
            ),
            (["", "<!-- /bench -->"], 2, "closes no table"),
            (["<!-- bench: fused -->", "<!-- /bench -->"], 1, "no marker"),
            (["<!-- bench: fused run.json -->", " <!-- /bench -->"], 2, "no marker"),
            (["<!--bench: fused run.json-->"], 1, "no marker"),
        ],
    )
    def test_a_bad_one_is_refused_by_file_and_line(self, tmp_path, lines, line: int, why: str):
        page = "\n".join(lines)
        path = tmp_path / "page.md"
        with pytest.raises(UsageError, match=f"page.md:{line}: .*{why}"):
            drawn(page, tmp_path, path=path)


class TestCommand:
    @pytest.fixture
    def pages(self, tmp_path: Path) -> list[Path]:
        (tmp_path / "run.json").write_text(json.dumps(drawn_result(videos=(1_400,))))
        paths = [tmp_path / "one.md", tmp_path / "two.md"]
        paths[0].write_text(page_of("fused run.json", "filters run.json"))
        paths[1].write_text(page_of("clients run.json"))
        return paths

    def invoke(self, pages: list[Path], *options: str) -> Result:
        return CliRunner().invoke(
            main, ["--results", str(pages[0].parent), *options, *map(str, pages)]
        )

    def test_it_draws_all_pages_and_says_which_tables_changed(self, pages):
        done = self.invoke(pages)
        assert done.exit_code == 0, done.output
        assert done.output.splitlines() == [
            f"{pages[0]}:3: fused run.json: drawn anew",
            f"{pages[0]}:6: filters run.json: drawn anew",
            f"{pages[1]}:3: clients run.json: drawn anew",
        ]
        for path in pages:
            text = path.read_text("utf-8")
            assert text == drawn(text, path.parent, path=path)
            assert "| FAISS flat" in text
        assert self.invoke(pages).output == ""

    def test_a_page_that_is_up_to_date_is_not_written(self, pages):
        self.invoke(pages)
        before = [path.stat().st_ino for path in pages]
        self.invoke(pages)
        assert [path.stat().st_ino for path in pages] == before

    def test_a_check_names_what_is_stale_and_writes_nothing(self, pages):
        self.invoke(pages)
        assert self.invoke(pages, "--check").exit_code == 0
        was = pages[0].read_text("utf-8")
        typed = re.sub(r"(\| FAISS flat.* )[\d.]+(; .*\|)", r"\g<1>7\2", was, count=1)
        assert typed != was
        pages[0].write_text(typed)
        done = self.invoke(pages, "--check")
        assert (done.exit_code, done.output) == (1, f"{pages[0]}:3: fused run.json: stale\n")
        assert pages[0].read_text("utf-8") == typed

    def test_one_bad_marker_and_no_page_is_written(self, pages):
        before = pages[0].read_text("utf-8")
        pages[1].write_text("<!-- bench: fused no.json -->\n<!-- /bench -->\n")
        done = self.invoke(pages)
        assert done.exit_code == 2
        assert f"{pages[1]}:1: " in done.output
        assert pages[0].read_text("utf-8") == before
        assert sorted(path.name for path in pages[0].parent.iterdir()) == [
            *("one.md", "run.json", "two.md")
        ]
