"""A process that writes to a store until it is killed: ``python -m tests.stores.writer``.

Prints ``i`` once batch ``i`` is acknowledged, that is, upserted (edge) or flushed (flat).
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

from tests.stores.catalogue import video
from twinlens.stores.edge import EdgeStore
from twinlens.stores.flat import FlatStore

BATCH = 20


def batch(i: int) -> list[object]:
    rng = np.random.default_rng(i)
    return [video(rng, f"{i}-{j}", title=f"batch {i}") for j in range(BATCH)]


def main(engine: str, path: str) -> None:
    store = (EdgeStore if engine == "edge" else FlatStore).open(Path(path))
    for i in itertools.count():
        store.upsert(batch(i))
        if engine == "flat":
            store.flush()
        sys.stdout.write(f"{i}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
