"""The generation under construction: begun as a copy, continued after a kill, published whole."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from twinlens.catalog.errors import StoreCorrupt, StoreError
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.catalog.files import count_disk_bytes, require_room, write_atomically
from twinlens.catalog.memory import require_memory
from twinlens.catalog.timing import StageTimes
from twinlens.catalog.versions import refuse_newer
from twinlens.indexer.ledger import Entry, Ledger
from twinlens.indexer.verify import compare_stores
from twinlens.search.suggestion_file import write_suggestions
from twinlens.stores.base import Dims, StoredVideo, VectorStore
from twinlens.stores.checksums import MIRROR_FILES, QDRANT_FILES, require_unchanged, write_checksums
from twinlens.stores.copying import copy_tree
from twinlens.stores.document_frequencies import FrequencyCounter, write_frequencies
from twinlens.stores.edge import LOAD_BYTES
from twinlens.stores.engines import EMBEDDED, Engine, is_kept_by
from twinlens.stores.flat import FlatStore
from twinlens.stores.generations import (
    BUILD_FILE,
    FREQUENCIES_FORMAT,
    SUGGESTIONS_FILE,
    DataDir,
    LensRecord,
    Manifest,
    make_generation_name,
)
from twinlens.stores.inventory import open_whole
from twinlens.stores.streams import Streams

logger = logging.getLogger(__name__)

LEDGER_FILE: Final = "ledger.sqlite"
# Raised whenever an older program could no longer continue a build right.
BUILD_FORMAT: Final = 2
# Not as in a manifest, which takes the place of a plan while a generation is removed.
_FORMAT: Final = "build_format"
# Embedded Qdrant maps its files, and dies by SIGBUS where the disk is full when it writes to them.
# It makes them in pieces of up to 32 MB.
FREE_BYTES: Final = 128 * 1024 * 1024
# What opening an empty shard takes at least, for its files and threads.
_ENGINE_ADDRESSES: Final = 768 * 1024 * 1024
# For a batch. The engine hangs where no memory is left to describe its own failure with.
_BATCH_BYTES: Final = 16 * 1024 * 1024
_BATCH_ADDRESSES: Final = 96 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What a build is to become; an unfinished one with an equal plan may be continued.

    ``base`` is the generation it starts from as a copy, or None to start empty. ``engine`` and
    ``source`` say which Qdrant and which source, with all that decides what they hold. ``lenses``
    say what makes the vectors; ``fields`` are those that its videos have. ``prune`` is a part of
    it, since a job without must not publish what one with it had removed.
    """

    base: str | None
    engine: str
    lenses: Mapping[str, LensRecord]
    source: str
    fresh: bool
    prune: bool = False
    fields: Fields = FIELDS

    @property
    def dims(self) -> dict[str, int | None]:
        """Vector length by the name of the lens; None where its vectors are sparse."""
        return {name: record.dim for name, record in self.lenses.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values, to be compared with another's."""
        values: dict[str, Any] = json.loads(
            json.dumps(asdict(self) | {"fields": self.fields.to_json()})
        )
        return values


class Build:
    """An unfinished generation: Qdrant's side, the FAISS mirror, and the ledger, kept in step.

    A batch goes to Qdrant first and to the ledger last, so that what the ledger knows is stored. A
    server takes some batches at once; whoever looks at the ledger waits until it has them all.
    The mirror is held in memory and written once, at the end; after a kill it is filled up from
    Qdrant.
    """

    def __init__(
        self, data: DataDir, engine: Engine, plan: BuildPlan, generation: str, times: StageTimes
    ) -> None:
        self.generation = generation
        self._data = data
        self._engine = engine
        self._plan = plan
        self._times = times
        path = data.locate_generation(generation)
        require_memory_to_build(data, engine, generation)
        with ExitStack() as opened:
            self._ledger = opened.enter_context(closing(Ledger(path / LEDGER_FILE)))
            writer = engine.open_writer(generation, plan.dims, plan.fields)
            self.store: VectorStore = opened.enter_context(closing(writer))
            self.mirror = opened.enter_context(closing(_open_mirror(data, generation, plan.dims)))
            self._streams = Streams[Mapping[str, Entry]](engine.streams)
            self._opened = opened.pop_all()

    @property
    def ledger(self) -> Ledger:
        """What every stored video was made from; waits as ``wait`` does."""
        self.wait()
        return self._ledger

    def wait(self) -> None:
        """Return once all that was written is stored, and in the ledger."""
        with self._times.stage("store"):
            done = self._streams.finish()
        self._record(done)

    def write(
        self,
        videos: Sequence[StoredVideo],
        entries: Mapping[str, Entry],
        *,
        replaced: Sequence[str] = (),
    ) -> None:
        """Store whole videos, and remember what they were made from.

        ``replaced`` names those that are stored already. Their old entries go first: a kill on the
        way must not leave one beside a new video.
        """
        self._require_room(0, to="store videos")
        with self._times.stage("ledger"):
            self._ledger.invalidate(replaced)
        with self._times.stage("store"):
            done = self._streams.begin(partial(self.store.upsert, videos), entries)
        with self._times.stage("mirror"):
            self.mirror.upsert(videos)
        self._record(done)

    def _record(self, stored: Sequence[Mapping[str, Entry]]) -> None:
        with self._times.stage("ledger"):
            for entries in stored:
                self._ledger.record(entries)

    def delete(self, video_ids: Sequence[str]) -> None:
        """Remove videos everywhere; the ledger forgets them first, so that none is half there."""
        self.ledger.forget(video_ids)
        self.store.delete(video_ids)
        self.mirror.delete(video_ids)

    def reconcile(self) -> None:
        """Bring Qdrant, mirror and ledger in step after a kill."""
        with self._times.stage("continue"):
            for batch in self.store.scan():
                ids = [video.video_id for video in batch]
                known = self.ledger.lookup(ids)
                if strays := [video_id for video_id in ids if video_id not in known]:
                    self.store.delete(strays)
            for ids in self.ledger.video_ids():
                stored = self.store.get(ids)
                if lost := [video_id for video_id in ids if video_id not in stored]:
                    self.ledger.forget(lost)
            for batch in self.mirror.scan():
                ids = [video.video_id for video in batch]
                known = self.ledger.lookup(ids)
                if strays := [video_id for video_id in ids if video_id not in known]:
                    self.mirror.delete(strays)
            for ids in self.ledger.video_ids():
                mirrored = self.mirror.get(ids)
                self._mirror_again([video_id for video_id in ids if video_id not in mirrored])
            for ids in self.ledger.video_ids(unmirrored=True):
                self._mirror_again(ids)

    def _mirror_again(self, video_ids: Sequence[str]) -> None:
        if video_ids:
            self.mirror.upsert(list(self.store.get(video_ids, with_vectors=True).values()))

    def publish(self, *, source: str, versions: Mapping[str, str], now: datetime) -> Manifest:
        """Finish the generation and make it the published one.

        Raises:
            StoreCorrupt: Qdrant and the mirror don't hold the same; nothing is published.
        """
        # Optimizing writes what it builds anew beside the old, and so does the mirror.
        path = self._data.locate_generation(self.generation)
        self._require_room(count_disk_bytes(path) * 5 // 4, to="optimize and publish")
        ledger = self.ledger  # once all is stored
        with self._times.stage("flush"):
            self.store.flush()
        with self._times.stage("optimize"):
            self.store.optimize()
        with self._times.stage("publish"):
            self.store.flush()
            self.mirror.flush()
            dims = self._plan.dims
            counter = FrequencyCounter([name for name, dim in dims.items() if dim is None])
            differences = compare_stores(self.store, self.mirror, dims, seen=counter.add)
            if differences or self.store.count() != ledger.count():
                raise StoreCorrupt(
                    f"generation {self.generation} is not published, Qdrant, FAISS mirror and "
                    f"ledger don't agree: {'; '.join(differences) or 'counts differ'}. "
                    "Where the published index is damaged, `twinlens repair` makes a whole one of "
                    "the half that is; else run the job again, with --fresh if it says the same"
                )
            counts = {"videos": self.store.count()}
            counts |= {name: self.store.count(name) for name in self._plan.lenses}
            ledger.mark_mirrored()
            write_suggestions(
                path / SUGGESTIONS_FILE,
                (video.payload for batch in self.mirror.scan() for video in batch),
            )
            self.close()
            write_frequencies(path, counter.finish())
            checksums = write_checksums(path)
            os.sync()  # thumbnails, and whatever else the generation needs and nobody synced
            self._engine.publish(self.generation)
        manifest = Manifest(
            generation=self.generation,
            created_at=now.isoformat(timespec="seconds"),
            engine=self._engine.name,
            collection=self._engine.name_collection(self.generation),
            lenses=self._plan.lenses,
            counts=counts,
            source=source,
            versions=versions,
            timings_s=self._times.to_seconds(),
            fields=self._plan.fields,
            checksums=checksums,
            frequencies=FREQUENCIES_FORMAT,
        )
        self._data.publish(manifest)
        return manifest

    def _require_room(self, needed_bytes: int, *, to: str) -> None:
        require_room(self._data.generations, needed_bytes + FREE_BYTES, to=to)
        require_memory(_BATCH_BYTES, addresses_bytes=_BATCH_ADDRESSES, to=to)

    def close(self) -> None:
        """Let go of all files; the build can be continued later."""
        with self._opened:
            # What is under way needs the store, and would be encoded again.
            self._record(self._streams.close())


def require_memory_to_build(data: DataDir, engine: Engine, generation: str | None) -> None:
    """Return if there is the memory to write to a copy of ``generation``, or to a new one if None.

    A job that passes may fail all the same: how much the models take is not known yet.

    Raises:
        OutOfRoom: it would surely fail.
    """
    embedded = engine.name == EMBEDDED
    # A mirror that is written to is in memory as a whole, but for its texts.
    mirror = () if generation is None else data.locate_mirror(generation).glob("*.faiss")
    mirror_bytes = sum(file.stat().st_size for file in mirror)
    require_memory(
        mirror_bytes + (LOAD_BYTES if embedded else 0),
        addresses_bytes=_ENGINE_ADDRESSES if embedded else 0,
        to="write vectors",
    )


def _open_mirror(data: DataDir, generation: str, dims: Dims) -> FlatStore:
    path = data.locate_mirror(generation)
    if not path.exists():
        return FlatStore.create(path, dims)
    try:
        return FlatStore.open(path)
    except StoreCorrupt as error:
        # Killed while it was being written: Qdrant has everything it should hold.
        logger.warning("the FAISS mirror is made again from Qdrant: %s", error)
        shutil.rmtree(path)
        return FlatStore.create(path, dims)


def open_ledger(data: DataDir, generation: str) -> closing[Ledger]:
    """Open the ledger of a generation for reading, until the end of a ``with`` block.

    Raises:
        StoreError: there is none, or it can't be read.
    """
    return closing(Ledger(data.locate_generation(generation) / LEDGER_FILE, read_only=True))


def begin_build(
    data: DataDir, engine: Engine, plan: BuildPlan, times: StageTimes, *, now: datetime
) -> Build:
    """Begin a new build: a copy of its base, or empty."""
    needed = 0 if plan.base is None else count_disk_bytes(data.locate_generation(plan.base))
    data.generations.mkdir(parents=True, exist_ok=True)
    require_room(data.generations, needed + FREE_BYTES, to="begin a generation")
    require_memory_to_build(data, engine, plan.base)
    generation = make_generation_name(now)
    path = data.locate_generation(generation)
    path.mkdir(parents=True)
    # As long as it says null, the directory is an unfinished copy, which is thrown away.
    write_atomically(path / BUILD_FILE, "null\n")
    with times.stage("copy"):
        # Otherwise it begins empty, and the job carries over what is still good.
        base = None if plan.base is None else data.read_manifest(plan.base)
        if base is not None and base.may_be_copied(plan.lenses):
            engine.copy(base.generation, generation)
            copy_tree(data.locate_mirror(base.generation), data.locate_mirror(generation))
            require_unchanged(data, base, part=(QDRANT_FILES, MIRROR_FILES), copy=path)
            with open_ledger(data, base.generation) as ledger:
                ledger.copy_to(path / LEDGER_FILE)
    write_atomically(path / BUILD_FILE, json.dumps(_describe(plan), indent=2) + "\n")
    return Build(data, engine, plan, generation, times)


class PendingBuild:
    """A build that begins once there is something to write; or ``build``, which is continued."""

    def __init__(
        self,
        data: DataDir,
        engine: Engine,
        plan: BuildPlan,
        times: StageTimes,
        build: Build | None = None,
    ) -> None:
        self.plan = plan
        self.build = build
        self._data = data
        self._engine = engine
        self._times = times

    @property
    def known(self) -> str | None:
        """The generation that says what is indexed already; None where nothing is."""
        return self.plan.base if self.build is None else self.build.generation

    @contextmanager
    def open_known_ledger(self) -> Iterator[Ledger | None]:
        """Open the ledger of the known generation for reading."""
        if self.known is None:
            yield None
            return
        if self.build is not None:
            self.build.wait()
        with open_ledger(self._data, self.known) as ledger:
            yield ledger

    def begin(self) -> Build:
        """Return the build; begin it if needed."""
        if self.build is None:
            now = datetime.now(UTC)
            self.build = begin_build(self._data, self._engine, self.plan, self._times, now=now)
        return self.build

    def close(self) -> None:
        """Let go of its files; what is built can be continued later."""
        if self.build is not None:
            self.build.close()


def find_unfinished(data: DataDir, plan: BuildPlan) -> str | None:
    """Return the newest unfinished generation that ``plan`` may continue, or None."""
    current = data.find_published()
    for generation in reversed(data.list_generations()):
        if generation == current:
            continue
        with suppress(StoreError):
            found = _read_plan(data, generation)
            # What another version of this format says beside is left where it is.
            if isinstance(found, dict) and _describe(plan).items() <= found.items():
                return generation
    return None


def _describe(plan: BuildPlan) -> dict[str, Any]:
    return {_FORMAT: BUILD_FORMAT, **plan.to_json()}


def _read_plan(data: DataDir, generation: str) -> Any:
    """Return what a build is to become, as JSON values; None where there is no build.

    Raises:
        StoreCorrupt: its file is damaged.
        StoreError: a newer TwinLens began it.
    """
    path = data.locate_generation(generation) / BUILD_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        # Those begun before there was a format say none; any other plan is not to be continued.
        made_in = values.get(_FORMAT, BUILD_FORMAT) if isinstance(values, dict) else BUILD_FORMAT
        refuse_newer(f"the unfinished generation {generation} has", made_in, BUILD_FORMAT)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StoreCorrupt(f"{path} can't be read: {error}") from error
    return values


def clear_unfinished(data: DataDir, engine: Engine, *, keep: str | None) -> None:
    """Remove unfinished generations other than ``keep``, and not what can't be read.

    If ``CURRENT`` names none, any with a manifest may be the one that it named.
    """
    current = data.find_published()
    for generation in data.list_generations():
        path = data.locate_generation(generation)
        if generation == current:
            # Killed between moving CURRENT and this: it is published, and no build any more.
            (path / BUILD_FILE).unlink(missing_ok=True)
        elif generation == keep or (current is None and (path / "manifest.json").exists()):
            continue
        elif data.is_unfinished(generation):
            try:
                _read_plan(data, generation)
            except StoreError as error:
                logger.warning("an unfinished generation is left alone: %s", error)
                continue
            logger.warning("removing the unfinished generation %s, which can't be continued", path)
            remove_generation(data, engine, generation)
        elif not (path / "manifest.json").exists():
            logger.warning("the generation %s has lost its manifest, and is left alone", path)


def remove_generation(data: DataDir, engine: Engine | None, generation: str) -> None:
    """Remove a generation, and what ``engine`` keeps of it; a kill on the way leaves a build.

    Such a build nothing can continue, and the next job removes it.
    """
    # First, or a kill would leave a generation without vectors, which nobody dares to remove.
    data.begin_removal(generation)
    if engine is not None:
        engine.drop(generation)
    data.remove(generation)


def count_lost(data: DataDir, generation: str, build: Build) -> tuple[int, int]:
    """Return how many videos of ``generation`` a build lacks, and how many it has; 0 if unknown."""
    try:
        with open_ledger(data, generation) as ledger:
            lost = sum(
                len(set(ids) - build.ledger.lookup(ids).keys()) for ids in ledger.video_ids()
            )
            return lost, ledger.count()
    except StoreError as error:
        logger.warning("what is lost of generation %s is not known: %s", generation, error)
        return 0, 0


def prune_generations(data: DataDir, engine: Engine, *, keep: set[str]) -> list[str]:
    """Remove the superseded generations but those of ``keep``, and thumbnails that none needs."""
    removed = [
        name
        for name in data.list_generations()
        if data.is_superseded(name) and name not in keep and _is_whole(data, engine, name)
    ]
    for generation in removed:
        kept_here = is_kept_by(engine, data.read_manifest(generation))
        remove_generation(data, engine if kept_here else None, generation)
    if removed:
        remove_unneeded_thumbnails(data)
    return removed


def _is_whole(data: DataDir, engine: Engine, generation: str) -> bool:
    """Return whether all of a generation can be read; what can't is left for a person."""
    try:
        manifest = data.read_manifest(generation)
        if is_kept_by(engine, manifest):
            open_whole(data, manifest, lambda of: engine.open_reader(of.generation, of.fields))
        with open_ledger(data, generation):
            return True
    except StoreError as error:
        logger.warning("generation %s is superseded and left alone: %s", generation, error)
        return False


def remove_unneeded_thumbnails(data: DataDir) -> None:
    """Remove the pictures that no generation's ledger names; none if a ledger can't be read."""
    needed: set[str] = set()
    for generation in data.list_generations():
        try:
            with open_ledger(data, generation) as ledger:
                needed.update(ledger.thumbnail_files())
        except StoreError as error:
            logger.warning("thumbnails that no generation needs are left alone: %s", error)
            return
    for file in data.thumbnails.glob("*"):
        if file.name not in needed and file.is_file():
            file.unlink()
