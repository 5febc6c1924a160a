"""``twinlens backup`` and ``restore``: out without a stop, and back once it is compared."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from tests.events.made import make
from tests.folders import files_in
from tests.indexer.conftest import Published, jpeg
from tests.indexer.test_generations import call
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.indexer import backup as module
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import CALIBRATIONS_FILE, RULES_FILE, DataDir

__all__ = ["call"]  # a fixture


@pytest.fixture
def target(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path / "backup")


def lose(data: DataDir) -> None:
    shutil.rmtree(data.path)


def test_what_was_lost_is_back_and_the_next_job_goes_on(
    call, run_job, catalogue, data, target, published
):
    catalogue.add("ගීත", title="ගීත", picture=jpeg((1, 2, 3)))
    first = run_job().generation
    before = published.vectors(), files_in(data.thumbnails)
    with data.hold_lock():  # as a job does meanwhile
        code, said = call("backup", str(target.path))
    assert (code, f"Generation {first} is in {target.path}: 11 videos" in said) == (0, True), said

    lose(data)
    code, said = call("restore", str(target.path))
    assert (code, f"Generation {first} is published: 11 videos" in said) == (0, True), said
    assert (published.vectors(), files_in(data.thumbnails)) == before
    assert published.differences() == []
    assert (run_job().unchanged, data.list_generations()) == (11, [first])
    code, said = call("restore", str(target.path))
    assert (code, f"twinlens publish {first}" in said) == (2, True)


def kept(data: DataDir) -> list[str]:
    """The events in a data directory."""
    with closing(SqliteEventLog(data.path / EVENTS_FILE)) as log:
        return [event_id for table, _ in log.scan() for event_id in table["event_id"].to_pylist()]


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_what_the_owner_wrote_is_backed_up_and_what_is_here_stays(call, run_job, data, target):
    run_job()
    rules, calibrations = data.path / RULES_FILE, data.path / CALIBRATIONS_FILE
    rules.write_text("# old", "utf-8")
    calibrations.write_text("# fitted", "utf-8")
    assert call("backup", str(target.path))[0] == 0
    rules.write_text("# new", "utf-8")
    assert call("backup", str(target.path))[0] == 0
    lose(data)
    data.path.mkdir()
    calibrations.write_text("# here", "utf-8")
    assert call("restore", str(target.path))[0] == 0
    assert (rules.read_text("utf-8"), calibrations.read_text("utf-8")) == ("# new", "# here")
    lose(data)
    run_job()
    assert call("backup", str(target.path))[0] == 0
    assert not (target.path / RULES_FILE).exists()


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_events_are_backed_up_with_the_index_and_those_that_are_here_stay(
    call, run_job, target, data
):
    run_job()
    with closing(SqliteEventLog(data.path / EVENTS_FILE)) as log:
        log.append([make("e1")])  # it is open, and part of it in the write-ahead log
        assert call("backup", str(target.path))[0] == 0
        log.append([make("e2")])
        assert kept(target) == ["e1"]
        assert call("backup", str(target.path))[0] == 0
    assert kept(target) == ["e1", "e2"]
    lose(data)
    assert call("restore", str(target.path))[0] == 0
    assert kept(data) == ["e1", "e2"]
    assert call("verify")[0] == 0

    lose(data)
    with closing(SqliteEventLog(data.path / EVENTS_FILE)) as log:
        log.append([make("e3")])
    assert call("restore", str(target.path))[0] == 0
    assert kept(data) == ["e3"]


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_damaged_events_are_named_by_verify(call, run_job, data):
    run_job()
    (data.path / EVENTS_FILE).write_bytes(b"no database" * 1000)
    code, said = call("verify")
    assert (code, "events.sqlite is damaged: file is not a database" in said) == (1, True), said


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_a_backup_of_an_embedded_index_is_one_itself(call, run_job, catalogue, target, data):
    run_job()
    assert call("backup", str(target.path))[0] == 0
    old = {file: file.stat().st_ino for file in target.thumbnails.iterdir()}
    catalogue.add("another", picture=jpeg((9, 9, 9)))
    newer = run_job().generation
    assert call("backup", str(target.path))[0] == 0
    assert target.list_generations() == [newer]
    assert {file: file.stat().st_ino for file in old} == old
    copied = Published(target, EmbeddedEngine(target))
    assert (len(copied.vectors()), copied.differences()) == (11, [])


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_a_folder_that_holds_anything_else_is_left_as_it_is(call, run_job, data, target, tmp_path):
    run_job()
    shutil.copytree(data.path, tmp_path / "another")
    (tmp_path / "photos" / "thumbnails").mkdir(parents=True)
    (tmp_path / "photos" / "thumbnails" / "mine.jpg").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(data.path)
    for folder in (tmp_path / "another", tmp_path / "photos"):
        before = files_in(folder)
        code, said = call("backup", folder)
        assert (code, f"{folder} holds other things" in said) == (2, True), said
        assert files_in(folder) == before
    before = files_in(data.path)
    for inside in (data.path, data.generations / "backup", tmp_path / "link"):
        code, said = call("backup", inside)
        assert (code, "is in the index that is backed up" in said) == (2, True), said
    assert files_in(data.path) == before

    with target.hold_lock():  # as a call that was killed
        (target.path / ".BACKUP.0123456789ab.tmp").touch()
    assert call("backup", target.path)[0] == 0
    with target.hold_lock():
        shutil.copytree(target.locate_generation("."), target.path / "more")
    (target.path / "more").rename(target.generations / "another")
    code, said = call("backup", target.path)
    assert (code, "holds other things" in said) == (2, True), said


@pytest.mark.slow
def test_what_was_taken_down_since_stays_away(call, run_job, data, target, published):
    run_job()
    assert call("backup", str(target.path))[0] == 0
    assert call("takedown", "video3")[0] == 0
    code, said = call("restore", str(target.path))
    assert code == 0, said
    assert ("9 videos, made of" in said, "video3" in published.vectors()) == (True, False)
    assert published.differences() == []
    assert data.read_published().generation not in target.list_generations()
    assert target.list_generations()[0] not in data.list_generations()


def test_a_damaged_backup_is_not_published(call, run_job, data, engine, target, published):
    first = run_job().generation
    assert call("backup", str(target.path))[0] == 0
    lose(data)
    file = target.locate_mirror(first) / "title.faiss"
    content = bytearray(file.read_bytes())
    content[200:210] = b"\0" * 10
    file.write_bytes(content)
    code, said = call("restore", str(target.path))
    assert (code, "title.faiss (of the lens title) has changed" in said) == (1, True), said
    assert (data.list_generations(), data.current_file.exists()) == ([], False)
    # What a server has is not lost with the data directory, and may be in use.
    assert engine.has(first) is (engine.name == "server")


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_where_there_is_no_room_or_no_backup(call, run_job, data, target, monkeypatch):
    run_job()
    assert call("backup", target.path)[0] == 0
    lose(data)
    with monkeypatch.context() as patched:
        patched.setattr(module, "FREE_BYTES", 2**60)
        code, said = call("restore", target.path)
    assert (code, "make room" in said) == (1, True), said
    target.current_file.unlink()  # as one that was stopped
    code, said = call("restore", target.path)
    assert (code, "holds no whole backup; `twinlens backup`" in said) == (2, True), said


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.slow
def test_one_that_is_stopped_leaves_the_one_before(
    call, run_job, catalogue, target, stop, monkeypatch
):
    first = run_job().generation
    assert call("backup", str(target.path))[0] == 0
    catalogue.add("another", picture=jpeg((9, 9, 9)))
    newer = run_job().generation

    def fail(*_):
        raise stop

    with monkeypatch.context() as patched:
        patched.setattr(module, "copy_tree", fail)
        assert call("backup", str(target.path))[0] in (1, 130)
    assert target.read_current() == first
    assert len(Published(target, EmbeddedEngine(target)).vectors()) == 10
    assert call("backup", str(target.path))[0] == 0
    assert target.list_generations() == [newer]


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_a_job_that_publishes_meanwhile(call, run_job, catalogue, data, target, monkeypatch):
    run_job()
    once, again = [], module.copy_tree

    def copy_late(source, copy):
        if not once:
            once.append(source)
            for number in range(2):  # the first is kept for a while
                catalogue.add(f"more{number}", picture=jpeg((9, 9, number)))
                run_job()
        again(source, copy)

    monkeypatch.setattr(module, "copy_tree", copy_late)
    code, said = call("backup", str(target.path))
    assert (code, "12 videos" in said) == (0, True), said
    assert target.list_generations() == [data.read_current()]
    assert Published(target, EmbeddedEngine(target)).differences() == []


@pytest.mark.parametrize("engine", ["process"], indirect=True)
def test_into_another_engine(call, run_job, data, target, monkeypatch):
    run_job()
    assert call("backup", str(target.path))[0] == 0
    lose(data)
    monkeypatch.delenv("TWINLENS_QDRANT_URL")
    code, said = call("restore", str(target.path))
    assert (code, "10 videos, made of" in said) == (0, True), said
    assert Published(data, EmbeddedEngine(data)).differences() == []


@pytest.mark.parametrize("engine", ["process"], indirect=True)
@pytest.mark.parametrize(
    ("remote_shards", "peers"), [([], 1), ([{"shard_id": 0, "state": "Active"}], 1), ([], 3)]
)
def test_a_server_s_collection(
    call, run_job, data, target, published, request, alias, monkeypatch, remote_shards, peers
):
    first = run_job().generation
    before = published.vectors()
    process = request.getfixturevalue("qdrant_process")
    process.order(remote_shards=remote_shards)
    assert call("backup", str(target.path))[0] == 0
    assert (target.locate_generation(first) / "collection.snapshot").exists() is not bool(
        remote_shards
    )
    lose(data)
    request.getfixturevalue("process").delete_collection(f"{alias}-{first}")
    process.order(peers=peers)
    monkeypatch.setenv("TWINLENS_QDRANT_REPLICAS", "2")
    code, said = call("restore", str(target.path))
    assert code == 0, said
    made = [body["replication_factor"] for name, body in process.requests() if name == "Create"]
    # By its snapshot; or from the mirror, where one node has, or would get, but a part of it.
    by_snapshot = remote_shards == [] and peers == 1
    assert ((data.read_current() == first), made) == (by_snapshot, [] if by_snapshot else [2])
    assert (published.vectors(), published.differences()) == (before, [])
    assert not any(data.generations.rglob("*.snapshot"))
