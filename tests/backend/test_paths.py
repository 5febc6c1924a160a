"""Callers choose a path, and not where the application stands; by any WSGI server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, run_wsgi_app

from twinlens.backend.content_types import CONTENT_TYPES
from twinlens.backend.site import STATIC


@pytest.fixture(params=[0, 1], ids=["no proxy", "behind a proxy"])
def behind(request: pytest.FixtureRequest, client_of: Callable[..., FlaskClient]) -> Flask:
    return client_of(trusted_proxies=request.param).application


def ask(app: Flask, path: str, **environ: str) -> tuple[int, Headers]:
    """What the application answers to a server that calls it with ``environ``."""
    called = EnvironBuilder().get_environ() | {"PATH_INFO": path, **environ}
    # Not all servers tell these two.
    del called["REQUEST_URI"], called["RAW_URI"]
    _, status, headers = run_wsgi_app(app.wsgi_app, called, buffered=True)
    return int(status.split()[0]), headers


@pytest.mark.parametrize(
    ("mounted_at", "path", "status"),
    [
        ("", "/healthz", 200),
        ("/zzz", "/healthz", 404),
        ("/x", "/metrics", 404),
        ("/api", "/v1/stats", 200),  # the whole path is right
        ("/healthz", "", 200),
        ("", "", 200),
        ("", "//metrics", 404),
        ("/", "/metrics", 404),
        ("", "///healthz", 404),
        ("", "//evil.example/..", 404),
        ("//evil.example", "/healthz", 404),
    ],
)
def test_the_whole_path_counts(behind: Flask, mounted_at: str, path: str, status: int) -> None:
    answered, headers = ask(behind, path, SCRIPT_NAME=mounted_at, HTTP_HOST="evil.example")
    assert answered == status
    assert "Location" not in headers


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PREFIX", "X_SCRIPT_NAME", "X_FORWARDED_PREFIX"])
def test_fields_of_the_head_move_nothing(behind: Flask, name: str) -> None:
    for path, moved, status in (("/healthz", "/healthz", 200), ("/x/metrics", "/x", 404)):
        assert ask(behind, path, **{"HTTP_" + name: moved})[0] == status


def test_below_a_prefix_that_the_operator_names(client_of: Callable[..., FlaskClient]) -> None:
    app = client_of(path_prefix="/twin").application
    for path, status in {
        "/twin/healthz": 200,
        "/healthz": 200,  # as a proxy that takes the prefix away asks, and a probe
        "/twinhealthz": 404,
        "/twin/twin/healthz": 404,
        "/twin//healthz": 404,
        "/twin/": 200,
    }.items():
        assert ask(app, path)[0] == status, path
    status, headers = ask(app, "/twin")
    assert (status, headers["Location"]) == (308, "/twin/")
    moved = {"HTTP_X_FORWARDED_PREFIX": "/other"}
    assert ask(app, "/other/healthz", **moved)[0] == 404
    assert the_addresses(app.test_client(), "/twin", X_Forwarded_Prefix="/other") == {"/twin"}


def test_a_prefix_like_the_server_s_own_paths_is_the_proxy_s_to_take_away(
    client_of: Callable[..., FlaskClient],
) -> None:
    app = client_of(path_prefix="/api").application
    assert ask(app, "/api/v1/stats")[0] == 200
    assert the_addresses(app.test_client(), "") == {"/api"}


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ("/twin", "/twin"),
        ("/twin/", "/twin"),
        ("/evil, /a/b.c", "/a/b.c"),
        ("//evil.example", ""),
        ("/..", ""),
        ("https://evil.example", ""),
        ('/"><script>', ""),
        ("/", ""),
        ("", ""),
        ("/x" * 200, ""),
    ],
)
def test_the_prefix_that_a_proxy_says_is_a_trusted_one_s(
    client_of: Callable[..., FlaskClient], said: str, understood: str
) -> None:
    behind = client_of(trusted_proxies=1)
    assert the_addresses(behind, "", X_Forwarded_Prefix=said) == {understood}
    assert the_addresses(client_of(), "", X_Forwarded_Prefix=said) == {""}


def the_addresses(client: FlaskClient, at: str, **fields: str) -> set[str]:
    """What stands before all addresses of this server in its answers."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    paths = {
        "/openapi.json": (lambda said: said.get("servers", [{"url": ""}])[0]["url"]),
        "/nowhere": (lambda said: said["type"].removesuffix("/docs/errors#not_found")),
        "/api/v1/videos/beach-0": (
            lambda said: said["video"]["thumbnail_url"].partition("/api/v1/videos/")[0]
        ),
    }
    found = set()
    for path, read in paths.items():
        answer = client.get(at + path, headers=headers)
        found.add(read(answer.get_json(force=True)))
    return found


def test_an_answer_below_another_prefix_is_another_answer(
    client_of: Callable[..., FlaskClient],
) -> None:
    client = client_of(trusted_proxies=1)
    tags = {
        client.get("/api/v1/stats", headers={"X-Forwarded-Prefix": prefix}).headers["ETag"]
        for prefix in ("", "/a", "/b")
    }
    assert len(tags) == 3
    # A shared cache in front of a proxy that passes the field on.
    assert "X-Forwarded-Prefix" in client.get("/openapi.json").headers["Vary"]


def test_content_types_are_ours_whatever_the_machine_says(client: FlaskClient) -> None:
    for path, said in {
        "/static/client.d.ts": "text/plain; charset=utf-8",
        "/static/client.js": "text/javascript; charset=utf-8",
        "/static/style.css": "text/css; charset=utf-8",
        "/static/icon.svg": "image/svg+xml; charset=utf-8",
        "/": "text/html; charset=utf-8",
    }.items():
        with client.get(path) as answer:
            assert answer.headers["Content-Type"] == said
    assert {path.suffix for path in STATIC.rglob("*.*")} <= CONTENT_TYPES.keys()
