"""Sources of videos: files, folders and data sets of the Hugging Face hub, as one stream.

``open_source`` takes what a person typed and yields a ``Row`` or a ``Reject`` for every row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from twinlens.catalog.errors import SourceError
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.catalog.sources.columns import Columns
from twinlens.catalog.sources.dates import DateOrder
from twinlens.catalog.sources.files import open_files
from twinlens.catalog.sources.hub import PREFIX, open_hub
from twinlens.catalog.sources.postgres_query import is_postgres, open_postgres
from twinlens.catalog.sources.rejects import RejectsFile
from twinlens.catalog.sources.rows import Note, Origin, Reject, Row, Source
from twinlens.catalog.sources.thumbnails import read_thumbnail

__all__ = [
    "DateOrder",
    "Note",
    "Origin",
    "Reject",
    "RejectsFile",
    "Row",
    "Source",
    "open_source",
    "read_thumbnail",
]


def open_source(
    spec: str,
    *,
    columns: Mapping[str, str] | None = None,
    fields: Fields = FIELDS,
    revision: str | None = None,
    split: str | None = None,
    query: str | None = None,
    date_order: DateOrder | None = None,
    leave_out: Collection[Path] = (),
) -> Source:
    """Return the source that ``spec`` names: a file, a folder, ``hf:OWNER/NAME`` or a database.

    ``columns`` maps fields of a video to columns of the source, where the names of columns that
    ``fields`` know do not do; ``""`` for none. ``revision`` and ``split`` are for ``hf:``,
    ``query`` for SQLite and PostgreSQL. ``date_order`` says how 03/04/2023 is read. Of a folder,
    ``leave_out`` are paths that are not looked into.

    Raises:
        SourceError: there is no such source, or it lacks what is needed.
    """
    wanted = Columns(fields, dict(columns or {}), date_order)
    if spec.startswith(PREFIX):
        return open_hub(spec, columns=wanted, revision=revision, split=split)
    if revision is not None or split is not None:
        raise SourceError(
            f"{spec}: only sources that begin with {PREFIX} have revisions and splits"
        )
    if is_postgres(spec):
        return open_postgres(spec, columns=wanted, query=query)
    return open_files(spec, Path(spec), columns=wanted, query=query, leave_out=leave_out)
