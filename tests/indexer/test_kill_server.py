"""SIGKILL of a job that writes to a server, which lives on with what it was sent."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from twinlens.stores.engines import ServerEngine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def alias():
    return f"twinlens-test-{uuid.uuid4().hex}"


@pytest.fixture
def client(qdrant):
    made = qdrant.client()
    yield made
    made.close()


@pytest.fixture
def engine(client, alias):
    return ServerEngine(client, collection=alias)


@pytest.mark.parametrize(
    ("request_name", "answered", "done"),
    [
        ("Upsert", 1, True),
        ("UpdateAliases", 0, True),
        pytest.param("Create", 0, True, marks=pytest.mark.slow),
        pytest.param("DeletePoints", 0, True, marks=pytest.mark.slow),
        pytest.param("CreateFieldIndex", 3, False, marks=pytest.mark.slow),
        pytest.param("Upsert", 0, False, marks=pytest.mark.slow),
        pytest.param("DeletePoints", 0, False, marks=pytest.mark.slow),
        pytest.param("UpdateAliases", 0, False, marks=pytest.mark.slow),
    ],
)
def test_a_job_killed_at_any_request_is_continued(
    catalogue, data, qdrant, client, alias, run_job, published, request_name, answered, done
):
    """Killed while a request is unanswered, after ``answered`` such; ``done`` says whether the
    server has carried it out."""
    for number in range(10, 150):
        catalogue.add(f"video{number}")
    run_job(prune=True)
    current, before = data.current(), published.vectors()
    del catalogue.rows["video10"]
    for number in range(20, 150):
        catalogue.add(f"video{number}", title=f"Episode {number}")
    source = catalogue.write()

    qdrant.order(fault="hang", on=request_name, after=answered, done=done)
    where = (source, str(data.path), qdrant.url, str(qdrant.grpc_port), alias)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.indexer.small_job", *where], cwd=ROOT
    ) as job:
        qdrant.wait_for(request_name, answered + 1, of=job)
        job.kill()
    qdrant.order()
    assert data.current() == current
    assert published.vectors() == before

    assert run_job(prune=True).published
    assert set(published.vectors()) == set(catalogue.rows)
    assert published.payload("video149")["title"] == "Episode 149"
    assert published.differences() == []
    # Nothing is left of what was begun, and the alias stands for what is published.
    assert client.list_collections(alias) == sorted(f"{alias}-{one}" for one in data.names())
    assert client.find_alias_target(alias) == f"{alias}-{data.current()}"
