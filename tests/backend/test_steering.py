"""Steering over HTTP: by a request, by its text, by the operator's rules and boosts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.backend.asking import (
    MULTI,
    RECOMMEND,
    SEARCH,
    body_of,
    every_page,
    hit_ids,
    paged_ids,
    problem,
    shown_ids,
)
from twinlens.search.rules import Guidance, RulesFile
from twinlens.search.steering import Boost

QUOTED = '"film number" -beach'
SIMILAR = "/api/v1/videos/beach-1/similar"
BOOST = [{"field": "view_count", "weight": 10}]
STEERED = {
    "exclude": ["beach-2", "kitchen-3"],
    "boost": BOOST,
    "sort": "view_count:desc",
    "max_per_channel": 4,
}


def as_text(fields: dict) -> dict:
    return {
        name: json.dumps(value)
        if name == "boost"
        else ",".join(value)
        if isinstance(value, list)
        else value
        for name, value in fields.items()
    }


def untimed(answer) -> dict:
    body = body_of(answer)
    return {name: body[name] for name in ("hits", "next_cursor")}


# ---- by a request


def test_every_form_of_a_request_steers_alike(client):
    by_json = client.post(SEARCH, json={"text": QUOTED, "explain": True, **STEERED})
    given = {"explain": "true", **as_text(STEERED)}
    by_get = client.get(SEARCH, query_string={"q": QUOTED, **given})
    by_form = client.post(
        SEARCH, data={"text": QUOTED, **given}, content_type="multipart/form-data"
    )
    assert untimed(by_json) == untimed(by_get) == untimed(by_form)
    alone = client.post(MULTI, json={"searches": [{"text": QUOTED, **STEERED}]})
    [apart] = body_of(alone)["results"]
    found = hit_ids(by_json)
    assert shown_ids(apart) == found
    assert set(found[:2]) == {"cricket-9", "kitchen-9"}
    assert not any(one.startswith("beach") or one == "kitchen-3" for one in found)
    hit = body_of(by_json)["hits"][0]
    assert hit["boosts"] == [{"field": "view_count", "share": pytest.approx(10)}]
    assert hit["pinned"] is False


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_it_holds_over_all_pages_of_every_route(client, limit):
    fused = {"searches": [{"text": "film"}, {"video_id": "cricket-1"}], "fuse": True}

    def post(path, **fields):
        return lambda more: client.post(path, json={**fields, **STEERED, "limit": limit, **more})

    ways = [
        post(SEARCH, text="film"),
        post(MULTI, **fused),
        post(RECOMMEND, liked=["beach-1"], disliked=["cricket-1"]),
        lambda more: client.get(SIMILAR, query_string={**as_text(STEERED), "limit": limit, **more}),
    ]
    for ask in ways:
        pages = every_page(ask)
        assert all(len(hit_ids(page)) == limit for page in pages[:-1])
        hits = [hit for page in pages for hit in body_of(page)["hits"]]
        found = [hit["video"]["video_id"] for hit in hits]
        assert len(found) == len(set(found)) > 5
        assert not {"beach-2", "kitchen-3"} & set(found)
        channels = [hit["video"]["channel_id"] for hit in hits]
        assert max(channels.count(one) for one in {*channels} - {None}) <= 4
        views = [hit["video"]["view_count"] for hit in hits]
        known = [one for one in views if one is not None]
        assert views == sorted(known, reverse=True) + [None] * (len(views) - len(known))


def test_a_boost_of_nothing_leaves_out_the_operators(client_of, embedded):
    boosts = (Boost(field="view_count", weight=10), Boost(field="no_such_field"))
    client = client_of(data=embedded, guidance=Guidance(None, boosts))
    plain = client_of(data=embedded)
    by_default = hit_ids(client.post(SEARCH, json={"text": "beach film"}))
    assert by_default == hit_ids(plain.post(SEARCH, json={"text": "beach film", "boost": BOOST}))
    unsteered = hit_ids(plain.post(SEARCH, json={"text": "beach film"}))
    assert by_default != unsteered
    assert hit_ids(client.post(SEARCH, json={"text": "beach film", "boost": []})) == unsteered
    assert hit_ids(client.get(SEARCH + "?q=beach+film&boost=")) == unsteered
    tags = {one.get(SEARCH + "?q=beach").headers["ETag"] for one in (client, plain)}
    assert len(tags) == 2


HALF_LIFE = {"field": "published_at", "half_life_days": 3}


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"boost": [{"field": "viewcount"}]}, "boost.0.field", "one of: channel, "),
        ({"boost": [{"field": "title"}]}, "boost.0.field", "one of: channel, "),
        ({"boost": [{}]}, "boost.0.field", "one of: channel, "),
        (
            {"boost": [HALF_LIFE, HALF_LIFE | {"half_life_days": 0}]},
            "boost.1.half_life_days",
            "0.01 to 36,500",
        ),
        ({"boost": [{"field": "published_at"}]}, "boost.0.half_life_days", "0.01 to 36,500"),
        ({"boost": [HALF_LIFE | {"value": "x"}]}, "boost.0.value", "text of 1 to 1,000"),
        ({"boost": [{"field": "channel"}]}, "boost.0.value", "text of 1 to 1,000"),
        ({"boost": [{"field": "view_count", "weight": -1}]}, "boost.0.weight", "from 0 to 10"),
        ({"boost": [{"field": "view_count", "wait": 1}]}, "boost.0.wait", "one of: field, weight"),
        ({"boost": [HALF_LIFE] * 11}, "boost", "a list of at most 10"),
        ({"boost": {"field": "view_count"}}, "boost", "a list of at most 10"),
        ({"sort": "title:asc"}, "sort", "one of: published_at:desc"),
        ({"sort": "view_count:asc", "diversity": 0.1}, "sort", "no sort beside a diversity"),
        ({"exclude": ["v"] * 1001}, "exclude", "a list of at most 1,000"),
        ({"exclude": [""]}, "exclude.0", "text of 1 to 256"),
        ({"max_per_channel": 0}, "max_per_channel", "from 1 to 1,000"),
        ({"text": "-a"}, "text", "a word to look for beside them"),
        ({"text": "a -" + " -".join("bcdefghijkl")}, "text", "fewer of them"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_its_place(client, given, field, said):
    body = problem(client.post(SEARCH, json={"text": "a", **given}), "validation_failed")
    assert [one["field"] for one in body["errors"]] == [field]
    assert said in body["errors"][0]["expected"]
    if "text" not in given:
        several = client.post(MULTI, json={"searches": [{"text": "b"}, {"text": "a", **given}]})
        place = problem(several, "validation_failed")["errors"][0]["field"]
        assert place == f"searches.1.{field}"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("boost=view_count", "boost"),
        ("boost=[", "boost"),
        ("boost=3", "boost"),
        ("boost=[{}]", "boost.0.field"),
        ("exclude=" + ",".join(["v"] * 1001), "exclude"),
        ("max_per_channel=all", "max_per_channel"),
    ],
)
def test_so_it_is_in_a_query_string(client, query, field):
    for path in (SEARCH + "?q=a&", SIMILAR + "?"):
        body = problem(client.get(path + query), "validation_failed")
        assert body["errors"][0]["field"] == field
    assert problem(client.get(SEARCH + "?q=-a"), "validation_failed")["errors"][0]["field"] == "q"


def test_of_fused_searches_steering_stands_beside_them(client):
    inside = {"searches": [{"text": "a", **STEERED}], "fuse": True}
    body = problem(client.post(MULTI, json=inside), "validation_failed")
    assert {one["field"] for one in body["errors"]} == {f"searches.0.{one}" for one in STEERED}
    beside = {"searches": [{"text": "a"}], **STEERED}
    body = problem(client.post(MULTI, json=beside), "validation_failed")
    assert {one["field"] for one in body["errors"]} == set(STEERED)


def test_a_thousand_videos_can_be_left_out(client):
    many = [f"beach-{number}" for number in range(1000)]
    body = {"text": "film", "exclude": many}
    found = paged_ids(lambda more: client.post(SEARCH, json=body | more))
    assert len(found) == 21


def test_odd_texts_are_searched_as_they_stand(client):
    for text in ('beach "film', '27" monitor', "- beach", 'beach ""'):
        assert hit_ids(client.get(SEARCH, query_string={"q": text}))
    marked = client.post(SEARCH, json={"text": '"beach film" -kitchen', "highlight": True})
    parts = body_of(marked)["hits"][0]["highlight"]["title"]
    assert [part["text"] for part in parts if part["matched"]] == ["beach", "film"]


# ---- by rules

RULES = """
[[synonyms]]
word = "shore"
means = ["beach"]

[[queries]]
query = "film"
pin = ["kitchen-5", "gone", "cricket-2"]
hide = ["beach-1", "beach-4"]
until = {until}
"""
NOW = datetime(2026, 12, 1, tzinfo=UTC)


class Steered:
    """A client, its rules, and its clock."""

    def __init__(self, client_of, embedded, folder) -> None:
        self.file, self.now = folder / "rules.toml", NOW
        self.client = client_of(
            data=embedded, guidance=Guidance(RulesFile(self.file), (), lambda: self.now)
        )

    def write(self, text: str = RULES, until: datetime = NOW + timedelta(days=1)) -> None:
        self.file.unlink(missing_ok=True)
        self.file.write_text(text.replace("{until}", until.isoformat()), "utf-8")


@pytest.fixture
def steered(client_of, embedded, tmp_path) -> Steered:
    return Steered(client_of, embedded, tmp_path)


def test_rules_pin_and_hide_on_every_page_of_every_form(steered):
    steered.write()
    client = steered.client
    fused = {"searches": [{"text": "film"}, {"text": "beach"}], "fuse": True, "limit": 4}
    ways = [
        lambda more: client.get(SEARCH, query_string={"q": "Film!", "limit": 4, **more}),
        lambda more: client.post(SEARCH, json={"text": "film", "limit": 4, **more}),
        lambda more: client.post(MULTI, json=fused | more),
    ]
    for ask in ways:
        found = paged_ids(ask)
        assert found[:2] == ["kitchen-5", "cricket-2"]
        assert len(found) == len(set(found)) == 29
        assert not {"beach-1", "beach-4", "gone"} & set(found)
    [apart] = body_of(client.post(MULTI, json={"searches": [{"text": "film"}]}))["results"]
    assert shown_ids(apart)[:2] == ["kitchen-5", "cricket-2"]
    told = body_of(client.get(SEARCH + "?q=film&explain=true"))["hits"]
    assert [hit["pinned"] for hit in told[:3]] == [True, True, False]


def test_a_synonym_is_asked_too_marked_and_told(steered):
    steered.write()
    body = {"text": "shore number 3", "explain": True, "highlight": True, "limit": 1, "expand": 0}
    answer = body_of(steered.client.post(SEARCH, json=body))
    assert answer["also_asked"] == ["beach number 3"]
    assert shown_ids(answer) == ["beach-3"]
    parts = answer["hits"][0]["highlight"]["title"]
    assert "beach" in [part["text"] for part in parts if part["matched"]]


def test_an_answer_and_a_cursor_are_good_as_long_as_the_rules_are(steered):
    client = steered.client
    before = client.get(SEARCH + "?q=film&limit=3")
    tag = before.headers["ETag"]

    def ask_again(query="film", **more):
        return client.get(
            SEARCH, query_string={"q": query, "limit": 3, **more}, headers={"If-None-Match": tag}
        )

    assert ask_again().status_code == 304
    cursor = body_of(before)["next_cursor"]
    beach = body_of(client.get(SEARCH + "?q=beach&limit=3"))["next_cursor"]
    steered.write()
    tag = ask_again().headers["ETag"]
    assert ask_again().status_code == 304
    problem(ask_again(cursor=cursor), "cursor_expired")
    assert hit_ids(ask_again("beach", cursor=beach))  # which the rules are not about
    cursor = body_of(client.get(SEARCH + "?q=film&limit=3"))["next_cursor"]
    steered.now += timedelta(days=1)
    assert hit_ids(ask_again())[0] != "kitchen-5"
    problem(ask_again(cursor=cursor), "cursor_expired")


def test_damaged_rules_are_told_and_the_last_good_ones_stay(steered):
    steered.write()
    client = steered.client
    assert "rules" not in body_of(client.get("/readyz"))
    steered.write("[[queries]]\nquery = 3\n")
    said = body_of(client.get("/readyz"))
    assert said["status"] == "ready"
    assert said["rules"].startswith("rules.toml: queries 1 query: Input should be a valid list")
    assert str(steered.file.parent) not in said["rules"]
    assert hit_ids(client.get(SEARCH + "?q=film"))[0] == "kitchen-5"
    steered.write("")
    assert "rules" not in body_of(client.get("/readyz"))
    assert hit_ids(client.get(SEARCH + "?q=film"))[0] != "kitchen-5"
