from __future__ import annotations

import json

import pytest

from tests.backend.asking import problem
from twinlens.backend.app import ROUTES
from twinlens.backend.schemas.base import describe_expected
from twinlens.backend.schemas.fitting import fit
from twinlens.backend.schemas.requests import RecommendationsBody, SearchBody
from twinlens.catalog.fields import FIELDS

SearchBody = fit(SearchBody, FIELDS)
RecommendationsBody = fit(RecommendationsBody, FIELDS)

PICTURE = "a picture in base64, without the data: prefix"
MODELS = {model for route in ROUTES for model in (route.query, route.body) if model is not None}


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (("rrf_k",), "a number from 0 to 10,000"),
        (("explain",), "true or false"),
        (("video_id",), "text of 1 to 256 characters"),
        (("weights",), "an object with any of: title, words, thumbnail"),
        (("weights", "title"), "a number from 0 to 1,000"),
        (("filter", "view_count"), "a number, or an object with any of: gt, gte, lt, lte"),
        (("filter", "published_at", "lt"),
         "a moment in RFC 3339 with an offset, such as 2024-01-31T00:00:00Z, or "
         "a date, such as 2024-01-31"),
        (("filter", "has_thumbnail"), "true or false"),
        (("filter", "tags"),
         "text of 1 to 1,000 characters, or "
         "a list of 1 to 100, each text of 1 to 1,000 characters"),
        (("filter", "tags", 3), "text of 1 to 1,000 characters"),
        (("nothing", "here"), None),
        (("limit", "gte"), None),
    ],
)  # fmt: skip
def test_what_a_search_takes_is_said(place, words):
    assert describe_expected(SearchBody, place) == words


def test_of_an_unknown_field_the_known_ones_are_said():
    said = describe_expected(SearchBody, ("weights", "sound"), unknown=True)
    assert said == "one of: title, words, thumbnail"
    renamed = {"text": "q", "image": None}
    said = describe_expected(SearchBody, ("sound",), unknown=True, renamed=renamed)
    known = set(said.removeprefix("one of: ").split(", "))
    assert {"q", "video_id", "limit"} < known
    assert not {"text", "image"} & known


@pytest.mark.parametrize("model", sorted(MODELS, key=lambda model: model.__name__))
def test_there_are_words_for_every_field_of_every_request(model):
    for name in model.model_fields:
        assert describe_expected(model, (name,)), name


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ("search?q=a&limit=0", "limit", "a whole number from 1 to 100"),
        ("search?q=a&limit=many", "limit", "a whole number from 1 to 100"),
        ("search?q=a&colour=red", "colour", "one of: …"),
        ("search?q=%20", "q", "text of at most 2,000 characters"),
        ('search?q=a&filter={"view_count":{"gte":"many"}}', "filter.view_count.gte", "a number"),
        ('search?q=a&weights={"sound":1}', "weights.sound", "one of: title, words, thumbnail"),
        (
            'search?q=a&filter={"view_count":{"gte":1e16}}',
            "filter.view_count.gte",
            "a number from -1,000,000,000,000,000 to 1,000,000,000,000,000",
        ),
        (
            'search?q=a&filter={"or":[{"lang":"si"}]}',
            "filter.or.0.lang",
            "one of: channel, category, …",
        ),
        (
            "search?q=a&cursor=x",
            "cursor",
            "next_cursor of the page before, with the rest of the request as it was",
        ),
        ("search?video_id=gone", "video_id", "the video_id of a video in this index"),
        ("search?text=a", "text", "one of: …"),
        ("search?q=a&q=b", "q", "it once"),
        ("search?q=a&attributes=size", "attributes.0", "one of: video_id, title, …"),
        ("videos?sort=view_count:asc&order=random", "order", "no order beside a sort, or no sort"),
        ("videos?order=random&seed=-1", "seed", "a whole number from 0 to 9,007,199,254,740,991"),
        ("videos?order=any", "order", "random"),
        ("videos?seed=3", "seed", "no seed, or order=random beside it"),
        ("search", "q", "text of at most 2,000 characters"),
        ({}, "text", "text of at most 2,000 characters"),
        *((body, "", "an object with any of: …") for body in ([], None, 3)),
        ({"text": "a", "filter": {"colour": "red"}}, "filter.colour", "one of: channel, …"),
        ({"image": "data:image/png;base64,aGk="}, "image", PICTURE),
        ({"image": "aGVsbG8="}, "image", "a whole JPEG, PNG, WebP, AVIF, GIF or BMP picture"),
        ({"text": "a", "facets": ["title"]}, "facets.0", "one of: channel, …"),
        ({"text": "a", "facets": ["tags", "x"]}, "facets.1", "one of: channel, …"),
        ({"text": "a", "facets": "tags"}, "facets", "a list, each one of: channel, …"),
    ],
)
def test_a_problem_says_what_would_be_right(client, asked, field, words):
    if isinstance(asked, str):
        answer = client.get(f"/api/v1/{asked}")
    else:
        body = json.dumps(asked)  # None, too
        answer = client.post("/api/v1/search", data=body, content_type="application/json")
    [error] = problem(answer, answer.get_json()["code"])["errors"]
    assert error["field"] == field
    if asked in ("search", {}):
        names = "q or video_id" if asked else "text, image or video_id"
        assert error["message"].endswith(f"give {names}")
    assert error["expected"] == words or (
        words.endswith("…") and error["expected"].startswith(words.rstrip("…"))
    )


def test_a_problem_of_a_body_says_what_would_be_right(client):
    answer = client.post("/api/v1/recommendations", json={"liked": [], "limit": 200})
    said = {error["field"]: error["expected"] for error in answer.get_json()["errors"]}
    assert said == {
        "liked": describe_expected(RecommendationsBody, ("liked",)),
        "limit": "a whole number from 1 to 100",
    }


def test_all_seeds_are_named_where_all_are_gone(client):
    liked = {"liked": ["gone", "away"], "disliked": ["beach-1"]}
    said = problem(client.post("/api/v1/recommendations", json=liked), "video_not_found")
    assert [one["field"] for one in said["errors"]] == ["liked.0", "liked.1"]
    assert said["detail"] == "no video 'gone', 'away' in this index"
