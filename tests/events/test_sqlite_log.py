"""The log's file survives kills, names its faults, and keeps no byte of whoever is forgotten."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.events.conftest import NOW
from tests.events.made import make
from twinlens.catalog.errors import StoreCorrupt, StoreError, StoreUnavailable
from twinlens.events import sqlite_log
from twinlens.events.log import FrozenFeed
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog, find_damage
from twinlens.events.tables import from_table

SEED = int(os.environ.get("TWINLENS_TEST_SEED", "0"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / EVENTS_FILE


@pytest.fixture
def log(path: Path):
    with closing(SqliteEventLog(path, now=lambda: NOW)) as log:
        yield log


def bytes_of(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))


def test_nothing_is_made_before_it_is_needed(path: Path, log):
    assert not path.exists()
    assert log.count() == 0
    assert path.exists()


def test_a_log_of_a_newer_program_is_refused_by_a_sentence(path: Path, log):
    log.append([make("e1")])
    log.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(StoreError, match="has format 2, and this TwinLens reads up to 1"):
        log.count()


def test_a_file_that_is_no_log_is_damaged(path: Path, log):
    path.write_bytes(b"not a database, and longer than its head would be" * 10)
    with pytest.raises(StoreCorrupt, match=r"events\.sqlite is damaged"):
        log.count()


def test_a_log_makes_its_folder_and_without_one_is_unavailable(tmp_path: Path):
    with closing(SqliteEventLog(tmp_path / "new" / EVENTS_FILE)) as log:
        assert log.append([make("e1")]) == (1, 0, [])
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="can't be used"):
        SqliteEventLog(tmp_path / "file" / EVENTS_FILE).append([make("e1")])


def test_a_log_that_somebody_else_writes_to_is_unavailable(path: Path, monkeypatch):
    monkeypatch.setattr(sqlite_log, "_PATIENCE_S", 0.05)
    with closing(SqliteEventLog(path)) as log:
        log.append([make("e1")])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked"):
                log.append([make("e2")])
            assert [e.event_id for e in log.read_person("p1")] == ["e1"]
        assert log.append([make("e2")]) == (1, 0, [])


def test_a_new_log_waits_for_whoever_opens_it_at_the_same_time(path: Path):
    path.parent.mkdir(exist_ok=True)
    with (
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
        closing(SqliteEventLog(path)) as log,
        ThreadPoolExecutor(1) as threads,
    ):
        other.execute("BEGIN IMMEDIATE")
        counted = threads.submit(log.count)
        assert not wait([counted], timeout=0.3).done
        other.execute("COMMIT")
        assert counted.result() == 0


def test_on_a_full_disk_nothing_of_a_batch_is_kept(log):
    log.append([make("e1")])
    with log._durable.borrow() as db:
        [pages] = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
    batch = [make(f"b{n}", "search", text="x" * 2000) for n in range(100)]
    with pytest.raises(StoreUnavailable, match="full"):
        log.append(batch)
    assert [e.event_id for e in log.read_person("p1")] == ["e1"]
    assert log.append(batch) == (100, 0, [])  # by a connection that knows of no limit


def test_a_checkpoint_that_a_reader_holds_up_is_said_and_can_be_repeated(path: Path, monkeypatch):
    monkeypatch.setattr(sqlite_log, "_PATIENCE_S", 0.05)
    with closing(SqliteEventLog(path)) as log:
        log.append([make("e1", person_id="somebody")])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM events").fetchall()
            with pytest.raises(StoreUnavailable, match="try again"):
                log.forget("somebody")
        assert log.forget("somebody") == 0
        assert b"somebody" not in bytes_of(path)


def test_no_byte_is_left_of_whoever_is_forgotten(path: Path, log):
    # Many pages, split, merged and moved; some ids begin or end others.
    rng = random.Random(SEED)
    people = [f"person-{n}-{uuid.UUID(int=rng.getrandbits(128))}" for n in range(60)]
    for number in range(60):
        batch = []
        for n in range(100):
            person = rng.choice(people)
            id_ = f"{number}-{n}"
            text = f"words of {person}" if rng.random() < 0.2 else None
            batch.append(
                make(id_, "search", person, text=text or "x", minutes=n)
                if text
                else make(id_, "watch", person, watch_id=f"{person[:9]}{n % 9}", watched_s=number)
            )
        log.append(batch)
        if number % 9 == 5:
            log.merge(rng.choice(people[40:]), rng.choice(people))
        person = rng.choice(people)
        log.freeze(FrozenFeed(f"f{number}", person, f'{{"n": {number}}}', NOW + timedelta(hours=1)))

    for person in people[:40]:
        log.forget(person)
        assert person.encode() not in bytes_of(path), person
    left = [e for table, _ in log.scan() for e in from_table(table)]
    assert {e.person_id for e in left} <= set(people[40:])
    assert len(left) > 300


def test_what_moved_within_the_file_before_it_was_removed_is_found_and_overwritten(path, log):
    log.append([make(f"e{one}", person_id=one) for one in ("12", "312", "12x")])
    log.forget("12")
    assert not log._has_traces("12")
    assert log._has_traces("312")
    assert log._has_traces("12x")
    # As SQLite leaves it in a page that it has built anew: bytes that belong to nothing.
    log.close()
    content = bytearray(path.read_bytes())
    stale = b"\x03\x01\x0912watche1v1"
    gap = content.find(bytes(200), 4096)
    content[gap + 50 : gap + 50 + len(stale)] = stale
    path.write_bytes(content)
    assert log._has_traces("12")
    assert log.forget("12") == 0
    assert not log._has_traces("12")
    assert stale[3:] not in bytes_of(path)
    assert [e.event_id for e in log.read_person("312")] == ["e312"]


def test_a_copy_is_of_one_moment_and_whole(path: Path, log, tmp_path: Path):
    log.append([make("e1"), make("e2")])
    log.copy_to(tmp_path / "copy.sqlite")
    log.append([make("e3")])
    with closing(SqliteEventLog(tmp_path / "copy.sqlite")) as copy:
        assert [e.event_id for e in copy.read_person("p1")] == ["e1", "e2"]
    assert find_damage(tmp_path / "copy.sqlite") == []


def test_damage_within_the_file_is_named(path: Path, log):
    log.append([make(f"e{n}", person_id=f"p{n}") for n in range(500)])
    with log._durable.borrow() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log.close()
    content = bytearray(path.read_bytes())
    content[9 * 4096 : 9 * 4096 + 200] = os.urandom(200)
    path.write_bytes(content)
    assert find_damage(path)
    path.write_bytes(b"no database" * 100)
    assert find_damage(path) == ["file is not a database"]


@pytest.mark.parametrize("kill", range(3))
def test_a_killed_writer_loses_and_doubles_nothing_that_was_acknowledged(path: Path, kill: int):
    rng = random.Random(SEED * 100 + kill)
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.events.writer", path, name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("x", "y")
    ]
    said = []
    for writer in writers:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(rng.randrange(5, 60))]
        writer.send_signal(signal.SIGKILL)
        said.append(lines + writer.stdout.read().splitlines(keepends=True))
        writer.wait()
        writer.stdout.close()

    with closing(SqliteEventLog(path)) as log:
        events = [e for table, _ in log.scan() for e in from_table(table)]
    assert find_damage(path) == []
    times = Counter(e.event_id for e in events)
    assert set(times.values()) == {1}
    watched = {e.watch_id: e.watched_s for e in events if e.watch_id}
    for name, lines in zip("xy", said, strict=True):
        for thread, n in (line.split() for line in lines if line.endswith("\n")):
            assert {f"{name}-{thread}-{n}-a", f"{name}-{thread}-{n}-b"} <= times.keys()
            assert watched[f"{name}-{thread}"] >= float(n)
    # Of a batch that nobody acknowledged all was kept, or nothing.
    halves = Counter(one.rsplit("-", 1)[0] for one in times if one[-1] in "ab")
    assert set(halves.values()) == {2}
