"""Where CURRENT doesn't name a finished generation none is removed, and the job says so."""

import shutil
from contextlib import nullcontext

import pytest
from click.testing import CliRunner

from tests.folders import files_in
from tests.indexer.conftest import CountingTitles
from twinlens.catalog.errors import NoGeneration
from twinlens.cli import main
from twinlens.stores.generations import DataDir

# What is damaged here are its files.
pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True)


def files(data: DataDir) -> dict[str, bytes]:
    return files_in(data.generations) | files_in(data.thumbnails)


def test_a_job_that_does_not_know_what_is_published_removes_nothing(
    run_job, catalogue, data, published
):
    """But adds a generation with --fresh."""
    first = run_job()
    kept = files(data)
    catalogue.rows = dict(list(catalogue.rows.items())[:1])

    def refused() -> str:
        titles = CountingTitles()
        with pytest.raises(NoGeneration, match=r"CURRENT.*--fresh") as said:
            run_job(titles)
        assert first.generation in str(said.value)
        assert said.value.exit_code == 2
        assert (files(data), titles.encoded) == (kept, [])
        return str(said.value)

    data.current_file.unlink()
    assert "damaged" not in refused()
    for content in (b"", b"\xff\xfe\x00", b"20200101T000000.000Z-abcdef\n"):
        data.current_file.write_bytes(content)
        assert "damaged" not in refused()
    data.current_file.unlink()
    data.current_file.mkdir()
    assert "damaged" not in refused()
    data.current_file.rmdir()
    data.current_file.write_text(first.generation)
    manifest = data.locate_generation(first.generation) / "manifest.json"
    del kept[f"{first.generation}/manifest.json"]
    manifest.unlink()
    assert "damaged" in refused()

    fresh = run_job(fresh=True)
    assert fresh.videos == 1
    assert data.list_generations() == [first.generation, fresh.generation]
    assert kept.items() <= files(data).items()
    assert data.read_current() == fresh.generation
    assert published.differences() == []


def test_beside_a_finished_generation_an_unfinished_build_waits(run_job, break_off, data):
    first = run_job()
    break_off()
    data.current_file.unlink()
    before = files(data)
    with pytest.raises(NoGeneration):
        run_job()
    assert files(data) == before
    data.current_file.write_text(first.generation)
    assert run_job().continued


@pytest.mark.parametrize("fresh", [False, True])
def test_what_was_complete_when_the_job_was_killed_is_not_taken_for_a_build(
    run_job, data, published, fresh
):
    """Its plan is another's, so that it can't be continued, and CURRENT is gone."""
    first = run_job()
    (data.locate_generation(first.generation) / "build.json").write_text("{}")
    data.current_file.unlink()
    refused = pytest.raises(NoGeneration, match=first.generation)
    with nullcontext() if fresh else refused:
        run_job(fresh=fresh)
    assert first.generation in data.list_generations()
    data.current_file.write_text(first.generation + "\n")
    assert run_job().unchanged == 10
    assert published.differences() == []


def test_a_finished_generation_without_a_manifest_stays(run_job, catalogue, data):
    first = run_job()
    catalogue.add("another")
    second = run_job()
    (data.locate_generation(first.generation) / "manifest.json").unlink()
    for number in range(2):
        catalogue.add(f"more{number}")
        run_job()
    assert first.generation in data.list_generations()
    assert second.generation not in data.list_generations()  # superseded, and known to be


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
    assert first.generation in data.list_generations()
    catalogue.add("and more")
    run_job()
    assert first.generation not in data.list_generations()


def test_what_a_kill_left_of_a_removal_is_removed(run_job, catalogue, data):
    first = run_job()
    catalogue.add("another")
    run_job()
    removed = data.locate_generation(first.generation)
    (removed / "manifest.json").rename(removed / "build.json")
    assert (run_job().published, removed.exists()) == (False, False)


def test_what_was_killed_as_it_was_begun_is_no_generation(run_job, data):
    begun = data.generations / "20200101T000000.000Z-abcdef"
    begun.mkdir(parents=True)
    (begun / ".build.json.0123456789ab.tmp").write_bytes(b"")
    done = run_job()
    assert (done.videos, data.list_generations()) == (10, [done.generation])


def test_index_says_so_before_it_loads_a_model(run_job, catalogue, data):
    first = run_job()
    data.current_file.unlink()
    before = files(data)
    asked = ["--data-dir", str(data.path), "--title-model", "/no/such/model"]
    told = CliRunner().invoke(main, ["index", catalogue.write(), *asked])
    assert told.exit_code == 2
    assert first.generation in told.output
    assert "--fresh" in told.output
    assert files(data) == before


@pytest.mark.parametrize("command", ["verify", "repair", "backup"])
def test_every_command_names_the_way_out(run_job, data, tmp_path, command):
    run_job()
    arguments = [command, *([str(tmp_path / "to")] if command == "backup" else [])]
    for content in (b"\xff", b"20200101T000000.000Z-abcdef"):
        data.current_file.write_bytes(content)
        told = CliRunner().invoke(main, [*arguments, "--data-dir", str(data.path)])
        assert (told.exit_code, "`twinlens publish`" in told.output) == (1, True), told.output


def test_a_current_that_is_a_folder_makes_way_for_what_is_published(run_job, data):
    first = run_job()
    data.current_file.unlink()
    data.current_file.mkdir()
    (data.current_file / "something").touch()
    for command in ("verify", "generations"):
        told = CliRunner().invoke(main, [command, "--data-dir", str(data.path)])
        assert (told.exit_code, "Traceback" in told.output) == (command == "verify", False)
    told = CliRunner().invoke(main, ["publish", first.generation, "--data-dir", str(data.path)])
    assert told.exit_code == 0, told.output
    assert data.read_current() == first.generation
    [aside] = data.path.glob("CURRENT.*")
    assert (aside / "something").exists()
