"""``twinlens bench``: what Qdrant costs over FAISS, on your own vectors."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from twinlens.benchmarks.engines.experiments import EXPERIMENTS, Experiment, server_experiments
from twinlens.benchmarks.engines.measuring import Plan
from twinlens.benchmarks.engines.report_cli import report
from twinlens.benchmarks.engines.run import run
from twinlens.benchmarks.engines.sources import (
    DrawnVectors,
    FileVectors,
    GenerationVectors,
    VectorSource,
)
from twinlens.catalog.errors import UsageError
from twinlens.evaluate.file_to_write import FileToWrite
from twinlens.stores.generations import DataDir

FULL_SIZES: Final = (1_400, 20_000, 100_000, 500_000, 1_000_000)
QUICK_SIZES: Final = (1_400, 5_000)
QUERIES: Final = 500
# Below so many there is nothing to compare, and no graph to build.
FEWEST: Final = 100
_LOCAL_MODE: Final = "qdrant-local"
# Of a result's name, in characters.
_LONGEST_NAME: Final = 80
# The lengths of the packaged encoders' vectors.
_DIMS: Final = {"title": 512, "thumbnail": 128}


@click.group(invoke_without_command=True)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Compare on the index published here."
)
@click.option(
    "--vectors",
    type=click.Path(path_type=Path),
    help="Compare on a .npy of shape (n, dim), or HDF5 as ann-benchmarks has it, brought to unit"
    " length.",
)
@click.option(
    "--sizes",
    help="How many videos, in this order, as 1400,20000. Drawn vectors: up to 1000000; else all.",
)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    help="Only the engine of this name; where there is none, those whose names begin so.",
)
@click.option("--qdrant-url", help="A Qdrant server to compare too; it is written to.")
@click.option("--queries", default=QUERIES, show_default=True, type=click.IntRange(10, 10_000))
@click.option("--rounds", type=click.IntRange(1, 100), help="5, with --quick 3.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option(
    "--quick",
    is_flag=True,
    help="Two small sizes, in less than three minutes: no variants, local mode up to 1400 videos"
    " (unless --engine gives their whole name).",
)
@click.option(
    "--json",
    "result",
    type=FileToWrite(),
    help="The result; a run that was stopped goes on from it. By default in the work directory, as"
    " result.json or quick.json, with what else is asked for in its name: quick-1400-20000.json.",
)
@click.option(
    "--work-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/benchmarks/engines"),
    show_default=True,
    help="Where vectors and indexes are made.",
)
@click.option("--keep", is_flag=True, help="Keep vectors and indexes when a size is done.")
@click.option(
    "--retry-failed", is_flag=True, help="Measure the sizes anew at which an engine failed."
)
@click.pass_context
def bench(
    context: click.Context,
    data_dir: Path | None,
    vectors: Path | None,
    sizes: str | None,
    engines: tuple[str, ...],
    qdrant_url: str | None,
    queries: int,
    rounds: int | None,
    seed: int,
    quick: bool,
    result: Path | None,
    work_dir: Path,
    keep: bool,
    retry_failed: bool,
) -> None:
    """Compare Qdrant with FAISS: latency, recall, throughput, memory, build time.

    Vectors are those of a published index, of a file, or drawn (then labelled synthetic). The
    result is one JSON file; ``report`` makes tables and plots of it. The same command again goes on
    with a run that was stopped.

    \b
    Example:
      twinlens bench --quick
      twinlens bench --data-dir data --json mine.json
      twinlens bench report mine.json --html mine.html
    """
    if context.invoked_subcommand is not None:
        return

    def say(line: str) -> None:
        click.echo(line, err=True)

    chosen = _experiments(engines, qdrant_url, quick=quick)
    source, named = _source(data_dir, vectors)
    plan = _plan(source, sizes, queries=queries, rounds=rounds, seed=seed, quick=quick)
    if plan.queries < queries:
        why = "it brings no more" if source.has_queries else "a tenth of it is taken out for them"
        say(f"{source.describe()}: {plan.queries:,} queries, not {queries:,}: {why}")
    result = result or work_dir / _result_name(
        "quick" if quick else "result",
        named,
        *([] if sizes is None else map(str, plan.sizes)),
        *engines,
        "" if qdrant_url is None else f"server-{urlsplit(qdrant_url).netloc.rpartition('@')[2]}",
        "" if queries == QUERIES else f"queries-{queries}",
        "" if rounds is None else f"rounds-{rounds}",
        "" if seed == 0 else f"seed-{seed}",
    )
    measured = run(
        source,
        plan,
        chosen,
        result=result,
        work=work_dir,
        say=say,
        keep=keep,
        retry_failed=retry_failed,
    )
    failed = [
        f"{name} at {of['videos']:,}"
        for of in measured["sizes"]
        for name, one in of.get("experiments", {}).items()
        if one["failed"]
    ]
    left_out = [f"{of['videos']:,}" for of in measured["sizes"] if "skipped" in of]
    click.echo(
        f"{len(plan.sizes) - len(left_out)} sizes measured into {result}"
        + (f"; left out for lack of room: {', '.join(left_out)}" if left_out else "")
        + (f"; failed: {', '.join(failed)} (--retry-failed: again)" if failed else "")
    )
    if failed or left_out:
        context.exit(1)


bench.add_command(report)


def _source(data_dir: Path | None, vectors: Path | None) -> tuple[VectorSource, str]:
    """Where vectors come from, and what to call a result by it; nothing where they are drawn."""
    if data_dir is not None and vectors is not None:
        raise UsageError("--data-dir and --vectors: name one of them")
    if vectors is not None:
        return FileVectors(vectors), vectors.stem
    if data_dir is not None:
        data = DataDir(data_dir)
        generation = data.published().generation
        mirror = data.generation_path(generation) / "faiss"
        return GenerationVectors(mirror, generation=generation), generation
    return DrawnVectors(_DIMS), ""


def _result_name(*parts: str) -> str:
    """A file's name that says what was asked for where that is not the usual."""
    name = "-".join(re.sub(r"[^\w.-]+", "-", part) for part in parts if part)
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: _LONGEST_NAME - 9]}-{digest}"
    return f"{name}.json"


def _plan(
    source: VectorSource,
    sizes: str | None,
    *,
    queries: int,
    rounds: int | None,
    seed: int,
    quick: bool,
) -> Plan:
    most = source.most
    if source.most_queries is not None:
        queries = min(queries, source.most_queries)
    if most is not None and not source.has_queries:
        queries = min(queries, most // 10)
        most -= queries
    if most is not None and most < FEWEST:
        raise UsageError(f"{source.describe()}: too few; a comparison takes {FEWEST} at least")
    chosen = _sizes(sizes) if sizes is not None else (QUICK_SIZES if quick else FULL_SIZES)
    if sizes is None and most is not None:
        chosen = (most,)
    if most is not None and max(chosen) > most:
        raise UsageError(
            f"--sizes: {max(chosen):,} videos are asked for; {source.describe()} leaves {most:,}"
            " beside the queries"
        )
    quickly = {
        "rounds": 3,
        "seconds": 0.15,
        "clients": (1, 2),
        "client_rounds": 1,
        "client_seconds": 0.3,
        "changing_seconds": 0.4,
    }
    plan = Plan(
        sizes=chosen,
        queries=queries,
        seed=seed,
        build_threads=len(os.sched_getaffinity(0)),
        quick=quick,
        **(quickly if quick else {}),  # type: ignore[arg-type]
    )
    return plan if rounds is None else replace(plan, rounds=rounds)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise UsageError(f"--sizes {text}: whole numbers by commas, as 1400,20000") from error
    if min(sizes) < FEWEST:
        raise UsageError(f"--sizes {text}: at least {FEWEST} videos")
    return sizes


def _experiments(
    engines: tuple[str, ...], qdrant_url: str | None, *, quick: bool
) -> tuple[Experiment, ...]:
    there = EXPERIMENTS + (server_experiments(qdrant_url) if qdrant_url else ())
    names = {one.name for one in there}
    for asked in engines:
        if not asked or not any(name.startswith(asked) for name in names):
            raise UsageError(f"--engine {asked}: there are {', '.join(one.name for one in there)}")
    # A whole name is meant as it is, though others begin so.
    beginnings = tuple(one for one in engines if one not in names) if engines else ("",)
    chosen: list[Experiment] = []
    for one in there:
        if one.name in engines:
            chosen.append(one)
        elif one.name.startswith(beginnings) and not (quick and one.variant):
            hurried = quick and one.name == _LOCAL_MODE
            chosen.append(replace(one, most_videos=QUICK_SIZES[0]) if hurried else one)
    if not chosen:
        raise UsageError(
            f"--engine {', '.join(engines)}: --quick leaves variants out, but for those whose whole"
            " name is given"
        )
    return tuple(chosen)
