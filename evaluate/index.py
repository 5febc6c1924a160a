"""Index a catalogue by the product's own job, and keep the index for later runs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from tqdm import tqdm

from twinlens.catalog.errors import SourceError, UnencodableItems, UsageError
from twinlens.catalog.files import ScratchFolder
from twinlens.catalog.sources import Origin, RejectsFile, Row
from twinlens.encoders.base import ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lens import Lenses, LensOptions
from twinlens.encoders.lenses import WORDS, find_lenses, make_own_lenses, open_lenses
from twinlens.evaluate.tasks import Corpus
from twinlens.indexer.job import IndexJob, JobOptions
from twinlens.search.published import PublishedIndex, Snapshot
from twinlens.search.queries import QueryEncoder
from twinlens.stores.engines import EmbeddedEngine, open_reader
from twinlens.stores.generations import DataDir

logger = logging.getLogger(__name__)


@contextmanager
def index_corpus(
    corpus: Corpus,
    title_encoder: TitleEncoder,
    thumbnail_encoder: ThumbnailEncoder,
    *,
    cache: Path | None = None,
    threads: int = 2,
    texts: Sequence[str] = (),
) -> Iterator[Snapshot]:
    """Index ``corpus`` as ``twinlens index`` does; open it as ``twinlens serve`` does.

    It lies in a data directory of its own in ``cache``, where the job finds what an earlier run has
    encoded, or in a temporary one; embedded. ``texts`` are those that will be asked: they are
    encoded in batches. Videos that can't be indexed are logged and left out.

    Raises:
        UsageError: no video of it can be indexed.
    """
    with ExitStack() as stack:
        folder = cache or Path(stack.enter_context(ScratchFolder("twinlens-evaluate-")))
        titles = stack.enter_context(closing(QueryEncoder(title_encoder, cache_size=len(texts))))
        lenses = dict(make_own_lenses(titles, thumbnail_encoder))
        others = find_lenses().keys() - lenses.keys()
        lenses |= open_lenses({}, LensOptions(threads=threads), names=others)
        data = DataDir(folder / _name_index(corpus, lenses))
        rejects = RejectsFile(data.path / "rejects.jsonl")
        options = JobOptions(source_name=corpus.name, threads=threads)
        rows = (Row(Origin(corpus.name, at), video) for at, video in enumerate(corpus.videos, 1))
        with tqdm(total=len(corpus.videos), desc=corpus.name, unit=" videos", leave=False) as bar:
            try:
                job = IndexJob(data, EmbeddedEngine(data), lenses, options)
                job.run(rows, rejects, progress=bar.update)
            except SourceError as error:
                why = "no title and no thumbnail that can be encoded"
                raise UsageError(f"{corpus.name}: {why}") from error
        if rejects.counts:
            told = ", ".join(f"{count} {reason}" for reason, count in rejects.counts.items())
            logger.warning("%s: videos left out of the index: %s", corpus.name, told)
        with suppress(UnencodableItems):  # whoever asks that text meets it again
            titles.encode_queries(texts)
        index = PublishedIndex(
            data, open_reader=partial(open_reader, data), open_lenses=lambda *_: lenses
        )
        stack.enter_context(closing(index))
        yield stack.enter_context(index.borrow())


def _name_index(corpus: Corpus, lenses: Lenses) -> str:
    """Return a name for the data directory: of other videos, titles or encoders it is another."""
    models = [lens.fingerprint for name, lens in lenses.items() if name != WORDS]
    known = [*models, *((one.video_id, one.title) for one in corpus.videos)]
    digest = hashlib.sha256(repr(known).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{corpus.name}-{digest[:16]}"
