"""Processes that end together, and what it means when one is ended by a signal."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Final

_CAUSES: Final = {
    signal.SIGBUS: "the disk filled up, or failed, under files that embedded Qdrant maps",
    signal.SIGKILL: "it was killed, most likely for want of memory",
    signal.SIGABRT: "a library gave up, most likely for want of memory",
    signal.SIGSEGV: "a library crashed, maybe for want of memory",
}


def end_with_parent(parent: int) -> None:
    """Have this process killed once ``parent``, which made it, has ended, however that ends."""
    if sys.platform == "linux":
        import ctypes  # here, as the process that watches has no use for it

        # Not a thread that waits for it: an engine that builds a graph holds the GIL for minutes.
        # Source: prctl(2), PR_SET_PDEATHSIG.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)  # it ended before it could be watched


def explain_signal(number: int, data_dir: Path | None = None) -> str | None:
    """Return what most likely made signal ``number`` end a process; None where somebody sent it.

    For a disk, how much of it is free where ``data_dir`` lies.
    """
    try:
        cause = _CAUSES[signal.Signals(number)]
    except (KeyError, ValueError):
        return None
    if number == signal.SIGBUS and data_dir is not None:
        try:
            cause += f", {shutil.disk_usage(data_dir).free // 10**6} MB are free in {data_dir}"
        except OSError:
            cause += f" in {data_dir}"
    return f"{cause} ({signal.Signals(number).name})"
