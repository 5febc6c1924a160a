"""Index a catalogue by the product's own job, with vectors cached by earlier runs."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Generic, Self, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from twinlens.catalog.errors import SourceError, UnencodableItems, UsageError
from twinlens.catalog.sources import Origin, RejectsFile, Row
from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.base import Encoder, ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lenses import own_lenses
from twinlens.evaluate.tasks import Corpus
from twinlens.indexer.job import IndexJob, JobOptions
from twinlens.search.published import PublishedIndex, Snapshot
from twinlens.stores.engines import EmbeddedEngine, open_reader
from twinlens.stores.generations import DataDir

ItemT = TypeVar("ItemT")

_BATCH: Final = 64
_FILE: Final = "vectors.sqlite"

logger = logging.getLogger(__name__)


class VectorCache:
    """Vectors by the fingerprint of their encoder and the digest of what they were made from.

    In a file of ``directory``, which a later run finds again, or in memory alone. May be used by
    several threads at once.

    Raises:
        UsageError: the file in ``directory`` is no cache.
    """

    def __init__(self, directory: Path | None = None) -> None:
        where = ":memory:"
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            where = str(directory / _FILE)
        self._lock = threading.Lock()
        try:
            self._rows = sqlite3.connect(where, isolation_level=None, check_same_thread=False)
            self._rows.execute("PRAGMA synchronous = NORMAL")
            self._rows.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) "
                "WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{where}: not a cache of vectors: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def encode(
        self,
        maker: str,
        items: Sequence[ItemT],
        *,
        digest: Callable[[ItemT], bytes],
        encode: Callable[[Sequence[ItemT]], FloatMatrix],
        dim: int,
    ) -> FloatMatrix:
        """What ``encode`` makes of ``items``, float32 (len(items), dim), made once for each item.

        ``maker`` stands for everything that decides what an item's vector is. What is missing is
        encoded in batches, and each batch kept at once.

        Raises:
            UnencodableItems: ``encode`` says, or has said, that some have no vector.
        """
        found: list[bytes] = []
        for start in range(0, len(items), _BATCH):
            batch = items[start : start + _BATCH]
            keys = [hashlib.sha256(maker.encode() + b"\0" + digest(one)).digest() for one in batch]
            known = self._look_up(keys)
            missing = {key: item for key, item in zip(keys, batch, strict=True) if key not in known}
            if missing:
                made = _encode_each(list(missing.values()), encode)
                known |= dict(zip(missing, made, strict=True))
                self._keep({key: known[key] for key in missing})
            found += [known[key] for key in keys]
        bad = [row for row, vector in enumerate(found) if not vector]
        if bad:
            raise UnencodableItems(bad)
        return np.frombuffer(b"".join(found), np.float32).reshape(len(items), dim)

    def _look_up(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        question = f"SELECT key, vector FROM vectors WHERE key IN ({','.join('?' * len(keys))})"  # noqa: S608
        with self._lock:
            return dict(self._rows.execute(question, keys).fetchall())

    def _keep(self, vectors: Mapping[bytes, bytes]) -> None:
        with self._lock:
            self._rows.execute("BEGIN")
            self._rows.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", vectors.items())
            self._rows.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()


def _encode_each(
    items: Sequence[ItemT], encode: Callable[[Sequence[ItemT]], FloatMatrix]
) -> list[bytes]:
    """Return a vector's bytes for each item, none for those that have no vector."""
    try:
        return [row.tobytes() for row in encode(items)]
    except UnencodableItems as error:
        bad = set(error.rows)
        good = iter(encode([item for row, item in enumerate(items) if row not in bad]))
        return [b"" if row in bad else next(good).tobytes() for row in range(len(items))]


class CachedEncoder(Generic[ItemT]):
    """An encoder that looks its vectors up in a cache, and makes those that are not there.

    It has ``input_size`` and ``encode_queries`` if ``encoder`` has them.
    """

    input_size: tuple[int, int]
    encode_queries: Callable[[Sequence[str]], FloatMatrix]

    def __init__(
        self, encoder: Encoder[ItemT], cache: VectorCache, digest: Callable[[ItemT], bytes]
    ) -> None:
        self.name, self.fingerprint, self.dim = encoder.name, encoder.fingerprint, encoder.dim
        self.encode: Callable[[Sequence[ItemT]], FloatMatrix] = partial(
            cache.encode,
            f"{self.fingerprint} item",
            digest=digest,
            encode=encoder.encode,
            dim=self.dim,
        )
        if hasattr(encoder, "input_size"):
            self.input_size = encoder.input_size
        if hasattr(encoder, "encode_queries"):
            self.encode_queries = partial(
                cache.encode,
                f"{self.fingerprint} query",
                digest=_digest_text,
                encode=encoder.encode_queries,
                dim=self.dim,
            )


def cache_titles(encoder: TitleEncoder, cache: VectorCache) -> CachedEncoder[str]:
    """``encoder`` behind ``cache``, for titles and for queries."""
    return CachedEncoder(encoder, cache, _digest_text)


def _digest_text(text: str) -> bytes:
    # Whatever was read may be half of a surrogate pair.
    return text.encode("utf-8", "surrogatepass")


def _digest_picture(picture: Image.Image) -> bytes:
    return repr(picture.size).encode() + picture.tobytes()


@contextmanager
def index_corpus(
    corpus: Corpus,
    title_encoder: TitleEncoder,
    thumbnail_encoder: ThumbnailEncoder,
    cache: VectorCache,
    *,
    threads: int = 2,
) -> Iterator[Snapshot]:
    """Index ``corpus`` as ``twinlens index`` does; open it as ``twinlens serve`` does.

    It lies in a temporary data directory, embedded, until the ``with`` block ends. Vectors, also
    of queries, come from ``cache`` where it has them. Videos that can't be indexed are logged and
    left out.

    Raises:
        UsageError: no video of it can be indexed.
    """
    lenses = own_lenses(
        cache_titles(title_encoder, cache),
        CachedEncoder(thumbnail_encoder, cache, _digest_picture),
    )
    rows = (Row(Origin(corpus.name, at), video) for at, video in enumerate(corpus.videos, 1))
    with tempfile.TemporaryDirectory(prefix="twinlens-evaluate-") as folder:
        data = DataDir(Path(folder))
        rejects = RejectsFile(data.path / "rejects.jsonl")
        options = JobOptions(source_name=corpus.name, threads=threads)
        job = IndexJob(data, EmbeddedEngine(data), lenses, options)
        with tqdm(total=len(corpus.videos), desc=corpus.name, unit=" videos", leave=False) as bar:
            try:
                job.run(rows, rejects, progress=bar.update)
            except SourceError as error:
                raise UsageError(
                    f"{corpus.name}: no title and no thumbnail that can be encoded"
                ) from error
        if rejects.counts:
            told = ", ".join(f"{count} {reason}" for reason, count in rejects.counts.items())
            logger.warning("%s: videos left out of the index: %s", corpus.name, told)
        index = PublishedIndex(data, open_reader=partial(open_reader, data), lenses=lenses)
        try:
            with index.borrow() as snapshot:
                yield snapshot
        finally:
            index.close()
