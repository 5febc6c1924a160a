"""A run killed at its work: nothing lingers, and the next run finishes the same catalogue."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.samples.drawn import files_of
from twinlens.samples import draw_sample

SCRIPT = """
import sys
from pathlib import Path
from twinlens.samples import catalogue, draw_sample
catalogue._CHUNK = 10
draw_sample(Path(sys.argv[1]), videos=100000, workers=2, progress=False)
"""


def wait_until(done: Callable[[], bool], *, within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


def test_a_killed_run_leaves_no_process_and_is_continued(tmp_path: Path) -> None:
    directory = tmp_path / "killed"
    run = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(directory)], cwd=Path(__file__).parents[2]
    )
    log = directory / ".rows.jsonl"
    # Whole shares of both processes: the second's may come before the first's.
    wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") > 20)
    children = psutil.Process(run.pid).children(recursive=True)
    assert len(children) >= 2
    run.kill()
    run.wait()
    wait_until(lambda: not any(child.is_running() for child in children))

    # Cut a row short.
    log.write_bytes(log.read_bytes()[:-9])
    logged = log.read_bytes().count(b"\n") - 1
    assert not (directory / "metadata.jsonl").exists()
    # A smaller catalogue than was begun: what lies beyond it goes.
    summary = draw_sample(directory, videos=logged, workers=1, progress=False)
    assert summary.drawn < logged
    draw_sample(tmp_path / "whole", videos=logged, workers=1, progress=False)
    assert files_of(directory) == files_of(tmp_path / "whole")
