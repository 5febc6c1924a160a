"""Appends events to the SQLite log until it is killed, and says what was acknowledged.

python -m tests.events.writer FILE NAME
"""

from __future__ import annotations

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.events.made import make
from twinlens.events.sqlite_log import SqliteEventLog


def main(path: Path, name: str) -> None:
    log = SqliteEventLog(path)

    def write(thread: int) -> None:
        for n in itertools.count():
            # Each batch has an event of the batch before, and a heartbeat of one playback.
            batch = [
                make(f"{name}-{thread}-{n}-a", "like"),
                make(f"{name}-{thread}-{n}-b", "like"),
                make(f"{name}-{thread}-{n}-h", watch_id=f"{name}-{thread}", watched_s=float(n)),
            ]
            if n:
                batch.append(make(f"{name}-{thread}-{n - 1}-a", "like"))
            log.append(batch)
            sys.stdout.write(f"{thread} {n}\n")
            sys.stdout.flush()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(write, range(3)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
