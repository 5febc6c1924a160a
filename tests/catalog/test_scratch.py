"""Temporary directories: those of killed processes go with the next one, all others stay."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from twinlens.catalog.scratch import ScratchDirectory

ROOT = Path(__file__).parents[2]
MAKES_ONE = """
import signal
from twinlens.catalog.scratch import ScratchDirectory

made = ScratchDirectory("kept-")
print(made.name, flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path):
    def start():
        return subprocess.Popen(
            [sys.executable, "-c", MAKES_ONE],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    with start() as killed, start() as alive:
        left, used = (Path(one.stdout.readline().strip()) for one in (killed, alive))
        (left / "linked").symlink_to(elsewhere)
        (tmp_path / "kept-link").symlink_to(elsewhere)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.exists()
        with ScratchDirectory("kept-") as mine, ScratchDirectory("kept-"):
            assert not left.exists()
            assert used.exists()
            assert Path(mine).exists()
        assert not Path(mine).exists()
        alive.send_signal(signal.SIGKILL)
    assert (elsewhere / "file").exists()
    ScratchDirectory("kept-").cleanup()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "kept-link"]


def test_it_may_be_cleaned_up_twice_and_under_others(tmp_path):
    made = ScratchDirectory("kept-")
    Path(made.name, "file").touch()
    made.cleanup()
    made.cleanup()
    assert list(tmp_path.iterdir()) == []
