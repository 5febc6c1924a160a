"""What search and HTTP cost on top of the engine.

The engine's own time is that of Qdrant's ``query_batch`` for the stored vectors of a video, with
the hits as the engine returns them: no video ids, no payloads, no order among ties. The served
search tells its stages in each answer; what HTTP adds is the wait less the answer's ``took_ms``.

Example:
    python -m twinlens.benchmarks.searching --data-dir data --json searching.json
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click
import httpx
import numpy as np
import qdrant_edge as qe

from twinlens.benchmarks.harness import measure_in_turns, report, served, time_each
from twinlens.catalog.errors import UsageError
from twinlens.stores.edge import link_view
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import DataDir

_API: Final = "/api/v1"
# What the served search asks each lens for: its window, and the video itself.
_WINDOW: Final = 201
# The most videos that one answer holds.
_PAGE: Final = 100


@click.command()
@click.option("--data-dir", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--queries", type=click.IntRange(1, _PAGE), default=50, show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=10, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write samples, too.")
def main(data_dir: Path, queries: int, rounds: int, json_path: Path | None) -> None:
    """Measure what search, fusion and HTTP add to the engine's own time."""
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-") as scratch, ExitStack() as stack:
        data = DataDir(data_dir)
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
        alone = "engine alone, one batch"
        samples = measure_in_turns(
            {
                "engine": lambda: {alone: float(np.median(time_each(shard.query_batch, batches)))},
                "similar": lambda: ask_all(client, similar, "similar"),
                "text": lambda: ask_all(client, texts, "text"),
            },
            rounds=rounds,
        )
    ratios = {"similar, search / engine alone": ("similar: search", alone)}
    about = {"videos": manifest.counts, "queries": queries}
    report(json_path, "milliseconds", samples, ratios, **about, samples_ms=samples)


def draw_videos(client: httpx.Client, count: int) -> list[dict[str, Any]]:
    """So many videos of the served index that have a title, drawn by a seed."""
    asked = client.get(f"{_API}/videos?order=random&seed=0&limit={_PAGE}").raise_for_status()
    return [one for one in asked.json()["videos"] if one.get("title")][:count]


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


def ask_all(client: httpx.Client, paths: Sequence[str], kind: str) -> Mapping[str, float]:
    """Median milliseconds by stage, as the answers tell them, and of what HTTP adds."""
    answers: list[httpx.Response] = []
    waited = time_each(lambda path: answers.append(client.get(path).raise_for_status()), paths)
    found: dict[str, list[float]] = {}
    for waited_ms, answer in zip(waited, answers, strict=True):
        told = answer.json()
        added_ms = waited_ms - told["took_ms"]
        stages = {**told["timings_ms"], "waited": waited_ms, "added by HTTP": added_ms}
        for stage, ms in stages.items():
            found.setdefault(stage, []).append(ms)
    return {f"{kind}: {name}": float(np.median(values)) for name, values in found.items()}


if __name__ == "__main__":
    main()
