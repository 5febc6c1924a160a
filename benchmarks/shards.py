"""Do words find the same over several shards as over one?

A catalogue's words are shared out among embedded shards side by side, each asked alone, and what
they find is put together. A query is weighed by one table of document frequencies, as it is served,
or by one of each shard, as Qdrant's modifier ``idf`` counts. What the others are compared with is
one shard by one table; its scores, with inner products that were worked out without an engine.

Example:
    python -m twinlens.benchmarks.shards --titles data/movies
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, NamedTuple

import click

from twinlens.catalog.errors import UsageError
from twinlens.catalog.vectors import SparseVector, StoredVideo
from twinlens.encoders.lens import Query
from twinlens.encoders.lenses import WORDS, WordsLens
from twinlens.evaluate.known_items import make_known_item_tasks
from twinlens.evaluate.machine import write_json
from twinlens.evaluate.tasks import Corpus, read_corpus
from twinlens.stores.base import ScoredVideo, VectorQuery, sort_hits
from twinlens.stores.document_frequencies import DocumentFrequencies, FrequencyCounter
from twinlens.stores.edge import EdgeStore

_WINDOW: Final = 200
_TOP: Final = 10
_BATCH: Final = 1000
_ONE: Final = "one table"
_EACH: Final = "a table a shard"

Found = Sequence[Sequence[ScoredVideo]]


class _Shard(NamedTuple):
    store: EdgeStore
    own: DocumentFrequencies


@click.command()
@click.option("--titles", required=True, help="What `twinlens index` takes.")
@click.option("--queries", type=click.IntRange(1), default=400, show_default=True)
@click.option("--shards", multiple=True, type=click.IntRange(1), default=(1, 2, 8))
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def main(
    titles: str, queries: int, shards: Sequence[int], seed: int, json_path: Path | None
) -> None:
    """Compare what words find over several shards with what they find over one."""
    corpus = read_corpus(titles)
    videos, asked = weigh_words(corpus), draw_queries(corpus, queries, seed=seed)
    whole = count([*videos])
    found: dict[tuple[int, str], Found] = {}
    for number in dict.fromkeys((1, *shards)):
        parts = [videos[start::number] for start in range(number)]
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            stores = [
                _Shard(stack.enter_context(_open_filled(Path(folder, str(at)), part)), count(part))
                for at, part in enumerate(parts)
            ]
            found[number, _ONE] = [ask(stores, query, [whole] * number) for query in asked]
            each = [one.own for one in stores]
            found[number, _EACH] = [ask(stores, query, each) for query in asked]
    exact = [rank_exactly(videos, whole.weigh(WORDS, query)) for query in asked]
    results = {
        "off by, at most": _find_greatest_error(found[1, _ONE], exact),
        **{
            f"{number} shards, {how}": _share_identical(found[1, _ONE], of)
            for (number, how), of in found.items()
            if number in shards
        },
    }
    click.echo(f"{len(videos)} videos, {len(asked)} queries, the first {_TOP} of each")
    click.echo(f"one shard's scores are off by at most {results['off by, at most']:.1e} of theirs")
    for number in shards:
        one, each_share = (results[f"{number} shards, {how}"] for how in (_ONE, _EACH))
        click.echo(f"{number} shards: {one:.4f} identical by {_ONE}, {each_share:.4f} by {_EACH}")
    if json_path is not None:
        write_json(json_path, {"videos": len(videos), "queries": len(asked), **results})


def weigh_words(corpus: Corpus) -> list[StoredVideo]:
    """Return the videos whose title has words, with no other vector."""
    lens = WordsLens()
    titled = [video for video in corpus.videos if video.title]
    return [
        StoredVideo(video.video_id, {"video_id": video.video_id}, {}, {WORDS: vector})
        for video, vector in zip(
            titled, lens.encode([lens.item(video, None) for video in titled]), strict=True
        )
        if vector is not None
    ]


def draw_queries(corpus: Corpus, limit: int, *, seed: int) -> list[SparseVector]:
    """Return at most so many damaged titles as queries, as many of each kind of damage.

    Raises:
        UsageError: no title can be asked for.
    """
    tasks = make_known_item_tasks(corpus, limit=limit, seed=seed)
    if not tasks:
        raise UsageError(f"{corpus.name}: no title that can be asked for")
    rows = zip(*(list(task.texts.values()) for task in tasks), strict=False)
    texts = [text for row in rows for text in row][:limit]
    lens = WordsLens()
    return [vector for text in texts if (vector := lens.ask(Query(text=text))) is not None]


def count(videos: Sequence[StoredVideo]) -> DocumentFrequencies:
    """Return in how many of the videos each word occurs."""
    counter = FrequencyCounter([WORDS])
    counter.add(videos)
    return counter.finish()


def ask(
    shards: Sequence[_Shard], query: SparseVector, frequencies: Sequence[DocumentFrequencies]
) -> list[ScoredVideo]:
    """Return the best of all shards, each asked by frequencies of its own."""
    found: list[ScoredVideo] = []
    for shard, of in zip(shards, frequencies, strict=True):
        [hits] = shard.store.search([VectorQuery(WORDS, of.weigh(WORDS, query), _WINDOW)])
        found += hits
    return sort_hits(found, query)[:_TOP]


def rank_exactly(videos: Sequence[StoredVideo], query: SparseVector) -> Mapping[str, float]:
    """Return the inner product with each video, by its id."""
    asked = dict(zip(query.indices.tolist(), query.values.tolist(), strict=True))
    return {
        one.video_id: sum(
            asked[index] * value
            for index, value in zip(*(part.tolist() for part in one.sparse[WORDS]), strict=True)
            if index in asked
        )
        for one in videos
    }


def _open_filled(path: Path, videos: Sequence[StoredVideo]) -> closing[EdgeStore]:
    store = EdgeStore.create(path, {WORDS: None})
    for start in range(0, len(videos), _BATCH):
        store.upsert(videos[start : start + _BATCH])
    store.optimize()
    return closing(store)


def _share_identical(left: Found, right: Found) -> float:
    pairs = zip(left, right, strict=True)
    same = [
        [one.video_id for one in first] == [one.video_id for one in second]
        for first, second in pairs
    ]
    return sum(same) / len(same)


def _find_greatest_error(found: Found, exact: Sequence[Mapping[str, float]]) -> float:
    """Return the greatest difference of a score from the exact one, as a share of it."""
    return max(
        abs(one.score / scores[one.video_id] - 1)
        for hits, scores in zip(found, exact, strict=True)
        for one in hits
    )


if __name__ == "__main__":
    main()
