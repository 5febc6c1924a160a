"""Facets in searches: over all hits of all pages, on every route that answers hits."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.backend.asking import MULTI, RECOMMEND, SEARCH, body_of, every_page
from tests.backend.catalogue import FACETS, ODD_ID, RED, count_facets
from tests.fakes import MemoryReader
from twinlens.backend.schemas.answers import FacetsBody
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import fit
from twinlens.catalog.fields import FIELDS
from twinlens.search import searcher
from twinlens.search.facets import count_facets as count_facets_of_hits
from twinlens.search.facets import count_stored_facet, leave_out
from twinlens.stores.base import FacetCount, StoredVideo
from twinlens.stores.filters import matches

FacetsBody, FilterBody = fit(FacetsBody, FIELDS), fit(FilterBody, FIELDS)

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (SEARCH, {"text": "beach film"}),
        (SEARCH, {"text": "beach film", "window": 3, "limit": 2}),
        (SEARCH, {"text": "film", "filter": {"not": {"language": "en"}}, "limit": 7}),
        (SEARCH, {"text": "film", "collapse_duplicates": True, "limit": 3}),
        (SEARCH, {"text": "film", "diversity": 0.7, "limit": 8}),
        (SEARCH, {"video_id": "beach-3", "limit": 9}),
        (SEARCH, {"text": "film", "filter": {"channel": "none"}}),
        (RECOMMEND, {"liked": ["beach-3", "cricket-2"], "disliked": ["beach-9"], "limit": 7}),
        (MULTI, {"searches": [{"text": "beach"}, {"text": "n3"}], "fuse": True, "limit": 7}),
    ],
)
def test_facets_count_all_hits_on_every_page(
    client: FlaskClient, stored: list[StoredVideo], path: str, body: Json
) -> None:
    def ask(more: Json) -> Any:
        return client.post(path, json={**body, "facets": FACETS, **more})

    pages = [answer.get_json() for answer in every_page(ask)]
    assert path == SEARCH or len(pages) > 1
    met = [hit["video"]["video_id"] for page in pages for hit in page["hits"]]
    assert len(set(met)) == len(met)
    facets = count_facets([one for one in stored if one.video_id in met])
    assert all(page["facets"] == facets for page in pages)
    bare = client.post(path, json=body).get_json()
    assert "facets" not in bare
    assert bare["hits"] == pages[0]["hits"]


@pytest.mark.parametrize(
    ("body", "relation"),
    [
        ({"text": "beach film"}, "exact"),
        ({"text": "beach film", "window": 5, "limit": 2}, "at_least"),
        ({"text": "film", "filter": {"category": "beach"}, "limit": 3}, "exact"),
        ({"text": "film", "collapse_duplicates": True, "diversity": 0.2, "limit": 9}, "exact"),
        ({"text": "film", "filter": {"channel": "none"}}, "exact"),
        ({"liked": ["beach-3", "cricket-2"], "disliked": ["beach-9"], "limit": 7}, "at_least"),
        ({"searches": [{"text": "beach"}, {"text": "n3"}], "fuse": True, "limit": 7}, "exact"),
        ({"searches": [{"text": "beach"}, {"text": "a", "window": 1}], "fuse": True}, "at_least"),
    ],
)
def test_the_total_is_what_all_pages_have(client: FlaskClient, body: Json, relation: str) -> None:
    path = RECOMMEND if "liked" in body else MULTI if "searches" in body else SEARCH
    if "liked" in body:
        body = body | {"window": 20}
    pages = [one.get_json() for one in every_page(lambda more: client.post(path, json=body | more))]
    met = sum(len(page["hits"]) for page in pages)
    assert {(page["total"], page["total_relation"]) for page in pages} == {(met, relation)}


def test_a_thousand_hits_are_counted_and_no_more(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "MOST_COUNTED", 12)
    asked = {"text": "film", "limit": 9, "facets": ["category"]}
    pages = [one.get_json() for one in every_page(lambda m: client.post(SEARCH, json=asked | m))]
    assert sum(len(page["hits"]) for page in pages) == 31
    for page in pages:
        assert (page["total"], page["total_relation"]) == (12, "at_least")
        assert sum(one["count"] for one in page["facets"]["category"]["values"]) <= 12


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("BEA", ["beach channel"]),
        ("cha", ["beach channel", "cricket channel", "kitchen channel"]),
        ("chan béa", ["beach channel"]),
        ("each", []),
    ],
)
def test_values_of_a_facet_are_found_by_the_beginnings_of_their_words(
    client: FlaskClient, query: str, values: list[str]
) -> None:
    asked = {"facets": ["channel", "category"], "facet_query": {"channel": query}}
    texts = {"facets": "channel,category", "facet_query": json.dumps(asked["facet_query"])}
    for answer in (
        client.post(SEARCH, json={"text": "film", **asked}),
        client.post(RECOMMEND, json={"liked": [ODD_ID], **asked}),
        client.post(MULTI, json={"searches": [{"text": "film"}], "fuse": True, **asked}),
        client.get(SEARCH, query_string={"q": "film", **texts}),
        client.get("/api/v1/videos", query_string=texts),
    ):
        facets = body_of(answer)["facets"]
        assert [one["value"] for one in facets["channel"]["values"]] == values
        assert all(one["count"] == 10 for one in facets["channel"]["values"])
        assert len(facets["category"]["values"]) == 3


def test_a_value_is_found_behind_the_hundred_most_frequent() -> None:
    videos = [StoredVideo(f"v{n}", {"tags": [f"n{n}", f"Tag {n}"]}) for n in range(150)]
    reader = MemoryReader(videos)
    for facet in (
        count_stored_facet(reader, "tags", None, "tag 149"),
        count_facets_of_hits(videos, ["tags"], FIELDS, {"tags": "tag 149"})["tags"],
    ):
        assert facet == [FacetCount("Tag 149", 1)]


@pytest.mark.parametrize(
    "asked",
    [
        {"language": ["si"], "category": "beach"},
        {"and": [{"language": "si"}, {"view_count": {"gte": 300}}]},
        {"or": [{"language": "si"}, {"language": "ta"}], "category": ["beach", "kitchen"]},
        {"or": [{"language": "si"}, {"category": "beach"}]},
        {"not": {"language": "si"}, "has_thumbnail": True},
        {"view_count": {"gte": 500}},
        {},
    ],
)
def test_disjunctive_facets_leave_out_the_own_conditions(
    client: FlaskClient, stored: list[StoredVideo], asked: Json
) -> None:
    def expected(name: str) -> Json:
        whole = FilterBody.model_validate(asked).to_filter()
        left = leave_out(whole, name)
        passing = [one for one in stored if left is None or matches(left, one.payload)]
        return count_facets(passing)[name]

    names = ["language", "category", "view_count"]
    browsed = {"facets": ",".join(names), "disjunctive_facets": "true"}
    browsed["filter"] = json.dumps(asked)
    searched = {"text": "film", "facets": names, "disjunctive_facets": True, "filter": asked}
    for answer in (
        client.get("/api/v1/videos", query_string=browsed),
        client.post(SEARCH, json=searched | {"limit": 2}),
        client.post(SEARCH, json=searched | {"collapse_duplicates": True, "text": "beach film"}),
        client.post(MULTI, json={"searches": [searched]}),
    ):
        body = body_of(answer)
        body = body.get("results", [body])[0]
        assert body["facets"] == {name: expected(name) for name in names}
    # The rest is as without.
    plain = client.post(SEARCH, json=searched | {"disjunctive_facets": False}).get_json()
    other = client.post(SEARCH, json=searched).get_json()
    for name in ("hits", "next_cursor", "total", "total_relation"):
        assert other[name] == plain[name]


def test_disjunctive_facets_of_what_is_similar(client: FlaskClient) -> None:
    asked = {"filter": '{"category":"kitchen"}', "facets": "category", "disjunctive_facets": "1"}
    body = body_of(client.get("/api/v1/videos/beach-3/similar", query_string=asked))
    assert {hit["video"]["category"] for hit in body["hits"]} == {"kitchen"}
    counts = {one["value"]: one["count"] for one in body["facets"]["category"]["values"]}
    assert counts == {"beach": 9, "kitchen": 10, "cricket": 10}


def test_facets_in_a_query_string_in_a_form_and_in_one_of_several(client: FlaskClient) -> None:
    by_query = client.get(f"{SEARCH}?q=film&facets=language,+view_count").get_json()["facets"]
    assert set(by_query) == {"language", "view_count"}
    by_json = client.post(SEARCH, json={"text": "film", "facets": ["language", "view_count"]})
    assert by_json.get_json()["facets"] == by_query
    form = {"image": (io.BytesIO(RED), "red.png"), "facets": "tags", "limit": "3"}
    assert set(client.post(SEARCH, data=form).get_json()["facets"]) == {"tags"}
    similar = client.get("/api/v1/videos/beach-3/similar?facets=tags&limit=1").get_json()
    assert sum(one["count"] for one in similar["facets"]["tags"]["values"]) > 1
    searches = [{"text": "beach", "facets": ["language"]}, {"text": "beach"}]
    first, second = client.post(MULTI, json={"searches": searches}).get_json()["results"]
    assert set(first["facets"]) == {"language"}
    assert "facets" not in second


def test_the_models_have_every_facet_that_stores_can_count() -> None:
    assert set(FACETS) == {row.name for row in FIELDS if row.facet}
    assert set(FacetsBody.model_fields) == set(FACETS)
