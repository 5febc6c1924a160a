"""What search and HTTP cost on top of the engine.

Run it as ``python -m twinlens.benchmarks.searching --help``.

The engine's own time is that of Qdrant's ``query_batch`` for the queries of one search, made
ahead, with the hits as the engine returns them: no video ids, no order among ties, no payloads.
Everything else is measured against it, in the same process over the same open shard, in rounds:
each round asks every query once in every way, one way after the other, in an order that turns
from round to round.
"""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import click
import numpy as np
import qdrant_edge as qe
from PIL import Image

from twinlens.backend.schemas.base import API_ROOT
from twinlens.benchmarks.drawn_index import least_indexed, mixture_for, publish_drawn_index
from twinlens.benchmarks.loopback import Client, served
from twinlens.catalog.errors import StoreError, TwinLensError
from twinlens.catalog.vectors import FloatMatrix, SparseVector, Vector, unit_rows
from twinlens.encoders.base import ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS, own_lenses
from twinlens.encoders.load import PACKAGED_DENOISER, load_thumbnail_encoder, load_title_encoder
from twinlens.encoders.words import query_words
from twinlens.evaluate.intervals import Interval, over_rounds
from twinlens.evaluate.machine import machine, machine_line
from twinlens.search.request import DEFAULT_WINDOW, SearchRequest
from twinlens.search.searcher import Searcher
from twinlens.stores.base import VectorQuery
from twinlens.stores.edge import EdgeReader
from twinlens.stores.generations import DataDir, Manifest

# The demands of the project on what it adds to the engine.
MOST_SEARCH_RATIO: Final = 1.5
MOST_HTTP_ADDED_MS: Final = 3.0

_TITLE_MODEL: Final = "packaged:use-m3"
_RECALL_AT: Final = 10
# The ratio that the demand is held against: to the engine's time in the very same searches.
_ITS_OWN: Final = "search and fusion, to its own engine time"

logger = logging.getLogger(__name__)

# Milliseconds by kind of search and by what was timed, of shape (rounds, queries).
Samples = dict[str, dict[str, list[list[float]]]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: queries of each kind, and how often each is asked."""

    queries: int
    rounds: int
    recall_queries: int


@dataclass(frozen=True, slots=True)
class _Case:
    """One search, with the queries that it comes to: what the engine alone is asked."""

    request: SearchRequest
    vectors: Mapping[str, Vector | SparseVector]
    limit: int

    def engine_request(self, *names: str) -> Any:
        return qe.QueryBatchRequest([self._engine_query(name) for name in names or self.vectors])

    def reader_queries(self) -> list[VectorQuery]:
        return [VectorQuery(name, vector, self.limit) for name, vector in self.vectors.items()]

    def _engine_query(self, name: str) -> Any:
        given: Any = self.vectors[name]
        vector = qe.SparseVector(*given) if name is WORDS else given
        return qe.QueryRequest(
            limit=self.limit,
            query=qe.Query.Nearest(vector, using=str(name)),
            params=qe.SearchParams(exact=False),
            with_payload=False,
            with_vector=False,
        )


class _HandedOut:
    """An encoder that returns the vector it was handed: encoding is not what is measured here."""

    name = "benchmark:handed-out"
    fingerprint = "0" * 16
    input_size = (8, 8)

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.vector: Vector = np.zeros(dim, dtype=np.float32)

    def encode(self, items: Sequence[object]) -> FloatMatrix:
        return np.repeat(self.vector[None, :], len(items), axis=0)


class _HandedOutTitles(_HandedOut):
    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return self.encode(texts)


class _TimedShard:
    """A shard that adds up the milliseconds spent in its queries."""

    def __init__(self, shard: Any) -> None:
        self._shard = shard
        self.spent_ms = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shard, name)

    def query_batch(self, request: Any) -> Any:
        started = time.perf_counter()
        answers = self._shard.query_batch(request)
        self.spent_ms += _since(started)
        return answers


class SearchBench:
    """Searches over one open shard, timed in every way."""

    def __init__(self, shard: Any, path: Path, manifest: Manifest) -> None:
        self._shard = shard
        self._path = path
        self._manifest = manifest
        self.reader = EdgeReader(shard, path, manifest.dims)
        self._titles = _HandedOutTitles(manifest.dense_dims[TITLE])
        self._thumbnails = _HandedOut(manifest.dense_dims[THUMBNAIL])
        self._timed_shard = _TimedShard(shard)
        self._searcher = self._new_searcher(EdgeReader(self._timed_shard, path, manifest.dims))

    def cases(self, video_ids: Sequence[str], drawn: Mapping[str, FloatMatrix]) -> _Cases:
        """The searches of each kind: by a video, by words and a picture, by words alone."""
        stored = self.reader.get(video_ids, with_vectors=True)
        buffer = io.BytesIO()
        Image.new("RGB", _HandedOut.input_size, "grey").save(buffer, "PNG")
        titles = [str(stored[one].payload["title"]) for one in video_ids]
        both: list[dict[str, Vector]] = [
            {name: rows[index] for name, rows in drawn.items()} for index in range(len(video_ids))
        ]
        return {
            "similar": [
                _Case(
                    SearchRequest(video_id=one),
                    _with_words(stored[one].vectors, title),
                    DEFAULT_WINDOW + 1,
                )
                for one, title in zip(video_ids, titles, strict=True)
            ],
            "words and picture": [
                _Case(
                    SearchRequest(text=title, picture=buffer.getvalue()),
                    _with_words(vectors, title),
                    DEFAULT_WINDOW,
                )
                for title, vectors in zip(titles, both, strict=True)
            ],
            "words": [
                self._words_case(title, vectors[TITLE])
                for title, vectors in zip(titles, both, strict=True)
            ],
        }

    def _words_case(self, text: str, title: Vector) -> _Case:
        """A search by words, whose last query is made of what the first ones found."""
        request = SearchRequest(text=text)
        self._hand_out({TITLE: title})
        lenders = self._searcher.search(request).borrowed_from
        stored = self.reader.get(lenders, with_vectors=True)
        lent = np.mean([stored[one].vectors[THUMBNAIL] for one in lenders], axis=0)
        vectors = {TITLE: title, THUMBNAIL: unit_rows(lent)[0]}
        return _Case(request, _with_words(vectors, text), DEFAULT_WINDOW)

    def measure(self, cases: _Cases, *, rounds: int) -> tuple[Samples, float]:
        """The samples, and the engine's processor time by its wall time (1: one thread)."""
        ways = (self._engine, self._engine_one_by_one, self._adapter, self._search, self._new)
        samples: Samples = {kind: {} for kind in cases}
        cpu = wall = 0.0
        self._rounds_of(ways, cases, {kind: {} for kind in cases})  # warms caches, kept nowhere
        for number in range(rounds):
            turned = [ways[(number + place) % len(ways)] for place in range(len(ways))]
            before = time.process_time(), time.perf_counter()
            self._rounds_of(turned, cases, samples)
            cpu += time.process_time() - before[0]
            wall += time.perf_counter() - before[1]
        return samples, cpu / wall

    def _rounds_of(
        self, ways: Sequence[Callable[[_Case], dict[str, float]]], cases: _Cases, into: Samples
    ) -> None:
        for kind, asked in cases.items():
            for way in ways:
                taken = [way(case) for case in asked]
                for name in taken[0]:
                    into[kind].setdefault(name, []).append([one[name] for one in taken])

    def _engine(self, case: _Case) -> dict[str, float]:
        request = case.engine_request()
        started = time.perf_counter()
        self._shard.query_batch(request)
        return {"engine, one batch": _since(started)}

    def _engine_one_by_one(self, case: _Case) -> dict[str, float]:
        spent = 0.0
        for name in case.vectors:
            request = case.engine_request(name)
            started = time.perf_counter()
            self._shard.query_batch(request)
            spent += _since(started)
        return {"engine, one by one": spent}

    def _adapter(self, case: _Case) -> dict[str, float]:
        queries = case.reader_queries()
        started = time.perf_counter()
        self.reader.search(queries)
        return {"reader": _since(started)}

    def _search(self, case: _Case) -> dict[str, float]:
        self._hand_out(case.vectors)
        before_ms = self._timed_shard.spent_ms
        started = time.perf_counter()
        result = self._searcher.search(case.request)
        whole = _since(started)
        took = result.timings_ms
        return {
            "engine, within the search": self._timed_shard.spent_ms - before_ms,
            "search and fusion": took["search"] + took["fuse"],
            "fusion": took["fuse"],
            "with payloads": whole - took["encode"],
        }

    def _new(self, case: _Case) -> dict[str, float]:
        """As ``_search``, by a reader that has never met these videos: it looks up every id."""
        self._hand_out(case.vectors)
        searcher = self._new_searcher(EdgeReader(self._shard, self._path, self._manifest.dims))
        took = searcher.search(case.request).timings_ms
        return {"search and fusion, ids unknown": took["search"] + took["fuse"]}

    def _hand_out(self, vectors: Mapping[str, Vector | SparseVector]) -> None:
        handed_out = {TITLE: self._titles, THUMBNAIL: self._thumbnails}
        for name, vector in vectors.items():
            if not isinstance(vector, SparseVector):
                handed_out[name].vector = vector

    def _new_searcher(self, reader: EdgeReader) -> Searcher:
        return Searcher(
            reader,
            generation=self._manifest.generation,
            lenses=own_lenses(self._titles, self._thumbnails),
        )


_Cases = Mapping[str, Sequence[_Case]]


def _with_words(vectors: Mapping[str, Vector], text: str) -> dict[str, Vector | SparseVector]:
    words = query_words(text)
    return {**vectors} if words is None else {**vectors, WORDS: words}


def recall(
    approximate: EdgeReader, exact: EdgeReader, drawn: Mapping[str, FloatMatrix], limit: int
) -> dict[str, float]:
    """By vector name, the share of the exact ten best among the first ten found, on average.

    ``limit`` is how many are asked for: the engine keeps at least as many candidates.
    """
    shares = {}
    for name, rows in drawn.items():
        found = []
        for row in rows:
            [near] = approximate.search([VectorQuery(name, row, limit)])
            [best] = exact.search([VectorQuery(name, row, _RECALL_AT)])
            ids = {one.video_id for one in best}
            found.append(len(ids & {one.video_id for one in near[:_RECALL_AT]}) / len(ids))
        shares[str(name)] = round(float(np.mean(found)), 4)
    return shares


def measure_http(
    address: str, searcher: Searcher, requests: Mapping[str, Sequence[SearchRequest]], rounds: int
) -> Samples:
    """The same searches by HTTP and in this process, in turns.

    ``waited`` is what the client waited, ``took`` what the server says in the answer, and
    ``in process`` the time of the same search, encoding and payloads included, without HTTP.
    """
    samples: Samples = {kind: {} for kind in requests}
    client = Client(address)
    try:
        for number in range(-1, rounds):
            for kind, asked in requests.items():
                taken: dict[str, list[float]] = {}
                for turn in (number % 2, 1 - number % 2):
                    if turn:
                        taken["in process"] = [_timed(searcher, one) for one in asked]
                    else:
                        client.reconnect()
                        client.get(_path(asked[0]))
                        timed = [client.get(_path(one)) for one in asked]
                        taken["waited"] = [one.waited_ms for one in timed]
                        taken["took"] = [one.took_ms for one in timed]
                if number >= 0:  # the first round warms up
                    for name, values in taken.items():
                        samples[kind].setdefault(name, []).append(values)
    finally:
        client.close()
    return samples


def medians(samples: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Any]:
    """Of each thing timed, the median over the queries, round by round: shape (rounds,)."""
    return {name: np.median(np.asarray(rounds), axis=1) for name, rounds in samples.items()}


@click.command()
@click.option("--videos", type=click.IntRange(min=1), default=100_000, show_default=True)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/benchmarks/searching"),
    show_default=True,
    help="Where the index is built, or found.",
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write raw samples, too."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--queries", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--rounds", type=click.IntRange(min=2), default=20, show_default=True)
@click.option("--recall-queries", type=click.IntRange(min=1), default=200, show_default=True)
def main(
    videos: int,
    directory: Path,
    json_path: Path | None,
    seed: int,
    queries: int,
    rounds: int,
    recall_queries: int,
) -> None:
    """Measure what search, fusion and HTTP cost beside the engine's own time.

    The videos are made up, their vectors drawn from a seeded mixture; an index of 100,000 takes
    a few minutes to build, once. Ends with 1 where a demand is not met.

    \b
    Example:
        python -m twinlens.benchmarks.searching --videos 100000 --json searching.json
    """  # noqa: D301 - the backslash-b is click's
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    effort = Effort(queries=queries, rounds=rounds, recall_queries=recall_queries)
    try:
        report = run(videos=videos, data=DataDir(directory), seed=seed, effort=effort)
    except TwinLensError as error:
        click.echo(f"searching: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    click.echo(table(report))
    if not all(report["met"].values()):
        raise SystemExit(1)


def run(*, videos: int, data: DataDir, seed: int, effort: Effort) -> dict[str, Any]:
    """The whole benchmark as JSON values: machine, index, recall, samples, summary and ``met``.

    Raises:
        StoreError: Qdrant has not built the HNSW graphs that an index of this size must have.
        TwinLensError: the server did not start, or an answer was not 200.
    """
    record = machine()
    threads = min(4, os.cpu_count() or 1)
    title_encoder = load_title_encoder(_TITLE_MODEL, threads=threads)
    thumbnail_encoder = load_thumbnail_encoder(PACKAGED_DENOISER, threads=threads)
    manifest = publish_drawn_index(
        data,
        videos=videos,
        seed=seed,
        encoders={TITLE: title_encoder, THUMBNAIL: thumbnail_encoder},
    )
    mixture = mixture_for(videos, manifest.dense_dims, seed=seed)
    drawn = mixture.queries(max(effort.queries, effort.recall_queries))
    picked = np.random.default_rng(seed).choice(videos, min(videos, effort.queries), replace=False)
    with _shard_copy(data, manifest) as (shard, path):
        bench = SearchBench(shard, path, manifest)
        indexed = bench.reader.indexed_vector_count
        if indexed < least_indexed(videos, manifest.dense_dims):
            raise StoreError(
                f"HNSW covers {indexed} vectors of {len(manifest.dense_dims)} x {videos}"
            )
        logger.info("%d vectors in HNSW graphs; measuring recall", indexed)
        exact = EdgeReader(shard, path, manifest.dims, exact=True)
        asked = {name: rows[: effort.recall_queries] for name, rows in drawn.items()}
        recalls = {
            str(limit): recall(bench.reader, exact, asked, limit)
            for limit in (_RECALL_AT, DEFAULT_WINDOW)
        }
        logger.info("measuring search and fusion")
        video_ids = [f"drawn-{index:07d}" for index in picked]
        in_process, cpu_by_wall = bench.measure(bench.cases(video_ids, drawn), rounds=effort.rounds)
        logger.info("measuring HTTP")
        titles = bench.reader.get(video_ids)
        requests = {
            "similar": [SearchRequest(video_id=one) for one in video_ids],
            "words": [SearchRequest(text=titles[one].payload["title"]) for one in video_ids],
        }
        searcher = _real_searcher(bench.reader, manifest, title_encoder, thumbnail_encoder)
        with served(data.path, threads=threads) as address:
            by_http = measure_http(address, searcher, requests, effort.rounds)
    summary = summarize(in_process, by_http)
    return {
        "benchmark": "searching",
        "synthetic": manifest.source,
        "machine": record,
        "load_at_end": [round(value, 2) for value in os.getloadavg()],
        "encoder_threads": threads,
        "processor_time_by_wall_time": round(cpu_by_wall, 3),
        "videos": videos,
        "dims": {str(name): dim for name, dim in manifest.dims.items()},
        "indexed_vectors": indexed,
        "build_s": dict(manifest.timings_s),
        "window": DEFAULT_WINDOW,
        "queries": len(video_ids),
        "rounds": effort.rounds,
        "recall_at_10_by_limit": recalls,
        "summary": {
            part: {
                kind: {name: interval.to_json() for name, interval in found.items()}
                for kind, found in kinds.items()
            }
            for part, kinds in summary.items()
        },
        "met": demands_met(summary),
        "samples_ms": {"search": in_process, "http": by_http},
    }


Summary = dict[str, dict[str, dict[str, Interval]]]


def summarize(in_process: Samples, by_http: Samples) -> Summary:
    """Milliseconds, ratios to the engine's time, and what HTTP adds; by kind of search."""
    summary: Summary = {"search_ms": {}, "ratio": {}, "http_ms": {}}
    for kind, samples in in_process.items():
        of = medians(samples)
        # By words alone the second query depends on the first: there is no batch of the two.
        engine = of["engine, one by one" if kind == "words" else "engine, one batch"]
        summary["search_ms"][kind] = {name: over_rounds(values) for name, values in of.items()}
        summary["ratio"][kind] = {
            name: over_rounds(values / engine)
            for name, values in of.items()
            if not name.startswith("engine") and name != "fusion"
        }
        summary["ratio"][kind][_ITS_OWN] = over_rounds(
            of["search and fusion"] / of["engine, within the search"]
        )
    for kind, samples in by_http.items():
        of = medians(samples)
        outside = np.asarray(samples["waited"]) - np.asarray(samples["took"])
        summary["http_ms"][kind] = {
            **{name: over_rounds(values) for name, values in of.items()},
            "added to took_ms": over_rounds(np.median(outside, axis=1)),
            "added to the search in process": over_rounds(of["waited"] - of["in process"]),
        }
    return summary


def demands_met(summary: Summary) -> dict[str, bool]:
    """Whether each demand is met, by its median."""
    met = {
        f"search and fusion, {kind}: at most {MOST_SEARCH_RATIO} times the engine": (
            ratios[_ITS_OWN].median <= MOST_SEARCH_RATIO
        )
        for kind, ratios in summary["ratio"].items()
    }
    met |= {
        f"HTTP, {kind}: at most {MOST_HTTP_ADDED_MS} ms added": (
            values["added to took_ms"].median <= MOST_HTTP_ADDED_MS
            and values["added to the search in process"].median <= MOST_HTTP_ADDED_MS
        )
        for kind, values in summary["http_ms"].items()
    }
    return met


def table(report: Mapping[str, Any]) -> str:
    """The report for a person: medians over the rounds, with 95 % bootstrap intervals."""
    lines = [
        f"SYNTHETIC: {report['synthetic'].removeprefix('synthetic: ')}",
        machine_line(report["machine"]),
        f"{report['indexed_vectors']} vectors in HNSW graphs"
        f"{'' if report['indexed_vectors'] else ' (so few are scanned exactly)'};"
        f" window {report['window']}; {report['rounds']} rounds of {report['queries']} queries;"
        f" one client, one thread (processor time by wall time"
        f" {report['processor_time_by_wall_time']}); {report['encoder_threads']} encoder threads",
    ]
    for limit, shares in report["recall_at_10_by_limit"].items():
        found = ", ".join(f"{name} {share:.4f}" for name, share in shares.items())
        lines.append(f"recall@10 against the exact scan, limit {limit}: {found}")
    summary = report["summary"]
    lines.append("")
    lines.append(f"{'median [95 %]':<36}{'ms':>24}{'times the engine':>24}")
    for kind, values in summary["search_ms"].items():
        lines.append(kind)
        for name, interval in values.items():
            ratio = summary["ratio"][kind].get(name)
            lines.append(f"  {name:<34}{_shown(interval):>24}{_shown(ratio):>24}")
        lines.append(f"  {_ITS_OWN:<58}{_shown(summary['ratio'][kind][_ITS_OWN]):>24}")
    for kind, values in summary["http_ms"].items():
        lines.append(f"HTTP, {kind}")
        lines += [f"  {name:<34}{_shown(interval):>24}" for name, interval in values.items()]
    lines.append("")
    lines += [f"{'met   ' if met else 'MISSED'}  {what}" for what, met in report["met"].items()]
    return "\n".join(lines)


def _shown(interval: Mapping[str, float] | None) -> str:
    return "" if interval is None else str(Interval(**interval))


@contextmanager
def _shard_copy(data: DataDir, manifest: Manifest) -> Iterator[tuple[Any, Path]]:
    """A copy of the generation's shard, opened: Qdrant changes the files of what it opens."""
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-", dir=data.path) as temporary:
        path = Path(temporary) / "qdrant"
        shutil.copytree(data.generation_path(manifest.generation) / "qdrant", path)
        shard = qe.EdgeShard.load(str(path))
        try:
            yield shard, path
        finally:
            shard.close()


def _real_searcher(
    reader: EdgeReader,
    manifest: Manifest,
    title_encoder: TitleEncoder,
    thumbnail_encoder: ThumbnailEncoder,
) -> Searcher:
    return Searcher(
        reader,
        generation=manifest.generation,
        lenses=own_lenses(title_encoder, thumbnail_encoder),
    )


def _timed(searcher: Searcher, request: SearchRequest) -> float:
    started = time.perf_counter()
    searcher.search(request)
    return _since(started)


def _path(request: SearchRequest) -> str:
    if request.video_id is not None:
        return f"{API_ROOT}/videos/{quote(request.video_id, safe='')}/similar"
    return f"{API_ROOT}/search?{urlencode({'q': request.text})}"


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
