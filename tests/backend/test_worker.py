"""Several processes on one listener: who takes a connection."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend.catalogue import Catalogue
from tests.backend.served import ROOT, Served, publish_embedded
from twinlens.backend.worker import ConnectionCounts
from twinlens.stores.generations import DataDir


@pytest.fixture
def served(catalogue: Catalogue, tmp_path: Path) -> Iterator[Served]:
    data = DataDir(tmp_path)
    publish_embedded(catalogue, data, "g1")
    with Served(data, "--workers", "2") as served:
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
        assert one.recv(65536).startswith(b"HTTP/1.1 200")


def answered_by(served: Served, name: str) -> Counter[int]:
    """How many of the requests whose names begin so each process has answered by now."""
    lines = served.log().splitlines(keepends=True)
    told = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
    return Counter(line["process"] for line in told if line.get("request_id", "").startswith(name))


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


def wait_for_both(served: Served) -> set[int]:
    """The two processes, once both take connections: the second says nothing of itself."""
    deadline = time.monotonic() + 60
    while len(answered_by(served, "wake-")) < 2 and time.monotonic() < deadline:
        sockets = connected(served, 4)
        ask(sockets, "wake")
        close(sockets)
    return set(answered_by(served, "wake-"))


def test_connections_that_come_at_once_are_shared_out_evenly(served: Served) -> None:
    assert len(wait_for_both(served)) == 2
    for number in range(5):
        time.sleep(0.3)  # those before are gone
        sockets = connected(served, 8)
        time.sleep(0.3)
        ask(sockets, f"round{number}")
        close(sockets)
    assert served.stop()[0] == 0
    shares = [sorted(answered_by(served, f"round{number}-").values()) for number in range(5)]
    assert all(sum(one) == 8 for one in shares)
    assert all(len(one) == 2 and one[0] >= 2 for one in shares), shares
    assert shares.count([4, 4]) >= 3, shares


def test_a_process_that_is_stuck_leaves_its_share_to_the_other(served: Served) -> None:
    stuck, other = wait_for_both(served)
    os.kill(stuck, signal.SIGSTOP)
    try:
        started = time.monotonic()
        sockets = connected(served, 6)
        ask(sockets, "alone")
        took = time.monotonic() - started
        close(sockets)
    finally:
        os.kill(stuck, signal.SIGCONT)
    assert served.stop()[0] == 0
    assert answered_by(served, "alone-") == {other: 6}
    assert took < 10


def test_counts_are_seen_by_every_process_and_forgotten_with_it() -> None:
    script = """
import os, sys
from twinlens.backend.worker import ConnectionCounts

counts = ConnectionCounts()
counts.tell(1, 3)
assert not counts.fewer_elsewhere(3), "its own is not fewer"
child = os.fork()
if child == 0:
    counts.tell(2, 1)
    os._exit(0)
os.waitpid(child, 0)
assert counts.fewer_elsewhere(3)
assert counts.fewer_elsewhere(2)
assert not counts.fewer_elsewhere(1)
counts.forget(2)
assert not counts.fewer_elsewhere(3)
counts.tell(2 + 256, 0)
assert counts.fewer_elsewhere(1)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)
    assert not ConnectionCounts().fewer_elsewhere(10), "nobody has told anything"
