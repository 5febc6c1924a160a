"""Callers of a served process: by sockets of their own, one at a time or in crowds."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass

from tests.backend.attacks import post
from tests.backend.served import Served


def search_s(served: Served) -> float:
    """How long a search takes."""
    started = time.monotonic()
    status, body = served.get("/api/v1/search?q=kitchen&limit=3")
    assert (status, len(body["hits"])) == (200, 3)
    return time.monotonic() - started


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def everything(connection: socket.socket) -> bytes:
    """What is answered until the server closes."""
    answer = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            answer += part
    return answer


def exchange(port: int, sent: bytes, *, half_close: bool = True) -> bytes:
    """All that is answered; where the caller's half stays open, up to the end of one answer."""
    with connect(port) as connection:

        def send() -> None:
            with suppress(OSError):  # it may close before it has read all of it
                connection.sendall(sent)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        answer = b""
        with suppress(ConnectionResetError):
            while (half_close or not is_whole(answer)) and (part := connection.recv(1 << 16)):
                answer += part
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        sender.join(30)
        return answer


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


def statuses_of(answer: bytes) -> list[int]:
    return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def status_of(answer: bytes) -> int | None:
    return int(answer.split(b" ", 2)[1]) if answer else None


def is_a_problem(answer: bytes) -> dict:
    """The problem document that it is, whoever has refused the request."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == status_of(answer)
    assert problem["type"] == f"/docs/errors#{problem['code']}"
    assert f"X-Request-Id: {problem['request_id']}".encode() in head
    assert problem["detail"]
    return problem


@dataclass(frozen=True)
class Crowd:
    """So many callers that send ``first``, and then ``drop`` again and again."""

    number: int
    first: bytes
    drop: bytes = b""
    every_s: float = 0.5
    receive_bytes: int | None = None


FILE = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
CROWDS = {
    "slow-heads": Crowd(200, b"GET /api/v1/stats HTTP/1.1\r\nHost: x\r\n", b"X: a\r\n"),
    "silent": Crowd(200, b""),
    # More of them than there are threads; a caller that sends all at once finds one.
    "slow-bodies": Crowd(100, post(b"{", b"Content-Length: 100000"), b" ", 0.2),
    "expected-bodies": Crowd(60, post(b"", b"Expect: 100-continue", b"Content-Length: 100")),
    # Requests behind requests, and nothing is read of what comes back.
    "take-nothing": Crowd(60, FILE * 40, receive_bytes=4096),
    # A server that waits for each of them to close would be stopped for as long.
    "do-not-close": Crowd(100, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
}


@contextmanager
def crowd(served: Served, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(connect(served.port))) for _ in range(number)]


@contextmanager
def trickling(connections: list[socket.socket], drop: bytes, *, every_s: float) -> Iterator[None]:
    """Each of them is sent ``drop`` again and again."""
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(every_s):
            for connection in connections:
                with suppress(OSError):  # closed by the server, as it should
                    connection.sendall(drop)

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def meet_crowds(
    served: Served, names: Iterable[str], *, patience_s: float, held: Collection[str] = ()
) -> dict[str, set[tuple[int, ...]]]:
    """The statuses that the callers of each crowd end with; all of the crowds come at once.

    Those ``held`` are not waited for. Others are answered meanwhile.
    """
    asked = {name: CROWDS[name] for name in names}
    with ExitStack() as stack:
        crowds = {
            name: stack.enter_context(crowd(served, one.number)) for name, one in asked.items()
        }
        started = time.monotonic()
        for name, one in asked.items():
            for connection in crowds[name]:
                if one.receive_bytes:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, one.receive_bytes)
                connection.sendall(one.first)
            if one.drop:
                stack.enter_context(trickling(crowds[name], one.drop, every_s=one.every_s))
        while time.monotonic() - started < patience_s:
            assert search_s(served) < 8
            assert served.post("/api/v1/search", text="a")[0] == 200
        ends = {
            name: {tuple(statuses_of(everything(one))) for one in connections}
            for name, connections in crowds.items()
            if name not in held
        }
        assert time.monotonic() - started < patience_s + 20
    return ends
