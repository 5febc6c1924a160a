"""A published generation written anew: whole where it was damaged, or without some videos."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Final, NamedTuple

from twinlens.catalog.errors import (
    OutOfRoom,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    UsageError,
)
from twinlens.catalog.timing import StageTimes
from twinlens.catalog.versions import list_installed_versions
from twinlens.encoders.lens import Lenses
from twinlens.encoders.sparse import add_sparse
from twinlens.indexer.build import (
    LEDGER_FILE,
    BuildPlan,
    begin_build,
    open_ledger,
    remove_generation,
    remove_unneeded_thumbnails,
)
from twinlens.indexer.fetch import locate_fetched
from twinlens.indexer.ledger import Entry
from twinlens.indexer.verify import compare_stores
from twinlens.stores.base import StoredVideo, VectorReader
from twinlens.stores.checksums import (
    MIRROR_FILES,
    QDRANT_FILES,
    WAY_OUT,
    find_changed,
    require_unchanged,
)
from twinlens.stores.engines import Engine
from twinlens.stores.flat import FlatReader
from twinlens.stores.generations import DataDir, Manifest
from twinlens.stores.inventory import require_counts

QDRANT: Final = "Qdrant"
MIRROR: Final = "the FAISS mirror"


def repair(
    data: DataDir, engine: Engine, sparse: Lenses, *, half: str | None = None
) -> tuple[Manifest, str | None]:
    """Publish the published generation anew, of the half of it that is whole: Qdrant or the mirror.

    Returns the manifest of what is published, and the half that it is made of; None if nothing was
    damaged. Where both halves can be read, the one whose files are as they were published is taken,
    unless ``half`` says which is right: the other is not opened then, nor compared. Nothing is
    encoded but by the lenses ``sparse``, whose vectors the mirror hasn't. The damaged generation
    stays, superseded.

    Raises:
        UsageError: both halves can be read, they differ, and nothing says which is right.
        StoreCorrupt: neither half, or not the one asked for, is whole; or the ledger isn't.
        StoreUnavailable, OutOfRoom: the server doesn't answer, or there is no room.
        IndexLocked: a job is at work.
    """
    with data.hold_lock(), ExitStack() as opened:
        damaged = data.read_published()
        changed = find_changed(data, damaged)
        if LEDGER_FILE in changed:
            raise StoreCorrupt(f"{changed[LEDGER_FILE]}; `twinlens index --fresh` starts anew")
        opened.enter_context(open_ledger(data, damaged.generation))
        openers: dict[str, Callable[[], VectorReader]] = {
            QDRANT: lambda: engine.open_reader(damaged.generation, damaged.fields),
            MIRROR: lambda: FlatReader.open(data.locate_mirror(damaged.generation)),
        }
        harmed = _find_harmed_halves(changed)
        halves: dict[str, VectorReader] = {}
        why = [] if half else list(changed.values())
        # Opening a damaged one may end the process.
        for name in [half] if half else [name for name in openers if harmed != {name}]:
            try:
                reader = opened.enter_context(closing(openers[name]()))
                require_counts(damaged, reader, sparse=name == QDRANT)
                halves[name] = reader
            except StoreCorrupt as error:
                why.append(f"{name}: {error}")
        if len(halves) == 2:
            wanted = _choose_half(data, damaged, halves, sparse, changed)
            if wanted is None:
                return damaged, None
        else:
            wanted = next((name for name in halves if half or name not in harmed), None)
        if wanted is None:
            raise StoreCorrupt(
                f"generation {damaged.generation} can't be repaired. {'. '.join(why)}. `twinlens "
                "generations` says what can be published instead; `twinlens index --fresh` starts "
                "anew"
            )
        batches = halves[wanted].scan(with_vectors=True)
        if wanted == MIRROR:
            batches = (add_sparse(batch, sparse, data.thumbnails) for batch in batches)
        return rebuild(data, engine, damaged, batches), wanted


def _choose_half(
    data: DataDir,
    damaged: Manifest,
    halves: Mapping[str, VectorReader],
    sparse: Lenses,
    changed: Mapping[str, str],
) -> str | None:
    """Return which of two halves that can be opened is right; None where nothing is damaged.

    Raises:
        UsageError: they differ, and nothing says which is right.
        StoreUnavailable, OutOfRoom: the server doesn't answer, or there is no room.
    """
    try:
        differences = compare_stores(
            halves[QDRANT], halves[MIRROR], damaged.dims, sparse=sparse, thumbnails=data.thumbnails
        )
    except (StoreUnavailable, OutOfRoom):
        raise
    except StoreError as error:  # one that opens, and can't be read to its end
        differences = [str(error)]
    if not differences:
        return QDRANT if changed else None
    in_server = damaged.checksums is not None and damaged.collection is not None
    if in_server and not _find_harmed_halves(changed):
        # What a server has can't be looked at; the mirror is as it was compared with it.
        return MIRROR
    raise UsageError(
        f"Qdrant and the mirror can be opened, and differ: {'; '.join(differences)}."
        " Say which is right: --from qdrant or --from mirror"
    )


def _find_harmed_halves(changed: Collection[str]) -> set[str]:
    """Return the halves that have a file among ``changed``."""
    return {
        name
        for name, files in ((QDRANT, QDRANT_FILES), (MIRROR, MIRROR_FILES))
        if any(file.startswith(files) for file in changed)
    }


class TakenDown(NamedTuple):
    """What ``take_down`` did: what is published now, and which generations were removed.

    ``unknown`` are the ids that no generation had.
    """

    published: Manifest | None
    removed: list[str]
    unreadable: list[str]
    unknown: list[str]


def take_down(data: DataDir, engine: Engine, video_ids: Collection[str]) -> TakenDown:
    """Remove videos from every generation, with their pictures, so that no job brings them back.

    The published generation is written anew without them, so that nothing of them is left in its
    files; others that have one are removed. One whose ledger can't be read is left, and named. A
    kill on the way leaves what a second call finishes.

    Raises:
        NoGeneration: ``CURRENT`` names none of the finished generations.
        UsageError: no other video would be left.
        StoreCorrupt: the published generation is damaged.
        StoreError: a store can't be read, or doesn't answer.
        IndexLocked: a job is at work.
    """
    with data.hold_lock():
        data.refuse_unpublished(data.list_finished())  # else the last ones would go
        current = data.find_published()
        having, unreadable = _find_generations(data, video_ids)
        made = old = None if current is None else data.read_manifest(current)
        if old is not None:
            require_unchanged(data, old, way_out=WAY_OUT)
        if old is not None and len(having.get(old.generation, ())) == old.counts["videos"]:
            raise UsageError("no other video would be left in the index; nothing was changed")
        data.write_takedowns(data.read_takedowns().union(video_ids))
        # What was pruned is still in the files of a copy.
        if old is not None and any(having.values()):
            having.setdefault(old.generation, {})
            with closing(engine.open_reader(old.generation, old.fields)) as reader:
                batches = reader.scan(with_vectors=True)
                made = rebuild(data, engine, old, batches, without=video_ids)
        for generation, entries in having.items():
            for url in {entry.thumbnail_url for entry in entries.values()} - {None}:
                locate_fetched(data.fetched, str(url)).unlink(missing_ok=True)
            remove_generation(data, engine, generation)
        if not unreadable:
            remove_unneeded_thumbnails(data)
    known = {video_id for entries in having.values() for video_id in entries}
    return TakenDown(made, [*having], unreadable, sorted(set(video_ids) - known))


def _find_generations(
    data: DataDir, video_ids: Collection[str]
) -> tuple[dict[str, dict[str, Entry]], list[str]]:
    """Return the ledger's entries of the videos by generation; and those that can't be read."""
    having, unreadable = {}, []
    for generation in data.list_generations():
        try:
            with open_ledger(data, generation) as ledger:
                if entries := ledger.lookup(list(video_ids)):
                    having[generation] = entries
        except StoreError:
            ledger_file = data.locate_generation(generation) / LEDGER_FILE
            if data.is_unfinished(generation) and not ledger_file.exists():
                having[generation] = {}  # killed as it was begun: nothing can go on with it
            else:
                unreadable.append(generation)
    return having, unreadable


def rebuild(
    data: DataDir,
    engine: Engine,
    old: Manifest,
    batches: Iterable[list[StoredVideo]],
    *,
    without: Collection[str] = (),
) -> Manifest:
    """Publish what ``batches`` hold of a generation, by its own ledger and lenses.

    Raises:
        StoreCorrupt: they don't hold all that the ledger has; nothing is published.
    """
    plan = BuildPlan(
        base=None,
        engine=engine.identity,
        lenses=old.lenses,
        source=f"{old.generation}, anew",
        fresh=True,
        fields=old.fields,
    )
    now = datetime.now(UTC)
    with ExitStack() as opened:
        ledger = opened.enter_context(open_ledger(data, old.generation))
        build = begin_build(data, engine, plan, StageTimes(), now=now)
        # If it isn't published; what a kill leaves, the next job removes.
        opened.callback(_remove_unfinished, data, engine, build.generation)
        opened.enter_context(closing(build))
        for batch in batches:
            entries = ledger.lookup([one.video_id for one in batch if one.video_id not in without])
            build.write([video for video in batch if video.video_id in entries], entries)
        wanted = ledger.count() - len(ledger.lookup(list(without)))
        if build.ledger.count() != wanted:
            raise StoreCorrupt(
                f"{build.ledger.count()} of the {wanted} videos that the ledger has are stored; "
                "`twinlens index --fresh` starts anew"
            )
        return build.publish(source=old.source, versions=list_installed_versions(), now=now)


def _remove_unfinished(data: DataDir, engine: Engine, generation: str) -> None:
    if data.is_unfinished(generation):
        remove_generation(data, engine, generation)
