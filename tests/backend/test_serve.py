"""``twinlens serve`` as it is run: its processes, a real embedded index, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from tests.backend.catalogue import ODD_ID
from tests.backend.served import PROGRAM, ROOT, Served, publish_embedded
from tests.fakes import ColourEncoder, WordEncoder
from twinlens.catalog.errors import EncodersChanged, NoGeneration, UsageError
from twinlens.commands.serve import serve
from twinlens.stores.generations import DataDir

HEAD = b"POST /api/v1/search HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def data(catalogue, tmp_path_factory) -> DataDir:
    data = DataDir(tmp_path_factory.mktemp("served"))
    publish_embedded(catalogue, data, "g1")
    return data


@pytest.fixture(scope="module")
def served(data) -> Iterator[Served]:
    with Served(data) as served:
        yield served


def test_it_says_where_once_it_answers_and_ends_when_told(data):
    with Served(data) as served:
        assert served.line == f"TwinLens serves 31 videos at http://127.0.0.1:{served.port}\n"
        status, body = served.get("/api/v1/search?q=kitchen&limit=3&explain=true")
        assert status == 200
        assert len(body["hits"]) == 3
        status, body = served.get("/api/v1/videos/a%3Fc")
        assert (status, body["code"]) == (404, "video_not_found")
        code, out, err = served.stop()
        assert (code, out) == (0, "")
        assert "Traceback" not in err


def test_a_request_under_way_is_answered_before_it_ends(data):
    body = b'{"text": "kitchen"}'
    with Served(data) as served:
        address = ("127.0.0.1", served.port)
        with socket.create_connection(address, timeout=20) as connection:
            head = JSON + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head)
            # The server has begun to read the body, so the request is under way.
            assert connection.recv(65536).startswith(b"HTTP/1.1 100")
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(body)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert served.process.wait(20) == 0


def test_what_searches_and_what_waits_are_answered_before_it_ends(data):
    """A slow search, and one that waits for its turn, when the server is told to end."""
    answers: list[tuple[int, int]] = []
    with Served(data, "--workers", "1", "--request-threads", "1", max_wait_s="20") as served:

        def search(text: str) -> None:
            status, body = served.get(f"/api/v1/search?q={text}&limit=3")
            answers.append((status, len(body["hits"])))

        threads = [threading.Thread(target=search, args=(q,)) for q in ("slowly", "kitchen")]
        threads[0].start()
        time.sleep(0.5)
        threads[1].start()
        deadline = time.monotonic() + 20
        while b"twinlens_requests_waiting 1.0" not in served.ask("GET", "/metrics")[2]:
            assert time.monotonic() < deadline
        served.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(30)
        assert answers == [(200, 3), (200, 3)]
        assert served.process.wait(30) == 0
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", served.port), timeout=5)


def test_the_rate_limit_holds_over_all_processes(data):
    """Which of them is asked makes no difference."""
    with Served(data, "--workers", "2", rate_limit="6") as served:
        answers = [served.ask("GET", "/api/v1/stats") for _ in range(30)]
        statuses = [status for status, _, _ in answers]
        assert statuses.count(200) in (6, 7)  # one may have come back meanwhile
        assert set(statuses) == {200, 429}
        refused = next(headers for status, headers, _ in answers if status == 429)
        assert refused["RateLimit-Policy"] == '"default";q=6;w=60'
        assert 1 <= int(refused["Retry-After"]) <= 10


def test_keys_origins_and_the_size_of_bodies_reach_the_server(data):
    key = "a-key-0123456789"
    with Served(
        data, api_keys=key, cors_origins="https://a.example", max_body_bytes="2000"
    ) as served:
        assert served.ask("GET", "/api/v1/stats")[0] == 401
        headers = {"X-API-Key": key, "Origin": "https://a.example"}
        status, answered, _ = served.ask("GET", "/api/v1/stats", headers=headers)
        assert (status, answered["Access-Control-Allow-Origin"]) == (200, "https://a.example")
        status, _, body = served.ask("POST", "/api/v1/search", body=b" " * 2001, headers=headers)
        assert (status, json.loads(body)["code"]) == (413, "body_too_large")
        assert key not in served.log()


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (JSON + b'Content-Length: 99\r\n\r\n{"text": "a"', 400, "bad_request"),
        (JSON + b"Content-Length: 99999999999999\r\n\r\n{}", 413, "body_too_large"),
        (JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400, "bad_request"),
        (JSON + b'Transfer-Encoding: chunked\r\n\r\n10\r\n{"text"', 400, "bad_request"),
        (JSON + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400, "bad_request"),
        (JSON + b"Content-Length: -1\r\n\r\n{}", 400, "bad_request"),
        (
            b"GET /?q=" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            414,
            "request_line_too_long",
        ),
        (
            HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(300)) + b"\r\n",
            431,
            "headers_too_large",
        ),
        (HEAD + b"X-Long: " + b"a" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
        (JSON + b"Transfer-Encoding: whatever\r\n\r\n{}", 501, "bad_request"),
        (b"\x16\x03\x01\x00\xa5\r\n\r\n", 400, "bad_request"),
    ],
)
def test_what_is_not_even_http_gets_a_4xx(served, sent, status, code):
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert int(answer.split(b" ", 2)[1]) == status, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert (problem["code"], problem["status"]) == (code, status)
    # Some never reach the application, and are problems all the same.
    assert b"Content-Type: application/problem+json" in head
    assert f"X-Request-Id: {problem['request_id']}".encode() in head
    assert served.get("/healthz")[0] == 200


def test_an_encoded_id_comes_back_as_it_was(served):
    status, body = served.get(f"/api/v1/videos/{quote(ODD_ID, safe='')}")
    assert (status, body["video"]["video_id"]) == (200, ODD_ID)


def test_two_processes_read_one_index_and_take_up_a_new_one(catalogue, tmp_path):
    data = DataDir(tmp_path)
    publish_embedded(catalogue, data, "g1")
    with Served(data, "--workers", "2", "--request-threads", "4") as served:
        seen: set[str] = set()
        failures: list[object] = []
        stop = threading.Event()

        def keep_asking() -> None:
            while not stop.is_set():
                try:
                    status, body = served.get("/api/v1/videos/beach-1/similar")
                    seen.add(body["generation"])
                    if status != 200 or len(body["hits"]) != 20:
                        failures.append(body)
                except Exception as error:  # noqa: BLE001 - every failure is one to report
                    failures.append(error)

        threads = [threading.Thread(target=keep_asking) for _ in range(3)]
        for thread in threads:
            thread.start()
        publish_embedded(catalogue, data, "g2")
        deadline = time.monotonic() + 20
        while "g2" not in seen and time.monotonic() < deadline and not failures:
            time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join(20)
        assert failures == []
        assert "g2" in seen
        code, _, err = served.stop()
        assert code == 0, err


def run(data: DataDir, *options: str) -> Exception | None:
    runner = CliRunner()
    return runner.invoke(serve, ["--data-dir", str(data.path), *options]).exception


@pytest.fixture
def small_encoders(monkeypatch):
    asked: list[str] = []

    def title(name, **_):
        asked.append(name)
        return WordEncoder(fingerprint="feed" * 4 if name == "other" else "00000000000000aa")

    def thumbnail(name, threads=None):
        asked.append(name)
        return ColourEncoder()

    monkeypatch.setattr("twinlens.encoders.load.load_title_encoder", title)
    monkeypatch.setattr("twinlens.encoders.load.load_thumbnail_encoder", thumbnail)
    return asked


def test_without_an_index_it_says_how_to_make_one(tmp_path):
    error = run(DataDir(tmp_path))
    assert isinstance(error, NoGeneration)
    assert error.exit_code == 2
    assert "twinlens index" in str(error)


def test_other_encoders_than_the_index_has_are_refused_before_anything_starts(data, small_encoders):
    error = run(data, "--title-model", "other", "--port", "0")
    assert isinstance(error, EncodersChanged)
    assert error.exit_code == 2
    assert "feedfeedfeedfeed" in str(error)


def test_the_title_runtime_reaches_the_encoder(data, monkeypatch):
    asked = []

    def title(name, **options):
        asked.append(options)
        return WordEncoder(fingerprint="feed" * 4)

    monkeypatch.setattr("twinlens.encoders.load.load_title_encoder", title)
    monkeypatch.setattr(
        "twinlens.encoders.load.load_thumbnail_encoder", lambda *_, **__: ColourEncoder()
    )
    assert isinstance(run(data, "--title-runtime", "onnx-int8"), EncodersChanged)
    assert [(one["runtime"], one["cache_dir"]) for one in asked] == [("onnx-int8", data.graphs)]
    assert isinstance(run(data, "--title-runtime", "nonsense"), SystemExit)


def test_a_port_in_use_is_named_and_the_indexs_own_encoders_are_taken(data, small_encoders):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = run(data, "--port", str(port))
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert f"127.0.0.1:{port}" in str(error)
    assert small_encoders == ["test:words", "test:colours"]


def test_a_worker_that_can_not_start_ends_the_server_with_its_reason(catalogue, tmp_path):
    data = DataDir(tmp_path)
    data.generation_path("g1").mkdir(parents=True)
    data.publish(catalogue.manifest("g1"))  # and no shard
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--data-dir", str(data.path), "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "no Qdrant shard here" in answer.stderr


def test_help_has_an_example():
    assert "twinlens serve --data-dir" in CliRunner().invoke(serve, ["--help"]).output
