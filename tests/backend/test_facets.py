"""Facets in searches: over all hits of all pages, on every route that answers hits."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.backend.asking import MULTI, RECOMMEND, SEARCH, every_page
from tests.backend.catalogue import FACETS, RED, count_facets
from twinlens.backend.schemas.answers import FacetsBody
from twinlens.backend.schemas.fitting import fit
from twinlens.catalog.fields import FIELDS
from twinlens.stores.base import StoredVideo

FacetsBody = fit(FacetsBody, FIELDS)

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
