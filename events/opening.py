"""Which event log a site has."""

from __future__ import annotations

from pathlib import Path

from twinlens.events.log import EventLog
from twinlens.events.postgres_log import PostgresEventLog
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog


def open_event_log(data_dir: Path, address: str | None = None) -> EventLog:
    """Return the log in PostgreSQL at ``address``, or the one in the data directory.

    Nothing is opened before it is used.

    Raises:
        UsageError: psycopg is not installed.
    """
    return SqliteEventLog(data_dir / EVENTS_FILE) if address is None else PostgresEventLog(address)
