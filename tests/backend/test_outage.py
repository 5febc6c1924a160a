"""``serve`` over a Qdrant server that is away: nobody waits, and well again is well again."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.backend.catalogue import Catalogue
from tests.backend.served import Served, publish_in_server
from tests.stores.qdrant_process import QdrantProcess
from twinlens.stores.generations import DataDir

pytestmark = pytest.mark.slow
SEARCH = "/api/v1/search?q=beach+film"


@pytest.fixture
def data(catalogue: Catalogue, qdrant: QdrantProcess, tmp_path: Path) -> DataDir:
    """The catalogue, published in the server."""
    return publish_in_server(catalogue, tmp_path / "data", qdrant)


def serve(data: DataDir, qdrant: QdrantProcess) -> Served:
    where = {"qdrant_url": qdrant.url, "qdrant_grpc_port": str(qdrant.grpc_port)}
    return Served(data, "--workers", "2", **where)


def time_to_answer(served: Served, path: str) -> tuple[int, float]:
    started = time.monotonic()
    status, _ = served.get(path)
    return status, time.monotonic() - started


def wait_until_well(served: Served) -> None:
    """Until twenty answers in a row are good, from whichever process; for 15 seconds at most."""
    began, well = time.monotonic(), 0
    while well < 20:
        well = well + 1 if served.get(SEARCH)[0] == served.get("/readyz")[0] == 200 else 0
        assert time.monotonic() - began < 5 * 3


def test_while_the_server_hangs_nobody_waits_and_afterwards_all_is_well(data, qdrant) -> None:
    with serve(data, qdrant) as served, ThreadPoolExecutor(24) as clients:
        wait_until_well(served)
        qdrant.order(fault="hang")
        over = threading.Event()

        def ask_on(path: str) -> list[tuple[float, int, float]]:
            found = []
            while not over.is_set():
                at = time.monotonic() - hung
                found.append((at, *time_to_answer(served, path)))
                over.wait(0.1)
            return found

        hung = time.monotonic()
        searching = [clients.submit(ask_on, SEARCH) for _ in range(20)]
        alive, ready = clients.submit(ask_on, "/healthz"), clients.submit(ask_on, "/readyz")
        over.wait(8)
        over.set()
        lives, states = alive.result(), ready.result()
        assert {status for _, status, _ in lives} == {200}
        assert max(seconds for _, _, seconds in lives) < 5 * 0.1
        assert max(seconds for _, _, seconds in states) < 5 * 1
        assert [status for at, status, _ in states if at > 4][-1] == 503
        late = [one for asked in searching for one in asked.result() if one[0] > 4]
        assert {status for _, status, _ in late} == {503}
        assert statistics.quantiles([seconds for _, _, seconds in late], n=100)[-1] < 5 * 0.05
        qdrant.order()
        wait_until_well(served)
        said = served.log()
        assert 1 <= said.count("searches fail at once until this is over") <= 2  # once a process
        assert said.count("not ready: ") < 20


def test_it_starts_while_the_server_is_away_and_comes_up_by_itself(data, qdrant) -> None:
    qdrant.order(fault="refuse")
    with serve(data, qdrant) as served:
        assert served.get("/healthz")[0] == 200
        status, seconds = time_to_answer(served, "/readyz")
        assert (status, seconds < 5 * 1) == (503, True)
        assert served.get(SEARCH)[1]["code"] == "not_ready"
        qdrant.order()
        wait_until_well(served)
        qdrant.order(fault="refuse")
        while served.get(SEARCH)[0] == 200:
            pass
        qdrant.order()
        wait_until_well(served)


@pytest.mark.parametrize("fault", ["UNAUTHENTICATED", "NOT_FOUND"])
def test_it_starts_where_the_key_is_refused_or_the_collection_is_lost(data, qdrant, fault) -> None:
    qdrant.order(fault=fault)
    with serve(data, qdrant) as served:
        status, said = served.get("/readyz")
        assert (status, said["code"]) == (503, "not_ready")
        qdrant.order()
        wait_until_well(served)
