"""What a measurement ran on, and reports as JSON."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from twinlens.catalog.files import write_atomically
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
    status = _ask_git("status", "--porcelain", "--untracked-files=no")
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *_find_command()]),
        "commit": _ask_git("rev-parse", "HEAD"),
        "dirty": None if status is None else [line[3:] for line in status.splitlines()],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _name_processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": load,
        "disturbed": load[0] > DISTURBED_LOAD,
        "versions": list_installed_versions(*packages),
    }


def _find_command() -> list[str]:
    # ``sys.argv[0]`` of ``python -m package.module`` is the file, which names the machine's paths;
    # others are told by their last part, for results are published.
    arguments = [Path(one).name if Path(one).is_absolute() else one for one in sys.argv[1:]]
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return [*(["-m", spec.name] if spec else [Path(sys.argv[0]).name]), *arguments]


def _ask_git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.rstrip("\n")


def _name_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def to_json(value: object) -> Any:
    """Dataclasses and named tuples as objects, sequences as arrays, floats to five places.

    A field that a dataclass leaves out of its ``repr`` is left out here, too.
    """
    if is_dataclass(value):
        return {one.name: to_json(getattr(value, one.name)) for one in fields(value) if one.repr}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return to_json(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): to_json(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_json(one) for one in value]
    return round(value, 5) if isinstance(value, float) else value


def write_json(path: Path | None, report: object) -> None:
    """Write ``report`` as JSON, whole or not at all, if there is a ``path``."""
    if path is not None:
        text = json.dumps(to_json(report), indent=1, ensure_ascii=False)
        write_atomically(path, text + "\n")
