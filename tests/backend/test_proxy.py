"""The proxy of docker-compose.yml, as docs/attacks.md has it, and what it adds and passes on.

It is Debian's nginx with the very file. Where a row says that it is the same behind the proxy, the
answer must be one that is right without it.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.backend.catalogue import picture_bytes
from tests.backend.proxied import NEEDS_NGINX, Proxied
from tests.backend.served import Served, publish_embedded
from tests.backend.test_attacks import (
    ATTACKS,
    IN_TIME_S,
    SMUGGLED,
    TABLE,
    crowd,
    everything,
    js,
    picture,
    post,
    status_of,
    trickling,
)
from twinlens.backend.access import MAX_BODY_BYTES
from twinlens.stores.generations import DataDir

pytestmark = NEEDS_NGINX

# What nginx itself bounds by 10 s; in the file.
PATIENCE_S = 10.0


def rows() -> dict[str, str]:
    """What the table says of each attack behind the proxy."""
    return {
        name: said
        for said, name in re.findall(
            r"^\| [^|]* \| [^|]* \| ([^|]*) \| `test_at_once\[([\w-]+)\]` \|$",
            TABLE.read_text("utf-8"),
            re.MULTILINE,
        )
    }


@pytest.fixture(scope="module")
def behind(catalogue, tmp_path_factory) -> Iterator[Served]:
    data = DataDir(tmp_path_factory.mktemp("behind"))
    publish_embedded(catalogue, data, "g1")
    with Served(data, "--workers", "1", trusted_proxies="1", rate_limit="100000") as served:
        yield served


@pytest.fixture(scope="module")
def proxied(behind, tmp_path_factory) -> Iterator[Served]:
    """The server, asked through the proxy."""
    with Proxied(tmp_path_factory.mktemp("nginx"), backend=behind.port) as proxied:
        port, behind.port = behind.port, proxied.port
        yield behind
        behind.port = port


def search_s(served: Served) -> float:
    started = time.monotonic()
    status, body = served.get("/api/v1/search?q=kitchen&limit=3")
    assert (status, len(body["hits"])) == (200, 3)
    return time.monotonic() - started


def exchange(port: int, sent: bytes, *, half_close: bool) -> bytes:
    """The answer; nginx takes a caller that has closed its half for one that has gone."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S + 5) as connection:

        def send() -> None:
            with suppress(OSError):
                connection.sendall(sent)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        answer = b""
        with suppress(ConnectionResetError):
            while not is_whole(answer) and (part := connection.recv(1 << 16)):
                answer += part
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        sender.join(30)
        return answer


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


@pytest.mark.parametrize("name", rows())
def test_at_once(proxied, name):
    tried, said = ATTACKS[name], rows()[name]
    started = time.monotonic()
    answer = exchange(proxied.port, tried.sent(), half_close=said == "closed")
    took = time.monotonic() - started
    if said.startswith("closed"):
        assert answer == b""
        assert took < (PATIENCE_S + 3 if "after" in said else IN_TIME_S)
    elif said.startswith("the page"):
        assert answer.startswith(b"<!doctype html>")
    else:
        assert took < IN_TIME_S
        right = tried.statuses if said == "the same" else {int(said[:3])}
        assert status_of(answer) in right, answer[:500]
        assert answer.count(b"HTTP/1.1 ") == 1
        if status_of(answer) >= 400:
            is_a_problem(answer)
    assert search_s(proxied) < IN_TIME_S


def is_a_problem(answer: bytes) -> dict:
    """It is, whoever of the two has refused the request."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == status_of(answer)
    assert problem["type"] == f"/docs/errors#{problem['code']}"
    assert f"X-Request-Id: {problem['request_id']}".encode() in head
    assert problem["detail"]
    return problem


def test_a_request_behind_a_refused_one_is_not_answered(proxied):
    for name in ("length-and-chunks", "two-lengths", "a-chunk-longer-than-it-says"):
        with socket.create_connection(("127.0.0.1", proxied.port), timeout=20) as connection:
            connection.sendall(ATTACKS[name].sent() + SMUGGLED)
            answer = everything(connection)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b'"generation"' not in answer


# ---- slow callers, and too many


@dataclass(frozen=True)
class Crowd:
    """So many callers that send ``first`` and then drops; how each of them ends, if it does."""

    number: int
    first: bytes
    drop: bytes = b""
    every_s: float = 0.5
    ends: bytes | None = b""


FILES = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 40
CROWDS = {
    "slow heads": Crowd(200, b"GET /api/v1/stats HTTP/1.1\r\nHost: x\r\n", b"X: a\r\n"),
    "silent": Crowd(200, b""),
    "slow bodies": Crowd(
        100, post(b"{", b"Content-Length: 100000", length=False), b" ", 0.2, ends=None
    ),
    "expected bodies": Crowd(
        60,
        post(b"", b"Expect: 100-continue", b"Content-Length: 100", length=False),
        ends=b"HTTP/1.1 100 Continue\r\n\r\n",
    ),
    "takes nothing": Crowd(60, FILES, ends=None),
    "does not close": Crowd(
        100, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", ends=None
    ),
    "flood": Crowd(1500, b"", ends=None),
}


@pytest.mark.parametrize("name", CROWDS)
def test_others_are_answered_meanwhile(proxied, name):
    asked = CROWDS[name]
    with crowd(proxied, asked.number) as connections:
        started = time.monotonic()
        for connection in connections:
            connection.sendall(asked.first)
        with trickling(connections if asked.drop else [], asked.drop, every_s=asked.every_s):
            for _ in range(5):
                assert search_s(proxied) < 3
            if asked.ends is not None:
                assert {everything(one) for one in connections} == {asked.ends}
                assert time.monotonic() - started < PATIENCE_S + 5


# ---- what is passed on, and what is added


def test_pictures_and_json_go_through_whole(proxied):
    for sent in (picture(picture_bytes((200, 60, 60))), post(js(text="kitchen", limit=3))):
        answer = exchange(proxied.port, sent, half_close=False)
        assert status_of(answer) == 200
    padded = post(b" " * 5_000_000 + js(text="kitchen", limit=3))
    assert status_of(exchange(proxied.port, padded, half_close=False)) == 200


def test_a_caller_s_own_request_id_and_address_arrive(proxied):
    status, headers, _ = proxied.ask(
        "GET", "/api/v1/stats", headers={"X-Request-Id": "mine-1", "X-Forwarded-For": "192.0.2.7"}
    )
    assert (status, headers["X-Request-Id"]) == (200, "mine-1")
    line = next(one for one in proxied.log().splitlines() if '"mine-1"' in one)
    assert json.loads(line)["client"] == "127.0.0.1"  # as the proxy saw it, not as it was claimed
    headers = proxied.ask("GET", "/api/v1/stats", headers={"X-Request-Id": 'a"b'})[1]
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-Id"])


def test_a_body_that_is_too_large_is_refused_by_either_in_the_same_words(proxied):
    sent = post(b"", b"Content-Length: %d" % (MAX_BODY_BYTES + 1), length=False)
    problem = is_a_problem(exchange(proxied.port, sent, half_close=False))
    assert (problem["status"], problem["code"], problem["title"]) == (
        413,
        "body_too_large",
        "Body too large",
    )


def test_a_server_that_is_away_is_a_problem_that_passes(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Proxied(tmp_path, backend=port) as proxied:
        sent = b"GET /api/v1/stats HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-2\r\n\r\n"
        answer = exchange(proxied.port, sent, half_close=False)
    problem = is_a_problem(answer)
    assert (problem["status"], problem["code"]) == (502, "not_ready")
    assert problem["request_id"] == "mine-2"
    assert b"Retry-After: 5" in answer


def test_codes_and_titles_of_the_proxy_are_the_server_s():
    from tests.backend.proxied import CONFIGURATION
    from twinlens.backend.problem_kinds import KINDS

    text = CONFIGURATION.read_text("utf-8")
    tables = re.findall(r"map \$status \$problem_(code|title) \{(.*?)\n    \}", text, re.DOTALL)
    said = {
        which: dict(re.findall(r'(\d+|default) "?([^";]+)"?;', table)) for which, table in tables
    }
    assert said["code"].keys() == said["title"].keys()
    for status, code in said["code"].items():
        assert KINDS[code].title == said["title"][status]
        if status not in ("502", "504", "default"):
            assert KINDS[code].status == int(status)
