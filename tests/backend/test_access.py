"""Who is let in: keys, origins, allowances, turns. All of it over the real application."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from flask import Request
from flask.testing import FlaskClient

from tests.backend.asking import problem
from tests.backend.served import wait_until
from tests.fakes import HeldEncoder, WordEncoder
from twinlens.backend.access import Keys, Policy, Role

READ = "read-key-0123456789"
ADMIN = "admin-key-0123456789"
SEARCH = "/api/v1/search?q=kitchen"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# ---- keys


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("read-key-012345678"),
        bearer(READ + " x"),
        bearer(""),
        {"Authorization": f"Basic {READ}"},
        {"Authorization": READ},
        {"X-API-Key": READ.upper()},
        {"X-API-Key": "\xff\xfe"},
    ],
)
def test_without_a_good_key_there_is_no_answer(client_of, headers):
    answer = client_of(api_keys=(READ,)).get(SEARCH, headers=headers)
    detail = problem(answer, "unauthorized")["detail"]
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer")
    refused = "X-API-Key" in headers or headers.get("Authorization", "").startswith("Bearer")
    assert ('error="invalid_token"' in challenge) == refused
    assert ("does not know" in detail) == refused


@pytest.mark.parametrize(
    "headers", [bearer(READ), {"X-API-Key": READ}, {"Authorization": f"bearer  {READ}"}]
)
def test_with_a_key_there_is(client_of, headers):
    client = client_of(api_keys=("other-key-0123456789", READ))
    assert client.get(SEARCH, headers=headers).status_code == 200


def test_a_key_is_asked_for_wherever_the_index_speaks_and_nowhere_else(client_of):
    client = client_of(api_keys=(READ,))
    app = client.application
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "beach-1", rule.rule)
        if path.startswith("/static/"):
            path = "/static/style.css"
        closed = path.startswith("/api/") or path == "/metrics"
        [method] = rule.methods - {"HEAD", "OPTIONS"}
        with client.open(path, method=method) as answer:
            assert (answer.status_code == 401) == closed, path


def test_metrics_take_an_admin_key_and_an_admin_may_search(client_of):
    client = client_of(api_keys=(READ,), admin_keys=(ADMIN,))
    problem(client.get("/metrics", headers=bearer(READ)), "forbidden")
    assert client.get("/metrics", headers=bearer(ADMIN)).status_code == 200
    assert client.get(SEARCH, headers=bearer(ADMIN)).status_code == 200
    # With admin keys alone anyone may search.
    client = client_of(admin_keys=(ADMIN,))
    assert client.get(SEARCH).status_code == 200
    assert client.get("/metrics").status_code == 401


def test_every_key_is_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(
        "twinlens.backend.access.hmac.compare_digest",
        lambda one, other: compared.append((len(one), len(other))) or one == other,
    )
    keys = Keys(read=(READ, "b" * 40), admin=(ADMIN,))

    asked = Request.from_values(headers={"X-API-Key": READ})
    assert keys.find_role(asked) is Role.READER
    # All three, at one length, although the first was right.
    assert compared == [(32, 32)] * 3


def test_no_key_is_in_the_log_or_in_what_is_printed(client_of, caplog):
    caplog.set_level("DEBUG")
    client = client_of(api_keys=(READ,))
    client.get(SEARCH, headers=bearer(READ))
    client.get(SEARCH, headers=bearer("wrong-key-0123456789"))
    said = str([one.__dict__ for one in caplog.records]) + repr(Policy(api_keys=(READ,)))
    assert "-key-" not in said


# ---- origins


def test_a_page_of_an_allowed_origin_and_of_no_other_may_read_answers_and_errors(client_of):
    client = client_of(cors_origins=("https://films.example", "http://[::1]:3000"))
    for origin in ("https://films.example", "http://[::1]:3000"):
        for path, status in ((SEARCH, 200), ("/api/v1/videos/none", 404), ("/nowhere", 404)):
            answer = client.get(path, headers={"Origin": origin})
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
            assert "Origin" in answer.headers["Vary"]
            assert "Access-Control-Allow-Credentials" not in answer.headers

    for origin in (
        *("https://films.example.evil.org", "https://evilfilms.example", "http://films.example"),
        *("https://films.example:8443", "http://1:3000", "null", None),
    ):
        answer = client.get(SEARCH, headers={"Origin": origin} if origin else {})
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


def test_no_origin_or_any_may_read_where_the_operator_says_so(client_of):
    answer = client_of().get(SEARCH, headers={"Origin": "https://films.example"})
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    answer = client_of(cors_origins=("*",)).get(SEARCH, headers={"Origin": "https://x.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_a_preflight_is_answered_without_a_key_a_turn_or_an_allowance(client_of):
    client = client_of(cors_origins=("https://films.example",), api_keys=(READ,), rate_limit=1)
    for _ in range(3):
        answer = client.options(
            "/api/v1/search",
            headers={
                "Origin": "https://films.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type, authorization",
            },
        )
        assert answer.status_code == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://films.example"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert "RateLimit" not in answer.headers


# ---- allowances


def test_who_asks_too_often_is_told_when_to_come_again(client_of):
    client = client_of(rate_limit=3)
    left = []
    for _ in range(3):
        answer = client.get(SEARCH)
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Policy"] == '"default";q=3;w=60'
        left.append(re.fullmatch(r'"default";r=(\d+);t=(\d+)', answer.headers["RateLimit"])[1])
    assert left == ["2", "1", "0"]
    answer = client.get(SEARCH)
    problem(answer, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 20
    assert answer.headers["RateLimit"].startswith('"default";r=0;t=')
    # What shows the page, and what tells an operator, goes on.
    for path in ("/", "/healthz", "/readyz", "/metrics", "/api/v1/videos/beach-1/thumbnail"):
        with client.get(path) as answer:
            assert answer.status_code == 200


def test_each_of_several_searches_counts_as_a_request(client_of):
    client = client_of(rate_limit=6)

    def ask(searches: int, **more):
        body = {"searches": [{"text": "kitchen"}] * searches, **more}
        return client.post("/api/v1/multi-search", json=body)

    answer = ask(4)
    assert answer.status_code == 200
    assert answer.headers["RateLimit"].startswith('"default";r=2;')
    refused = ask(4, fuse=True)
    problem(refused, "rate_limited")
    # One was counted to look at the body; four are needed, ten seconds each.
    assert refused.headers["RateLimit"].startswith('"default";r=1;')
    assert 25 <= int(refused.headers["Retry-After"]) <= 30
    assert ask(1).status_code == 200
    assert ask(1).status_code == 429
    # More than are allowed take the whole allowance.
    client = client_of(rate_limit=3)
    assert ask(5).status_code == 200
    refused = ask(5)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_callers_are_told_apart_by_address_and_by_key(client_of):
    client = client_of(rate_limit=1, api_keys=(READ, "other-key-0123456789"))

    def ask(address: str, **headers: str) -> int:
        asked = {"headers": headers, "environ_base": {"REMOTE_ADDR": address}}
        return client.get(SEARCH, **asked).status_code

    assert ask("10.0.0.1", **bearer(READ)) == 200
    assert ask("10.0.0.2", **bearer(READ)) == 429  # the same key from elsewhere
    assert ask("10.0.0.1", **bearer("other-key-0123456789")) == 200
    # Guesses are counted by address: a wrong key buys no new allowance.
    assert ask("10.0.0.3", **bearer("guess-0000000000000")) == 401
    assert ask("10.0.0.3", **bearer("guess-0000000000001")) == 429
    assert ask("10.0.0.4", **bearer("guess-0000000000001")) == 401
    # A subscriber of IPv6 is one caller, and a mapped address is its IPv4.
    client = client_of(rate_limit=1)
    assert ask("2001:db8:1:2::1") == 200
    assert ask("2001:db8:1:2:ffff::9") == 429
    assert ask("2001:db8:1:3::1") == 200
    assert ask("::ffff:10.0.0.9") == 200
    assert ask("10.0.0.9") == 429


@pytest.mark.parametrize(
    ("proxies", "forwarded", "counted_as_one"),
    [
        # Nobody is believed unless the operator says that a proxy stands before the server.
        (0, ("1.1.1.1", "2.2.2.2"), True),
        (1, ("1.1.1.1", "2.2.2.2"), False),
        # What a caller itself puts in front is not what the proxy adds at the end.
        (1, ("1.1.1.1, 9.9.9.9", "2.2.2.2, 9.9.9.9"), True),
        (2, ("1.1.1.1, 9.9.9.9", "2.2.2.2, 9.9.9.9"), False),
    ],
)
def test_behind_proxies_the_caller_is_who_asked_the_first_of_them(
    client_of, proxies, forwarded, counted_as_one
):
    client = client_of(rate_limit=1, trusted_proxies=proxies)
    answers = [
        client.get(SEARCH, headers={"X-Forwarded-For": one}).status_code for one in forwarded
    ]
    assert answers == [200, 429 if counted_as_one else 200]


# ---- turns


@contextmanager
def searching(client: FlaskClient, encoder: HeldEncoder, number: int) -> Iterator[None]:
    """So many searches, one of which is at work; they are answered well when it is over."""
    encoder.go.clear()
    with ThreadPoolExecutor(number) as callers:
        searches = [callers.submit(client.get, SEARCH) for _ in range(number)]
        try:
            assert encoder.started.acquire(timeout=20)
            yield
        finally:
            encoder.go.set()
        assert [one.result(20).status_code for one in searches] == [200] * number


def test_who_waits_too_long_for_a_turn_is_turned_away_and_others_are_not(client_of):
    encoder = HeldEncoder()
    client = client_of(title_encoder=encoder, searches_at_a_time=1, max_wait_s=0.2)
    with searching(client, encoder, 1):
        answer = client.get(SEARCH)
        problem(answer, "overloaded")
        assert int(answer.headers["Retry-After"]) > 0
        # What needs no turn is answered meanwhile, and says what waits.
        assert client.get("/healthz").status_code == 200
        assert "twinlens_requests_in_flight 2.0" in client.get("/metrics").text
    assert client.get(SEARCH).status_code == 200


def test_whoever_waits_is_counted_and_gets_the_turn(client_of):
    encoder = HeldEncoder()
    client = client_of(title_encoder=encoder, searches_at_a_time=1, max_wait_s=20)
    with searching(client, encoder, 3):
        wait_until(lambda: "twinlens_requests_waiting 2.0" in client.get("/metrics").text)
    assert "twinlens_requests_waiting 0.0" in client.get("/metrics").text


class Tardy(WordEncoder):
    """Takes longer for each text than one among several may wait."""

    def encode_queries(self, queries):
        time.sleep(0.3)
        return super().encode_queries(queries)


def test_of_several_searches_those_that_wait_too_long_are_turned_away(client_of):
    client = client_of(title_encoder=Tardy(), max_wait_s=0.2)
    searches = [{"text": "kitchen"}, {"text": "beach"}, {"video_id": "beach-1"}]
    answer = client.post("/api/v1/multi-search", json={"searches": searches})
    assert answer.status_code == 200
    first, *others = answer.get_json()["results"]
    assert first["hits"]
    assert [one["problem"]["code"] for one in others] == ["overloaded"] * 2
    assert {one["problem"]["status"] for one in others} == {503}
    answer = client.post("/api/v1/multi-search", json={"searches": searches, "fuse": True})
    assert problem(answer, "overloaded")["detail"].startswith("searches.1: ")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_turn_is_given_back_whatever_becomes_of_the_request(client_of):
    client = client_of(searches_at_a_time=1, max_wait_s=0.1)
    for path in ("/api/v1/search?limit=0", "/api/v1/videos/none", "/api/v1/search?q=%00"):
        assert 400 <= client.get(path).status_code < 500
    client.post("/api/v1/search", data=b"{", content_type="application/json")
    assert client.get(SEARCH).status_code == 200


# ---- headers


def test_the_page_can_be_framed_by_nobody_and_reads_nothing_from_elsewhere(client_of):
    with client_of().get("/") as answer:
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=()" in headers["Permissions-Policy"]
