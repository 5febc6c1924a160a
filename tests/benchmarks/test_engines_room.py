"""Whether a size fits is known before it starts, whatever it is that limits."""

from __future__ import annotations

import resource
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from twinlens.benchmarks.engines import room
from twinlens.benchmarks.engines.experiments import EXPERIMENTS
from twinlens.benchmarks.engines.room import GIB, Need, free_memory_bytes, lacking, need

DIMS = {"title": 512, "thumbnail": 128}
MIB = 2**20
FLATS = EXPERIMENTS[:1]


@pytest.fixture(autouse=True)
def plenty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine of 100 GiB, of which no test needs to know what it really has."""
    available = namedtuple("available", "available")(100 * GIB)
    monkeypatch.setattr(room.psutil, "virtual_memory", lambda: available)
    monkeypatch.setattr(
        room.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    monkeypatch.setattr(room, "_OWN_CGROUPS", tmp_path / "none")


def test_more_queries_need_more_memory() -> None:
    few, usual, many = (
        need(20_000, DIMS, FLATS, clients=1, queries=queries) for queries in (10, 500, 10_000)
    )
    assert few < usual < many
    # Exact answers are found for 500 at once, whose scores are all that grows to much.
    assert usual.memory_bytes > 500 * 20_000 * 32
    assert many.memory_bytes - usual.memory_bytes < 200 * MIB
    assert usual == need(20_000, DIMS, FLATS, clients=1)


def test_a_copy_of_the_first_vectors_values_lies_beside_the_engines() -> None:
    videos = 1_000_000
    of = need(videos, DIMS, EXPERIMENTS, clients=8)
    engines = sum(
        one.memory_per_byte
        for one in EXPERIMENTS
        if one.most_videos is None or one.most_videos >= videos
    )
    assert of.memory_bytes > videos * (640 * 4 * engines + 512 * 4)


def test_what_fits_lacks_nothing(tmp_path: Path) -> None:
    assert lacking(Need(99 * GIB, MIB), tmp_path, result=tmp_path / "result.json") is None


def test_memory_is_told_with_what_there_is(tmp_path: Path) -> None:
    assert lacking(Need(101 * GIB, MIB), tmp_path) == "memory: 101.0 GiB needed, 100.0 GiB free"


def test_the_process_may_have_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.resource, "getrlimit", lambda _: (3 * GIB, resource.RLIM_INFINITY))
    assert free_memory_bytes() == 3 * GIB


def group(path: Path, *, cached: str, **files: Any) -> None:
    path.mkdir(parents=True)
    for name, value in files.items():
        (path / name.replace("__", ".")).write_text(f"{value}\n", encoding="ascii")
    (path / "memory.stat").write_text(f"anon 5\n{cached}\n", encoding="ascii")


def test_a_container_of_version_2_limits(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n", encoding="ascii")
    top = tmp_path / "cgroups"
    group(top, cached="inactive_file 0")
    group(
        top / "outer",
        cached=f"inactive_file {MIB}\nactive_file {MIB}",
        memory__max=8 * GIB,
        memory__current=2 * GIB,
    )
    group(top / "outer" / "inner", cached="x 1", memory__max="max", memory__current=GIB)
    assert free_memory_bytes(cgroups=top, own=own) == 6 * GIB + 2 * MIB


def test_a_container_of_version_1_limits(tmp_path: Path) -> None:
    own = tmp_path / "own"
    # A path of the machine's, which the container doesn't see.
    own.write_text("9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n", encoding="ascii")
    group(
        tmp_path / "cgroups" / "memory",
        cached=f"inactive_file 1\ntotal_inactive_file {MIB}",
        memory__limit_in_bytes=4 * GIB,
        memory__usage_in_bytes=GIB,
    )
    assert free_memory_bytes(cgroups=tmp_path / "cgroups", own=own) == 3 * GIB + MIB


def test_what_uses_more_than_it_may_leaves_nothing(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/\n", encoding="ascii")
    group(tmp_path / "cgroups", cached="x 1", memory__max=GIB, memory__current=2 * GIB)
    assert free_memory_bytes(cgroups=tmp_path / "cgroups", own=own) == 0


def test_no_cgroups_limit_nothing(tmp_path: Path) -> None:
    assert free_memory_bytes(cgroups=tmp_path, own=tmp_path / "none") == 100 * GIB


def test_the_result_may_lie_on_another_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of it that is yet to be made."""
    other = tmp_path / "other"
    other.mkdir()
    stat = Path.stat

    class Elsewhere:
        def __init__(self, of: Any) -> None:
            self.st_mode, self.st_dev = of.st_mode, of.st_dev + 1

    monkeypatch.setattr(
        Path,
        "stat",
        lambda path, **more: Elsewhere(stat(path, **more)) if path == other else stat(path, **more),
    )
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(
        room.shutil,
        "disk_usage",
        lambda path: usage(5 * MIB) if path == other else usage(50 * GIB),
    )
    result = other / "new" / "result.json"
    assert lacking(Need(GIB, GIB), tmp_path / "work", result=result) == (
        "disk of result.json: 32 MiB needed, 5 MiB free"
    )
    assert lacking(Need(GIB, GIB), tmp_path / "work", result=tmp_path / "result.json") is None
    assert lacking(Need(GIB, GIB), tmp_path / "work") is None
    told = lacking(Need(GIB, 60 * GIB), tmp_path / "work", there_bytes=5 * GIB)
    assert told == "disk: 60.0 GiB needed, 55.0 GiB free"
