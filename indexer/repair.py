"""``twinlens repair``: from a damaged generation to a whole one, by the half that is whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from twinlens.catalog.errors import StoreCorrupt, StoreError, StoreUnavailable
from twinlens.catalog.timing import StageTimes
from twinlens.catalog.vectors import SparseVector
from twinlens.catalog.versions import list_installed_versions
from twinlens.encoders.lens import Lenses
from twinlens.indexer.build import LEDGER_FILE, BuildPlan, begin_build, clear_unfinished
from twinlens.indexer.ledger import Ledger
from twinlens.indexer.verify import make_sparse
from twinlens.stores.base import StoredVideo, VectorReader
from twinlens.stores.engines import Engine
from twinlens.stores.flat import FlatReader
from twinlens.stores.generations import DataDir, Manifest

logger = logging.getLogger(__name__)

QDRANT: Final = "Qdrant"
MIRROR: Final = "the FAISS mirror"


def repair(data: DataDir, engine: Engine, sparse: Lenses) -> tuple[Manifest, str]:
    """Publish what Qdrant or else the mirror has of the published generation, anew.

    Returns the new manifest, and the half that it is made of. Nothing is encoded but by the lenses
    ``sparse``, whose vectors the mirror hasn't. The damaged generation stays, superseded.

    Raises:
        StoreCorrupt: neither half is whole, or the ledger isn't.
        StoreUnavailable: the server doesn't answer.
        IndexLocked: a job is at work.
    """
    with data.hold_lock():
        damaged = data.read_published()
        clear_unfinished(data, engine, keep=None)
        halves: dict[str, Callable[[], VectorReader]] = {
            QDRANT: lambda: engine.open_reader(damaged.generation, damaged.fields),
            MIRROR: lambda: FlatReader.open(data.locate_mirror(damaged.generation)),
        }
        why = []
        for name, open_half in halves.items():
            try:
                with closing(open_half()) as half:
                    batches = half.scan(with_vectors=True)
                    if name == MIRROR:
                        batches = _add_sparse(batches, sparse, data)
                    return _rebuild(data, engine, damaged, batches), name
            except StoreUnavailable:
                raise
            except (StoreError, ValueError) as error:
                logger.warning("%s is not whole: %s", name, error)
                clear_unfinished(data, engine, keep=None)
                why.append(f"{name}: {error}")
        raise StoreCorrupt(
            f"generation {damaged.generation} can't be repaired. {'. '.join(why)}. `twinlens "
            "generations` says what can be published instead; `twinlens index --fresh` starts anew"
        )


def _add_sparse(
    batches: Iterable[list[StoredVideo]], sparse: Lenses, data: DataDir
) -> Iterator[list[StoredVideo]]:
    for batch in batches:
        found: dict[str, dict[str, SparseVector]] = {video.video_id: {} for video in batch}
        for name, lens in sparse.items():
            for video_id, vector in make_sparse(batch, lens, data.thumbnails).items():
                found[video_id][name] = vector
        yield [replace(video, sparse=found[video.video_id]) for video in batch]


def _rebuild(
    data: DataDir, engine: Engine, damaged: Manifest, batches: Iterable[list[StoredVideo]]
) -> Manifest:
    plan = BuildPlan(
        base=None,
        engine=engine.identity,
        lenses=damaged.lenses,
        source=f"repair of {damaged.generation}",
        fresh=True,
        fields=damaged.fields,
    )
    known = data.locate_generation(damaged.generation) / LEDGER_FILE
    now = datetime.now(UTC)
    with (
        closing(Ledger(known, read_only=True)) as ledger,
        closing(begin_build(data, engine, plan, StageTimes(), now=now)) as build,
    ):
        for batch in batches:
            entries = ledger.lookup([video.video_id for video in batch])
            build.write([video for video in batch if video.video_id in entries], entries)
        if build.ledger.count() != ledger.count():
            raise StoreCorrupt(f"{build.ledger.count()} of {ledger.count()} videos of the ledger")
        return build.publish(source=damaged.source, versions=list_installed_versions(), now=now)
