"""Encode work by all lenses at once, and set aside the items that can't be encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Protocol

from twinlens.catalog.errors import UnencodableItems
from twinlens.catalog.timing import StageTimes
from twinlens.catalog.vectors import AnyVector, SparseVector, StoredVideo, Vector
from twinlens.encoders.lens import Lens, Lenses


class Encodable(Protocol):
    """A video of which something is to be encoded."""

    @property
    def video_id(self) -> str:
        """Its id."""
        ...

    @property
    def payload(self) -> Mapping[str, Any]:
        """What is stored of it beside its vectors."""
        ...

    @property
    def items(self) -> Mapping[str, Any]:
        """What each lens is to encode, by the lens's name."""
        ...


class BatchEncoder:
    """Runs the lenses side by side; counts in ``encoded`` what each has encoded."""

    def __init__(self, lenses: Lenses, times: StageTimes) -> None:
        self._lenses = lenses
        self._times = times
        # Tokenizing titles keeps one core busy, and leaves the others to the thumbnails. A thread
        # for each, always the same: OpenMP makes its own anew for every other that calls it.
        self._threads = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"encode-{name}") for name in lenses
        }
        self.encoded = dict.fromkeys(lenses, 0)

    def encode(self, works: Sequence[Encodable]) -> tuple[list[dict[str, AnyVector]], set[int]]:
        """Return the vectors of each work, and the indexes of works that can't be encoded."""
        running = {}
        for name, lens in self._lenses.items():
            items = {at: work.items[name] for at, work in enumerate(works) if name in work.items}
            if items:
                running[name] = self._threads[name].submit(self._encode, lens, items)
        wait(running.values())
        vectors: list[dict[str, AnyVector]] = [{} for _ in works]
        unencodable: set[int] = set()
        for name, future in running.items():
            found, bad = future.result()
            unencodable |= bad
            for at, vector in found.items():
                if vector is not None:
                    vectors[at][name] = vector
        return vectors, unencodable

    def close(self) -> None:
        """Let go of the threads."""
        for thread in self._threads.values():
            thread.shutdown()

    def _encode(
        self, lens: Lens[Any], items: Mapping[int, Any]
    ) -> tuple[dict[int, AnyVector | None], set[int]]:
        bad: set[int] = set()
        with self._times.stage(f"encode {lens.plural()}"):
            try:
                vectors = lens.encode(list(items.values()))
            except UnencodableItems as error:
                indexes = list(items)
                bad = {indexes[row] for row in error.rows}
                items = {at: item for at, item in items.items() if at not in bad}
                vectors = lens.encode(list(items.values())) if items else []
        self.encoded[lens.name] += len(items)
        return dict(zip(items, vectors, strict=True)), bad


def to_stored_video(video: Encodable, vectors: Mapping[str, AnyVector]) -> StoredVideo:
    """Return ``video`` as it is stored, with ``vectors`` by the lens that made each."""
    dense: dict[str, Vector] = {}
    sparse: dict[str, SparseVector] = {}
    for name, vector in vectors.items():
        if isinstance(vector, SparseVector):
            sparse[name] = vector
        else:
            dense[name] = vector
    return StoredVideo(video.video_id, video.payload, dense, sparse)
