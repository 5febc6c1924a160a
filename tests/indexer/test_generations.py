"""``twinlens generations``, ``publish`` and ``discard`` as they are typed."""

import json
from contextlib import closing
from dataclasses import replace

import pytest
from click.testing import CliRunner

from tests.indexer.conftest import jpeg
from twinlens.cli import main
from twinlens.encoders.lenses import WORDS, WordsLens
from twinlens.indexer.rebuild import repair
from twinlens.stores.engines import ServerEngine


@pytest.fixture
def call(data, engine, monkeypatch, request):
    """Calls a command over the data directory of the test, and its server where it has one."""
    monkeypatch.setenv("TWINLENS_DATA_DIR", str(data.path))
    if isinstance(engine, ServerEngine):
        server = request.getfixturevalue(request.node.callspec.params["engine"])
        monkeypatch.setenv("TWINLENS_QDRANT_URL", server.url)
        monkeypatch.setenv("TWINLENS_QDRANT_GRPC_PORT", str(server.address.grpc_port))
        monkeypatch.setenv("TWINLENS_COLLECTION", engine.name_collection("").rstrip("-"))

    def run(*arguments):
        done = CliRunner().invoke(main, [str(argument) for argument in arguments])
        return done.exit_code, done.output

    return run


def test_back_to_the_previous_one_and_the_newer_is_removed_when_it_is_superseded(
    call, run_job, catalogue, data, engine, published, tmp_path, request
):
    assert "no generations" in call("generations")[1]
    older = run_job().generation
    catalogue.add("another")
    newer = run_job().generation
    assert call("generations", "--json", tmp_path / "generations.json")[0] == 0
    listed = json.loads((tmp_path / "generations.json").read_text())
    assert [(one["generation"], one["state"], one["problem"]) for one in listed] == [
        (older, "kept", ""),
        (newer, "published", ""),
    ]
    assert [one["manifest"]["counts"]["videos"] for one in listed] == [10, 11]

    assert call("publish", older) == (0, f"Generation {older} is published: 10 videos\n")
    assert (data.read_current(), len(published.vectors())) == (older, 10)
    if isinstance(engine, ServerEngine):
        server = request.getfixturevalue(request.node.callspec.params["engine"])
        alias = engine.name_collection("").rstrip("-")
        assert server.find_alias_target(alias) == engine.name_collection(older)
    last = run_job().generation
    assert data.list_generations() == [older, last]
    assert published.differences() == []


def test_what_can_t_be_published_is_not_and_can_be_discarded(
    call, run_job, catalogue, data, published
):
    catalogue.add("video0", picture=jpeg((1, 2, 3)))
    older = run_job().generation
    catalogue.add("another")
    newer = run_job().generation
    manifest = data.locate_generation(older) / "manifest.json"
    values = json.loads(manifest.read_text())
    values["counts"]["videos"] = 12
    manifest.write_text(json.dumps(values))
    assert "can't be opened: generation" in call("generations")[1]
    code, said = call("publish", older)
    assert (code, "10 of videos, where there were 12" in said) == (1, True)
    manifest.unlink()
    assert "damaged" in call("generations")[1]
    code, said = call("publish", older)
    assert (code, "has no manifest" in said) == (1, True)

    assert call("discard", newer)[0] == 2
    code, said = call("publish", "never")
    assert (code, f"there are: {older}, {newer}" in said) == (2, True)
    with data.hold_lock():
        assert [call(name, older)[0] for name in ("publish", "discard")] == [2, 2]
    assert call("discard", older) == (0, f"Generation {older} is removed\n")
    assert data.list_generations() == [data.read_current()] == [newer]
    assert published.differences() == []


@pytest.mark.parametrize("engine", ["process"], indirect=True)
def test_a_collection_of_no_generation_here_is_listed_and_removed_when_told(
    call, run_job, catalogue, data, engine, alias, process
):
    older = run_job().generation
    catalogue.add("another")
    newer = run_job().generation
    data.remove(older)
    others = f"{alias}-of-another-index"
    process.request(lambda client: client.create_collection(others, vectors_config={}))
    done, listed = call("generations")
    assert done == 0
    assert f"{older}  orphaned" in listed
    assert f"{newer}  published" in listed
    assert "another-index" not in listed

    assert call("discard", older) == (0, f"The collection of generation {older} is removed\n")
    assert "orphaned" not in call("generations")[1]
    assert process.list_collections(alias) == sorted([f"{alias}-{newer}", others])
    assert call("discard", older)[0] == 2
    # What the alias stands for is served to somebody, whether its directory is here or not.
    data.remove(newer)
    assert "orphaned" not in call("generations")[1]
    assert call("discard", newer)[0] == 2


@pytest.mark.parametrize("engine", ["process"], indirect=True)
def test_what_a_discarded_generation_may_leave_on_a_server_is_said_where_none_is_named(
    call, run_job, catalogue, data, engine, monkeypatch, alias, process
):
    older = run_job().generation
    catalogue.add("another")
    run_job()
    (data.locate_generation(older) / "manifest.json").write_text("{")
    monkeypatch.delenv("TWINLENS_QDRANT_URL")
    done, said = call("discard", older)
    assert done == 0
    assert "its collection is still there" in said
    assert f"{alias}-{older}" in process.list_collections(alias)


@pytest.mark.parametrize("engine", ["process"], indirect=True)
def test_generations_are_listed_though_the_server_is_away(call, run_job, engine, monkeypatch):
    made = run_job().generation
    monkeypatch.setenv("TWINLENS_QDRANT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TWINLENS_QDRANT_GRPC_PORT", "1")
    done, said = call("generations")
    assert done == 0
    assert f"{made}  published" in said
    assert "Orphaned collections are not known" in said


@pytest.mark.parametrize("engine", ["process"], indirect=True)
def test_of_a_server_s_vectors_and_a_mirror_that_is_as_it_was_the_mirror_is_right(
    run_job, data, engine, published
):
    first = run_job()
    manifest = data.read_manifest(first.generation)
    with closing(engine.open_writer(first.generation, manifest.dims, manifest.fields)) as store:
        found = store.get(["video1", "video2"], with_vectors=True)
        store.upsert([replace(found["video1"], vectors=found["video2"].vectors)])
    assert published.differences() != []
    made, of = repair(data, engine, {WORDS: WordsLens()})
    assert (made.counts["videos"], of) == (10, "the FAISS mirror")
    assert published.differences() == []
