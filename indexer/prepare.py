"""Reading ahead of the encoders: rows become work, with everything slow but encoding done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from twinlens.catalog.errors import PictureRejected, RejectReason, RowRejected
from twinlens.catalog.files import write_atomically
from twinlens.catalog.images import find_extension
from twinlens.catalog.sources import Origin, Reject, Row, read_thumbnail
from twinlens.catalog.timing import StageTimes
from twinlens.catalog.video import Video, to_payload
from twinlens.encoders.lens import Lenses, Picture
from twinlens.encoders.lenses import THUMBNAIL
from twinlens.indexer.ledger import Entry, Ledger, SeenIds, make_content_key

BATCH_SIZE: Final = 64


@dataclass(frozen=True, slots=True)
class Work:
    """A video that is new or changed.

    ``items`` has what is to be encoded, by lens; vectors of other lenses that ``entry.keys`` names
    stay as the index has them.
    """

    origin: Origin
    video_id: str
    payload: Mapping[str, Any]
    entry: Entry
    items: Mapping[str, Any]
    is_new: bool


@dataclass(slots=True)
class Batch:
    """The outcome of some consecutive rows of the source."""

    works: list[Work] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    notes: list[Reject] = field(default_factory=list)
    unchanged: int = 0

    @property
    def rows(self) -> int:
        """Rows read."""
        return len(self.works) + len(self.rejects) + self.unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparer:
    """Turns rows into batches of work, by comparison with what is already indexed."""

    ledger: Ledger | None
    seen: SeenIds
    lenses: Lenses
    thumbnails: Path
    taken_down: Collection[str]
    placeholders: Collection[str]
    threads: int
    times: StageTimes

    def batches(self, rows: Iterable[Row | Reject]) -> Iterator[Batch]:
        """Yield batches in the order of the source, each of at most ``BATCH_SIZE`` rows."""
        iterator = iter(rows)
        with ThreadPoolExecutor(self.threads, thread_name_prefix="prepare") as pool:
            while True:
                with self.times.stage("read"):
                    some = list(islice(iterator, BATCH_SIZE))
                if not some:
                    return
                batch = Batch()
                first_met, repeated = self._sort_out(some, batch)
                self._prepare(first_met, batch, pool)
                for row in repeated:
                    # Only now is it known whether the row before it was any good.
                    first = self.seen.take(row.video.video_id, row.origin)
                    if first is None:
                        self._prepare([row], batch, pool)
                    else:
                        detail = f"first met in {first.file}, row {first.row}"
                        batch.rejects.append(_reject(row, RejectReason.DUPLICATE_ID, detail))
                yield batch

    def _sort_out(self, rows: list[Row | Reject], batch: Batch) -> tuple[list[Row], list[Row]]:
        """Return rows with new ids and rows with taken ids; add the rejects to ``batch``."""
        first_met: list[Row] = []
        repeated: list[Row] = []
        for row in rows:
            if isinstance(row, Reject):
                batch.rejects.append(row)
                if row.video_id is not None:
                    # It is bad today, but it has not left the source.
                    self.seen.see(row.video_id)
            elif self.seen.take(row.video.video_id, row.origin) is None:
                first_met.append(row)
            else:
                repeated.append(row)
        return first_met, repeated

    def _prepare(self, rows: list[Row], batch: Batch, pool: ThreadPoolExecutor) -> None:
        known = self.ledger.lookup([row.video.video_id for row in rows]) if self.ledger else {}
        for outcome, notes in pool.map(partial(self._inspect, known=known), rows):
            if isinstance(outcome, Reject):
                batch.rejects.append(outcome)
                self.seen.release(str(outcome.video_id))
                continue
            batch.notes += notes
            if isinstance(outcome, Work):
                batch.works.append(outcome)
            else:
                batch.unchanged += 1

    def _inspect(
        self, row: Row, *, known: Mapping[str, Entry]
    ) -> tuple[Work | Reject | None, list[Reject]]:
        """Return work, a reject, or None if the index already holds this; and notes on the row."""
        notes = [_reject(row, note.reason, note.detail, note.field) for note in row.notes]
        old = known.get(row.video.video_id)
        try:
            if row.video.video_id in self.taken_down:
                raise RowRejected(RejectReason.TAKEN_DOWN, "removed by `twinlens takedown`")
            try:
                return self._plan(row, self._picture(row.video, old), old), notes
            except PictureRejected as error:
                if row.video.title is None:
                    raise
                notes.append(_reject(row, error.reason, error.detail, "thumbnail"))
                return self._plan(row, self._earlier_picture(old), old), notes
        except RowRejected as error:
            return _reject(row, error.reason, error.detail), []

    def _plan(
        self, row: Row, pictured: tuple[Picture | None, str | None], old: Entry | None
    ) -> Work | None:
        video = row.video
        picture, thumbnail_file = pictured
        keys = {
            name: make_content_key(lens.fingerprint, seen)
            for name, lens in self.lenses.items()
            if (seen := lens.looks_at(video, picture)) is not None
        }
        if thumbnail_file in self.placeholders and len(keys) > 1:
            keys.pop(THUMBNAIL, None)
        if not keys:
            raise RowRejected(RejectReason.EMPTY, "no title, and a thumbnail that was not fetched")
        payload = to_payload(video, thumbnail_file=thumbnail_file)
        entry = Entry(
            keys=keys,
            payload_key=make_content_key(json.dumps(payload, sort_keys=True)),
            thumbnail_file=thumbnail_file,
            thumbnail_url=video.thumbnail_url,
        )
        if old is not None:
            old = old.with_keys_of_words(keys)
        if entry == old:
            return None
        known = {} if old is None else old.keys
        items: dict[str, Any] = {}
        with self.times.stage("decode"):
            for name, key in keys.items():
                if known.get(name) != key:
                    items[name] = self.lenses[name].item(video, picture)
        if picture is not None and isinstance(picture.data, bytes):
            with self.times.stage("keep thumbnails"):
                _keep(self.thumbnails / str(thumbnail_file), picture.data)
        # Without the encoded picture: a batch of large ones waits in memory.
        return Work(
            origin=row.origin,
            video_id=video.video_id,
            payload=payload,
            entry=entry,
            items=items,
            is_new=old is None,
        )

    def _picture(self, video: Video, old: Entry | None) -> tuple[Picture | None, str | None]:
        """Return the picture of ``video`` and its name in ``thumbnails/``."""
        with self.times.stage("read thumbnails"):
            data = read_thumbnail(video)
        known = None if old is None else old.thumbnail_file
        if data is not None:
            digest = hashlib.sha256(data).hexdigest()
            if known is not None and known.startswith(digest):
                return Picture(digest, data), known
            return Picture(digest, data), f"{digest}.{find_extension(data)}"
        if (
            old is not None
            and known is not None
            and old.thumbnail_url is not None
            and old.thumbnail_url == video.thumbnail_url
        ):
            # Not fetched in this run: what an earlier run fetched from there stays.
            return self._earlier_picture(old)
        return None, None

    def _earlier_picture(self, old: Entry | None) -> tuple[Picture | None, str | None]:
        """Return the picture that the index has of a video, and its name."""
        known = None if old is None else old.thumbnail_file
        if known is None:
            return None, None
        return Picture(Path(known).stem, self.thumbnails / known), known


def _reject(row: Row, reason: RejectReason, detail: str, field: str | None = None) -> Reject:
    return Reject(
        origin=row.origin, reason=reason, detail=detail, video_id=row.video.video_id, field=field
    )


def _keep(path: Path, data: bytes) -> None:
    """Write ``data`` under its content's name, whole or not at all."""
    try:
        if path.stat().st_size == len(data):
            return
    except FileNotFoundError:
        pass
    # Publishing syncs everything at once: much cheaper than file by file.
    write_atomically(path, data, durable=False)
