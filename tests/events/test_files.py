"""Events are read from files of every format, ours and other logs', and what is wrong is named."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlens.catalog.errors import SourceError
from twinlens.events.event import Event, EventType
from twinlens.events.files import RejectedEvent, read_events
from twinlens.events.log import EVENT_SCHEMA
from twinlens.events.mapping import list_mappings, load_mapping
from twinlens.events.tables import find_suspects, from_table, read_rows, to_table
from twinlens.events.validation import EARLIEST_IN_FILES, EventRejected, parse_event

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
AT = NOW - timedelta(hours=2)
EVENTS = [
    Event(
        type=EventType.WATCH,
        event_id="e1",
        person_id="p1",
        at=AT,
        video_id="v1",
        watch_id="w1",
        watched_s=41.3,
        duration_s=60.0,
        feed_id="f1",
        position=3,
        surface="home",
    ),
    Event(
        type=EventType.IMPRESSION,
        event_id="e2",
        person_id="p1",
        at=AT,
        video_id="v2",
        seen=False,
        chance=0.1,
    ),
    Event(type=EventType.SEARCH, event_id="e3", person_id="ම", at=AT, text="පාන් හදන හැටි"),
    Event(type=EventType.UNDO, event_id="e4", person_id="p1", at=None, undoes="e1"),
]


def read(*paths: Path, mapping: str | None = None, person_id: str | None = None):
    rejects: list[RejectedEvent] = []
    tables = list(
        read_events(
            paths,
            load_mapping(mapping) if mapping else None,
            now=NOW,
            person_id=person_id,
            on_reject=rejects.append,
        )
    )
    assert all(table.schema == EVENT_SCHEMA for table in tables)
    return [event for table in tables for event in from_table(table)], rejects


def to_json(event: Event) -> dict[str, object]:
    [row] = read_rows(to_table([event]))
    row = {name: value for name, value in row.items() if value is not None}
    return row | ({"at": row["at"].isoformat()} if "at" in row else {})


def test_events_come_back_from_every_format(tmp_path: Path):
    lines = "".join(json.dumps(to_json(event), ensure_ascii=False) + "\n" for event in EVENTS)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    table = to_table(EVENTS)
    pq.write_table(table, tmp_path / "a.parquet")
    header = table.column_names
    with (tmp_path / "a.csv").open("w") as file:
        print(",".join(header), file=file)
        for event in EVENTS:
            cells = to_json(event)
            print(",".join(str(cells.get(name, "")) for name in header), file=file)

    for name in ("a.jsonl", "a.jsonl.gz", "a.parquet", "a.csv"):
        events, rejects = read(tmp_path / name)
        assert events == EVENTS, name
        assert rejects == []


def test_what_is_wrong_in_a_row_is_named_and_the_others_are_kept(tmp_path: Path):
    good = to_json(EVENTS[0])
    rows = [
        good,
        good | {"watched_s": -1},
        good | {"type": "wach"},
        good | {"wached_s": 1},
        {name: good[name] for name in ("type", "event_id", "person_id")},
        good | {"at": "2026-11-28T12:06:00+00:00"},
        good | {"person_id": "a\nb"},
        good | {"event_id": "e9"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{no\n")

    events, rejects = read(tmp_path / "a.jsonl")

    assert [event.event_id for event in events] == ["e1", "e9"]
    assert [(one.origin.row, one.fault, one.field) for one in rejects] == [
        (2, "bad_value", "watched_s"),
        (3, "unknown_type", "type"),
        (4, "unknown_field", "wached_s"),
        (5, "field_missing", "video_id"),
        (6, "time_out_of_range", "at"),
        (7, "id_invalid", "person_id"),
        (9, "malformed", None),
    ]


def test_bad_cells_of_a_csv_cost_their_rows_only(tmp_path: Path):
    (tmp_path / "a.csv").write_text(
        "type,event_id,person_id,video_id,at,watched_s,seen\n"
        "watch,1,p,v,2026-11-28T10:00:00Z,12.5,true\n"
        "watch,2,p,v,2026-11-28T10:00:00Z,long,1\n"
        "watch,3,p,v,yesterday,1,0\n"
        "watch,4,p,v,1764000000,1,perhaps\n"
        "watch,8,p,v,99999999999999,1,1\n"
        "watch,5,p\u00e9,v,2026-11-28T10:00:00Z,nan,\n"
        "watch,6,p,v,2026-11-28T10:00:00+05:30,7,false\n"
        "watch,7,p\n"
        "watch,9,p,v,2026-11-28T10:00:00Z,1,1,more\n"
        'watch,10,p,"v,2026-11-28T10:00:00Z,1,1\n'
        "watch,\udcff,p,v,2026-11-28T10:00:00Z,1,1\n",
        encoding="utf-8",
        errors="surrogateescape",
    )

    events, rejects = read(tmp_path / "a.csv")

    assert [(event.event_id, event.watched_s, event.seen) for event in events] == [
        ("1", 12.5, True),
        ("6", 7.0, False),
    ]
    assert events[1].at == datetime(2026, 11, 28, 4, 30, tzinfo=UTC)
    assert sorted((one.origin.row, one.field) for one in rejects if one.field) == [
        (2, "watched_s"),
        (3, "at"),
        (4, "at"),
        (5, "at"),
        (6, "watched_s"),
        (8, "video_id"),
    ]
    assert [one.origin.row for one in rejects if one.fault == "malformed"] == [9, 10, 11]


def test_a_row_of_kuairand_is_an_impression_and_what_came_of_it(tmp_path: Path):
    rows = {
        "user_id": [7, 8],
        "video_id": [70, 80],
        "time_ms": [1651000000123, 1651000000456],
        "tab": [1, 6],
        "is_click": [1, 0],
        "is_like": [1, 0],
        "is_hate": [0, 1],
        "play_time_ms": [61802, 0],
        "duration_ms": [49866, 9500],
    }
    pq.write_table(pa.table(rows), tmp_path / "impressions.parquet")

    events, rejects = read(tmp_path / "impressions.parquet", mapping="kuairand")

    assert rejects == []
    assert [(one.person_id, one.type.value, one.video_id, one.watched_s) for one in events] == [
        ("7", "impression", "70", None),
        ("7", "click", "70", None),
        ("7", "watch", "70", 61.802),
        ("7", "like", "70", None),
        ("8", "impression", "80", None),
        ("8", "dislike", "80", None),
    ]
    assert {one.at for one in events[:4]} == {datetime(2022, 4, 26, 19, 6, 40, 123_000, tzinfo=UTC)}
    assert {one.feed_id for one in events[:4]} == {"7-1651000000123"}
    assert events[0].duration_s == 49.866
    again, _ = read(tmp_path / "impressions.parquet", mapping="kuairand")
    assert [one.event_id for one in again] == [one.event_id for one in events]
    assert len({one.event_id for one in events}) == 6


def test_lists_of_earlier_videos_are_events_in_order_without_times(tmp_path: Path):
    rows = {
        "user_id": [1, 2],
        "watch_seq": [[5, 5, 6], []],
        "long_watch_seq": [[6], [7, 8]],
        "like_seq": pa.array([None, [8]], pa.list_(pa.int64())),
    }
    pq.write_table(pa.table(rows), tmp_path / "earlier.parquet")

    events, _ = read(tmp_path / "earlier.parquet", mapping="kuairand")

    assert [(one.person_id, one.type.value, one.video_id) for one in events] == [
        ("1", "impression", "5"),
        ("1", "impression", "5"),
        ("1", "impression", "6"),
        ("1", "watch", "6"),
        ("2", "watch", "7"),
        ("2", "watch", "8"),
        ("2", "like", "8"),
    ]
    assert {one.at for one in events} == {None}
    assert len({one.event_id for one in events}) == 7


def test_films_are_sorted_by_position_and_ratings_have_times(tmp_path: Path):
    rows = {"user_id": [1, 1, 1], "video_id": [30, 10, 20], "position": [2, 0, 1]}
    pq.write_table(pa.table(rows), tmp_path / "watches.parquet")
    (tmp_path / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,31,4,1260759144\n1,32,3.5,964982703\n1,33,1,12\n"
        "1,34,good,1260759144\n"
    )

    events, _ = read(tmp_path / "watches.parquet", mapping="movielens")
    rated, rejects = read(tmp_path / "ratings.csv", mapping="movielens")

    assert [one.video_id for one in events] == ["10", "20", "30"]
    assert [(one.video_id, one.at) for one in rated] == [
        ("31", datetime(2009, 12, 14, 2, 52, 24, tzinfo=UTC)),
        ("32", datetime(2000, 7, 30, 18, 45, 3, tzinfo=UTC)),
        ("34", datetime(2009, 12, 14, 2, 52, 24, tzinfo=UTC)),
    ]
    liked, _ = read(tmp_path / "ratings.csv", mapping="movielens-liked")
    assert [one.video_id for one in liked] == ["31"]
    assert [(one.origin.row, one.field) for one in rejects] == [(3, "at")]


def test_a_takeout_holds_watches_and_searches_of_the_person_who_is_named(tmp_path: Path):
    (tmp_path / "watch-history.json").write_text(
        json.dumps(
            [
                {
                    "header": "YouTube",
                    "title": "Watched Bread",
                    "titleUrl": "https://www.youtube.com/watch?v\u003dabc-_1",
                    "time": "2026-11-01T10:00:00.123Z",
                },
                {"header": "YouTube", "title": "Watched a video that has been removed"},
                {
                    "title": "Searched for ගීත",
                    "titleUrl": "https://www.youtube.com/results?search_query=x",
                    "time": "2026-11-01T09:00:00Z",
                },
            ]
        )
    )

    events, rejects = read(tmp_path / "watch-history.json", mapping="takeout", person_id="me")

    assert rejects == []
    assert [(one.type.value, one.person_id, one.video_id, one.text) for one in events] == [
        ("watch", "me", "abc-_1", None),
        ("search", "me", None, "ගීත"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "ends in .jsonl"),
        ("a.parquet", "no", "no readable Parquet file"),
        ("a.csv", "", "is empty"),
        ("a.csv", "type,colour\n", "colour: no fields of an event"),
        ("a.csv", "event_id\n", "lacks the column type"),
        ("none.jsonl", None, "No such file"),
    ],
)
def test_a_file_that_holds_no_events_is_refused_by_name(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=message):
        read(tmp_path / name)


def test_a_file_of_another_log_than_the_mapping_says_is_refused(tmp_path: Path):
    (tmp_path / "a.csv").write_text("userId,movieId\n")
    with pytest.raises(SourceError, match="lacks timestamp"):
        read(tmp_path / "a.csv", mapping="movielens")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[layout]]", "events"),
        ("a =", "no TOML"),
        ('[[layout]]\nfields.colour = "x"\n[[layout.events]]', "colour"),
        ("[[layout]]\nfields.at = {column = 'a', pattern = '('}\n[[layout.events]]", "missing \\)"),
        ("[[layout]]\nfields.at = {column = 'a', pattern = 'b'}\n[[layout.events]]", "a group"),
        ("[[layout]]\nfields.at = {scale = 2}\n[[layout.events]]", "one of column"),
    ],
)
def test_a_mapping_that_is_none_is_refused(tmp_path: Path, content: str, message: str):
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(SourceError, match=message):
        load_mapping(str(path))


def test_mappings_that_come_along_load_and_others_are_unknown():
    assert list_mappings() == ["kuairand", "movielens", "movielens-liked", "takeout"]
    for name in list_mappings():
        load_mapping(name)
    with pytest.raises(SourceError, match="one of kuairand, movielens, movielens-liked, takeout"):
        load_mapping("netflix")


ids = st.one_of(
    st.sampled_from(["", ".", "..", "a/b", "a\x85", "a\u2028", "x" * 257]),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
words = st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=3), st.just("w" * 65))
numbers = st.one_of(st.none(), st.floats(width=32), st.sampled_from([0.0, 604800.0, 604801.0]))


@settings(max_examples=300, deadline=None)
@given(
    type_=st.sampled_from([*EventType, "other"]),
    event_id=ids,
    video_id=st.one_of(st.none(), ids),
    text=st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=4)),
    watched_s=numbers,
    chance=numbers,
    position=st.one_of(st.none(), st.integers(-2, 1_000_002)),
    surface=words,
    at=st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))),
)
def test_columns_hold_suspect_whatever_a_single_look_would_refuse(
    type_, event_id, video_id, text, watched_s, chance, position, surface, at
):
    fields = {
        "type": type_,
        "event_id": event_id,
        "person_id": "p",
        "at": at,
        "video_id": video_id,
        "text": text,
        "watched_s": watched_s,
        "chance": chance,
        "position": position,
        "surface": surface,
    }
    arrays = {
        field.name: pa.array([fields.get(field.name)], pa.string()).cast(field.type)
        if pa.types.is_dictionary(field.type)
        else pa.array([fields.get(field.name)], field.type)
        for field in EVENT_SCHEMA
    }
    table = pa.table(arrays, schema=EVENT_SCHEMA)
    [row] = read_rows(table)
    try:
        event = parse_event(row, now=NOW, earliest=EARLIEST_IN_FILES)
        as_it_was = event == Event(**{**row, "type": EventType(row["type"])})
    except EventRejected:
        as_it_was = False
    assert as_it_was or find_suspects(table, NOW)[0].as_py()
