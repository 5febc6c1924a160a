"""The proxy of docker-compose.yml, as docs/attacks.md has it, and what it adds and passes on.

It is Debian's nginx with the very file. Where a row says that it is the same behind the proxy, the
answer must be the one that comes without it.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.backend.attack_table import ATTACKS, ROWS, attack
from tests.backend.attacks import IN_TIME_S, SMUGGLED, js, picture, post
from tests.backend.callers import (
    CROWDS,
    connect,
    crowd,
    everything,
    exchange,
    is_a_problem,
    meet_crowds,
    search_s,
    status_of,
    statuses_of,
)
from tests.backend.catalogue import picture_bytes
from tests.backend.proxied import CONFIGURATION, NEEDS_NGINX, PATIENCE_S, proxied
from tests.backend.served import Served
from twinlens.backend.access import MAX_BODY_BYTES
from twinlens.backend.problem_kinds import KINDS

pytestmark = NEEDS_NGINX

PASSED_ON = [name for name in ATTACKS if ROWS[name].behind]


@pytest.fixture(scope="module")
def served(embedded, tmp_path_factory) -> Iterator[Served]:
    """The server, asked through the proxy."""
    with (
        Served(embedded, trusted_proxies="1", rate_limit="100000") as served,
        proxied(tmp_path_factory.mktemp("nginx"), backend=served.port) as port,
    ):
        served.port = port
        yield served


@pytest.mark.parametrize("name", PASSED_ON)
def test_at_once(served, name):
    row, sent = ROWS[name], attack(name)
    started = time.monotonic()
    # It takes a caller that has closed its half for one that has gone.
    answer = exchange(served.port, sent, half_close=row.behind == "closed")
    took = time.monotonic() - started
    if row.behind.startswith("closed"):
        assert answer == b""
        assert took < (PATIENCE_S + 3 if "after" in row.behind else IN_TIME_S)
    elif row.behind.startswith("the page"):
        assert answer.startswith(b"<!doctype html>")
    else:
        assert took < IN_TIME_S
        right = row.status if row.behind == "the same" else int(row.behind[:3])
        assert statuses_of(answer) == [right], answer[:500]
        if right >= 400:
            is_a_problem(answer)
    assert search_s(served) < IN_TIME_S


def test_a_request_behind_a_refused_one_is_not_answered(served):
    for name in ("length-and-chunks", "two-lengths", "a-chunk-longer-than-it-says"):
        with connect(served.port) as connection:
            connection.sendall(attack(name) + SMUGGLED)
            answer = everything(connection)
        assert len(statuses_of(answer)) == 1
        assert b'"generation"' not in answer


@pytest.fixture(scope="module")
def ends(served) -> dict[str, set[tuple[int, ...]]]:
    # It takes 256 at once of one address, and those that do not close are under way for a while.
    first = meet_crowds(served, ["do-not-close"], patience_s=0.5)
    held = ["slow-bodies", "take-nothing"]
    others = CROWDS.keys() - first.keys()
    return first | meet_crowds(served, others, patience_s=PATIENCE_S + 1, held=held)


@pytest.mark.parametrize("name", CROWDS)
def test_others_are_answered_meanwhile(ends, name):
    row = ROWS[f"test_others_are_answered_meanwhile[{name}]"]
    said = (row.comes if row.behind.startswith("the same") else row.behind).partition(";")[0]
    if name in ends:
        assert ends[name] == {tuple(int(one) for one in re.findall(r"\b\d{3}\b", said))}


def test_a_flood_of_connections_holds_nobody_up(served):
    with crowd(served, 1500):
        for _ in range(5):
            assert search_s(served) < 3


def test_pictures_and_json_go_through_whole(served):
    for sent in (picture(picture_bytes((200, 60, 60))), post(js(text="kitchen", limit=3))):
        answer = exchange(served.port, sent, half_close=False)
        assert status_of(answer) == 200
    padded = post(b" " * 5_000_000 + js(text="kitchen", limit=3))
    assert status_of(exchange(served.port, padded, half_close=False)) == 200


def test_a_caller_s_own_request_id_and_address_arrive(served):
    status, headers, _ = served.ask(
        "GET", "/api/v1/stats", headers={"X-Request-Id": "mine-1", "X-Forwarded-For": "192.0.2.7"}
    )
    assert (status, headers["X-Request-Id"]) == (200, "mine-1")
    line = next(one for one in served.log().splitlines() if '"mine-1"' in one)
    assert json.loads(line)["client"] == "127.0.0.1"  # as the proxy saw it, not as it was claimed
    headers = served.ask("GET", "/api/v1/stats", headers={"X-Request-Id": 'a"b'})[1]
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-Id"])


def test_a_body_that_is_too_large_is_refused_by_either_in_the_same_words(served):
    sent = post(b"", b"Content-Length: %d" % (MAX_BODY_BYTES + 1))
    problem = is_a_problem(exchange(served.port, sent, half_close=False))
    assert (problem["status"], problem["code"], problem["title"]) == (
        413,
        "body_too_large",
        "Body too large",
    )


def test_a_server_that_is_away_is_a_problem_that_passes(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with proxied(tmp_path, backend=port) as behind:
        sent = b"GET /api/v1/stats HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-2\r\n\r\n"
        answer = exchange(behind, sent, half_close=False)
    problem = is_a_problem(answer)
    assert (problem["status"], problem["code"]) == (502, "not_ready")
    assert problem["request_id"] == "mine-2"
    assert b"Retry-After: 5" in answer


def test_codes_and_titles_of_the_proxy_are_the_server_s():
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
