"""The server as it is deployed, in a process of its own, and one client on a kept-alive socket."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from twinlens.catalog.errors import TwinLensError

_STOP_TIMEOUT_S: Final = 60
_ANSWER_TIMEOUT_S: Final = 60


class Timed(NamedTuple):
    """What a client waited for an answer, and what the server says it took; milliseconds."""

    waited_ms: float
    took_ms: float


class Running(NamedTuple):
    """A server in a process of its own: where it answers, and the process."""

    address: str
    pid: int


@contextmanager
def served(data_dir: Path, *, threads: int) -> Iterator[str]:
    """The address of ``twinlens serve``, one process, once it answers; stopped at the end.

    Raises:
        TwinLensError: it did not start; it has said why on standard error.
    """
    with started(serve_command(data_dir, "--workers", "1", "--threads", str(threads))) as running:
        yield running.address


def serve_command(data_dir: Path, *options: str) -> list[str]:
    """The command that serves ``data_dir`` on a free port."""
    command = [sys.executable, "-m", "twinlens", "serve", "--data-dir", str(data_dir.resolve())]
    return [*command, "--port", "0", *options]


@contextmanager
def started(command: Sequence[str], *, log: Path | None = None) -> Iterator[Running]:
    """The server that ``command`` starts, once it has said where it answers; stopped at the end.

    What it writes to standard error goes to the file ``log``, or to this process's own.

    Raises:
        TwinLensError: it did not start; it has said why on standard error.
    """
    with (
        nullcontext() if log is None else log.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            command,
            cwd=Path(__file__).parent.parent,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.search(r"http://\S+", line)
            if address is None:
                said = line.strip() or "no address"
                if log is not None:
                    process.wait(_STOP_TIMEOUT_S)
                    said = log.read_text(encoding="utf-8").strip()[-2000:] or said
                raise TwinLensError(f"the server did not start: {said}")
            yield Running(address.group(), process.pid)
        finally:
            process.terminate()
            process.wait(_STOP_TIMEOUT_S)


class Client:
    """One connection that is kept alive, on the standard library alone: little time of its own."""

    def __init__(self, address: str) -> None:
        host = urlsplit(address)
        self._connection = http.client.HTTPConnection(
            host.hostname or "", host.port, timeout=_ANSWER_TIMEOUT_S
        )

    def reconnect(self) -> None:
        """Connect anew: a server lets go of a connection that is idle for two seconds."""
        self._connection.close()
        self._connection.connect()

    def get(self, path: str) -> Timed:
        """Time from sending a GET to having read its answer.

        Raises:
            TwinLensError: the answer is not 200.
        """
        started = time.perf_counter()
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        body = response.read()
        waited_ms = (time.perf_counter() - started) * 1000
        if response.status != 200:
            raise TwinLensError(f"GET {path}: {response.status} {body[:200].decode()}")
        return Timed(waited_ms, json.loads(body)["took_ms"])

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
