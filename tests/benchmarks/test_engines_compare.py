"""Two runs of `twinlens bench` side by side, and the command that tells of one or both."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from tests.benchmarks.engine_results import drawn_result
from twinlens.benchmarks.engines.compare import Comparison, compare, text
from twinlens.benchmarks.engines.plots import PLOTS, inline_svg, save
from twinlens.benchmarks.engines.report_cli import report
from twinlens.catalog.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENGINES = ("faiss-flat", "faiss-hnsw", "qdrant-embedded")


def drawn(seed: int, **options: object) -> dict:
    return drawn_result(seed=seed, videos=(20_000, 100_000), engines=ENGINES, **options)


def told(comparison: Comparison) -> int:
    return sum(one.changed is not None for one in comparison.changes)


class TestNoise:
    def test_two_runs_of_the_same_differ_no_more_often_than_chance_has_it(self):
        compared = [compare(drawn(seed), drawn(seed + 100)) for seed in range(4)]
        assert sum(told(one) for one in compared) > 400
        assert sum(len(one.changed) for one in compared) <= 0.05 * sum(map(told, compared))

    def test_even_where_rounds_differ_much(self):
        compared = [
            compare(drawn(seed, noise=0.15), drawn(seed + 100, noise=0.15)) for seed in range(4)
        ]
        assert sum(len(one.changed) for one in compared) <= 0.05 * sum(map(told, compared))

    def test_a_machine_that_was_slower_for_a_while_changes_nothing(self):
        a, b = drawn(0), drawn(1)
        small = b["sizes"][0]
        for name, one in small["experiments"].items():
            small["experiments"][name] = _slowed(one, 1.3)
        small["reading"]["ms"] = [1.3 * ms for ms in small["reading"]["ms"]]
        compared = compare(a, b)
        assert compared.changed == []
        assert (
            "by itself, by more than the processor's pace, and by the yardstick of its run"
            in text(compared)
        )
        small["experiments"]["faiss-hnsw"] = _slowed(small["experiments"]["faiss-hnsw"], 1.3)
        assert {(one.videos, one.experiment, one.better) for one in compare(a, b).changed} == {
            (20_000, "faiss-hnsw", False)
        }

    def test_the_flat_index_is_held_against_reading_or_its_own_loop_or_itself(self):
        a, b = drawn(0, noise=0.01), drawn(1, noise=0.01)

        def changed() -> set[tuple[int, str]]:
            return {
                (one.videos, one.quantity)
                for one in compare(a, b).changed
                if one.experiment == "faiss-flat" and one.part == "search exact"
            }

        for of in (size["experiments"]["faiss-flat"]["searches"] for size in b["sizes"]):
            of["exact"] = _slowed(of["exact"], 1.3)
        slower = {(at, p) for at in (20_000, 100_000) for p in ("p50", "p95", "p99")}
        assert changed() == slower
        small = b["sizes"][0]
        small["reading"]["ms"] = [1.3 * ms for ms in small["reading"]["ms"]]
        assert changed() == {one for one in slower if one[0] == 100_000}
        for run in (a, b):
            del run["sizes"][0]["reading"]
        assert changed() == slower
        small["loop"] = _slowed(small["loop"], 1.3)
        assert changed() == {one for one in slower if one[0] == 100_000}
        for run in (a, b):
            del run["sizes"][0]["loop"]
        assert changed() == slower

    def test_what_changed_where_a_run_was_disturbed_is_told_apart(self):
        a, b = drawn(0), drawn(1, slower={"qdrant-embedded": 1.5})
        b["sizes"][0]["disturbed"] = {"latency": {"others_cores": 0.3}}
        a["sizes"][1]["disturbed"] = {"filters": {"slowed": 1.4}}
        compared = compare(a, b)
        unsure = {(one.videos, one.part.partition(" ")[0]) for one in compared.not_sure}
        assert unsure == {(20_000, "search"), (100_000, "filtered")}
        assert all(one.changed is None and one.disturbed for one in compared.not_sure)
        assert not unsure & {(one.videos, one.part.partition(" ")[0]) for one in compared.changed}
        assert not any(one.part.startswith("search") for one in compared.measured_once)
        told = text(compared)
        _, _, apart = told.partition(
            "Not sure, for a run was disturbed there, or the processor's pace explains as much:\n"
        )
        assert "WORSE   20,000 videos, qdrant-embedded, search ef=64: p50" in apart
        assert json.dumps(compared.to_json())

    @staticmethod
    def paced(run: dict, ms: float) -> dict:
        """The same, having seen this pace of the processor in two parts, which it marks."""
        for size in run["sizes"]:
            seen = {"others_cores": 0, "worst_cores": 0, "pace_ms": [ms]}
            size["watched"] = dict.fromkeys(("filters", "batches"), seen)
            size["disturbed"] = {"filters": {"slowed": 1.5}}
        return run

    @staticmethod
    def moved(a: dict, b: dict, times: float) -> tuple[set[str], set[str]]:
        """What changed for sure, and what for all one knows, where filters and batches took so."""
        b = copy.deepcopy(b)
        hnsw = b["sizes"][0]["experiments"]["faiss-hnsw"]
        for part in ("filtered", "batch"):
            hnsw[part] = _slowed(hnsw[part], times)
        compared = compare(a, b)
        changed, not_sure = (
            {re.split("[ ,]", one.part)[0] for one in some}
            for some in (compared.changed, compared.not_sure)
        )
        return changed, not_sure

    def test_what_the_processors_pace_explains_is_not_sure(self):
        a, b = drawn(0, noise=0.01), drawn(1, noise=0.01)
        a, b = self.paced(a, 10.0), self.paced(b, 15.0)
        both = {"filtered", "batch"}
        assert self.moved(a, b, 1.4) == (set(), both)
        # It is more than that; and a slower processor explains nothing that got faster.
        assert self.moved(a, b, 2.0) == self.moved(a, b, 1 / 1.4) == (both, set())

    def test_a_pace_that_only_one_run_knows_explains_nothing(self):
        a, b = drawn(0, noise=0.01), self.paced(drawn(1, noise=0.01), 15.0)
        assert self.moved(a, b, 1.4) == self.moved(a, b, 2.0) == ({"batch"}, {"filtered"})
        # Nor does that of another Python, or of another machine.
        for key in ("python", "processor"):
            other = self.paced(drawn(0, noise=0.01), 10.0)
            other["machine"][key] = "another"
            assert self.moved(other, b, 1.4) == ({"batch"}, {"filtered"})

    def test_recall_is_no_less_sure_where_a_run_was_disturbed(self):
        a, b = drawn(0), drawn(0)
        b["sizes"][0]["disturbed"] = {"latency": {"others_cores": 0.3}}
        b["sizes"][0]["experiments"]["faiss-hnsw"]["searches"]["ef=64"]["recall_at_10"] = 0.5
        assert [one.quantity for one in compare(a, b).changed] == ["recall@10"]

    def test_percentiles_of_few_queries_are_not_compared(self):
        runs = drawn(0), drawn(1)
        for run in runs:
            searches = run["sizes"][0]["experiments"]["faiss-hnsw"]["searches"]
            for setting, queries in (("ef=16", 19), ("ef=32", 20), ("ef=64", 100)):
                searches[setting]["ms"]["histogram"] = [[1.0, 5 * queries]]
        found = {
            setting: [
                one.quantity
                for one in compare(*runs).changes
                if (one.videos, one.experiment) == (20_000, "faiss-hnsw")
                and one.part == f"search {setting}"
                and one.quantity != "recall@10"
            ]
            for setting in ("ef=16", "ef=32", "ef=64")
        }
        assert found == {
            "ef=16": ["p50"],
            "ef=32": ["p50", "p95"],
            "ef=64": ["p50", "p95", "p99"],
        }

    def test_what_was_measured_with_other_settings_does_not_meet(self):
        a, b = drawn(0), drawn(1)
        one = b["sizes"][0]["experiments"]["qdrant-embedded"]
        one["chosen"] = one["cold"]["setting"] = "ef=128"
        compared = compare(a, b)
        only_a, only_b = set(compared.only_in_a), set(compared.only_in_b)
        was = a["sizes"][0]["experiments"]["qdrant-embedded"]["chosen"]
        for part in (
            *("filtered 0.01", "fused in python", "batch", "clients: 8 threads"),
            *("beside changes", "cold start"),
        ):
            assert f"20,000 videos, qdrant-embedded, {part}, {was}" in only_a
            assert f"20,000 videos, qdrant-embedded, {part}, ef=128" in only_b
        assert {
            one.part
            for one in compared.changes
            if (one.videos, one.experiment) == (20_000, "qdrant-embedded")
            and not one.part.startswith("search ")
        } == {"building", "memory"}
        assert "filtered 0.01" in {
            one.part for one in compared.changes if one.experiment == "faiss-flat"
        }, "an only setting goes without saying"

    def test_a_run_beside_itself_has_no_change(self):
        run = drawn(0)
        assert compare(run, run).changed == []
        assert compare(run, run).measured_once == []

    def test_an_engine_that_is_a_fifth_slower_is_found(self):
        compared = compare(drawn(0), drawn(1, slower={"qdrant-embedded": 1.2}))
        slower = {
            (one.videos, one.part, one.quantity)
            for one in compared.changed
            if one.experiment == "qdrant-embedded" and one.better is False
        }
        searches = {
            (one.videos, one.part, one.quantity)
            for one in compared.changes
            if one.experiment == "qdrant-embedded" and one.part.startswith("search ")
            if one.quantity == "p50"
        }
        assert len(searches) == 14
        assert searches <= slower
        others = [one for one in compared.changed if one.experiment != "qdrant-embedded"]
        assert len(others) <= 0.05 * told(compared)

    def test_a_sure_change_that_is_small_is_of_no_account(self):
        compared = compare(
            drawn(0, noise=1e-4), drawn(1, noise=1e-4, slower={"qdrant-embedded": 1.04})
        )
        assert compared.changed == []

    def test_with_too_few_rounds_nobody_can_say(self):
        compared = compare(drawn(0, rounds=3), drawn(1, rounds=3, slower={"qdrant-embedded": 1.5}))
        assert {one.quantity for one in compared.changes if one.changed is not None} == {
            "recall@10"
        }
        assert any(one.quantity == "p50" for one in compared.measured_once)
        assert "noise is unknown" in text(compared)


class TestRecall:
    @pytest.mark.parametrize(
        ("a", "b", "changed"),
        [(0.98, 0.981, False), (0.98, 0.95, True), (1.0, 1.0, False), (1.0, 0.99, True)],
    )
    def test_it_changed_where_chance_does_not_explain_it(self, a: float, b: float, changed: bool):
        runs = [drawn(0), drawn(0)]
        for run, recall in zip(runs, (a, b), strict=True):
            searches = run["sizes"][0]["experiments"]["qdrant-embedded"]["searches"]
            searches["ef=64"]["recall_at_10"] = recall
        compared = compare(*runs)
        assert [one.quantity for one in compared.changed] == ["recall@10"] * changed
        if changed:
            assert compared.changed[0].better is False


class TestMeasuredOnce:
    def test_a_large_change_is_pointed_out_as_of_unknown_noise(self):
        a, b = drawn(0), drawn(0)
        b["sizes"][0]["experiments"]["qdrant-embedded"]["built"]["index_s"] *= 2
        compared = compare(a, b)
        assert compared.changed == []
        [found] = compared.measured_once
        assert (found.part, found.quantity, found.better) == ("building", "index", False)
        assert "building: index 12.0 -> 24.0 s" in text(compared)


class TestCircumstances:
    def test_versions_commits_options_and_vectors_are_named(self):
        a, b = drawn(0), drawn(0)
        b["machine"]["versions"]["qdrant-edge-py"] = "0.9.1"
        b["machine"]["commit"] = "f" * 40
        b["options"]["threads"] = 2
        b["sizes"][0]["vectors"]["source"] = "vectors.hdf5"
        b["sizes"][0]["experiments"]["faiss-hnsw"]["build"]["m"] = 32
        compared = compare(a, b)
        assert [one.what for one in compared.differences] == [
            "commit",
            "qdrant-edge-py",
            "option threads",
            "vectors at 20,000 videos",
            "build of faiss-hnsw",
        ]
        assert not compared.by_ratio
        assert "did not ask the same (threads)" in text(compared)

    def test_on_another_machine_ratios_to_the_flat_index_are_compared(self):
        a, b = drawn(0), drawn(1)
        b["machine"]["processor"] = "A slower one"
        for size in b["sizes"]:
            for name, one in size["experiments"].items():
                size["experiments"][name] = _slowed(one, 2.0)
        compared = compare(a, b)
        assert compared.by_ratio
        assert len(compared.changed) <= 0.05 * told(compared)
        assert {one.experiment for one in compared.changes if "times" in one.unit} == {
            "faiss-hnsw",
            "qdrant-embedded",
        }
        assert not {"s", "ms", "a second"} & {one.unit for one in compared.changes}
        assert "times can't be compared" in text(compared)

    def test_on_another_machine_an_engine_that_lost_to_the_flat_index_is_found(self):
        a, b = drawn(0), drawn(1, slower={"qdrant-embedded": 1.3})
        b["machine"]["cores"] = 8
        compared = compare(a, b)
        slower = [one for one in compared.changed if one.experiment == "qdrant-embedded"]
        assert len(slower) > 80
        assert len(compared.changed) - len(slower) <= 0.05 * told(compared)

    def test_sizes_with_vectors_of_other_lengths_are_not_compared(self):
        a, b = drawn(0), drawn(0)
        b["sizes"][0]["vectors"]["dims"]["title"] = 768
        compared = compare(a, b)
        assert {one.videos for one in compared.changes} == {100_000}
        assert "not compared: 20,000 videos: vectors of other lengths" in text(compared)

    def test_what_only_one_of_them_has_is_named_once(self):
        a, b = drawn(0), drawn(0)
        del a["sizes"][1]
        del b["sizes"][0]["experiments"]["faiss-hnsw"]
        del b["sizes"][0]["experiments"]["qdrant-embedded"]["filtered"]["0.01"]
        compared = compare(a, b)
        told = text(compared)
        assert "only in b: 100,000 videos\n" in told
        assert "only in a: 20,000 videos, faiss-hnsw\n" in told
        assert "only in a: 20,000 videos, qdrant-embedded: filtered 0.01, ef=64\n" in told
        assert compared.only_in_b == ("100,000 videos",)
        assert compared.only_in_a == (
            "20,000 videos, faiss-hnsw",
            "20,000 videos, qdrant-embedded, filtered 0.01, ef=64",
        )

    def test_a_disturbed_or_unfinished_run_is_told(self):
        a, b = drawn(0), drawn(0)
        a["sizes"][0]["disturbed"] = {"building": {"others_cores": 0.4}}
        b["finished"] = False
        assert compare(a, b).notes == (
            "a was disturbed: 1 of 20 parts, others had up to 0.40 cores",
            "b is unfinished",
        )


def _slowed(of: object, times: float, key: str = "") -> object:
    """The same experiment on a machine so many times slower."""
    if key in ("p50", "p95", "p99", "mean"):
        return [value * times for value in of]
    if key == "per_second" or key.isdigit():
        return [value / times for value in of]
    if isinstance(of, dict):
        return {name: _slowed(value, times, name) for name, value in of.items()}
    return of


def plot(name: str, run: dict) -> Figure:
    figure = PLOTS[name](run)
    assert figure is not None
    return figure


def with_a_variant(run: dict) -> dict:
    """The same with embedded Qdrant built otherwise."""
    for size in run["sizes"]:
        found = size["experiments"]
        found["qdrant-embedded-m8"] = copy.deepcopy(found["qdrant-embedded"]) | {
            "engine": "qdrant-embedded-m8",
            "label": "Qdrant embedded, m 8",
        }
    return run


def run_report(*arguments: object) -> Result:
    return CliRunner().invoke(report, [str(one) for one in arguments])


@pytest.fixture
def result_path(tmp_path: Path) -> Path:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(drawn_result()))
    return path


class TestCommand:
    def test_one_run_is_told_as_markdown(self, result_path: Path):
        done = run_report(result_path)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("# FAISS against Qdrant\n")

    def test_it_writes_a_page_plots_markdown_and_json(self, result_path: Path, tmp_path: Path):
        pytest.importorskip("matplotlib")
        page, told, summary = (tmp_path / name for name in ("r.html", "r.md", "r.json"))
        done = run_report(
            *(result_path, "--html", page, "--markdown", told, "--json", summary),
            *("--plots", tmp_path / "plots", "--plot-format", "png"),
        )
        assert done.exit_code == 0, done.output
        assert done.stdout == ""
        assert told.read_text().startswith("# FAISS against Qdrant\n")
        assert json.loads(summary.read_text())["verdicts"]
        # No graph was built otherwise in this run.
        names = PLOTS.keys() - {"settings-compared"}
        assert page.read_text().count("<svg ") == len(names)
        assert {path.stem for path in (tmp_path / "plots").iterdir()} == names
        for name in names:
            assert (tmp_path / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")

    def test_two_runs_are_compared(self, result_path: Path, tmp_path: Path):
        other, summary = tmp_path / "other.json", tmp_path / "changes.json"
        other.write_text(json.dumps(drawn_result(seed=1, slower={"qdrant-embedded": 1.5})))
        done = run_report(result_path, other, "--json", summary)
        assert done.exit_code == 0, done.output
        assert "WORSE   100,000 videos, qdrant-embedded, search ef=64: p50" in done.stdout
        changes = json.loads(summary.read_text())["changes"]
        assert any(one["changed"] for one in changes)

    @pytest.mark.parametrize("option", ["--html", "--markdown", "--plots"])
    def test_a_comparison_is_no_page(self, result_path: Path, tmp_path: Path, option: str):
        done = run_report(result_path, result_path, option, tmp_path / "out")
        assert isinstance(done.exception, UsageError)

    def test_what_is_no_result_is_refused_by_name(self, result_path: Path, tmp_path: Path):
        bad = tmp_path / "bad.json"
        bad.write_text("{")
        for paths in ([bad], [result_path, bad]):
            done = run_report(*paths)
            assert isinstance(done.exception, UsageError)
            assert str(bad) in str(done.exception)
        assert UsageError.exit_code == 2
        assert run_report(tmp_path / "none.json").exit_code == 2


class TestPlots:
    @pytest.fixture(autouse=True)
    def _matplotlib(self):
        pytest.importorskip("matplotlib")

    @pytest.mark.parametrize("name", PLOTS)
    def test_a_page_takes_its_ink_and_its_ids_stay_apart(self, name: str):
        svg = inline_svg(plot(name, with_a_variant(drawn(0))), name, "A <caption>")
        root = ET.fromstring(svg)
        assert root.get("role") == "img"
        ids = re.findall(r'\bid="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert all(one.startswith(f"{name}-") for one in ids)
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= set(ids)
        assert "#000000" not in svg
        assert "#ffffff" not in svg
        assert "currentColor" in svg

    @pytest.mark.parametrize("name", PLOTS)
    def test_a_run_that_broke_off_can_be_drawn(self, name: str, tmp_path: Path):
        run = with_a_variant(drawn(0))
        for experiment in run["sizes"][1]["experiments"].values():
            if experiment["engine"] == "qdrant-embedded-m8":
                continue
            for key in ("built", "memory", "clients", "filtered", "searches", "chosen"):
                del experiment[key]
        run["sizes"][1]["experiments"]["some-new-engine"] = copy.deepcopy(
            run["sizes"][0]["experiments"]["faiss-hnsw"]
        )
        del run["sizes"][1]["reading"]
        save(plot(name, run), tmp_path / f"{name}.svg")
        ET.parse(tmp_path / f"{name}.svg")

    def test_a_plot_says_that_its_vectors_were_made_up(self):
        run = with_a_variant(drawn(0))
        for name in PLOTS:
            assert "SYNTHETIC" in plot(name, run).get_suptitle()

    @pytest.mark.parametrize(
        ("mark", "said"),
        [
            ({"others_cores": 0.4}, ", DISTURBED by other programs"),
            ({"others_cores": 0.4, "slowed": 1.3}, ", DISTURBED by other programs"),
            ({"others_cores": 0.1, "slowed": 1.3}, ", DISTURBED, the machine slowed down"),
        ],
    )
    def test_it_says_what_disturbed_the_run(self, mark: dict, said: str):
        run = drawn(0)
        assert "DISTURBED" not in plot("costs", run).get_suptitle()
        run["sizes"][0]["disturbed"] = {"latency": mark}
        assert said in plot("costs", run).get_suptitle()

    def test_lines_join_a_family_of_settings_in_their_order(self):
        run = drawn(0, noise=0.001)
        [_, of] = run["sizes"]
        searches = of["experiments"]["faiss-hnsw"]["searches"]
        alone = searches["ef=64, 4x rescored"] = copy.deepcopy(searches["ef=64"])
        alone["setting"] = {"ef": 64, "oversampling": 4.0}
        raw = searches["ef=64, no rescoring"] = copy.deepcopy(searches["ef=64"])
        raw["setting"] = {"ef": 64, "rescore": False}
        searches["ef=32"]["ms"]["p50"] = [10.0] * 5
        axes = plot("recall-against-latency", run).axes[1]
        line, *others = [one for one in axes.lines if one.get_label() == "FAISS HNSW"]
        assert list(line.get_ydata()) == [
            searches[f"ef={ef}"]["recall_at_10"] for ef in (16, 32, 64, 128, 256, 512)
        ]
        assert [one.get_linestyle() for one in (line, *others)] == ["-", "None", "None"]
        assert [one.get_fillstyle() for one in (line, *others)] == ["full", "full", "none"]

    def test_a_legend_is_hollow_where_all_marks_are(self):
        [legend] = plot("recall-against-latency", drawn(0)).legends
        hollow = {
            text.get_text(): line.get_fillstyle() == "none"
            for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
        }
        assert hollow == {"FAISS flat": True, "FAISS HNSW": False, "Qdrant embedded": False}

    @pytest.mark.parametrize("name", ["recall-against-latency", "filtered-against-selectivity"])
    def test_no_recall_is_so_low_that_it_is_cut_off(self, name: str):
        run = drawn(0)
        recall = plot(name, run).axes[-1]
        assert recall.get_ylim()[0] == pytest.approx(0.4)
        one = run["sizes"][1]["experiments"]["faiss-hnsw"]
        for found in (one["searches"]["ef=16"], one["filtered"]["0.001"]):
            found["recall_at_10"] = 0.008
        recall = plot(name, run).axes[-1]
        assert recall.get_ylim()[0] < 0
        assert 0.3 in recall.get_yticks()

    @pytest.mark.parametrize(
        ("name", "axis"),
        [
            ("recall-against-latency", "x"),
            ("latency-against-size", "y"),
            ("throughput-against-clients", "y"),
            ("latency-histogram", "x"),
        ],
    )
    def test_a_scale_of_times_is_labelled_at_1_2_and_5(self, name: str, axis: str):
        figure = plot(name, drawn(0))
        figure.canvas.draw()
        axes = figure.axes[0]
        low, high = getattr(axes, f"get_{axis}lim")()
        labels = getattr(axes, f"get_{axis}ticklabels")()
        told = {text.get_text() for text in labels}
        expected = {
            f"{one * 10.0**decade:,.10g}"
            for one in (1, 2, 5)
            for decade in range(-4, 5)
            if low <= one * 10.0**decade <= high
        }
        assert len(expected) > 3
        assert expected <= told

    def test_what_another_engine_made_costs_nothing_of_its_own(self):
        run = drawn_result(videos=(20_000,))
        labels = [text.get_text() for text in plot("costs", run).axes[0].get_yticklabels()]
        assert "Qdrant server, REST" in labels
        assert "Qdrant server, gRPC" not in labels

    def test_without_a_graph_built_otherwise_there_is_none_to_compare(self):
        assert PLOTS["settings-compared"](drawn(0)) is None
        assert PLOTS["settings-compared"](with_a_variant(drawn(0))) is not None

    def test_what_is_neither_svg_nor_png_is_refused(self, tmp_path: Path):
        with pytest.raises(UsageError, match=r"plot\.gif: .* svg or png"):
            save(plot("costs", drawn(0)), tmp_path / "plot.gif")
