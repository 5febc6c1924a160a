"""SIGKILL at any moment: the published generation stays, and the next job goes on from there."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stores.engines import EmbeddedEngine
from tests.indexer.conftest import jpeg

ROOT = Path(__file__).parents[2]
VIDEOS = 1500


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, ROOT / "twinlens.py", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def engine(data):
    return EmbeddedEngine(data)


@pytest.mark.slow
def test_killed_at_ten_random_moments_nothing_is_lost_and_nothing_is_there_twice(
    catalogue, data, published, tmp_path
):
    rng = random.Random(11)
    for number in range(VIDEOS):
        picture = jpeg((number % 256, number // 256, 77)) if number % 3 == 0 else None
        catalogue.add(f"video{number}", title=f"Episode {number}", picture=picture)
    # A first generation, which every kill must leave as it is.
    all_rows = dict(catalogue.rows)
    catalogue.rows = {name: row for name, row in all_rows.items() if int(name[5:]) < 50}
    options = ("--data-dir", str(data.path), "--title-model", "packaged:use-m3")
    job = start("index", catalogue.write(), *options)
    assert job.wait() == 0, job.stderr.read()
    job.communicate()
    current = data.current()
    before = published.vectors()
    catalogue.rows = all_rows
    source = catalogue.write()

    kills = 0
    while kills < 10:
        job = start("index", source, *options)
        # Startup takes seconds; these moments fall before, into and after the work itself.
        time.sleep(rng.uniform(0.3, 4.0))
        if job.poll() is not None:
            job.communicate()
            break
        job.send_signal(signal.SIGKILL)
        job.communicate()
        kills += 1
        assert data.current() == current
        assert published.vectors() == before

    summary_path = tmp_path / "summary.json"
    job = start("index", source, *options, "--json", str(summary_path))
    output, errors = job.communicate()
    assert job.returncode == 0, errors
    summary = json.loads(summary_path.read_text())
    assert summary["videos"] == VIDEOS
    index = published.vectors()
    assert set(index) == set(all_rows)
    assert published.differences() == []
    assert len(list(data.generations.iterdir())) == 2
    assert kills == 10, f"the job ended by itself after {kills} kills: {output}"
