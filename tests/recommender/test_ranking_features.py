"""What the ranker sees: the same in training and at a request, and nothing of the future."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recommender.drawn_log import START, draw_videos, to_table
from tests.recommender.shown_log import draw_feeds
from twinlens.events.event import Event, EventType
from twinlens.recommender.features import Contents, Questions, VideoStatistics, make_features
from twinlens.recommender.histories import WINDOWS, to_milliseconds
from twinlens.recommender.impressions import RankingLog
from twinlens.recommender.quantiles import Quantiles
from twinlens.recommender.vocabularies import Vocabulary

VIDEOS = draw_videos()
SPACES = ("video", "channel", "tag", "category", "language", "region", "device", "surface")
WORDS = {space: Vocabulary([]) for space in SPACES} | {
    "video": Vocabulary(VIDEOS.video_ids[:30]),
    "channel": Vocabulary(["channel 0", "channel 1"]),
    "language": Vocabulary(["en"]),
}
CONTENTS = Contents(VIDEOS, WORDS, lenses=["title"])
KINDS = (
    *(EventType.IMPRESSION, EventType.CLICK, EventType.WATCH),
    *(EventType.LIKE, EventType.DISLIKE, EventType.NOT_INTERESTED),
)


def see(events: list[Event], person: str, at: datetime):
    """Return what is seen, at a moment, of a person and every video."""
    # People are numbered as they come.
    asked = Event(
        type=EventType.IMPRESSION,
        event_id="asked",
        person_id=person,
        at=at,
        video_id="v0",
        seen=True,
    )
    log = RankingLog.from_events(to_table([asked, *events]), VIDEOS.rows, VIDEOS.durations_s)
    moment = to_milliseconds(at)
    count = len(VIDEOS)
    questions = Questions(
        persons=np.zeros(count, dtype=np.int64),
        moments=np.full(count, moment),
        videos=np.arange(count),
        seeds=np.full(count, -1),
        positions=np.full(count, np.nan),
        context={name: np.zeros(count, np.int32) for name in SPACES[4:]},
    )
    statistics = VideoStatistics.count(log.histories, moment, CONTENTS)
    return make_features(questions, log.histories, CONTENTS, statistics)


@st.composite
def logs(draw) -> list[Event]:
    """Events of two people within a few minutes, a good half of them at the same moments."""
    events = []
    for number in range(draw(st.integers(0, 30))):
        kind = draw(st.sampled_from(KINDS))
        at = START + timedelta(seconds=draw(st.integers(0, 40)) * 10)
        events.append(
            Event(
                type=kind,
                event_id=f"e{number}",
                person_id=draw(st.sampled_from("pq")),
                at=None if draw(st.integers(0, 9)) == 0 else at,
                video_id=f"v{draw(st.integers(0, 5))}",
                watched_s=draw(st.none() | st.integers(0, 300)) if kind == "watch" else None,
                seen=draw(st.sampled_from([True, False, None])),
            )
        )
    return events


MOMENT = START + timedelta(seconds=200)


@settings(deadline=None, max_examples=60)
@given(logs(), st.data())
def test_no_feature_sees_what_comes_later(events, data):
    known = [event for event in events if event.at is None or event.at < MOMENT]
    # A watch is known from its start, and its length when it has lasted as long.
    changed = [
        replace(
            event, watched_s=(MOMENT - event.at).total_seconds() + data.draw(st.integers(0, 99))
        )
        if event.at is not None
        and event.watched_s is not None
        and event.at + timedelta(seconds=event.watched_s) > MOMENT
        else event
        for event in known
    ]
    before, after = see(changed, "p", MOMENT), see(events, "p", MOMENT)
    np.testing.assert_array_equal(before.codes, after.codes)
    np.testing.assert_array_equal(before.numbers, after.numbers)


def test_a_planted_future_would_be_seen_a_moment_later():
    click = Event(type=EventType.CLICK, event_id="c", person_id="p", at=MOMENT, video_id="v2")
    now, later = (see([click], "p", MOMENT + timedelta(milliseconds=ms)) for ms in (0, 1))
    at = now.names.index("channel_click_count")
    assert now.numbers[:, at].sum() == 0
    assert later.numbers[:, at].sum() == len(VIDEOS) / 2


def describe(name: str, events: list[Event], video: str = "v0", *, minute: float = 100) -> float:
    features = see(events, "p", START + timedelta(minutes=minute))
    return float(features.numbers[VIDEOS.rows[video], features.names.index(name)])


def did(kind: EventType, minute: float, video: str, **more) -> Event:
    given = {"event_id": f"{kind}{minute}{video}", "person_id": "p", **more}
    return Event(type=kind, at=START + timedelta(minutes=minute), video_id=video, **given)


def test_the_past_with_a_video_its_channel_and_its_tags_is_counted():
    events = [
        did(EventType.IMPRESSION, 10, "v0"),
        did(EventType.IMPRESSION, 40, "v0"),
        did(EventType.IMPRESSION, 50, "v0", seen=False),
        did(EventType.IMPRESSION, 60, "v2"),
        did(EventType.WATCH, 61, "v2", watched_s=31.0),
        did(EventType.WATCH, 62, "v1", watched_s=5.0, duration_s=10.0),
        did(EventType.NOT_INTERESTED, 63, "v4"),
    ]
    assert describe("video_impression_count", events) == 2
    assert describe("video_impression_hours", events) == 1
    assert describe("channel_impression_count", events) == 3
    assert describe("channel_watch_count", events) == 1
    assert describe("channel_watch_hours", events) == pytest.approx(0.65)
    assert describe("channel_mean_share", events) == 0.5
    assert describe("channel_not_interested_count", events) == 1
    # Both watched videos have the tag "all", one of them the other tag, too.
    assert describe("tag_watch_count", events) == 3
    assert describe("person_mean_s", events) == 18
    assert np.isnan(describe("video_watch_hours", events))


def test_a_watch_under_way_has_no_length_yet():
    events = [
        did(EventType.WATCH, 10, "v2", watched_s=30.0),
        did(EventType.WATCH, 99, "v2", watched_s=600.0),
    ]
    assert describe("channel_watch_count", events) == 2
    assert describe("channel_mean_s", events) == 30
    assert describe("person_mean_s", events) == 30
    assert describe("channel_mean_s", events, minute=120) == 315


def test_only_the_latest_are_looked_at():
    most = WINDOWS[EventType.IMPRESSION]
    events = [did(EventType.IMPRESSION, 0.1 * at, "v0") for at in range(most + 9)]
    assert describe("video_impression_count", events) == most


def test_contents_are_compared_with_those_watched_last():
    watched = [did(EventType.WATCH, 1, "v2", watched_s=60.0)]
    assert describe("title_similarity", watched, "v2") == pytest.approx(1, abs=1e-3)
    assert describe("title_similarity", watched, "v4") > describe("title_similarity", watched, "v5")
    assert np.isnan(describe("title_similarity", []))


def test_rates_of_videos_are_drawn_to_those_of_all():
    events = draw_feeds(lambda person, video, rng: 20.0 * (video % 2))
    log = RankingLog.from_events(to_table(events), VIDEOS.rows, VIDEOS.durations_s)
    late = to_milliseconds(START + timedelta(days=9))
    known = VideoStatistics.count(log.histories, late, CONTENTS)
    rates = known.describe(np.array([0, 1, -1]), CONTENTS)
    shown = known.videos[:2, 0]
    overall = known.totals[1] / known.totals[0]
    assert rates["video_click_rate"][0] == pytest.approx(20 * overall / (shown[0] + 20))
    assert rates["video_click_rate"][1] == pytest.approx(
        (shown[1] + 20 * overall) / (shown[1] + 20)
    )
    assert rates["video_click_rate"][2] == pytest.approx(overall)
    assert rates["video_mean_watched_s"].tolist() == pytest.approx([20, 20, 20])


def test_quantiles_are_shares_and_missing_stays_missing(tmp_path):
    column = np.array([0, 0, 0, 1, 5, 9, np.nan, 100], dtype=np.float32)
    fitted = Quantiles.fit(["x"], column[:, None])
    asked = np.array([[-3], [0], [1], [3], [100], [1e9], [np.nan]], dtype=np.float32)
    fitted.save(tmp_path / "q.npz")
    for quantiles in fitted, Quantiles.load(tmp_path / "q.npz"):
        found = quantiles.transform(asked)[:, 0]
        assert found[:3] == pytest.approx([0, 0, 3 / 7])
        assert 3 / 7 < found[3] < 4 / 7
        assert found[4] == found[5] == pytest.approx(6 / 7)
        assert np.isnan(found[6])


def test_a_vocabulary_has_the_frequent_and_0_for_the_rest():
    words = Vocabulary.fit(["b", "a", "b", "c", None, "a", "b"], most=2)
    assert words.values == ("b", "a")
    assert words.encode(["a", "b", "c", None]).tolist() == [2, 1, 0, 0]
    assert len(words) == 3
