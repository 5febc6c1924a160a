"""How much memory is left to this process, and whether that is enough for what it is to do."""

from __future__ import annotations

import math
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from twinlens.catalog.errors import OutOfRoom

_CGROUPS: Final = Path("/sys/fs/cgroup")
# By version of control groups: the folder, and the files that say the limit and the use.
_FILES: Final = {
    "": (_CGROUPS, "memory.max", "memory.current"),
    "memory": (_CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
}


def require_memory(needed_bytes: int, *, addresses_bytes: int = 0, to: str) -> None:
    """Return if so much memory is left, or if nothing says how much; ``to`` says for what.

    ``addresses_bytes`` are those that are mapped and not used, which ``ulimit -v`` counts, too.

    Raises:
        OutOfRoom: less is left.
    """
    left = [(needed_bytes, *limit) for limit in _list_limits()]
    with suppress(OSError):
        left += [(needed_bytes + addresses_bytes, *limit) for limit in _list_address_limits()]
    for needed, free, whose in left:
        if free < needed:
            raise OutOfRoom(
                f"to {to} takes at least {math.ceil(needed / 1e6)} MB of memory, and "
                f"{max(0, free) // 10**6} MB are left {whose}. Nothing was published; run it "
                "again where there is more"
            )


def _list_limits() -> Iterator[tuple[int, str]]:
    """Yield how many bytes are left, and where; swapping counts as memory."""
    try:
        machine = _read_numbers(Path("/proc/meminfo"))
        swap = machine["SwapFree"] * 1024
        yield machine["MemAvailable"] * 1024 + swap, "on this machine"
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, KeyError):  # not Linux
        return
    for _, names, path in (line.split(":", 2) for line in groups):
        if names not in _FILES:
            continue
        root, limit, used = _FILES[names]
        # In a container its own group may be the root of what is mounted.
        for group in (root / path.lstrip("/"), root):
            with suppress(OSError, ValueError, KeyError):  # no limit, no such group
                free = int((group / limit).read_text()) - int((group / used).read_text())
                stat = _read_numbers(group / "memory.stat")
                cached = sum(stat[kind] for kind in ("inactive_file", "active_file"))
                yield free + cached + swap, "in this container or control group"


def _list_address_limits() -> Iterator[tuple[int, str]]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        yield limit - pages * resource.getpagesize(), "under `ulimit -v`"


def _read_numbers(file: Path) -> dict[str, int]:
    lines = (line.replace(":", " ").split() for line in file.read_text().splitlines())
    return {name: int(value) for name, value, *_ in lines}
