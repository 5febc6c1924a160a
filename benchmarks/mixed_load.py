"""Feeds, events and searches mixed for minutes, from a real server: errors, waits and memory.

It works on a copy of a data directory, for it writes events, about people of its log. A request
that failed makes it end with 1.

Example:
    twinlens sample --videos 1000 --events 200000 sample
    twinlens index sample --data-dir data --title-model packaged:e5-small
    twinlens events import sample/log/events.parquet --data-dir data
    twinlens train-recommender --data-dir data --force
    python -m twinlens.benchmarks.mixed_load --data-dir data --minutes 10
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click
import httpx
import numpy as np
import psutil

from twinlens.benchmarks.searching import draw_videos, serve
from twinlens.catalog.errors import UsageError
from twinlens.evaluate.machine import describe_machine, write_json
from twinlens.events.opening import open_event_log

_API: Final = "/api/v1"
_KEY: Final = "a-key-of-the-benchmark"
_MIB: Final = 2**20
_LOOK_EVERY_S: Final = 2.0
_MOST_PEOPLE: Final = 1000
# How often each is asked for, of a hundred.
_MIX: Final[Mapping[str, int]] = {
    "feed": 25,
    "feed, next page": 10,
    "feed of events sent along": 10,
    "events": 25,
    "search": 15,
    "similar": 10,
    "recommendations": 5,
}


class Caller:
    """Somebody who asks one thing after the other; what is asked depends on what was shown."""

    def __init__(
        self,
        client: httpx.Client,
        people: Sequence[str],
        videos: Sequence[Mapping[str, Any]],
        seed: int,
    ) -> None:
        self._client, self._people, self._videos = client, people, videos
        self._draw = random.Random(seed)
        self._person = people[0]
        self._shown: Mapping[str, Any] = {"hits": [], "next_cursor": None, "feed_id": None}

    def ask(self, kind: str) -> httpx.Response:
        """Return the answer to a request of this kind."""
        title = self._draw.choice(self._videos)["title"].split()
        ids = [one["video_id"] for one in self._draw.sample(self._videos, 3)]
        match kind:
            case "search":
                start = self._draw.randrange(len(title))
                return self._client.get(f"{_API}/search", params={"q": " ".join(title[start:][:3])})
            case "similar":
                return self._client.get(f"{_API}/videos/{quote(ids[0], safe='')}/similar")
            case "recommendations":
                return self._client.post(f"{_API}/recommendations", json={"liked": ids})
            case "events":
                return self._client.post(f"{_API}/events", json={"events": self._make_events()})
            case "feed of events sent along":
                past = [{"type": "like", "event_id": one, "video_id": one} for one in ids]
                return self._client.post(f"{_API}/feed", json={"events": past, "explain": True})
        cursor = self._shown["next_cursor"] if kind == "feed, next page" else None
        if cursor is None:
            self._person = self._draw.choice(self._people)
        answer = self._client.post(
            f"{_API}/feed",
            json={"person_id": self._person, "cursor": cursor},
            headers={"X-API-Key": _KEY},
        )
        with suppress(ValueError):
            self._shown = {**self._shown, **answer.json()}
        return answer

    def _make_events(self) -> list[Mapping[str, Any]]:
        """Return that what was shown was seen, and one of it watched for a while."""
        hits = [hit["video"]["video_id"] for hit in self._shown["hits"]]
        hits = hits or [self._draw.choice(self._videos)["video_id"]]
        about = {"person_id": self._person, "feed_id": self._shown["feed_id"]}
        events = [
            {"type": "impression", "event_id": uuid.uuid4().hex, "video_id": one, **about}
            for one in hits
        ]
        watched = {
            "type": "watch",
            "video_id": self._draw.choice(hits),
            "watch_id": uuid.uuid4().hex,
        }
        beats = [
            watched | about | {"event_id": uuid.uuid4().hex, "watched_s": 10.0 * beat}
            for beat in range(1, 4)
        ]
        return [*events, *beats]


@click.command()
@click.option("--data-dir", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True)
@click.option("--clients", type=click.IntRange(1), default=2, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="For the copy.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write figures, too.")
def main(
    data_dir: Path, minutes: float, clients: int, folder: Path | None, json_path: Path | None
) -> None:
    """Ask for feeds, events and searches mixed, and tell errors, waits and memory."""
    os.environ["TWINLENS_ADMIN_KEYS"] = _KEY
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-", dir=folder) as scratch:
        copy = Path(scratch, "data")
        shutil.copytree(data_dir, copy)
        people = list_people(copy)
        with serve(copy) as address:
            waited, failed, memory = load(address, people, minutes=minutes, clients=clients)
    click.echo(f"{sum(map(len, waited.values()))} answers, {len(failed)} failed")
    figures = {
        kind: {
            "a second": len(of) / (60 * minutes),
            "p50, ms": float(np.quantile(of, 0.5)),
            "p99, ms": float(np.quantile(of, 0.99)),
        }
        for kind, of in sorted(waited.items())
    }
    for kind, told in figures.items():
        click.echo(f"  {kind:<28}" + "".join(f"{of:10.1f} {name}" for name, of in told.items()))
    # The first tenth warms up.
    tenths = [float(np.median(part)) for part in np.array_split(memory, 10)]
    at = {"start": tenths[1], "middle": tenths[5], "end": tenths[9]}
    click.echo("  memory, MiB: " + ", ".join(f"{when} {mib:.0f}" for when, mib in at.items()))
    for what, times in Counter(failed).most_common(5):
        click.echo(f"  failed {times} times: {what}", err=True)
    machine = describe_machine()
    click.echo(f"{machine['processor']}, {machine['cores']} cores, load {machine['load'][0]}")
    parts = {"figures": figures, "memory_mib": memory, "failed": failed}
    write_json(json_path, {"machine": machine, "minutes": minutes, "clients": clients, **parts})
    if failed:
        raise click.exceptions.Exit(1)


def list_people(data_dir: Path) -> list[str]:
    """Return people of the log, each once.

    Raises:
        UsageError: it has none.
    """
    with closing(open_event_log(data_dir)) as log:
        people: set[str] = set()
        for events, _ in log.scan():
            people.update(events["person_id"].to_pylist())
            if len(people) >= _MOST_PEOPLE:
                break
    if not people:
        raise UsageError(
            f"{data_dir}: no event is kept there; `twinlens events import` brings some"
        )
    return sorted(people)[:_MOST_PEOPLE]


def load(
    address: str, people: Sequence[str], *, minutes: float, clients: int
) -> tuple[Mapping[str, list[float]], list[str], list[float]]:
    """Return the milliseconds of each kind of request, what failed, and MiB every two seconds."""
    ends = time.monotonic() + 60 * minutes
    waited: defaultdict[str, list[float]] = defaultdict(list)
    failed: list[str] = []
    with httpx.Client(base_url=address, timeout=60) as client:
        videos = draw_videos(client, 100)

    def ask_until_the_end(number: int) -> None:
        draw = random.Random(number)
        with httpx.Client(base_url=address, timeout=60) as client:
            caller = Caller(client, people, videos, number)
            while time.monotonic() < ends:
                [kind] = draw.choices(list(_MIX), list(_MIX.values()))
                started = time.perf_counter()
                try:
                    answer = caller.ask(kind)
                except httpx.HTTPError as error:
                    failed.append(f"{kind}: {error!r}")
                    continue
                waited[kind].append((time.perf_counter() - started) * 1000)
                if answer.status_code != 200:
                    failed.append(f"{kind}: {answer.status_code} {answer.text[:200]}")

    threads = [threading.Thread(target=ask_until_the_end, args=(one,)) for one in range(clients)]
    for thread in threads:
        thread.start()
    memory = []
    while any(thread.is_alive() for thread in threads):
        memory.append(_measure_memory())
        time.sleep(_LOOK_EVERY_S)
    return waited, failed, memory


def _measure_memory() -> float:
    """Return the MiB of the processes that were started from here."""
    total = 0
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += one.memory_info().rss
    return total / _MIB


if __name__ == "__main__":
    main()
