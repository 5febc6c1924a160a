"""A process that writes to a store until it is killed: ``python -m tests.stores.writer``.

Prints ``i`` once batch ``i`` is acknowledged, that is, upserted (edge) or flushed (flat).
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.stores.catalogue import video
from twinlens.stores.base import StoredVideo
from twinlens.stores.edge import EdgeStore
from twinlens.stores.flat import FlatStore

BATCH = 20


def batch(i: int) -> list[StoredVideo]:
    rng = np.random.default_rng(i)
    return [video(rng, f"{i}-{j}", title=f"batch {i}") for j in range(BATCH)]


def write_until_killed(path: Path, batches: int) -> int:
    """SIGKILL after that many acknowledged batches; how many there were in the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.stores.writer", str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(batches)]
        process.kill()
        return len([*acknowledged, *process.stdout])


def main(path: Path) -> None:
    store = (EdgeStore if path.name == "qdrant" else FlatStore).open(path)
    for i in itertools.count():
        store.upsert(batch(i))
        if isinstance(store, FlatStore):
            store.flush()
        sys.stdout.write(f"{i}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
