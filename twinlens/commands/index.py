"""``twinlens index`` and ``twinlens verify``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twinlens.catalog.errors import SourceError, StoreCorrupt, StoreError, UsageError
from twinlens.commands.file_to_write import FileToWrite
from twinlens.commands.lenses import SETTINGS_HELP, open_lenses, title_runtime_option
from twinlens.commands.progress import open_progress_bar

if TYPE_CHECKING:
    from twinlens.catalog.sources import Reject, RejectsFile, Row, Source
    from twinlens.indexer.fetch import ThumbnailFetcher
    from twinlens.indexer.job import JobSummary
    from twinlens.indexer.metrics import JobMetrics
    from twinlens.stores.generations import DataDir, Manifest


def _read_columns(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    columns = {}
    for value in values:
        field, equals, column = value.partition("=")
        if not (field and equals):
            raise click.BadParameter(f"{value!r} is not FIELD=COLUMN")
        columns[field] = column
    return columns


@click.command(epilog=SETTINGS_HELP)
@click.argument("source")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the index is kept.")
@click.option("--title-model", metavar="NAME", help="Model name or path, or packaged:e5-small.")
@title_runtime_option
@click.option(
    "--thumbnail-model",
    help="packaged:denoiser, a trained model's directory, or a sentence-transformers CLIP model.",
)
@click.option("--qdrant-url", metavar="URL", help="Index into this Qdrant server.")
@click.option("--collection", metavar="NAME", help="The server's alias of the index.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=COLUMN",
    callback=_read_columns,
    help="Take a field of a video from this column, or path.to.it, or from none (FIELD=).",
)
@click.option(
    "--dates",
    "date_order",
    type=click.Choice(["day-first", "month-first"]),
    help="How 03/04/2023 is read; it is left empty otherwise.",
)
@click.option(
    "--query",
    metavar="SQL",
    help="Index what this query of an SQLite file or a PostgreSQL database gives.",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would be read, and encode and write nothing."
)
@click.option("--split", help="One split of a Hugging Face data set; all of them if not given.")
@click.option("--revision", help="Branch, tag or commit of a Hugging Face data set.")
@click.option("--fetch-thumbnails", is_flag=True, help="Fetch pictures given as URLs.")
@click.option("--prune", is_flag=True, help="Remove videos that left the source.")
@click.option("--fresh", is_flag=True, help="Rebuild from this source alone.")
@click.option("--allow-loss", is_flag=True, help="Publish though a fifth of the videos goes.")
@click.option("--strict", is_flag=True, help="Stop at the first row that can't be indexed.")
@click.option(
    "--rejects",
    "rejects_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where rejected rows are listed  [default: DATA_DIR/rejects.jsonl]",
)
@click.option(
    "--threads", type=click.IntRange(1, 256), help="Threads that decode, and that the lenses share."
)
@click.option(
    "--json", "json_path", type=FileToWrite(json=True), help="Write the summary to this file, too."
)
@click.option(
    "--metrics",
    "index_metrics",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep this file, FILE.prom, for node_exporter's textfile collector.",
)
def index(
    source: str,
    columns: dict[str, str],
    date_order: str | None,
    query: str | None,
    dry_run: bool,
    split: str | None,
    revision: str | None,
    fetch_thumbnails: bool,
    prune: bool,
    fresh: bool,
    allow_loss: bool,
    strict: bool,
    rejects_path: Path | None,
    json_path: Path | None,
    **overrides: Any,
) -> None:
    """Index SOURCE and publish it: a folder, a file, hf:OWNER/NAME or postgresql://…

    A file is a table (Parquet, JSON, JSON Lines, CSV, also .gz; Excel; SQLite) or an archive of
    them (.zip, .tar). Exports of platforms and downloaders are read as they are: docs/sources.md.

    Videos that did not change are neither encoded nor written again. A job that was stopped or
    killed is continued by the next one.

    \b
    Examples:
      twinlens index videos/                    # pictures with metadata.jsonl
      twinlens index catalogue.parquet --column title=name
      twinlens index playlist.json --dry-run    # what yt-dlp -J printed
      twinlens index postgresql://me@db/films --query "SELECT id, title FROM film"
      twinlens index hf:Ransaka/youtube_recommendation_data
    """
    from twinlens.catalog.sources import DateOrder, RejectsFile, open_source
    from twinlens.catalog.tracing import trace_run
    from twinlens.commands.dry_run import describe_source
    from twinlens.indexer.fetch import ThumbnailFetcher
    from twinlens.indexer.job import IndexJob, JobOptions
    from twinlens.settings import load_settings
    from twinlens.stores.engines import open_engine
    from twinlens.stores.generations import DataDir

    settings = load_settings(overrides)
    rejects_path = rejects_path or settings.data_dir / "rejects.jsonl"
    options = {"columns": columns, "revision": revision, "split": split, "query": query}

    def open_it() -> Source:
        return open_source(
            source,
            columns=columns,
            revision=revision,
            split=split,
            query=query,
            date_order=None if date_order is None else DateOrder(date_order),
            leave_out=[settings.data_dir.absolute(), rejects_path.absolute()],
        )

    if dry_run:
        for line in describe_source(open_it()):
            click.echo(line)
        return
    click.get_current_context().with_resource(trace_run("index"))
    metrics = _open_metrics(settings.index_metrics)
    data = DataDir(settings.data_dir)
    opened = open_it()
    source = opened.name  # without the password of a database
    published = _find_published(data, fresh=fresh)
    # The encoders run side by side; if each took all threads, they would slow each other down.
    lenses = open_lenses(settings, data, published, threads=max(1, settings.threads // 2))
    engine = open_engine(
        data,
        settings.qdrant_server,
        collection=settings.collection,
        patience_s=settings.qdrant_patience_s,
        layout=settings.qdrant_layout,
    )
    job = IndexJob(
        data,
        engine,
        lenses,
        JobOptions(
            source_name=source,
            source_identity=_identify(source, date_order=date_order, **options),
            prune=prune,
            fresh=fresh,
            allow_loss=allow_loss,
            strict=strict,
            threads=settings.threads,
        ),
    )
    if metrics is not None:
        metrics.follow(job)
    rejects = RejectsFile(rejects_path)
    with open_progress_bar(opened.count_rows(), "video", "indexing") as bar:
        rows: Iterable[Row | Reject] = opened
        if fetch_thumbnails:
            fetcher = ThumbnailFetcher(data.fetched, on_note=rejects.note)
            rows = _show_fetches(fetcher, opened, bar)
        try:
            summary = job.run(rows, rejects, progress=bar.update)
        except SourceError:
            _say(opened.findings.to_sentences())
            raise
    summary.notices = opened.findings.to_sentences()
    for file, count in summary.placeholders.items():
        summary.notices.append(
            f"{count} videos share the picture {file}: a placeholder, not compared"
        )
    _say(summary.notices)
    _report(source, summary, rejects, json_path)
    if summary.not_pruned:
        raise click.exceptions.Exit(1)


def _say(sentences: Iterable[str]) -> None:
    """Say what was found beside videos."""
    for sentence in sentences:
        click.echo(f"- {sentence}", err=True)


def _open_metrics(file: Path | None) -> JobMetrics | None:
    from twinlens.indexer.metrics import JobMetrics

    _require_folder("--metrics", file)
    if file is None:
        return None
    return click.get_current_context().with_resource(JobMetrics(file))


def _report(source: str, summary: JobSummary, rejects: RejectsFile, json_path: Path | None) -> None:
    click.echo(f"Indexed {source}: {summary.line()}")
    if rejects.counts or rejects.notes:
        click.echo(f"Rejected rows and notes are listed in {rejects.path}", err=True)
    if json_path is not None:
        json_path.write_text(json.dumps(summary.to_json(), indent=2) + "\n", encoding="utf-8")


@click.command(epilog=SETTINGS_HELP)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the index is kept.")
@click.option("--qdrant-url", metavar="URL", help="The Qdrant server it was indexed into.")
def verify(**overrides: Any) -> None:
    """Compare the published index in Qdrant with its FAISS mirror: ids, vectors, payloads.

    Its files are compared with the checksums that were written when it was published. The mirror
    has no sparse vectors, such as those of words: they are made again from the stored videos and
    compared. The data directory may be on a disk that can only be read.

    Exits with 1 when they differ, and says how.

    \b
    Example:
      twinlens verify --data-dir data
    """
    from twinlens.events.sqlite_log import EVENTS_FILE, find_damage
    from twinlens.indexer.verify import compare_stores
    from twinlens.settings import load_settings
    from twinlens.stores.checksums import WAY_OUT, find_changed
    from twinlens.stores.engines import open_reader
    from twinlens.stores.flat import FlatReader
    from twinlens.stores.generations import DataDir

    settings = load_settings(overrides)
    data = DataDir(settings.data_dir)
    manifest = data.read_published()
    sparse = [name for name, dim in manifest.dims.items() if dim is None]
    lenses = open_lenses(settings, data, manifest, threads=1, names=sparse)
    differences = list(find_changed(data, manifest).values())
    events = data.path / EVENTS_FILE
    if events.exists():
        said = find_damage(events)
        differences += [f"{events} is damaged: {one}; take it from a backup" for one in said]
    for changed in differences:  # before the engine meets them
        click.echo(changed)
    try:
        with (
            closing(open_reader(data, manifest, settings.qdrant_server)) as qdrant,
            closing(FlatReader.open(data.locate_mirror(manifest.generation))) as mirror,
        ):
            found = compare_stores(
                qdrant, mirror, manifest.dims, sparse=lenses, thumbnails=data.thumbnails
            )
            videos = qdrant.count()
    except StoreError as error:
        if not (differences or isinstance(error, StoreCorrupt)):
            raise
        found = [str(error)]
    for difference in found:
        click.echo(difference)
    if differences or found:
        click.echo(WAY_OUT, err=True)
        raise click.exceptions.Exit(1)
    vectors = ", ".join(f"{manifest.counts[name]} {name} vectors" for name in manifest.lenses)
    click.echo(
        f"Qdrant and the FAISS mirror of generation {manifest.generation} agree: "
        f"{videos} videos, {vectors}"
    )


def _require_folder(option: str, file: Path | None) -> None:
    if file is not None and not file.parent.is_dir():
        raise UsageError(f"{option} {file}: there is no folder {file.parent}")


def _find_published(data: DataDir, *, fresh: bool) -> Manifest | None:
    """Return the published generation, whose models are taken; None where ``fresh`` can't read it.

    Raises:
        NoGeneration: it can't be read, and not ``fresh``.
    """
    if not fresh:
        # Before models are loaded. One that was complete at a kill is left to the job.
        data.refuse_unpublished([n for n in data.list_finished() if not data.is_unfinished(n)])
    current = data.find_published()
    return None if current is None else data.read_manifest(current)


def _identify(source: str, **options: Any) -> str:
    """Return the source with what decides which rows it yields, as text to be compared."""
    where = source if source.startswith(("hf:", "postgresql:")) else str(Path(source).resolve())
    return json.dumps([where, options], sort_keys=True)


def _show_fetches(
    fetcher: ThumbnailFetcher, rows: Iterable[Row | Reject], bar: Any
) -> Iterator[Row | Reject]:
    for row in fetcher.fill(rows):
        bar.set_postfix(
            fetched=fetcher.fetched, cached=fetcher.cached, failed=fetcher.failed, refresh=False
        )
        yield row
