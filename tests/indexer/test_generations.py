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
