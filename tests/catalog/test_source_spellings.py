"""A value is read as a person reads it, or left empty and noted; never as another."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalog import spellings, spellings_abroad
from tests.catalog.spellings import NO_VALUES
from tests.catalog.tables import read, rejects, write_table
from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.sources import Row
from twinlens.catalog.sources.dates import DateOrder, parse_date
from twinlens.catalog.sources.lists import parse_texts
from twinlens.catalog.sources.numbers import parse_count, parse_duration
from twinlens.catalog.sources.values import find_label, is_no_value, parse_text, parse_url

READ = {kind: rows + spellings_abroad.READ.get(kind, []) for kind, rows in spellings.READ.items()}
DOUBTFUL = {
    kind: rows + spellings_abroad.DOUBTFUL.get(kind, [])
    for kind, rows in spellings.DOUBTFUL.items()
}
PARSERS: dict[str, Callable[[object], object]] = {
    "date": partial(parse_date, field="published_at"),
    "count": partial(parse_count, field="view_count"),
    "duration": partial(parse_duration, field="duration_s"),
    "tags": partial(parse_texts, field="tags"),
    "text": partial(parse_text, field="category"),
    "url": partial(parse_url, field="url"),
}


@pytest.mark.parametrize("kind", READ)
def test_what_a_person_reads_without_doubt_is_read(kind: str) -> None:
    for value, written in READ[kind]:
        for spelling in written:
            assert PARSERS[kind](spelling) == value, spelling


def test_there_are_six_hundred_spellings() -> None:
    assert sum(len(written) for rows in READ.values() for _, written in rows) > 600


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_what_may_be_two_things_or_none_is_refused(kind: str) -> None:
    for spelling in DOUBTFUL[kind]:
        with pytest.raises(RowRejected):
            pytest.fail(f"{spelling!r} was read as {PARSERS[kind](spelling)!r}")


@pytest.mark.parametrize("mark", NO_VALUES, ids=repr)
def test_marks_for_nothing_are_nothing(mark: object) -> None:
    assert is_no_value(mark)


def test_words_that_are_like_marks_are_words() -> None:
    assert not any(map(is_no_value, ["na", "0", 0, False, "Nan Madol", "Nothing", "None of us"]))


def test_an_ambiguous_date_is_read_as_one_says() -> None:
    read_date = partial(parse_date, "03/04/2023 18:05", field="published_at")
    assert read_date(order=DateOrder.DAY_FIRST) == datetime(2023, 4, 3, 18, 5, tzinfo=UTC)
    assert read_date(order=DateOrder.MONTH_FIRST) == datetime(2023, 3, 4, 18, 5, tzinfo=UTC)
    with pytest.raises(RowRejected, match="day-first or month-first") as caught:
        read_date()
    assert caught.value.reason is RejectReason.AMBIGUOUS
    known = parse_date("25/12/2023", field="published_at", order=DateOrder.MONTH_FIRST)
    assert known == datetime(2023, 12, 25, tzinfo=UTC)


MOMENTS = st.datetimes(datetime(1975, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
WRITTEN = ("%Y/%m/%d %H:%M:%S", "%b %d, %Y %H:%M:%S", "%d %B %Y %H:%M:%S", "%Y%m%d%H%M%S")
WRITTEN += ("%a, %d %b %Y %H:%M:%S +0000", "%Y-%m-%d %H:%M:%S UTC", "%B %d, %Y, %I:%M:%S %p")


@given(MOMENTS, st.sampled_from(WRITTEN))
def test_a_moment_comes_back_from_every_form(moment: datetime, form: str) -> None:
    moment = moment.replace(microsecond=0)
    assert PARSERS["date"](moment.strftime(form)) == moment


@given(MOMENTS, st.sampled_from([1, 1_000, 1_000_000, 1_000_000_000]), st.booleans())
def test_a_moment_comes_back_from_unix_time_of_every_unit(
    moment: datetime, unit: int, as_text: bool
) -> None:
    moment = moment.replace(microsecond=0)
    number = int(moment.timestamp()) * unit
    assert PARSERS["date"](str(number) if as_text else number) == moment


@given(MOMENTS, st.booleans())
def test_a_day_comes_back_from_eight_digits_of_every_type(moment: datetime, text: bool) -> None:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    digits = float(moment.strftime("%Y%m%d"))
    assert PARSERS["date"](str(digits) if text else digits) == day


@given(st.integers(0, 10**12), st.sampled_from([",", " ", ".", "'", "\xa0", "\u202f", "_"]))
def test_a_count_comes_back_with_every_mark_between_thousands(count: int, mark: str) -> None:
    grouped = f"{count:,}"
    if mark == "." and grouped.count(",") == 1:
        return  # 1.234 may be a number with a fraction
    assert PARSERS["count"](grouped.replace(",", mark)) == count


@given(st.integers(1, 9_999), st.sampled_from([("K", 1_000), ("M", 10**6), ("B", 10**9)]))
def test_a_shortened_count_comes_back(tenths: int, unit: tuple[str, int]) -> None:
    assert PARSERS["count"](f"{tenths / 10}{unit[0]} views") == tenths * unit[1] // 10


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_a_length_comes_back_from_every_form(hours: int, minutes: int, seconds: int) -> None:
    length = hours * 3600 + minutes * 60 + seconds
    forms = [f"{hours}:{minutes:02}:{seconds:02}", f"PT{hours}H{minutes}M{seconds}S"]
    forms += [f"{hours}h {minutes}m {seconds}s", f"{hours} hours, {minutes} minutes, {seconds} s"]
    for form in forms:
        assert PARSERS["duration"](form) == length, form


TAGS = st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=2, max_size=9)


@given(TAGS.filter(lambda tags: not any(map(is_no_value, tags))))
def test_tags_come_back_from_every_printed_list(tags: list[str]) -> None:
    expected = tuple(dict.fromkeys(tags))
    quoted = [repr(tag) for tag in tags]
    for printed in (f"[{' '.join(quoted)}]", str(tags), f"[{chr(10).join(quoted)}]"):
        assert PARSERS["tags"](printed) == expected, printed


def test_an_odd_item_costs_itself_alone() -> None:
    for odd in ({"start": 3}, ["p", "q"], "...", math.inf, "a" * 20_001):
        with pytest.raises(RowRejected, match="number 2 of chapters") as caught:
            parse_texts([{"title": "Intro"}, odd, {"title": "End"}], field="chapters")
        assert caught.value.kept == ("Intro", "End")
    assert parse_texts("0:00 Intro\n1:23 - One, two\n(1:02:03) End", field="chapters") == (
        *("Intro", "One, two", "End"),
    )


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in PARSERS.values():
        try:
            value = parse(text)
        except RowRejected:
            continue
        assert not isinstance(value, float) or math.isfinite(value)


def test_what_cannot_be_read_of_a_row_is_noted_and_the_rest_is_kept(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "title": "A", "published_at": "10/03/2024 18:05"},
        {"id": "b", "title": "B", "views": "LIVE", "category": ["Music", "Live"]},
        {"id": "c", "title": "C", "url": "/watch?v=c", "views": "NA", "duration": "-"},
        {"id": "d", "title": "D", "views": float("nan"), "thumbnail": "/srv/elsewhere/x.jpg"},
        {"id": "e", "title": float("inf"), "thumbnail_url": "https://a.example/b.jpg"},
    ]
    items = read(write_table(tmp_path / "v.jsonl", rows))
    assert rejects(items) == {}
    notes = [[(n.field, n.reason) for n in item.notes] for item in items if isinstance(item, Row)]
    assert notes == [
        [("published_at", RejectReason.AMBIGUOUS)],
        [("category", RejectReason.BAD_VALUE), ("view_count", RejectReason.BAD_VALUE)],
        [("url", RejectReason.BAD_VALUE)],
        [("thumbnail", RejectReason.PICTURE_MISSING)],
        [("title", RejectReason.NOT_A_NUMBER)],
    ]
    assert all(item.video.values == {} for item in items if isinstance(item, Row))


@pytest.mark.parametrize("text", ["1.000", "12.000", "1.234", "2.000 views", "1.000K"])
def test_a_thousand_or_one_is_left_empty(text: str) -> None:
    with pytest.raises(RowRejected, match="may be thousands, or a number with a fraction"):
        PARSERS["count"](text)
    assert PARSERS["count"]("1.000.000") == 10**6
    assert PARSERS["count"]("1.234M") == 1_234_000


def test_what_is_no_date_and_no_list_costs_neither_time_nor_the_job() -> None:
    for text in ("1e99999999", "-1e99999999"):
        with pytest.raises(RowRejected):
            PARSERS["date"](text)
    for text in ("set()", "list()"):
        assert parse_texts(text, field="tags") == ()
    for mark in ("#REF!", "#VALUE!", "#NAME?"):
        assert is_no_value(mark)
    assert find_label({"id": None, "label": "Unknown"}, "category") is None
