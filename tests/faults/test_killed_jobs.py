"""SIGKILL of the job at moments all over its time, run after run over a source that changes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.faults.changing import ChangingSource
from tests.faults.conftest import KILLS
from tests.faults.jobs import Jobs
from tests.faults.places import Place, Videos
from twinlens.indexer.build import BUILD_FILE
from twinlens.stores.generations import DataDir

pytestmark = pytest.mark.slow


def find_phase(data: DataDir, current: str, *, at_work: bool) -> str:
    """What a job was doing when it was killed, by what it left."""
    if not at_work:
        return "loading"
    if data.read_current() != current:
        return "ending"
    for name in reversed(data.list_generations()):
        path = data.locate_generation(name)
        if name != current and data.is_unfinished(name):
            if (path / "manifest.json").exists():
                return "publishing"
            plan = path / BUILD_FILE
            return "writing" if plan.exists() and json.loads(plan.read_text()) else "copying"
    return "reading"


class History:
    """The generations that were published, the last one last, and what each has to hold."""

    def __init__(self, place: Place, source: ChangingSource, jobs: Jobs) -> None:
        self._place, self._source, self._jobs = place, source, jobs
        self._holds: dict[str, Videos] = {}

    @property
    def newest(self) -> list[str]:
        return list(self._holds)[-2:]

    def add(self, generation: str) -> None:
        self._holds[generation] = dict(self._source.videos)

    def publish(self) -> None:
        self._source.write()
        summary = self._jobs.run()
        assert summary["published"]
        self.add(summary["generation"])

    def require(self, generations: list[str]) -> None:
        """The last is published and the one before is there, and these are whole and right."""
        assert set(self.newest) <= set(self._place.data.list_generations())
        assert self._place.data.read_current() == self.newest[-1]
        for name in generations:
            self._place.require(name, self._holds[name])


def go_on(
    history: History, place: Place, source: ChangingSource, jobs: Jobs, *, changed: bool
) -> dict[str, Any]:
    """A job after one that was killed, over the same source or one that has changed once more."""
    if changed:
        source.change()
    source.write()
    there = place.data.list_generations()
    summary = jobs.run()
    assert summary["videos"] == len(source.videos)
    assert summary["generation"] == place.data.read_current()
    if summary["published"]:
        history.add(summary["generation"])
        place.require_generations(history.newest)
    else:  # the one that was killed had got so far
        assert not changed
        assert set(place.data.list_generations()) <= set(there)
    history.require(history.newest)
    place.require_collections()
    return summary


def test_whatever_moment_jobs_are_killed_at_nothing_is_lost_or_twice_or_deleted(
    place, source, rng, say, temporary, tmp_path
):
    data, jobs = place.data, Jobs(place, source.write(), tmp_path)
    history = History(place, source, jobs)
    history.publish()
    for _ in range(3):
        source.change()
        history.publish()
    history.require(history.newest)
    place.require_nothing_else(history.newest)

    moments = [(number + rng.random()) / KILLS for number in range(KILLS)]
    rng.shuffle(moments)
    seen: Counter[str] = Counter()
    killed, continued = 0, 0
    while killed < KILLS:
        source.change()
        source.write()
        current = history.newest[-1]
        struck = jobs.strike(moments[killed], child=rng.random() < 0.5)
        phase = find_phase(data, current, at_work=struck.at_work)
        if data.read_current() != current:
            history.add(data.read_current())
        history.require(history.newest[-1:])
        if struck.ended:
            # Too late, as jobs take different times: nearer to the beginning.
            moments[killed] *= rng.random()
            continue
        summary = go_on(history, place, source, jobs, changed=rng.random() < 0.5)
        killed += 1
        continued += summary["continued"]
        seen[phase] += 1
        after = "went on" if summary["continued"] else "began anew"
        say(
            f"{killed}/{KILLS}: {struck.who} killed after {struck.seconds:.2f} s, {phase}; the "
            f"next {after if summary['published'] else 'had nothing to do'}"
        )

    source.change()
    history.publish()
    history.require(history.newest)
    place.require_nothing_else(history.newest)
    assert list(temporary.iterdir()) == []
    by_phase = ", ".join(f"{count} {phase}" for phase, count in seen.most_common())
    say(f"{killed} kills ({by_phase}), {continued} jobs went on, differences: 0")
