"""Logs of events that a command reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from twinlens.catalog.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

people_option: Final = click.option(
    "--people",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Parquet with person_id, and any of gender, age and logged_in.",
)


def read_log(paths: Sequence[Path]) -> list[pa.Table]:
    """Return the events of Parquet files in the layout of ``EVENT_SCHEMA``, one table a file.

    Raises:
        SourceError: a file can't be read, or lacks a column.
    """
    from twinlens.events.log import EVENT_SCHEMA

    tables = []
    for path in paths:
        table = _read_parquet(path)
        if missing := [name for name in EVENT_SCHEMA.names if name not in table.column_names]:
            raise SourceError(f"{path}: no column {', '.join(missing)}")
        tables.append(table.select(EVENT_SCHEMA.names))
    return tables


def read_people(path: Path | None) -> pa.Table | None:
    """Return what is known of people beside events, or None where nothing is.

    Raises:
        SourceError: the file can't be read, or has no column ``person_id``.
    """
    if path is None:
        return None
    table = _read_parquet(path)
    if "person_id" not in table.column_names:
        raise SourceError(f"{path}: no column person_id")
    return table


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path} can't be read as Parquet: {error}") from error
