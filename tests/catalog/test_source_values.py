"""Cells become values of fields, or are refused; nothing else ever happens."""

from __future__ import annotations

import base64
import math
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.encoded import picture
from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.sources.values import (
    parse_count,
    parse_date,
    parse_duration,
    parse_id,
    parse_picture,
    parse_text,
    parse_texts,
    parse_url,
)

JPEG = picture()
FOLDER = Path("/catalogue/thumbs")
ROOT = Path("/catalogue")
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


def reason(call: object, *args: object, **options: object) -> RejectReason:
    with pytest.raises(RowRejected) as caught:
        call(*args, **options)  # type: ignore[operator]
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize(
    ("cell", "video_id"),
    [
        ("1GGT4g-61-Q", "1GGT4g-61-Q"),
        (7, "7"),
        (7.0, "7"),
        ("  a b ", "a b"),
        ("සිංහල?&#%\\", "සිංහල?&#%\\"),
        ("😀" * 256, "😀" * 256),
        (b"abc", "abc"),
        ("...", "..."),
        (-1, "-1"),
    ],
)
def test_ids(cell: object, video_id: str) -> None:
    assert parse_id(cell) == video_id


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, RejectReason.ID_MISSING),
        ("", RejectReason.ID_MISSING),
        (" \t", RejectReason.ID_MISSING),
        (math.nan, RejectReason.ID_MISSING),
        ("a" * 257, RejectReason.ID_TOO_LONG),
        ("a/b", RejectReason.ID_INVALID),
        (".", RejectReason.ID_INVALID),
        ("..", RejectReason.ID_INVALID),
        ("a\nb", RejectReason.ID_INVALID),
        ("a\0b", RejectReason.ID_INVALID),
        ("a\u2028b", RejectReason.ID_INVALID),
        (True, RejectReason.ID_INVALID),
        (1.5, RejectReason.ID_INVALID),
        (math.inf, RejectReason.ID_INVALID),
        (["a"], RejectReason.ID_INVALID),
        ("\ud800", RejectReason.NOT_UTF8),
        (b"\xff", RejectReason.NOT_UTF8),
    ],
)
def test_refused_ids(cell: object, expected: RejectReason) -> None:
    assert reason(parse_id, cell) is expected


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, None),
        ("", None),
        (" \n ", None),
        (" දෙරණ ", "දෙරණ"),
        (24, "24"),
        (24.0, "24"),
        (2.5, "2.5"),
        (b"abc", "abc"),
        ("nan", "nan"),
    ],
)
def test_text(cell: object, text: str | None) -> None:
    assert parse_text(cell, field="title") == text


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (math.nan, RejectReason.NOT_A_NUMBER),
        (math.inf, RejectReason.NOT_A_NUMBER),
        ("\udc80", RejectReason.NOT_UTF8),
        (b"\xe0\xb6", RejectReason.NOT_UTF8),
        ("a\0b", RejectReason.BAD_VALUE),
        ("a" * 20_001, RejectReason.BAD_VALUE),
        (True, RejectReason.BAD_VALUE),
        (["a"], RejectReason.BAD_VALUE),
        pytest.param(10**5000, RejectReason.BAD_VALUE, id="thousands of digits"),
    ],
)
def test_refused_text(cell: object, expected: RejectReason) -> None:
    assert reason(parse_text, cell, field="title") is expected


def test_urls() -> None:
    assert parse_url("https://youtu.be/x", field="url") == "https://youtu.be/x"
    assert parse_url("", field="url") is None
    for bad in ("javascript:alert(1)", "/watch?v=x", "ftp://a/b", "https://", "http:// a", 3):
        assert reason(parse_url, bad, field="url") is RejectReason.BAD_VALUE


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        (None, ()),
        ("", ()),
        ("[]", ()),
        ("[none]", ()),
        (["a", " b ", "a", None, ""], ("a", "b")),
        (("a", 3), ("a", "3")),
        ("['TV Derana', 'Derana\\'s TV']", ("TV Derana", "Derana's TV")),
        ('["a", "b, c"]', ("a", "b, c")),
        ("['C:\\dir', 'b']", ("C:\\dir", "b")),
        ('music|"live show"|සජීවී', ("music", "live show", "සජීවී")),
        ("a;b, c", ("a", "b, c")),
        ("a, b,,c ", ("a", "b", "c")),
        ("one", ("one",)),
        ("[broken, list", ("[broken", "list")),
        ("[" * 10_000, ("[" * 10_000,)),
    ],
)
def test_tags(cell: object, tags: tuple[str, ...]) -> None:
    assert parse_texts(cell, field="tags") == tags


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (3, RejectReason.BAD_VALUE),
        ({"a": 1}, RejectReason.BAD_VALUE),
        ([["a"]], RejectReason.BAD_VALUE),
        ([math.nan], RejectReason.NOT_A_NUMBER),
        (["\ud800"], RejectReason.NOT_UTF8),
        (["a"] * 1001, RejectReason.BAD_VALUE),
        ("a" * 20_001, RejectReason.BAD_VALUE),
        (b"\xff", RejectReason.NOT_UTF8),
    ],
)
def test_refused_tags(cell: object, expected: RejectReason) -> None:
    assert reason(parse_texts, cell, field="tags") is expected


NOON = datetime(2025, 7, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        (None, None),
        (" ", None),
        ("2025-07-23T12:00:00Z", NOON),
        ("2025-07-23T17:30:00+05:30", NOON),
        ("2025-07-23 12:00:00", NOON),
        ("2025-07-23", NOON.replace(hour=0)),
        ("20250723", NOON.replace(hour=0)),
        (20250723, NOON.replace(hour=0)),
        (int(NOON.timestamp()), NOON),
        (NOON.timestamp(), NOON),
        (int(NOON.timestamp()) * 1000, NOON),
        (datetime(2025, 7, 23, 12), NOON),  # noqa: DTZ001 - Parquet has times without zones
        (NOON.astimezone(timezone(timedelta(hours=9))), NOON),
        (date(2025, 7, 23), NOON.replace(hour=0)),
    ],
)
def test_dates(cell: object, moment: datetime | None) -> None:
    parsed = parse_date(cell, field="published_at")
    assert parsed == moment
    assert parsed is None or parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "cell",
    ["yesterday", "2025-13-01", "0001-01-01T00:00:00+14:00", 10**30, -1e300, True, [1], "23.07.25"],
)
def test_refused_dates(cell: object) -> None:
    assert reason(parse_date, cell, field="published_at") is RejectReason.BAD_VALUE


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none(number: float) -> None:
    assert reason(parse_date, number, field="published_at") is RejectReason.NOT_A_NUMBER
    assert reason(parse_duration, number, field="duration_s") is RejectReason.NOT_A_NUMBER
    assert reason(parse_duration, str(number), field="duration_s") is RejectReason.NOT_A_NUMBER
    assert reason(parse_count, number, field="view_count") is RejectReason.NOT_A_NUMBER
    assert reason(parse_count, str(number), field="view_count") is RejectReason.NOT_A_NUMBER


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        (None, None),
        ("", None),
        (0, 0.0),
        (74, 74.0),
        ("74.5", 74.5),
        ("4:13", 253.0),
        ("1:02:03", 3723.0),
        ("PT4M13S", 253.0),
        ("pt1h2m3.5s", 3723.5),
        ("P1DT1S", 86401.0),
        (timedelta(seconds=9.5), 9.5),
    ],
)
def test_durations(cell: object, seconds: float | None) -> None:
    assert parse_duration(cell, field="duration_s") == seconds


@pytest.mark.parametrize("cell", [-1, "-1", "P", "PT", "4:1:1:1", "long", True, [3], "1_0"])
def test_refused_durations(cell: object) -> None:
    assert reason(parse_duration, cell, field="duration_s") is RejectReason.BAD_VALUE


@pytest.mark.parametrize(
    ("cell", "count"),
    [(None, None), ("", None), (0, 0), (12.0, 12), ("1,234,567", 1234567), (2**63 - 1, 2**63 - 1)],
)
def test_counts(cell: object, count: int | None) -> None:
    parsed = parse_count(cell, field="view_count")
    assert parsed == count
    assert type(parsed) is type(count)


@pytest.mark.parametrize("cell", [-1, 1.5, "12,34", "many", 2**63, "1_000", False, "0x10", b"-3"])
def test_refused_counts(cell: object) -> None:
    assert reason(parse_count, cell, field="view_count") is RejectReason.BAD_VALUE


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, None),
        ("", None),
        (JPEG, JPEG),
        (bytearray(JPEG), JPEG),
        ({"bytes": JPEG, "path": "/anywhere"}, JPEG),
        ({"bytes": None, "path": "a.jpg"}, FOLDER / "a.jpg"),
        ({"bytes": None, "path": None}, None),
        ("a.jpg", FOLDER / "a.jpg"),
        ("sub/../a b.jpg", FOLDER / "a b.jpg"),
        ("../posters/a.jpg", ROOT / "posters/a.jpg"),
        ("/catalogue/a.jpg", ROOT / "a.jpg"),
        ("https://a.example/b.jpg", "https://a.example/b.jpg"),
        (base64.b64encode(JPEG).decode(), JPEG),
        ("data:image/jpeg;base64," + base64.encodebytes(JPEG).decode(), JPEG),
        ({"bytes": base64.b64encode(JPEG).decode()}, JPEG),
    ],
)
def test_pictures(cell: object, expected: object) -> None:
    assert parse_picture(cell, folder=FOLDER, root=ROOT) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("../../etc/passwd", RejectReason.PICTURE_MISSING),
        ("/etc/passwd", RejectReason.PICTURE_MISSING),
        ("/catalogue-of-another/a.jpg", RejectReason.PICTURE_MISSING),
        ({"path": "../../x"}, RejectReason.PICTURE_MISSING),
        ("a\0b", RejectReason.PICTURE_MISSING),
        ("\udc80.jpg", RejectReason.NOT_UTF8),
        ("data:image/jpeg;base64,????", RejectReason.PICTURE_UNREADABLE),
        (3, RejectReason.PICTURE_UNREADABLE),
        (math.nan, RejectReason.PICTURE_UNREADABLE),
        ({"bytes": [1, 2]}, RejectReason.PICTURE_UNREADABLE),
    ],
)
def test_refused_pictures(cell: object, expected: RejectReason) -> None:
    assert reason(parse_picture, cell, folder=FOLDER, root=ROOT) is expected


def test_a_path_without_a_folder_is_refused() -> None:
    assert reason(parse_picture, "a.jpg", folder=None, root=None) is RejectReason.PICTURE_MISSING


@given(CELLS)
def test_any_cell_is_taken_or_refused(cell: object) -> None:
    calls = [
        (parse_id, {}),
        (parse_text, {"field": "title"}),
        (parse_url, {"field": "url"}),
        (parse_texts, {"field": "tags"}),
        (parse_date, {"field": "published_at"}),
        (parse_duration, {"field": "duration_s"}),
        (parse_count, {"field": "view_count"}),
        (parse_picture, {"folder": FOLDER, "root": ROOT}),
    ]
    for parse, options in calls:
        try:
            value = parse(cell, **options)  # type: ignore[operator]
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
    expected = tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    if sum(map(len, tags)) < 1000:
        assert parse_texts(repr(tags), field="tags") == expected


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_written_dates_come_back(moment: datetime) -> None:
    assert parse_date(moment.isoformat(), field="published_at") == moment


@given(st.integers(0, 2**63 - 1))
def test_written_counts_come_back(count: int) -> None:
    assert parse_count(str(count), field="n") == count == parse_count(f"{count:,}", field="n")
