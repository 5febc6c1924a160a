"""Browsing over the real embedded engine: pages, orders, shuffles, facets, cursors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.backend.catalogue import ODD_ID, Catalogue
from tests.backend.served import publish_embedded
from tests.fakes import MemoryReader
from twinlens.backend.app import create_app
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import fit
from twinlens.catalog.fields import FIELDS
from twinlens.encoders.lenses import own_lenses
from twinlens.search.browser import Browser, BrowseRequest
from twinlens.search.cursor import CursorInvalid, encode_place
from twinlens.search.published import PublishedIndex
from twinlens.stores.base import Order, StoredVideo
from twinlens.stores.browsing import count_facet, select_page
from twinlens.stores.edge import EdgeReader
from twinlens.stores.engines import open_reader
from twinlens.stores.filters import AnyOf, Filter, Not, Range, matches
from twinlens.stores.generations import DataDir

FilterBody = fit(FilterBody, FIELDS)

SORTABLE_FIELDS = [row.name for row in FIELDS.sortable]

VIDEOS = "/api/v1/videos"
FILTERS: dict[str, Filter | None] = {
    "all": None,
    "one language": AnyOf("language", ("si",)),
    "the viewed": Range(field="view_count", gte=300),
    "the odd": Not(AnyOf("category", ("beach", "kitchen", "cricket"))),
    "none": AnyOf("category", ("none",)),
}
relaxed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
requests = st.builds(
    BrowseRequest,
    filter=st.sampled_from(list(FILTERS.values())),
    order=st.none() | st.builds(Order, st.sampled_from(SORTABLE_FIELDS), st.booleans()),
    limit=st.integers(1, 40),
) | st.builds(
    BrowseRequest,
    filter=st.sampled_from(list(FILTERS.values())),
    shuffled=st.just(True),
    seed=st.integers(0, 2**53 - 1),
    limit=st.integers(1, 40),
)


@pytest.fixture
def client(embedded_client: FlaskClient) -> FlaskClient:
    return embedded_client


@pytest.fixture(scope="module")
def stored(catalogue: Catalogue) -> list[StoredVideo]:
    return catalogue.stored()


@pytest.fixture(scope="module")
def browser(embedded: DataDir) -> Iterator[Browser]:
    reader = EdgeReader.open(embedded.generation_path("g1") / "qdrant")
    yield Browser(reader, generation="g1", draw_seed=lambda: 5)
    reader.close()


def answered(client: FlaskClient, **parameters: Any) -> dict[str, Any]:
    answer = client.get(VIDEOS, query_string=texts(parameters))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def texts(parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.dumps(value) if isinstance(value, dict) else value
        for name, value in parameters.items()
    }


def every_page(client: FlaskClient, **parameters: Any) -> list[dict[str, Any]]:
    pages = [answered(client, **parameters)]
    while pages[-1]["next_cursor"]:
        pages.append(answered(client, **parameters, cursor=pages[-1]["next_cursor"]))
    return pages


def followed(browser: Browser, request: BrowseRequest) -> list[list[StoredVideo]]:
    pages = []
    cursor: str | None = None
    while True:
        found = browser.browse(
            BrowseRequest(
                filter=request.filter,
                order=request.order,
                shuffled=request.shuffled,
                seed=request.seed,
                limit=request.limit,
                cursor=cursor,
            )
        )
        pages.append(list(found.videos))
        cursor = found.next_cursor
        if cursor is None:
            return pages


@relaxed
@given(request=requests)
def test_the_pages_hold_every_video_that_passes_once(
    browser: Browser, stored: list[StoredVideo], request: BrowseRequest
) -> None:
    pages = followed(browser, request)
    met = [video for page in pages for video in page]
    passing = [
        one for one in stored if request.filter is None or matches(request.filter, one.payload)
    ]
    assert all(len(page) == request.limit for page in pages[:-1])
    assert Counter(one.video_id for one in met) == Counter(one.video_id for one in passing)
    assert browser.browse(request).total == len(passing)
    if not request.shuffled:
        expected = select_page(
            stored, limit=100, order=request.order, after=None, filter=request.filter, fields=FIELDS
        )
        assert [one.video_id for one in met] == [one.video_id for one in expected]


@relaxed
@given(request=requests, limits=st.lists(st.integers(1, 15), min_size=1, max_size=4))
def test_pages_of_any_lengths_are_cut_from_one_order(
    browser: Browser, request: BrowseRequest, limits: list[int]
) -> None:
    whole = [video for page in followed(browser, request) for video in page]
    met: list[StoredVideo] = []
    cursor, turn = None, 0
    while turn == 0 or cursor is not None:
        found = browser.browse(
            BrowseRequest(
                filter=request.filter,
                order=request.order,
                shuffled=request.shuffled,
                seed=request.seed,
                limit=limits[turn % len(limits)],
                cursor=cursor,
            )
        )
        met += found.videos
        cursor, turn = found.next_cursor, turn + 1
    assert [one.video_id for one in met] == [one.video_id for one in whole]


def test_a_seed_is_one_order_and_another_seed_another(client: FlaskClient) -> None:
    def order(seed: int) -> list[str]:
        pages = every_page(client, order="random", seed=seed, limit=9)
        assert {page["seed"] for page in pages} == {seed}
        return [video["video_id"] for page in pages for video in page["videos"]]

    first = order(1)
    assert first == order(1)
    assert len({tuple(order(seed)) for seed in range(12)}) == 12
    assert sorted(first) == sorted(order(2))


def test_every_video_has_its_chance_to_be_shown_first(catalogue: Catalogue) -> None:
    """Some hundred videos, a page of ten, a thousand seeds: each comes about as often."""
    stored = [StoredVideo(f"v{number}", {"video_id": f"v{number}"}, {}) for number in range(100)]
    reader = MemoryReader(stored)
    shown: Counter[str] = Counter()
    for seed in range(1000):
        request = BrowseRequest(shuffled=True, seed=seed, limit=10)
        shown.update(one.video_id for one in Browser(reader, generation="g").browse(request).videos)
    assert len(shown) == 100
    # Binomial(1000, 0.1): 100 each, give or take 9.5; blocks keep videos together, so more.
    assert min(shown.values()) > 50
    assert max(shown.values()) < 150


def test_the_server_draws_a_seed_and_keeps_to_it(client: FlaskClient) -> None:
    drawn = {answered(client, order="random")["seed"] for _ in range(8)}
    assert len(drawn) > 1
    assert all(0 <= seed < 2**31 for seed in drawn)
    pages = every_page(client, order="random", limit=4)
    assert len({page["seed"] for page in pages}) == 1
    met = [video["video_id"] for page in pages for video in page["videos"]]
    again = every_page(client, order="random", limit=31, seed=pages[0]["seed"])
    assert met == [video["video_id"] for page in again for video in page["videos"]]
    asked = {"order": "random", "limit": 4, "cursor": pages[0]["next_cursor"]}
    sent_back = answered(client, **asked, seed=pages[0]["seed"])
    assert sent_back["videos"] == pages[1]["videos"]
    other = client.get("/api/v1/videos", query_string={**asked, "seed": pages[0]["seed"] + 1})
    assert other.get_json()["code"] == "cursor_invalid"


@pytest.mark.parametrize("field", SORTABLE_FIELDS)
@pytest.mark.parametrize("way", ["asc", "desc"])
def test_sorted_pages(client: FlaskClient, field: str, way: str) -> None:
    pages = every_page(client, sort=f"{field}:{way}", limit=4)
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
    names = ["channel", "category", "language", "tags", *SORTABLE_FIELDS]
    given = {} if filter is None else {"filter": filter}
    chosen = FilterBody(**filter).to_filter() if filter else None
    facets = answered(client, facets=",".join(names), limit=1, **given)["facets"]
    assert set(facets) == set(names)
    for name in names[:4]:
        expected = count_facet(stored, name, limit=100, filter=chosen, fields=FIELDS)
        assert facets[name] == {
            "values": [{"value": one.value, "count": one.videos} for one in expected]
        }
    for name in SORTABLE_FIELDS:
        values = [
            one.payload[name]
            for one in stored
            if name in one.payload and (chosen is None or matches(chosen, one.payload))
        ]
        assert facets[name] == {"min": min(values, default=None), "max": max(values, default=None)}


def test_facets_are_answered_only_when_asked_for(client: FlaskClient) -> None:
    assert "facets" not in answered(client)
    assert set(answered(client, facets="tags")["facets"]) == {"tags"}
    assert set(answered(client, facets="tags,tags")["facets"]) == {"tags"}


def test_only_limit_facets_and_attributes_may_change_with_a_cursor(client: FlaskClient) -> None:
    first = answered(client, sort="view_count:desc", limit=5)
    cursor = first["next_cursor"]
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
        answer = client.get(VIDEOS, query_string=texts({**other, "cursor": cursor}))
        assert (answer.status_code, answer.get_json()["code"]) == (400, "cursor_invalid")


def test_a_cursor_of_a_search_is_none_of_browsing(client: FlaskClient) -> None:
    found = client.get("/api/v1/search?q=film&limit=2").get_json()["next_cursor"]
    answer = client.get(VIDEOS, query_string={"cursor": found})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "cursor_invalid")


@pytest.mark.parametrize(
    "request_",
    [
        BrowseRequest(),
        BrowseRequest(order=Order("published_at")),
        BrowseRequest(order=Order("view_count")),
        BrowseRequest(shuffled=True),
    ],
    ids=["own", "moments", "numbers", "shuffled"],
)
@pytest.mark.parametrize(
    "place",
    [
        None, 5, "x", [], [None], [None, "x"], [None, None], [True, "0" * 32], ["5", None], {},
        [float("nan"), "00000000-0000-0000-0000-000000000000"],
        [1e400, "00000000-0000-0000-0000-000000000000"],
        [10**400, "00000000-0000-0000-0000-000000000000"],
        [1, "00000000-0000-0000-0000-00000000000g"],
        [1, 2], [1, 2, -1], [1, 2, 3, 4], [2**60, 0, 0], ["1", "2", "3"], [1.5, 0, 0],
    ],
)  # fmt: skip
def test_a_forged_place_is_refused(browser: Browser, request_: BrowseRequest, place: Any) -> None:
    forged = encode_place(place, generation="g1", request=request_.digest())
    asked = BrowseRequest(order=request_.order, shuffled=request_.shuffled, cursor=forged)
    with pytest.raises(CursorInvalid):
        browser.browse(asked)


@pytest.mark.parametrize("value", [10**30, -(10**30), 2.5e17, 0.5])
def test_a_forged_moment_is_refused(browser: Browser, value: float) -> None:
    order = Order("published_at", descending=True)
    place = [value, "00000000-0000-0000-0000-000000000000"]
    forged = encode_place(place, generation="g1", request=BrowseRequest(order=order).digest())
    with pytest.raises(CursorInvalid):
        browser.browse(BrowseRequest(order=order, cursor=forged))


@pytest.mark.parametrize("value", [-62_135_596_800_000_000, 253_402_300_799_999_999])
@pytest.mark.parametrize("field", SORTABLE_FIELDS)
@pytest.mark.parametrize("descending", [False, True])
def test_a_place_at_either_end_of_time_is_one(
    browser: Browser, value: int, field: str, descending: bool
) -> None:
    order = Order(field, descending)
    place = [value, "00000000-0000-0000-0000-000000000000"]
    forged = encode_place(place, generation="g1", request=BrowseRequest(order=order).digest())
    found = browser.browse(BrowseRequest(order=order, cursor=forged, limit=100))
    # All, or, behind them, the one that lacks the field.
    assert len(found.videos) == (31 if (value < 0) is not descending else 1)


@pytest.mark.parametrize("place", [[1, 2**53 - 1, 0], [1, 0, 2**53 - 1], [2**53 - 1, 3, 0]])
def test_a_place_behind_the_last_is_an_empty_page(browser: Browser, place: Any) -> None:
    forged = encode_place(place, generation="g1", request=BrowseRequest(shuffled=True).digest())
    found = browser.browse(BrowseRequest(shuffled=True, cursor=forged))
    assert found.seed == place[0]
    assert len(found.videos) < 31


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("sort=title:asc", "sort"),
        ("sort=view_count", "sort"),
        ("sort=view_count:DESC", "sort"),
        ("order=asc", "order"),
        ("order=random&sort=view_count:asc", "order"),
        ("seed=4", "seed"),
        ("order=random&seed=-1", "seed"),
        ("order=random&seed=9007199254740992", "seed"),
        ("order=random&seed=1.5", "seed"),
        ("facets=title", "facets.0"),
        ("facets=tags,", "facets.1"),
        ("attributes=x", "attributes.0"),
        ("filter=x", "filter"),
        ("filter={}x", "filter"),
        ('filter={"title":"x"}', "filter.title"),
        ("q=film", "q"),
        ("limit=3&limit=4", "limit"),
        ("window=100", "window"),
    ],
)
def test_what_is_wrong_is_named(client: FlaskClient, query: str, field: str) -> None:
    answer = client.get(f"{VIDEOS}?{query}")
    assert answer.status_code == 422, answer.text
    assert [one["field"] for one in answer.get_json()["errors"]] == [field]


def test_a_cursor_of_an_older_index_has_expired(
    catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = DataDir(tmp_path_factory.mktemp("republished"))
    publish_embedded(catalogue, data, "g1")
    index = PublishedIndex(
        data,
        open_reader=lambda manifest: open_reader(data, manifest),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    client = create_app(index, thumbnails=data.thumbnails).test_client()
    cursors = {
        query: client.get(f"{VIDEOS}?{query}&limit=2").get_json()["next_cursor"]
        for query in ("sort=view_count:asc", "order=random&seed=3", "attributes=title")
    }
    publish_embedded(catalogue, data, "g2")
    for query, cursor in cursors.items():
        answer = client.get(f"{VIDEOS}?{query}&limit=2&cursor={cursor}")
        assert (answer.status_code, answer.get_json()["code"]) == (409, "cursor_expired")
    index.close()


def test_what_was_counted_once_is_not_counted_again(stored: list[StoredVideo]) -> None:
    class Counting(MemoryReader):
        counted = 0

        def count(self, *args: Any, **named: Any) -> int:
            self.counted += 1
            return super().count(*args, **named)

        def facet(self, *args: Any, **named: Any) -> Any:
            self.counted += 1
            return super().facet(*args, **named)

    reader = Counting(stored)
    browser = Browser(reader, generation="g1")
    for _ in range(3):
        browser.browse(BrowseRequest(facets=["tags", "channel"]))
    assert reader.counted == 3
    browser.browse(BrowseRequest(facets=["tags"], filter=AnyOf("language", ("si",))))
    assert reader.counted == 5


@pytest.mark.parametrize(
    "wrong", [BrowseRequest(shuffled=True, order=Order("view_count")), BrowseRequest(seed=4)]
)
def test_a_request_that_means_nothing_is_refused(browser: Browser, wrong: BrowseRequest) -> None:
    with pytest.raises(ValueError, match="shuffle"):
        browser.browse(wrong)
