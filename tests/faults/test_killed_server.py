"""SIGKILL of the server at moments all over a job's time, while callers search what it holds."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from tests.backend.served import Served, start
from tests.faults.changing import ChangingSource
from tests.faults.conftest import KILLS
from tests.faults.jobs import Jobs
from tests.faults.places import Videos

pytestmark = pytest.mark.slow
CALLERS = 3


@dataclass
class Load:
    """Jobs, one after the other over a source that changes, and callers, until it is over.

    ``holds`` is what each generation must hold.
    """

    jobs: Jobs
    source: ChangingSource
    over: threading.Event = field(default_factory=threading.Event)
    holds: dict[str, Videos] = field(default_factory=dict)
    published: int = 0

    def publish(self) -> None:
        self.source.write()
        summary = self.jobs.run()
        assert summary["published"]
        self.holds[summary["generation"]] = dict(self.source.videos)
        self.published += 1

    def publish_on(self) -> None:
        while not self.over.is_set():
            self.source.change()
            self.publish()

    def ask_on(self, served: Served, seed: int) -> list[tuple[int, str, dict[str, Any]]]:
        """What callers ask for by its title, and how it is answered."""
        rng, answers = random.Random(seed), []
        while not self.over.is_set():
            title = rng.choice(sorted(one.title for one in list(self.holds.values())[-1].values()))
            status, body = served.get(f"/api/v1/search?limit=20&q={quote(title)}")
            answers.append((status, title, body))
            self.over.wait(0.05)
        return answers


def time_recovery(served: Served, path: str) -> float:
    """The seconds until ten answers in a row begin to be good, from both processes: below 15."""
    began, well, since = time.monotonic(), 0, 0.0
    while well < 10:
        well += 1
        for asked in (path, "/readyz"):
            status, body = served.get(asked)
            if status != 200:
                well, since = 0, time.monotonic() - began
                assert since < 5 * 3, f"{asked}: {status}: {body}\n{served.log()[-2000:]}"
    return since


def require_right(body: dict[str, Any], title: str, holds: dict[str, Videos]) -> None:
    """The answer is one of its generation: no video twice, each by its title, and first the wanted.

    Unless that has another title there.
    """
    expected = holds[body["generation"]]
    found = [(hit["video"]["video_id"], hit["video"]["title"]) for hit in body["hits"]]
    assert len({video_id for video_id, _ in found}) == len(found) == 20
    assert found == [(video_id, expected[video_id].title) for video_id, _ in found]
    if title in {one.title for one in expected.values()}:
        assert found[0][1] == title


def test_while_a_server_is_killed_again_and_again_jobs_go_on_and_no_answer_is_wrong(
    node, node_place, source, rng, say, tmp_path
):
    place = node_place
    load = Load(Jobs(place, source.write(), tmp_path), source)
    load.publish()
    slowest = 0.0
    where = {name: value for name, value in place.settings.items() if name != "collection"}
    with (
        Served(place.data, "--workers", "2", **where) as served,
        ThreadPoolExecutor(CALLERS + 1) as doing,
    ):
        search = f"/api/v1/search?q={quote(next(iter(source.videos.values())).title)}"
        time_recovery(served, search)
        job = doing.submit(load.publish_on)
        callers = [doing.submit(load.ask_on, served, number) for number in range(CALLERS)]
        try:
            for number in range(KILLS):
                time.sleep(rng.uniform(0, 3))
                published = load.published
                node.kill()
                down = rng.uniform(0.2, 2)
                time.sleep(down)
                node.start()
                took = time_recovery(served, search)
                slowest = max(slowest, took)
                say(
                    f"{number + 1}/{KILLS}: killed after {published} jobs, away for {down:.1f} s; "
                    f"all is well {took:.1f} s after its start"
                )
                assert not job.done(), job.result()
        finally:
            load.over.set()
        job.result()
        answers = [one for asked in callers for one in asked.result()]

    said = Counter(body.get("code", "right") for _, _, body in answers)
    assert {status for status, _, _ in answers} <= {200, 503}, said
    assert said["right"]
    for status, title, body in answers:
        if status == 200:
            require_right(body, title, load.holds)
    kept = list(load.holds)[-2:]
    for generation in kept:
        place.require(generation, load.holds[generation])
    place.require_nothing_else(kept)
    told = start("verify", "--data-dir", place.data.path, **where)
    out, errors = told.communicate()
    assert told.returncode == 0, out + errors
    by_code = ", ".join(f"{count} {code}" for code, count in said.most_common())
    say(
        f"{KILLS} kills during {load.published} jobs; answers: {by_code}; all well at most "
        f"{slowest:.1f} s after a start"
    )
