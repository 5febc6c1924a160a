"""The filter language: what JSON means, to the parser, to the stores' meaning, to the engine."""

from __future__ import annotations

import json
import operator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.backend.asking import SEARCH, body_of, hit_ids, problem
from twinlens.backend.problems import describe_invalid_fields
from twinlens.backend.schemas.filters import MAX_CONDITIONS, MAX_FILTER_DEPTH, FilterBody
from twinlens.backend.schemas.fitting import fit
from twinlens.backend.schemas.requests import SearchBody
from twinlens.catalog.fields import FIELDS
from twinlens.stores.base import StoredVideo
from twinlens.stores.filters import And, AnyOf, matches

FilterBody = fit(FilterBody, FIELDS)
SearchBody = fit(SearchBody, FIELDS)

Json = dict[str, Any]

# What the videos have, and whatever else the engine must bear.
words = st.sampled_from(["beach", "kitchen", "beach channel", "si", "en", "n3", "n4", "none", "ක"])
words |= st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
numbers = st.sampled_from([0, 1, 60, 100, 120.0, 300, 599.5, 900, -1, 10**15])
numbers |= st.floats(-1e15, 1e15) | st.integers(-(10**15), 10**15)
moments = st.builds(
    lambda year, hours: datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=hours),
    st.integers(2019, 2025),
    st.integers(-2, 2),
).map(lambda moment: moment.isoformat())

dates = st.dates(date(2019, 12, 30), date(2024, 1, 3)).map(date.isoformat)


def bounds(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), of, min_size=1, max_size=2)


fields = {
    **dict.fromkeys(
        ["channel", "category", "language", "tags"], words | st.lists(words, min_size=1, max_size=3)
    ),
    **dict.fromkeys(["view_count", "duration_s"], numbers | bounds(numbers)),
    "published_at": bounds(moments) | bounds(dates),
    "has_thumbnail": st.booleans(),
}
leaves = st.fixed_dictionaries({}, optional=fields)


def combined(parts: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    several = st.lists(parts, min_size=1, max_size=3)
    return st.builds(
        lambda fields, others: fields | others,
        leaves,
        st.fixed_dictionaries({}, optional={"and": several, "or": several, "not": parts}),
    )


filters = st.recursive(leaves, combined, max_leaves=8)


def holds(filter: Json, payload: Json) -> bool:
    """What docs/api.md says of a filter, in as few words."""
    given = {name: asked for name, asked in filter.items() if asked is not None}
    return all(_holds(name, asked, payload) for name, asked in given.items())


def _holds(name: str, asked: Any, payload: Json) -> bool:
    match name:
        case "and":
            return all(holds(one, payload) for one in asked)
        case "or":
            return any(holds(one, payload) for one in asked)
        case "not":
            return not holds(asked, payload)
        case "has_thumbnail":
            return ("thumbnail_file" in payload) is asked
    if name not in payload:
        return False
    value = payload[name]
    if isinstance(asked, str | list):
        values, given = ({*of} if isinstance(of, list) else {of} for of in (value, asked))
        return bool(values & given)
    if not isinstance(asked, dict):
        return bool(value == asked)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
        if any(len(bound) == len("2024-01-31") for bound in asked.values()):
            value = value.date()
        asked = {way: type(value).fromisoformat(bound) for way, bound in asked.items()}
    held = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
    return all(held[way](value, bound) for way, bound in asked.items())


@settings(max_examples=60)
@given(asked=filters)
def test_json_a_filter_and_the_engine_mean_the_same(
    client: FlaskClient, stored: list[StoredVideo], asked: Json
) -> None:
    expected = {one.video_id for one in stored if holds(asked, dict(one.payload))}
    filter = FilterBody.model_validate_json(json.dumps(asked)).to_filter()
    assert expected == {
        one.video_id for one in stored if filter is None or matches(filter, one.payload)
    }
    given = {"filter": json.dumps(asked), "limit": 100, "attributes": "video_id"}
    answer = client.get("/api/v1/videos", query_string=given)
    page = body_of(answer)
    assert {one["video_id"] for one in page["videos"]} == expected
    assert page["total"] == len(expected)
    searched = client.post(SEARCH, json={"text": "film", "filter": asked, "limit": 100})
    assert set(hit_ids(searched)) <= expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"or": [{"category": "beach"}, {"view_count": {"gte": 900}}]}, 12),
        ({"and": [{"category": "beach"}, {"view_count": {"gte": 900}}]}, 1),
        ({"category": "beach", "not": {"view_count": {"gte": 300}}}, 3),
        ({"not": {"view_count": {"gte": 0}}}, 1),
        ({"not": {"not": {"category": "beach"}}}, 10),
        ({"or": [{"category": "beach"}], "and": [{"language": "en"}], "view_count": 0}, 1),
        ({"not": {}}, 0),
        ({"or": [{}]}, 31),
        ({"not": {"or": [{"category": "beach"}, {"category": "cricket"}]}}, 11),
        ({"and": None, "not": None, "category": "beach"}, 10),
        ({"language": ["si", "ta"], "view_count": {"gte": 500, "lt": 700}}, 3),
        ({"published_at": {"gte": "2023-01-01T02:00:00+02:00"}}, 12),
        ({"published_at": {"gte": "2023-01-01", "lte": "2023-01-01"}}, 6),
        ({"published_at": {"gt": "2023-01-01"}}, 6),
        ({"published_at": {"lt": "2020-01-02"}}, 6),
        ({"has_thumbnail": False}, 1),
        ({"has_thumbnail": True, "category": "beach"}, 10),
        ({"not": {"has_thumbnail": True}}, 1),
        ({"category": "cricket", "language": "en"}, 4),
    ],
)
def test_a_filter_holds_for_every_hit_and_loses_none(
    client: FlaskClient, stored: list[StoredVideo], asked: Json, expected: int
) -> None:
    page = client.get("/api/v1/videos", query_string={"filter": json.dumps(asked)}).get_json()
    assert page["total"] == expected
    found = client.post(SEARCH, json={"text": "film", "filter": asked, "limit": 100})
    assert len(hit_ids(found)) == expected
    assert set(hit_ids(found)) == {
        one.video_id for one in stored if holds(asked, dict(one.payload))
    }


def nested(depth: int) -> Json:
    """A filter of so many filters, one in another."""
    asked: Json = {"language": "si"}
    for turn in range(depth - 1):
        asked = {"not": asked} if turn % 2 else {"or": [asked]}
    return asked


def refused(asked: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        SearchBody.model_validate_json(json.dumps({"text": "film", "filter": asked}))
    return [
        (one.field, one.message) for one in describe_invalid_fields(caught.value, SearchBody).errors
    ]


def test_filters_nest_so_deep_and_no_deeper() -> None:
    FilterBody.model_validate(nested(MAX_FILTER_DEPTH))
    assert refused(nested(MAX_FILTER_DEPTH + 1)) == [("filter", "nested 9 deep; at most 8")]
    assert refused({"and": [{}, nested(MAX_FILTER_DEPTH + 1)]}) == [
        ("filter.and.1", "nested 9 deep; at most 8")
    ]


def test_a_filter_has_so_many_conditions_and_no_more() -> None:
    pair = {"language": "si", "category": "beach"}
    FilterBody.model_validate({"or": [pair] * (MAX_CONDITIONS // 2)})
    said = "101 conditions in all; at most 100"
    assert refused({"or": [pair] * (MAX_CONDITIONS // 2), "channel": "x"}) == [("filter", said)]
    assert refused({"not": {"and": [{}, *[pair] * 50]}}) == [("filter.not", said)]
    assert refused({"or": [{}] * 101})[0][0] == "filter.or"
    # The values of a list are one condition.
    FilterBody.model_validate({"or": [{"tags": ["x"] * 100}] * 100})


@pytest.mark.parametrize(
    ("asked", "place", "said"),
    [
        ({"and": []}, "filter.and", "at least 1"),
        ({"and": {"language": "si"}}, "filter.and", "array"),
        ({"not": [{}]}, "filter.not", "object"),
        ({"or": [{"language": "si"}, "si"]}, "filter.or.1", "object"),
        ({"or": [{"not": {"title": "x"}}]}, "filter.or.0.not.title", "not permitted"),
        ({"every": [{}]}, "filter.every", "not permitted"),
        ({"some": [{}]}, "filter.some", "not permitted"),
        ({"not": {"and": [{"view_count": {"gte": "9"}}]}}, "filter.not.and.0.view_count.gte", ""),
        ({"or": [{"published_at": {"gt": 5}}]}, "filter.or.0.published_at.gt", "RFC 3339"),
        ({"and": [{"tags": [""]}]}, "filter.and.0.tags.0", "at least 1"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(asked: Json, place: str, said: str) -> None:
    [(field, message)] = refused(asked)
    assert field == place
    assert said in message


def test_pages_of_a_combined_filter_belong_to_it(client: FlaskClient) -> None:
    asked = {"or": [{"category": "beach"}, {"language": "si"}]}
    body = {"text": "film", "filter": asked, "limit": 4}
    body["cursor"] = client.post(SEARCH, json=body).get_json()["next_cursor"]
    assert client.post(SEARCH, json=body).status_code == 200
    body["filter"] = {"and": asked["or"]}
    problem(client.post(SEARCH, json=body), "cursor_invalid")


def test_a_word_is_found_in_either_form_of_unicode_and_a_category_by_its_number() -> None:
    asked = FilterBody.model_validate(
        {"channel": "Cafe\u0301", "category": ["10", "x"]}
    ).to_filter()
    assert asked == And(
        (AnyOf("channel", ("Cafe\u0301", "Caf\u00e9")), AnyOf("category", ("10", "Music", "x")))
    )
