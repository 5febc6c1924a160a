"""``twinlens bench``: what Qdrant costs over FAISS, on your own vectors."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from twinlens.catalog.errors import UsageError
from twinlens.commands.file_to_write import FileToWrite

if TYPE_CHECKING:
    from twinlens.benchmarks.engines.base import Experiment
    from twinlens.benchmarks.engines.record import Plan
    from twinlens.benchmarks.engines.sources import VectorSource

FULL_SIZES: Final = (1_400, 20_000, 100_000, 500_000, 1_000_000)
QUICK_SIZES: Final = (1_400, 5_000)
# Asked in each size, fewer where there are fewer.
QUERIES: Final = 500
# Below so many there is nothing to compare, and no graph to build.
FEWEST: Final = 100
# The lengths of the packaged encoders' vectors.
_DIMS: Final = {"title": 512, "thumbnail": 128}
_QUICKLY: Final[Mapping[str, Any]] = {
    "rounds": 3,
    "seconds": 0.15,
    "clients": [1, 2],
    "client_rounds": 1,
    "client_seconds": 0.3,
}
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER: Final = click.Path(file_okay=False, path_type=Path)


def _read_sizes(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> list[int] | None:
    if text is None:
        return None
    sizes = (click.IntRange(FEWEST)(part, parameter, context) for part in text.split(","))
    return [*dict.fromkeys(sizes)]


@click.group(invoke_without_command=True)
@click.option("--data-dir", type=_FOLDER, help="Compare on the index published here.")
@click.option(
    "--vectors",
    type=click.Path(path_type=Path),
    help="Compare on a .npy of shape (n, dim), or HDF5 as ann-benchmarks has it, brought to unit"
    " length.",
)
@click.option(
    "--sizes", callback=_read_sizes, help="How many videos, in this order, as 1400,20000."
)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    help="Only the engine of this name, or else all whose names begin with it.",
)
@click.option("--experiments", type=_FILE, help="Rows of your own, as engines/experiments.toml.")
@click.option("--qdrant-url", help="A Qdrant server to compare too; it is written to.")
@click.option("--rounds", type=click.IntRange(1, 100), help="5, with --quick 3.")
@click.option("--quick", is_flag=True, help="Two small sizes, in less than three minutes.")
@click.option(
    "--json",
    "result",
    type=FileToWrite(),
    help="The result; a stopped run continues from it. By default in the work directory.",
)
@click.option(
    "--work-dir",
    type=_FOLDER,
    default=Path("data/benchmarks/engines"),
    show_default=True,
    help="Where vectors and indexes are made.",
)
@click.pass_context
def bench(context: click.Context, /, **asked: Any) -> None:
    """Compare Qdrant with FAISS: latency, recall, throughput, memory, build time.

    Vectors are those of a published index, of a file, or drawn (then labelled synthetic). The
    result is one JSON file; ``report`` makes tables and plots of it. The same command again goes on
    with a run that was stopped. Ends with 1 where an engine failed.

    \b
    Example:
      twinlens bench --quick
      twinlens bench --data-dir data --json mine.json
      twinlens bench report mine.json --plots plots
    """
    if context.invoked_subcommand is not None:
        return
    from twinlens.benchmarks.engines.base import EXPERIMENTS, choose_experiments, read_experiments
    from twinlens.benchmarks.engines.measure import run

    there = read_experiments(asked["experiments"] or EXPERIMENTS, url=asked["qdrant_url"])
    chosen = choose_experiments(there, asked["engines"])
    source = _open_source(asked["data_dir"], asked["vectors"])
    plan = _plan(source, chosen, **asked)
    say = functools.partial(click.echo, err=True)
    # Of another run, another file.
    result = asked["result"] or asked["work_dir"] / f"result-{plan.digest()}.json"
    say(f"the result goes to {result}")
    measured = run(source, plan, chosen, result=result, work=asked["work_dir"], say=say)
    click.echo(f"{len(plan.sizes)} sizes measured into {result}")
    if failed := measured.list_failures():
        click.echo(f"failed: {', '.join(failed)}")
        context.exit(1)


@bench.command()
@click.argument("result", type=_FILE)
@click.argument("other", metavar="[OTHER]", type=_FILE, required=False)
@click.option("--plots", type=_FOLDER, help="A folder for the plots; created if missing.")
def report(result: Path, other: Path | None, plots: Path | None) -> None:
    """Print a run's figures as Markdown, or those of two runs side by side with their ratio.

    Plots are written as SVG and as PNG.

    \b
    Example:
      twinlens bench report mine.json --plots plots
      twinlens bench report before.json after.json
    """
    from twinlens.benchmarks.engines.record import read_result
    from twinlens.benchmarks.engines.report import report_on, report_two
    from twinlens.benchmarks.engines.tables import write_plots

    run = read_result(result)
    if other is not None and plots is not None:
        raise UsageError("--plots: of one result")
    text = report_on(run) if other is None else report_two(run, read_result(other))
    if plots is not None:
        write_plots(run, plots)
    click.echo(text, nl=False)


@bench.command()
@click.argument("pages", metavar="FILE.md [FILE.md ...]", nargs=-1, required=True, type=_FILE)
@click.option(
    "--results",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("benchmarks/results"),
    show_default=True,
    help="Where the results lie.",
)
def page(pages: tuple[Path, ...], results: Path) -> None:
    """Rewrite the tables in Markdown pages, each between the lines that name it.

    \b
    Example:
      twinlens bench page docs/faiss-vs-qdrant.md
    """
    from twinlens.benchmarks.engines.report import draw_page
    from twinlens.catalog.files import write_atomically

    anew = {path: draw_page(path.read_text("utf-8"), results, path=path) for path in pages}
    for path, text in anew.items():
        if text != path.read_text("utf-8"):
            click.echo(f"{path}: drawn anew")
            write_atomically(path, text)


def _open_source(data_dir: Path | None, vectors: Path | None) -> VectorSource:
    from twinlens.benchmarks.engines.sources import DrawnVectors, FileVectors, IndexVectors
    from twinlens.stores.generations import DataDir

    if data_dir is not None and vectors is not None:
        raise UsageError("--data-dir and --vectors: name one of them")
    if vectors is not None:
        return FileVectors(vectors)
    if data_dir is not None:
        data = DataDir(data_dir)
        generation = data.read_published().generation
        return IndexVectors(data.locate_mirror(generation), generation=generation)
    return DrawnVectors(_DIMS)


def _plan(source: VectorSource, chosen: Sequence[Experiment], **asked: Any) -> Plan:
    """Return what is asked, in the sizes and queries that the source has enough for.

    Raises:
        UsageError: it has too few, or no size is left.
    """
    from twinlens.benchmarks.engines.base import digest_experiments
    from twinlens.benchmarks.engines.record import Plan

    there, queries = source.videos, QUERIES
    if source.queries is not None:
        queries = min(queries, source.queries)
    elif there is not None:
        # At most a tenth of it is taken out for them.
        queries = min(queries, there // 10)
        there -= queries
    if there is not None and there < FEWEST:
        raise UsageError(f"{source.description}: too few; a comparison takes {FEWEST} at least")
    drawn = QUICK_SIZES if asked["quick"] else FULL_SIZES
    sizes = asked["sizes"] or ([*drawn] if there is None else [there])
    if there is not None and max(sizes) > there:
        raise UsageError(
            f"--sizes: {max(sizes):,} videos are asked for; {source.description} leaves {there:,}"
            " beside the queries"
        )
    rounds = {} if asked["rounds"] is None else {"rounds": asked["rounds"]}
    return Plan(
        sizes=sizes,
        source=source.description,
        experiments=[one.name for one in chosen],
        settings=digest_experiments(chosen),
        queries=queries,
        build_threads=len(os.sched_getaffinity(0)),
        **({**_QUICKLY} if asked["quick"] else {}) | rounds,
    )
