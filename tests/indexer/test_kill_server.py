"""SIGKILL of a job that writes to a server, which lives on with what it was sent."""

import multiprocessing

import pytest

from tests.indexer.conftest import CountingThumbnails, CountingTitles, index
from twinlens.encoders.lenses import make_own_lenses
from twinlens.stores.address import ServerAddress
from twinlens.stores.engines import ServerEngine
from twinlens.stores.server_client import ServerClient

pytestmark = pytest.mark.parametrize("engine", ["process"], indirect=True)


def index_by_server(source, data, url, grpc_port, alias):
    engine = ServerEngine(
        ServerClient.connect(ServerAddress(url, grpc_port=grpc_port)), collection=alias
    )
    index(source, data, engine, make_own_lenses(CountingTitles(), CountingThumbnails()), prune=True)


@pytest.mark.parametrize(
    ("request_name", "answered", "done"),
    [
        ("Upsert", 1, True),
        pytest.param("UpdateAliases", 0, True, marks=pytest.mark.slow),
        pytest.param("Update", 0, False, marks=pytest.mark.slow),
        pytest.param("Update", 0, True, marks=pytest.mark.slow),
        pytest.param("Get", 2, True, marks=pytest.mark.slow),
        pytest.param("Create", 0, True, marks=pytest.mark.slow),
        pytest.param("DeletePoints", 0, True, marks=pytest.mark.slow),
        pytest.param("CreateFieldIndex", 3, False, marks=pytest.mark.slow),
        pytest.param("Upsert", 0, False, marks=pytest.mark.slow),
        pytest.param("DeletePoints", 0, False, marks=pytest.mark.slow),
        pytest.param("UpdateAliases", 0, False, marks=pytest.mark.slow),
    ],
)
def test_a_job_killed_at_any_request_is_continued(
    catalogue, data, qdrant, process, alias, run_job, published, request_name, answered, done
):
    """Killed while a request is unanswered, after ``answered`` such; ``done`` says whether the
    server has carried it out."""
    for number in range(10, 150):
        catalogue.add(f"video{number}")
    run_job(prune=True)
    current, before = data.read_current(), published.vectors()
    del catalogue.rows["video10"]
    for number in range(20, 150):
        catalogue.add(f"video{number}", title=f"Episode {number}")
    source = catalogue.write()

    qdrant.order(fault="hang", on=request_name, after=answered, done=done)
    where = (source, data, qdrant.url, qdrant.grpc_port, alias)
    job = multiprocessing.get_context("spawn").Process(target=index_by_server, args=where)
    job.start()
    qdrant.wait_for(request_name, answered + 1, of=job)
    job.kill()
    job.join()
    qdrant.order()
    assert data.read_current() == current
    assert published.vectors() == before

    assert run_job(prune=True).published
    assert set(published.vectors()) == set(catalogue.rows)
    assert published.payload("video149")["title"] == "Episode 149"
    assert published.differences() == []
    # Nothing is left of what was begun, and the alias stands for what is published.
    assert process.list_collections(alias) == sorted(
        f"{alias}-{one}" for one in data.list_generations()
    )
    assert process.find_alias_target(alias) == f"{alias}-{data.read_current()}"
    # No graph is built while videos are written; what is published has one.
    assert process.request(lambda client: client.get_collection(alias)).config.hnsw_config.m == 16
