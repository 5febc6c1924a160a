"""What was indexed from what: the memory of the incremental job, one SQLite file a generation."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from catalog.sources import Origin
from catalog.video import VectorName

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS videos (
    video_id TEXT PRIMARY KEY,
    title_key BLOB,
    thumbnail_key BLOB,
    payload_key BLOB NOT NULL,
    thumbnail_file TEXT,
    mirrored INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unmirrored ON videos (video_id) WHERE mirrored = 0;
"""
_PARAMETERS_AT_ONCE: Final = 500
_ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """What one video was indexed from.

    ``keys`` has a key for each vector it has; a vector is good for as long as its key, which
    covers the encoder's fingerprint and the encoded content, stays the same.
    """

    keys: Mapping[VectorName, bytes]
    payload_key: bytes
    thumbnail_file: str | None = None


def content_key(*parts: str) -> bytes:
    """Sixteen bytes that change when any of ``parts`` does."""
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()


class Ledger:
    """The entries of a generation, by ``video_id``. For one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._read_only = read_only
        if read_only:
            self._db = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False
            )
        else:
            self._db = sqlite3.connect(path, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_SCHEMA)

    def lookup(self, video_ids: Sequence[str]) -> dict[str, Entry]:
        """The entries of those of ``video_ids`` that were indexed."""
        found: dict[str, Entry] = {}
        for start in range(0, len(video_ids), _PARAMETERS_AT_ONCE):
            some = video_ids[start : start + _PARAMETERS_AT_ONCE]
            marks = ",".join("?" * len(some))
            statement = (
                "SELECT video_id, title_key, thumbnail_key, payload_key, thumbnail_file "  # noqa: S608
                f"FROM videos WHERE video_id IN ({marks})"
            )
            rows = self._db.execute(statement, some)
            for video_id, title_key, thumbnail_key, payload_key, thumbnail_file in rows:
                keys = {VectorName.TITLE: title_key, VectorName.THUMBNAIL: thumbnail_key}
                found[video_id] = Entry(
                    keys={name: key for name, key in keys.items() if key is not None},
                    payload_key=payload_key,
                    thumbnail_file=thumbnail_file,
                )
        return found

    def record(self, entries: Mapping[str, Entry]) -> None:
        """Remember these entries, in one transaction, as not mirrored yet."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?, ?, 0)",
                (
                    (
                        video_id,
                        entry.keys.get(VectorName.TITLE),
                        entry.keys.get(VectorName.THUMBNAIL),
                        entry.payload_key,
                        entry.thumbnail_file,
                    )
                    for video_id, entry in entries.items()
                ),
            )

    def forget(self, video_ids: Iterable[str]) -> None:
        """Drop these entries, in one transaction."""
        with self._db:
            self._db.executemany(
                "DELETE FROM videos WHERE video_id = ?", ((video_id,) for video_id in video_ids)
            )

    def count(self) -> int:
        """Number of entries."""
        return int(self._db.execute("SELECT count(*) FROM videos").fetchone()[0])

    def video_ids(self, *, unmirrored: bool = False) -> Iterator[list[str]]:
        """All ids in ascending order, or only those not mirrored yet, in batches.

        Each batch is a query of its own, so entries may be forgotten between two of them.
        """
        condition = "AND mirrored = 0" if unmirrored else ""
        after = ""
        while True:
            rows = self._db.execute(
                f"SELECT video_id FROM videos WHERE video_id > ? {condition} "  # noqa: S608
                "ORDER BY video_id LIMIT ?",
                (after, _ROWS_AT_ONCE),
            ).fetchall()
            if not rows:
                return
            yield [row[0] for row in rows]
            after = rows[-1][0]

    def thumbnail_files(self) -> Iterator[str]:
        """The names in ``thumbnails/`` that the entries need."""
        for (name,) in self._db.execute(
            "SELECT DISTINCT thumbnail_file FROM videos WHERE thumbnail_file IS NOT NULL"
        ):
            yield name

    def mark_mirrored(self) -> None:
        """Note that the mirror on disk holds every entry."""
        with self._db:
            self._db.execute("UPDATE videos SET mirrored = 1 WHERE mirrored = 0")

    def close(self) -> None:
        """Let go of the file; a writer leaves it alone, with no write-ahead log beside it."""
        if not self._read_only:
            with suppress(sqlite3.ProgrammingError):  # closed before
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()


class SeenIds:
    """The ids met in this run: finds duplicates and what left the source, spilling to disk."""

    def __init__(self) -> None:
        # An empty name is SQLite's private temporary database: cached, and on disk when it grows.
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.execute(
            "CREATE TABLE seen (video_id TEXT PRIMARY KEY, file TEXT, row INTEGER) WITHOUT ROWID"
        )

    def claim(self, video_id: str, origin: Origin) -> Origin | None:
        """None when ``video_id`` is met for the first time, else where it was first met."""
        inserted = self._db.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (video_id, origin.file, origin.row)
        )
        if inserted.rowcount:
            return None
        file, row = self._db.execute(
            "SELECT file, row FROM seen WHERE video_id = ?", (video_id,)
        ).fetchone()
        return Origin(file=file, row=row)

    def unseen(self, video_ids: Sequence[str]) -> list[str]:
        """Those of ``video_ids`` that were not met."""
        return [
            video_id
            for video_id in video_ids
            if self._db.execute("SELECT 1 FROM seen WHERE video_id = ?", (video_id,)).fetchone()
            is None
        ]

    def close(self) -> None:
        """Drop the temporary database."""
        self._db.close()
