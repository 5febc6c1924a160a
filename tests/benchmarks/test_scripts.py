"""The scripts that measure search, encoding, indexing and load."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from twinlens.benchmarks import encoding, indexing, searching
from twinlens.benchmarks.harness import TITLE_MODEL, measure_in_turns, report, run_twinlens, served
from twinlens.catalog.errors import TwinLensError, UsageError

ROOT = Path(__file__).parents[2]
VIDEOS = 40


def test_ways_take_turns_at_being_first_and_the_first_round_warms_up() -> None:
    order: list[str] = []
    numbers = iter(range(100))

    def way(name: str) -> Any:
        def measure() -> dict[str, float]:
            order.append(name)
            return {f"{name}, ms": next(numbers)}

        return measure

    samples = measure_in_turns({"a": way("a"), "b": way("b")}, rounds=2)
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert samples == {"a, ms": [2, 5], "b, ms": [3, 4]}


def test_ratios_are_formed_within_a_round(capsys: pytest.CaptureFixture[str]) -> None:
    samples = {"slow": [2.0, 20.0, 2.0], "quick": [1.0, 10.0, 1.0]}
    report(None, "ms", samples, {"slow / quick": ("slow", "quick")})
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["slow", "/", "quick", "2.00"] in told


class Scripted:
    """An encoder whose vectors are given: queries may differ from what is stored."""

    def __init__(self, stored: Any, asked: Any) -> None:
        self.stored, self.asked = np.asarray(stored), np.asarray(asked)

    def encode(self, titles: Any) -> Any:
        return self.stored[: len(titles)]

    def encode_queries(self, texts: Any) -> Any:
        return self.asked[: len(texts)]


def test_titles_that_torch_can_not_tell_apart_count_as_equal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoding, "_OVERLAP_AT", 1)
    stored = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    torch = Scripted(stored, stored)
    # Finds the second of two equal titles for the first, and the wrong one for the last.
    other = Scripted(stored, [[1.0, 0.0], [1.0, 0.0], [0.8, 0.6]])
    monkeypatch.setattr(encoding, "TITLE_RUNTIMES", ("torch", "onnx"))
    found = encoding.compare({"torch": torch, "onnx": other}, ["a", "b", "c"], ["a", "b", "c"])  # type: ignore[dict-item]
    assert found == {"onnx": {"least_cosine": 0.6, "overlap_at_10": pytest.approx(2 / 3, abs=1e-4)}}


def test_too_few_titles_are_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "few.jsonl").write_text('{"video_id": "1", "title": "one"}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="1 titles in it"):
        encoding.read_titles(str(tmp_path / "few.jsonl"))


def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(TwinLensError, match="did not start"), served(tmp_path):
        pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of a small sample."""
    source = tmp_path_factory.mktemp("scripts") / "sample"
    run_twinlens("sample", "--videos", str(VIDEOS), source)
    run_twinlens("index", source, "--data-dir", source / "data", "--title-model", TITLE_MODEL)
    return source / "data"


@pytest.mark.slow
def test_searching_tells_what_stands_on_top_of_the_engine(data: Path, tmp_path: Path) -> None:
    json_path = tmp_path / "searching.json"
    outcome = CliRunner().invoke(
        searching.main,
        [
            *("--data-dir", str(data), "--queries", "5", "--rounds", "2"),
            *("--json", str(json_path)),
        ],
    )
    assert outcome.exit_code == 0, outcome.output
    assert "similar, search / engine alone" in outcome.output
    samples = json.loads(json_path.read_text("utf-8"))["samples_ms"]
    assert {len(rounds) for rounds in samples.values()} == {2}
    for kind in ("similar", "text"):
        assert min(samples[f"{kind}: waited"]) > min(samples[f"{kind}: search"]) > 0
    assert min(samples["engine alone, one batch"]) > 0


@pytest.mark.slow
def test_indexing_compares_the_job_with_decoding_and_encoding_alone(tmp_path: Path) -> None:
    json_path = tmp_path / "indexing.json"
    outcome = CliRunner().invoke(
        indexing.main, ["--videos", "20", "--rounds", "1", "--json", str(json_path)]
    )
    assert outcome.exit_code == 0, outcome.output
    samples = json.loads(json_path.read_text("utf-8"))["samples_s"]
    assert samples["second run, unchanged source"][0] > 0
    assert "job / alone" in outcome.output


@pytest.mark.slow
def test_encoding_measures_every_runtime(tmp_path: Path) -> None:
    titles = tmp_path / "titles.jsonl"
    rows = ({"video_id": str(n), "title": f"title {n} of many words"} for n in range(40))
    titles.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    outcome = CliRunner().invoke(
        encoding.main,
        [
            *("--titles", str(titles), "--queries", "32", "--rounds", "2"),
            *("--json", str(tmp_path / "encoding.json")),
        ],
    )
    assert outcome.exit_code == 0, outcome.output
    report = json.loads((tmp_path / "encoding.json").read_text("utf-8"))
    assert report["vectors"]["onnx"]["least_cosine"] > 0.999
    assert "torch: one query, ms" in report["samples"]


@pytest.fixture(scope="module")
def address(data: Path) -> Iterator[str]:
    with served(data) as found:
        yield found


@pytest.mark.slow
def test_callers_ask_for_all_kinds_and_none_fails(address: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", "benchmarks/load/locustfile.py"),
            *("--headless", "--host", address, "--users", "2", "--spawn-rate", "2"),
            *("--run-time", "15s", "--csv", str(tmp_path / "load")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "load_stats.csv").open(encoding="utf-8") as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    assert {"text", "similar", "picture", "Aggregated"} <= set(rows)
    assert all(row["Failure Count"] == "0" for row in rows.values())
