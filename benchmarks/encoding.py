"""What a query's vector costs, by runtime, in a crowd and again.

Run it as ``python -m twinlens.benchmarks.encoding``.

Every way encodes the same texts in every round, one way after the other, in an order that turns
from round to round; ratios are formed within a round. What the cheaper runtimes change in the
vectors, and in what these find, is measured on the titles of a real catalogue.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from twinlens.catalog.errors import TwinLensError, UsageError
from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.base import TitleEncoder
from twinlens.encoders.load import load_title_encoder
from twinlens.encoders.runtimes import TITLE_RUNTIMES
from twinlens.evaluate.intervals import Interval, over_rounds
from twinlens.evaluate.machine import machine, machine_line
from twinlens.evaluate.search.sources import read_corpus
from twinlens.search.queries import QueryEncoder

# The demands of the project.
LEAST_FASTER_ALONE: Final = 2.0
LEAST_FASTER_TOGETHER: Final = 2.0
MOST_HIT_MS: Final = 0.1
LEAST_COSINE: Final = 0.9999

CLIENTS: Final = 32
_MODEL: Final = "packaged:minilm"
_OTHER_MODEL: Final = "packaged:use-m3"
_WORDS_OF_A_QUERY: Final = 3
_HITS_IN_A_ROUND: Final = 1000
_OVERLAP_AT: Final = 10
_SAME_SCORE: Final = 1e-5

logger = logging.getLogger(__name__)

# By what was timed, one number per round.
Rounds = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    queries: int
    titles: int
    rounds: int


@click.command()
@click.option(
    "--titles",
    "source",
    required=True,
    metavar="SOURCE",
    help="Videos as `twinlens index` takes them; their titles are what is encoded.",
)
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True)
@click.option(
    "--queries",
    type=click.IntRange(min=CLIENTS),
    default=128,
    show_default=True,
    help="The first three words of so many titles.",
)
@click.option(
    "--compared",
    type=click.IntRange(min=_OVERLAP_AT),
    default=2000,
    show_default=True,
    help="Titles whose vectors are compared, and searched.",
)
@click.option("--rounds", type=click.IntRange(min=2), default=10, show_default=True)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write raw samples, too."
)
def main(
    source: str, threads: int, queries: int, compared: int, rounds: int, json_path: Path | None
) -> None:
    """Measure what a query's vector costs: by runtime, among other callers, and asked again.

    Ends with 1 where a demand is not met.

    \b
    Example:
        python -m twinlens.benchmarks.encoding --titles videos.jsonl --json encoding.json
    """  # noqa: D301 - the backslash-b is click's
    logging.basicConfig(format="%(asctime)s %(message)s")
    logger.setLevel(logging.INFO)  # not the exporters, which tell of every node
    effort = Effort(queries=queries, titles=compared, rounds=rounds)
    try:
        report = run(source, threads=threads, effort=effort)
    except TwinLensError as error:
        click.echo(f"encoding: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    click.echo(table(report))
    if not all(report["met"].values()):
        raise SystemExit(1)


def run(source: str, *, threads: int, effort: Effort) -> dict[str, Any]:
    """The whole benchmark as JSON values: machine, samples, summary and ``met``.

    Raises:
        UsageError: the source has too few titles.
        TwinLensError: it can't be read, or an encoder is missing.
    """
    record = machine()
    titles = _titles(source)
    queries = list(dict.fromkeys(" ".join(one.split()[:_WORDS_OF_A_QUERY]) for one in titles))
    if len(queries) < effort.queries:
        raise UsageError(f"{source}: {len(queries)} different queries in it, of {effort.queries}")
    queries, titles = queries[: effort.queries], titles[: effort.titles]
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-") as graphs:
        encoders = {
            runtime: load_title_encoder(
                _MODEL, threads=threads, runtime=runtime, cache_dir=Path(graphs)
            )
            for runtime in TITLE_RUNTIMES
        }
        encoders["use-m3"] = load_title_encoder(_OTHER_MODEL, threads=threads)
        logger.info("exporting, loading")
        for encoder in encoders.values():
            encoder.encode_queries(queries[:2])
        logger.info("timing")
        samples = measure(encoders, queries, rounds=effort.rounds)
        logger.info("comparing vectors of %d titles", len(titles))
        vectors = compare(encoders, titles, queries)
    summary = summarize(samples)
    return {
        "benchmark": "encoding",
        "machine": record,
        "load_at_end": [round(value, 2) for value in os.getloadavg()],
        "encoder_threads": threads,
        "clients": CLIENTS,
        "source": Path(source).name,
        "queries": len(queries),
        "titles": len(titles),
        "rounds": effort.rounds,
        "summary": {
            part: {name: interval.to_json() for name, interval in found.items()}
            for part, found in summary.items()
        },
        "vectors": vectors,
        "met": demands_met(summary, vectors),
        "samples": samples,
    }


def measure(
    encoders: Mapping[str, TitleEncoder], queries: Sequence[str], *, rounds: int
) -> dict[str, Rounds]:
    """By part, what each round took: ``alone_ms``, ``one_by_one``, ``together``, ``hit_ms``.

    ``alone_ms`` is the median of a single query; ``one_by_one`` and ``together`` are queries a
    second, from one client that asks the encoder itself, and from 32 at once through a
    ``QueryEncoder`` that remembers nothing. ``hit_ms`` is the median of what it does remember.
    """
    samples: dict[str, Rounds] = {}
    with ExitStack() as stack:
        clients = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        crowded = {
            name: stack.enter_context(closing(QueryEncoder(encoder, cache_size=0)))
            for name, encoder in encoders.items()
        }
        remembering = stack.enter_context(
            closing(QueryEncoder(next(iter(encoders.values())), cache_size=len(queries)))
        )

        def alone(name: str) -> None:
            taken = [_taken_s(encoders[name].encode_queries, [text]) for text in queries]
            _add(samples, "alone_ms", name, float(np.median(taken)) * 1000)
            _add(samples, "one_by_one", name, len(queries) / sum(taken))

        def together(name: str) -> None:
            ask = crowded[name].encode_queries
            started = time.perf_counter()
            list(clients.map(lambda text: ask([text]), queries))
            _add(samples, "together", name, len(queries) / (time.perf_counter() - started))

        def again(name: str) -> None:
            ask = remembering.encode_queries
            ask(queries)
            asked = [queries[number % len(queries)] for number in range(_HITS_IN_A_ROUND)]
            taken = [_taken_s(ask, [text]) for text in asked]
            _add(samples, "hit_ms", name, float(np.median(taken)) * 1000)

        ways = [(way, name) for name in encoders for way in (alone, together)] + [(again, "cache")]
        for number in range(-1, rounds):
            for place in range(len(ways)):
                way, name = ways[(number + place) % len(ways)]
                way(name)
            if number < 0:  # the first round warms up
                samples.clear()
    return samples


def compare(
    encoders: Mapping[str, TitleEncoder], titles: Sequence[str], queries: Sequence[str]
) -> dict[str, dict[str, float]]:
    """By runtime other than torch, how near its vectors are, and what they find.

    The cosines are those of query vectors of ``titles`` to torch's own. Then the ten titles that
    are found best with the vector of this runtime for one of ``queries``, among the same stored
    vectors: the share that torch puts among its ten best, and how often the first of them is also
    torch's. Titles that torch can't tell apart, as those in a script it does not know, are equal.
    """
    stored = encoders["torch"].encode(titles)
    exact = encoders["torch"].encode_queries(titles)
    scores = encoders["torch"].encode_queries(queries) @ stored.T
    best = np.sort(scores, axis=1)[:, ::-1]
    tenth, first = best[:, _OVERLAP_AT - 1, None], best[:, :1]
    found = {}
    for runtime in TITLE_RUNTIMES[1:]:
        cosines = (encoders[runtime].encode_queries(titles) * exact).sum(axis=1)
        found_scores = encoders[runtime].encode_queries(queries) @ stored.T
        hits = np.argsort(-found_scores, axis=1, kind="stable")[:, :_OVERLAP_AT]
        by_torch = np.take_along_axis(scores, hits, axis=1)
        found[runtime] = {
            "least_cosine": round(float(cosines.min()), 6),
            "median_cosine": round(float(np.median(cosines)), 6),
            "overlap_at_10": round(float(np.mean(by_torch >= tenth - _SAME_SCORE)), 4),
            "same_first": round(float(np.mean(by_torch[:, :1] >= first - _SAME_SCORE)), 4),
        }
    return found


Summary = dict[str, dict[str, Interval]]


def summarize(samples: Mapping[str, Rounds]) -> Summary:
    """Medians over the rounds, and the ratios that the demands are held against."""
    alone, one_by_one, together = (
        {name: np.asarray(values) for name, values in samples[part].items()}
        for part in ("alone_ms", "one_by_one", "together")
    )
    return {
        **{
            part: {name: over_rounds(values) for name, values in rounds.items()}
            for part, rounds in samples.items()
        },
        "alone_faster_than_torch": {
            name: over_rounds(alone["torch"] / values) for name, values in alone.items()
        },
        "together_faster_than_one_by_one": {
            name: over_rounds(values / one_by_one[name]) for name, values in together.items()
        },
        "together_faster_than_torch_one_by_one": {
            name: over_rounds(values / one_by_one["torch"]) for name, values in together.items()
        },
    }


def demands_met(summary: Summary, vectors: Mapping[str, Mapping[str, float]]) -> dict[str, bool]:
    """Whether each demand is met, by its median."""
    together = {
        f"{name}, {CLIENTS} clients: at least {LEAST_FASTER_TOGETHER} times the queries a second "
        f"of one by one": ratio.median >= LEAST_FASTER_TOGETHER
        for name, ratio in summary["together_faster_than_one_by_one"].items()
        if name in ("torch", "onnx")
    }
    return {
        f"onnx, a single query: at least {LEAST_FASTER_ALONE} times faster than torch": (
            summary["alone_faster_than_torch"]["onnx"].median >= LEAST_FASTER_ALONE
        ),
        **together,
        f"a query that is remembered: at most {MOST_HIT_MS} ms": (
            summary["hit_ms"]["cache"].median <= MOST_HIT_MS
        ),
        f"onnx: cosine to torch at least {LEAST_COSINE}": (
            vectors["onnx"]["least_cosine"] >= LEAST_COSINE
        ),
    }


def table(report: Mapping[str, Any]) -> str:
    """The report for a person: medians over the rounds, with 95 % bootstrap intervals."""
    summary = report["summary"]
    columns = {
        "one query, ms": "alone_ms",
        "torch / this": "alone_faster_than_torch",
        "one by one, /s": "one_by_one",
        f"{report['clients']} clients, /s": "together",
        "together / alone": "together_faster_than_one_by_one",
        "together / torch's alone": "together_faster_than_torch_one_by_one",
    }
    lines = [
        machine_line(report["machine"]),
        f"{_MODEL}, and {_OTHER_MODEL} as use-m3; {report['queries']} queries (the first "
        f"{_WORDS_OF_A_QUERY} words of titles of {report['source']}); {report['rounds']} rounds; "
        f"{report['encoder_threads']} encoder threads",
        "",
        f"{'median [95 %]':<14}" + "".join(f"{title:>26}" for title in columns),
    ]
    lines += [
        f"{name:<14}"
        + "".join(f"{Interval(**summary[part][name])!s:>26}" for part in columns.values())
        for name in summary["alone_ms"]
    ]
    hit = summary["hit_ms"]["cache"]
    lines += [
        "",
        f"a query that is remembered: {hit['median']:.4f} [{hit['low']:.4f}, {hit['high']:.4f}] ms",
        f"against torch, {report['titles']} titles:",
    ]
    lines += [
        f"  {name:<12}cosine at least {found['least_cosine']:.6f}, median "
        f"{found['median_cosine']:.6f}; shares {found['overlap_at_10']:.1%} of the ten best, "
        f"and {found['same_first']:.1%} of the first hits"
        for name, found in report["vectors"].items()
    ]
    lines.append("")
    lines += [f"{'met   ' if met else 'MISSED'}  {what}" for what, met in report["met"].items()]
    return "\n".join(lines)


def _titles(source: str) -> list[str]:
    """The different titles of a source, shuffled by a seed: none of its parts is left out."""
    videos = read_corpus(source).videos
    titles = list(dict.fromkeys(one.title for one in videos if one.title is not None))
    if len(titles) < _OVERLAP_AT:
        raise UsageError(f"{source}: {len(titles)} titles in it; there must be {_OVERLAP_AT}")
    return [titles[place] for place in np.random.default_rng(0).permutation(len(titles))]


def _taken_s(encode: Callable[[list[str]], FloatMatrix], texts: list[str]) -> float:
    started = time.perf_counter()
    encode(texts)
    return time.perf_counter() - started


def _add(samples: dict[str, Rounds], part: str, name: str, value: float) -> None:
    samples.setdefault(part, {}).setdefault(name, []).append(value)


if __name__ == "__main__":
    main()
