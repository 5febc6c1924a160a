"""FAISS against Qdrant: what is concluded from a run's result, and how it is told."""

from __future__ import annotations

import copy
import json
import math
import re
from html.parser import HTMLParser

import pytest

from tests.benchmarks.engine_results import LABELS, drawn_result
from twinlens.benchmarks.engines.findings import findings, warnings
from twinlens.benchmarks.engines.report import Table, html, markdown, report
from twinlens.benchmarks.engines.result_file import FORMAT, read_result
from twinlens.benchmarks.engines.summary import (
    at_recall,
    by_reading,
    crossing,
    demands_met,
    experiments,
    speedup,
    summarize,
    verdicts,
)
from twinlens.benchmarks.engines.wording import listed, number, size, spread, times_faster
from twinlens.catalog.errors import UsageError
from twinlens.evaluate.intervals import Interval

OPTIONAL = (
    *("built", "memory", "cold", "searches", "chosen"),
    *("batch", "clients", "filtered", "fused", "changing"),
)


def latency(*p50: float) -> dict:
    every = {name: list(p50) for name in ("p50", "p95", "p99", "mean")}
    return every | {"histogram": [[1.0, 100 * len(p50)]]}


def search(recall: float, *p50: float, exact: bool = False, **setting: object) -> dict:
    found = {"setting": setting, "exact": exact, "recall_at_10": recall, "queries": 100}
    return {**found, "ms": latency(*p50), "engine_ms": None}


def experiment(searches: dict, **more: object) -> dict:
    return {
        "engine": "some",
        "label": "Some",
        "build": {},
        "failed": None,
        "searches": searches,
        **more,
    }


def flat_and(videos: int, flat_ms: float, ms: float, **more: object) -> dict:
    """A size with the flat index and one engine of a single setting."""
    return {
        "videos": videos,
        "experiments": {
            "faiss-flat": experiment({"exact": search(1.0, flat_ms, flat_ms, exact=True)}),
            "other": experiment({"ef=64": search(0.99, ms, ms)}),
        },
        **more,
    }


SETTINGS = {
    "ef=16": search(0.90, 1.0, 1.0),
    "ef=32": search(0.96, 2.0, 4.0),
    "ef=64": search(1.00, 8.0, 8.0),
}


class TestAtRecall:
    def test_log_latency_is_interpolated_round_by_round(self):
        found = at_recall(experiment(SETTINGS), 0.98)
        assert found is not None
        assert found.rounds == pytest.approx((math.sqrt(2 * 8), math.sqrt(4 * 8)))
        assert found.between == ("ef=32", "ef=64")
        assert found.settings == "ef=32 to ef=64"
        assert not found.exceeded

    def test_a_setting_of_exactly_this_recall_stands_for_itself(self):
        found = at_recall(experiment(SETTINGS), 0.96)
        assert found is not None
        assert (found.rounds, found.settings) == (pytest.approx((2.0, 4.0)), "ef=32")
        assert not found.exceeded

    def test_below_the_fastest_setting_nothing_is_extrapolated(self):
        found = at_recall(experiment(SETTINGS), 0.80)
        assert found is not None
        assert (found.settings, found.exceeded) == ("ef=16", True)

    def test_above_the_best_setting_there_is_none(self):
        assert at_recall(experiment({"ef=16": SETTINGS["ef=16"]}), 0.91) is None

    def test_nothing_measured_gives_none(self):
        assert at_recall({"label": "Some", "build": {}, "failed": None}, 0.9) is None

    def test_a_setting_that_another_beats_in_both_does_not_count(self):
        beaten = {**SETTINGS, "ef=20": search(0.91, 5.0, 5.0)}
        assert at_recall(experiment(beaten), 0.93) == at_recall(experiment(SETTINGS), 0.93)

    def test_it_is_interpolated_within_a_family_of_settings_and_the_fastest_counts(self):
        found = {
            "ef=16, rescored": search(0.90, 1.0, ef=16, oversampling=2.0),
            "ef=64, rescored": search(0.96, 4.0, ef=64, oversampling=2.0),
            "ef=128, 4x rescored": search(0.99, 6.0, ef=128, oversampling=4.0),
            "ef=64, no rescoring": search(0.80, 0.5, ef=64, rescore=False),
        }
        above = at_recall(experiment(found), 0.98)
        assert above is not None
        assert (above.settings, above.exceeded) == ("ef=128, 4x rescored", True)
        assert above.ms.median == pytest.approx(6.0)
        between = at_recall(experiment(found), 0.93)
        assert between is not None
        assert between.between == ("ef=16, rescored", "ef=64, rescored")
        assert between.ms.median == pytest.approx(2.0)
        found["ef=128, 4x rescored"]["ms"] = latency(1.5)
        faster = at_recall(experiment(found), 0.93)
        assert faster is not None
        assert faster.settings == "ef=128, 4x rescored"

    def test_exact_search_is_no_end_of_an_approximate_curve(self):
        exact = {"exact": search(1.0, 50.0, exact=True), "ef=16": search(0.9, 1.0)}
        assert at_recall(experiment(exact), 0.95) is None

    def test_exact_search_alone_is_what_any_recall_costs(self):
        found = at_recall(experiment({"exact": search(1.0, 50.0, exact=True)}), 0.95)
        assert found is not None
        assert (found.ms.median, found.exceeded) == (pytest.approx(50.0), True)


class TestCrossing:
    def test_it_is_interpolated_on_log_axes(self):
        # Twice as slow at 1,000, twice as fast at 100,000: equal half way between, on log axes.
        found = crossing(run(flat_and(1_000, 1.0, 2.0), flat_and(100_000, 4.0, 2.0)), "other")
        assert found is not None
        assert found.videos == pytest.approx(10_000)
        assert found.between == (1_000, 100_000)
        assert found.videos_shown == "10,000"

    def test_of_several_the_last_counts(self):
        sizes = [(1_000, 2.0), (10_000, 0.5), (100_000, 2.0), (1_000_000, 0.5)]
        found = crossing(run(*(flat_and(videos, 1.0, ms) for videos, ms in sizes)), "other")
        assert found is not None
        assert found.between == (100_000, 1_000_000)

    @pytest.mark.parametrize(("ms", "always"), [(0.5, True), (2.0, False)])
    def test_without_one_it_says_who_was_faster_all_along(self, ms: float, always: bool):
        found = crossing(run(flat_and(1_000, 1.0, ms), flat_and(9_000, 1.0, ms)), "other")
        assert found is not None
        assert (found.videos, found.always) == (None, always)

    def test_a_size_counts_only_where_the_ratios_interval_excludes_1(self):
        level = flat_and(10_000, 1.0, 1.0)
        level["experiments"]["other"]["searches"]["ef=64"]["ms"] = latency(0.7, 1.2)
        found = crossing(run(flat_and(1_000, 1.0, 2.0), level, flat_and(90_000, 1.0, 0.5)), "other")
        assert found is not None
        assert found.sizes == ((1_000, -1), (10_000, 0), (90_000, 1))
        assert found.between == (1_000, 90_000)
        assert found.videos is not None
        assert 1_000 < found.videos < 10_000, "there the medians cross"
        before = crossing(run(level, flat_and(90_000, 1.0, 0.5)), "other")
        assert before is not None
        assert (before.videos, before.always, before.faster_from) == (None, False, 90_000)
        after = crossing(run(flat_and(1_000, 1.0, 0.5), level), "other")
        assert after is not None
        assert (after.videos, after.always, after.faster_from) == (None, False, None)

    def test_a_single_round_says_nothing(self):
        of = flat_and(1_000, 1.0, 0.5)
        of["experiments"]["other"]["searches"]["ef=64"]["ms"] = latency(0.5)
        assert crossing(run(of), "other") is None

    def test_the_flat_index_in_memory_has_none(self):
        of = flat_and(1_000, 1.0, 0.5)
        of["experiments"]["faiss-flat-memory"] = of["experiments"]["other"]
        assert crossing(run(of), "faiss-flat-memory") is None

    def test_an_engine_that_never_finds_enough_has_none(self):
        of = flat_and(1_000, 1.0, 0.5)
        of["experiments"]["other"]["searches"]["ef=64"]["recall_at_10"] = 0.5
        assert crossing(run(of), "other") is None


def run(*sizes: dict) -> dict:
    return {"sizes": list(sizes)}


def test_ratios_are_formed_within_their_round():
    of = flat_and(1_000, 1.0, 1.0, reading={"bytes": 1, "ms": [1.0, 20.0]})
    of["experiments"]["faiss-flat"]["searches"]["exact"]["ms"]["p50"] = [2.0, 40.0]
    assert speedup(of, latency(1.0, 20.0)) == Interval(2.0, 2.0, 2.0)
    assert by_reading(of)["faiss-flat"] == Interval(2.0, 2.0, 2.0)


class TestVerdicts:
    def test_each_demand_is_met_by_a_run_that_meets_it(self):
        met = demands_met(drawn_result(videos=(100_000, 1_000_000), noise=0.001))
        assert len(met) == 4
        assert all(met.values())

    def test_what_was_not_measured_is_neither_met_nor_missed(self):
        result = drawn_result(videos=(1_400,))
        assert list(demands_met(result).values()) == [True]
        assert [one.met for one in verdicts(result)] == [True, None, None, None]

    def test_each_demand_can_be_missed(self):
        result = drawn_result(videos=(100_000, 1_000_000), noise=0.001)
        for of in result["sizes"]:
            of["reading"]["ms"] = [ms / 2 for ms in of["reading"]["ms"]]
            of["loop"]["ms"]["p50"] = [ms / 1.1 for ms in of["loop"]["ms"]["p50"]]
            for name in ("qdrant-embedded", "qdrant-embedded-int8"):
                one = of["experiments"][name]
                one["searches"][one["chosen"]]["ms"]["p50"] = [9.0] * 5
                one["fused"]["python"]["recall_at_10"] = 0.9
        assert list(demands_met(result).values()) == [False] * 4

    def test_a_setting_that_finds_too_little_does_not_count(self):
        result = drawn_result(videos=(100_000,), engines=("faiss-flat", "qdrant-embedded"))
        result["sizes"][0]["experiments"]["qdrant-embedded"]["chosen"] = "ef=16"
        _, _, embedded, fused = verdicts(result)
        assert (embedded.met, fused.met) == (False, None)


def test_the_summary_is_json():
    told = json.loads(json.dumps(summarize(drawn_result())))
    assert [one["videos"] for one in told["sizes"]] == [1_400, 20_000, 100_000]
    of_flat = told["sizes"][2]["experiments"]["faiss-flat"]["times_faster_than_flat"]["exact"]
    assert of_flat == {"median": 1.0, "low": 1.0, "high": 1.0}


class TestFindings:
    def test_the_first_are_of_the_embedded_engine_size_by_size(self):
        told = findings(drawn_result(noise=0.001))
        assert re.fullmatch(
            r"At 100,000 videos, Qdrant embedded with ef=64 found 0\.981 of the true ten in "
            r"0\.34\d ms, 64\.\d \[64\.\d, 64\.\d\] times faster than the flat scan "
            r"\(22\.1 ms\)\.",
            told[2],
        )

    def test_what_was_measured_once_says_so(self):
        told = findings(drawn_result())
        [changes] = [one for one in told if "upserts" in one]
        assert changes.endswith(" times as long (measured once).")
        [costs] = [one for one in told if one.startswith("Qdrant embedded at") and "built" in one]
        assert costs.endswith(" (each measured once).")
        [first, *_] = findings(drawn_result(rounds=1))
        assert "(of one round, so of unknown noise)" in first

    @pytest.mark.parametrize(("videos", "whence"), [(20_000, "once."), (100_000, "from memory.")])
    def test_reading_is_told_as_from_memory_where_no_cache_holds_as_much(
        self, videos: int, whence: str
    ):
        told = findings(drawn_result(videos=(videos,)))
        [reading] = [one for one in told if "reading" in one]
        assert reading.endswith(whence)

    def test_sizes_where_neither_is_faster_are_told_apart(self):
        result = drawn_result(engines=("faiss-flat", "faiss-sq8"), videos=(1_400, 20_000))
        small, large = (one["experiments"] for one in result["sizes"])
        for of, times in ((small, [0.9, 1.2, 1.0, 0.8, 1.1]), (large, [0.5] * 5)):
            flat = of["faiss-flat"]["searches"]["exact"]["ms"]["p50"]
            of["faiss-sq8"]["searches"]["scan"]["ms"]["p50"] = [
                a * b for a, b in zip(flat, times, strict=True)
            ]
        told = findings(result)
        assert (
            "The flat scan is as fast within noise as FAISS SQ8 at 1,400 videos and slower than "
            "FAISS SQ8 at 20,000 videos (recall 0.98)."
        ) in told
        for of in result["sizes"]:
            searches = of["experiments"]["faiss-sq8"]["searches"]
            searches["scan"]["ms"] = copy.deepcopy(
                of["experiments"]["faiss-flat"]["searches"]["exact"]["ms"]
            )
        assert (
            "At every size measured at that recall, from 1,400 to 20,000 videos, the flat scan is "
            "as fast within noise as FAISS SQ8 (recall 0.98)."
        ) in findings(result)

    def test_where_the_embedded_engine_is_slower_they_say_so(self):
        told = findings(drawn_result(slower={"qdrant-embedded": 1_000.0}))
        assert "times slower than the flat scan" in told[0]

    def test_a_run_of_the_flat_index_alone_has_some(self):
        assert findings(drawn_result(engines=("faiss-flat",)))

    def test_a_run_without_the_flat_index_claims_no_ratio(self):
        told = findings(drawn_result(engines=("qdrant-embedded",)))
        assert told
        assert not any("flat" in sentence for sentence in told)


class TestWarnings:
    def test_an_undisturbed_finished_run_of_real_vectors_has_none(self):
        result = drawn_result()
        for of in result["sizes"]:
            of["vectors"]["synthetic"] = False
        assert warnings(result) == []

    def test_all_that_a_reader_must_know_is_told(self):
        result = drawn_result()
        result["finished"] = False
        result["options"]["quick"] = True
        result["machine"]["disturbed"] = True
        result["continued"] = [{}]
        result["sizes"][0]["disturbed"] = {"latency": {"others_cores": 0.4, "slowed": 1.3}}
        failed = {"part": "build", "error": "no graph for 3 vectors"}
        result["sizes"][1]["experiments"]["faiss-ivf"]["failed"] = failed
        result["sizes"].append({"videos": 10**6, "skipped": "too little memory"})
        told = "\n".join(warnings(result))
        for said in (
            "SYNTHETIC vectors at 1,400, 20,000 and 100,000 videos",
            "DISTURBED: 1 of 48 parts, others had up to 0.40 cores, the processor took up to 1.30 "
            "times as long",
            "stopped and continued 1 time.",
            "busy when the run began",
            "UNFINISHED",
            "QUICK",
            "Left out: 1,000,000 videos: too little memory",
            "FAILED: FAISS IVF at 20,000 videos, in build: no graph for 3 vectors",
        ):
            assert said in told

    def test_others_are_not_blamed_where_the_machine_slowed_down(self):
        result = drawn_result(videos=(1_400,))
        result["sizes"][0]["disturbed"] = {
            "latency": {"others_cores": 0.02, "worst_cores": 0.1, "reading_slowed": 1.7}
        }
        [_, told] = warnings(result)
        assert told.startswith(
            "DISTURBED: 1 of 16 parts, reading from memory took up to 1.70 times as long for the "
            "same."
        )

    def test_a_run_of_one_round_says_that_its_noise_is_unknown(self):
        [_, told] = warnings(drawn_result(rounds=1))
        assert told.startswith("ONE ROUND: no figure has an interval")

    def test_however_many_parts_it_is_one_line(self):
        result = drawn_result()
        for of in result["sizes"]:
            of["disturbed"] = {
                part: {"others_cores": 0.2, "worst_cores": 0.9} for part in of["parts"]
            }
        [_, told] = warnings(result)
        assert told.startswith("DISTURBED: 48 of 48 parts, others had up to 0.90 cores.")


class TestTables:
    def table(self, result: dict, title: str) -> Table:
        [*_, section] = report(result).sections
        return next(one for one in section.tables if one.title == title)

    def rows(self, result: dict, title: str) -> dict[str, dict[str, str]]:
        table = self.table(result, title)
        return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}

    def test_what_is_not_measured_of_a_server_is_a_dash(self):
        rows = self.rows(drawn_result(), "Building, disk, memory, first query")
        rest, grpc = rows["Qdrant server, REST"], rows["Qdrant server, gRPC"]
        last = "opening and first query, ms (setting)"
        for key in ("memory while building, peak", "resident", "anonymous", last):
            assert rest[key] == grpc[key] == "–"
        assert rest["index, s"] == "60.0"
        assert grpc["upload, s"] == grpc["index, s"] == "as REST"

    def test_opening_and_first_query_are_one_figure_with_its_range_and_setting(self):
        result = drawn_result()
        one = result["sizes"][-1]["experiments"]["qdrant-embedded"]
        one["cold"] = {"setting": "ef=64", "open_ms": [1, 2, 9], "first_query_ms": [10, 20, 3]}
        rows = self.rows(result, "Building, disk, memory, first query")
        found = rows["Qdrant embedded"]["opening and first query, ms (setting)"]
        assert found == "12.0 (11.0 to 22.0), ef=64"

    def test_variables_stand_beside_what_an_index_is_built_with(self):
        result = drawn_result()
        del result["sizes"][-1]["experiments"]["faiss-ivf"]["environment"]
        rows = self.rows(result, "Building, disk, memory, first query")
        assert rows["FAISS HNSW"]["built with"] == "m=16, ef_construct=100; TUNED=1"
        assert rows["FAISS IVF"]["built with"] == "no options"

    def test_changes_are_measured_once_and_have_no_interval(self):
        table = self.table(drawn_result(), "Searching while the index changes")
        assert "measured once" in table.note
        assert "interval" not in table.note
        assert not any("[" in cell for row in table.rows for cell in row)

    def test_each_says_which_of_its_parts_were_disturbed(self):
        result = drawn_result(videos=(100_000,))
        result["sizes"][0]["disturbed"] = {
            "clients": {"others_cores": 0.4, "worst_cores": 1.2},
            "latency": {"others_cores": 0.01, "slowed": 1.3},
            "build faiss-ivf": {"others_cores": 0.3},
            "cold": {"others_cores": 0.2},
        }
        told = {
            title: self.table(result, title).disturbed
            for title in ("Searches", "Throughput", "Filtered search")
        }
        assert told == {
            "Searches": "latency (the processor took up to 1.30 times as long for the same)",
            "Throughput": "clients (others had 0.40 cores, at worst 1.20)",
            "Filtered search": "",
        }
        costs = self.table(result, "Building, disk, memory, first query").disturbed
        assert costs == "build FAISS IVF (others had 0.30 cores), cold (others had 0.20 cores)"
        for page in (markdown(report(result)), html(report(result), {})):
            assert page.count("Disturbed: latency (") == 2
            assert page.count("Disturbed: 100,000 videos (latency (") == 1

    def test_a_percentile_of_few_queries_is_left_out(self):
        result = drawn_result()
        of = result["sizes"][-1]["experiments"]["faiss-flat"]["searches"]["exact"]["ms"]
        of["histogram"] = [[20.0, 100]]
        row = self.rows(result, "Searches")["FAISS flat"]
        assert [row[key] == "–" for key in ("p50, ms", "p95, ms", "p99, ms")] == [
            *(False, False, True)
        ]


class TestMarkdown:
    def test_every_experiment_and_what_it_ran_on_is_there(self):
        told = markdown(report(drawn_result()))
        for said in (*LABELS.values(), "twinlens bench --json engines.json", "qdrant-edge-py 0.9"):
            assert said in told

    def test_every_row_of_a_table_has_as_many_cells_as_its_heading(self):
        result = drawn_result()
        failed = {"part": "searches", "error": "a | b\n<c>"}
        result["sizes"][0]["experiments"]["faiss-ivf"]["failed"] = failed
        told = markdown(report(result))
        assert "a \\| b &lt;c>" in told
        for block in re.findall(r"(?:^\|.*\n)+", told, re.MULTILINE):
            assert len({line.count("|") for line in block.splitlines()}) == 1

    @pytest.mark.parametrize("key", OPTIONAL)
    def test_an_experiment_may_lack_any_part(self, key: str):
        result = drawn_result(videos=(100_000,))
        whole = copy.deepcopy(result)
        for name in ("faiss-flat", "qdrant-embedded"):
            result["sizes"][0]["experiments"][name].pop(key, None)
        assert markdown(report(result)) != markdown(report(whole))
        summarize(result)

    def test_a_size_that_was_not_begun_is_not_told_of(self):
        result = drawn_result(videos=(1_400,))
        told = markdown(report(result))
        result["sizes"].append({"videos": 20_000})
        assert markdown(report(result)) == told

    def test_it_can_be_told_of_an_experiment_that_failed_at_once(self):
        result = drawn_result(videos=(1_400,), engines=("faiss-flat",))
        result["sizes"][0]["experiments"]["faiss-flat"] = {
            "engine": "faiss-flat",
            "label": "FAISS flat",
            "build": {},
            "failed": {"part": "build", "error": "no memory"},
        }
        assert "FAILED: FAISS flat at 1,400 videos, in build: no memory" in markdown(report(result))


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "xlink:href", "srcset", "data"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")


class TestHtml:
    def test_it_asks_for_nothing_else(self):
        page = html(report(drawn_result()), {})
        found = _Page(page)
        assert found.addresses == []
        assert not {"script", "link", "img", "iframe"} & set(found.tags)
        assert "@import" not in page

    def test_what_a_run_says_is_escaped(self):
        result = drawn_result()
        failed = {"part": "build", "error": "<script>alert(1)</script>"}
        result["sizes"][0]["experiments"]["faiss-ivf"]["failed"] = failed
        page = html(report(result), {})
        assert "<script>" not in page
        assert "&lt;script&gt;alert(1)" in page

    def test_it_holds_the_same_tables_as_the_markdown(self):
        told = report(drawn_result())
        page = html(told, {})
        for section in told.sections:
            for table in section.tables:
                for row in table.rows:
                    assert all(f">{cell}</t" in page for cell in row)

    def test_a_wide_table_has_a_box_of_its_own(self):
        page = html(report(drawn_result()), {})
        boxes = re.findall(r'<div class="wide" tabindex="0" role="group" aria-label="[^"]+">', page)
        assert len(boxes) == page.count("<table>") > 0


class TestReadResult:
    def test_what_a_run_wrote_is_read(self, tmp_path):
        path = tmp_path / "run.json"
        path.write_text(json.dumps(drawn_result()))
        assert list(experiments(read_result(path))) == list(LABELS)

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ("{", "not JSON"),
            ("\xff", "not JSON"),
            ("[]", "not a result"),
            ('{"benchmark": "load"}', "not a result"),
            ('{"format": 1}', f"its format is 1, not {FORMAT}"),
            (f'{{"format": {FORMAT}, "machine": {{}}, "options": {{}}}}', "lacks sizes"),
            (json.dumps(drawn_result(videos=())), "empty run"),
            (
                json.dumps(
                    drawn_result(videos=())
                    | {"sizes": [{"videos": 9, "skipped": "too little memory"}, {"videos": 99}]}
                ),
                "empty run",
            ),
        ],
    )
    def test_what_is_no_result_is_refused_by_name(self, tmp_path, content: str, why: str):
        path = tmp_path / "run.json"
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(UsageError, match=f"run.json: .*{why}"):
            read_result(path)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.01234, "0.0123"), (1.2, "1.20"), (99.96, "100"), (1234.5, "1,234"), (2, "2")],
)
def test_a_number_has_three_figures(value: float, shown: str):
    assert number(value) == shown


def test_a_very_small_number_has_no_exponent():
    assert number(0.00001234) == "0.000012"


def test_figures_are_told_with_their_spread_and_unit():
    assert spread(Interval(37, 30, 40)) == "37 [30, 40]"
    assert spread(Interval(2.0, 2.0, 2.0)) == "2.00"
    assert size(500) == "500 bytes"
    assert size(1.5 * 2**30) == "1.50 GiB"
    assert listed(["one"]) == "one"
    assert listed(["one", "two", "three"]) == "one, two and three"


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (Interval(37.0, 30.0, 40.0), "37.0 [30.0, 40.0] times faster than it"),
        (Interval(0.5, 0.4, 0.8), "2.00 [1.25, 2.50] times slower than it"),
        (
            Interval(37.0, 37.0, 37.0),
            "37.0 times as fast as it (of one round, so of unknown noise)",
        ),
        (Interval(1.1, 0.9, 1.2), "as fast as it within noise (1.10 [0.900, 1.20] times)"),
    ],
)
def test_faster_slower_and_level_are_told_apart(times: Interval, told: str):
    assert times_faster(times, "it") == told
