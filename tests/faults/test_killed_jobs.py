"""SIGKILL of the job at moments all over its time, run after run over a source that changes."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.faults.conftest import KILLS
from tests.faults.jobs import Jobs
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


def test_whatever_moment_jobs_are_killed_at_nothing_is_lost_or_twice_or_deleted(
    place, source, rng, say, temporary, tmp_path
):
    data, jobs = place.data, Jobs(place, source.write(), tmp_path)
    # Every finished generation that has to be there, the published one last, and what it holds.
    history, holds = [], {}

    def publish() -> None:
        source.write()
        summary = jobs.run()
        assert summary["published"]
        history.append(summary["generation"])
        holds[history[-1]] = dict(source.videos)

    def require_all(newest: int = 2) -> None:
        """The published generation is there, and the one before, whole and right."""
        assert set(history[-2:]) <= set(data.list_generations())
        assert data.read_current() == history[-1]
        for name in history[-newest:]:
            place.require(name, holds[name])

    publish()
    for _ in range(3):
        source.change()
        publish()
    require_all()
    place.require_nothing_else(history[-2:])

    moments = [(number + rng.random()) / KILLS for number in range(KILLS)]
    rng.shuffle(moments)
    seen: Counter[str] = Counter()
    killed, continued = 0, 0
    while killed < KILLS:
        source.change()
        source.write()
        struck = jobs.strike(moments[killed], child=rng.random() < 0.5)
        phase = find_phase(data, history[-1], at_work=struck.at_work)
        if data.read_current() != history[-1]:  # it had got so far
            history.append(data.read_current())
            holds[history[-1]] = dict(source.videos)
        require_all(newest=1)
        if struck.ended:
            # Too late, as jobs take different times: nearer to the beginning.
            moments[killed] *= rng.random()
            continue

        # The next has the same source, or one that has changed once more.
        if changed := rng.random() < 0.5:
            source.change()
        source.write()
        there = data.list_generations()
        summary = jobs.run()
        assert summary["videos"] == len(source.videos)
        assert summary["generation"] == data.read_current()
        if summary["published"]:
            history.append(summary["generation"])
            holds[history[-1]] = dict(source.videos)
            # One that was complete when its job was killed may be the one that is published.
            place.require_generations(history[-2:])
        else:
            assert not changed
            assert set(data.list_generations()) <= set(there)
        require_all()
        place.require_collections()
        killed += 1
        continued += summary["continued"]
        seen[phase] += 1
        after = "went on" if summary["continued"] else "began anew"
        say(
            f"{killed}/{KILLS}: {struck.who} killed after {struck.seconds:.2f} s, {phase}; the "
            f"next {after if summary['published'] else 'had nothing to do'}"
        )

    source.change()
    publish()
    require_all()
    place.require_nothing_else(history[-2:])
    assert list(temporary.iterdir()) == []
    by_phase = ", ".join(f"{count} {phase}" for phase, count in seen.most_common())
    say(f"{killed} kills ({by_phase}), {continued} jobs went on, differences: 0")
