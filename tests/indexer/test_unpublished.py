"""Where CURRENT doesn't name a finished generation none is removed, and the job says so."""

import json
import shutil

import pytest
from click.testing import CliRunner

from tests.indexer.conftest import CountingTitles
from twinlens.catalog.errors import NoGeneration
from twinlens.cli import main
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import DataDir


@pytest.fixture
def engine(data):
    """The embedded one: what is lost here are files."""
    return EmbeddedEngine(data)


def files(data: DataDir) -> dict[str, bytes]:
    """All that the generations and the thumbnails consist of."""
    return {
        str(path.relative_to(data.path)): path.read_bytes()
        for folder in (data.generations, data.thumbnails)
        for path in folder.rglob("*")
        if path.is_file()
    }


def lose(data: DataDir) -> None:
    data.current_file.unlink()


def empty(data: DataDir) -> None:
    data.current_file.write_text("")


def spoil(data: DataDir) -> None:
    data.current_file.write_bytes(b"\xff\xfe\x00")


def misname(data: DataDir) -> None:
    data.current_file.write_text("20200101T000000.000Z-abcdef\n")


def lose_the_manifest(data: DataDir) -> None:
    (data.generation_path(data.current()) / "manifest.json").unlink()


FAULTS = [lose, empty, spoil, misname, lose_the_manifest]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_job_that_does_not_know_what_is_published_removes_nothing(
    run_job, catalogue, data, published, fault
):
    """And goes on once CURRENT is right again, or adds a generation with --fresh."""
    first = run_job()
    before = files(data)
    fault(data)
    catalogue.rows = dict(list(catalogue.rows.items())[:1])
    titles = CountingTitles()
    with pytest.raises(NoGeneration, match=r"CURRENT.*--fresh") as said:
        run_job(titles)
    assert first.generation in str(said.value)
    assert said.value.exit_code == 2
    assert ("damaged" in str(said.value)) == (fault is lose_the_manifest)
    without = {name for name in before if fault is lose_the_manifest and name.endswith("st.json")}
    kept = {name: content for name, content in before.items() if name not in without}
    assert (files(data), titles.encoded) == (kept, [])

    fresh = run_job(fresh=True)
    assert fresh.videos == 1
    assert data.names() == [first.generation, fresh.generation]
    assert kept.items() <= files(data).items()
    assert data.current() == fresh.generation
    assert published.differences() == []


def test_the_name_in_current_publishes_it_again(run_job, data, published):
    first = run_job()
    lose(data)
    with pytest.raises(NoGeneration):
        run_job()
    data.current_file.write_text(first.generation + "\n")
    assert run_job().unchanged == 10
    assert published.differences() == []


def test_an_unfinished_build_goes_on_without_current(run_job, catalogue, data, published):
    for number in range(10, 200):
        catalogue.add(f"video{number}", title=f"Title {number}")
    with pytest.raises(RuntimeError):
        run_job(CountingTitles(fail_after=100))
    assert not data.current_file.exists()
    summary = run_job()
    assert (summary.continued, summary.videos) == (True, 200)
    assert published.differences() == []


def test_beside_a_finished_generation_an_unfinished_build_waits(run_job, catalogue, data):
    first = run_job()
    for number in range(10, 200):
        catalogue.add(f"video{number}", title=f"Title {number}")
    with pytest.raises(RuntimeError):
        run_job(CountingTitles(fail_after=100))
    lose(data)
    before = files(data)
    with pytest.raises(NoGeneration):
        run_job()
    assert files(data) == before
    data.current_file.write_text(first.generation)
    assert run_job().continued


@pytest.mark.parametrize("fresh", [False, True])
def test_what_was_complete_when_the_job_was_killed_is_not_taken_for_a_build(
    run_job, catalogue, data, fresh
):
    """Its plan is another's, so that it can't be continued, and CURRENT is gone."""
    first = run_job()
    (data.generation_path(first.generation) / "build.json").write_text("{}")
    lose(data)
    if not fresh:
        with pytest.raises(NoGeneration, match=first.generation):
            run_job()
    else:
        run_job(fresh=True)
    assert first.generation in data.names()
    data.current_file.write_text(first.generation)
    assert run_job().unchanged == 10


def test_a_finished_generation_without_a_manifest_stays(run_job, catalogue, data):
    first = run_job()
    catalogue.add("another")
    second = run_job()
    (data.generation_path(first.generation) / "manifest.json").unlink()
    for number in range(2):
        catalogue.add(f"more{number}")
        run_job()
    assert first.generation in data.names()
    assert second.generation not in data.names()  # superseded, and known to be


def test_a_removal_cut_short_is_finished(run_job, catalogue, data, monkeypatch):
    first = run_job()
    catalogue.add("another")
    run_job()
    catalogue.add("more")

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", stop)
        with pytest.raises(KeyboardInterrupt):
            run_job()
    assert first.generation in data.names()
    catalogue.add("and more")
    run_job()
    assert first.generation not in data.names()


def test_index_says_so_before_it_loads_a_model(run_job, catalogue, data):
    first = run_job()
    lose(data)
    before = files(data)
    asked = ["index", catalogue.write(), "--data-dir", str(data.path)]
    told = CliRunner().invoke(main, [*asked, "--title-model", "/no/such/model"])
    assert told.exit_code == 2
    assert first.generation in told.output
    assert "--fresh" in told.output
    assert files(data) == before
    fresh = CliRunner().invoke(main, [*asked, "--title-model", "packaged:use-m3", "--fresh"])
    assert fresh.exit_code == 0, fresh.output
    assert first.generation in data.names()
    manifests = [data.manifest(name) for name in data.names()]
    assert [manifest.counts["videos"] for manifest in manifests] == [10, 10]
    assert json.loads((data.generations / first.generation / "manifest.json").read_text())
