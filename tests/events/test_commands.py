"""``twinlens events``: in, out and away, said in words."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from twinlens.cli import main
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog

GOOD = {
    "type": "watch",
    "event_id": "e1",
    "person_id": "p1",
    "at": "2026-11-01T10:00:00Z",
    "video_id": "v1",
    "watched_s": 41.3,
}
ROWS = [
    GOOD,
    GOOD | {"event_id": "e2", "person_id": "p2", "type": "like", "watched_s": None},
    GOOD | {"event_id": "e3", "type": "search", "text": "ගීත", "video_id": None},
    GOOD | {"event_id": "e4", "watched_s": "long"},
    GOOD | {"video_id": "v2"},
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["events", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    # Without the bar of progress, which is on standard error.
    return result.exit_code, result.output if result.exit_code else result.stdout


def write(name: str, rows: list[dict[str, object]]) -> str:
    Path(name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return name


def read(person_id: str) -> list[str]:
    log = SqliteEventLog(Path("data", EVENTS_FILE))
    events = log.read_person(person_id)
    log.close()
    return [one.event_id for one in events]


def test_what_is_wrong_is_named_and_the_rest_is_kept():
    code, said = call("import", write("a.jsonl", ROWS), "--rejects", "rejects.jsonl")
    assert code == 1
    assert "a.jsonl, row 4: watched_s: " in said
    assert "event e1: known, of an event that says something else" in said
    assert "2 events are new, 0 were known, 2 rejected" in said
    assert "1 searches were not kept" in said
    rejects = [json.loads(line) for line in Path("rejects.jsonl").read_text().splitlines()]
    assert [one["fault"] for one in rejects] == ["bad_value", "event_conflict"]
    assert read("p1") == ["e1"]


def test_an_import_may_be_repeated_and_searches_are_kept_where_that_is_set(monkeypatch):
    monkeypatch.setenv("TWINLENS_KEEP_SEARCHES", "true")
    name = write("a.jsonl", ROWS[:3])
    assert call("import", name) == (0, "3 events are new, 0 were known, 0 rejected\n")
    assert call("import", name) == (0, "0 events are new, 3 were known, 0 rejected\n")
    assert read("p1") == ["e1", "e3"]


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.csv", "out.parquet"])
def test_what_is_exported_can_be_imported_and_is_the_same(name, monkeypatch):
    monkeypatch.setenv("TWINLENS_KEEP_SEARCHES", "true")
    call("import", write("a.jsonl", ROWS[:3]))
    assert call("export", name) == (0, f"3 events are in {name}\n")
    assert call("import", name) == (0, "0 events are new, 3 were known, 0 rejected\n")
    assert call("import", name, "--data-dir", "other")[1].startswith("3 events are new")
    assert call("export", "--data-dir", "other", "again.jsonl")[0] == 0
    assert call("export", "first.jsonl")[0] == 0
    assert Path("again.jsonl").read_text() == Path("first.jsonl").read_text()
    assert call("export", "one.jsonl", "--person", "p2") == (0, "1 events are in one.jsonl\n")


def test_another_log_comes_in_by_its_mapping_once():
    rows = {"user_id": [1, 1], "video_id": [7, 8], "position": [1, 0]}
    pq.write_table(pa.table(rows), "watches.parquet")
    Path("mine.toml").write_text(
        '[[layout]]\norder = "position"\nfields.person_id = "user_id"\n'
        'fields.video_id = "video_id"\n[[layout.events]]\ntype = "watch"\n'
    )
    for mapping, said in (("movielens", "2 events are new"), ("mine.toml", "2 were known")):
        code, output = call("import", "--map", mapping, "watches.parquet")
        assert (code, said in output) == (0, True)
    log = SqliteEventLog(Path("data", EVENTS_FILE))
    assert [one.video_id for one in log.read_person("1")] == ["8", "7"]
    log.close()


def test_a_person_is_forgotten_and_old_events_are_pruned():
    call(
        "import",
        write("a.jsonl", [*ROWS[:2], GOOD | {"event_id": "e0", "at": "2020-01-01T00:00:00Z"}]),
    )
    assert call("forget", "p2") == (0, "1 events of p2 are removed\n")
    code, said = call("prune")
    assert (code, "--days" in said) == (2, True)
    assert call("prune", "--days", "1000") == (0, "1 events older than 1000 days are removed\n")
    assert read("p1") == ["e1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "none.jsonl"], "none.jsonl: No such file"),
        (["import", "a.txt"], "ends in .jsonl"),
        (["import", "--map", "netflix", "a.csv"], "no mapping 'netflix'"),
        (["export", "a.xlsx"], "events go into"),
        (["export", "none/a.csv"], "can't be written"),
        (["import"], "Missing argument"),
    ],
)
def test_wrong_use_ends_with_2_and_says_why(arguments, message):
    code, said = call(*arguments)
    assert (code, message in said) == (2, True), said
