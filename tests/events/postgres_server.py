"""A PostgreSQL server of one's own, by Debian's binaries, or the one that the environment names."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ADDRESS = os.environ.get("TWINLENS_TEST_POSTGRES")
BINARIES = next(
    (
        one
        for one in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        if (one / "initdb").exists()
    ),
    None,
)
NEEDS_POSTGRES = pytest.mark.skipif(
    ADDRESS is None and BINARIES is None and "TWINLENS_TEST_REQUIRE_POSTGRES" not in os.environ,
    reason="needs Debian's postgresql, or TWINLENS_TEST_POSTGRES",
)


@contextmanager
def postgres_server() -> Iterator[str]:
    """The address of an empty database."""
    if ADDRESS is not None:
        with database(ADDRESS) as address:
            yield address
        return
    assert BINARIES is not None, "Debian's postgresql is not installed"
    folder = Path(tempfile.mkdtemp(prefix="twinlens-postgres-"))
    user = None
    if os.geteuid() == 0:  # the server refuses to be root's
        user = "postgres"
        shutil.chown(folder, user)
    try:
        with running(BINARIES, folder, user) as address:
            yield address
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(binaries: Path, folder: Path, user: str | None) -> Iterator[str]:
    data, log = folder / "data", folder / "log"
    options = {"user": user, "cwd": folder, "check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(
        [binaries / "initdb", "--pgdata", data, "--auth=trust", "--username=tests", "--no-sync"],
        **options,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    control = [binaries / "pg_ctl", "--pgdata", data, "-w", "-t", "60"]
    subprocess.run([*control, "-l", log, "-o", given, "start"], **options)
    try:
        yield f"postgresql://tests@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **options)


@contextmanager
def database(address: str) -> Iterator[str]:
    """A database of this process on a server that others use too."""
    import psycopg
    from psycopg.conninfo import make_conninfo

    name = f"twinlens_test_{os.getpid()}"
    with psycopg.connect(address, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
        try:
            yield make_conninfo(address, dbname=name)
        finally:
            db.execute(f"DROP DATABASE {name} WITH (FORCE)")
