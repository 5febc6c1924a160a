"""What was shown, and what came of it: one join of impressions, clicks and watches."""

from datetime import timedelta

import numpy as np
import pytest

from tests.recommender.drawn_log import START, draw_videos, to_table
from twinlens.events.event import Event, EventType
from twinlens.recommender.impressions import RankingLog
from twinlens.recommender.per_user_loss import PagePairs

VIDEOS = draw_videos()


def event(kind: EventType, minute: float, video: str = "v0", person: str = "p", **more) -> Event:
    at = START + timedelta(minutes=minute)
    given = {"event_id": f"{kind}-{person}-{video}-{minute}", "person_id": person, **more}
    return Event(type=kind, at=at, video_id=video, **given)


def shown(minute: float, video: str = "v0", **more) -> Event:
    return event(EventType.IMPRESSION, minute, video, **more)


def click(minute: float, video: str = "v0", **more) -> Event:
    return event(EventType.CLICK, minute, video, **more)


def watch(minute: float, seconds: float, video: str = "v0", **more) -> Event:
    return event(EventType.WATCH, minute, video, watched_s=seconds, **more)


def read(*events: Event):
    log = RankingLog.from_events(to_table(events), VIDEOS.rows, VIDEOS.durations_s)
    return log.impressions


def test_a_watch_belongs_to_the_latest_impression_of_the_half_hour_before():
    found = read(shown(0), shown(20), click(21), watch(21, 40), shown(100), watch(131, 9))
    assert found.clicked.tolist() == [False, True, False]
    assert found.watched_s.tolist() == [0, 40, 0]


def test_a_watch_that_names_its_feed_belongs_there_however_late():
    a, b = {"feed_id": "a"}, {"feed_id": "b"}
    found = read(
        shown(0, **a), shown(1, **b), click(90, **a), watch(90, 30, **a), watch(95, 5, **a)
    )
    assert found.watched_s.tolist() == [35, 0]


def test_seconds_of_what_was_not_clicked_count_nothing():
    found = read(shown(0), watch(0, 7), shown(1, "v1"), click(1, "v1"), watch(1, 8, "v1"))
    assert found.watched_s.tolist() == [0, 8]


def test_a_log_without_clicks_says_by_a_watch_that_a_video_was_opened():
    found = read(shown(0), watch(0, 7), shown(1, "v1"))
    assert found.clicked.tolist() == [True, False]


def test_another_persons_watch_and_an_earlier_one_are_no_result():
    found = read(watch(0, 7), shown(1), watch(2, 7, person="q"), click(2, person="q"))
    assert not found.clicked.any()


def test_heartbeats_of_one_playback_count_once():
    play = {"watch_id": "w"}
    found = read(shown(0), click(0), watch(1, 10, **play), watch(2, 70, **play))
    assert found.watched_s.tolist() == [70]


def test_what_was_served_and_never_seen_is_not_learned_from():
    served = {"feed_id": "a", "seen": False}
    found = read(
        shown(0, **served), shown(0, "v1", **served), shown(1, "v1", feed_id="a", seen=True)
    )
    assert found.videos.tolist() == [VIDEOS.rows["v1"]]


def test_where_no_log_says_what_was_seen_being_served_counts():
    found = read(shown(0, seen=False), shown(1, "v1", seen=False), click(1, "v1"))
    assert found.clicked.tolist() == [False, True]


def test_what_was_undone_counts_not():
    mistaken = click(1)
    undo = Event(
        type=EventType.UNDO, event_id="u", person_id="p", at=START, undoes=mistaken.event_id
    )
    assert not read(shown(0), mistaken, undo).clicked.any()


def test_a_page_is_an_answer_or_what_comes_within_half_an_hour_of_the_last():
    found = read(shown(0), shown(29, "v1"), shown(58, "v2"), shown(89, "v3"))
    assert found.pages.tolist() == [0, 0, 0, 1] or found.pages.tolist() == [1, 1, 1, 0]
    minutes = (found.asked - found.asked.min()) / 60_000
    assert minutes.tolist() == [0, 0, 0, 89]


def test_answers_of_one_video_each_are_no_pages():
    found = read(*(shown(at, f"v{at}", feed_id=f"f{at}") for at in range(3)))
    assert len(set(found.pages.tolist())) == 1


def test_an_impression_without_a_moment_is_not_learned_from():
    untimed = Event(type=EventType.IMPRESSION, event_id="i", person_id="p", at=None, video_id="v0")
    assert len(read(untimed, shown(1))) == 1


def test_per_user_loss_is_the_share_of_seconds_that_a_negative_outranks():
    found = read(
        *(shown(0, f"v{at}", feed_id="a") for at in range(3)),
        *(click(0, f"v{at}", feed_id="a") for at in range(2)),
        watch(0, 30, "v0", feed_id="a"),
        watch(0, 10, "v1", feed_id="a"),
        # Of another page: never compared with the first.
        shown(0, "v3", feed_id="b"),
    )
    pairs = PagePairs.find(found)
    by_video = {"v0": 0.9, "v1": 0.1, "v2": 0.5, "v3": 1.0}
    scores = np.array([by_video[VIDEOS.video_ids[row]] for row in found.videos])
    assert len(pairs) == 2
    assert pairs.measure_loss(scores) == pytest.approx(10 / 40)
    assert pairs.measure_loss(-scores) == pytest.approx(30 / 40)
    assert pairs.measure_loss(np.zeros(4)) == 0.5
