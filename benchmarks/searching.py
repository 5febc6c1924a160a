"""What search and HTTP cost on top of the engine.

The engine's own time is that of Qdrant's ``query_batch`` for the stored vectors of a video, with
the hits as the engine returns them: no video ids, no payloads, no order among ties. The served
search tells its stages in each answer; what HTTP adds is the wait less the answer's ``took_ms``.

Example:
    python -m twinlens.benchmarks.searching --data-dir data --json searching.json
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click
import httpx
import numpy as np
import qdrant_edge as qe

from twinlens.benchmarks.harness import index_sample, measure_in_turns, served, tell, write_report
from twinlens.catalog.errors import UsageError
from twinlens.stores.edge import link_view
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import DataDir

_API: Final = "/api/v1"
# What the served search asks each lens for: its window, and the video itself.
_WINDOW: Final = 201


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="An index of your own; without it a sample is drawn and indexed.",
)
@click.option("--videos", type=click.IntRange(20), default=2000, show_default=True)
@click.option("--queries", type=click.IntRange(1), default=50, show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=10, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write samples, too.")
def main(
    data_dir: Path | None, videos: int, queries: int, rounds: int, json_path: Path | None
) -> None:
    """Measure what search, fusion and HTTP add to the engine's own time."""
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-") as scratch, ExitStack() as stack:
        data = DataDir(data_dir or index_sample(Path(scratch), videos=videos))
        manifest = data.published()
        if manifest.engine != EmbeddedEngine.name:
            raise UsageError(f"{data.path}: the engine is {manifest.engine}; embedded is measured")
        view = Path(scratch, "view")
        view.mkdir()
        link_view(data.generation_path(manifest.generation) / "qdrant", view)
        shard = stack.enter_context(closing(qe.EdgeShard.load(str(view))))
        reader = stack.enter_context(closing(EmbeddedEngine(data).reader(manifest.generation)))
        client = stack.enter_context(
            httpx.Client(base_url=stack.enter_context(served(data.path)), timeout=60)
        )
        asked = draw_videos(client, queries)
        stored = reader.get([one["video_id"] for one in asked], with_vectors=True)
        batches = [batch_of(stored[one["video_id"]]) for one in asked]
        similar = [f"{_API}/videos/{quote(one['video_id'], safe='')}/similar" for one in asked]
        texts = [f"{_API}/search?{httpx.QueryParams(q=one['title'])}" for one in asked]
        samples = measure_in_turns(
            {
                "engine": lambda: {"engine alone, one batch": time_all(shard.query_batch, batches)},
                "similar": lambda: ask_all(client, similar, "similar"),
                "text": lambda: ask_all(client, texts, "text"),
            },
            rounds=rounds,
        )
    searched, alone = "similar: search", "engine alone, one batch"
    tell("milliseconds", samples, {"similar, search / engine alone": (searched, alone)})
    write_report(json_path, videos=manifest.counts, queries=queries, samples_ms=samples)


def draw_videos(client: httpx.Client, count: int) -> list[dict[str, Any]]:
    """So many videos of the served index that have a title, drawn by a seed."""
    videos: list[dict[str, Any]] = []
    cursor = None
    while len(videos) < count:
        asked: dict[str, str | int] = {"order": "random", "seed": 0, "limit": 50}
        asked |= {} if cursor is None else {"cursor": cursor}
        page = client.get(f"{_API}/videos", params=asked).raise_for_status().json()
        videos += [one for one in page["videos"] if one.get("title")]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    return videos[:count]


def batch_of(video: Any) -> Any:
    """The queries by all vectors of a stored video, as the engine takes them."""
    named: dict[str, Any] = dict(video.vectors)
    named |= {name: qe.SparseVector(*map(list, sparse)) for name, sparse in video.sparse.items()}
    return qe.QueryBatchRequest(
        [
            qe.QueryRequest(
                limit=_WINDOW,
                query=qe.Query.Nearest(vector, using=name),
                params=qe.SearchParams(exact=False),
                with_payload=False,
                with_vector=False,
            )
            for name, vector in named.items()
        ]
    )


def time_all(ask: Callable[[Any], object], requests: Sequence[Any]) -> float:
    """The median milliseconds of these requests, asked one after the other."""
    waited = []
    for request in requests:
        started = time.perf_counter()
        ask(request)
        waited.append((time.perf_counter() - started) * 1000)
    return float(np.median(waited))


def ask_all(client: httpx.Client, paths: Sequence[str], kind: str) -> Mapping[str, float]:
    """Median milliseconds by stage, as the answers tell them, and of what HTTP adds."""
    found: dict[str, list[float]] = {}
    for path in paths:
        started = time.perf_counter()
        answer = client.get(path).raise_for_status()
        waited_ms = (time.perf_counter() - started) * 1000
        told = answer.json()
        for stage, ms in told["timings_ms"].items():
            found.setdefault(stage, []).append(ms)
        found.setdefault("waited", []).append(waited_ms)
        found.setdefault("added by HTTP", []).append(waited_ms - told["took_ms"])
    return {f"{kind}: {name}": float(np.median(values)) for name, values in found.items()}


if __name__ == "__main__":
    main()
