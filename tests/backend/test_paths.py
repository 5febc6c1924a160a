"""Callers choose a path, and not where the application stands; by any WSGI server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from tests.backend.catalogue import Catalogue
from tests.fakes import MemoryReader
from twinlens.backend.access import Policy
from twinlens.backend.app import create_app
from twinlens.encoders.lenses import own_lenses
from twinlens.search.published import PublishedIndex
from twinlens.stores.generations import DataDir


@pytest.fixture(params=[0, 1], ids=["no proxy", "behind a proxy"])
def behind(request: pytest.FixtureRequest, catalogue: Catalogue, data: DataDir) -> Iterator[Flask]:
    index = PublishedIndex(
        data,
        open_reader=lambda manifest: MemoryReader(catalogue.stored()),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    yield create_app(
        index, thumbnails=data.thumbnails, policy=Policy(trusted_proxies=request.param)
    )
    index.close()


def ask(app: Flask, path: str, **environ: str) -> tuple[int, dict[str, str]]:
    """What the application answers to a server that calls it with ``environ``."""
    answered: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
        answered.append((int(status.split()[0]), dict(headers)))

    called = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **environ,
    }
    body = app.wsgi_app(called, start_response)
    for _ in body:
        pass
    if hasattr(body, "close"):
        body.close()
    return answered[0]


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
    assert ask(behind, "/healthz", **{"HTTP_" + name: "/healthz"})[0] == 200
    assert ask(behind, "/x/metrics", **{"HTTP_" + name: "/x"})[0] == 404
