"""Cells become values of fields, or are refused; nothing else ever happens."""

from __future__ import annotations

import base64
import math
from collections.abc import Hashable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.encoded import picture
from tests.catalog.tables import ids, notes_of, read, rejects, videos, write_table
from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.sources import Row
from twinlens.catalog.sources.dates import parse_date
from twinlens.catalog.sources.lists import parse_texts
from twinlens.catalog.sources.numbers import InUnit, parse_count, parse_duration
from twinlens.catalog.sources.picture_cells import parse_picture
from twinlens.catalog.sources.values import NO_VALUE, parse_id, parse_text, parse_url

JPEG = picture()
FOLDER = Path("/catalogue/thumbs")
ROOT = Path("/catalogue")
ODD = NO_VALUE | {"...", "…", "[...]", "etc.", "etc"}
CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters())  # half surrogates too
    | st.binary()
    | st.datetimes()
    | st.timedeltas()
    | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PARSERS = {
    "id": parse_id,
    "text": partial(parse_text, field="title"),
    "url": partial(parse_url, field="url"),
    "tags": partial(parse_texts, field="tags"),
    "date": partial(parse_date, field="published_at"),
    "duration": partial(parse_duration, field="duration_s"),
    "count": partial(parse_count, field="view_count"),
    "picture": partial(parse_picture, folder=FOLDER, root=ROOT),
    "picture without a folder": partial(parse_picture, folder=None, root=None),
}
NOON = datetime(2025, 7, 23, 12, 0, tzinfo=UTC)
MIDNIGHT = NOON.replace(hour=0)
NOT_A_NUMBER, NOT_UTF8 = RejectReason.NOT_A_NUMBER, RejectReason.NOT_UTF8
AMBIGUOUS = RejectReason.AMBIGUOUS
BAD_VALUE, INVALID = RejectReason.BAD_VALUE, RejectReason.ID_INVALID
MISSING, UNREADABLE = RejectReason.PICTURE_MISSING, RejectReason.PICTURE_UNREADABLE
NO_NUMBERS = [math.nan, math.inf, -math.inf]

# What each cell of a list becomes: (parser, value, cells).
TAKEN: list[tuple[str, Hashable, list[object]]] = [
    *(("id", same, [same]) for same in ("1GGT4g-61-Q", "සිංහල?&#%\\", "😀" * 256, "...")),
    ("id", "7", [7, 7.0]),
    ("id", "a b", ["  a b "]),
    ("id", "abc", [b"abc"]),
    ("id", "-1", [-1]),
    ("text", None, [None, "", " \n "]),
    ("text", "දෙරණ", [" දෙරණ "]),
    ("text", "24", [24, 24.0]),
    ("text", "2.5", [2.5]),
    ("text", "abc", [b"abc"]),
    ("text", "nan", ["nan"]),
    ("url", "https://youtu.be/x", ["https://youtu.be/x"]),
    ("url", None, [""]),
    ("tags", (), [None, "", "[]", "[none]"]),
    ("tags", ("a", "b"), [["a", " b ", "a", None, ""]]),
    ("tags", ("a", "3"), [("a", 3)]),
    ("tags", ("TV Derana", "Derana's TV"), ["['TV Derana', 'Derana\\'s TV']"]),
    ("tags", ("a", "b, c"), ['["a", "b, c"]', "a;b, c"]),
    ("tags", ("C:\\dir", "b"), ["['C:\\dir', 'b']"]),
    ("tags", ("music", "live show", "සජීවී"), ['music|"live show"|සජීවී']),
    ("tags", ("a", "b", "c"), ["a, b,,c "]),
    ("tags", ("one",), ["one"]),
    ("tags", ("[broken", "list"), ["[broken, list"]),
    ("tags", ("[" * 10_000,), ["[" * 10_000]),
    ("date", None, [None, " "]),
    ("date", NOON, ["2025-07-23T12:00:00Z", "2025-07-23T17:30:00+05:30", "2025-07-23 12:00:00"]),
    ("date", NOON, [int(NOON.timestamp()), NOON.timestamp(), int(NOON.timestamp()) * 1000]),
    ("date", NOON, [datetime(2025, 7, 23, 12)]),  # noqa: DTZ001 - Parquet has times without zones
    ("date", NOON, [NOON.astimezone(timezone(timedelta(hours=9)))]),
    ("date", MIDNIGHT, ["2025-07-23", "20250723", 20250723, date(2025, 7, 23)]),
    ("duration", None, [None, ""]),
    ("duration", 0.0, [0]),
    ("duration", 74.0, [74]),
    ("duration", 74.5, ["74.5"]),
    ("duration", 253.0, ["4:13", "PT4M13S"]),
    ("duration", 3723.0, ["1:02:03"]),
    ("duration", 3723.5, ["pt1h2m3.5s"]),
    ("duration", 86401.0, ["P1DT1S"]),
    ("duration", 9.5, [timedelta(seconds=9.5)]),
    ("count", None, [None, ""]),
    ("count", 0, [0]),
    ("count", 12, [12.0]),
    ("count", 1234567, ["1,234,567"]),
    ("count", 2**63 - 1, [2**63 - 1]),
    ("picture", None, [None, "", {"bytes": None, "path": None}]),
    ("picture", JPEG, [JPEG, bytearray(JPEG), {"bytes": JPEG, "path": "/anywhere"}]),
    (
        "picture",
        JPEG,
        [base64.b64encode(JPEG).decode(), {"bytes": base64.b64encode(JPEG).decode()}],
    ),
    ("picture", JPEG, ["data:image/jpeg;base64," + base64.encodebytes(JPEG).decode()]),
    ("picture", FOLDER / "a.jpg", [{"bytes": None, "path": "a.jpg"}, "a.jpg"]),
    ("picture", FOLDER / "a b.jpg", ["sub/../a b.jpg"]),
    ("picture", ROOT / "posters/a.jpg", ["../posters/a.jpg"]),
    ("picture", ROOT / "a.jpg", ["/catalogue/a.jpg"]),
    (
        "picture",
        ROOT / "a b.jpg",
        ["file:///catalogue/a%20b.jpg", "file://localhost/catalogue/a b.jpg"],
    ),
    (
        "picture",
        "https://a.example/b.jpg",
        [
            *("https://a.example/b.jpg", "https://a.example/a.jpg 1x, https://a.example/b.jpg 2x"),
            *('=IMAGE("https://a.example/b.jpg")', '=HYPERLINK("https://a.example/b.jpg";"b")'),
            *("![b](https://a.example/b.jpg)", '<img alt="b" src="https://a.example/b.jpg" />'),
        ],
    ),
]
REFUSED: list[tuple[str, RejectReason, list[object]]] = [
    ("id", RejectReason.ID_MISSING, [None, "", " \t", math.nan]),
    ("id", RejectReason.ID_TOO_LONG, ["a" * 257]),
    ("id", INVALID, ["1.23457E+18", "7.1e+18", 7.123456789012345e18]),
    ("id", INVALID, ["a/b", ".", "..", "a\nb", "a\0b", "a\u2028b", True, 1.5, math.inf, ["a"]]),
    ("id", NOT_UTF8, ["\ud800", b"\xff"]),
    ("text", NOT_A_NUMBER, [math.nan, math.inf]),
    ("text", NOT_UTF8, ["\udc80", b"\xe0\xb6"]),
    ("text", BAD_VALUE, ["a\0b", "a" * 20_001, True, ["a", "b"], 10**5000]),
    ("url", BAD_VALUE, ["javascript:alert(1)", "/watch?v=x", "ftp://a/b"]),
    ("url", BAD_VALUE, ["https://", "http:// a", 3]),
    ("tags", BAD_VALUE, [3, {"a": 1}, [["a", "b"]], ["a"] * 1001, "a" * 20_001]),
    ("tags", NOT_A_NUMBER, [[math.inf]]),
    (
        "tags",
        BAD_VALUE,
        ['["a", "b', "['a's', 'b']", "[('a', 1), ('b', 2)]", '[{"name": "a"}, {"na'],
    ),
    ("tags", NOT_UTF8, [["\ud800"], b"\xff"]),
    ("date", BAD_VALUE, ["yesterday", "2025-13-01", "0007-01-01T00:00:00+14:00", "23.07.25"]),
    ("date", BAD_VALUE, [10**30, -1e300, True, [1], 0, 2023]),
    ("date", NOT_A_NUMBER, NO_NUMBERS),
    ("date", BAD_VALUE, ["1.69918E+12", "1.7E+09"]),
    ("date", AMBIGUOUS, ["2023110510", 2023110510, 2311051030]),
    ("duration", BAD_VALUE, [-1, "-1", "P", "PT", "4:1:1:1", "long", True, [3, 4], "1_0"]),
    ("duration", AMBIGUOUS, [754_000, "754000", "754000.0", 7.54e11, 0.0087, "0.0087"]),
    ("duration", BAD_VALUE, [InUnit(True, Decimal(60))]),
    ("duration", NOT_A_NUMBER, [*NO_NUMBERS, *map(str, NO_NUMBERS)]),
    ("count", BAD_VALUE, [-1, 1.5, "12,34", "many", 2**63, "1_00", False, "0x10", b"-3"]),
    ("count", NOT_A_NUMBER, [*NO_NUMBERS, *map(str, NO_NUMBERS)]),
    ("picture", MISSING, ["../../etc/passwd", "/etc/passwd", "/catalogue-of-another/a.jpg"]),
    ("picture", MISSING, [{"path": "../../x"}, "a\0b", "file:///etc/passwd", "file://host/a.jpg"]),
    ("picture", NOT_UTF8, ["\udc80.jpg"]),
    ("picture", UNREADABLE, ["data:image/jpeg;base64,????", 3, {"bytes": [1, 2]}]),
    ("picture without a folder", MISSING, ["a.jpg"]),
]


def numbered(cases: Sequence[tuple[str, object, object]]) -> list[str]:
    return [f"{case[0]}-{number}" for number, case in enumerate(cases)]


@pytest.mark.parametrize(("parser", "value", "cells"), TAKEN, ids=numbered(TAKEN))
def test_cells_are_taken(parser: str, value: object, cells: list[object]) -> None:
    for cell in cells:
        found = PARSERS[parser](cell)  # type: ignore[operator]
        assert (found, type(found)) == (value, type(value)), cell
        if isinstance(found, datetime):
            assert found.tzinfo is UTC, cell


@pytest.mark.parametrize(("parser", "reason", "cells"), REFUSED, ids=numbered(REFUSED))
def test_cells_are_refused(parser: str, reason: RejectReason, cells: list[object]) -> None:
    for cell in cells:
        with pytest.raises(RowRejected) as caught:
            PARSERS[parser](cell)  # type: ignore[operator]
        assert caught.value.detail
        assert caught.value.reason is reason


@given(CELLS)
def test_any_cell_is_taken_or_refused(cell: object) -> None:
    for parse in PARSERS.values():
        try:
            value = parse(cell)  # type: ignore[operator]
        except RowRejected:
            continue
        if isinstance(value, str):
            assert value == value.strip()
            assert value
            value.encode()
        if isinstance(value, tuple):
            assert all(tag and tag == tag.strip() for tag in value)
            assert len(set(value)) == len(value)
        if isinstance(value, datetime):
            assert value.utcoffset() == timedelta(0)
        if isinstance(value, float):
            assert 0 <= value < math.inf
        if isinstance(value, Path):
            assert value.is_relative_to(ROOT)


@given(st.lists(st.text(min_size=1).filter(lambda text: "\0" not in text), max_size=8))
def test_written_lists_of_tags_come_back(tags: list[str]) -> None:
    expected = tuple(dict.fromkeys(t.strip() for t in tags if t.strip() and t.strip() not in ODD))
    if sum(map(len, tags)) < 1000 and not any(tag.strip() in ODD - NO_VALUE for tag in tags):
        assert parse_texts(repr(tags), field="tags") == expected


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_written_dates_come_back(moment: datetime) -> None:
    assert parse_date(moment.isoformat(), field="published_at") == moment


@given(st.integers(0, 2**63 - 1))
def test_written_counts_come_back(count: int) -> None:
    assert parse_count(str(count), field="n") == count == parse_count(f"{count:,}", field="n")


def test_what_a_column_is_called_says_the_unit_of_its_lengths(tmp_path: Path) -> None:
    cells = {
        "Duration (min)": "12.5",
        "duration_ms": "750,000",
        "lengthSeconds": "750",
        "Running time (h)": "0,208333333333",
        "Duration (mm:ss)": "12:30",
        "runtime": "12,5",
        "Video Length (mins)": "12:30",
        "RunTimeTicks": "7500000000",
        "duration_in_s": "12m30",
        "Length (hh:mm)": "0:12",
    }
    for column, cell in cells.items():
        (item,) = read(write_table(tmp_path / "v.csv", [{"id": "a", "title": "A", column: cell}]))
        assert isinstance(item, Row)
        length = item.video.values["duration_s"]
        assert length == pytest.approx(720 if "hh" in column else 750), column
    odd = [{"id": "a", "title": "A", "runtime": "1:45"}]
    (note,) = notes_of(read(write_table(tmp_path / "v.csv", odd)))
    assert (note.field, note.reason) == ("duration_s", RejectReason.AMBIGUOUS)


def test_what_was_printed_into_a_cell_is_read_as_what_it_was(tmp_path: Path) -> None:
    rows = [
        {
            "id": '="0071"',
            "title": '=HYPERLINK("https://v.example/a","An ""A"", b")',
            "category": "{'id': 10, 'name': 'Music'}",
            "channel": "['Makers']",
            "chapters": "[{'title': 'Intro', 'start_time': 0}, {'title': 'End, b'}]",
            "thumbnails": "{'high': {'url': 'https://i.example/h.jpg', 'width': 480}}",
            "published_at": "{'$date': '2023-11-05T00:00:00Z'}",
            "views": '{"$numberInt": "5"}',
            "url": "['https://v.example/a']",
        },
        {
            "id": "b",
            "title": "[1, 2]",
            "category": "{:name=>1}",
            "channel": "[adult swim]",
            "chapters": "",
            "thumbnails": "",
            "published_at": "",
            "views": "",
            "url": "",
        },
    ]
    first, second = read(write_table(tmp_path / "v.csv", rows))
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.notes, first.video.video_id, first.video.title) == ((), "0071", 'An "A", b')
    assert first.video.thumbnail_url == "https://i.example/h.jpg"
    assert first.video.values == {
        "category": "Music",
        "channel": "Makers",
        "chapters": ("Intro", "End, b"),
        "published_at": datetime(2023, 11, 5, tzinfo=UTC),
        "view_count": 5,
        "url": "https://v.example/a",
    }
    assert (second.video.title, second.video.values) == ("[1, 2]", {"channel": "[adult swim]"})
    assert [note.field for note in second.notes] == ["category"]


def test_ids_that_a_spreadsheet_rounded_merge_no_videos(tmp_path: Path) -> None:
    rows = [
        {"id": "1.23457E+18", "title": "One", "tags": "a, b", "channel_id": "1.2E+18"},
        {"id": "1.23457E+18", "title": "Two", "tags": "a, ..., b", "channel_id": "UC1"},
    ]
    items = read(write_table(tmp_path / "v.csv", rows))
    assert len(set(ids(items))) == 2
    assert [note.field for note in notes_of(items)] == [
        *("video_id", "channel_id", "video_id", "tags")
    ]
    assert [v.values for v in videos(items)] == [
        {"tags": ("a", "b")},
        {"tags": ("a", "b"), "channel_id": "UC1"},
    ]


def test_counters_of_schema_org_and_flat_sizes_are_found(tmp_path: Path) -> None:
    counters = [
        {"interactionType": {"@type": f"http://schema.org/{action}"}, "userInteractionCount": count}
        for action, count in (("CommentAction", 1), ("LikeAction", 2), ("WatchAction", 3))
    ]
    rows = [{"id": "a", "title": "A", "interactionStatistic": counters}]
    (video,) = videos(read(write_table(tmp_path / "v.jsonl", rows)))
    assert video.values == {"view_count": 3, "like_count": 2}
    sizes = {f"{size}.url": f"https://i.example/{size}" for size in ("default", "high")}
    for prefix in ("thumbnails.", "snippet.thumbnails."):
        row = {"id": "a", "title": "A", **{prefix + size: url for size, url in sizes.items()}}
        (video,) = videos(read(write_table(tmp_path / "v.csv", [row])))
        assert video.thumbnail_url == "https://i.example/high"


def test_of_a_list_that_was_cut_off_whole_tags_are_kept() -> None:
    for cell, kept in (('["a", "b", "c', ("a", "b")), ("['a', 'b'", ("a", "b")), ("['a's'", ())):
        with pytest.raises(RowRejected) as caught:
            parse_texts(cell, field="tags")
        assert caught.value.kept == kept


def test_a_few_bad_characters_do_not_cost_a_title(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_bytes(
        b'{"id": "a", "title": "Cut emoji \\ud83d"}\n{"id": "b", "title": "caf\xe9"}\n'
        b'{"id": "c", "title": "N\\u0000UL"}\n{"id": "d", "title": "\xcf\xf0\xe8\xe2\xe5\xf2 a"}\n'
    )
    items = read(path)
    assert [item.video.title for item in items if isinstance(item, Row)] == [
        "Cut emoji \ufffd",
        "caf\ufffd",
        "NUL",
    ]
    assert [note.reason for note in notes_of(items)] == [NOT_UTF8, NOT_UTF8, BAD_VALUE]
    assert rejects(items) == {4: NOT_UTF8}


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_number_of_thousands_of_digits_costs_its_field_alone(tmp_path: Path, suffix: str) -> None:
    rows = [f'{{"id": "{at}", "title": "T", "views": {"9" * 6000}}}' for at in (1, 2)]
    path = tmp_path / f"v{suffix}"
    path.write_text("[" + ",".join(rows) + "]" if suffix == ".json" else "\n".join(rows), "utf-8")
    items = read(path)
    assert ids(items) == ["1", "2"]
    assert [note.reason for note in notes_of(items)] == [NOT_A_NUMBER] * 2


def test_a_picture_cell_that_is_no_name_of_a_file_costs_the_picture_alone(tmp_path: Path) -> None:
    long = "x\\" + "y" * 5000
    items = read(write_table(tmp_path / "v.jsonl", [{"id": "a", "title": "A", "image": long}]))
    assert [video.title for video in videos(items)] == ["A"]
    items = read(write_table(tmp_path / "v.jsonl", [{"title": "A", "image": long}]))
    assert [note.field for note in notes_of(items)] == ["thumbnail"]
