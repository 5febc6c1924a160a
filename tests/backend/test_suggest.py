"""The route that suggests: what it answers, what it refuses, and where there is nothing."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.backend.asking import body_of, problem
from tests.backend.catalogue import ODD_ID, Catalogue
from twinlens.stores.generations import SUGGESTIONS_FILE, DataDir

SUGGEST = "/api/v1/suggest"


def ask(client, q, **more):
    return client.get(SUGGEST, query_string={"q": q, **more})


def test_titles_channels_and_tags(client):
    body = body_of(ask(client, "kitch", limit=4))
    assert body.keys() == {"suggestions", "did_you_mean", "took_ms", "query_id", "generation"}
    channel, tag, *titles = body["suggestions"]
    assert channel == {
        "kind": "channel",
        "text": "kitchen channel",
        "video_id": None,
        "thumbnail_url": None,
        "videos": 10,
    }
    assert (tag["kind"], tag["text"], tag["videos"]) == ("tag", "kitchen", 10)
    # The most viewed ones.
    assert [one["text"] for one in titles] == ["kitchen film number 9", "kitchen film number 8"]
    picture = client.get(titles[0]["thumbnail_url"])
    assert picture.content_type == "image/png"


def test_an_odd_title_leads_to_its_video(client):
    [one] = body_of(ask(client, "<b>odd"))["suggestions"]
    assert (one["video_id"], one["thumbnail_url"]) == (ODD_ID, None)
    assert client.get(f"/api/v1/videos/{quote(one['video_id'], safe='')}").status_code == 200


def test_did_you_mean(client):
    body = body_of(ask(client, "kitchne film"))
    assert body["did_you_mean"] == "kitchen film"
    assert body["suggestions"][0]["text"].startswith("kitchen film")
    assert body_of(ask(client, "kitchen film"))["did_you_mean"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("?limit=3", "q"),
        ("?q=a&q=b", "q"),
        ("?q=a%00b", "q"),
        ("?q=a%0Ab", "q"),
        (f"?q={'a' * 201}", "q"),
        ("?q=a&limit=0", "limit"),
        ("?q=a&limit=21", "limit"),
        ("?q=a&limit=x", "limit"),
        ("?text=a&q=a", "text"),
    ],
)
def test_what_is_refused(client, query, field):
    body = problem(client.get(SUGGEST + query), "validation_failed")
    assert [one["field"] for one in body["errors"]] == [field]


def test_nothing_typed_is_no_error(client):
    for typed in ("", " ", "?!", "\u200d", "a" * 200, "්" * 200, "x " * 100):
        assert body_of(ask(client, typed))["suggestions"] == []


def test_it_takes_no_turn(client_of, embedded):
    busy = client_of(data=embedded, searches_at_a_time=1, max_wait_s=0.0)
    hold = busy.application.before_request_funcs[None][-1]
    with busy.application.test_request_context("/api/v1/search?q=a"):
        hold()  # and keeps the only turn
        assert busy.get("/api/v1/search?q=a").status_code == 503
        assert ask(busy, "kitchen").status_code == 200


def test_it_counts_as_a_request(client_of, embedded):
    few = client_of(data=embedded, rate_limit=2)
    assert [ask(few, "a").status_code for _ in "123"] == [200, 200, 429]


@pytest.mark.parametrize("damaged", [True, False])
def test_an_index_without_suggestions_says_so(client_of, tmp_path, caplog, damaged):
    data = DataDir(tmp_path)
    Catalogue().publish(data, "g1")
    file = data.locate_generation("g1") / SUGGESTIONS_FILE
    if damaged:
        file.write_bytes(b"\0" * 8)
    else:
        file.unlink()
    client = client_of(data=data)
    problem(ask(client, "kitchen"), "no_suggestions")
    assert client.get("/api/v1/search?q=kitchen").status_code == 200
    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    expected = "nothing is suggested: " if damaged else "published without suggestions"
    assert len(said) == 1
    assert expected in said[0]
