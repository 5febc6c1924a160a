"""``twinlens generations``, ``publish``, ``discard``, ``repair`` and ``takedown``."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twinlens.catalog.errors import StoreError, UsageError
from twinlens.commands.file_to_write import FileToWrite
from twinlens.commands.lenses import SETTINGS_HELP, open_lenses

if TYPE_CHECKING:
    from twinlens.settings import Settings
    from twinlens.stores.engines import Engine
    from twinlens.stores.generations import DataDir
    from twinlens.stores.inventory import GenerationReport

data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where the index is kept."
)
qdrant_url_option = click.option(
    "--qdrant-url", metavar="URL", help="The Qdrant server of the index."
)
collection_option = click.option(
    "--collection", metavar="NAME", help="The server's alias of the index."
)


@click.command(epilog=SETTINGS_HELP)
@data_dir_option
@qdrant_url_option
@collection_option
@click.option(
    "--json", "json_path", type=FileToWrite(json=True), help="Write it to this file, too."
)
def generations(json_path: Path | None, **overrides: Any) -> None:
    """List the generations of an index: which is published, what is in each, whether it opens.

    Collections of its name on the Qdrant server that have no generation here are listed, too.

    \b
    Example:
      twinlens generations --data-dir data
    """
    from twinlens.stores.engines import open_reader
    from twinlens.stores.inventory import GenerationReport, describe_generations

    settings, data = load(overrides)
    opened = partial(open_reader, data, server=settings.qdrant_server)
    reports = list(describe_generations(data, opened))
    try:
        orphans = open_configured_engine(settings, data).list_orphans(data)
        reports += [GenerationReport(name, "orphaned", None, 0, "") for name in orphans]
    except StoreError as error:
        click.echo(f"Orphaned collections are not known: {error}", err=True)
    for report in reports:
        click.echo(_describe(report))
    if not reports:
        click.echo(f"There are no generations in {data.path.resolve()}")
    if json_path is not None:
        values = [_to_json(report) for report in reports]
        json_path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


@click.command(epilog=SETTINGS_HELP)
@click.argument("generation")
@data_dir_option
@qdrant_url_option
@collection_option
def publish(generation: str, **overrides: Any) -> None:
    """Publish GENERATION, which is kept: the way back, or out of a lost CURRENT.

    It is opened and counted first. Running servers follow within a second.

    \b
    Example:
      twinlens publish 20261121T083000.123Z-5f2c9a
    """
    from twinlens.stores.engines import open_reader
    from twinlens.stores.inventory import open_whole

    settings, data = load(overrides)
    _require_there(data, generation)
    with data.hold_lock():
        if generation not in data.list_finished():
            raise UsageError(
                f"generation {generation} is not finished; the next `twinlens index` of its source "
                "goes on with it"
            )
        manifest = data.read_manifest(generation)
        open_whole(data, manifest, partial(open_reader, data, server=settings.qdrant_server))
        open_kept_engine(settings, data, generation).publish(generation)
        data.switch_to(generation)
    click.echo(f"Generation {generation} is published: {manifest.counts['videos']} videos")


@click.command(epilog=SETTINGS_HELP)
@click.argument("generation")
@data_dir_option
@qdrant_url_option
@collection_option
def discard(generation: str, **overrides: Any) -> None:
    """Remove GENERATION for good, whatever its state. Another one has to be published.

    Of an orphaned one, which `twinlens generations` lists, the collection is removed.

    \b
    Example:
      twinlens discard 20261121T083000.123Z-5f2c9a
    """
    from twinlens.indexer.build import remove_generation

    settings, data = load(overrides)
    if generation in (configured := open_configured_engine(settings, data)).list_orphans(data):
        configured.drop(generation)
        click.echo(f"The collection of generation {generation} is removed")
        return
    _require_there(data, generation)
    with data.hold_lock():
        if data.find_published() in (None, generation):
            raise UsageError("another generation has to be published first; this may be the last")
        # A damaged one doesn't say who keeps it, unless its shard is here.
        is_unknown = (
            settings.qdrant_server is None
            and data.find_damage(generation) is not None
            and not (data.locate_generation(generation) / "qdrant").exists()
        )
        remove_generation(data, open_kept_engine(settings, data, generation), generation)
    click.echo(f"Generation {generation} is removed")
    if is_unknown:
        click.echo(
            "If a Qdrant server kept it, its collection is still there: `twinlens generations`, "
            "with --qdrant-url, lists it",
            err=True,
        )


@click.command(epilog=SETTINGS_HELP)
@data_dir_option
@qdrant_url_option
@collection_option
@click.option(
    "--from",
    "half",
    type=click.Choice(["qdrant", "mirror"]),
    help="Which half is right; the other is not looked at.",
)
def repair(half: str | None, **overrides: Any) -> None:
    """Publish the index anew from the half of it that is whole: Qdrant, or its FAISS mirror.

    For an index of which `verify` or `index` says that it is damaged. No title and no picture is
    encoded again; the damaged generation is kept.

    \b
    Example:
      twinlens repair --data-dir data
    """
    from twinlens.indexer.rebuild import MIRROR, QDRANT
    from twinlens.indexer.rebuild import repair as run

    settings, data = load(overrides)
    damaged = data.read_published()
    sparse = [name for name, dim in damaged.dims.items() if dim is None]
    lenses = open_lenses(settings, data, damaged, threads=1, names=sparse)
    engine = open_kept_engine(settings, data, damaged.generation)
    right = {"qdrant": QDRANT, "mirror": MIRROR}.get(half or "")
    made, used = run(data, engine, lenses, half=right)
    click.echo(
        f"Generation {made.generation} is whole: there is nothing to repair"
        if used is None
        else f"Generation {made.generation} is published: {made.counts['videos']} videos, made of"
        f" {used} of {damaged.generation}"
    )


@click.command(epilog=SETTINGS_HELP)
@click.argument("video_ids", metavar="VIDEO_ID...", nargs=-1, required=True)
@click.option("--undo", is_flag=True, help="Let the next job bring them back.")
@data_dir_option
@qdrant_url_option
@collection_option
def takedown(video_ids: tuple[str, ...], undo: bool, **overrides: Any) -> None:
    """Remove videos from every generation, with their pictures; no source brings them back.

    The published generation is written anew without them, and nothing is encoded. Kept generations
    that have one of them are removed. Running servers follow within a second.

    \b
    Example:
      twinlens takedown 4f2c-17 --data-dir data
    """
    from twinlens.indexer.rebuild import take_down

    settings, data = load(overrides)
    if undo:
        with data.hold_lock():
            data.write_takedowns(data.read_takedowns().difference(video_ids))
        click.echo("The next job takes them from its source again")
        return
    done = take_down(data, open_kept_engine(settings, data, data.find_published()), video_ids)
    if done.published is not None:
        videos = done.published.counts["videos"]
        click.echo(f"Generation {done.published.generation} is published: {videos} videos")
    click.echo(f"Removed because they had them: {', '.join(done.removed) or 'none'}")
    if done.unknown:
        click.echo(f"In no generation, and not to come: {', '.join(map(repr, done.unknown))}")
    if done.unreadable:
        click.echo(
            f"These can't be read, and may have them: {', '.join(done.unreadable)}; "
            "`twinlens discard` removes one. Pictures were left",
            err=True,
        )
        raise click.exceptions.Exit(1)


def load(overrides: dict[str, Any]) -> tuple[Settings, DataDir]:
    """Return the settings, with what the command line says, and the data directory."""
    from twinlens.settings import load_settings
    from twinlens.stores.generations import DataDir

    settings = load_settings(overrides)
    return settings, DataDir(settings.data_dir)


def _require_there(data: DataDir, generation: str) -> str:
    if generation not in data.list_generations():
        raise UsageError(
            f"{data.path.resolve()} has no generation {generation!r}; "
            f"there are: {', '.join(data.list_generations()) or 'none'}"
        )
    return generation


def open_configured_engine(settings: Settings, data: DataDir, *, embedded: bool = False) -> Engine:
    """Return the Qdrant that the settings name, or the embedded one."""
    from twinlens.stores.engines import open_engine

    server = None if embedded else settings.qdrant_server
    return open_engine(data, server, collection=settings.collection, layout=settings.qdrant_layout)


def open_kept_engine(settings: Settings, data: DataDir, generation: str | None) -> Engine:
    """Return the Qdrant that keeps a generation; where it doesn't say, that of the settings."""
    from twinlens.stores.engines import EMBEDDED, is_kept_by

    if generation is None or data.find_damage(generation) is not None:
        return open_configured_engine(settings, data)
    manifest = data.read_manifest(generation)
    engine = open_configured_engine(settings, data, embedded=manifest.engine == EMBEDDED)
    if not is_kept_by(engine, manifest):
        raise UsageError(
            f"generation {manifest.generation} is collection {manifest.collection} of a Qdrant "
            "server: set qdrant_url and collection as they were when it was indexed"
        )
    return engine


def _describe(report: GenerationReport) -> str:
    size = f"{report.size_bytes / 1e6:.1f} MB here"
    said = f"{report.generation}  {report.state}, {size}"
    if report.state == "orphaned":
        return f"{said}\n    a collection of the server; another data directory may need it"
    if report.manifest is not None:
        made, models = report.manifest, report.manifest.lenses.items()
        lenses = ", ".join(f"{name} by {record.model}" for name, record in models)
        where = made.collection and f", collection {made.collection}"
        said += (
            f", {made.counts['videos']} videos of {made.source}, made {made.created_at}"
            f"\n    {lenses}; {made.engine}{where or ''}"
        )
    return f"{said}\n    can't be opened: {report.problem}" if report.problem else said


def _to_json(report: GenerationReport) -> dict[str, Any]:
    values = asdict(report)
    values["manifest"] = report.manifest and report.manifest.to_json()
    return values
