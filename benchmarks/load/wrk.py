"""The load tool, wrk: started for a while, and what its script wrote down, as arrays.

wrk is one small C process whose script runs in LuaJIT: beside a server on two cores, what the tool
takes counts.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import TwinLensError, UsageError

_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
# An answer that takes longer counts as an error.
TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Answers:
    """What a run of the tool got, answer by answer, in the order of their coming.

    ``sent_us`` is on the monotonic clock; ``waited_us`` is what the client waited. ``timings`` are
    the milliseconds that the server told of itself in each answer, empty where it told none.
    ``errors`` counts what was no answer at all.
    """

    sent_us: npt.NDArray[np.float64]
    waited_us: npt.NDArray[np.float64]
    status: npt.NDArray[np.int64]
    kind: npt.NDArray[np.str_]
    timings: list[dict[str, float]]
    seconds: float
    errors: dict[str, int]
    body_bytes: int

    @property
    def failed(self) -> int:
        """How many requests had no answer, or another than 200."""
        return int((self.status != 200).sum()) + sum(self.errors.values())


def require_wrk() -> str:
    """The path of wrk.

    Raises:
        UsageError: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise UsageError("the load tool wrk is not installed: apt-get install wrk")
    return found


def wrk_version() -> str:
    """The line that wrk says of itself."""
    said = subprocess.run([require_wrk(), "-v"], capture_output=True, text=True, check=False)
    return said.stdout.partition(" [")[0].strip()


def drive(address: str, requests: Path, *, clients: int, seconds: float, scratch: Path) -> Answers:
    """Let so many clients ask what ``requests`` lists, each the next as soon as it has an answer.

    The lines are sent in their order, and from the first again after the last.

    Raises:
        TwinLensError: the tool failed; its own words are in the message.
    """
    log = scratch / "answers.tsv"
    command = [
        require_wrk(), "--threads", "1", "--connections", str(clients),
        "--duration", f"{max(1, round(seconds))}s", "--timeout", f"{TIMEOUT_S}s",
        "--script", str(_SCRIPT), address, "--", str(requests), str(log),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    summary = next(
        (line for line in reversed(done.stdout.splitlines()) if line.startswith("{")), None
    )
    if done.returncode != 0 or summary is None:
        raise TwinLensError(f"wrk failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return _answers(log, json.loads(summary))


def _answers(log: Path, summary: dict[str, Any]) -> Answers:
    sent, waited, status, kinds, timings = [], [], [], [], []
    size = 0
    for line in log.read_text(encoding="utf-8").splitlines():
        moment, took, code, length, kind, told = line.split("\t")
        sent.append(float(moment))
        waited.append(float(took))
        status.append(int(code))
        kinds.append(kind)
        timings.append(json.loads(told) if told else {})
        size += int(length)
    return Answers(
        np.array(sent),
        np.array(waited),
        np.array(status, dtype=np.int64),
        np.array(kinds, dtype=np.str_),
        timings,
        summary["duration_us"] / 1e6,
        {name: summary[name] for name in ("connect", "read", "write", "timeout")},
        size,
    )
