"""What a query's vector costs, by runtime, in a crowd and again.

What the cheaper runtimes change in the vectors, and in what these find, is measured on the titles
of a real catalogue. Decision 6 has the figures.

Example:
    python -m twinlens.benchmarks.encoding --titles videos.jsonl --json encoding.json
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Final

import click
import numpy as np

from twinlens.benchmarks.harness import measure_in_turns, report, time_each
from twinlens.catalog.errors import UsageError
from twinlens.catalog.sources import Row, open_source
from twinlens.encoders.base import TitleEncoder
from twinlens.encoders.load import load_title_encoder
from twinlens.encoders.runtimes import TITLE_RUNTIMES
from twinlens.search.queries import QueryEncoder

CLIENTS: Final = 32
_MODEL: Final = "packaged:minilm"
_OTHER_MODEL: Final = "packaged:use-m3"
_WORDS_OF_A_QUERY: Final = 3
_COMPARED: Final = 2000
_OVERLAP_AT: Final = 10
_SAME_SCORE: Final = 1e-5


@click.command()
@click.option("--titles", "source", required=True, help="Videos as `twinlens index` takes them.")
@click.option("--queries", type=click.IntRange(CLIENTS), default=128, show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=10, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write samples, too.")
def main(source: str, queries: int, rounds: int, json_path: Path | None) -> None:
    """Measure what a query's vector costs: by runtime, among other callers, and asked again.

    Queries are the first three words of so many titles; of 2,000 titles the vectors are compared,
    and searched. One thread encodes.
    """
    titles = read_titles(source)
    texts = list(dict.fromkeys(" ".join(one.split()[:_WORDS_OF_A_QUERY]) for one in titles))
    if len(texts) < queries:
        raise UsageError(f"{source}: {len(texts)} different queries in it, of {queries}")
    texts = texts[:queries]
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-") as graphs:
        encoders = {
            runtime: load_title_encoder(_MODEL, threads=1, runtime=runtime, cache_dir=Path(graphs))
            for runtime in TITLE_RUNTIMES
        }
        encoders["use-m3"] = load_title_encoder(_OTHER_MODEL, threads=1)
        samples = measure(encoders, texts, rounds=rounds)
        vectors = compare(encoders, titles[:_COMPARED], texts)
    ratios = {}
    for name in encoders:
        ratios[f"torch / {name}, one query"] = ("torch: one query, ms", f"{name}: one query, ms")
        together, alone = f"{name}: {CLIENTS} clients, a second", f"{name}: one by one, a second"
        ratios[f"{name}, {CLIENTS} clients / one by one"] = (together, alone)
    for name, found in vectors.items():
        click.echo(f"  {name} against torch: {found}")
    title, about = f"{_MODEL} by runtime and {_OTHER_MODEL}", {"titles": len(titles)}
    report(json_path, title, samples, ratios, **about, samples=samples, vectors=vectors)


def read_titles(source: str) -> list[str]:
    """The different titles of a source, shuffled by a seed: none of its parts is left out."""
    rows = (row.video.title for row in open_source(source) if isinstance(row, Row))
    titles = list(dict.fromkeys(title for title in rows if title))
    if len(titles) < _OVERLAP_AT:
        raise UsageError(f"{source}: {len(titles)} titles in it; there must be {_OVERLAP_AT}")
    return [titles[place] for place in np.random.default_rng(0).permutation(len(titles))]


def measure(
    encoders: Mapping[str, TitleEncoder], texts: Sequence[str], *, rounds: int
) -> dict[str, list[float]]:
    """By round: one query alone, queries a second one by one and by 32 clients, and one again.

    The clients ask through a `QueryEncoder` that remembers nothing; the last through one that has
    met every query before.
    """
    alone = [[text] for text in texts]
    with ExitStack() as stack:
        clients = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        crowded = {
            name: stack.enter_context(closing(QueryEncoder(encoder, cache_size=0)))
            for name, encoder in encoders.items()
        }
        first = next(iter(encoders.values()))
        remembering = stack.enter_context(closing(QueryEncoder(first, cache_size=len(texts))))
        remembering.encode_queries(list(texts))

        def encode_alone(name: str) -> dict[str, float]:
            waited = time_each(encoders[name].encode_queries, alone)
            return {
                f"{name}: one query, ms": float(np.median(waited)),
                f"{name}: one by one, a second": len(texts) * 1000 / sum(waited),
            }

        def encode_together(name: str) -> dict[str, float]:
            [took_ms] = time_each(
                lambda queries: list(clients.map(crowded[name].encode_queries, queries)), [alone]
            )
            return {f"{name}: {CLIENTS} clients, a second": len(texts) * 1000 / took_ms}

        def encode_again() -> dict[str, float]:
            waited = time_each(remembering.encode_queries, alone)
            return {"a query that is remembered, ms": float(np.median(waited))}

        ways = {"again": encode_again}
        ways |= {name: partial(encode_alone, name) for name in encoders}
        ways |= {f"{name} together": partial(encode_together, name) for name in encoders}
        return measure_in_turns(ways, rounds=rounds)


def compare(
    encoders: Mapping[str, TitleEncoder], titles: Sequence[str], queries: Sequence[str]
) -> dict[str, dict[str, float]]:
    """By runtime other than torch, how near its vectors are, and what they find.

    The cosines are those of query vectors of ``titles`` to torch's own. Then the ten titles found
    best for each of ``queries`` among torch's stored vectors: the share that torch puts among its
    ten best. Titles that torch can't tell apart, as those in a script it does not know, are equal.
    """
    stored = encoders["torch"].encode(titles)
    exact = encoders["torch"].encode_queries(titles)
    scores = encoders["torch"].encode_queries(queries) @ stored.T
    tenth = np.sort(scores, axis=1)[:, -_OVERLAP_AT, None]
    found = {}
    for runtime in [name for name in TITLE_RUNTIMES if name != "torch"]:
        cosines = (encoders[runtime].encode_queries(titles) * exact).sum(axis=1)
        found_scores = encoders[runtime].encode_queries(queries) @ stored.T
        hits = np.argsort(-found_scores, axis=1, kind="stable")[:, :_OVERLAP_AT]
        by_torch = np.take_along_axis(scores, hits, axis=1)
        found[runtime] = {
            "least_cosine": round(float(cosines.min()), 6),
            "overlap_at_10": round(float(np.mean(by_torch >= tenth - _SAME_SCORE)), 4),
        }
    return found


if __name__ == "__main__":
    main()
