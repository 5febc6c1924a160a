"""Builds that were cut short: whatever is missing or left over, the next job mends it."""

import json
import shutil

import pytest

from indexer.build import LEDGER_FILE
from indexer.ledger import Ledger
from stores.edge import EdgeStore
from stores.engines import EmbeddedEngine
from tests.indexer.conftest import CountingTitles


@pytest.fixture
def engine(data):
    """The embedded one: what is damaged here lies in its files."""
    return EmbeddedEngine(data)


@pytest.fixture
def broken(run_job, catalogue, data):
    """A build with 128 of 200 videos in it; its path."""
    for number in range(10, 200):
        catalogue.add(f"video{number}", title=f"Title {number}")
    with pytest.raises(RuntimeError):
        run_job(CountingTitles(fail_after=100))
    (path,) = list(data.generations.iterdir())
    return path


def finish(run_job, published):
    summary = run_job()
    assert summary.continued
    assert summary.videos == 200
    assert published.differences() == []


def test_a_video_the_ledger_does_not_know_is_removed(broken, run_job, catalogue, published):
    ledger = Ledger(broken / LEDGER_FILE)
    ledger.forget(["video3"])
    ledger.close()
    del catalogue.rows["video3"]
    summary = run_job()
    assert summary.videos == 199
    assert published.differences() == []


def test_a_video_that_qdrant_lost_is_encoded_again(broken, run_job, published):
    store = EdgeStore.open(broken / "qdrant")
    store.delete(["video3"])
    store.close()
    finish(run_job, published)


def test_a_mirror_that_is_missing_or_damaged_is_made_again(broken, run_job, published):
    if (broken / "faiss").exists():
        shutil.rmtree(broken / "faiss")
    finish(run_job, published)


def test_a_damaged_mirror_is_made_again(broken, run_job, published):
    for file in (broken / "faiss").iterdir():
        file.write_bytes(b"rubbish")
    finish(run_job, published)


def test_a_shard_that_can_t_be_opened_starts_the_build_again(broken, run_job, published):
    shutil.rmtree(broken / "qdrant")
    (broken / "qdrant").mkdir()
    summary = run_job()
    assert (summary.continued, summary.videos) == (False, 200)
    assert published.differences() == []


def test_a_copy_cut_short_is_thrown_away(broken, run_job, data):
    (broken / "build.json").unlink()
    summary = run_job()
    assert (summary.continued, summary.videos) == (False, 200)
    assert data.names() == [summary.generation]


def test_killed_after_the_manifest_and_before_current(broken, run_job, data, published):
    """A finished generation that CURRENT never named is published by the next job."""
    first = run_job()
    data.current_file.unlink()
    path = data.generation_path(first.generation)
    shutil.copy(path / "manifest.json", path / "build.json")
    plan = {"base": None, "engine": "embedded", "source": None}
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "build.json").write_text(json.dumps(plan | {"encoders": manifest["encoders"]}))
    titles = CountingTitles()
    again = run_job(titles)
    assert (again.generation, titles.encoded) == (first.generation, [])
    assert data.current() == first.generation
    assert published.differences() == []
