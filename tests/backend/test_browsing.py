"""Browsing over the real embedded engine: pages, orders, shuffles, facets, cursors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from tests.backend.asking import SEARCH, body_of, every_page, problem
from tests.backend.catalogue import FACETS, ODD_ID, Catalogue, count_facets
from tests.backend.conftest import ClientOf
from tests.backend.served import publish_embedded
from tests.fakes import MemoryReader
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import fit
from twinlens.catalog.fields import FIELDS
from twinlens.search.browser import Browser, BrowseRequest
from twinlens.search.cursor import CursorInvalid, encode_place
from twinlens.stores.base import Order, StoredVideo
from twinlens.stores.browsing import select_page
from twinlens.stores.edge import EdgeReader
from twinlens.stores.filters import AnyOf, Filter, Not, Range, matches
from twinlens.stores.generations import DataDir

FilterBody = fit(FilterBody, FIELDS)

SORTABLE_FIELDS = [row.name for row in FIELDS.sortable]

VIDEOS = "/api/v1/videos"
FILTERS: list[Filter | None] = [
    None,
    AnyOf("language", ("si",)),
    Range(field="view_count", gte=300),
    Not(AnyOf("category", ("beach", "kitchen", "cricket"))),
    AnyOf("category", ("none",)),
]
START = "00000000-0000-0000-0000-000000000000"
requests = st.builds(
    BrowseRequest,
    filter=st.sampled_from(FILTERS),
    order=st.none() | st.builds(Order, st.sampled_from(SORTABLE_FIELDS), st.booleans()),
) | st.builds(
    BrowseRequest,
    filter=st.sampled_from(FILTERS),
    shuffled=st.just(True),
    seed=st.integers(0, 2**53 - 1),
)


@pytest.fixture(scope="module")
def browser(embedded: DataDir) -> Iterator[Browser]:
    reader = EdgeReader.open(embedded.locate_generation("g1") / "qdrant")
    yield Browser(reader, generation="g1", draw_seed=lambda: 5)
    reader.close()


def ask(client: FlaskClient, **parameters: Any) -> Any:
    texts = {
        name: json.dumps(value) if isinstance(value, dict) else value
        for name, value in parameters.items()
    }
    return client.get(VIDEOS, query_string=texts)


def answered(client: FlaskClient, **parameters: Any) -> dict[str, Any]:
    return body_of(ask(client, **parameters))


def pages_of(client: FlaskClient, **parameters: Any) -> list[dict[str, Any]]:
    answers = every_page(lambda cursor: ask(client, **parameters, **cursor))
    return [body_of(answer) for answer in answers]


def shown_ids(pages: list[dict[str, Any]]) -> list[str]:
    return [video["video_id"] for page in pages for video in page["videos"]]


def followed(browser: Browser, request: BrowseRequest, *limits: int) -> list[list[str]]:
    """The ids on the pages that the cursors lead to, of these lengths in turn."""
    pages, cursor = [], None
    for limit in cycle(limits):
        found = browser.browse(replace(request, limit=limit, cursor=cursor))
        pages.append([one.video_id for one in found.videos])
        cursor = found.next_cursor
        if cursor is None:
            break
        assert len(found.videos) == limit
    return pages


def behind(place: Any, **request: Any) -> BrowseRequest:
    """A request for the page behind a place, which may be a forged one."""
    digest = BrowseRequest(**request).digest()
    cursor = encode_place(place, generation="g1", request=digest)
    return BrowseRequest(**request, cursor=cursor, limit=100)


@given(request=requests, limits=st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_pages_of_any_lengths_hold_every_video_that_passes_once_in_one_order(
    browser: Browser, stored: list[StoredVideo], request: BrowseRequest, limits: list[int]
) -> None:
    met = [video_id for page in followed(browser, request, *limits) for video_id in page]
    passing = select_page(
        stored, limit=100, order=request.order, after=None, filter=request.filter, fields=FIELDS
    )
    expected = [one.video_id for one in passing]
    assert browser.browse(request).total == len(expected)
    if request.shuffled:
        assert sorted(met) == sorted(expected)
        [expected] = followed(browser, request, 40)
    assert met == expected


def test_a_seed_is_one_order_and_another_seed_another(client: FlaskClient) -> None:
    def order(seed: int) -> list[str]:
        pages = pages_of(client, order="random", seed=seed, limit=9)
        assert {page["seed"] for page in pages} == {seed}
        return shown_ids(pages)

    first = order(1)
    assert first == order(1)
    assert len({tuple(order(seed)) for seed in range(12)}) == 12
    assert sorted(first) == sorted(order(2))


def test_the_server_draws_a_seed_and_keeps_to_it(client: FlaskClient) -> None:
    drawn = {answered(client, order="random")["seed"] for _ in range(8)}
    assert len(drawn) > 1
    assert all(0 <= seed < 2**31 for seed in drawn)
    pages = pages_of(client, order="random", limit=4)
    [seed] = {page["seed"] for page in pages}
    assert shown_ids(pages) == shown_ids(pages_of(client, order="random", limit=31, seed=seed))
    asked = {"order": "random", "limit": 4, "cursor": pages[0]["next_cursor"]}
    assert answered(client, **asked, seed=seed)["videos"] == pages[1]["videos"]
    problem(ask(client, **asked, seed=seed + 1), "cursor_invalid")


@pytest.mark.parametrize("field", SORTABLE_FIELDS)
@pytest.mark.parametrize("way", ["asc", "desc"])
def test_sorted_pages(client: FlaskClient, field: str, way: str) -> None:
    pages = pages_of(client, sort=f"{field}:{way}", limit=4)
    values = [video[field] for page in pages for video in page["videos"]]
    known = [value for value in values if value is not None]
    assert values == [*sorted(known, reverse=way == "desc"), None]
    assert pages[-1]["videos"][-1]["video_id"] == ODD_ID
    assert {page["total"] for page in pages} == {31}
    assert all(page["seed"] is None and "facets" not in page for page in pages)


def test_only_the_attributes_asked_for_come(client: FlaskClient) -> None:
    page = answered(client, attributes="title,thumbnail_url", limit=100)
    assert all(set(video) == {"video_id", "title", "thumbnail_url"} for video in page["videos"])
    whole = answered(client, limit=100)["videos"]
    assert [video["video_id"] for video in whole] == [one["video_id"] for one in page["videos"]]
    one = next(video for video in whole if video["video_id"] == "beach-3")
    assert client.get(f"{VIDEOS}/beach-3").get_json()["video"] == one


@pytest.mark.parametrize("filter", [None, {"language": "si"}, {"category": "none"}])
def test_facets_count_all_that_pass(
    client: FlaskClient, stored: list[StoredVideo], filter: dict[str, Any] | None
) -> None:
    given = {} if filter is None else {"filter": filter}
    chosen = FilterBody(**filter).to_filter() if filter else None
    facets = answered(client, facets=",".join([*FACETS, "tags"]), limit=1, **given)["facets"]
    passing = [one for one in stored if chosen is None or matches(chosen, one.payload)]
    assert facets == count_facets(passing)


def test_only_limit_facets_and_attributes_may_change_with_a_cursor(client: FlaskClient) -> None:
    cursor = answered(client, sort="view_count:desc", limit=5)["next_cursor"]
    second = answered(
        client, sort="view_count:desc", limit=9, facets="tags", attributes="title", cursor=cursor
    )
    assert len(second["videos"]) == 9
    for other in (
        {},
        {"sort": "view_count:asc"},
        {"sort": "duration_s:desc"},
        {"sort": "view_count:desc", "filter": {"language": "si"}},
        {"order": "random"},
    ):
        problem(ask(client, **other, cursor=cursor), "cursor_invalid")
    of_a_search = body_of(client.get(f"{SEARCH}?q=film&limit=2"))["next_cursor"]
    problem(ask(client, cursor=of_a_search), "cursor_invalid")


MOMENTS = {"order": Order("published_at")}


@pytest.mark.parametrize(
    "request_", [{}, MOMENTS, {"order": Order("view_count")}, {"shuffled": True}]
)
def test_a_forged_place_is_refused(browser: Browser, request_: dict[str, Any]) -> None:
    no_moments = [[value, START] for value in (10**30, -(10**30), 2.5e17, 0.5)]
    for place in [
        None, 5, "x", [], [None], [None, "x"], [None, None], [True, "0" * 32], ["5", None], {},
        [float("nan"), START], [1e400, START], [10**400, START], [1, START[:-1] + "g"],
        [1, 2], [1, 2, -1], [1, 2, 3, 4], [2**60, 0, 0], ["1", "2", "3"], [1.5, 0, 0],
        *(no_moments if request_ is MOMENTS else []),
    ]:  # fmt: skip
        with pytest.raises(CursorInvalid):
            browser.browse(behind(place, **request_))


@pytest.mark.parametrize("value", [-62_135_596_800_000_000, 253_402_300_799_999_999])
@pytest.mark.parametrize("field", SORTABLE_FIELDS)
@pytest.mark.parametrize("descending", [False, True])
def test_a_place_at_either_end_of_time_is_one(
    browser: Browser, value: int, field: str, descending: bool
) -> None:
    found = browser.browse(behind([value, START], order=Order(field, descending)))
    # All, or, behind them, the one that lacks the field.
    assert len(found.videos) == (31 if (value < 0) is not descending else 1)


@pytest.mark.parametrize("place", [[1, 2**53 - 1, 0], [1, 0, 2**53 - 1], [2**53 - 1, 3, 0]])
def test_a_place_behind_the_last_is_an_empty_page(browser: Browser, place: Any) -> None:
    found = browser.browse(behind(place, shuffled=True))
    assert found.seed == place[0]
    assert len(found.videos) < 31


def test_a_cursor_of_an_older_index_has_expired(
    catalogue: Catalogue, client_of: ClientOf, tmp_path: Path
) -> None:
    client = client_of(data=publish_embedded(catalogue, tmp_path))
    queries = ("sort=view_count:asc", "order=random&seed=3", "attributes=title")
    paths = [f"{VIDEOS}?{query}&limit=2" for query in queries]
    cursors = [body_of(client.get(path))["next_cursor"] for path in paths]
    publish_embedded(catalogue, tmp_path, "g2")
    for path, cursor in zip(paths, cursors, strict=True):
        problem(client.get(f"{path}&cursor={cursor}"), "cursor_expired")


def test_what_was_counted_once_is_not_counted_again(
    stored: list[StoredVideo], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = MemoryReader(stored)
    counts = {name: Mock(side_effect=getattr(reader, name)) for name in ("count", "facet")}
    for name, count in counts.items():
        monkeypatch.setattr(reader, name, count)
    browser = Browser(reader, generation="g1")
    for _ in range(3):
        browser.browse(BrowseRequest(facets=["tags", "channel"]))
    assert [count.call_count for count in counts.values()] == [1, 2]
    browser.browse(BrowseRequest(facets=["tags"], filter=AnyOf("language", ("si",))))
    assert [count.call_count for count in counts.values()] == [2, 3]


@pytest.mark.parametrize(
    "wrong", [BrowseRequest(shuffled=True, order=Order("view_count")), BrowseRequest(seed=4)]
)
def test_a_request_that_means_nothing_is_refused(browser: Browser, wrong: BrowseRequest) -> None:
    with pytest.raises(ValueError, match="shuffle"):
        browser.browse(wrong)
