"""The filters' meaning, and that every engine keeps to it."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.stores.catalogue import DIMS, unit
from tests.stores.conftest import Home, StrictStore
from twinlens.catalog.video import to_rfc3339
from twinlens.encoders.lenses import TITLE
from twinlens.stores.base import StoredVideo, VectorQuery, VectorStore
from twinlens.stores.filters import (
    And,
    AnyOf,
    Filter,
    Not,
    OneOfVideos,
    Or,
    Present,
    Range,
    matches,
)
from twinlens.stores.server import ServerStore

MOMENT = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("filter", "payload", "expected"),
    [
        (AnyOf("language", ("en", "si")), {"language": "si"}, True),
        (AnyOf("language", ("en",)), {"language": "EN"}, False),
        (AnyOf("language", ("en",)), {}, False),
        (AnyOf("language", ()), {"language": "en"}, False),
        (AnyOf("tags", ("b",)), {"tags": ["a", "b"]}, True),
        (AnyOf("tags", ("b",)), {"tags": []}, False),
        (AnyOf("view_count", (5,)), {"view_count": 5.0}, True),
        (AnyOf("view_count", (1,)), {"view_count": True}, False),
        (AnyOf("live", (True,)), {"live": 1}, False),
        (AnyOf("live", (True,)), {"live": True}, True),
        (AnyOf("view_count", ("5",)), {"view_count": 5}, False),
        (Range(field="view_count", gte=5), {"view_count": 5}, True),
        (Range(field="view_count", gt=5), {"view_count": 5}, False),
        (Range(field="view_count", lt=5), {"view_count": 5}, False),
        (Range(field="view_count", lte=5), {"view_count": 5}, True),
        (Range(field="view_count", gte=1, lt=2), {"view_count": [0, 3]}, False),
        (Range(field="view_count", gte=0), {}, False),
        (Range(field="view_count", gte=0), {"view_count": "9"}, False),
        (Range(field="published_at", lte=MOMENT), {"published_at": "2024-02-29T12:00:00Z"}, True),
        (Range(field="published_at", gt=MOMENT), {"published_at": "2024-02-29T12:00:00Z"}, False),
        (
            Range(field="published_at", lt=MOMENT.astimezone(timezone(timedelta(hours=5.5)))),
            {"published_at": "2024-02-29T11:59:59Z"},
            True,
        ),
        (Range(field="published_at", lt=MOMENT), {"published_at": "yesterday"}, False),
        (Present("tags"), {"tags": ["a"]}, True),
        (Present("tags"), {"tags": []}, False),
        (Present("view_count"), {"view_count": 0}, True),
        (Present("view_count"), {"view_count": None}, False),
        (Present("view_count"), {}, False),
        (Not(AnyOf("language", ("en",))), {}, True),
        (Not(AnyOf("language", ("en",))), {"language": "en"}, False),
        (And(()), {}, True),
        (Or(()), {}, False),
        (And((AnyOf("a", (1,)), AnyOf("b", (2,)))), {"a": 1, "b": 3}, False),
        (Or((AnyOf("a", (1,)), AnyOf("b", (2,)))), {"a": 1, "b": 3}, True),
    ],
)
def test_matches(filter: Filter, payload: Mapping[str, Any], expected: bool) -> None:
    assert matches(filter, payload) is expected


@pytest.mark.parametrize(
    "make",
    [
        lambda: AnyOf("a.b", ("x",)),
        lambda: AnyOf("", ("x",)),
        lambda: AnyOf("tags[]", ("x",)),
        lambda: AnyOf("a", (float("nan"),)),
        lambda: Range(field="a.b", gt=1),
        lambda: Present("a[]"),
        lambda: Range(field="a"),
        lambda: Range(field="a", gt=float("inf")),
        lambda: Range(field="a", gt=1, lt=MOMENT),
        lambda: Range(field="a", gt=MOMENT.replace(tzinfo=None)),
    ],
)
def test_a_filter_that_means_nothing_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"field|range|finite"):
        make()


# Few values, so that drawn filters hold for some of the drawn videos and not for others.
texts = st.sampled_from(["", "a", "b", "ක", "🎸 live", "A"])
numbers = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -0.5, 1.0, 2.0, 1e-9, float(2**40)]))
moments = st.integers(0, 5).map(lambda hours: MOMENT + timedelta(hours=hours))
payloads = st.fixed_dictionaries(
    {},
    optional={
        "channel": texts,
        "language": texts,
        "tags": st.lists(texts, max_size=3),
        "published_at": moments.map(to_rfc3339),
        "duration_s": numbers,
        "view_count": st.integers(-3, 3),
        "live": st.booleans(),
        "extra": st.one_of(texts, numbers, st.booleans(), st.none(), st.lists(numbers, max_size=2)),
    },
)
fields = st.sampled_from(
    ["channel", "language", "tags", "published_at", "duration_s", "view_count", "live", "extra"]
)


@st.composite
def ranges(draw: st.DrawFn, bound: st.SearchStrategy[Any]) -> Range:
    names = draw(st.sets(st.sampled_from(["gt", "gte", "lt", "lte"]), min_size=1, max_size=2))
    return Range(field=draw(fields), **{name: draw(bound) for name in sorted(names)})


scalars = st.one_of(texts, numbers, st.booleans(), moments.map(to_rfc3339))
values = st.lists(scalars, max_size=3).map(tuple)
leaves = st.one_of(
    st.builds(AnyOf, fields, values),
    st.builds(Present, fields),
    ranges(numbers),
    ranges(moments.map(lambda m: m + timedelta(microseconds=500_000))),
    ranges(moments),
    st.builds(OneOfVideos, st.frozensets(st.sampled_from("abcz"), max_size=3)),
)
conditions: st.SearchStrategy[Filter] = st.recursive(
    leaves,
    lambda parts: st.one_of(
        st.lists(parts, max_size=3).map(lambda p: And(tuple(p))),
        st.lists(parts, max_size=3).map(lambda p: Or(tuple(p))),
        parts.map(Not),
    ),
    max_leaves=6,
)


@pytest.fixture
def store(home: Home) -> VectorStore:
    """One that is not strict: what is drawn asks for fields that no catalogue has."""
    if home.kind is StrictStore:
        home.kind = ServerStore
    return home.create()


@settings(
    max_examples=60,
    # The store is emptied by hand before each example: making one takes longer than asking it.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(
    drawn=[{"view_count": 0, "published_at": to_rfc3339(MOMENT)}],
    asked=[
        Range(field="view_count", lt=MOMENT),
        Range(field="published_at", gt=0),
        AnyOf("published_at", (1, to_rfc3339(MOMENT))),
    ],
)
@example(
    drawn=[{"view_count": 1, "live": True}, {"view_count": 0, "live": False}],
    asked=[AnyOf(field, (value,)) for field in ("view_count", "live") for value in (True, 1)],
)
@given(
    drawn=st.lists(payloads, min_size=1, max_size=12),
    asked=st.lists(conditions, min_size=1, max_size=4),
)
def test_every_engine_finds_what_matches(
    store: VectorStore, drawn: list[dict[str, Any]], asked: list[Filter]
) -> None:
    store.delete(list(string.ascii_lowercase))
    vector = unit(np.random.default_rng(1), DIMS[TITLE])
    videos = [
        StoredVideo(name, {**payload, "video_id": name}, {TITLE: vector})
        for name, payload in zip(string.ascii_lowercase, drawn, strict=False)
    ]
    store.upsert(videos)
    for filter in asked:
        [hits] = store.search([VectorQuery(TITLE, vector, 100)], filter=filter)
        expected = [v.video_id for v in videos if matches(filter, v.payload)]
        assert [hit.video_id for hit in hits] == expected, filter
