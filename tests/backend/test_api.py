from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from typing import get_args
from urllib.parse import quote

import pytest
from flask import Flask

from tests.backend.asking import RECOMMEND, SEARCH, hit_ids, paged_ids, problem
from tests.backend.catalogue import COLOURS, ODD_ID, ODD_TITLE, picture_bytes
from tests.fakes import MemoryReader, WordEncoder
from twinlens.backend.app import create_app
from twinlens.backend.schemas.answers import VideoBody
from twinlens.backend.schemas.fitting import fit
from twinlens.backend.schemas.requests import Attribute
from twinlens.catalog.errors import StoreUnavailable, UnencodableItems
from twinlens.catalog.fields import FIELDS
from twinlens.catalog.sources.values import parse_id
from twinlens.encoders.lenses import THUMBNAIL, own_lenses
from twinlens.search.published import PublishedIndex
from twinlens.stores.base import StoredVideo
from twinlens.stores.generations import DataDir

VideoBody = fit(VideoBody, FIELDS)


# ---- search


def test_an_answer_has_the_shape_of_the_design(client):
    body = client.get(SEARCH, query_string={"q": "kitchen film", "limit": 2}).get_json()
    assert set(body) == {
        "hits", "next_cursor", "window", "took_ms", "timings_ms", "query_id", "generation",
    }  # fmt: skip
    assert body["generation"] == "g1"
    assert body["window"] == 200
    assert [hit["rank"] for hit in body["hits"]] == [1, 2]
    assert set(body["hits"][0]) == {"video", "score", "rank"}
    assert set(body["hits"][0]["video"]) == {
        "video_id", "title", "channel", "category", "language", "tags", "published_at",
        "duration_s", "view_count", "url", "thumbnail_url",
    }  # fmt: skip


def test_explain_says_where_each_ranking_placed_a_hit(client):
    body = client.get(SEARCH, query_string={"q": "kitchen", "explain": "true"}).get_json()
    sources = body["hits"][0]["sources"]
    assert set(sources) == {"title", "words", "thumbnail"}
    assert set(sources["title"]) == {"rank", "score"}
    assert len(body["borrowed_from"]) == 3
    body = client.get(SEARCH, query_string={"q": "kitchen", "explain": "1", "expand": 0}).get_json()
    assert body["hits"][0]["sources"]["thumbnail"] is None
    assert body["borrowed_from"] == []


def test_get_and_post_answer_the_same(client):
    options = {
        "limit": 5,
        "window": 50,
        "rrf_k": 10.5,
        "expand": 1,
        "weights": {"title": 2, "thumbnail": 0.5},
        "filter": {"language": ["si", "ta"], "view_count": {"gte": 200}},
    }
    posted = client.post(SEARCH, json={"text": "film number", **options})
    query = {"q": "film number", **options}
    query |= {name: json.dumps(query[name]) for name in ("weights", "filter")}
    got = client.get(SEARCH, query_string=query)
    form = {**query, "text": query["q"]}
    del form["q"]
    sent = client.post(SEARCH, data=form, content_type="multipart/form-data")
    assert hit_ids(posted) == hit_ids(got) == hit_ids(sent)
    cursors = {answer.get_json()["next_cursor"] for answer in (posted, got, sent)}
    assert len(cursors) == 1


def test_a_picture_may_come_as_a_file_or_as_base64(client, red_picture):
    as_text = base64.b64encode(red_picture).decode()
    by_json = client.post(SEARCH, json={"image": as_text, "limit": 3})
    by_form = client.post(SEARCH, data={"image": (io.BytesIO(red_picture), "x.png"), "limit": "3"})
    assert hit_ids(by_json) == hit_ids(by_form)
    assert hit_ids(by_json)[0] == "kitchen-4"


def test_text_picture_and_video_go_together(client, red_picture):
    answer = client.post(
        SEARCH,
        data={"image": (io.BytesIO(red_picture), "x.png"), "text": "film", "video_id": "beach-1"},
    )
    assert "beach-1" not in hit_ids(answer)


def test_pages_follow_each_other(client):
    first = client.get(SEARCH, query_string={"q": "film", "limit": 20})
    cursor = first.get_json()["next_cursor"]
    second = client.get(SEARCH, query_string={"q": "film", "limit": 20, "cursor": cursor})
    assert second.get_json()["next_cursor"] is None
    assert len(set(hit_ids(first) + hit_ids(second))) == 31


@pytest.mark.parametrize(
    ("filter", "passes"),
    [
        ({"channel": "beach channel"}, lambda one: one["channel"] == "beach channel"),
        ({"language": ["si", "ta"]}, lambda one: one["language"] in ("si", "ta")),
        ({"tags": "n3"}, lambda one: "n3" in one["tags"]),
        ({"view_count": {"gte": 500, "lt": 700}}, lambda one: 500 <= one["view_count"] < 700),
        ({"view_count": 500}, lambda one: one["view_count"] == 500),
        ({"duration_s": {"gt": 300}}, lambda one: one["duration_s"] > 300),
        (
            {"published_at": {"gte": "2023-01-01T02:00:00+02:00"}},
            lambda one: one["published_at"] >= "2023",
        ),
        (
            {"category": "cricket", "language": "en"},
            lambda one: one["category"] == "cricket" and one["language"] == "en",
        ),
    ],
)
def test_a_filter_holds_for_every_hit_and_loses_none(client, filter, passes):
    everything = client.post(SEARCH, json={"text": "film", "limit": 100}).get_json()["hits"]
    answer = client.post(SEARCH, json={"text": "film", "limit": 100, "filter": filter})
    expected = {
        hit["video"]["video_id"]
        for hit in everything
        if hit["video"]["video_id"] != ODD_ID and passes(hit["video"])
    }
    assert set(hit_ids(answer)) == expected
    assert 0 < len(expected) < 31


def test_text_stays_itself(client):
    answer = client.post(SEARCH, json={"text": ODD_TITLE, "expand": 0})
    assert answer.get_json()["hits"][0]["video"]["title"] == ODD_TITLE
    assert ODD_TITLE in answer.text  # not \\u-escaped
    assert answer.content_type == "application/json"


def test_control_characters_in_a_query_are_spaces(client):
    assert hit_ids(client.post(SEARCH, json={"text": "kitchen\x00film\n"})) == hit_ids(
        client.post(SEARCH, json={"text": "kitchen film"})
    )


# ---- what of a hit is answered


def test_attributes_choose_the_fields_of_a_video(client):
    for query, fields in (
        ({"attributes": "title"}, {"video_id", "title"}),
        ({"attributes": "video_id"}, {"video_id"}),
        (
            {"attributes": "thumbnail_url,tags,title", "explain": "true"},
            {"video_id", "thumbnail_url", "tags", "title"},
        ),
    ):
        hits = client.get(SEARCH, query_string={"q": "kitchen", **query}).get_json()["hits"]
        assert {frozenset(hit["video"]) for hit in hits} == {frozenset(fields)}
        assert ("sources" in hits[0]) == ("explain" in query)
    posted = client.post(SEARCH, json={"text": "kitchen", "attributes": []}).get_json()
    assert {frozenset(hit["video"]) for hit in posted["hits"]} == {frozenset(["video_id"])}
    similar = client.get("/api/v1/videos/beach-1/similar?attributes=title,url").get_json()
    assert set(similar["hits"][0]["video"]) == {"video_id", "title", "url"}


def test_the_attributes_are_the_fields_of_a_video():
    [_, one_of] = get_args(Attribute)
    assert list(one_of.names(FIELDS)) == list(VideoBody.model_fields)


def test_a_page_may_be_shown_otherwise_than_the_one_before(client):
    query = {"q": "film", "limit": 5}
    cursor = client.get(SEARCH, query_string=query).get_json()["next_cursor"]
    query |= {"cursor": cursor, "attributes": "title", "highlight": "true", "explain": "true"}
    assert len(hit_ids(client.get(SEARCH, query_string=query))) == 5


def test_highlights_mark_the_title_in_parts(client):
    hits = client.get(SEARCH, query_string={"q": "KITCHN 7", "highlight": "true"}).get_json()[
        "hits"
    ]
    best = next(hit for hit in hits if hit["video"]["video_id"] == "kitchen-7")
    assert best["highlight"] == {
        "title": [
            {"text": "kitchen", "matched": True},
            {"text": " film number ", "matched": False},
            {"text": "7", "matched": True},
        ]
    }
    for hit in hits:
        joined = "".join(part["text"] for part in hit["highlight"]["title"])
        assert joined == hit["video"]["title"]


def test_without_a_text_there_is_nothing_to_highlight(client):
    body = {"video_id": "beach-1", "highlight": True, "limit": 2}
    hits = client.post(SEARCH, json=body).get_json()["hits"]
    assert [hit["highlight"] for hit in hits] == [None, None]
    del body["highlight"]
    assert "highlight" not in client.post(SEARCH, json=body).get_json()["hits"][0]


def test_a_video_without_a_title_is_found_and_has_nothing_to_highlight(catalogue, data):
    pictured = catalogue.stored()[0]
    untitled = StoredVideo(
        "untitled",
        {"video_id": "untitled"},
        {THUMBNAIL: pictured.vectors[THUMBNAIL]},
    )
    index = PublishedIndex(
        data,
        open_reader=lambda manifest: MemoryReader([*catalogue.stored(), untitled]),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    client = create_app(index, thumbnails=data.thumbnails).test_client()
    asked = {"text": "kitchen", "video_id": pictured.video_id, "highlight": True, "limit": 100}
    hits = client.post(SEARCH, json=asked).get_json()["hits"]
    [hit] = [one for one in hits if one["video"]["video_id"] == "untitled"]
    assert (hit["video"]["title"], hit["highlight"]) == (None, None)
    # It can be asked by, for all that has no words: as a seed, and where duplicates are folded.
    similar = client.get("/api/v1/videos/untitled/similar?explain=true").get_json()
    assert similar["hits"][0]["video"]["video_id"] == pictured.video_id
    assert similar["words_coverage"] is None
    found = recommend(client, liked=["untitled"], collapse_duplicates=True)
    assert hit_ids(found)[0] == pictured.video_id


def test_a_text_without_a_word_is_asked_by_meaning_alone(client):
    answer = client.get(SEARCH, query_string={"q": "?!", "explain": "true"}).get_json()
    assert answer["hits"]
    assert answer["words_coverage"] is None
    assert {str(hit["sources"]["words"]) for hit in answer["hits"]} == {"None"}


# ---- recommendations


def recommend(client, **body):
    return client.post(RECOMMEND, json=body)


def test_each_taste_is_met_and_no_seed_is_a_hit(client):
    liked = ["beach-1", "beach-2", "cricket-5"]
    found = hit_ids(recommend(client, liked=liked, limit=10))
    assert not set(found) & set(liked)
    assert {one.split("-")[0] for one in found} == {"beach", "cricket"}


def test_what_is_disliked_falls_and_is_no_hit(client):
    liked, disliked = ["beach-1", "cricket-1"], ["cricket-2", "cricket-3"]
    before = hit_ids(recommend(client, liked=liked, limit=8))
    after = hit_ids(recommend(client, liked=liked, disliked=disliked, limit=8))
    assert not set(after) & {*liked, *disliked}

    def of_cricket(ids):
        return sum(one.startswith("cricket") for one in ids)

    assert of_cricket(after) < of_cricket(before)


def test_recommendations_answer_as_a_search_does(client):
    body = {"liked": ["beach-1"], "limit": 3, "filter": {"language": "si"}, "explain": True}
    answer = recommend(client, **body, attributes=["language"]).get_json()
    searched = client.post(SEARCH, json={"text": "beach", "explain": True}).get_json()
    assert set(answer) == set(searched)
    assert {hit["video"]["language"] for hit in answer["hits"]} == {"si"}
    assert set(answer["hits"][0]) == {"video", "score", "rank", "sources", "because"}
    assert answer["hits"][0]["because"] == ["beach-1"]
    assert 1 in [hit["sources"]["words"]["rank"] for hit in answer["hits"]]


def test_recommendations_are_paged_to_the_end(client):
    body = {"liked": ["beach-1", "cricket-2"], "disliked": ["kitchen-3"], "limit": 7}
    paged = paged_ids(lambda more: recommend(client, **body, **more))
    body["cursor"] = recommend(client, **body).get_json()["next_cursor"]
    whole = recommend(client, liked=body["liked"], disliked=body["disliked"], limit=100)
    assert paged == hit_ids(whole)
    body["liked"] = ["cricket-2", "beach-1", "beach-1"]  # the same history, told otherwise
    assert recommend(client, **body).status_code == 200
    body["liked"] = ["cricket-2"]
    problem(recommend(client, **body), "cursor_invalid")


def test_a_seed_that_is_not_there_is_named(client):
    body = problem(recommend(client, liked=["beach-1", "gone"]), "video_not_found")
    assert "'gone'" in body["detail"]
    body = problem(recommend(client, liked=["beach-1"], disliked=["away"]), "video_not_found")
    assert "'away'" in body["detail"]


# ---- diversity and duplicates


@pytest.fixture(scope="module")
def reuploads(catalogue, data) -> Flask:
    """An app over the catalogue, each video of the kitchen uploaded again, and again with bars."""
    videos = list(catalogue.videos())
    for one in catalogue.videos():
        if one.text("category") == "kitchen":
            videos.append(replace(one, video_id=f"{one.video_id}-again"))
            title = f"{one.title.upper()}!"
            videos.append(replace(one, video_id=f"{one.video_id}-third", title=title))
    index = PublishedIndex(
        data,
        open_reader=lambda manifest: MemoryReader(catalogue.stored(videos)),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    return create_app(index, thumbnails=data.thumbnails)


def test_reuploads_fold_into_the_best_of_them(reuploads):
    client = reuploads.test_client()
    query = {"q": "kitchen film number 3", "limit": 100}
    plain = client.get(SEARCH, query_string=query).get_json()["hits"]
    assert len(plain) == 51
    assert "duplicates" not in plain[0]
    hits = client.get(SEARCH, query_string={**query, "collapse_duplicates": "1"}).get_json()["hits"]
    assert len(hits) == 31
    assert [hit["rank"] for hit in hits] == list(range(1, 32))
    order = [hit["video"]["video_id"] for hit in plain]
    for hit in hits:
        video_id = hit["video"]["video_id"]
        alike = [one for one in order if one[:9] == video_id[:9]] if "kitchen" in video_id else []
        assert [video_id, *hit["duplicates"]] == (alike or [video_id])


@pytest.mark.parametrize("collapse", [False, True])
def test_what_is_asked_by_is_not_answered_by_its_own_reupload(reuploads, collapse):
    client = reuploads.test_client()
    options = {"limit": 100, "collapse_duplicates": collapse}
    for answer in (
        client.get("/api/v1/videos/kitchen-3/similar", query_string=options),
        client.post(SEARCH, json={"video_id": "kitchen-3", **options}),
        recommend(client, liked=["kitchen-3"], disliked=["beach-1"], **options),
    ):
        found = set(hit_ids(answer))
        assert ("kitchen-3-again" not in found) == ("kitchen-3-third" not in found) == collapse
        assert "kitchen-4" in found


def test_diversity_brings_other_kinds_forward(client):
    def kinds(diversity):
        query = {"q": "kitchen film", "limit": 6, "diversity": diversity}
        return {one.split("-")[0] for one in hit_ids(client.get(SEARCH, query_string=query))}

    assert kinds(0) == {"kitchen"}
    assert len(kinds(0.7)) > 1
    plain = hit_ids(client.get(SEARCH, query_string={"q": "kitchen film"}))
    diverse = hit_ids(client.get(SEARCH, query_string={"q": "kitchen film", "diversity": 0.7}))
    assert diverse[0] == plain[0]


@pytest.mark.parametrize(
    "options",
    [
        {"diversity": 0.4},
        {"collapse_duplicates": True},
        {"diversity": 0.9, "collapse_duplicates": True, "window": 12},
    ],
)
@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (SEARCH, {"text": "kitchen film number 7"}),
        (SEARCH, {"video_id": "kitchen-2", "text": "beach"}),
        (RECOMMEND, {"liked": ["kitchen-2", "beach-7"], "disliked": ["cricket-1"]}),
    ],
)
def test_pages_of_any_size_are_the_one_window(reuploads, path, asked, options):
    client = reuploads.test_client()

    def ask(limit):
        body = {**asked, **options, "limit": limit}
        return paged_ids(lambda more: client.post(path, json={**body, **more}))

    whole = ask(100)
    assert len(whole) == len(set(whole))
    assert ask(1) == ask(7) == whole
    body = {**asked, **options, "limit": 2}
    cursor = client.post(path, json=body).get_json()["next_cursor"]
    other = {"diversity": 0.1, "collapse_duplicates": not options.get("collapse_duplicates")}
    problem(client.post(path, json={**body, **other, "cursor": cursor}), "cursor_invalid")


# ---- one video


@pytest.mark.parametrize("video_id", ["beach-3", ODD_ID])
def test_any_id_can_be_asked_for(client, video_id):
    path = f"/api/v1/videos/{quote(video_id, safe='')}"
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.get_json()["video"]["video_id"] == video_id
    assert video_id not in hit_ids(client.get(f"{path}/similar"))


@pytest.mark.parametrize(
    "video_id", ["%", "%2F", "a%2fb", "+", "?", "#", "é", "...", "a b", "similar", "&", ";", "\\"]
)
def test_ids_that_a_path_could_trip_over(catalogue, tmp_path, video_id):
    assert parse_id(video_id) == video_id  # the indexer takes it
    data = DataDir(tmp_path)
    catalogue.publish(data, "g1")
    stored = catalogue.stored()[0]
    videos = [StoredVideo(video_id, {"video_id": video_id, "title": "it"}, stored.vectors)]
    index = PublishedIndex(
        data,
        open_reader=lambda manifest: MemoryReader(videos),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    client = create_app(index, thumbnails=data.thumbnails).test_client()
    answer = client.get(f"/api/v1/videos/{quote(video_id, safe='')}")
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["video"]["video_id"] == video_id


def test_similar_takes_options_and_pages(client):
    path = "/api/v1/videos/kitchen-3/similar"
    query = {"limit": 4, "explain": "true", "filter": '{"language": "en"}'}
    first = client.get(path, query_string=query)
    assert {hit["video"]["language"] for hit in first.get_json()["hits"]} == {"en"}
    cursor = first.get_json()["next_cursor"]
    second = client.get(path, query_string={**query, "cursor": cursor})
    assert not set(hit_ids(first)) & set(hit_ids(second))
    by_post = client.post(SEARCH, json={"video_id": "kitchen-3", "limit": 4,
                                        "filter": {"language": "en"}})  # fmt: skip
    assert hit_ids(by_post) == hit_ids(first)


def test_a_thumbnail_is_served_and_kept_by_the_browser(client):
    video = client.get("/api/v1/videos/kitchen-3").get_json()["video"]
    answer = client.get(video["thumbnail_url"])
    assert answer.data == picture_bytes(COLOURS["kitchen"], shade=3)
    assert answer.content_type == "image/png"
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    again = client.get(video["thumbnail_url"], headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    weak = {"If-None-Match": "W/" + again.headers["ETag"]}
    assert client.get(again.request.path, headers=weak).status_code == 304
    assert again.headers["ETag"] == answer.headers["ETag"]
    other = client.get(video["thumbnail_url"], headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "../CURRENT",
        "/etc/passwd",
        "a" * 64,
        "a" * 64 + ".svg",
        "a" * 64 + ".jpg/../../CURRENT",
        "a" * 64 + ".jpg\n",
        "A" * 64 + ".jpg",
        "a" * 64 + ".jpg",  # fits, and isn't there
        "",
    ],
)
def test_a_thumbnail_name_leads_nowhere_else(catalogue, tmp_path, name):
    data = DataDir(tmp_path)
    catalogue.publish(data, "g1")
    stored = catalogue.stored()[0]
    videos = [StoredVideo("v", {"video_id": "v", "thumbnail_file": name}, stored.vectors)]
    index = PublishedIndex(
        data,
        open_reader=lambda manifest: MemoryReader(videos),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    client = create_app(index, thumbnails=data.thumbnails).test_client()
    problem(client.get("/api/v1/videos/v/thumbnail"), "thumbnail_not_found")


def test_a_video_without_a_thumbnail_has_no_url_and_no_picture(client):
    path = f"/api/v1/videos/{quote(ODD_ID, safe='')}"
    assert client.get(path).get_json()["video"]["thumbnail_url"] is None
    problem(client.get(f"{path}/thumbnail"), "thumbnail_not_found")


# ---- what is said of the index, the process, the page


def test_stats_say_what_is_published_and_not_where_it_came_from(client):
    body = client.get("/api/v1/stats").get_json()
    assert body["generation"] == "g1"
    assert body["counts"] == {"videos": 31, "title": 31, "thumbnail": 30, "words": 31}
    assert body["encoders"]["thumbnail"]["dim"] == 48
    assert "source" not in body


def test_alive_and_ready(client):
    assert client.get("/healthz").get_json() == {"status": "ok"}
    assert client.get("/readyz").get_json() == {"status": "ready", "generation": "g1"}


def test_without_a_generation_alive_but_not_ready(catalogue, tmp_path):
    index = PublishedIndex(
        DataDir(tmp_path),
        open_reader=lambda manifest: pytest.fail("nothing to open"),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    client = create_app(index, thumbnails=tmp_path).test_client()
    assert client.get("/healthz").status_code == 200
    for path in ("/readyz", SEARCH + "?q=a", "/api/v1/stats", "/api/v1/videos/v"):
        answer = client.get(path)
        body = problem(answer, "not_ready")
        assert answer.headers["Retry-After"] == "5"
        assert str(tmp_path) not in body["detail"]


def test_with_a_store_that_went_away_alive_but_not_ready(catalogue, data):
    class Leaving(MemoryReader):
        away = False

        def get(self, video_ids, *, with_vectors=False):
            if self.away:
                raise StoreUnavailable("http://qdrant:6333: the Qdrant server doesn't answer")
            return super().get(video_ids, with_vectors=with_vectors)

    reader = Leaving(catalogue.stored())
    index = PublishedIndex(
        data,
        open_reader=lambda manifest: reader,
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    client = create_app(index, thumbnails=data.thumbnails).test_client()
    assert client.get("/readyz").status_code == 200
    reader.away = True
    answer = client.get("/readyz")
    body = problem(answer, "not_ready")
    assert answer.headers["Retry-After"] == "5"
    assert "qdrant:6333" not in body["detail"]
    assert client.get("/healthz").status_code == 200
    reader.away = False
    assert client.get("/readyz").status_code == 200


def test_the_page_is_served_under_a_policy(client):
    answer = client.get("/", buffered=True)
    assert answer.content_type.startswith("text/html")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("app.js", "style.css", "icon.svg"):
        assert f"/static/{path}" in answer.text
        assert client.get(f"/static/{path}", buffered=True).status_code == 200


def test_a_request_id_is_given_back_if_it_is_one(client):
    answer = client.get("/healthz", headers={"X-Request-Id": "trace-7.A_b"})
    assert answer.headers["X-Request-Id"] == "trace-7.A_b"
    for bad in ("a b", "é", "x" * 129, "<script>"):
        answer = client.get("/nowhere", headers={"X-Request-Id": bad})
        assert len(answer.headers["X-Request-Id"]) == 32
        assert bad not in answer.text


def test_the_request_id_is_the_query_id(client):
    answer = client.get(SEARCH + "?q=a", headers={"X-Request-Id": "mine"})
    assert answer.get_json()["query_id"] == "mine"


# ---- errors


def test_what_has_no_vector_is_said_to_have_none(catalogue, data):
    class Speechless(WordEncoder):
        def encode(self, items):
            raise UnencodableItems([0])

    index = PublishedIndex(
        data,
        open_reader=lambda manifest: MemoryReader([]),
        lenses=own_lenses(
            Speechless(fingerprint=catalogue.titles.fingerprint), catalogue.thumbnails
        ),
    )
    client = create_app(index, thumbnails=data.thumbnails).test_client()
    problem(client.post(SEARCH, json={"text": "x"}), "not_encodable")


def test_a_mistake_of_ours_tells_nothing_of_itself(catalogue, data, caplog):
    class Broken(MemoryReader):
        def get(self, video_ids, *, with_vectors=False):
            raise RuntimeError("secret of the inside")

    index = PublishedIndex(
        data,
        open_reader=lambda manifest: Broken([]),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    client = create_app(index, thumbnails=data.thumbnails).test_client()
    answer = client.get("/api/v1/videos/a")
    body = problem(answer, "internal_error")
    assert "secret" not in answer.text
    assert "secret of the inside" in caplog.text
    assert body["request_id"] in caplog.text


# ---- lists, where there is text only


@pytest.mark.parametrize(
    "query",
    [
        "attributes=title,url",
        "attributes=title,%20url",
        "attributes=title&attributes=url",
        "attributes=title,&attributes=url",
    ],
)
def test_a_list_is_given_with_commas_or_repeated(client, query):
    wanted = {"video_id", "title", "url"}
    if ",&" in query:
        problem(client.get(f"{SEARCH}?q=film&{query}"), "validation_failed")
        return
    [hit] = client.get(f"{SEARCH}?q=film&limit=1&{query}").get_json()["hits"]
    assert set(hit["video"]) == wanted
    form = {"text": "film", "limit": "1", "attributes": ["title", "url"]}
    [hit] = client.post(SEARCH, data=form, content_type="multipart/form-data").get_json()["hits"]
    assert set(hit["video"]) == wanted


def test_facets_are_given_with_spaces_too(client):
    answer = client.get(f"{SEARCH}?q=film&facets=category,+tags")
    assert set(answer.get_json()["facets"]) == {"category", "tags"}


def test_an_empty_list_is_given_as_nothing(client):
    [hit] = client.get(f"{SEARCH}?q=film&limit=1&attributes=").get_json()["hits"]
    assert set(hit["video"]) == {"video_id"}
