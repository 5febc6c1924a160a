"""Facets in searches: over all hits of all pages, on every route that answers hits."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.backend.catalogue import Catalogue
from twinlens.backend.schemas.answers import FacetsBody
from twinlens.backend.schemas.fitting import fit
from twinlens.catalog.fields import FIELDS
from twinlens.stores.base import StoredVideo
from twinlens.stores.browsing import count_facet

FacetsBody = fit(FacetsBody, FIELDS)

SORTABLE_FIELDS = [row.name for row in FIELDS.sortable]
FACET_FIELDS = [row.name for row in FIELDS.counted]

Json = dict[str, Any]
SEARCH = "/api/v1/search"
FACETS = [row.name for row in FIELDS.facets]


@pytest.fixture
def client(embedded_client: FlaskClient) -> FlaskClient:
    return embedded_client


@pytest.fixture(scope="module")
def stored(catalogue: Catalogue) -> dict[str, StoredVideo]:
    return {one.video_id: one for one in catalogue.stored()}


def counted(videos: list[StoredVideo]) -> Json:
    """The facets of all fields, as an answer has them."""
    facets: Json = {}
    for field in FACETS:
        if field in FACET_FIELDS:
            counts = count_facet(videos, field, limit=100, filter=None, fields=FIELDS)
            facets[field] = {"values": [{"value": v, "count": n} for v, n in counts]}
        else:
            values = [one.payload[field] for one in videos if field in one.payload]
            facets[field] = {"min": min(values, default=None), "max": max(values, default=None)}
    return facets


def every_page(client: FlaskClient, path: str, body: Mapping[str, Any]) -> list[Json]:
    pages: list[Json] = []
    while not pages or pages[-1]["next_cursor"]:
        cursor = {"cursor": pages[-1]["next_cursor"]} if pages else {}
        answer = client.post(path, json={**body, "facets": FACETS, **cursor})
        assert answer.status_code == 200, answer.text
        pages.append(answer.get_json())
    return pages


@pytest.mark.parametrize(
    "body",
    [
        {"text": "beach film"},
        {"text": "beach film", "window": 3, "limit": 2},
        {"text": "film", "filter": {"not": {"language": "en"}}, "limit": 7},
        {"text": "film", "collapse_duplicates": True, "limit": 3},
        {"text": "film", "diversity": 0.7, "limit": 8},
        {"video_id": "beach-3", "limit": 9},
        {"text": "film", "filter": {"channel": "none"}},
    ],
    ids=["plain", "small window", "filtered", "folded", "diverse", "like a video", "no hit"],
)
def test_facets_count_all_hits_on_every_page(
    client: FlaskClient, stored: dict[str, StoredVideo], body: Json
) -> None:
    pages = every_page(client, SEARCH, body)
    hits = [stored[hit["video"]["video_id"]] for page in pages for hit in page["hits"]]
    assert len({one.video_id for one in hits}) == len(hits)
    for page in pages:
        assert page["facets"] == counted(hits)
    bare = client.post(SEARCH, json=body).get_json()
    assert "facets" not in bare
    assert bare["hits"] == pages[0]["hits"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/recommendations", {"liked": ["beach-3", "cricket-2"], "disliked": ["beach-9"]}),
        ("/api/v1/multi-search", {"searches": [{"text": "beach"}, {"text": "n3"}], "fuse": True}),
    ],
)
def test_facets_of_other_answers(
    client: FlaskClient, stored: dict[str, StoredVideo], path: str, body: Json
) -> None:
    pages = every_page(client, path, {**body, "limit": 7})
    assert len(pages) > 1
    hits = [stored[hit["video"]["video_id"]] for page in pages for hit in page["hits"]]
    assert all(page["facets"] == counted(hits) for page in pages)


def test_facets_in_a_query_string_and_in_a_form(client: FlaskClient, red_picture: bytes) -> None:
    by_query = client.get(f"{SEARCH}?q=film&facets=language,view_count").get_json()["facets"]
    assert set(by_query) == {"language", "view_count"}
    by_json = client.post(SEARCH, json={"text": "film", "facets": ["language", "view_count"]})
    assert by_json.get_json()["facets"] == by_query
    form = {"image": (io.BytesIO(red_picture), "red.png"), "facets": "tags", "limit": "3"}
    assert set(client.post(SEARCH, data=form).get_json()["facets"]) == {"tags"}
    similar = client.get("/api/v1/videos/beach-3/similar?facets=tags&limit=1").get_json()
    assert sum(one["count"] for one in similar["facets"]["tags"]["values"]) > 1


def test_each_of_several_searches_has_its_own(client: FlaskClient) -> None:
    searches = [{"text": "beach", "facets": ["language"]}, {"text": "beach"}]
    first, second = client.post("/api/v1/multi-search", json={"searches": searches}).get_json()[
        "results"
    ]
    assert set(first["facets"]) == {"language"}
    assert "facets" not in second
    fused = client.post("/api/v1/multi-search", json={"searches": searches, "fuse": True})
    assert [one["field"] for one in fused.get_json()["errors"]] == ["searches.0.facets"]


def test_the_models_have_every_facet_that_stores_can_count() -> None:
    assert set(FACETS) == {*FACET_FIELDS, *SORTABLE_FIELDS}
    assert set(FacetsBody.model_fields) == set(FACETS)
