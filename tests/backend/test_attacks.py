"""What the served process does with requests that mean harm; docs/attacks.md is its table.

Each attack ends in a clear refusal or a closed connection, in time, and the server answers on.
"""

from __future__ import annotations

import io
import json
import re
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from PIL import Image

from tests.backend.attack_table import ATTACKS, PAGE, ROWS, attack, written
from tests.backend.attacks import IN_TIME_S, SMUGGLED, exif_of_lies, into_a_jpeg, picture, post
from tests.backend.callers import (
    CROWDS,
    crowd,
    exchange,
    is_a_problem,
    meet_crowds,
    search_s,
    status_of,
    statuses_of,
)
from tests.backend.served import Served
from tests.catalog.encoded import segment
from twinlens.backend.server import HEAD_TIMEOUT_S

PATIENCE_S = 3.0


@pytest.fixture(scope="module")
def process(embedded) -> Iterator[Served]:
    # One process, so that what holds it up is seen.
    patience = {"receive_timeout_s": str(PATIENCE_S), "test_head_timeout_s": str(PATIENCE_S)}
    with Served(embedded, **patience) as served:
        yield served


def worker_of(served: Served) -> psutil.Process:
    [worker] = served.workers()
    return worker


@pytest.fixture
def served(process) -> Iterator[Served]:
    """The server; the very same process answers when the test is over."""
    before = worker_of(process).pid
    yield process
    assert worker_of(process).pid == before
    assert process.get("/readyz")[0] == 200
    assert search_s(process) < IN_TIME_S
    for line in process.log().splitlines():
        assert "Traceback" not in line, line


@pytest.mark.parametrize("name", ATTACKS)
def test_at_once(served, name):
    row, sent = ROWS[name], attack(name)
    memory = worker_of(served).memory_info().rss
    started = time.monotonic()
    answer = exchange(served.port, sent)
    assert time.monotonic() - started < IN_TIME_S
    # One answer, and none to what was smuggled behind.
    assert statuses_of(answer) == [row.status], answer[:500]
    if row.code:
        assert is_a_problem(answer)["code"] == row.code
        assert len(answer) < 6000
    assert worker_of(served).memory_info().rss - memory < 300 << 20


@pytest.fixture(scope="module")
def ends(process) -> dict[str, set[tuple[int, ...]]]:
    return meet_crowds(process, CROWDS, patience_s=PATIENCE_S + 1, held=["take-nothing"])


@pytest.mark.parametrize("name", CROWDS)
def test_others_are_answered_meanwhile(served, ends, name):
    said = ROWS[f"test_others_are_answered_meanwhile[{name}]"].comes.partition(";")[0]
    if name in ends:
        assert ends[name] == {tuple(int(one) for one in re.findall(r"\b\d{3}\b", said))}
    if name in ("slow-heads", "silent"):
        assert said.endswith(f"after {HEAD_TIMEOUT_S:.0f} s")


def test_a_flood_of_connections_holds_nobody_up(served):
    """More than a process holds: the most silent one gives way."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(hard, 8192)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    resource.prlimit(worker_of(served).pid, resource.RLIMIT_NOFILE, (soft, hard))
    with crowd(served, 1500):
        for _ in range(5):
            assert search_s(served) < 5


def test_no_file_left_for_a_connection_ends_no_process(served):
    worker = worker_of(served)
    before = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (worker.num_fds() + 20, before[1]))
    try:
        with crowd(served, 100):
            for _ in range(5):
                assert search_s(served) < 5
    finally:
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, before)


def test_many_large_pictures_at_once_are_decoded_one_by_one(served):
    """Each is as large as is allowed, and takes 120 MB while it is decoded."""
    buffer = io.BytesIO()
    Image.new("RGB", (5200, 5200)).save(buffer, "PNG")
    bomb = picture(buffer.getvalue())
    worker = worker_of(served)
    before = most = worker.memory_info().rss
    with ThreadPoolExecutor(3) as callers:
        asked = [callers.submit(exchange, served.port, bomb) for _ in range(3)]
        while not all(one.done() for one in asked):
            most = max(most, worker.memory_info().rss)
            time.sleep(0.02)
    answers = [status_of(one.result()) for one in asked]
    assert set(answers) <= {200, 503}
    assert 200 in answers
    assert most - before < 210 << 20  # two at once would take more


def test_what_lies_in_a_picture_is_not_in_the_log(served):
    """Pillow warns of each of its thousands of tags, in words of its own each time."""
    lying = picture(into_a_jpeg(segment(0xE1, exif_of_lies(5000))))
    before = len(served.log())
    for _ in range(3):
        assert status_of(exchange(served.port, lying)) == 200
    assert len(served.log()) - before < 3000


def test_what_only_a_proxy_may_say_is_not_believed(served):
    names = ("X-Forwarded-Host", "X-Forwarded-Prefix", "X-Script-Name", "Proxy", "X-Original-URL")
    headers = dict.fromkeys(names, "/metrics") | {
        "X-Forwarded-For": "192.0.2.7",
        "X-Real-IP": "192.0.2.7",
        "Forwarded": "for=192.0.2.7;host=evil.example;proto=https",
        "X-Forwarded-Proto": "https",
        "X-HTTP-Method-Override": "DELETE",
        "X-Request-Id": "believes-nobody",
    }
    status, _, body = served.ask("GET", "/api/v1/stats", headers=headers)
    assert (status, json.loads(body)["generation"]) == (200, "g1")
    line = next(one for one in served.log().splitlines() if '"believes-nobody"' in one)
    assert (json.loads(line)["client"], json.loads(line)["method"]) == ("127.0.0.1", "GET")


def test_a_refusal_has_the_id_that_the_caller_gave(served):
    fields = (b"X-Request-Id: mine-3", b"Content-Length: +2")
    assert is_a_problem(exchange(served.port, post(b"{}", *fields)))["request_id"] == "mine-3"


def test_a_request_behind_a_refused_one_is_not_answered(served):
    """What follows a body that can't be told from the next request is never read as one."""
    for name in (
        "length-and-chunks",
        "two-lengths",
        "a-chunk-longer-than-it-says",
        "chunks-of-http-1-0",
    ):
        answer = exchange(served.port, attack(name) + SMUGGLED)
        assert statuses_of(answer) == [400]
        assert b'"generation"' not in answer


def test_requests_behind_requests_are_each_answered_once(served):
    """Sent in one go, as an honest caller may: so many answers as requests, in their order."""
    sent = b"".join(
        b"GET /api/v1/videos/beach-%d HTTP/1.1\r\nHost: x\r\n\r\n" % (number % 10)
        for number in range(50)
    )
    answer = exchange(served.port, sent)
    assert [int(one) for one in re.findall(rb'"video_id":"beach-(\d)"', answer)] == [
        number % 10 for number in range(50)
    ]


def test_every_row_is_a_test_and_every_test_has_a_row():
    tests = {f"test_others_are_answered_meanwhile[{name}]" for name in CROWDS}
    tests |= {
        name
        for name, value in globals().items()
        if name.startswith("test_") and value.__code__.co_varnames[:1] == ("served",)
    }
    tests -= {"test_at_once", "test_others_are_answered_meanwhile"}
    assert ROWS.keys() - ATTACKS == tests


def test_the_page_has_the_rows():
    stale = "run python -m tests.backend.attack_table"
    assert PAGE.read_text("utf-8") == written(), stale
