"""SIGKILL at any moment: the published generation stays, and the next job goes on from there."""

import json
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.indexer.conftest import jpeg
from twinlens.catalog.errors import StoreError
from twinlens.indexer.build import LEDGER_FILE
from twinlens.indexer.ledger import Ledger

ROOT = Path(__file__).parents[2]
VIDEOS = 2500
FIRST = 300


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "twinlens", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ledger_count(data) -> int:
    """Videos in the ledger of the unfinished generation; 0 while there is none."""
    for path in data.generations.iterdir():
        if (path / "build.json").exists():
            try:
                with closing(Ledger(path / LEDGER_FILE, read_only=True)) as ledger:
                    return ledger.count()
            except StoreError:  # caught while it is being made
                return 0
    return 0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["embedded"], indirect=True)  # test_kill_server has the other
def test_killed_at_ten_random_moments_nothing_is_lost_and_nothing_is_there_twice(
    catalogue, data, published, tmp_path
):
    rng = random.Random(11)
    for number in range(VIDEOS):
        picture = jpeg((number % 256, number // 256, 77)) if number % 3 == 0 else None
        catalogue.add(f"video{number}", title=f"Episode {number}", picture=picture)
    # A first generation, which every kill must leave as it is; all of it will have changed.
    all_rows = dict(catalogue.rows)
    catalogue.rows = {
        name: row | {"title": f"Before: {row['title']}"}
        for name, row in all_rows.items()
        if int(name[5:]) < FIRST
    }
    options = ("--data-dir", str(data.path))
    models = ("--title-model", "packaged:use-m3")
    job = start("index", catalogue.write(), *options, *models)
    _, errors = job.communicate()
    assert job.returncode == 0, errors
    current, before = data.read_current(), published.vectors()
    catalogue.rows = all_rows
    source = catalogue.write()

    # Rows in the ledger at which to strike: while old videos are replaced, and new ones added.
    reached = []
    for moment in sorted(rng.sample(range(FIRST, VIDEOS - 200), 10)):
        job = start("index", source, *options, *models)
        while job.poll() is None and ledger_count(data) < moment:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        job.send_signal(signal.SIGKILL)
        job.communicate()
        assert job.returncode == -signal.SIGKILL, "the job ended before it was killed"
        reached.append(ledger_count(data))
        assert data.read_current() == current
        assert published.vectors() == before
    assert reached == sorted(reached)
    assert reached[-1] > reached[0]

    summary_path = tmp_path / "summary.json"
    job = start("index", source, *options, *models, "--json", str(summary_path))
    _, errors = job.communicate()
    assert job.returncode == 0, errors
    summary = json.loads(summary_path.read_text())
    assert summary["continued"]
    assert summary["videos"] == VIDEOS
    # What the killed jobs had done was not encoded again, but for the batch in flight.
    assert summary["titles_encoded"] <= VIDEOS - reached[-1] + 64
    assert set(published.vectors()) == set(all_rows)
    assert published.payload("video3")["title"] == "Episode 3"
    assert published.differences() == []
    job = start("verify", *options)
    said, errors = job.communicate()
    assert job.returncode == 0, said + errors
    assert len(data.list_generations()) == 2
