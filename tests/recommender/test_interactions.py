"""What a log becomes: merged, sorted, and as serving sees it."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recommender.drawn_log import START, draw_events, draw_videos, to_table
from twinlens.events.event import Event, EventType
from twinlens.recommender.interactions import Interactions
from twinlens.recommender.person import Context, Person
from twinlens.recommender.person_inputs import PersonEncoder, PersonSpace

VIDEOS = draw_videos()


def watch(number, video, **more):
    given = {"event_id": f"e{number}", "person_id": "p", "at": START + timedelta(seconds=number)}
    return Event(type=EventType.WATCH, video_id=video, **given | more)


def read(*events, people=None):
    return Interactions.from_events(to_table(events), VIDEOS, people)


def names(known):
    return [VIDEOS.video_ids[row] for row in known.videos]


def test_heartbeats_of_a_playback_are_one_watch_at_its_first_time():
    known = read(
        watch(1, "v1", watch_id="w", watched_s=5.0),
        watch(2, "v2", watched_s=40.0),
        watch(3, "v1", watch_id="w", watched_s=45.0),
    )
    assert names(known) == ["v1", "v2"]


def test_what_was_not_watched_to_its_end_or_undone_is_left_out():
    undo = Event(type=EventType.UNDO, event_id="u", person_id="p", at=START, undoes="e3")
    known = read(
        watch(1, "v1", watched_s=5.0, duration_s=60.0),
        watch(2, "v2", watched_s=8.0, duration_s=10.0),
        watch(3, "v3"),
        undo,
    )
    assert names(known) == ["v2"]


def test_another_persons_undo_changes_nothing():
    undo = Event(type=EventType.UNDO, event_id="u", person_id="q", at=START, undoes="e1")
    assert names(read(watch(1, "v1"), undo)) == ["v1"]


def test_watches_without_a_time_come_first_in_the_order_of_the_log():
    known = read(watch(1, "v1"), watch(2, "v2", at=None), watch(3, "v3", at=None))
    assert names(known) == ["v2", "v3", "v1"]
    assert np.isnan(known.times).tolist() == [True, True, False]


def test_videos_that_are_not_in_the_catalogue_are_counted():
    known = read(watch(1, "v1"), watch(2, "gone"))
    assert (names(known), known.unknown_videos) == (["v1"], 1)


def test_people_are_known_by_more_than_events():
    people = pa.table({"person_id": ["p"], "age": [30.0], "gender": ["f"]})
    demographics = read(watch(1, "v1"), people=people).demographics
    assert demographics.ages.tolist() == [30.0]
    assert np.isnan(demographics.logged_in).all()


kinds = st.sampled_from([EventType.WATCH, EventType.SEARCH, EventType.UNDO])


@st.composite
def some_events(draw):
    events = []
    for number in range(draw(st.integers(2, 40))):
        kind = draw(kinds)
        at = draw(st.none() | st.integers(0, 30).map(lambda s: START + timedelta(seconds=s)))
        more = {
            EventType.WATCH: {
                "video_id": f"v{draw(st.integers(0, 45))}",
                "watch_id": draw(st.none() | st.sampled_from("abc")),
                "watched_s": draw(st.none() | st.sampled_from([1.0, 50.0])),
            },
            EventType.SEARCH: {"text": draw(st.sampled_from(["red car", "blue", ""]))},
            EventType.UNDO: {"undoes": f"e{draw(st.integers(0, 40))}"},
        }[kind]
        person = draw(st.sampled_from("pq"))
        events.append(Event(type=kind, event_id=f"e{number}", person_id=person, at=at, **more))
    return events


@settings(deadline=None, max_examples=25)
@given(some_events())
def test_training_and_serving_see_the_same_watches(events):
    known = read(*events)
    for at, person_id in enumerate(known.person_ids):
        own = [event for event in events if event.person_id == person_id]
        person = Person.from_events(own)
        served = [
            one.video_id
            for one in person.watches
            if one.video_id in VIDEOS.rows and (one.watched_s is None or one.watched_s >= 30)
        ]
        assert names(known)[known.starts[at] : known.starts[at + 1]] == served
        searches = known.searches[known.search_starts[at] : known.search_starts[at + 1]]
        assert list(searches) == [one.text for one in person.searches]


@settings(deadline=None, max_examples=25)
@given(some_events())
def test_no_input_is_later_than_its_label(events):
    known = read(*events)
    if not len(known):
        return
    space = PersonSpace(
        words={"red": 0, "car": 1, "red car": 2, "blue": 3},
        categories={"region": {}, "device": {}, "language": {}, "gender": {}},
        latest=None,
        span_days=None,
    )
    whole = PersonEncoder(known, space).encode(np.arange(len(known)))
    for label in range(len(known)):
        person = known.persons[label]
        kept = np.arange(len(known)) <= label
        earlier = known.keep(kept)
        again = PersonEncoder(earlier, space).encode(np.array([label]))
        assert (again.history[0] == whole.history[label]).all()
        before = known.videos[known.starts[person] : label][::-1][:50]
        assert whole.history[label][: len(before)].tolist() == before.tolist()
        assert (whole.history[label][len(before) :] == -1).all()
        words = whole.words.codes[whole.words.starts[label] : whole.words.starts[label + 1]]
        texts = [
            text
            for place, text in zip(known.search_places, known.searches, strict=True)
            if place < known.places[label]
            and known.search_starts[person]
            <= np.searchsorted(known.search_places, place)
            < known.search_starts[person + 1]
        ]
        assert sorted(code for text in texts for code in space.find_words(text)) == words.tolist()


def test_inputs_of_replayed_people_are_those_of_training_exactly():
    events = draw_events()
    known = Interactions.from_events(to_table(events), VIDEOS)
    space = PersonSpace.fit(known)
    assert space.words
    assert space.categories["region"]
    labels = known.starts[1:] - 1
    trained = PersonEncoder(known, space).encode(labels, example_days=0.0)
    for at, person_id in enumerate(known.person_ids):
        own = [event for event in events if event.person_id == person_id]
        *before, last = [event for event in own if event.type is EventType.WATCH]
        searches = [e for e in own if e.type is EventType.SEARCH and e.at <= last.at]
        person = Person.from_events([*before, *searches])
        served = space.encode(person, Context(region=last.region), VIDEOS.rows)
        assert (served.history == trained.history[at]).all()
        assert (served.categories == trained.categories[at]).all()
        assert (served.reals == trained.reals[at]).all()
        bag = slice(trained.words.starts[at], trained.words.starts[at + 1])
        assert served.words.codes.tolist() == trained.words.codes[bag].tolist()


def test_the_order_of_searches_is_not_told():
    events = [e for e in draw_events() if e.person_id == "p001"]
    texts = ["kind 1 please", "something else", "kind 0"]
    space = PersonSpace.fit(Interactions.from_events(to_table(draw_events()), VIDEOS))

    def encode(texts):
        searches = [
            Event(type=EventType.SEARCH, event_id=t, person_id="p001", at=START, text=t)
            for t in texts
        ]
        return space.encode(Person.from_events([*events, *searches]), Context(), VIDEOS.rows)

    first, other = encode(texts), encode(texts[::-1])
    assert all((a == b).all() for a, b in zip(first.words, other.words, strict=True))


def test_a_word_that_fewer_than_five_people_searched_is_not_known():
    searches = [
        Event(type=EventType.SEARCH, event_id=f"s{at}", person_id=f"p{at}", at=START, text=text)
        for at, text in enumerate(["common rare"] * 4 + ["common"])
    ]
    assert set(PersonSpace.fit(read(*searches)).words) == {"common"}
