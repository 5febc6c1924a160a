"""How long a suggestion takes: looked up, asked for alone, and beside eight searchers.

Titles of made words in Latin, Sinhala and Tamil letters are drawn, some words much oftener than
others; their vectors by meaning are drawn at random, those of their words are what the index would
have. ``twinlens serve``, as it is deployed, answers both; searches are of one to three words
of a title and go through the encoder. What is typed is a title's beginning, any part of one, one
with a mistake, or its words in another order.

Example:
    python -m twinlens.benchmarks.suggestions --videos 100000 --json suggestions.json
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import click
import httpx
import numpy as np

from twinlens.benchmarks.searching import serve
from twinlens.catalog.vectors import unit_rows
from twinlens.encoders.lens import LensOptions
from twinlens.encoders.lenses import TITLE, WORDS, open_lenses
from twinlens.encoders.words import weigh_title
from twinlens.evaluate.machine import describe_machine, write_json
from twinlens.search.suggestion_file import write_suggestions
from twinlens.search.suggestions import Suggestions
from twinlens.stores.base import StoredVideo
from twinlens.stores.edge import EdgeStore
from twinlens.stores.generations import SUGGESTIONS_FILE, DataDir, LensRecord, Manifest

_API: Final = "/api/v1"
_MODEL: Final = "packaged:use-m3"
_BATCH: Final = 1000
_SEARCHERS: Final = 8
_SETTLING_S: Final = 2.0
_LATIN: Final = ([*"bcdfghklmnprstv", "th", "sh", "st", "tr"], [*"aeiou", "ai", "oo"])
_SINHALA: Final = ([*"කගචජටඩතදනපබමයරලවසහ"], ["", *"ාිුෙො"])
_TAMIL: Final = ([*"கசடதநபமயரலவ"], ["", *"ாிுெ"])
# How many words each has, and its share of the titles.
_SCRIPTS: Final = ((_LATIN, 40_000, 0.5), (_SINHALA, 15_000, 0.3), (_TAMIL, 10_000, 0.2))


@click.command()
@click.option("--videos", type=click.IntRange(100), default=100_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=20.0, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="For the index.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write samples, too.")
def main(
    videos: int, seconds: float, workers: int, folder: Path | None, json_path: Path | None
) -> None:
    """Measure the waits for suggestions, alone and beside searches."""
    payloads = list(draw_payloads(videos))
    draw = random.Random(1)
    waited: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-", dir=folder) as scratch:
        file = publish(DataDir(Path(scratch)), payloads)
        click.echo(f"{videos:,} videos, their suggestions {file.stat().st_size / 1e6:.0f} MB")
        suggestions = Suggestions(file)
        waited["looked up"] = repeat(
            lambda: suggestions.suggest(draw_typed(draw, payloads), limit=8), seconds / 4
        )
        with (
            serve(Path(scratch), workers=workers) as address,
            httpx.Client(base_url=address, timeout=60) as client,
        ):

            def suggest() -> None:
                typed = {"q": draw_typed(draw, payloads)}
                client.get(f"{_API}/suggest", params=typed).raise_for_status()

            repeat(suggest, 1)  # it warms up
            waited["asked for alone"] = repeat(suggest, seconds)
            beside = f"asked for beside {_SEARCHERS} searchers"
            waited[beside], waited["their searches"] = beside_searches(
                suggest, address, [one["title"] for one in payloads[:5000]], seconds
            )
    for name, of in waited.items():
        p50, p99 = np.quantile(of, (0.5, 0.99))
        click.echo(f"  {name:<36} p50 {p50:8.2f} ms   p99 {p99:8.2f} ms   {len(of):7,} times")
    ratio = np.quantile(waited[beside], 0.99) / np.quantile(waited["their searches"], 0.99)
    click.echo(f"  a suggestion's p99 beside them is {ratio:.2f} of a search's")
    machine = describe_machine()
    click.echo(f"{machine['processor']}, {machine['cores']} cores, load {machine['load'][0]}")
    write_json(
        json_path, {"machine": machine, "videos": videos, "workers": workers, "samples_ms": waited}
    )


def draw_payloads(count: int) -> Iterator[Mapping[str, Any]]:
    """Yield the payloads of so many videos."""
    draw = random.Random(0)
    vocabularies = []
    for (consonants, vowels), size, _ in _SCRIPTS:
        words = [
            "".join(
                draw.choice(consonants) + draw.choice(vowels) for _ in range(draw.randint(1, 4))
            )
            for _ in range(size)
        ]
        # As in any language: the n-th most frequent word is about an n-th as frequent.
        vocabularies.append((words, list(accumulate(1 / (place + 5) for place in range(size)))))
    shares = [share for _, _, share in _SCRIPTS]
    for number in range(count):
        [(words, weights)] = draw.choices(vocabularies, shares)
        yield {
            "video_id": f"v{number:08}",
            "title": " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(3, 12))),
            "channel": f"{draw.choice(words[:2000])} {draw.choice(words[:10])}",
            "tags": draw.choices(words[:5000], k=4),
            "view_count": int(100 * draw.paretovariate(0.7)),
            "thumbnail_file": "0.webp",
        }


def publish(data: DataDir, payloads: Sequence[Mapping[str, Any]]) -> Path:
    """Publish an index of these videos, and return its file of suggestions."""
    lenses = open_lenses({TITLE: _MODEL}, LensOptions(threads=1), names=(TITLE, WORDS))
    records = {name: LensRecord(of.model, of.fingerprint, of.dim) for name, of in lenses.items()}
    dim = records[TITLE].dim or 0
    folder = data.locate_generation("drawn")
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with closing(EdgeStore.create(folder / "qdrant", {TITLE: dim, WORDS: None})) as store:
        for start in range(0, len(payloads), _BATCH):
            some = payloads[start : start + _BATCH]
            vectors = unit_rows(rng.standard_normal((len(some), dim)))
            store.upsert(
                [
                    StoredVideo(one["video_id"], one, {TITLE: vector}, {WORDS: sparse})
                    for one, vector in zip(some, vectors, strict=True)
                    if (sparse := weigh_title(one["title"])) is not None
                ]
            )
        store.optimize()
        store.flush()
    write_suggestions(folder / SUGGESTIONS_FILE, payloads)
    data.publish(
        Manifest(
            generation="drawn",
            created_at="2026-11-30T00:00:00+00:00",
            engine="embedded",
            collection=None,
            lenses=records,
            counts=dict.fromkeys(("videos", *records), len(payloads)),
            source="drawn",
            versions={},
            timings_s={},
        )
    )
    return folder / SUGGESTIONS_FILE


def draw_typed(draw: random.Random, payloads: Sequence[Mapping[str, Any]]) -> str:
    """Return what somebody may have typed who looks for one of these videos."""
    words = draw.choice(payloads)["title"].split()
    match draw.randrange(4):
        case 0:
            title = " ".join(words)
            return title[: draw.randint(1, min(30, len(title)))]
        case 1:
            part = " ".join(words[draw.randrange(len(words)) :][:2])
            return part[: draw.randint(1, len(part))]
        case 2:
            part = " ".join(words[:2])
            at = draw.randrange(len(part))
            return f"{part[:at]}{part[at + 1 :]} "
    return " ".join(draw.sample(words, min(3, len(words))))


def repeat(ask: Callable[[], object], seconds: float) -> list[float]:
    """Return the milliseconds of each call, one after the other, for so many seconds."""
    waited = []
    ends = time.perf_counter() + seconds
    while (started := time.perf_counter()) < ends:
        ask()
        waited.append((time.perf_counter() - started) * 1000)
    return waited


def beside_searches(
    ask: Callable[[], object], address: str, titles: Sequence[str], seconds: float
) -> tuple[list[float], list[float]]:
    """Return the milliseconds of each call of ``ask``, and of each search beside it.

    The searchers are a process of their own: threads of one would wait for each other.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        searches = other.submit(search, address, titles, seconds + 2 * _SETTLING_S)
        time.sleep(_SETTLING_S)
        return repeat(ask, seconds), searches.result()


def search(address: str, titles: Sequence[str], seconds: float) -> list[float]:
    """Return the milliseconds of each search of so many searchers, who ask one after the other."""

    def go_on(number: int) -> list[float]:
        draw = random.Random(number)
        with httpx.Client(base_url=address, timeout=60) as client:

            def once() -> None:
                words = draw.choice(titles).split()
                text = " ".join(words[draw.randrange(len(words)) :][: draw.randint(1, 3)])
                client.get(f"{_API}/search", params={"q": text}).raise_for_status()

            return repeat(once, seconds)

    with ThreadPoolExecutor(_SEARCHERS) as threads:
        return [one for waited in threads.map(go_on, range(_SEARCHERS)) for one in waited]


if __name__ == "__main__":
    main()
