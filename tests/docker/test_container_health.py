"""The health checks are run here, against servers that are ready, not ready, slow or absent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from tests.docker.files import compose, health_check_words, stages
from tests.http_server import serving
from twinlens.backend.app import ROUTES

[READY] = [route.template for route in ROUTES if route.name == "readyz"]
NEEDS_BASH = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@contextmanager
def _serving(status: int) -> Iterator[tuple[int, list[str]]]:
    """A server that answers every request with ``status``; its port and what it was asked."""
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with serving(answer) as port:
        yield port, asked


def _qdrant_check(port: int) -> int:
    check = compose()["services"]["qdrant"]["healthcheck"]["test"]
    assert check[:3] == ["CMD", "bash", "-c"]
    assert "127.0.0.1/6333" in check[3]
    script = check[3].replace("127.0.0.1/6333", f"127.0.0.1/{port}")
    return subprocess.run(["bash", "-c", script], capture_output=True, timeout=20).returncode


def _backend_check(port: int, **environment: str) -> int:
    words = health_check_words(stages()[-1])
    assert words[0] == "python"
    return subprocess.run(
        [sys.executable, *words[1:]],
        env=os.environ | {"TWINLENS_PORT": str(port)} | environment,
        capture_output=True,
        timeout=20,
    ).returncode


@pytest.mark.parametrize("status", [200, 503, 401, 404])
@pytest.mark.parametrize("check", [pytest.param(_qdrant_check, marks=NEEDS_BASH), _backend_check])
def test_it_is_healthy_once_it_can_search_and_not_where_nothing_listens(
    check: Callable[[int], int], status: int
):
    with _serving(status) as (port, asked):
        assert (check(port) == 0) is (status == 200)
    assert asked == [READY]
    assert check(port) != 0


def test_the_backend_s_check_goes_past_a_proxy():
    with _serving(200) as (port, asked), _serving(502) as (proxy, through_proxy):
        assert _backend_check(port, http_proxy=f"http://127.0.0.1:{proxy}") == 0
    assert (asked, through_proxy) == ([READY], [])
