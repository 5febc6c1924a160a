"""``twinlens backup`` and ``restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from twinlens.catalog.errors import UsageError
from twinlens.commands.generations import (
    collection_option,
    data_dir_option,
    load,
    open_configured_engine,
    open_kept_engine,
    qdrant_url_option,
)
from twinlens.commands.lenses import SETTINGS_HELP, open_lenses
from twinlens.commands.progress import open_progress_bar


@click.command(epilog=SETTINGS_HELP)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@data_dir_option
@qdrant_url_option
@collection_option
def backup(folder: Path, **overrides: Any) -> None:
    """Back up the published index into FOLDER; servers and jobs go on meanwhile.

    FOLDER is new or empty, or has an earlier backup, which is brought up to date. Trained models
    are not in it: keep those that the last line names.

    \b
    Example:
      twinlens backup /backups/twinlens --data-dir data
    """
    from twinlens.indexer.backup import back_up
    from twinlens.stores.generations import DataDir

    settings, data = load(overrides)
    engine = open_kept_engine(settings, data, data.read_published().generation)
    with open_progress_bar(None, "picture", "copying") as bar:
        made = back_up(data, engine, DataDir(folder), progress=bar.update)
    models = ", ".join(record.model for record in made.lenses.values())
    click.echo(
        f"Generation {made.generation} is in {folder.resolve()}: {made.counts['videos']} videos,"
        f" by the models {models}"
    )


@click.command(epilog=SETTINGS_HELP)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@data_dir_option
@qdrant_url_option
@collection_option
def restore(folder: Path, **overrides: Any) -> None:
    """Publish the index that is backed up in FOLDER, once it is compared in full.

    What is in the data directory stays. With --qdrant-url it goes into that server, or else into
    the data directory, whichever it came from. Videos that were taken down since stay away.

    \b
    Example:
      twinlens restore /backups/twinlens --data-dir data
    """
    from twinlens.indexer.backup import restore as run
    from twinlens.stores.generations import DataDir

    settings, data = load(overrides)
    backup = DataDir(folder)
    if backup.read_current() is None:
        raise UsageError(
            f"{folder.resolve()} holds no whole backup; `twinlens backup` makes one, and goes on "
            "with one that was stopped"
        )
    saved = backup.read_published()
    sparse = [name for name, dim in saved.dims.items() if dim is None]
    lenses = open_lenses(settings, data, saved, threads=1, names=sparse)
    engine = open_configured_engine(settings, data)
    with open_progress_bar(None, "picture", "copying") as bar:
        made = run(data, engine, backup, lenses, progress=bar.update)
    made_anew = "" if made.generation == saved.generation else f", made of {saved.generation}"
    videos = made.counts["videos"]
    click.echo(f"Generation {made.generation} is published: {videos} videos{made_anew}")
