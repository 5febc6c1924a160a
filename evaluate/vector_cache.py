"""Vectors that were made once, so that a measurement can be repeated in seconds."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from twinlens.catalog.errors import UnencodableItems, UsageError
from twinlens.catalog.vectors import FloatMatrix, Vector
from twinlens.encoders.base import TitleEncoder

ItemT = TypeVar("ItemT")

_BATCH: Final = 64
_FILE: Final = "vectors.sqlite"


class VectorCache:
    """Vectors by the fingerprint of their encoder and the digest of what they were made from.

    In a file of ``directory``, which a later run finds again, or in memory alone.
    """

    def __init__(self, directory: Path | None) -> None:
        where = ":memory:"
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            where = str(directory / _FILE)
        try:
            self._rows = sqlite3.connect(where, isolation_level=None)
            self._rows.execute("PRAGMA synchronous = NORMAL")
            self._rows.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) "
                "WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{where}: not a cache of vectors: {error}") from error

    def vectors(
        self,
        maker: str,
        items: Sequence[ItemT],
        *,
        digest: Callable[[ItemT], bytes],
        encode: Callable[[Sequence[ItemT]], FloatMatrix],
        on_progress: Callable[[int], object] = lambda _: None,
    ) -> list[Vector | None]:
        """One unit vector per item, None for those that ``encode`` says have none.

        ``maker`` stands for everything that decides what an item's vector is. What is missing is
        encoded in batches, and each batch kept at once. ``on_progress`` is told how many items
        were done since it was last told.
        """
        found: list[Vector | None] = []
        for start in range(0, len(items), _BATCH):
            batch = items[start : start + _BATCH]
            keys = [
                hashlib.sha256(maker.encode() + b"\0" + digest(item)).digest() for item in batch
            ]
            known = [self._get(key) for key in keys]
            missing = [at for at, blob in enumerate(known) if blob is None]
            if missing:
                made = _encoded([batch[at] for at in missing], encode)
                self._rows.execute("BEGIN")
                for at, vector in zip(missing, made, strict=True):
                    known[at] = b"" if vector is None else vector.tobytes()
                    self._rows.execute(
                        "INSERT OR REPLACE INTO vectors VALUES (?, ?)", (keys[at], known[at])
                    )
                self._rows.execute("COMMIT")
            found += [np.frombuffer(blob, np.float32) if blob else None for blob in known]
            on_progress(len(batch))
        return found

    def _get(self, key: bytes) -> bytes | None:
        row = self._rows.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()


class CachedTitleEncoder:
    """A title encoder that looks its vectors up in a cache, and makes them where they are not."""

    def __init__(self, encoder: TitleEncoder, cache: VectorCache) -> None:
        self._encoder = encoder
        self._cache = cache
        self.name = encoder.name

    @property
    def dim(self) -> int:
        """See the encoder's method."""
        return self._encoder.dim

    @property
    def fingerprint(self) -> str:
        """See the encoder's method."""
        return self._encoder.fingerprint

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        """See the encoder's method."""
        return self._matrix(self.title_vectors(items))

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """See the encoder's method."""
        return self._matrix(self.query_vectors(texts))

    def title_vectors(
        self, titles: Sequence[str], on_progress: Callable[[int], object] = lambda _: None
    ) -> list[Vector | None]:
        """A vector per title, None where it has no direction."""
        return self._cache.vectors(
            f"{self.fingerprint} title",
            titles,
            digest=_utf8,
            encode=self._encoder.encode,
            on_progress=on_progress,
        )

    def query_vectors(
        self, texts: Sequence[str], on_progress: Callable[[int], object] = lambda _: None
    ) -> list[Vector | None]:
        """A vector per query, None where it has no direction."""
        return self._cache.vectors(
            f"{self.fingerprint} query",
            texts,
            digest=_utf8,
            encode=self._encoder.encode_queries,
            on_progress=on_progress,
        )

    def _matrix(self, vectors: Sequence[Vector | None]) -> FloatMatrix:
        bad = [row for row, vector in enumerate(vectors) if vector is None]
        if bad:
            raise UnencodableItems(bad)
        if not vectors:
            return np.empty((0, self.dim), dtype=np.float32)
        return np.stack([vector for vector in vectors if vector is not None])


def _utf8(text: str) -> bytes:
    # Whatever was read may be half of a surrogate pair.
    return text.encode("utf-8", "surrogatepass")


def _encoded(
    items: Sequence[ItemT], encode: Callable[[Sequence[ItemT]], FloatMatrix]
) -> list[Vector | None]:
    try:
        return list(encode(items))
    except UnencodableItems as error:
        bad = set(error.rows)
        good = iter(encode([item for row, item in enumerate(items) if row not in bad]))
        return [None if row in bad else next(good) for row in range(len(items))]
