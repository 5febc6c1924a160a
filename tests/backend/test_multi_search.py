"""Several searches in one request: apart, each as if alone; or fused into one ranking."""

from __future__ import annotations

import base64

import pytest

from tests.backend.asking import MULTI, PAGE_FIELDS, SEARCH, body_of, paged_ids, problem, shown_ids
from tests.backend.catalogue import ODD_ID, RED


def ask(client, *searches, **options):
    return client.post(MULTI, json={"searches": list(searches), **options})


# ---- apart


def test_apart_each_is_answered_as_if_alone(client):
    image = base64.b64encode(RED).decode()
    searches = [
        {"text": "kitchen film", "limit": 3, "explain": True},
        {"image": image, "limit": 2, "attributes": ["title"]},
        {"video_id": "beach-1", "filter": {"language": "si"}, "diversity": 0.5},
        {"text": "cricket", "highlight": True, "collapse_duplicates": True, "limit": 1},
    ]
    body = body_of(ask(client, *searches))
    assert set(body) == {"results", "took_ms", "timings_ms", "query_id", "generation"}
    for search, result in zip(searches, body["results"], strict=True):
        alone = body_of(client.post(SEARCH, json=search))
        for timing in ("took_ms", "timings_ms", "query_id"):
            result.pop(timing)
            alone.pop(timing)
        assert result == alone


def test_one_that_fails_leaves_the_others_their_answers(client):
    cursor = body_of(client.post(SEARCH, json={"text": "beach", "limit": 2}))["next_cursor"]
    results = body_of(
        ask(
            client,
            {"text": "beach", "limit": 2},
            {"video_id": "gone"},
            {"image": base64.b64encode(b"no picture").decode()},
            {"text": "kitchen", "limit": 2, "cursor": cursor},
            {"text": "beach", "limit": 2, "cursor": cursor},
        )
    )["results"]
    codes = [None, "video_not_found", "picture_rejected", "cursor_invalid", None]
    assert [one.get("problem", {}).get("code") for one in results] == codes
    alone = client.get("/api/v1/videos/gone/similar").get_json()
    assert set(results[1]["problem"]) == set(alone)
    assert results[1]["problem"]["detail"] == alone["detail"]
    assert results[2]["problem"]["errors"][0]["field"] == "image"
    assert not set(shown_ids(results[0])) & set(shown_ids(results[4]))


# ---- fused


def test_fused_they_are_one_ranking(client):
    body = body_of(ask(client, {"text": "beach"}, {"text": "cricket"}, fuse=True, limit=4))
    assert set(body) == {*PAGE_FIELDS, "hits", "match_floor"}
    assert {one.split("-")[0] for one in shown_ids(body)} == {"beach", "cricket"}
    assert set(body["hits"][0]) == {"video", "score", "rank", "match", "found_by"}
    for hit in body["hits"]:
        best = hit["found_by"][0]
        alone = body_of(
            client.post(SEARCH, json={"text": ["beach", "cricket"][best["search"]], "limit": 100})
        )
        assert shown_ids(alone)[best["rank"] - 1] == hit["video"]["video_id"]


def test_a_weight_moves_the_balance(client):
    def kinds(weight):
        searches = {"text": "beach"}, {"text": "cricket", "weight": weight}
        return [
            one.split("-")[0] for one in shown_ids(body_of(ask(client, *searches, fuse=True)))[:8]
        ]

    assert kinds(0.01).count("beach") == 8
    assert kinds(100).count("cricket") == 8
    assert set(kinds(0)) == {"beach"}


def test_a_fused_page_is_shown_as_it_was_asked_for(client):
    searches = {"text": "kitchn"}, {"text": "cricket"}
    options = {"explain": True, "attributes": ["title"], "highlight": True, "limit": 30}
    hits = body_of(ask(client, *searches, fuse=True, **options))["hits"]
    words = ("kitchen", "cricket")
    for hit in hits:
        assert set(hit["video"]) == {"video_id", "title"}
        assert "sources" in hit
        word = words[hit["found_by"][0]["search"]]
        marked = [part["text"] for part in hit["highlight"]["title"] if part["matched"]]
        # ක්‍රිකට් is cricket, by its sound.
        expected = [word] if word in hit["video"]["title"] else []
        assert marked == (["ක්\u200dරිකට්"] if hit["video"]["video_id"] == ODD_ID else expected)
    assert {hit["found_by"][0]["search"] for hit in hits} == {0, 1}


def test_fused_pages_are_of_the_largest_window_and_a_cursor_belongs_to_all_searches(client):
    searches = {"text": "beach", "window": 8}, {"video_id": "cricket-3", "window": 12}
    whole = body_of(ask(client, *searches, fuse=True, limit=100))
    assert whole["window"] == 12
    paged = paged_ids(lambda more: ask(client, *searches, fuse=True, limit=4, **more))
    assert paged == shown_ids(whole)
    other = body_of(ask(client, *searches[:1], fuse=True, limit=4))["next_cursor"]
    problem(ask(client, *searches, fuse=True, limit=4, cursor=other), "cursor_invalid")


def test_a_fused_search_that_fails_is_named(client):
    bad = base64.b64encode(b"no picture").decode()
    body = problem(ask(client, {"text": "a"}, {"video_id": "gone"}, fuse=True), "video_not_found")
    assert body["detail"].startswith("searches.1: ")
    assert "'gone'" in body["detail"]
    body = problem(ask(client, {"image": bad}, {"text": "a"}, fuse=True), "picture_rejected")
    assert body["errors"][0]["field"] == "searches.0.image"


# ---- how much there may be


@pytest.mark.parametrize("fuse", [False, True])
def test_windows_and_texts_have_a_limit_together(client, fuse):
    most = [{"text": "beach", "window": 1000}] * 4
    body_of(ask(client, *most, fuse=fuse))
    body_of(ask(client, *[{"text": "beach" + " film" * 39}] * 20, fuse=fuse))
    for many in (
        [*most, {"text": "beach", "window": 1}],
        [{"text": f"{number}" + " film" * 399} for number in range(3)],
        [{"text": "beach" + " film" * 399}] * 20,  # too long for the cache, each is encoded
    ):
        body = problem(ask(client, *many, fuse=fuse), "validation_failed")
        assert body["errors"][0]["field"] == "searches"
        assert "together more than 4,000" in body["errors"][0]["message"]
        assert "fewer searches" in body["errors"][0]["expected"]


def test_a_text_is_as_long_as_it_is_written_out(client):
    body_of(client.post(SEARCH, json={"text": "\ufdfa" * 200}))  # eighteen letters each
    body = problem(client.post(SEARCH, json={"text": "\ufdfa" * 300}), "validation_failed")
    assert body["errors"][0]["field"] == "text"
    assert "4,000 characters once" in body["errors"][0]["message"]


def test_no_search_is_begun_after_so_much_work(client, monkeypatch):
    monkeypatch.setattr("twinlens.backend.api.MOST_WORK_S", -1.0)
    problem(ask(client, {"text": "beach"}, fuse=True), "overloaded")
    [result] = body_of(ask(client, {"text": "beach"}))["results"]
    assert result["problem"]["code"] == "overloaded"
