"""The search benchmark: that it draws what it says, measures what it says, and runs end to end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.fakes import ColourEncoder, MemoryReader, WordEncoder
from twinlens.benchmarks.drawn_index import least_indexed, mixture_for, publish_drawn_index
from twinlens.benchmarks.mixture import BLOCK, Mixture
from twinlens.benchmarks.searching import demands_met, main, recall, summarize
from twinlens.catalog.errors import StoreError
from twinlens.encoders.lenses import THUMBNAIL, TITLE
from twinlens.evaluate.intervals import over_rounds
from twinlens.evaluate.machine import machine, machine_line
from twinlens.stores.base import StoredVideo
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import DataDir

DIMS = {TITLE: 64, THUMBNAIL: 32}


def test_mixture_draws_the_same_unit_vectors_from_the_same_seed() -> None:
    topics, vectors = Mixture(DIMS, clusters=10, seed=3).block(1)
    again_topics, again = Mixture(DIMS, clusters=10, seed=3).block(1)
    _, other_seed = Mixture(DIMS, clusters=10, seed=4).block(1)
    _, other_block = Mixture(DIMS, clusters=10, seed=3).block(2)
    np.testing.assert_array_equal(topics, again_topics)
    for name, dim in DIMS.items():
        assert vectors[name].shape == (BLOCK, dim)
        assert vectors[name].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors[name], axis=1), 1.0, atol=1e-5)
        np.testing.assert_array_equal(vectors[name], again[name])
        assert not np.allclose(vectors[name], other_seed[name])
        assert not np.allclose(vectors[name], other_block[name])


def test_mixture_has_clusters_and_near_twins() -> None:
    topics, vectors = Mixture(DIMS, clusters=10, seed=0).block(0)
    similarity = vectors[TITLE] @ vectors[TITLE].T
    np.fill_diagonal(similarity, np.nan)
    same = topics[:, None] == topics[None, :]
    assert np.nanmean(similarity[same]) > np.nanmean(similarity[~same]) + 0.4
    twins = np.mean(np.nanmax(similarity, axis=1) > 0.98)
    assert 0.1 < twins < 0.3


def test_queries_are_of_the_mixture_but_in_no_block() -> None:
    mixture = Mixture(DIMS, clusters=10, seed=0)
    queries = mixture.queries(50)[TITLE]
    stored = mixture.block(0)[1][TITLE]
    nearest = (queries @ stored.T).max(axis=1)
    assert nearest.max() < 0.999
    assert np.median(nearest) > 0.7


def test_index_is_published_once_and_only_for_what_it_was_drawn(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    encoders = {TITLE: WordEncoder(), THUMBNAIL: ColourEncoder()}
    manifest = publish_drawn_index(data, videos=30, seed=0, encoders=encoders)
    assert "synthetic" in manifest.source
    assert manifest.encoders[TITLE].fingerprint == WordEncoder().fingerprint

    reader = EmbeddedEngine(data).reader(manifest.generation)
    assert [reader.count(), reader.count(THUMBNAIL)] == [30, 30]
    found = reader.get(["drawn-0000007"], with_vectors=True)["drawn-0000007"]
    reader.close()
    _, vectors = mixture_for(30, manifest.dims, seed=0).block(0)
    np.testing.assert_allclose(found.vectors[TITLE], vectors[TITLE][7], atol=1e-6)
    assert {"title", "channel", "tags", "published_at"} <= found.payload.keys()

    trained = {**encoders, THUMBNAIL: ColourEncoder(fingerprint="0" * 16)}
    again = publish_drawn_index(data, videos=30, seed=0, encoders=trained)
    assert again.generation == manifest.generation
    assert again.encoders[THUMBNAIL].fingerprint == "0" * 16
    with pytest.raises(StoreError, match="another index"):
        publish_drawn_index(data, videos=31, seed=0, encoders=encoders)


def test_hnsw_is_demanded_only_where_qdrant_builds_it() -> None:
    dims = {TITLE: 512, THUMBNAIL: 128}
    assert [least_indexed(n, dims) for n in (1_000, 20_000, 100_000)] == [0, 20_000, 200_000]


def test_recall_counts_the_exact_ten_that_were_found() -> None:
    rows = Mixture(DIMS, clusters=2, seed=0).block(0)[1][TITLE][:40]
    videos = [
        StoredVideo(f"v{i:02d}", {"video_id": f"v{i:02d}"}, {TITLE: row})
        for i, row in enumerate(rows)
    ]
    exact = MemoryReader(videos)
    query = {TITLE: rows[:1]}
    lost = {
        one.video_id
        for one in sorted(videos, key=lambda v: -float(v.vectors["title"] @ rows[0]))[:3]
    }
    forgetful = MemoryReader([one for one in videos if one.video_id not in lost])
    assert recall(exact, exact, query, 10) == {"title": 1.0}
    assert recall(forgetful, exact, query, 10) == {"title": 0.7}


def test_intervals_hold_the_median_and_narrow_with_agreement() -> None:
    wide, narrow = over_rounds([1.0, 2.0, 3.0, 4.0, 9.0]), over_rounds([3.0, 3.0, 3.0])
    assert wide.median == 3.0
    assert wide.low < 3.0 < wide.high
    assert narrow == (3.0, 3.0, 3.0)


def test_summary_compares_within_a_round_and_names_what_is_missed() -> None:
    # The machine slows down threefold in the last round: no ratio changes.
    slow = np.array([[1.0], [1.0], [3.0]])
    timed = {
        "engine, one batch": 2 * slow,
        "engine, one by one": 2 * slow,
        "engine, within the search": 2 * slow,
        "search and fusion": 2.8 * slow,
        "fusion": 0.2 * slow,
    }
    missed = timed | {"search and fusion": 3.2 * slow}
    http = {"waited": 6 * slow, "took": 5 * slow, "in process": 2 * slow}
    summary = summarize({"similar": timed, "words": missed}, {"similar": http})
    assert summary["ratio"]["similar"]["search and fusion"] == pytest.approx((1.4, 1.4, 1.4))
    assert summary["http_ms"]["similar"]["added to took_ms"].median == 1.0
    assert summary["http_ms"]["similar"]["added to the search in process"].median == 4.0
    assert list(demands_met(summary).values()) == [True, False, False]


def test_machine_is_recorded_as_json() -> None:
    record = machine()
    assert record["cores"] >= 1
    assert record["versions"]["qdrant-edge-py"] == "0.9.0"
    assert record["disturbed"] == (record["load"][0] > 1.5)
    assert json.loads(json.dumps(record)) == record
    assert record["processor"] in machine_line(record)


@pytest.mark.slow
def test_a_small_run_measures_everything_and_says_that_it_is_synthetic(tmp_path: Path) -> None:
    report_path = tmp_path / "report.json"
    arguments = ["--videos", "300", "--dir", str(tmp_path / "data"), "--json", str(report_path)]
    done = CliRunner().invoke(
        main, [*arguments, "--queries", "3", "--rounds", "2", "--recall-queries", "5"]
    )
    # So few videos are scanned in no time: what the demands say of them doesn't matter here.
    assert done.exit_code in (0, 1), done.output
    assert done.stdout.startswith("SYNTHETIC: 300 videos")
    report = json.loads(report_path.read_text(encoding="utf-8"))
    assert done.exit_code == (0 if all(report["met"].values()) else 1)
    assert report["recall_at_10_by_limit"]["200"] == {"title": 1.0, "thumbnail": 1.0}
    assert list(report["samples_ms"]["search"]) == ["similar", "words and picture", "words"]
    for timed in report["samples_ms"]["search"].values():
        for rounds in timed.values():
            assert np.shape(rounds) == (2, 3)
            assert np.min(rounds) > 0
    for timed in report["samples_ms"]["http"].values():
        assert np.shape(timed["waited"]) == (2, 3)
        assert np.all(np.array(timed["waited"]) > np.array(timed["took"]))
    assert not list((tmp_path / "data").glob("twinlens-bench-*"))


def test_a_published_command_names_no_folder_of_the_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(
        sys, "argv", ["pytest", "--json", str(tmp_path / "result.json"), "--rounds", "3"]
    )
    assert "--json result.json --rounds 3" in machine()["command"]
