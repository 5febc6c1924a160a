"""A description of the machine that a measurement ran on."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from twinlens.catalog.versions import list_installed_versions

# Above this many runnable processes at the start, absolute times say more about the neighbours.
DISTURBED_LOAD: Final = 1.5


def describe_machine(*packages: str) -> dict[str, Any]:
    """This machine, the versions and commit under measure, the load, and the command, as JSON.

    ``load`` is the load average over 1, 5 and 15 minutes; ``disturbed`` says that the first was
    above 1.5, so that ratios are to be trusted before absolute times. ``dirty`` lists tracked
    files that differ from ``commit``; both are None outside a git checkout. ``packages`` are told
    beside those that every result depends on.
    """
    load = [round(value, 2) for value in os.getloadavg()]
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *_command()]),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": _dirty(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": load,
        "disturbed": load[0] > DISTURBED_LOAD,
        "versions": list_installed_versions(*packages),
    }


def format_machine(record: Mapping[str, Any], *, package: str = "qdrant-edge-py") -> str:
    """Return one line for a person, of a machine as described, with the version of ``package``."""
    commit = (record["commit"] or "no commit")[:10]
    return (
        f"{record['processor']}, {record['cores']} cores, Python {record['python']}, "
        f"{package} {record['versions'].get(package)}, commit {commit}"
        f"{' with changes' if record['dirty'] else ''}, load {record['load'][0]}"
        f"{' (disturbed: trust ratios, not times)' if record['disturbed'] else ''}"
    )


def _command() -> list[str]:
    # ``sys.argv[0]`` of ``python -m package.module`` is the file, which names the machine's paths;
    # others are told by their last part, for results are published.
    arguments = [Path(one).name if Path(one).is_absolute() else one for one in sys.argv[1:]]
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return ["-m", spec.name, *arguments]
    return [Path(sys.argv[0]).name, *arguments]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.rstrip("\n") if done.returncode == 0 else None


def _dirty() -> list[str] | None:
    status = _git("status", "--porcelain", "--untracked-files=no")
    return None if status is None else [line[3:] for line in status.splitlines()]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
