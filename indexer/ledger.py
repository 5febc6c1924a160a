"""The memory of the incremental job: what was indexed from what, one SQLite file a generation."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Final

from twinlens.catalog.digests import join_with_lengths
from twinlens.catalog.errors import StoreCorrupt, StoreError
from twinlens.catalog.sources import Origin
from twinlens.catalog.versions import refuse_newer

# Raised whenever an older program could no longer read a ledger right; SQLite's user_version. Those
# of format 1 have 0 there, and a column for the key of the title and one for the thumbnail's.
LEDGER_FORMAT: Final = 2
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS videos (
    video_id TEXT PRIMARY KEY,
    keys TEXT NOT NULL,
    payload_key BLOB NOT NULL,
    thumbnail_file TEXT,
    thumbnail_url TEXT,
    mirrored INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unmirrored ON videos (video_id) WHERE mirrored = 0;
PRAGMA user_version = {LEDGER_FORMAT};
"""
_FROM_FORMAT_1: Final = """
BEGIN IMMEDIATE;
ALTER TABLE videos ADD COLUMN keys TEXT NOT NULL DEFAULT '{}';
UPDATE videos SET keys = keys_text(title_key, thumbnail_key);
ALTER TABLE videos DROP COLUMN title_key;
ALTER TABLE videos DROP COLUMN thumbnail_key;
PRAGMA user_version = 2;
COMMIT;
"""
_PARAMETERS_AT_ONCE: Final = 500
_ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """What one video was indexed from.

    ``keys`` has a key for each lens that sees something in it; a vector is good for as long as its
    key, which covers the lens's fingerprint and what it looks at, stays the same.
    ``thumbnail_file`` is the picture's name in ``thumbnails/``, ``thumbnail_url`` the address it is
    known under.
    """

    keys: Mapping[str, bytes]
    payload_key: bytes
    thumbnail_file: str | None = None
    thumbnail_url: str | None = None

    def with_keys_of_words(self, now: Mapping[str, bytes]) -> Entry:
        """Add the key of the words, which a ledger of format 1 lacks, if the title's is unchanged.

        ``now`` are the keys that the video has now.
        """
        title, words = now.get("title"), now.get("words")
        if title is None or words is None or "words" in self.keys:
            return self
        if self.keys.get("title") != title:
            return self
        return replace(self, keys={**self.keys, "words": words})


def make_content_key(*parts: str) -> bytes:
    """Return 16 bytes that change when any of ``parts`` does."""
    return blake2b(join_with_lengths(part.encode() for part in parts), digest_size=16).digest()


class Ledger:
    """The entries of a generation, by ``video_id``. For one thread at a time.

    Every method raises ``StoreCorrupt`` where the file is no ledger, or is damaged. A ledger of an
    older format is read as it is, and brought to the present one where it is opened to be written;
    one of a newer format is refused with a ``StoreError``.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        with self._translate_errors():
            if read_only:
                self._db = sqlite3.connect(
                    f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False
                )
            else:
                self._db = sqlite3.connect(path, check_same_thread=False)
            try:
                if not read_only:
                    self._bring_up_to_date()
                self._db.execute("SELECT video_id FROM videos LIMIT 1")
                self._format = self._read_format()
            except BaseException:
                self._db.close()
                raise

    def _bring_up_to_date(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        if self._read_format() == 1:
            self._db.create_function("keys_text", 2, _keys_of_format_1)
            self._db.executescript(_FROM_FORMAT_1)
        self._db.executescript(_SCHEMA)

    def _read_format(self) -> int:
        [found] = self._db.execute("PRAGMA user_version").fetchone()
        refuse_newer(f"the ledger {self._path} has", found, LEDGER_FORMAT)
        columns = {row[1] for row in self._db.execute("PRAGMA table_info(videos)")}
        return 1 if "title_key" in columns else LEDGER_FORMAT

    def copy_to(self, path: Path) -> None:
        """Write all entries to a new file, those of a write-ahead log beside this one included."""
        with self._translate_errors(), closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)

    def lookup(self, video_ids: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of the indexed ones among ``video_ids``."""
        found: dict[str, Entry] = {}
        for start in range(0, len(video_ids), _PARAMETERS_AT_ONCE):
            some = video_ids[start : start + _PARAMETERS_AT_ONCE]
            marks = ",".join("?" * len(some))
            keys = "keys" if self._format > 1 else "title_key, thumbnail_key"
            statement = (
                f"SELECT video_id, payload_key, thumbnail_file, thumbnail_url, {keys} "  # noqa: S608
                f"FROM videos WHERE video_id IN ({marks})"
            )
            with self._translate_errors():
                rows = self._db.execute(statement, some).fetchall()
            for video_id, payload_key, file, url, *given in rows:
                text = given[0] if self._format > 1 else _keys_of_format_1(*given)
                found[video_id] = Entry(_keys_from_text(text), payload_key, file, url)
        return found

    def record(self, entries: Mapping[str, Entry]) -> None:
        """Remember these entries, in one transaction, as not mirrored yet."""
        with self._translate_errors(), self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO videos "
                "(video_id, keys, payload_key, thumbnail_file, thumbnail_url, mirrored) "
                "VALUES (?, ?, ?, ?, ?, 0)",
                (
                    (
                        video_id,
                        _keys_to_text(entry.keys),
                        entry.payload_key,
                        entry.thumbnail_file,
                        entry.thumbnail_url,
                    )
                    for video_id, entry in entries.items()
                ),
            )

    def invalidate(self, video_ids: Iterable[str]) -> None:
        """Mark these entries, in one transaction, as made from something unknown.

        So they are neither unchanged nor mirrored, whatever the source says.
        """
        with self._translate_errors(), self._db:
            self._db.executemany(
                "UPDATE videos SET keys = '{}', payload_key = x'', mirrored = 0 WHERE video_id = ?",
                ((video_id,) for video_id in video_ids),
            )

    def forget(self, video_ids: Iterable[str]) -> None:
        """Drop these entries, in one transaction."""
        with self._translate_errors(), self._db:
            self._db.executemany(
                "DELETE FROM videos WHERE video_id = ?", ((video_id,) for video_id in video_ids)
            )

    def count(self) -> int:
        """Return the number of entries."""
        with self._translate_errors():
            return int(self._db.execute("SELECT count(*) FROM videos").fetchone()[0])

    def video_ids(self, *, unmirrored: bool = False) -> Iterator[list[str]]:
        """Yield all ids in ascending order, or only those not mirrored yet, in batches.

        Each batch is a query of its own, so entries may be forgotten between two of them.
        """
        condition = "AND mirrored = 0" if unmirrored else ""
        after = ""
        while True:
            with self._translate_errors():
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
        """Yield the names in ``thumbnails/`` that the entries need."""
        with self._translate_errors():
            names = self._db.execute(
                "SELECT DISTINCT thumbnail_file FROM videos WHERE thumbnail_file IS NOT NULL"
            ).fetchall()
        yield from (name for (name,) in names)

    def count_thumbnails(self, *, least: int) -> tuple[int, dict[str, int]]:
        """Return how many entries have a picture, and how many each that ``least`` have."""
        with self._translate_errors():
            [pictured] = self._db.execute("SELECT count(thumbnail_file) FROM videos").fetchone()
            shared = self._db.execute(
                "SELECT thumbnail_file, count(*) FROM videos WHERE thumbnail_file IS NOT NULL "
                "GROUP BY thumbnail_file HAVING count(*) >= ?",
                (least,),
            ).fetchall()
        return int(pictured), dict(shared)

    def video_ids_of_thumbnail(self, file: str) -> Iterator[list[str]]:
        """Yield the ids of those that have this picture, in batches, as ``video_ids`` does."""
        after = ""
        while True:
            with self._translate_errors():
                rows = self._db.execute(
                    "SELECT video_id FROM videos WHERE thumbnail_file = ? AND video_id > ? "
                    "ORDER BY video_id LIMIT ?",
                    (file, after, _ROWS_AT_ONCE),
                ).fetchall()
            if not rows:
                return
            yield [row[0] for row in rows]
            after = rows[-1][0]

    def mark_mirrored(self) -> None:
        """Note that the mirror on disk holds every entry."""
        with self._translate_errors(), self._db:
            self._db.execute("UPDATE videos SET mirrored = 1 WHERE mirrored = 0")

    def close(self) -> None:
        """Let go of the file; a writer leaves no write-ahead log beside it, if nobody looks in."""
        if not self._read_only:
            # Closed before, or another process is looking into it: the log does no harm.
            with suppress(sqlite3.ProgrammingError, sqlite3.OperationalError):
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            # A full disk, a lock, a file that is gone: of what it holds this says nothing.
            raise StoreError(f"the ledger {self._path} can't be used: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StoreCorrupt(
                f"the ledger {self._path} can't be used ({error}); --fresh rebuilds the index"
            ) from error


def _keys_to_text(keys: Mapping[str, bytes]) -> str:
    return json.dumps({name: key.hex() for name, key in keys.items()}, sort_keys=True)


def _keys_from_text(text: str) -> dict[str, bytes]:
    return {name: bytes.fromhex(key) for name, key in json.loads(text).items()}


def _keys_of_format_1(title: bytes | None, thumbnail: bytes | None) -> str:
    keys = {"title": title, "thumbnail": thumbnail}
    return _keys_to_text({name: key for name, key in keys.items() if key is not None})


class SeenIds:
    """The ids met in this run: finds duplicates and what left the source, spilling to disk.

    An id is taken by the first good row that bears it; rows that are rejected only make it seen.
    """

    def __init__(self) -> None:
        # An empty name is SQLite's private temporary database: cached, and on disk when it grows.
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.execute(
            "CREATE TABLE seen (video_id TEXT PRIMARY KEY, file TEXT, row INTEGER) WITHOUT ROWID"
        )

    def take(self, video_id: str, origin: Origin) -> Origin | None:
        """Take ``video_id`` and return None; if it is taken, return where its row stands."""
        self.see(video_id)
        file, row = self._db.execute(
            "SELECT file, row FROM seen WHERE video_id = ?", (video_id,)
        ).fetchone()
        if file is not None:
            return Origin(file=file, row=row)
        self._db.execute(
            "UPDATE seen SET file = ?, row = ? WHERE video_id = ?",
            (origin.file, origin.row, video_id),
        )
        return None

    def release(self, video_id: str) -> None:
        """Leave ``video_id`` to a later row: the one that took it was rejected."""
        self._db.execute("UPDATE seen SET file = NULL WHERE video_id = ?", (video_id,))

    def see(self, video_id: str) -> None:
        """Note that a row has ``video_id``, whatever is wrong with it."""
        self._db.execute("INSERT OR IGNORE INTO seen (video_id) VALUES (?)", (video_id,))

    def find_unseen(self, video_ids: Sequence[str]) -> list[str]:
        """Return those of ``video_ids`` that no row has."""
        return [
            video_id
            for video_id in video_ids
            if self._db.execute("SELECT 1 FROM seen WHERE video_id = ?", (video_id,)).fetchone()
            is None
        ]

    def close(self) -> None:
        """Drop the temporary database."""
        self._db.close()
