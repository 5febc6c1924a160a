"""A disk that is too small, at any moment of a job: a sentence, nothing lost, and on it goes."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disks import MEBIBYTE, Disk, mount
from tests.indexer.conftest import count_stored
from twinlens.catalog.errors import OutOfRoom
from twinlens.stores.generations import DataDir

ROOT = Path(__file__).parents[2]
# `twinlens` with small encoders, and without the room that is asked for ahead if told so.
PROGRAM = """
import sys
import twinlens.cli, twinlens.entry

def command(prog_name):
    from tests.fakes import ColourEncoder, WordEncoder
    from twinlens.encoders import load
    from twinlens.indexer import build

    load.load_title_encoder = lambda name, **_: WordEncoder(dim=8192)
    load.load_thumbnail_encoder = lambda name, **_: ColourEncoder()
    if unguarded:
        build.FREE_BYTES = -(2**40)
    run(prog_name=prog_name)

unguarded = sys.argv.pop(1) == "unguarded"
run, twinlens.cli.main = twinlens.cli.main, command
twinlens.entry.main()
"""

# A full disk ends embedded Qdrant by a signal; a server's disk is its own.
pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True)
each_kind = pytest.mark.parametrize(
    "disk", ["tmpfs", pytest.param("ext4", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with mount(tmp_path / "disk", getattr(request, "param", "tmpfs")) as made:
        yield made


@pytest.fixture
def data(disk: Disk) -> DataDir:
    return DataDir(disk.path / "data")


def start(*arguments: object, guard: str = "guarded") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, guard, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its code, and what it said of its failure: all but the bar of progress."""
    _, said = process.communicate(timeout=120)
    return process.returncode, said.replace("\r", "\n").partition("twinlens: ")[2]


def assert_failed_in_a_sentence(code: int, said: str) -> None:
    assert (code, said.count("\n")) == (1, 1), said


@each_kind
def test_a_job_that_has_no_room_says_so_and_goes_on_when_there_is_some(
    run_job, catalogue, data, published, disk
):
    catalogue.add_titles(range(10, 200))
    for mebibytes in (1, 3, 60, 120):
        disk.leave(mebibytes * MEBIBYTE)
        with pytest.raises((OutOfRoom, OSError), match=r"MB are free|No space"):
            run_job()
    assert data.read_current() is None
    disk.make_room()
    first = run_job()
    assert first.videos == 200

    catalogue.add("another")
    for more in (1, 16, 66):
        disk.leave(more * MEBIBYTE)
        with pytest.raises(OutOfRoom, match=r"to begin a generation takes about \d+ MB"):
            run_job()
    assert data.list_generations() == [data.read_current()] == [first.generation]
    assert published.differences() == []
    disk.make_room()
    assert run_job().videos == 201
    assert published.differences() == []


@pytest.mark.slow
@each_kind
def test_twenty_disks_that_fill_up_unforeseen(catalogue, data, published, disk):
    """As where somebody else takes the room that was free when it was asked for."""
    catalogue.add_titles(range(10, 300))
    job = ("index", catalogue.write(), "--data-dir", data.path)
    failed = 0
    for mebibytes in range(3, 61, 3):
        disk.leave(mebibytes * MEBIBYTE)
        code, said = end(start(*job, guard="unguarded"))
        disk.make_room()
        if code != 0:
            assert_failed_in_a_sentence(code, said)
            failed += 1
            if failed % 4 == 1:  # it takes as long again
                assert end(start(*job)) == (0, "")
                assert published.differences() == []
        shutil.rmtree(data.path)
    assert failed >= 4


@pytest.mark.slow
@each_kind
def test_somebody_else_fills_the_disk_under_a_job(catalogue, data, published, disk):
    catalogue.add_titles(range(10, 3000))
    job = start("index", catalogue.write(), "--data-dir", data.path)
    while job.poll() is None and count_stored(data) < 64:
        time.sleep(0.005)
    disk.fill()
    assert_failed_in_a_sentence(*end(job))
    assert data.read_current() is None
    disk.make_room()
    for command in (["index", catalogue.write()], ["verify"]):
        code, said = end(start(*command, "--data-dir", data.path))
        assert code == 0, said
    assert len(published.vectors()) == 3000


def test_who_reads_on_a_full_disk_is_ended_by_it_and_says_so(run_job, data, disk):
    """Reading a hole of a file takes room on tmpfs."""
    run_job()
    copy = disk.path / "copy"
    subprocess.run(["cp", "-r", "--sparse=always", data.path, copy], check=True)
    disk.fill()
    code, said = end(start("verify", "--data-dir", copy))
    assert_failed_in_a_sentence(code, said)
    assert f"0 MB are free in {copy} (SIGBUS)" in said
    disk.make_room()
    assert end(start("verify", "--data-dir", copy)) == (0, "")
