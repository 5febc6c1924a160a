"""The encoding benchmark: what it compares, what it demands, and that it runs end to end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.fakes import WordEncoder
from twinlens.benchmarks.encoding import compare, demands_met, main, measure, summarize
from twinlens.catalog.vectors import FloatMatrix, unit_rows


class Fixed:
    """Vectors as they are given, by text."""

    name = "test:fixed"
    dim = 3
    fingerprint = "0" * 16

    def __init__(self, vectors: dict[str, list[float]], **queries: list[float]) -> None:
        self.vectors = vectors
        self.queries = vectors | queries

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        return unit_rows(np.array([self.vectors[one] for one in items]))

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return unit_rows(np.array([self.queries[one] for one in texts]))


def samples(slower: float = 1.0) -> dict[str, dict[str, list[float]]]:
    """Two rounds, the second on a machine that is ``slower``."""
    pace = np.array([1.0, slower])
    return {
        "alone_ms": {"torch": list(9 * pace), "onnx": list(3 * pace)},
        "one_by_one": {"torch": list(100 / pace), "onnx": list(300 / pace)},
        "together": {"torch": list(210 / pace), "onnx": list(500 / pace)},
        "hit_ms": {"cache": [0.01, 0.02]},
    }


def test_ratios_are_formed_within_a_round() -> None:
    summary = summarize(samples(slower=5.0))
    assert summary["alone_faster_than_torch"]["onnx"] == pytest.approx((3.0, 3.0, 3.0))
    together = summary["together_faster_than_one_by_one"]
    assert together["torch"] == pytest.approx((2.1, 2.1, 2.1))
    assert summary["together_faster_than_torch_one_by_one"]["onnx"].median == pytest.approx(5.0)


def test_each_demand_can_be_missed() -> None:
    vectors = {"onnx": {"least_cosine": 0.99995}, "onnx-int8": {"least_cosine": 0.95}}
    met = demands_met(summarize(samples()), vectors)
    assert list(met.values()) == [True, True, False, True, True]
    slow = samples() | {"hit_ms": {"cache": [0.2, 0.2]}}
    slow["alone_ms"]["onnx"] = [5.0, 5.0]
    bent = {"onnx": {"least_cosine": 0.99}}
    assert list(demands_met(summarize(slow), bent).values()) == [False, True, False, False, False]


def test_titles_that_torch_can_not_tell_apart_count_as_equal() -> None:
    near = {f"near {number}": [1.0, 0.0, 0.0] for number in range(15)}
    far = {f"far {number}": [0.0, 1.0, 0.0] for number in range(15)}
    titles = [*far, *near]
    torch = Fixed(near | far, query=[1.0, 0.1, 0.0])
    # Another order among the near ones, as rounding makes it.
    onnx = Fixed(near | far, query=[1.0, 0.1, 1e-4])
    bent = Fixed(near | far, query=[0.1, 1.0, 0.0])
    encoders = {"torch": torch, "onnx": onnx, "onnx-int8": bent}
    found = compare(encoders, titles, ["query"])
    assert found["onnx"]["overlap_at_10"] == found["onnx"]["same_first"] == 1.0
    assert found["onnx-int8"]["overlap_at_10"] == found["onnx-int8"]["same_first"] == 0.0
    assert found["onnx"]["least_cosine"] == 1.0  # of the titles


def test_every_encoder_is_timed_in_every_round() -> None:
    queries = [f"word{number} of a query" for number in range(40)]
    found = measure({"torch": WordEncoder(), "onnx": WordEncoder()}, queries, rounds=3)
    assert {part: list(rounds) for part, rounds in found.items()} == {
        "alone_ms": ["torch", "onnx"],
        "one_by_one": ["torch", "onnx"],
        "together": ["torch", "onnx"],
        "hit_ms": ["cache"],
    }
    assert all(
        len(rounds) == 3 and min(rounds) > 0 for part in found.values() for rounds in part.values()
    )


def test_too_few_titles_are_an_error_that_says_so(tmp_path: Path) -> None:
    source = tmp_path / "videos.jsonl"
    source.write_text('{"video_id": "a", "title": "one title"}\n')
    done = CliRunner().invoke(main, ["--titles", str(source)])
    assert done.exit_code == 2
    assert "1 titles in it" in done.output


@pytest.mark.slow
def test_a_small_run_measures_everything(tmp_path: Path) -> None:
    source = tmp_path / "videos.jsonl"
    source.write_text(
        "".join(
            json.dumps({"video_id": str(number), "title": f"match {number} of the season"}) + "\n"
            for number in range(40)
        )
    )
    report_path = tmp_path / "report.json"
    done = CliRunner().invoke(
        main,
        [
            *("--titles", str(source), "--json", str(report_path)),
            *("--queries", "32", "--rounds", "2"),
        ],
    )
    report = json.loads(report_path.read_text(encoding="utf-8"))
    assert done.exit_code == (0 if all(report["met"].values()) else 1), done.output
    assert report["vectors"]["onnx"]["least_cosine"] >= 0.9999
    assert report["titles"] == 40
    assert set(report["samples"]["alone_ms"]) == {"torch", "onnx", "onnx-int8", "use-m3"}
