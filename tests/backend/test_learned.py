"""A trained model takes part in what is similar and recommended, and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.backend.asking import RECOMMEND, body_of, paged_ids, problem, shown_ids
from tests.backend.test_metrics import value
from tests.fakes import MemoryReader
from tests.recommender.library import CATALOGUE, VIDEOS, train_library_model
from twinlens.backend.app import create_app
from twinlens.catalog.errors import StoreCorrupt
from twinlens.recommender.candidate_model import LearnedSource
from twinlens.recommender.feed import FeedModel
from twinlens.recommender.models import Evaluation
from twinlens.recommender.pages import Feeds
from twinlens.recommender.videos import VideoTable
from twinlens.search.published import PublishedIndex, Snapshot
from twinlens.stores.base import ScoredVideo
from twinlens.stores.filters import Filter
from twinlens.stores.generations import DataDir

SIMILAR = "/api/v1/videos/cricket-5/similar"
LIKED = {"liked": ["cricket-5", "kitchen-31"], "disliked": ["news-4"]}
ASKS: dict[str, Callable[..., Any]] = {
    "similar": lambda client, **given: client.get(SIMILAR, query_string=given),
    "recommendations": lambda client, **given: client.post(RECOMMEND, json=LIKED | given),
}
TRAINED = "twinlens_model_trained_timestamp_seconds"
TABLE = VideoTable.from_videos(VIDEOS)
# What differs between two answers of the same hits.
_OF_A_REQUEST = {"took_ms", "timings_ms", "query_id", "next_cursor"}


class Damaged(LearnedSource):
    """A model that fails once it is asked."""

    def find_like(
        self, seeds: Sequence[str], *, limit: int, filter: Filter | None, exclude: Set[str]
    ) -> Mapping[str, Sequence[ScoredVideo]]:
        raise ValueError("shapes (64,) and (32,) not aligned")


class Opened:
    """What is published as the model at the moment."""

    model: FeedModel | None = None
    error: StoreCorrupt | None = None

    def __call__(self, _: Snapshot) -> FeedModel | None:
        if self.error is not None:
            raise self.error
        return self.model


def make_model(name: str, source: type[LearnedSource] = LearnedSource, **given: Any) -> FeedModel:
    opened = source(train_library_model(), TABLE)
    return FeedModel(
        name=name, trained_at=datetime(2026, 11, 1, tzinfo=UTC), source=opened, **given
    )


@pytest.fixture
def opened() -> Opened:
    return Opened()


@pytest.fixture
def client(opened: Opened, tmp_path) -> Iterator[FlaskClient]:
    data = DataDir(tmp_path)
    CATALOGUE.publish(data, "g1")
    index = PublishedIndex(
        data, open_reader=lambda _: MemoryReader(VIDEOS), open_lenses=lambda *_: CATALOGUE.lenses
    )
    app = create_app(index, thumbnails=data.thumbnails, feeds=Feeds(open_model=opened))
    yield app.test_client()
    index.close()


@pytest.fixture(params=list(ASKS))
def ask(request: pytest.FixtureRequest, client: FlaskClient) -> Callable[..., Any]:
    return lambda **given: ASKS[request.param](client, **given)


def leave_out_request(body: dict[str, Any]) -> dict[str, Any]:
    return {key: of for key, of in body.items() if key not in _OF_A_REQUEST}


def test_what_it_finds_is_one_ranking_more(opened, ask):
    plain = leave_out_request(body_of(ask(explain=True)))
    assert "learned" not in plain["hits"][0]["sources"]
    assert not {"model", "fallback"} & set(plain)
    opened.model = make_model("m1")
    body = body_of(ask(explain=True, window=20))
    assert body["model"] == "m1"
    assert "fallback" not in body
    assert body["timings_ms"]["learned"] > 0
    learned = [hit["sources"]["learned"] for hit in body["hits"]]
    assert 1 in [one["rank"] for one in learned if one is not None]
    assert leave_out_request(body_of(ask(explain=True, learned_weight=0))) == plain


def test_a_hit_that_the_model_alone_finds_has_a_reason(opened, client):
    opened.model = make_model("m1")
    body = body_of(ASKS["recommendations"](client, explain=True, window=5, limit=50))
    alone = [
        hit
        for hit in body["hits"]
        if {name for name, of in hit["sources"].items() if of} == {"learned"}
    ]
    assert alone
    assert all(set(hit["because"]) <= set(LIKED["liked"]) and hit["because"] for hit in alone)
    turned = {**LIKED, "liked": LIKED["liked"][::-1]}
    again = body_of(
        client.post(RECOMMEND, json={**turned, "explain": True, "window": 5, "limit": 50})
    )
    assert again["hits"] == body["hits"]


def test_pages_and_filters_hold(opened, client):
    opened.model = make_model("m1")
    filter = {"language": ["si"]}
    for ask, given in (("similar", '{"language": ["si"]}'), ("recommendations", filter)):
        whole = shown_ids(body_of(ASKS[ask](client, limit=100, filter=given)))
        paged = paged_ids(lambda cursor: ASKS[ask](client, limit=7, filter=given, **cursor))  # noqa: B023
        assert paged == whole
        languages = {one.payload["language"] for one in VIDEOS if one.video_id in whole}
        assert languages == {"si"}
        assert len(whole) == len(set(whole))
        assert "cricket-5" not in whole


def test_a_page_of_another_model_is_not_mixed_in(opened, ask):
    cursors = [body_of(ask(limit=5))["next_cursor"]]
    opened.model = make_model("m1")
    cursors.append(body_of(ask(limit=5))["next_cursor"])
    opened.model = make_model("m2")
    for cursor in cursors:
        problem(ask(limit=5, cursor=cursor), "cursor_expired")
    of_another_weight = body_of(ask(limit=5, learned_weight=1))["next_cursor"]
    problem(ask(limit=5, cursor=of_another_weight), "cursor_invalid")


def test_the_tag_of_an_answer_changes_with_the_model_and_no_other_does(opened, client):
    paths = [SIMILAR, "/api/v1/videos/cricket-5", "/api/v1/search?q=cricket"]
    before = [client.get(path).headers["ETag"] for path in paths]
    opened.model = make_model("m1")
    after = [client.get(path).headers["ETag"] for path in paths]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, True]
    again = client.get(SIMILAR, headers={"If-None-Match": after[0]})
    assert again.status_code == 304


@pytest.mark.parametrize("how", ["at opening", "at finding"])
def test_with_a_damaged_model_there_is_the_plain_answer_and_it_says_so(opened, ask, how):
    plain = leave_out_request(body_of(ask(explain=True)))
    if how == "at opening":
        opened.error = StoreCorrupt("the model is damaged")
    else:
        opened.model = make_model("m1", Damaged)
    for _ in range(2):
        body = leave_out_request(body_of(ask(explain=True)))
        assert body.pop("fallback") == ["damaged_model"]
        assert body == plain


def test_until_a_model_is_open_over_this_index_it_takes_no_part(opened, ask):
    opened.model = make_model("m1", generation="g0")
    assert "model" not in body_of(ask())
    opened.model = make_model("m1", generation="g1")
    assert body_of(ask())["model"] == "m1"


def test_stats_and_metrics_tell_of_the_model_and_of_what_feeds_were_without(opened, client):
    assert body_of(client.get("/api/v1/stats"))["recommender"] is None
    assert value(client.get("/metrics").text, TRAINED) == 0
    figures = {"learned": {"HR@50": 0.24}, "popular": {"HR@50": 0.14}}
    opened.model = make_model(
        "m1",
        log={"watches": 7, "people": 3},
        evaluation=Evaluation(protocol="next-day", people=3, figures=figures),
    )
    for history in ([], [], [], [{"type": "like", "event_id": "e", "video_id": "cricket-5"}]):
        body_of(client.post("/api/v1/feed", json={"events": history}))
    answer = client.get("/api/v1/stats")
    told = body_of(answer)["recommender"]
    assert told.pop("age_s") > 0
    assert told == {
        "model": "m1",
        "trained_at": "2026-11-01T00:00:00+00:00",
        "trained_on": {"watches": 7, "people": 3},
        "evaluation": {"protocol": "next-day", "people": 3, "figures": figures},
        "feeds": {"no_events": 1.0},
    }
    assert "ETag" not in answer.headers
    assert value(client.get("/metrics").text, TRAINED) == opened.model.trained_at.timestamp()
    opened.error = StoreCorrupt("the model is damaged")
    told = body_of(client.get("/api/v1/stats"))["recommender"]
    assert (told["model"], told["evaluation"]) == (None, None)


def test_what_is_not_there_is_not_found(opened, client):
    opened.model = make_model("m1")
    problem(client.get("/api/v1/videos/nowhere/similar"), "video_not_found")
    problem(client.post(RECOMMEND, json={"liked": ["nowhere"]}), "video_not_found")
