"""``twinlens index``: from a source to a published generation."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from twinlens.catalog.errors import (
    RejectReason,
    SourceError,
    StoreCorrupt,
    StrictStop,
    TooMuchLost,
    UsageError,
)
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.catalog.sources import Reject, RejectsFile, Row
from twinlens.catalog.timing import StageTimes
from twinlens.catalog.vectors import AnyVector
from twinlens.catalog.versions import list_installed_versions
from twinlens.encoders.lens import Lens, Lenses
from twinlens.encoders.lenses import THUMBNAIL
from twinlens.indexer.ahead import Ahead
from twinlens.indexer.build import (
    Build,
    BuildPlan,
    PendingBuild,
    clear_unfinished,
    count_lost,
    find_unfinished,
    open_ledger,
    prune_generations,
    remove_generation,
    require_memory_to_build,
)
from twinlens.indexer.carry_over import carry_over
from twinlens.indexer.encode import BatchEncoder, to_stored_video
from twinlens.indexer.ledger import SeenIds
from twinlens.indexer.placeholders import find_differing, find_placeholders, settle
from twinlens.indexer.prepare import Preparer, Work
from twinlens.stores.engines import Engine, is_kept_by
from twinlens.stores.generations import SUGGESTIONS_FILE, DataDir, LensRecord, Manifest
from twinlens.stores.inventory import open_whole

logger = logging.getLogger(__name__)

_BATCHES_AHEAD: Final = 3
# A source that was cut short looks like one whose videos left; few catalogues lose more at once.
_MOST_LOST: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How to treat what the source has, and what it no longer has.

    ``source_identity`` is the source with all that decides what it yields; where it is another, an
    unfinished build is not continued. ``allow_loss`` lets more than a fifth of the videos go.
    ``fields`` are those that the source was read by.
    """

    source_name: str
    source_identity: str = ""
    prune: bool = False
    fresh: bool = False
    allow_loss: bool = False
    strict: bool = False
    threads: int = 2
    fields: Fields = FIELDS


@dataclass(slots=True)
class JobSummary:
    """What a job did. ``generation`` is the published one, whether made now or found unchanged.

    ``encoded`` says how many items each dense lens has encoded, by its name. ``notices`` are
    sentences on what was passed over in the source. ``placeholders`` are pictures that are not
    compared, and how many videos have each.
    """

    generation: str = ""
    published: bool = False
    continued: bool = False
    videos: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    not_pruned: str = ""
    encoded: dict[str, int] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    notices: list[str] = field(default_factory=list)
    placeholders: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    timings_s: dict[str, float] = field(default_factory=dict)

    @property
    def titles_encoded(self) -> int:
        """How many titles were encoded for their meaning."""
        return self.encoded.get("title", 0)

    @property
    def thumbnails_encoded(self) -> int:
        """How many thumbnails were encoded."""
        return self.encoded.get("thumbnail", 0)

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "titles_encoded": self.titles_encoded,
            "thumbnails_encoded": self.thumbnails_encoded,
            "rejected": dict(self.rejected),
            "notes": dict(self.notes),
        }

    def line(self) -> str:
        """Return one line for a person: counts and seconds per stage."""
        rejected = sum(self.rejected.values())
        reasons = ", ".join(f"{count} {name}" for name, count in sorted(self.rejected.items()))
        notes = ", ".join(f"{count} {name}" for name, count in sorted(self.notes.items()))
        *others, last = [f"{count} {name}s" for name, count in self.encoded.items()] or ["nothing"]
        encoded = f"{', '.join(others)} and {last}" if others else last
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
            f"{encoded} encoded "
            f"in {self.seconds:.1f} s{f' ({stages})' if stages else ''}"
        )


class IndexJob:
    """Brings the index in ``data`` up to date with a source.

    Nothing is published before everything is stored, optimized, flushed and compared; a job that
    is killed is continued by the next one with the same lenses.
    """

    def __init__(self, data: DataDir, engine: Engine, lenses: Lenses, options: JobOptions) -> None:
        self._data = data
        self._engine = engine
        self._lenses = lenses
        self._options = options
        self._times = StageTimes()
        self._encoder = BatchEncoder(lenses, self._times)
        self._summary = JobSummary()
        self._began: float | None = None

    @property
    def at_work(self) -> bool:
        """Whether the job has begun: it is the only one on this data directory."""
        return self._began is not None

    def sum_up(self) -> JobSummary:
        """Return what was done so far; another thread may ask while the job is at work."""
        if self._began is not None:
            self._summary.seconds = round(time.perf_counter() - self._began, 3)
        self._summary.timings_s = self._times.to_seconds()
        return self._summary

    def run(
        self,
        rows: Iterable[Row | Reject],
        rejects: RejectsFile,
        *,
        progress: Callable[[int], object] = lambda _rows: None,
    ) -> JobSummary:
        """Index ``rows``; ``progress`` gets the number of rows handled since its last call.

        ``rejects`` is opened and closed here, under the lock.

        Raises:
            IndexLocked: another job is at work on this data directory.
            NoGeneration: ``CURRENT`` names none of the finished generations, and not ``fresh``.
            UsageError: the published generation lives in another Qdrant, and not ``fresh``.
            StoreCorrupt: the published generation is damaged, and not ``fresh``.
            StrictStop: a row was rejected and the options say to stop there.
            TooMuchLost: more than a fifth of the videos would go, and not ``allow_loss``.
            SourceError: there is nothing to index.
        """
        # The rejects of a job at work must not be removed by one that has to wait.
        with self._data.hold_lock(), rejects:
            self._began = time.perf_counter()
            self._data.thumbnails.mkdir(parents=True, exist_ok=True)
            plan = self._plan()
            if plan.base is None:  # else there may be nothing to do
                require_memory_to_build(self._data, self._engine, None)
            if plan.base is not None:
                self._require_whole(self._data.read_manifest(plan.base))
                # The alias follows CURRENT: after a rollback, or a kill between moving the two.
                self._engine.publish(plan.base)
            unfinished = find_unfinished(self._data, plan)
            if not self._options.fresh:
                self._data.refuse_unpublished(set(self._data.list_finished()) - {unfinished})
            clear_unfinished(self._data, self._engine, keep=unfinished)
            build = None if unfinished is None else self._continue(plan, unfinished)
            pending = PendingBuild(self._data, self._engine, plan, self._times, build)
            try:
                self._carry_over(pending)
                with closing(SeenIds()) as seen:
                    self._index(rows, rejects, seen, pending, progress)
                    if self._options.prune or self._options.fresh:
                        self._prune(seen, pending, rejects)
                self._settle_placeholders(pending)
                self._publish(pending, rejects)
            finally:
                self._encoder.close()
                pending.close()
        self._summary.notes.update(rejects.notes)
        self._summary.encoded = {
            name: self._encoder.encoded[name]
            for name, lens in self._lenses.items()
            if lens.dim is not None
        }
        return self.sum_up()

    def _plan(self) -> BuildPlan:
        options = self._options
        lenses = {name: _record(lens) for name, lens in self._lenses.items()}
        base = None if options.fresh else self._data.find_published()
        if base is not None:
            _require_same_engine(self._data.read_manifest(base), self._engine)
            _require_same_kinds(self._data.read_manifest(base).fields, options.fields)
        return BuildPlan(
            base=base,
            engine=self._engine.identity,
            lenses=lenses,
            source=options.source_identity or options.source_name,
            fresh=options.fresh,
            prune=options.prune,
            fields=options.fields,
        )

    def _require_whole(self, base: Manifest) -> None:
        """Open and count what will be called unchanged, or copied."""
        try:
            with self._times.stage("open"):
                open_whole(
                    self._data, base, lambda of: self._engine.open_reader(of.generation, of.fields)
                )
        except StoreCorrupt as error:
            raise StoreCorrupt(
                f"the published index is damaged: {error}. `twinlens repair` makes a whole one of "
                "what is left; --fresh indexes this source anew; both keep what is there"
            ) from error

    def _continue(self, plan: BuildPlan, generation: str) -> Build | None:
        """Bring the unfinished build in step and return it; None if it can't be continued."""
        try:
            build = Build(self._data, self._engine, plan, generation, self._times)
        except StoreCorrupt as error:  # and nothing that may pass: a full disk, a lock
            logger.warning("starting again, %s can't be continued: %s", generation, error)
            remove_generation(self._data, self._engine, generation)
            return None
        build.reconcile()
        self._summary.continued = True
        return build

    def _carry_over(self, pending: PendingBuild) -> None:
        """Encode the stored videos by the lenses that their generation was not made by.

        Those of one whose Qdrant weighs sparse queries by itself are written anew, too.
        """
        if pending.plan.base is None:
            return
        base = self._data.read_manifest(pending.plan.base)
        if base.may_be_copied(self._lenses):
            return
        if differing := base.list_differences(self._lenses):
            logger.warning(
                "%d stored videos are encoded anew, by nothing but what changed: %s",
                base.counts["videos"],
                "; ".join(differing),
            )
        with (
            closing(self._engine.open_reader(base.generation, base.fields)) as reader,
            open_ledger(self._data, base.generation) as ledger,
        ):
            carry_over(
                base,
                reader,
                ledger,
                pending.begin(),
                lenses=self._lenses,
                encoder=self._encoder,
                thumbnails=self._data.thumbnails,
            )

    def _index(
        self,
        rows: Iterable[Row | Reject],
        rejects: RejectsFile,
        seen: SeenIds,
        pending: PendingBuild,
        progress: Callable[[int], object],
    ) -> None:
        with pending.open_known_ledger() as ledger:
            preparer = Preparer(
                ledger=ledger,
                seen=seen,
                lenses=self._lenses,
                thumbnails=self._data.thumbnails,
                taken_down=self._data.read_takedowns(),
                placeholders=find_placeholders(ledger),
                threads=self._options.threads,
                times=self._times,
            )
            ahead = Ahead(preparer.batches(rows), depth=_BATCHES_AHEAD)
            try:
                for batch in ahead:
                    for reject in batch.rejects:
                        self._reject(reject, rejects)
                    for note in batch.notes:
                        rejects.note(note)
                        self._stop_if_strict(note)
                    if batch.works:
                        self._write(batch.works, rejects, pending)
                    self._summary.unchanged += batch.unchanged
                    progress(batch.rows)
            finally:
                ahead.close()

    def _reject(self, reject: Reject, rejects: RejectsFile) -> None:
        rejects.write(reject)
        self._summary.rejected[reject.reason] += 1
        self._stop_if_strict(reject)

    def _stop_if_strict(self, reject: Reject) -> None:
        if self._options.strict and reject.reason != RejectReason.TAKEN_DOWN:
            raise StrictStop(
                f"{reject.origin.file}, row {reject.origin.row}: {reject.reason}: {reject.detail} "
                "(--strict stops at the first row or field that can't be read; nothing was "
                "published)"
            )

    def _write(self, works: list[Work], rejects: RejectsFile, pending: PendingBuild) -> None:
        vectors, unencodable = self._encoder.encode(works)
        for index in sorted(unencodable):
            self._reject(_unencodable(works[index]), rejects)
        good = [index for index in range(len(works)) if index not in unencodable]
        if not good:
            return
        build = pending.begin()
        self._keep_stored_vectors(build, [works[i] for i in good], [vectors[i] for i in good])
        build.write(
            [to_stored_video(works[i], vectors[i]) for i in good],
            {works[i].video_id: works[i].entry for i in good},
            replaced=[works[i].video_id for i in good if not works[i].is_new],
        )
        self._summary.new += sum(works[i].is_new for i in good)
        self._summary.changed += sum(not works[i].is_new for i in good)

    def _keep_stored_vectors(
        self, build: Build, works: list[Work], vectors: list[dict[str, AnyVector]]
    ) -> None:
        """Fill in the vectors that are still good from what is stored."""
        keeping = [
            (work, made, names)
            for work, made in zip(works, vectors, strict=True)
            if (names := work.entry.keys.keys() - work.items.keys())
        ]
        if not keeping:
            return
        with self._times.stage("store"):
            stored = build.store.get([work.video_id for work, _, _ in keeping], with_vectors=True)
        for work, made, names in keeping:
            if work.video_id not in stored:
                raise StoreCorrupt(
                    f"Qdrant has lost video {work.video_id!r}, which the ledger of the published "
                    "index has; index again with --fresh"
                )
            video = stored[work.video_id]
            kept: dict[str, AnyVector] = {**video.vectors, **video.sparse}
            # A lens may have seen something and made no vector of it: a title without a word.
            made |= {name: kept[name] for name in names if name in kept}

    def _prune(self, seen: SeenIds, pending: PendingBuild, rejects: RejectsFile) -> None:
        gone: list[str] = []
        total = 0
        with pending.open_known_ledger() as ledger:
            if ledger is not None:
                total = ledger.count()
                for ids in ledger.video_ids():
                    gone += seen.find_unseen(ids)
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
        if pending.known == pending.plan.base:
            self._require_few_lost(len(gone), total)
        elif pending.plan.base is not None:
            self._require_few_lost(*self._count_unseen(pending.plan.base, seen))
        with self._times.stage("prune"):
            pending.begin().delete(gone)
        self._summary.removed = len(gone)

    def _settle_placeholders(self, pending: PendingBuild) -> None:
        """Have no picture compared that many videos share by now, and those that fewer do."""
        lens = self._lenses.get(THUMBNAIL)
        if lens is None:
            return
        before: set[str] = set()
        if pending.plan.base is not None:
            with open_ledger(self._data, pending.plan.base) as ledger:
                before.update(find_placeholders(ledger))
        with pending.open_known_ledger() as ledger:
            if ledger is None:
                return
            now = find_placeholders(ledger)
            differing = list(find_differing(ledger, now, before))
        for video_ids in differing:
            with self._times.stage("placeholders"):
                settle(
                    pending.begin(),
                    video_ids,
                    lens,
                    self._encoder,
                    placeholders=now,
                    thumbnails=self._data.thumbnails,
                )
        self._summary.placeholders = now

    def _count_unseen(self, generation: str, seen: SeenIds) -> tuple[int, int]:
        """Return how many videos of a generation the source has not, and how many it has.

        Not those of the build, which a run that was killed may have pruned.
        """
        with open_ledger(self._data, generation) as ledger:
            return sum(len(seen.find_unseen(ids)) for ids in ledger.video_ids()), ledger.count()

    def _require_few_lost(self, lost: int, of: int) -> None:
        if lost > of * _MOST_LOST and not self._options.allow_loss:
            raise TooMuchLost(
                f"{self._options.source_name}: the index would lose {lost} of {of} videos; nothing "
                "was published. If that is meant, run it again with --allow-loss, which goes on"
                " from here"
            )

    def _publish(self, pending: PendingBuild, rejects: RejectsFile) -> None:
        done = self._summary
        if not done.new + done.changed + done.unchanged:
            raise SourceError(
                f"{self._options.source_name}: no video that can be indexed "
                f"({sum(done.rejected.values())} rows rejected{_list_reasons(done, rejects)}); "
                "nothing was published"
            )
        base = pending.plan.base
        if base is not None and (
            self._data.read_manifest(base).fields != pending.plan.fields
            or not (self._data.locate_generation(base) / SUGGESTIONS_FILE).exists()
        ):
            # What may be asked of the videos changed, though perhaps none of them did.
            pending.begin()
        build = pending.build
        if build is not None and build.ledger.count():
            replaced = self._data.find_published()
            if self._options.fresh and replaced is not None:
                self._require_few_lost(*count_lost(self._data, replaced, build))
            manifest = build.publish(
                source=self._options.source_name,
                versions=list_installed_versions(),
                now=datetime.now(UTC),
            )
            self._summary.published = True
            with self._times.stage("clean up"):
                # If none is replaced, any of those there may be the wanted one.
                if replaced is not None:
                    # Not the two newest: after a rollback the good one is older than the bad one.
                    keep = {manifest.generation, replaced}
                    prune_generations(self._data, self._engine, keep=keep)
        else:
            manifest = self._data.read_manifest(str(pending.plan.base))
        self._summary.generation = manifest.generation
        self._summary.videos = manifest.counts["videos"]


def _list_reasons(done: JobSummary, rejects: RejectsFile) -> str:
    """Return how many rows were rejected for each reason, and where they are listed."""
    if not done.rejected:
        return ""
    counts = ", ".join(f"{count} {name}" for name, count in sorted(done.rejected.items()))
    return f": {counts}; each is listed in {rejects.path}"


def _unencodable(work: Work) -> Reject:
    return Reject(
        origin=work.origin,
        reason=RejectReason.NOT_ENCODABLE,
        detail="the encoder gives no finite, non-zero vector for it",
        video_id=work.video_id,
    )


def _record(lens: Lens[Any]) -> LensRecord:
    return LensRecord(model=lens.model, fingerprint=lens.fingerprint, dim=lens.dim)


def _require_same_engine(manifest: Manifest, engine: Engine) -> None:
    if not is_kept_by(engine, manifest):
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
