"""A disk that is too small, at any moment of a job: a sentence, nothing lost, and on it goes."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.indexer.conftest import jpeg
from twinlens.catalog.errors import OutOfRoom
from twinlens.catalog.files import count_disk_bytes
from twinlens.cli import main
from twinlens.stores.generations import DataDir

# A full disk ends embedded Qdrant by a signal; a server's disk is its own.
pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture
def resize(disk: Path) -> Callable[[int], None]:
    """Makes the disk so many MiB large."""

    def make(mebibytes: int) -> None:
        options = f"remount,size={mebibytes}m"
        subprocess.run(["mount", "-o", options, disk], check=True, capture_output=True)

    return make


@pytest.fixture
def data(disk: Path) -> DataDir:
    return DataDir(disk / "data")


def test_a_job_that_has_no_room_says_so_and_goes_on_when_there_is_some(
    run_job, catalogue, data, published, resize
):
    catalogue.add_titles(range(10, 200))
    for mebibytes in (1, *range(4, 230, 16)):
        resize(mebibytes)
        with pytest.raises((OutOfRoom, OSError), match=r"MB are free|No space"):
            run_job()
    assert data.read_current() is None
    resize(2000)
    first = run_job()
    assert (first.continued, first.videos) == (True, 200)

    catalogue.add("another")
    used = count_disk_bytes(data.path) // 2**20
    for more in (1, 16, 66):
        resize(used + more)
        with pytest.raises(OutOfRoom, match=r"to begin a generation takes about \d+ MB"):
            run_job()
    assert data.list_generations() == [data.read_current()] == [first.generation]
    assert published.differences() == []
    resize(2000)
    assert run_job().videos == 201
    assert published.differences() == []


def test_a_disk_that_can_only_be_read_is_the_machine_s_failure(catalogue, data, disk, engine):
    catalogue.add("another", picture=jpeg((1, 2, 3)))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    asked = ["index", catalogue.write(), "--data-dir", str(data.path)]
    told = CliRunner().invoke(main, [*asked, "--title-model", "packaged:use-m3"])
    assert (told.exit_code, told.output.count("\n")) == (1, 1), told.output
    assert "Read-only file system" in told.output
