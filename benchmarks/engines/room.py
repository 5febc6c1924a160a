"""Whether a size fits: what it will need of memory and disk, known before it starts."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from twinlens.benchmarks.engines.experiments import Experiment
from twinlens.benchmarks.engines.truth import scoring_bytes

GIB: Final = 2**30
# Python, NumPy and the engine's library, in each of the processes.
_PROCESS_BYTES: Final = 150 * 2**20
# Building holds the vectors, their graph and what lies between, and the input is mapped beside it.
_BUILDING_PER_BYTE: Final = 2.5
# How many exact answers are kept for a query and a vector, and what each takes.
_ANSWERS_KEPT: Final = 200
_BYTES_PER_ANSWER: Final = 16
# A result, and the one that is to take its place.
_RESULT_BYTES: Final = 32 * 2**20

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUPS: Final = Path("/proc/self/cgroup")


class Need(NamedTuple):
    """Bytes of memory and of disk."""

    memory_bytes: int
    disk_bytes: int


def need(
    videos: int,
    dims: Mapping[str, int],
    experiments: Sequence[Experiment],
    *,
    clients: int,
    queries: int = 500,
) -> Need:
    """What comparing these engines at this size takes, on the safe side.

    All engines are open at once, beside a copy of the first vector's values, which is read as a
    yardstick; the disk holds the vectors and every index.
    """
    size = videos * sum(dims.values()) * 4
    asked = queries * sum(dims.values()) * 4
    there = [one for one in experiments if one.most_videos is None or videos <= one.most_videos]
    yardstick = videos * next(iter(dims.values())) * 4
    open_at_once = size * sum(one.memory_per_byte for one in there) + yardstick
    building = size * _BUILDING_PER_BYTE
    truth = scoring_bytes(videos, queries, limit=_ANSWERS_KEPT)
    answers = queries * len(dims) * _ANSWERS_KEPT * _BYTES_PER_ANSWER
    processes = (_PROCESS_BYTES + asked) * max(len(there), clients)
    return Need(
        round(max(open_at_once, building, truth) + answers + processes),
        round(size * (1.1 + sum(one.disk_per_byte for one in there)) + asked + answers),
    )


def lacking(
    wanted: Need, directory: Path, *, there_bytes: int = 0, result: Path | None = None
) -> str | None:
    """What is missing here, in words, or None; ``there_bytes`` lie in the directory already.

    ``result`` is the file that the result is written to, which may lie on another disk.
    """
    directory.mkdir(parents=True, exist_ok=True)
    disk = shutil.disk_usage(directory).free + there_bytes
    wants = [
        ("memory", wanted.memory_bytes, free_memory_bytes()),
        ("disk", wanted.disk_bytes, disk),
    ]
    if result is not None:
        folder = next(one for one in result.absolute().parents if one.is_dir())
        if folder.stat().st_dev != directory.stat().st_dev:
            free = shutil.disk_usage(folder).free
            wants.append((f"disk of {result.name}", _RESULT_BYTES, free))
    short = [
        f"{what}: {_shown(of)} needed, {_shown(free)} free" for what, of, free in wants if of > free
    ]
    return "; ".join(short) or None


def free_memory_bytes(*, cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """What is left of the machine's memory, of this process's cgroups', and of its own limit."""
    limits = [psutil.virtual_memory().available, *_left_in_cgroups(cgroups, own)]
    of_addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if of_addresses != resource.RLIM_INFINITY:
        limits.append(of_addresses)
    return max(0, min(limits))


def _left_in_cgroups(cgroups: Path, own: Path) -> Iterator[int]:
    """What each memory cgroup that this process is in leaves, in version 1 and in version 2."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and controllers == "":
            top, limit, usage = cgroups, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            top = cgroups / "memory"
            limit, usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # A container may see its own group as the top, by a path that is not there.
        group = top / path.lstrip("/")
        while True:
            # There may be no such group, or "max" for its limit.
            with suppress(OSError, ValueError):
                used = int((group / usage).read_text("ascii")) - _cached_bytes(group)
                yield int((group / limit).read_text("ascii")) - used
            if group == top or top not in group.parents:
                break
            group = group.parent


def _cached_bytes(group: Path) -> int:
    """Pages of files that a group is charged for, and which the system takes back when it must."""
    lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    of = {key: int(value) for key, value in (line.split() for line in lines)}
    return sum(
        of.get(f"total_{kind}", of.get(kind, 0)) for kind in ("active_file", "inactive_file")
    )


def _shown(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB" if size_bytes >= GIB / 10 else f"{size_bytes >> 20} MiB"
