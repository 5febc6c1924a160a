"""How many events a second are kept: in batches, and from many clients with one event each.

All are durable before they are answered. Over HTTP the rate stands beside that of ``/healthz``,
asked by as many clients of the same server in the same run.

Example:
    python -m twinlens.benchmarks.events --folder .
"""

from __future__ import annotations

import http.client
import json
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from twinlens.benchmarks.searching import measure_in_turns, report, serve
from twinlens.events.event import Event, EventType
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog

_PEOPLE: Final = 5_000
_IN_BATCHES: Final = 10_000
_JSON: Final = {"Content-Type": "application/json"}


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="On the disk that is measured.",
)
@click.option("--clients", type=click.IntRange(1), default=32, show_default=True)
@click.option("--requests", type=click.IntRange(1), default=50, show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=10, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write samples, too.")
def main(folder: Path, clients: int, requests: int, rounds: int, json_path: Path | None) -> None:
    """Measure events kept a second, durably."""
    with (
        tempfile.TemporaryDirectory(prefix="twinlens-bench-", dir=folder) as scratch,
        closing(SqliteEventLog(Path(scratch, EVENTS_FILE))) as log,
        serve(Path(scratch)) as address,
    ):

        def ask(method: str, path: str, make_body: Callable[[], bytes | None]) -> float:
            return _ask_from_many(address, clients, requests, method, path, make_body)

        samples = measure_in_turns(
            {
                "log": lambda: {
                    f"log, batches of {size}": _append(log, size) for size in (200, 1000)
                },
                "post": lambda: {
                    "POST, one client, 200 each": 200
                    * _ask_from_many(
                        address, 1, 20, "POST", "/api/v1/events", lambda: _make_body(200)
                    )
                },
                "single": lambda: {
                    f"POST, {clients} clients, one each": ask(
                        "POST", "/api/v1/events", lambda: _make_body(1)
                    )
                },
                "healthz": lambda: {
                    f"/healthz, {clients} clients": ask("GET", "/healthz", lambda: None)
                },
            },
            rounds=rounds,
        )
    single, health = f"POST, {clients} clients, one each", f"/healthz, {clients} clients"
    ratios = {"one event each / healthz": (single, health)}
    about = {"clients": clients, "requests": requests}
    report(json_path, "a second", samples, ratios, **about, samples_per_s=samples)


def _append(log: SqliteEventLog, size: int) -> float:
    """Return the events a second that the log takes in batches, without HTTP."""
    at = datetime.now(UTC)
    batches = [
        [Event(**_draw(), at=at, type=EventType.WATCH) for _ in range(size)]
        for _ in range(_IN_BATCHES // size)
    ]
    started = time.perf_counter()
    for batch in batches:
        log.append(batch)
    return _IN_BATCHES / (time.perf_counter() - started)


def _ask_from_many(
    address: str,
    clients: int,
    requests: int,
    method: str,
    path: str,
    make_body: Callable[[], bytes | None],
) -> float:
    """Return the requests a second that so many clients, each with a connection, get answered."""
    bodies = [[make_body() for _ in range(requests)] for _ in range(clients)]
    begin = threading.Barrier(clients + 1)
    failed: list[int] = []

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        connection.connect()
        begin.wait()
        for body in bodies[number]:
            connection.request(method, path, body, _JSON if body else {})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                failed.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    begin.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failed:
        raise click.ClickException(f"{len(failed)} of {clients * requests} answers: {failed[0]}")
    return clients * requests / seconds


def _make_body(several: int) -> bytes:
    events = [{"type": "watch", **_draw()} for _ in range(several)]
    return json.dumps({"events": events}).encode()


def _draw() -> Mapping[str, Any]:
    drawn = uuid.uuid4()
    return {
        "event_id": str(drawn),
        "person_id": f"p{drawn.int % _PEOPLE}",
        "video_id": f"v{drawn.int % 7919}",
        "watch_id": drawn.hex,
        "watched_s": drawn.int % 600 / 10,
        "feed_id": f"f{drawn.int % 100_003}",
    }


if __name__ == "__main__":
    main()
