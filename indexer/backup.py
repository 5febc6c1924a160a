"""Backups: the published generation in a data directory of its own, and back.

A backup of an embedded index can be verified, and searched, as it is. One of a server's has a
snapshot of the collection beside the mirror.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import Final

from twinlens.catalog.errors import StoreCorrupt, StoreError, UsageError
from twinlens.catalog.files import count_disk_bytes, require_room, sync_directory, write_atomically
from twinlens.encoders.lens import Lenses
from twinlens.encoders.sparse import add_sparse
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.indexer.build import (
    FREE_BYTES,
    open_ledger,
    remove_generation,
    remove_unneeded_thumbnails,
)
from twinlens.indexer.rebuild import rebuild
from twinlens.indexer.verify import compare_stores
from twinlens.stores.checksums import require_unchanged
from twinlens.stores.copying import copy_file, copy_tree
from twinlens.stores.engines import SNAPSHOT_FILE, Engine, is_kept_by
from twinlens.stores.flat import FlatReader
from twinlens.stores.generations import (
    BUILD_FILE,
    CALIBRATIONS_FILE,
    MANIFEST_FILE,
    RULES_FILE,
    SUPERSEDED_FILE,
    DataDir,
    Manifest,
)
from twinlens.stores.inventory import require_counts

logger = logging.getLogger(__name__)

# Gets the number of pictures copied since its last call.
Progress = Callable[[int], object]
_ATTEMPTS: Final = 3
# Says that a folder is a backup, whole or not: what it has and needs no more may be removed.
_MARK: Final = "BACKUP"
# There before anything is backed up: the lock, and what a new disk has.
_NOTHING: Final = {"index.lock", "lost+found"}
# What the owner has written, and no job makes again.
_OWNERS_FILES: Final = (RULES_FILE, CALIBRATIONS_FILE)
_NOT_COPIED: Final = (MANIFEST_FILE, BUILD_FILE, SUPERSEDED_FILE)


def back_up(data: DataDir, engine: Engine, target: DataDir, *, progress: Progress = id) -> Manifest:
    """Make ``target`` a backup of the published generation; jobs and servers go on meanwhile.

    Returns the manifest of what is backed up. An earlier backup there is replaced once the new one
    is whole; pictures that it has, or a call that was stopped left there, are not copied again.

    Raises:
        NoGeneration: nothing is published.
        UsageError: ``target`` is the index itself or in it, or holds anything but a backup.
        StoreCorrupt: the generation is damaged.
        OutOfRoom, StoreUnavailable: there is no room, or the server doesn't answer.
    """
    _require_backup(target, data.path.resolve())
    with target.hold_lock():
        write_atomically(target.path / _MARK, "TwinLens made it, and may remove what is in it\n")
        for attempt in range(1, _ATTEMPTS + 1):
            manifest = data.read_published()
            generation = manifest.generation
            if generation == target.find_published():
                break
            try:
                _copy(data, target, manifest, progress)
                engine.save(generation, target.locate_generation(generation))
                with closing(FlatReader.open(target.locate_mirror(generation))) as mirror:
                    require_counts(manifest, mirror, sparse=False)
                _publish(data, target, generation)
                break
            except (OSError, StoreError):
                # A job may have published another, and removed this one.
                if data.read_current() == generation or attempt == _ATTEMPTS:
                    raise
        target.write_takedowns(data.read_takedowns())
        _copy_owners_files(data, target, replace=True)
        copy_events(data, target)
        for other in set(target.list_generations()) - {manifest.generation}:
            target.remove(other)
        remove_unneeded_thumbnails(target)
    return manifest


def copy_events(source: DataDir, target: DataDir) -> None:
    """Copy the events that lie in a data directory, as they are at one moment, if any do."""
    if not (source.path / EVENTS_FILE).exists():
        return
    making = target.path / f".{EVENTS_FILE}.new"
    making.unlink(missing_ok=True)
    with closing(SqliteEventLog(source.path / EVENTS_FILE)) as log:
        log.copy_to(making)
    sync_directory(making)
    making.replace(target.path / EVENTS_FILE)
    sync_directory(target.path)


def _copy_owners_files(source: DataDir, target: DataDir, *, replace: bool) -> None:
    """Copy what the owner has written, where there is none; or ``replace`` what is there."""
    for name in _OWNERS_FILES:
        file, copy = source.path / name, target.path / name
        if replace or not copy.exists():
            if file.is_file():
                write_atomically(copy, file.read_bytes())
            else:
                copy.unlink(missing_ok=True)


def _require_backup(target: DataDir, index: Path) -> None:
    """Return if nothing is lost where ``target`` becomes a backup of what is in ``index``."""
    path = target.path.resolve()
    if path.is_relative_to(index):
        raise UsageError(f"{path} is in the index that is backed up; name a folder elsewhere")
    names = {entry.name for entry in path.iterdir()} if path.exists() else set()
    there = {name for name in names - _NOTHING if not name.startswith(f".{_MARK}.")}  # half written
    if (there and _MARK not in there) or len(target.list_finished()) > 1:
        raise UsageError(
            f"{path} holds other things than a backup, and they would be lost; name an empty folder"
        )


def restore(
    data: DataDir, engine: Engine, backup: DataDir, sparse: Lenses, *, progress: Progress = id
) -> Manifest:
    """Publish what a backup holds, once it is compared in full; generations that are here stay.

    Returns the manifest of what is published. Where the backup is of another engine, has no
    snapshot, or has videos that were taken down since, it is made anew of the mirror; nothing is
    encoded then but by the lenses ``sparse``, whose vectors the mirror hasn't.

    Raises:
        NoGeneration: ``backup`` is none.
        UsageError: its generation is here already.
        StoreCorrupt: it is damaged; nothing is published.
        OutOfRoom, StoreUnavailable: there is no room, or the server doesn't answer.
        IndexLocked: a job is at work.
    """
    manifest = backup.read_published()
    generation = manifest.generation
    with data.hold_lock():
        if generation in data.list_finished():
            raise UsageError(
                f"generation {generation} is in {data.path.resolve()} already; "
                f"`twinlens publish {generation}` publishes it"
            )
        taken_down = data.read_takedowns() | backup.read_takedowns()
        had = engine.has(generation)  # a server is not lost with the data directory
        try:
            _copy(backup, data, manifest, progress)
            data.write_takedowns(taken_down)
            _copy_owners_files(backup, data, replace=False)
            if not (data.path / EVENTS_FILE).exists():
                copy_events(backup, data)
            return _publish_copy(data, engine, backup, manifest, sparse, taken_down)
        finally:
            if data.is_unfinished(generation):
                remove_generation(data, None if had else engine, generation)


def _publish_copy(
    data: DataDir,
    engine: Engine,
    backup: DataDir,
    manifest: Manifest,
    sparse: Lenses,
    taken_down: Collection[str],
) -> Manifest:
    """Publish the copied generation as it is, or else what the mirror of it holds."""
    generation = manifest.generation
    path = data.locate_generation(generation)
    with open_ledger(data, generation) as ledger:
        has_taken_down = bool(ledger.lookup(list(taken_down)))
    as_it_is = not has_taken_down and is_kept_by(engine, manifest)
    with closing(FlatReader.open(data.locate_mirror(generation))) as mirror:
        require_counts(manifest, mirror, sparse=False)
        if not (as_it_is and engine.load(generation, path)):
            scanned = mirror.scan(with_vectors=True)
            batches = (add_sparse(batch, sparse, data.thumbnails) for batch in scanned)
            return rebuild(data, engine, manifest, batches, without=taken_down)
        with closing(engine.open_reader(generation, manifest.fields)) as reader:
            require_counts(manifest, reader)
            differences = compare_stores(
                reader, mirror, manifest.dims, sparse=sparse, thumbnails=data.thumbnails
            )
    if differences:
        raise StoreCorrupt(
            f"{backup.path.resolve()}: Qdrant and the FAISS mirror differ: {'; '.join(differences)}"
        )
    (path / SNAPSHOT_FILE).unlink(missing_ok=True)
    engine.publish(generation)
    _publish(backup, data, generation)
    return manifest


def _copy(source: DataDir, target: DataDir, manifest: Manifest, progress: Progress) -> None:
    """Copy a generation, as an unfinished one, and its pictures."""
    generation = manifest.generation
    path, copy = source.locate_generation(generation), target.locate_generation(generation)
    target.remove(generation)
    with open_ledger(source, generation) as ledger:
        named = set(ledger.thumbnail_files())
    pictures = [
        source.thumbnails / name for name in named if not (target.thumbnails / name).exists()
    ]
    needed = count_disk_bytes(path) + sum(one.stat().st_size for one in pictures if one.exists())
    require_room(target.path, needed + FREE_BYTES, to="copy the index")
    copy.mkdir(parents=True)
    write_atomically(copy / BUILD_FILE, "null\n")
    for part in path.iterdir():
        if part.is_dir():
            copy_tree(part, copy / part.name)
        elif part.name not in _NOT_COPIED:
            copy_file(part, copy / part.name)
    require_unchanged(source, manifest, copy=copy)
    target.thumbnails.mkdir(exist_ok=True)
    lost = []
    for picture in pictures:
        content = picture.read_bytes() if picture.exists() else b""
        if hashlib.sha256(content).hexdigest() == picture.stem:
            write_atomically(target.thumbnails / picture.name, content, durable=False)
        else:
            lost.append(picture.name)
        progress(1)
    if lost and source.read_current() != generation:
        raise StoreError(f"generation {generation} was replaced while it was copied")
    if lost:
        logger.warning(
            "%d pictures are missing or damaged, and are not copied: %s, ...", len(lost), lost[0]
        )


def _publish(source: DataDir, target: DataDir, generation: str) -> None:
    """Make the copy of a generation in ``target`` the published one."""
    os.sync()
    manifest = source.locate_generation(generation) / MANIFEST_FILE
    write_atomically(target.locate_generation(generation) / MANIFEST_FILE, manifest.read_bytes())
    target.switch_to(generation)
