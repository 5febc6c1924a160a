from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import get_args
from unittest.mock import Mock
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backend.asking import (
    LOOKUP,
    MULTI,
    PAGE_FIELDS,
    RECOMMEND,
    SEARCH,
    body_of,
    hit_ids,
    paged_ids,
    problem,
)
from tests.backend.catalogue import COLOURS, ODD_ID, ODD_TITLE, RED, Catalogue, picture_bytes
from tests.backend.served import publish_embedded
from tests.fakes import MemoryReader, WordEncoder
from twinlens.backend.schemas.answers import VideoBody
from twinlens.backend.schemas.fitting import fit
from twinlens.backend.schemas.requests import Attribute
from twinlens.catalog.errors import StoreUnavailable, UnencodableItems
from twinlens.catalog.fields import FIELDS
from twinlens.catalog.sources.values import parse_id
from twinlens.catalog.video import Video
from twinlens.encoders.lenses import THUMBNAIL
from twinlens.stores.base import StoredVideo
from twinlens.stores.generations import DataDir

VideoBody = fit(VideoBody, FIELDS)


# ---- search


def test_an_answer_has_the_shape_of_the_design(client):
    body = client.get(SEARCH, query_string={"q": "kitchen film", "limit": 2}).get_json()
    assert set(body) == {*PAGE_FIELDS, "hits", "match_floor"}
    assert body["generation"] == "g1"
    assert body["window"] == 200
    assert [hit["rank"] for hit in body["hits"]] == [1, 2]
    assert set(body["hits"][0]) == {"video", "score", "rank", "match"}
    assert set(body["hits"][0]["video"]) == {"video_id", *FIELDS.names, "thumbnail_url"}


def test_explain_says_where_each_ranking_placed_a_hit(client):
    body = client.get(SEARCH, query_string={"q": "kitchen", "explain": "true"}).get_json()
    sources = body["hits"][0]["sources"]
    assert set(sources) == {"title", "words", "thumbnail"}
    assert set(sources["title"]) == {"rank", "score"}
    assert len(body["borrowed_from"]) == 3
    body = client.get(SEARCH, query_string={"q": "kitchen", "explain": "1", "expand": 0}).get_json()
    assert body["hits"][0]["sources"]["thumbnail"] is None
    assert body["borrowed_from"] == []
    # A text without a word is asked by meaning alone.
    body = client.get(SEARCH, query_string={"q": "?!", "explain": "true"}).get_json()
    assert body["words_coverage"] is None
    assert {str(hit["sources"]["words"]) for hit in body["hits"]} == {"None"}


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


def test_a_picture_may_come_as_a_file_or_as_base64(client):
    def form(**fields):
        return client.post(SEARCH, data={"image": (io.BytesIO(RED), "x.png"), **fields})

    as_text = base64.b64encode(RED).decode()
    by_json = client.post(SEARCH, json={"image": as_text, "limit": 3})
    assert hit_ids(by_json) == hit_ids(form(limit="3"))
    assert hit_ids(by_json)[0] == "kitchen-4"
    # A text and a video may come with it.
    assert "beach-1" not in hit_ids(form(text="film", video_id="beach-1"))


def test_text_stays_itself_but_for_control_characters_in_a_query(client):
    answer = client.post(SEARCH, json={"text": ODD_TITLE, "expand": 0})
    assert answer.get_json()["hits"][0]["video"]["title"] == ODD_TITLE
    assert ODD_TITLE in answer.text  # not \\u-escaped
    assert answer.content_type == "application/json"
    found = [client.post(SEARCH, json={"text": f"kitchen{one}"}) for one in ("\0film\n", " film")]
    assert hit_ids(found[0]) == hit_ids(found[1])


# ---- what of a hit is answered


FORM = {"content_type": "multipart/form-data"}


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ("attributes=title", {"title"}),
        ("attributes=video_id", set()),
        ("attributes=thumbnail_url,tags,title&explain=true", {"thumbnail_url", "tags", "title"}),
        ("attributes=title,url", {"title", "url"}),
        ("attributes=title,%20url", {"title", "url"}),
        ("attributes=title&attributes=url", {"title", "url"}),
        ("attributes=", set()),
        ({"json": {"text": "film", "attributes": []}}, set()),
        ({"data": {"text": "film", "attributes": ["title", "url"]}, **FORM}, {"title", "url"}),
    ],
)
def test_attributes_choose_the_fields_of_a_video(client, asked, fields):
    if isinstance(asked, dict):
        answers = [client.post(SEARCH, **asked)]
    else:
        paths = (f"{SEARCH}?q=kitchen&", "/api/v1/videos/beach-1/similar?")
        answers = [client.get(path + asked) for path in paths]
    for answer in answers:
        hits = body_of(answer)["hits"]
        assert {frozenset(hit["video"]) for hit in hits} == {frozenset({"video_id", *fields})}
        assert ("sources" in hits[0]) == ("explain" in asked)


def test_the_attributes_are_the_fields_of_a_video():
    [_, one_of] = get_args(Attribute)
    assert list(one_of.names(FIELDS)) == list(VideoBody.model_fields)


def test_a_page_may_be_shown_otherwise_than_the_one_before(client):
    query = {"q": "film", "limit": 5}
    cursor = client.get(SEARCH, query_string=query).get_json()["next_cursor"]
    query |= {"cursor": cursor, "attributes": "title", "highlight": "true", "explain": "true"}
    assert len(hit_ids(client.get(SEARCH, query_string=query))) == 5


def test_highlights_mark_the_title_in_parts(client):
    hits = client.get(SEARCH + "?q=KITCHN+7&highlight=true").get_json()["hits"]
    [best] = [hit for hit in hits if hit["video"]["video_id"] == "kitchen-7"]
    parts = [("kitchen", True), (" film number ", False), ("7", True)]
    assert best["highlight"]["title"] == [{"text": one, "matched": is_} for one, is_ in parts]
    kitchen = {"text": "kitchen", "matched": True}
    assert best["highlight"]["labels"] == [
        {"field": "channel", "parts": [kitchen, {"text": " channel", "matched": False}]},
        {"field": "tags", "parts": [kitchen]},
        {"field": "category", "parts": [kitchen]},
    ]
    for hit in hits:
        joined = "".join(part["text"] for part in hit["highlight"]["title"])
        assert joined == hit["video"]["title"]
    # Without a text there is nothing to highlight.
    hits = client.get(SEARCH + "?video_id=beach-1&highlight=true&limit=2").get_json()["hits"]
    assert [hit["highlight"] for hit in hits] == [None, None]
    hits = client.get(SEARCH + "?video_id=beach-1").get_json()["hits"]
    assert "highlight" not in hits[0]


def test_channels_that_the_text_names_are_told_with_the_first_page(client):
    answer = client.get(SEARCH + "?q=Kitchenchannel&limit=3").get_json()
    assert answer["channels"] == [{"name": "kitchen channel", "videos": 10}]
    following = f"?q=Kitchenchannel&limit=3&cursor={answer['next_cursor']}"
    assert "channels" not in client.get(SEARCH + following).get_json()
    assert "channels" not in client.get(SEARCH + "?q=kitchen").get_json()


def test_a_video_without_a_title_is_found_and_has_nothing_to_highlight(stored, client_of):
    pictured = stored[0]
    picture = {THUMBNAIL: pictured.vectors[THUMBNAIL]}
    untitled = StoredVideo("untitled", {"video_id": "untitled"}, picture)
    client = client_of(reader=MemoryReader([*stored, untitled]))
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


# ---- several videos


def test_several_videos_come_in_the_order_of_their_ids_and_the_gone_are_named(client):
    asked = ["kitchen-2", "gone", ODD_ID, "kitchen-2", "beach-1", "away"]
    found = client.post(LOOKUP, json={"video_ids": asked})
    body = body_of(found)
    assert set(body) == {"videos", "missing", "generation"}
    assert [one["video_id"] for one in body["videos"]] == ["kitchen-2", ODD_ID, "beach-1"]
    assert body["missing"] == ["gone", "away"]
    assert "ETag" not in found.headers
    assert body["videos"][2] == client.get("/api/v1/videos/beach-1").get_json()["video"]
    few = client.post(LOOKUP, json={"video_ids": asked, "attributes": ["title"]}).get_json()
    assert all(set(one) == {"video_id", "title"} for one in few["videos"])
    none = client.post(LOOKUP, json={"video_ids": ["gone"]}).get_json()
    assert (none["videos"], none["missing"]) == ([], ["gone"])


# ---- recommendations


def recommend(client, **body):
    return client.post(RECOMMEND, json=body)


def test_each_taste_is_met_and_what_is_disliked_falls_and_no_seed_is_a_hit(client):
    liked, disliked = ["beach-1", "cricket-1"], ["cricket-2", "cricket-3"]
    # Not by their words: kitchen-1 has a number in common with both.
    options = {"liked": liked, "weights": {"words": 0}, "limit": 8}
    before = hit_ids(recommend(client, **options))
    assert not set(before) & set(liked)
    assert {one.split("-")[0] for one in before} == {"beach", "cricket"}
    after = hit_ids(recommend(client, **options, disliked=disliked))
    assert not set(after) & {*liked, *disliked}
    of_cricket = [sum(one.startswith("cricket") for one in found) for found in (before, after)]
    assert of_cricket[1] < of_cricket[0]


def test_recommendations_answer_as_a_search_does(client):
    body = {"liked": ["beach-1"], "limit": 3, "filter": {"language": "si"}, "explain": True}
    answer = recommend(client, **body, attributes=["language"]).get_json()
    searched = client.post(SEARCH, json={"text": "beach", "explain": True}).get_json()
    assert set(answer) == set(searched) - {"match_floor"}
    assert {hit["video"]["language"] for hit in answer["hits"]} == {"si"}
    assert set(answer["hits"][0]) == {
        *("video", "score", "rank", "sources", "because", "pinned", "boosts")
    }
    assert answer["hits"][0]["because"] == ["beach-1"]
    assert 1 in [hit["sources"]["words"]["rank"] for hit in answer["hits"]]


def test_seeds_that_are_gone_are_named_and_left_out(client):
    body = {"liked": ["gone", "beach-1", "away", "gone"], "disliked": ["lost"], "limit": 5}
    found = recommend(client, **body).get_json()
    assert found["missing"] == ["gone", "away", "lost"]
    assert found["hits"] == recommend(client, liked=["beach-1"], limit=5).get_json()["hits"]
    again = recommend(client, **body, cursor=found["next_cursor"]).get_json()
    assert again["missing"] == found["missing"]


@pytest.mark.parametrize("path", [f"{SEARCH}?q=film&limit=2", "/api/v1/videos?limit=2"])
def test_an_empty_cursor_is_the_first_page(client, path):
    empty, none = (client.get(f"{path}{more}").get_json() for more in ("&cursor=", ""))
    listed = "hits" if "hits" in none else "videos"
    assert (empty[listed], empty["next_cursor"]) == (none[listed], none["next_cursor"])


def test_a_cursor_of_recommendations_belongs_to_the_history_however_told(client):
    body = {"liked": ["beach-1", "cricket-2"], "disliked": ["kitchen-3"], "limit": 7}
    body["cursor"] = recommend(client, **body).get_json()["next_cursor"]
    body["liked"] = ["cricket-2", "beach-1", "beach-1"]
    assert recommend(client, **body).status_code == 200
    body["liked"] = ["cricket-2"]
    problem(recommend(client, **body), "cursor_invalid")


# ---- diversity and duplicates


class Reuploads(Catalogue):
    """Each video of the kitchen was uploaded again, and again with another title."""

    def videos(self) -> list[Video]:
        videos = super().videos()
        for one in super().videos():
            if one.text("category") == "kitchen":
                videos.append(replace(one, video_id=f"{one.video_id}-again"))
                title = f"{one.title.upper()}!"
                videos.append(replace(one, video_id=f"{one.video_id}-third", title=title))
        return videos


@pytest.fixture(scope="module")
def reuploads(client_of, tmp_path_factory) -> FlaskClient:
    return client_of(data=publish_embedded(Reuploads(), tmp_path_factory.mktemp("reuploads")))


def test_reuploads_fold_into_the_best_of_them(reuploads):
    query = {"q": "kitchen film number 3", "limit": 100}
    plain = reuploads.get(SEARCH, query_string=query).get_json()["hits"]
    assert len(plain) == 51
    assert "duplicates" not in plain[0]
    query["collapse_duplicates"] = "1"
    hits = reuploads.get(SEARCH, query_string=query).get_json()["hits"]
    assert len(hits) == 31
    assert [hit["rank"] for hit in hits] == list(range(1, 32))
    order = [hit["video"]["video_id"] for hit in plain]
    for hit in hits:
        video_id = hit["video"]["video_id"]
        alike = [one for one in order if one[:9] == video_id[:9]] if "kitchen" in video_id else []
        assert [video_id, *hit["duplicates"]] == (alike or [video_id])


@pytest.mark.parametrize("collapse", [False, True])
def test_what_is_asked_by_is_not_answered_by_its_own_reupload(reuploads, collapse):
    options = {"limit": 100, "collapse_duplicates": collapse}
    for answer in (
        reuploads.get("/api/v1/videos/kitchen-3/similar", query_string=options),
        reuploads.post(SEARCH, json={"video_id": "kitchen-3", **options}),
        recommend(reuploads, liked=["kitchen-3"], disliked=["beach-1"], **options),
    ):
        found = set(hit_ids(answer))
        assert ("kitchen-3-again" not in found) == ("kitchen-3-third" not in found) == collapse
        assert "kitchen-4" in found


def test_diversity_brings_other_kinds_forward(client):
    plain, diverse = (
        hit_ids(client.get(f"{SEARCH}?q=kitchen+film&limit=6&diversity={share}"))
        for share in (0, 0.7)
    )
    assert {one.split("-")[0] for one in plain} == {"kitchen"}
    assert len({one.split("-")[0] for one in diverse}) > 1
    assert diverse[0] == plain[0]


@settings(max_examples=30)  # each asks for up to thirty pages
@given(
    st.sampled_from(
        [
            (SEARCH, {"text": "kitchen film number 7"}),
            (SEARCH, {"video_id": "kitchen-2", "text": "beach"}),
            (SEARCH, {"video_id": "beach-1", "filter": {"language": ["si", "en"]}}),
            (RECOMMEND, {"liked": ["kitchen-2", "beach-7"]}),
            (RECOMMEND, {"liked": ["kitchen-2", "beach-7"], "disliked": ["cricket-1"]}),
            (MULTI, {"searches": [{"text": "beach"}, {"video_id": "cricket-3"}], "fuse": True}),
        ]
    ),
    st.integers(1, 30),
    st.fixed_dictionaries(
        {}, optional={"diversity": st.floats(0, 1), "collapse_duplicates": st.booleans()}
    ),
    st.integers(1, 9),
)
def test_pages_of_any_size_are_the_one_window(reuploads, asked, window, options, limit):
    path, body = asked
    body = {**body, **options} | ({} if path == MULTI else {"window": window})

    def found(limit):
        return paged_ids(lambda more: reuploads.post(path, json={**body, "limit": limit, **more}))

    whole = found(100)
    assert len(whole) == len(set(whole))
    assert found(limit) == whole
    body["limit"] = 1
    cursor = body_of(reuploads.post(path, json=body))["next_cursor"]
    folded = options.get("collapse_duplicates", False)
    for other in ({"diversity": 0.123}, {"collapse_duplicates": not folded}):
        if cursor is not None:
            answer = reuploads.post(path, json={**body, **other, "cursor": cursor})
            problem(answer, "cursor_invalid")


# ---- one video


@pytest.mark.parametrize(
    "video_id",
    [*("%", "%2F", "a%2fb", "+", "?", "#", "é", "...", "a b", "similar", "&", ";", "\\"), ODD_ID],
)
def test_ids_that_a_path_could_trip_over(stored, client_of, video_id):
    assert parse_id(video_id) == video_id  # the indexer takes it
    odd = StoredVideo(video_id, {"video_id": video_id, "title": "it"}, stored[0].vectors)
    client = client_of(reader=MemoryReader([*stored[:3], odd]))
    path = f"/api/v1/videos/{quote(video_id, safe='')}"
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["video"]["video_id"] == video_id
    assert len(hit_ids(client.get(f"{path}/similar"))) == 3  # and not itself


def test_similar_takes_options_and_pages(client):
    path = "/api/v1/videos/kitchen-3/similar"
    query = {"limit": 4, "explain": "true", "filter": '{"language": "en"}'}
    first = client.get(path, query_string=query)
    assert {hit["video"]["language"] for hit in first.get_json()["hits"]} == {"en"}
    cursor = first.get_json()["next_cursor"]
    second = client.get(path, query_string={**query, "cursor": cursor})
    assert not set(hit_ids(first)) & set(hit_ids(second))
    body = {"video_id": "kitchen-3", "limit": 4, "filter": {"language": "en"}}
    by_post = client.post(SEARCH, json=body)
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


A_FILE = "a" * 64 + ".jpg"  # fits, and isn't there


@pytest.mark.parametrize(
    "name",
    [
        *("../CURRENT", "/etc/passwd", "a" * 64, "a" * 64 + ".svg", "A" * 64 + ".jpg"),
        *(A_FILE, A_FILE + "\n", A_FILE + "/../../CURRENT", ""),
    ],
)
def test_a_thumbnail_name_leads_nowhere_else(stored, client_of, name):
    videos = [StoredVideo("v", {"video_id": "v", "thumbnail_file": name}, stored[0].vectors)]
    client = client_of(reader=MemoryReader(videos))
    problem(client.get("/api/v1/videos/v/thumbnail"), "thumbnail_not_found")


def test_a_thumbnail_that_can_not_be_read_is_not_the_caller_s_fault(client, monkeypatch, caplog):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    problem(client.get("/api/v1/videos/beach-1/thumbnail"), "not_ready")
    assert "a thumbnail can't be read: [Errno 13] Permission denied" in caplog.text


def test_a_route_that_is_not_there_is_said_in_our_words(client):
    assert problem(client.get("/api/v1/nothing"), "not_found")["detail"] == "no such route"


def test_a_video_without_a_thumbnail_has_no_url_and_no_picture(client):
    path = f"/api/v1/videos/{quote(ODD_ID, safe='')}"
    assert client.get(path).get_json()["video"]["thumbnail_url"] is None
    problem(client.get(f"{path}/thumbnail"), "thumbnail_not_found")


# ---- what is said of the index, the process, the page


def test_what_is_published_is_alive_and_ready_and_not_where_it_came_from(client):
    assert client.get("/healthz").get_json() == {"status": "ok"}
    assert client.get("/readyz").get_json() == {"status": "ready", "generation": "g1"}
    body = client.get("/api/v1/stats").get_json()
    assert body["generation"] == "g1"
    assert body["counts"] == {"videos": 31, "title": 31, "thumbnail": 30, "words": 31}
    assert body["encoders"]["thumbnail"]["dim"] == 48
    assert "source" not in body


def test_without_a_generation_alive_but_not_ready(client_of, tmp_path):
    client = client_of(data=DataDir(tmp_path))
    assert client.get("/healthz").status_code == 200
    for path in ("/readyz", SEARCH + "?q=a", "/api/v1/stats", "/api/v1/videos/v"):
        answer = client.get(path)
        body = problem(answer, "not_ready")
        assert answer.headers["Retry-After"] == "5"
        assert str(tmp_path) not in body["detail"]


def test_with_a_store_that_went_away_alive_but_not_ready(stored, client_of, monkeypatch):
    reader = MemoryReader(stored)
    client = client_of(reader=reader)
    assert client.get("/readyz").status_code == 200
    away = StoreUnavailable("http://qdrant:6333: the Qdrant server doesn't answer")
    with monkeypatch.context() as patched:
        patched.setattr(reader, "check", Mock(side_effect=away))
        for path in ("/readyz", SEARCH + "?q=a"):
            answer = client.get(path)
            body = problem(answer, "not_ready")
            assert answer.headers["Retry-After"] == "5"
            assert "qdrant:6333" not in body["detail"]
        assert reader.searches == []
        assert b"twinlens_ready 0.0" in client.get("/metrics").data
        assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_the_page_is_served_with_its_files(client):
    answer = client.get("/", buffered=True)
    assert answer.content_type.startswith("text/html")
    for path in ("app.js", "style.css", "icon.svg"):
        assert f'"static/{path}"' in answer.text
        assert client.get(f"/static/{path}", buffered=True).status_code == 200


def test_a_request_id_is_given_back_if_it_is_one(client):
    answer = client.get("/healthz", headers={"X-Request-Id": "trace-7.A_b"})
    assert answer.headers["X-Request-Id"] == "trace-7.A_b"
    for bad in ("a b", "é", "x" * 129, "<script>"):
        answer = client.get("/nowhere", headers={"X-Request-Id": bad})
        assert len(answer.headers["X-Request-Id"]) == 32
        assert bad not in answer.text
    # It is the id of a query, too.
    answer = client.get(SEARCH + "?q=a", headers={"X-Request-Id": "mine"})
    assert answer.get_json()["query_id"] == "mine"


# ---- errors


def test_what_has_no_vector_is_said_to_have_none(catalogue, client_of):
    class Speechless(WordEncoder):
        def encode(self, items):
            raise UnencodableItems([0])

    client = client_of(Speechless(fingerprint=catalogue.titles.fingerprint))
    problem(client.post(SEARCH, json={"text": "x"}), "not_encodable")


def test_a_mistake_of_ours_tells_nothing_of_itself(client_of, caplog):
    class Broken(MemoryReader):
        def get(self, video_ids, *, with_vectors=False):
            raise RuntimeError("secret of the inside")

    client = client_of(reader=Broken([]))
    answer = client.get("/api/v1/videos/a")
    body = problem(answer, "internal_error")
    assert "secret" not in answer.text
    assert "secret of the inside" in caplog.text
    assert body["request_id"] in caplog.text
