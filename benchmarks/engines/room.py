"""Whether a size fits: what it will need of memory and disk, known before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from benchmarks.engines.experiments import Experiment

GIB: Final = 2**30
# Python, NumPy and the engine's library, in each of the processes.
_PROCESS_BYTES: Final = 150 * 2**20
# Building holds the vectors, their graph and what lies between, and the input is mapped beside it.
_BUILDING_PER_BYTE: Final = 2.5


class Need(NamedTuple):
    """Bytes of memory and of disk."""

    memory_bytes: int
    disk_bytes: int


def need(
    videos: int, dims: Mapping[str, int], experiments: Sequence[Experiment], *, clients: int
) -> Need:
    """What comparing these engines at this size takes, on the safe side.

    All engines are open at once; the disk holds the vectors and every index.
    """
    size = videos * sum(dims.values()) * 4
    there = [one for one in experiments if one.most_videos is None or videos <= one.most_videos]
    open_at_once = size * sum(one.memory_per_byte for one in there)
    building = size * _BUILDING_PER_BYTE
    processes = _PROCESS_BYTES * max(len(there), clients)
    return Need(
        round(max(open_at_once, building) + processes),
        round(size * (1.1 + sum(one.disk_per_byte for one in there))),
    )


def lacking(wanted: Need, directory: Path, *, there_bytes: int = 0) -> str | None:
    """What is missing here, in words, or None; ``there_bytes`` lie in the directory already."""
    directory.mkdir(parents=True, exist_ok=True)
    memory = psutil.virtual_memory().available
    disk = shutil.disk_usage(directory).free + there_bytes
    short = [
        f"{what}: {of / GIB:.1f} GiB needed, {free / GIB:.1f} free"
        for what, of, free in (
            ("memory", wanted.memory_bytes, memory),
            ("disk", wanted.disk_bytes, disk),
        )
        if of > free
    ]
    return "; ".join(short) or None
