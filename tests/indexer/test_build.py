"""Builds that were cut short: whatever is missing or left over, the next job mends it."""

import json
import shutil
from contextlib import closing

import pytest

from tests.indexer.conftest import CountingTitles, jpeg
from twinlens.encoders.lenses import THUMBNAIL
from twinlens.indexer.build import LEDGER_FILE, Build
from twinlens.indexer.ledger import Ledger
from twinlens.stores.edge import EdgeStore

# What is damaged here are its files.
pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True)


@pytest.fixture
def broken(break_off, data):
    """A build with 128 of 200 videos in it; its path."""
    break_off()
    (path,) = list(data.generations.iterdir())
    return path


def finish(run_job, published, *, continued=True, videos=200):
    summary = run_job()
    assert (summary.continued, summary.videos) == (continued, videos)
    assert published.differences() == []


def test_a_video_the_ledger_does_not_know_is_removed(broken, run_job, catalogue, published):
    with closing(Ledger(broken / LEDGER_FILE)) as ledger:
        ledger.forget(["video3"])
    del catalogue.rows["video3"]
    finish(run_job, published, videos=199)


def test_a_video_that_qdrant_lost_is_encoded_again(broken, run_job, published):
    with closing(EdgeStore.open(broken / "qdrant")) as store:
        store.delete(["video3"])
    finish(run_job, published)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_mirror_that_is_missing_or_damaged_is_made_again(broken, run_job, published, damaged):
    for file in (broken / "faiss").iterdir():
        file.write_bytes(b"rubbish")
    if not damaged:
        shutil.rmtree(broken / "faiss")
    finish(run_job, published)


def empty_shard(build):
    shutil.rmtree(build / "qdrant")
    (build / "qdrant").mkdir()


def tear_ledger(build):
    for file in build.glob("ledger.sqlite*"):
        file.unlink()
    (build / "ledger.sqlite").write_bytes(b"torn " * 1000)


def replan(what):
    def change(build):
        plan = json.loads((build / "build.json").read_text())
        (build / "build.json").write_text(json.dumps(plan | {what: "another"}))

    return change


@pytest.mark.parametrize("change", [empty_shard, tear_ledger, replan("source"), replan("engine")])
def test_a_build_that_is_damaged_or_of_another_source_or_qdrant_is_begun_again(
    broken, run_job, published, change
):
    change(broken)
    finish(run_job, published, continued=False)


def test_a_copy_cut_short_is_thrown_away(run_job, catalogue, data, monkeypatch):
    first = run_job()
    catalogue.add("another")

    def cut_short(source, target):
        target.mkdir()
        (target / "half").write_bytes(b"x")
        raise OSError("cut short")

    with monkeypatch.context() as patched:
        patched.setattr("twinlens.indexer.build.copy_tree", cut_short)
        with pytest.raises(OSError, match="cut short"):
            run_job()
    [copy] = set(data.list_generations()) - {first.generation}
    summary = run_job()
    assert (summary.continued, summary.videos) == (False, 11)
    assert data.list_generations() == [first.generation, summary.generation]
    assert copy not in data.list_generations()


def test_killed_after_the_manifest_and_before_current(broken, run_job, data, published):
    """A finished generation that CURRENT never named is published by the next job."""
    plan = (broken / "build.json").read_text()
    first = run_job()
    data.current_file.unlink()
    (data.locate_generation(first.generation) / "build.json").write_text(plan)
    titles = CountingTitles()
    again = run_job(titles)
    assert (again.generation, titles.encoded) == (first.generation, [])
    assert data.read_current() == first.generation
    assert published.differences() == []


STEPS = ["ledger.invalidate", "store.upsert", "mirror.upsert", "ledger.record"]


@pytest.mark.parametrize("done", range(len(STEPS) + 1), ids=["nothing", *STEPS])
def test_cut_short_at_any_step_of_replacing_videos(
    run_job, catalogue, published, monkeypatch, done
):
    """What is published afterwards is what the source says, in Qdrant and in the mirror."""
    names = ["same", "put back", "third", "gone"]
    for number, name in enumerate(names):
        catalogue.add(name, title="old", picture=jpeg((200, number, 0)))
    before = catalogue.rows["put back"]
    run_job()
    original = Build.write

    def breaking(build, *args, **kwargs):
        part, _, method = STEPS[max(done - 1, 0)].partition(".")
        target = getattr(build, part)
        whole = getattr(target, method)

        def broken_step(*args):
            if done:
                whole(*args)
            raise RuntimeError("killed")

        setattr(target, method, broken_step)
        return original(build, *args, **kwargs)

    for name in names:
        catalogue.add(name, title="new")  # and no picture any more
    with monkeypatch.context() as patched:
        patched.setattr(Build, "write", breaking)
        with pytest.raises(RuntimeError, match="killed"):
            run_job()

    catalogue.rows["put back"] = before
    catalogue.add("third", title="third", picture=jpeg((0, 200, 0)))
    del catalogue.rows["gone"]
    run_job()
    assert published.differences() == []
    for name, title in {"same": "new", "put back": "old", "third": "third"}.items():
        assert published.payload(name)["title"] == title
        assert (THUMBNAIL in published.vectors()[name]) == (name != "same")
    titles = CountingTitles()
    run_job(titles)
    assert titles.encoded == []
