"""Every event log, made and reopened the same way, for the contract suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.events.postgres_server import NEEDS_POSTGRES, postgres_server
from twinlens.events.log import EventLog
from twinlens.events.postgres_log import PostgresEventLog
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OpenLog = Callable[[], Any]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a database, for the whole run."""
    with postgres_server() as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=NEEDS_POSTGRES)])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenLog]:
    """Opens the same log again each time; it is empty at first, and its clock stands at ``NOW``."""
    make: Callable[[], EventLog]
    if request.param == "sqlite":
        make = lambda: SqliteEventLog(tmp_path / EVENTS_FILE, now=lambda: NOW)  # noqa: E731
    else:
        address = request.getfixturevalue("postgres")
        empty(address)
        make = lambda: PostgresEventLog(address, now=lambda: NOW)  # noqa: E731
    with ExitStack() as kept:

        def open_and_keep() -> EventLog:
            log = make()
            kept.callback(log.close)
            return log

        yield open_and_keep


@pytest.fixture
def log(open_log: OpenLog) -> Any:
    return open_log()


def empty(address: str) -> None:
    import psycopg

    with psycopg.connect(address, autocommit=True) as db:
        db.execute("SET client_min_messages = error")
        db.execute("DROP SCHEMA IF EXISTS twinlens CASCADE")
