"""Two runs of `twinlens bench` side by side, and the command that tells of one or both."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.engines.compare import Comparison, compare, text
from benchmarks.engines.plots import PLOTS, inline_svg, save
from benchmarks.engines.report_cli import report
from catalog.errors import UsageError
from tests.benchmarks.engine_results import drawn_result

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
        assert compared.only_in_b == ("100,000 videos",)
        assert compared.only_in_a == (
            "20,000 videos, faiss-hnsw",
            "20,000 videos, qdrant-embedded, filtered 0.01",
        )

    def test_a_disturbed_or_unfinished_run_is_told(self):
        a, b = drawn(0), drawn(0)
        a["sizes"][0]["disturbed"] = {"building": {"others_cores": 0.4}}
        b["finished"] = False
        assert compare(a, b).notes == (
            "a was disturbed: building at 20,000 videos (others had 0.40 cores)",
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
        assert page.read_text().count("<svg ") == len(PLOTS)
        for name in PLOTS:
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
        svg = inline_svg(PLOTS[name](drawn(0)), name, "A <caption>")
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
        run = drawn(0)
        for experiment in run["sizes"][1]["experiments"].values():
            for key in ("built", "memory", "clients", "filtered", "searches", "chosen"):
                del experiment[key]
        run["sizes"][1]["experiments"]["some-new-engine"] = copy.deepcopy(
            run["sizes"][0]["experiments"]["faiss-hnsw"]
        )
        del run["sizes"][1]["reading"]
        save(PLOTS[name](run), tmp_path / f"{name}.svg")
        ET.parse(tmp_path / f"{name}.svg")

    def test_a_plot_says_that_its_vectors_were_made_up(self):
        for draw in PLOTS.values():
            assert "SYNTHETIC" in draw(drawn(0))._suptitle.get_text()

    def test_what_is_neither_svg_nor_png_is_refused(self, tmp_path: Path):
        with pytest.raises(UsageError, match=r"plot\.gif: .* svg or png"):
            save(PLOTS["costs"](drawn(0)), tmp_path / "plot.gif")
