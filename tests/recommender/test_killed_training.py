"""SIGKILL of ``twinlens train-recommender`` at many moments: models are whole, or not there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.recommender.drawn_log import draw_events, to_table
from tests.recommender.test_training_command import index  # noqa: F401 - a fixture
from twinlens.recommender.models import ModelDirectory, RecommenderModel

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# Without the process that watches it, so that the one that is killed does the work.
RUN = "from twinlens.cli import main; main()"


def count_made(models: ModelDirectory) -> int:
    return len([*models.path.glob("*.new")])


def count_whole(models: ModelDirectory) -> int:
    return len(models.list())


# When to strike: so much of a run's time after it began, or so long after something has changed.
BY_TIME = [0.5, 0.9]
BY_CHANGE: list[tuple[Callable[[ModelDirectory], object], float]] = [
    *((count_made, after_s) for after_s in (0.0, 0.005)),
    (count_whole, 0.0),
    (ModelDirectory.read_current, 0.0),
]


def test_whenever_it_is_killed_models_are_whole_and_the_next_run_publishes(index, tmp_path):  # noqa: F811
    models = ModelDirectory(index)
    log = tmp_path / "events.parquet"
    pq.write_table(to_table(draw_events(people=150)), log)
    command = [sys.executable, "-c", RUN, "train-recommender", str(log), "--force"]
    command += ["--data-dir", str(index), "--epochs", "3", "--dim", "8", "--hidden", "16"]
    command += ["--threads", "1"]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ
        )

    def require_whole() -> None:
        for name in models.list():
            RecommenderModel.load(models.locate(name))
        current = models.read_current()
        assert current is None or current in models.list()

    def run() -> float:
        started = time.monotonic()
        process = start()
        _, said = process.communicate()
        assert process.returncode == 0, said
        require_whole()
        assert models.read_current() == models.list()[-1]
        assert len(models.list()) <= 3
        assert {one.name for one in models.path.iterdir() if one.is_dir()} - {"training"} == set(
            models.list()
        )
        return time.monotonic() - started

    def kill_after(seconds: float) -> str:
        before = models.read_current(), models.list()
        process = start()
        time.sleep(seconds)
        return strike(process, *before)

    def kill_on_change(look: Callable[[ModelDirectory], object], after_s: float) -> str:
        before = models.read_current(), models.list()
        process, first = start(), look(models)
        while process.poll() is None and look(models) == first:
            time.sleep(0.0005)
        time.sleep(after_s)
        return strike(process, *before)

    def strike(process: subprocess.Popen[bytes], current: str | None, names: list[str]) -> str:
        process.kill()
        process.communicate()
        require_whole()
        if process.returncode == 0:
            return "ended"
        if models.read_current() != current:
            return "published"
        return "kept" if models.list() != names else "keeping" if count_made(models) else "training"

    whole_s = run()
    seen = Counter(kill_after(share * whole_s) for share in BY_TIME)
    run()
    for look, after_s in BY_CHANGE:
        seen[kill_on_change(look, after_s)] += 1
    run()
    sys.stderr.write(f"{dict(seen)}\n")
    assert {"training", "keeping", "kept", "published"} <= set(seen)
