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
