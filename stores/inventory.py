"""What generations a data directory holds, and which of them can be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from twinlens.catalog.errors import StoreCorrupt, TwinLensError
from twinlens.catalog.files import count_disk_bytes
from twinlens.stores.base import VectorReader
from twinlens.stores.checksums import require_unchanged
from twinlens.stores.flat import FlatReader
from twinlens.stores.generations import DataDir, Manifest

OpenReader = Callable[[Manifest], VectorReader]
State = Literal["published", "kept", "unfinished", "damaged", "orphaned"]


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """One generation. ``manifest`` is None where it has none that can be read.

    An orphaned one is a collection of a server, and has no directory here. ``size_bytes`` is what
    its files take on disk, without a server's. ``problem`` says why it can't be opened, and is
    empty where it can.
    """

    generation: str
    state: State
    manifest: Manifest | None
    size_bytes: int
    problem: str


def describe_generations(data: DataDir, open_reader: OpenReader) -> Iterator[GenerationReport]:
    """Yield a report of every generation on disk, oldest first; finished ones are opened."""
    published = data.find_published()
    for name in data.list_generations():
        state, manifest, problem = _look_at(data, name, open_reader)
        if name == published:
            state = "published"
        size_bytes = count_disk_bytes(data.locate_generation(name))
        yield GenerationReport(name, state, manifest, size_bytes, problem)


def open_whole(data: DataDir, manifest: Manifest, open_reader: OpenReader) -> None:
    """Return if a generation is as it was published, and opens, and its mirror, with all videos.

    Raises:
        StoreError: it does not.
        UsageError: a server keeps it, and none is named.
    """
    require_unchanged(data, manifest)
    with closing(open_reader(manifest)) as reader:
        require_counts(manifest, reader)
    with closing(FlatReader.open(data.locate_mirror(manifest.generation))) as mirror:
        require_counts(manifest, mirror, sparse=False)


def require_counts(manifest: Manifest, reader: VectorReader, *, sparse: bool = True) -> None:
    """Return if ``reader`` has as many videos and vectors as the manifest says; or no sparse ones.

    Raises:
        StoreCorrupt: it has not.
    """
    for name in ("videos", *manifest.dims):  # what else is counted, this version doesn't know
        count = manifest.counts[name]
        if sparse or name == "videos" or manifest.dims[name] is not None:
            found = reader.count(None if name == "videos" else name)
            if found != count:
                raise StoreCorrupt(
                    f"generation {manifest.generation}: {found} of {name}, where there were {count}"
                )


def _look_at(
    data: DataDir, name: str, open_reader: OpenReader
) -> tuple[State, Manifest | None, str]:
    damage = data.find_damage(name)
    if damage is not None:
        return ("unfinished", None, "") if data.is_unfinished(name) else ("damaged", None, damage)
    manifest = data.read_manifest(name)
    try:
        open_whole(data, manifest, open_reader)
    except TwinLensError as error:
        return "kept", manifest, str(error)
    return "kept", manifest, ""
