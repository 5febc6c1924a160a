"""Logs of events that a command reads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from twinlens.catalog.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

    from twinlens.settings import Settings

map_option: Final = click.option(
    "--map",
    "mapping",
    metavar="NAME",
    help="What the columns of LOG mean: kuairand, movielens, movielens-liked, takeout, or a .toml "
    "file; where it isn't given, they are the fields of an event.",
)
people_option: Final = click.option(
    "--people",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Parquet with person_id, and any of gender, age and logged_in.",
)


def read_log(paths: Sequence[Path], mapping: str | None) -> list[pa.Table]:
    """Return the events of files as tables of ``EVENT_SCHEMA``; what is wrong is counted aloud.

    Raises:
        SourceError: a file or the mapping can't be read, or lacks what is needed.
    """
    from twinlens.events.files import RejectedEvent, read_events
    from twinlens.events.mapping import load_mapping

    rejected: list[RejectedEvent] = []
    found = None if mapping is None else load_mapping(mapping)
    tables = list(read_events(paths, found, now=datetime.now(UTC), on_reject=rejected.append))
    if rejected:
        at, detail = rejected[0].origin, rejected[0].detail
        told = f"{len(rejected)} events left out, the first at {at.file}, row {at.row}: {detail}"
        click.echo(told, err=True)
    return tables


def read_own_log(settings: Settings) -> list[pa.Table]:
    """Return the events that the site itself has kept.

    Raises:
        UsageError: psycopg is not installed, and they are kept in PostgreSQL.
        StoreUnavailable: the log can't be read now.
    """
    from twinlens.events.opening import open_event_log

    with closing(open_event_log(settings.data_dir, settings.events_address)) as log:
        return [table for table, _ in log.scan()]


def read_people(path: Path | None) -> pa.Table | None:
    """Return what is known of people beside events, or None where nothing is.

    Raises:
        SourceError: the file can't be read, or has no column ``person_id``.
    """
    if path is None:
        return None
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path} can't be read as Parquet: {error}") from error
    if "person_id" not in table.column_names:
        raise SourceError(f"{path}: no column person_id")
    return table
