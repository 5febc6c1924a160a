"""The scripts that measure search and load."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from twinlens.benchmarks.feeds import main as measure_feeds
from twinlens.benchmarks.searching import main, measure_in_turns, report, serve
from twinlens.catalog.errors import TwinLensError
from twinlens.cli import main as twinlens

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


def test_a_server_that_does_not_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINLENS_HOST", "nowhere.invalid")
    with pytest.raises(TwinLensError, match="did not start"), serve(tmp_path):
        pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of a small sample."""
    source = tmp_path_factory.mktemp("scripts") / "sample"
    for command in (
        ["sample", "--videos", VIDEOS, source],
        ["index", source, "--data-dir", source / "data", "--title-model", "packaged:use-m3"],
    ):
        outcome = CliRunner().invoke(twinlens, [*map(str, command)])
        assert outcome.exit_code == 0, outcome.output
    return source / "data"


@pytest.mark.slow
def test_searching_tells_what_stands_on_top_of_the_engine(data: Path, tmp_path: Path) -> None:
    json_path = tmp_path / "searching.json"
    outcome = CliRunner().invoke(
        main,
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


@pytest.fixture(scope="module")
def address(data: Path) -> Iterator[str]:
    with serve(data) as found:
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


@pytest.mark.slow
def test_events_are_measured_in_batches_and_beside_healthz(tmp_path: Path) -> None:
    written = tmp_path / "samples.json"
    command = [sys.executable, "-m", "twinlens.benchmarks.events", "--folder", str(tmp_path)]
    command += ["--clients", "3", "--requests", "2", "--rounds", "2", "--json", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "one event each / healthz" in done.stdout
    samples = json.loads(written.read_text())["samples_per_s"]
    assert len(samples) == 5
    assert all(len(rates) == 2 and min(rates) > 0 for rates in samples.values())
    assert list(tmp_path.iterdir()) == [written]


@pytest.mark.slow
def test_feeds_tell_what_strangers_and_people_wait(tmp_path: Path) -> None:
    json_path = tmp_path / "feeds.json"
    asked = ["--videos", "1000", "--queries", "3", "--rounds", "2", "--json", str(json_path)]
    outcome = CliRunner().invoke(measure_feeds, asked)
    assert outcome.exit_code == 0, outcome.output
    samples = json.loads(json_path.read_text("utf-8"))["samples_ms"]
    for kind in ("stranger", "person", "person again"):
        assert min(samples[f"{kind}: p50"]) > min(samples[f"{kind}: candidates"]) > 0
