"""What search and HTTP cost on top of the engine.

The engine's own time is that of Qdrant's ``query_batch`` for the stored vectors of a video, with
the hits as the engine returns them: no video ids, no payloads, no order among ties. The served
search tells its stages in each answer; what HTTP adds is the wait less the answer's ``took_ms``.

Example:
    python -m twinlens.benchmarks.searching --data-dir data --json searching.json
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click
import httpx
import numpy as np
import qdrant_edge as qe

from twinlens.benchmarks.engines.tables import measure_ratio, show_interval
from twinlens.catalog.errors import TwinLensError, UsageError
from twinlens.evaluate.machine import describe_machine, write_json
from twinlens.stores.edge import link_view
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import DataDir

_ROOT: Final = Path(__file__).resolve().parents[1]
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
        manifest = data.read_published()
        if manifest.engine != EmbeddedEngine.name:
            raise UsageError(f"{data.path}: the engine is {manifest.engine}; embedded is measured")
        view = Path(scratch, "view")
        view.mkdir()
        link_view(data.locate_generation(manifest.generation) / "qdrant", view)
        shard = stack.enter_context(closing(qe.EdgeShard.load(str(view))))
        reader = stack.enter_context(closing(EmbeddedEngine(data).open_reader(manifest.generation)))
        client = stack.enter_context(
            httpx.Client(base_url=stack.enter_context(serve(data.path)), timeout=60)
        )
        asked = draw_videos(client, queries)
        stored = reader.get([one["video_id"] for one in asked], with_vectors=True)
        batches = [make_batch(stored[one["video_id"]]) for one in asked]
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


def make_batch(video: Any) -> Any:
    """Return the queries by all vectors of a stored video, as the engine takes them."""
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


def measure_in_turns(
    ways: Mapping[str, Callable[[], Mapping[str, float]]], *, rounds: int
) -> dict[str, list[float]]:
    """Return what each way returns in each round, by name.

    The order turns from round to round, and a first round warms up, so that what disturbs hurts all
    alike and ratios can be formed within a round.
    """
    samples: dict[str, list[float]] = {}
    for number in range(-1, rounds):
        for place in range(len(ways)):
            name = list(ways)[(number + place) % len(ways)]
            for figure, value in ways[name]().items():
                if number >= 0:
                    samples.setdefault(figure, []).append(round(value, 5))
    return samples


def time_each(ask: Callable[[Any], object], requests: Iterable[Any]) -> list[float]:
    """Return the milliseconds of each of these requests, asked one after the other."""
    waited = []
    for request in requests:
        started = time.perf_counter()
        ask(request)
        waited.append((time.perf_counter() - started) * 1000)
    return waited


def report(
    path: Path | None,
    title: str,
    samples: Mapping[str, Sequence[float]],
    ratios: Mapping[str, tuple[str, str]],
    /,
    **parts: Any,
) -> None:
    """Print medians with their 95 % bootstrap interval, ratios within a round, and the machine.

    ``ratios`` names two figures of ``samples`` by what their ratio is called. ``parts`` are what is
    written to ``path`` as JSON, if there is one.
    """
    click.echo(f"\n{title}: median [95 %]")
    pairs: dict[str, tuple[Sequence[float], Sequence[float]]]
    pairs = {name: (values, [1.0] * len(values)) for name, values in samples.items()}
    pairs |= {name: (samples[above], samples[below]) for name, (above, below) in ratios.items()}
    for name, (over, under) in pairs.items():
        shown = show_interval(measure_ratio(over, under, paired=True))
        click.echo(f"  {name:<48}{shown:>28}")
    machine = describe_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    click.echo(
        f"\n{machine['processor']}, {machine['cores']} cores, load {machine['load'][0]},"
        f" commit {machine['commit']}{' with changes' * bool(machine['dirty'])}; {versions}"
    )
    write_json(path, {"machine": machine, **parts})


@contextmanager
def serve(data_dir: Path, *, workers: int = 1) -> Iterator[str]:
    """Yield the address of ``twinlens serve``, once it answers; stopped at the end.

    Raises:
        TwinLensError: it did not start; it has said why on standard error.
    """
    command = [sys.executable, "-m", "twinlens", "serve", "--data-dir", str(data_dir.resolve())]
    command += ["--port", "0", "--workers", str(workers)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            if address is None:
                raise TwinLensError("the server did not start")
            yield address.group()
        finally:
            process.terminate()
            process.wait(60)


if __name__ == "__main__":
    main()
