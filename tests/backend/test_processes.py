"""Worker processes: who takes a connection, and what becomes of the others when one ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest

from tests.backend.attacks import post
from tests.backend.callers import connect, everything
from tests.backend.served import ROOT, SMALL, Served, wait_until
from twinlens.backend.access import MOST_WAITING
from twinlens.backend.server import HEAD_TIMEOUT_S, _Watch
from twinlens.stores.generations import DataDir


@pytest.fixture(scope="module")
def served(embedded: DataDir) -> Iterator[Served]:
    with Served(embedded, "--workers", "2") as served:
        yield served


def connected(served: Served, count: int) -> list[socket.socket]:
    """So many connections, all asked for at once."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", served.port))
    for one in sockets:
        one.settimeout(20)
    return sockets


def ask(sockets: list[socket.socket], name: str) -> None:
    for number, one in enumerate(sockets):
        one.sendall(
            b"GET /api/v1/stats HTTP/1.1\r\nHost: x\r\n"
            + f"X-Request-Id: {name}-{number}\r\n\r\n".encode()
        )
    for one in sockets:
        answer = http.client.HTTPResponse(one)
        answer.begin()
        assert answer.status == 200
        answer.read()


def answered_by(served: Served, name: str) -> Counter[int]:
    """How many of the requests whose names begin so each process has answered by now."""
    lines = served.log().splitlines(keepends=True)
    told = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
    return Counter(line["process"] for line in told if line.get("request_id", "").startswith(name))


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


def ask_at_once(served: Served, count: int, name: str) -> None:
    sockets = connected(served, count)
    ask(sockets, name)
    close(sockets)


def held(served: Served) -> int:
    """How many connections the processes hold, which have been taken and not yet closed."""
    return sum(
        one.status in (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT)
        for worker in served.workers()
        for one in worker.net_connections("tcp")
    )


def wait_for_both(served: Served, name: str) -> set[int]:
    """The two processes, once both take connections: the second says nothing of itself."""

    def both_answer() -> bool:
        ask_at_once(served, 4, name)
        return len(answered_by(served, name)) == 2

    wait_until(both_answer)
    return set(answered_by(served, name))


def test_connections_that_come_at_once_are_shared_out_evenly(served: Served) -> None:
    wait_for_both(served, "even-")
    for number in range(5):
        wait_until(lambda: held(served) == 0)
        sockets = connected(served, 8)
        wait_until(lambda: held(served) == 8)
        ask(sockets, f"round{number}")
        close(sockets)
    wait_until(lambda: sum(answered_by(served, "round").values()) == 40)
    shares = [sorted(answered_by(served, f"round{number}-").values()) for number in range(5)]
    assert all(sum(one) == 8 for one in shares)
    assert all(len(one) == 2 and one[0] >= 2 for one in shares), shares
    assert shares.count([4, 4]) >= 3, shares


def test_a_process_that_is_stuck_leaves_its_share_to_the_other(served: Served) -> None:
    stuck, other = wait_for_both(served, "stuck-")
    os.kill(stuck, signal.SIGSTOP)
    try:
        started = time.monotonic()
        ask_at_once(served, 6, "alone")
        took = time.monotonic() - started
    finally:
        os.kill(stuck, signal.SIGCONT)
    wait_until(lambda: sum(answered_by(served, "alone").values()) == 6)
    assert answered_by(served, "alone-") == {other: 6}
    assert took < 10


def test_a_process_that_dies_is_replaced_and_ends_nobody_else(served: Served) -> None:
    killed, other = wait_for_both(served, "killed-")
    for process in (served.process.pid, other):
        os.kill(process, signal.SIGUSR1)  # as those who rotate logs do
    os.kill(killed, signal.SIGKILL)
    for _ in range(20):
        assert served.get("/api/v1/stats")[0] == 200
    assert wait_for_both(served, "again-") > {other}
    assert f"process {killed} ended by signal 9" in served.log()


@pytest.mark.slow
def test_a_start_that_fails_ends_nobody_else_and_is_tried_again(
    embedded: DataDir, served: Served
) -> None:
    killed, other = wait_for_both(served, "before-")
    # The one that lives has the index open, another can't open it.
    generation, hidden = embedded.locate_generation("g1"), embedded.path / "hidden"
    generation.rename(hidden)
    try:
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: "not ready yet" in served.log())
        for _ in range(20):
            assert served.get("/api/v1/stats")[0] == 200
        assert other in {worker.pid for worker in served.workers()}
    finally:
        hidden.rename(generation)
    assert wait_for_both(served, "after-") > {other}


def test_workers_end_with_a_parent_that_is_killed(embedded: DataDir) -> None:
    with Served(embedded, "--workers", "2") as served:
        wait_for_both(served, "parent-")
        workers = served.workers()
        assert len(workers) == 2
        kept = connected(served, 2)  # as a client that keeps its connections
        ask(kept, "kept")
        served.process.kill()
        served.process.wait()
        _, alive = psutil.wait_procs(workers, timeout=15)
        close(kept)
        assert alive == []
        # The port is free for the next.
        socket.create_server(("127.0.0.1", served.port)).close()


def test_what_is_under_way_is_answered_and_nobody_else_once_it_is_told_to_end(
    embedded: DataDir,
) -> None:
    """Searches, others that wait for their turn, and one whose body is still coming."""
    body = b'{"text": "kitchen"}'
    options = ("--workers", "2", "--request-threads", "1")
    with (
        Served(embedded, *options, max_wait_s="20") as served,
        connect(served.port) as coming,
        ThreadPoolExecutor(4) as callers,
    ):
        length = b"Content-Length: %d" % len(body)
        coming.sendall(post(b"", b"Expect: 100-continue", length))
        # The server has begun to read the body, so the request is under way.
        assert coming.recv(65536).startswith(b"HTTP/1.1 100")
        searches = [callers.submit(served.get, "/api/v1/search?q=slowly&limit=3") for _ in range(4)]

        def all_are_under_way() -> bool:
            said = metrics(served)
            return "in_flight 5.0" in said and "twinlens_requests_waiting 0.0" not in said

        wait_until(all_are_under_way)
        # As a terminal that closes: it tells the workers, too.
        for process in (served.process, *served.workers()):
            process.send_signal(signal.SIGHUP)

        def is_refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", served.port), timeout=5).close()
            except ConnectionRefusedError:
                return True
            return False

        wait_until(is_refused)
        assert served.process.poll() is None
        coming.sendall(body)
        assert everything(coming).startswith(b"HTTP/1.1 200")
        for one in searches:
            status, answer = one.result(30)
            assert (status, len(answer["hits"])) == (200, 3)
        assert served.process.wait(20) == 0


def test_what_was_not_read_yet_when_it_was_told_to_end_is_answered(embedded: DataDir) -> None:
    """On connections that it holds, and on those that the kernel has taken for it."""
    with Served(embedded) as served:
        [worker] = served.workers()
        kept = connected(served, 2)
        ask(kept, "kept")
        time.sleep(0.6)
        worker.suspend()
        waiting = [*kept, *connected(served, 5)]
        for one in waiting:
            one.sendall(b"GET /api/v1/stats HTTP/1.1\r\nHost: x\r\n\r\n")
        served.process.terminate()
        worker.resume()
        for one in waiting:
            assert everything(one).startswith(b"HTTP/1.1 200")
        close(waiting)
        assert served.process.wait(20) == 0


@pytest.mark.slow
def test_what_killed_processes_leave_behind_is_removed_by_the_next(
    embedded: DataDir, tmp_path: Path
) -> None:
    def left() -> set[str]:
        return {one.name.split("-")[1] for one in tmp_path.glob("twinlens-*")}

    settings = {"command": ["env", f"TMPDIR={tmp_path}", *SMALL]}
    with Served(embedded, **settings) as served:
        [worker] = served.workers()
        worker.kill()
        wait_until(lambda: served.workers() not in ([], [worker]))
        wait_until(lambda: served.get("/readyz")[0] == 200)
        assert len(list(tmp_path.glob("twinlens-shard-*"))) == 1
        for one in (served.process, *served.workers()):
            one.kill()
    assert left() == {"serve", "shard"}
    with Served(embedded, **settings) as served:
        assert len(list(tmp_path.glob("twinlens-*"))) == 2
        served.stop()
    assert left() == set()


def test_health_is_answered_while_every_turn_and_every_place_is_taken(embedded: DataDir) -> None:
    """Who would be one too many is refused at once, not after those before it."""
    with Served(embedded, "--request-threads", "1", max_wait_s="5", api_keys="k" * 16) as served:
        key = b"Authorization: Bearer " + b"k" * 16
        sockets = connected(served, MOST_WAITING + 40)
        for number, one in enumerate(sockets):
            one.sendall(
                b"GET /api/v1/search?q=slowly%d HTTP/1.1\r\nHost: x\r\n" % number
                + key
                + b"\r\n\r\n"
            )
        wait_until(
            lambda: f"twinlens_requests_waiting {MOST_WAITING}.0" in metrics(served), seconds=5
        )
        for _ in range(5):
            started = time.monotonic()
            assert served.get("/healthz") == (200, {"status": "ok"})
            assert time.monotonic() - started < 2
        close(sockets)
        assert served.process.poll() is None


def metrics(served: Served) -> str:
    return served.ask("GET", "/metrics", headers={"X-API-Key": "k" * 16})[2].decode()


@pytest.mark.parametrize(("fault", "signal_number"), [("hangs", 9), ("is told to end", 15)])
def test_a_process_whose_start_goes_wrong_is_replaced(fault: str, signal_number: int) -> None:
    """The second of two hangs before it serves, or is sent a signal before it has handlers."""
    script = """
import logging, os, signal, socket, sys, time
from twinlens.backend import processes

fault, starts, real_fork = sys.argv[1], 0, os.fork
processes.START_TIMEOUT_S = 1.0 if fault == "hangs" else 900
logging.basicConfig()

def fork():
    global starts
    starts += 1
    process = real_fork()
    if (starts, fault) == (2, "is told to end"):
        os.kill(process, signal.SIGTERM) if process else time.sleep(0.5)
    return process

def work(worker):
    if (starts, fault) == (2, "hangs"):
        time.sleep(60)
    worker.board.tell(worker.number, 0)
    worker.say_ready()
    if starts == 3:
        os.kill(os.getppid(), signal.SIGTERM)
    signal.pause()

os.fork = fork
processes.Processes(
    2, work, listener=socket.create_server(("127.0.0.1", 0)), on_ready=int, on_end=id
).run()
assert starts == 3
"""
    command = [sys.executable, "-c", script, fault]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"ended by signal {signal_number};" in done.stderr
    assert ("has been starting for 1 s" in done.stderr) == (fault == "hangs")


@pytest.mark.slow
def test_a_process_that_does_not_last_is_started_later_each_time() -> None:
    """As on a disk that stays full."""
    script = """
import logging, os, signal, socket
from twinlens.backend import processes

logging.basicConfig()

def work(worker):
    worker.board.tell(worker.number, 0)
    worker.say_ready()
    os.kill(os.getpid(), signal.SIGBUS)

def end(_):
    global ends
    ends += 1
    if ends == 3:
        os.kill(os.getpid(), signal.SIGTERM)

ends = 0
processes.Processes(
    1, work, listener=socket.create_server(("127.0.0.1", 0)), on_ready=int, on_end=end
).run()
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    paused = re.findall(r"by signal 7; another is started in (\d+) s: the disk", done.stderr)
    assert paused == ["1", "2", "4"]


def test_a_silent_connection_is_closed_once_there_was_time_to_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server without a turn of the processor may take long to read what has come."""
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    channel = Mock(total_outbufs_len=0, requests=[], request=None, will_close=False)
    channel.last_activity = now - HEAD_TIMEOUT_S - 1
    watch = _Watch(Mock(active_channels={1: channel}), receive_timeout_s=60)
    watch.look()
    assert not channel.will_close
    now += 1
    watch.look()
    assert channel.will_close
