"""``twinlens index``: from a source to a published generation."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from twinlens.catalog.errors import (
    EncodersChanged,
    RejectReason,
    SourceError,
    StoreError,
    StoreUnavailable,
    StrictStop,
    UsageError,
)
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.catalog.sources import Reject, RejectsFile, Row
from twinlens.catalog.timing import StageTimes
from twinlens.catalog.vectors import Vector
from twinlens.catalog.versions import installed_versions
from twinlens.catalog.video import VectorName
from twinlens.encoders.base import Encoder, ThumbnailEncoder, TitleEncoder
from twinlens.encoders.words import WORDS_FINGERPRINT, title_words
from twinlens.indexer.ahead import Ahead
from twinlens.indexer.build import (
    LEDGER_FILE,
    Build,
    BuildPlan,
    begin_build,
    clear_unfinished,
    prune_generations,
    unfinished_build,
)
from twinlens.indexer.encode import BatchEncoder
from twinlens.indexer.ledger import Ledger, SeenIds
from twinlens.indexer.prepare import Preparer, Work
from twinlens.stores.base import StoredVideo
from twinlens.stores.engines import Engine
from twinlens.stores.generations import DataDir, EncoderRecord, Manifest

logger = logging.getLogger(__name__)

_BATCHES_AHEAD: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How to treat what the source has, and what it no longer has.

    ``source_identity`` is the source with all that decides what it yields; where it is another, an
    unfinished build is not continued. ``fields`` are those that the source was read by.
    """

    source_name: str
    source_identity: str = ""
    prune: bool = False
    fresh: bool = False
    strict: bool = False
    threads: int = 2
    fields: Fields = FIELDS


@dataclass(slots=True)
class JobSummary:
    """What a job did. ``generation`` is the published one, whether made now or found unchanged."""

    generation: str = ""
    published: bool = False
    continued: bool = False
    videos: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    not_pruned: str = ""
    titles_encoded: int = 0
    thumbnails_encoded: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    timings_s: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "rejected": dict(self.rejected),
            "notes": dict(self.notes),
        }

    def line(self) -> str:
        """One line for a person: counts and seconds per stage."""
        rejected = sum(self.rejected.values())
        reasons = ", ".join(f"{count} {name}" for name, count in sorted(self.rejected.items()))
        notes = ", ".join(f"{count} {name}" for name, count in sorted(self.notes.items()))
        stages = ", ".join(f"{name} {s:.1f}" for name, s in self.timings_s.items() if s >= 0.05)
        return (
            f"{self.videos} videos in generation {self.generation}"
            f"{'' if self.published else ' (nothing changed)'}"
            f"{', continued' if self.continued else ''}: "
            f"{self.new} new, {self.changed} changed, {self.unchanged} unchanged, "
            f"{self.removed} removed"
            f"{f' (nothing pruned: {self.not_pruned})' if self.not_pruned else ''}, "
            f"{rejected} rejected{f' ({reasons})' if reasons else ''}"
            f"{f', {notes}' if notes else ''}; "
            f"{self.titles_encoded} titles and {self.thumbnails_encoded} thumbnails encoded "
            f"in {self.seconds:.1f} s{f' ({stages})' if stages else ''}"
        )


class IndexJob:
    """Brings the index in ``data`` up to date with a source.

    Nothing is published before everything is stored, optimized, flushed and compared; a job that
    is killed is continued by the next one with the same encoders.
    """

    def __init__(
        self,
        data: DataDir,
        engine: Engine,
        title_encoder: TitleEncoder,
        thumbnail_encoder: ThumbnailEncoder,
        options: JobOptions,
    ) -> None:
        self._data = data
        self._engine = engine
        self._title_encoder = title_encoder
        self._thumbnail_encoder = thumbnail_encoder
        self._options = options
        self._times = StageTimes()
        self._encoder = BatchEncoder(title_encoder, thumbnail_encoder, self._times)
        self._summary = JobSummary()
        self._build: Build | None = None

    def run(
        self,
        rows: Iterable[Row | Reject],
        rejects: RejectsFile,
        *,
        progress: Callable[[int], object] = lambda _rows: None,
    ) -> JobSummary:
        """Index ``rows``; ``progress`` is told how many rows were dealt with since it was last.

        ``rejects`` is opened and closed here, under the lock.

        Raises:
            IndexLocked: another job is at work on this data directory.
            NoGeneration: ``CURRENT`` names none of the finished generations, and not ``fresh``.
            EncodersChanged: the published generation needs ``fresh`` with these encoders.
            StrictStop: a row was rejected and the options say to stop there.
            SourceError: there is nothing to index.
        """
        started = time.perf_counter()
        # The rejects of a job at work must not be removed by one that has to wait.
        with self._data.locked(), rejects:
            self._data.thumbnails.mkdir(parents=True, exist_ok=True)
            plan = self._plan()
            self._reassert_published()
            unfinished = unfinished_build(self._data, plan)
            if not self._options.fresh:
                self._data.refuse_unpublished(set(self._data.finished()) - {unfinished})
            clear_unfinished(self._data, self._engine, keep=unfinished)
            if unfinished is not None:
                self._build = self._continue(plan, unfinished)
            try:
                with closing(SeenIds()) as seen:
                    self._index(rows, rejects, seen, plan, progress)
                    if self._options.prune or self._options.fresh:
                        self._prune(seen, plan, rejects)
                self._publish(plan)
            finally:
                self._encoder.close()
                if self._build is not None:
                    self._build.close()
        self._summary.notes.update(rejects.notes)
        encoded = self._encoder.encoded
        self._summary.titles_encoded = encoded[VectorName.TITLE]
        self._summary.thumbnails_encoded = encoded[VectorName.THUMBNAIL]
        self._summary.seconds = round(time.perf_counter() - started, 3)
        self._summary.timings_s = self._times.seconds()
        return self._summary

    def _plan(self) -> BuildPlan:
        options = self._options
        encoders = {
            VectorName.TITLE: _record(self._title_encoder),
            VectorName.THUMBNAIL: _record(self._thumbnail_encoder),
        }
        base = None if options.fresh else self._data.valid_current()
        if base is not None:
            _require_compatible(self._data.manifest(base), encoders, self._engine)
            _require_same_kinds(self._data.manifest(base).fields, options.fields)
        return BuildPlan(
            base=base,
            engine=self._engine.identity,
            encoders=encoders,
            words=WORDS_FINGERPRINT,
            source=options.source_identity or options.source_name,
            fresh=options.fresh,
            fields=options.fields,
        )

    def _reassert_published(self) -> None:
        """Let the alias follow ``CURRENT``: after a rollback, or a kill between moving the two."""
        current = self._data.valid_current()
        if current is not None:
            collection = self._data.manifest(current).collection
            if collection is not None and collection == self._engine.collection(current):
                self._engine.publish(current)

    def _continue(self, plan: BuildPlan, generation: str) -> Build | None:
        """The unfinished build, brought in step; None where it was cut short too early for that."""
        try:
            build = Build(self._data, self._engine, plan, generation, self._times)
        except StoreUnavailable:
            raise
        except StoreError as error:
            logger.warning("starting again, %s can't be continued: %s", generation, error)
            self._engine.drop(generation)
            self._data.remove(generation)
            return None
        build.reconcile()
        self._summary.continued = True
        return build

    def _index(
        self,
        rows: Iterable[Row | Reject],
        rejects: RejectsFile,
        seen: SeenIds,
        plan: BuildPlan,
        progress: Callable[[int], object],
    ) -> None:
        known = self._build.generation if self._build is not None else plan.base
        ledger = (
            Ledger(self._data.generation_path(known) / LEDGER_FILE, read_only=True)
            if known is not None
            else None
        )
        preparer = Preparer(
            ledger=ledger,
            seen=seen,
            fingerprints={name: record.fingerprint for name, record in plan.encoders.items()},
            picture_size=self._thumbnail_encoder.input_size,
            thumbnails=self._data.thumbnails,
            threads=self._options.threads,
            times=self._times,
        )
        ahead = Ahead(preparer.batches(rows), depth=_BATCHES_AHEAD)
        try:
            for batch in ahead:
                for reject in batch.rejects:
                    self._reject(reject, rejects)
                if batch.works:
                    self._write(batch.works, rejects, plan)
                self._summary.unchanged += batch.unchanged
                progress(batch.rows)
        finally:
            ahead.close()
            if ledger is not None:
                ledger.close()

    def _reject(self, reject: Reject, rejects: RejectsFile) -> None:
        rejects.write(reject)
        self._summary.rejected[reject.reason] += 1
        if self._options.strict:
            raise StrictStop(
                f"{reject.origin.file}, row {reject.origin.row}: {reject.reason}: {reject.detail} "
                "(--strict stops at the first rejected row; nothing was published)"
            )

    def _write(self, works: list[Work], rejects: RejectsFile, plan: BuildPlan) -> None:
        vectors, unencodable = self._encoder.encode(works)
        for index in sorted(unencodable):
            self._reject(_unencodable(works[index]), rejects)
        good = [index for index in range(len(works)) if index not in unencodable]
        if not good:
            return
        build = self._begun(plan)
        self._keep_stored_vectors(build, [works[i] for i in good], [vectors[i] for i in good])
        build.write(
            [_stored(works[i], vectors[i]) for i in good],
            {works[i].video.video_id: works[i].entry for i in good},
            replaced=[works[i].video.video_id for i in good if not works[i].is_new],
        )
        self._summary.new += sum(works[i].is_new for i in good)
        self._summary.changed += sum(not works[i].is_new for i in good)

    def _begun(self, plan: BuildPlan) -> Build:
        """The build, begun when there is something to put into it."""
        if self._build is None:
            self._build = begin_build(
                self._data, self._engine, plan, self._times, now=datetime.now(UTC)
            )
        return self._build

    def _keep_stored_vectors(
        self, build: Build, works: list[Work], vectors: list[dict[VectorName, Vector]]
    ) -> None:
        """Fill in the vectors that are still good from what is stored."""
        keeping = [
            (work, made, work.entry.keys.keys() - work.encode)
            for work, made in zip(works, vectors, strict=True)
            if work.entry.keys.keys() - work.encode
        ]
        if not keeping:
            return
        with self._times.stage("store"):
            ids = [work.video.video_id for work, _, _ in keeping]
            stored = build.store.get(ids, with_vectors=True)
        for work, made, names in keeping:
            for name in names:
                made[name] = stored[work.video.video_id].vectors[name]

    def _prune(self, seen: SeenIds, plan: BuildPlan, rejects: RejectsFile) -> None:
        if self._build is None and plan.base is None:
            return
        known = self._build.generation if self._build is not None else str(plan.base)
        with closing(
            Ledger(self._data.generation_path(known) / LEDGER_FILE, read_only=True)
        ) as ledger:
            gone: list[str] = []
            total = ledger.count()
            for ids in ledger.video_ids():
                gone += seen.unseen(ids)
        if not gone:
            return
        if rejects.nameless and not self._options.fresh:
            # Any of them may be a video that is still there: a damaged file, an unreadable id.
            self._summary.not_pruned = f"{rejects.nameless} rejected rows don't say which video"
            return
        if len(gone) == total:
            raise SourceError(
                f"{self._options.source_name}: pruning would leave the index empty, "
                "none of its videos is in this source; nothing was published"
            )
        with self._times.stage("prune"):
            self._begun(plan).delete(gone)
        self._summary.removed = len(gone)

    def _publish(self, plan: BuildPlan) -> None:
        done = self._summary
        if not done.new + done.changed + done.unchanged:
            raise SourceError(
                f"{self._options.source_name}: no video that can be indexed "
                f"({sum(done.rejected.values())} rows rejected); nothing was published"
            )
        if self._build is not None and self._build.ledger.count():
            replaced = self._data.valid_current()
            manifest = self._build.publish(
                source=self._options.source_name,
                versions=installed_versions(),
                now=datetime.now(UTC),
            )
            self._summary.published = True
            with self._times.stage("clean up"):
                # Where none is replaced, any that is there may be the one that is wanted.
                if replaced is not None:
                    # Not the two newest: after a rollback the good one is older than the bad one.
                    keep = {manifest.generation, replaced}
                    prune_generations(self._data, self._engine, keep=keep)
        else:
            manifest = self._data.manifest(str(plan.base))
        self._summary.generation = manifest.generation
        self._summary.videos = manifest.counts["videos"]


def _unencodable(work: Work) -> Reject:
    return Reject(
        origin=work.origin,
        reason=RejectReason.NOT_ENCODABLE,
        detail="the encoder gives no finite, non-zero vector for it",
        video_id=work.video.video_id,
    )


def _stored(work: Work, vectors: Mapping[VectorName, Vector]) -> StoredVideo:
    title = work.video.title
    words = None if title is None else title_words(title)
    return StoredVideo(work.video.video_id, work.payload, vectors, words)


def _record(encoder: Encoder[Any]) -> EncoderRecord:
    return EncoderRecord(name=encoder.name, fingerprint=encoder.fingerprint, dim=encoder.dim)


def _require_compatible(
    manifest: Manifest, encoders: dict[VectorName, EncoderRecord], engine: Engine
) -> None:
    """Vectors of two encoders, or in two engines, can't stand in one index."""
    differing = manifest.differences(encoders, words=WORDS_FINGERPRINT)
    if differing:
        raise EncodersChanged(
            f"the published generation was made by other encoders ({'; '.join(differing)}); "
            "add --fresh to rebuild it from this source alone"
        )
    if (manifest.engine, manifest.collection) != (
        engine.name,
        engine.collection(manifest.generation),
    ):
        where = f", collection {manifest.collection}" if manifest.collection else ""
        raise UsageError(
            f"the published generation lives in the {manifest.engine} Qdrant{where}, and this job "
            f"was told {engine.identity}; add --fresh to rebuild it there"
        )


def _require_same_kinds(published: Fields, wanted: Fields) -> None:
    """One payload index can't hold values of two kinds; new fields are welcome."""
    changed = [
        f"{row.name}: {row.kind} became {wanted[row.name].kind}"
        for row in published
        if row.name in wanted and row.kind is not wanted[row.name].kind
    ]
    if changed:
        raise UsageError(
            f"the published generation has fields of other kinds ({'; '.join(changed)}); "
            "add --fresh to rebuild it from this source alone"
        )
