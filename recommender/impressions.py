"""What was shown to whom, and what came of it: impressions, and the seconds watched of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from twinlens.events.event import EventType
from twinlens.recommender.histories import (
    TIMED,
    UNTIMED,
    WINDOWS,
    Floats,
    Histories,
    Ints,
    Track,
    find_durations,
)

# What is watched of a video within this time after it was shown is a result of that.
ATTRIBUTED_MS: Final = 30 * 60_000
# How the answer that showed a video is known.
_ANSWER: Final = ("feed_id", "query_id")
_CONTEXT: Final = ("surface", "region", "device", "language")
_COLUMNS: Final = (
    *("type", "event_id", "person_id", "at", "video_id", "watch_id", "watched_s", "duration_s"),
    *("position", "seen", "undoes", *_ANSWER, *_CONTEXT),
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Impressions:
    """One a video, person and answer, by person and then by time; all arrays have shape (n,).

    ``persons`` are numbers, ``moments`` milliseconds since 1970, ``videos`` rows of a catalogue or
    -1. ``pages`` number what was shown to one person together: by one answer, or where answers
    have one video or no name, with at most half an hour from one to the next. ``asked`` is the
    moment of a page's first: all of it is ranked by what was known then, for the state after one
    video says what came of it. ``clicked``, and the ``watched_s`` of those clicked, 0 of the
    others. ``positions`` are NaN where unknown. ``context`` has texts or None.
    """

    persons: Ints
    moments: Ints
    videos: Ints
    pages: Ints
    asked: Ints
    clicked: npt.NDArray[np.bool_]
    watched_s: Floats
    positions: Floats
    context: Mapping[str, npt.NDArray[np.object_]]

    def __len__(self) -> int:
        return len(self.moments)

    def select(self, rows: npt.NDArray[Any]) -> Self:
        """Return those at ``rows``: numbers or a mask."""
        taken = {
            one.name: getattr(self, one.name)[rows] for one in fields(self) if one.name != "context"
        }
        context = {name: texts[rows] for name, texts in self.context.items()}
        return type(self)(**taken, context=context)


@dataclass(frozen=True, eq=False)
class RankingLog:
    """What a ranker learns from: all histories, and the impressions whose moment is known.

    ``counts_served``: the log says of no video that it came into view, so being served counts.
    """

    histories: Histories
    impressions: Impressions
    counts_served: bool

    @classmethod
    def from_events(
        cls, events: pa.Table, rows: Mapping[str, int], durations_s: Floats
    ) -> RankingLog:
        """Return what a table of ``EVENT_SCHEMA`` says of a catalogue's videos.

        ``rows`` has the row of each video, ``durations_s`` its length, NaN where it is not known.
        Playbacks and impressions are merged as `Person.from_events` does. What was undone counts
        at no moment. What was served and never seen is left out, where the log says of any video
        that it was seen.
        """
        columns = _Columns.read(events, rows, durations_s)
        tracks: dict[str, Track] = {kind: columns.to_track(kind) for kind in WINDOWS}
        shown = columns.find(EventType.IMPRESSION)
        clicks, watches = columns.find(EventType.CLICK), columns.find(EventType.WATCH)
        clicked_by = _attribute(columns, clicks, shown)
        clicked = np.zeros(len(shown), dtype=np.bool_)
        watched_by = _attribute(columns, watches, shown)
        # A log without clicks says by a watch that a video was opened.
        opened = clicked_by if len(clicks) else watched_by
        clicked[opened[opened >= 0]] = True
        seconds = np.nan_to_num(columns.seconds[watches][watched_by >= 0].astype(np.float64))
        watched_s = np.bincount(watched_by[watched_by >= 0], seconds, minlength=len(shown))
        pages, begins = _number_pages(columns, shown)
        impressions = Impressions(
            persons=columns.persons[shown],
            moments=columns.times[shown],
            videos=columns.videos[shown],
            pages=pages,
            asked=columns.times[shown][begins],
            clicked=clicked,
            watched_s=np.where(clicked, watched_s, 0.0),
            positions=columns.positions[shown],
            context={name: texts[shown] for name, texts in columns.context.items()},
        )
        timed = impressions.select(impressions.moments != UNTIMED)
        return cls(Histories(tracks), timed, columns.counts_served)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Columns:
    """Events that count, merged, by person and then by time, as arrays of shape (n,)."""

    kinds: npt.NDArray[np.object_]
    persons: Ints
    times: Ints
    videos: Ints
    seconds: npt.NDArray[np.float32]
    durations: Floats
    answers: Ints
    positions: Floats
    context: Mapping[str, npt.NDArray[np.object_]]
    counts_served: bool

    @classmethod
    def read(cls, events: pa.Table, rows: Mapping[str, int], durations_s: Floats) -> _Columns:
        events = events.select(list(_COLUMNS)).combine_chunks()
        events = events.set_column(0, "type", events["type"].cast(pa.string()))
        events = _leave_out_undone(events)
        shown = pc.equal(events["type"], EventType.IMPRESSION)
        unseen = pc.fill_null(pc.invert(events["seen"]), fill_value=False)
        counts_served = pc.all(pc.or_(pc.invert(shown), unseen)).as_py()
        if not counts_served:
            events = events.filter(pc.invert(pc.and_(shown, unseen)))
        persons, times = _encode(events["person_id"]), _to_milliseconds(events["at"])
        order = np.lexsort((times, persons))
        events, persons, times = events.take(order), persons[order], times[order]
        feeds, queries = (_encode(events[name]) for name in _ANSWER)
        answers = np.where((feeds < 0) & (queries < 0), 0, 1 + _pair(feeds, queries))
        first, inverse = _find_firsts(_group(events, persons, times, answers))
        seconds = np.full(len(first), np.nan, dtype=np.float32)
        np.fmax.at(seconds, inverse, _to_floats(events["watched_s"]).astype(np.float32))
        lengths = np.full(len(first), np.nan, dtype=np.float32)
        # Later heartbeats come later: theirs is the length that stands.
        given = _to_floats(events["duration_s"])
        lengths[inverse[~np.isnan(given)]] = given[~np.isnan(given)]
        events = events.take(first)
        videos = _find_rows(events["video_id"], rows)
        return cls(
            kinds=_to_numpy(events["type"]),
            persons=persons[first],
            times=times[first],
            videos=videos,
            seconds=seconds,
            durations=find_durations(lengths, videos, durations_s),
            answers=answers[first],
            positions=_to_floats(events["position"]),
            context={name: _to_numpy(events[name]) for name in _CONTEXT},
            counts_served=counts_served,
        )

    def find(self, kind: EventType) -> Ints:
        """Return where events of a kind are."""
        return np.flatnonzero(self.kinds == kind.value)

    def to_track(self, kind: EventType) -> Track:
        at = self.find(kind)
        if kind in TIMED:
            at = at[self.times[at] != UNTIMED]
        return Track.create(
            kind,
            self.persons[at],
            self.times[at],
            self.videos[at],
            self.seconds[at],
            self.durations[at],
        )


def _leave_out_undone(events: pa.Table) -> pa.Table:
    """Return the events without those that their person took back."""
    undoes = events.filter(pc.equal(events["type"], EventType.UNDO))
    pairs = {*zip(undoes["person_id"].to_pylist(), undoes["undoes"].to_pylist(), strict=True)}
    ids = undoes["undoes"].combine_chunks()
    named = np.flatnonzero(_to_numpy(pc.is_in(events["event_id"], value_set=ids)))
    kept = np.ones(events.num_rows, dtype=np.bool_)
    at = events.select(["person_id", "event_id"]).take(named).to_pydict()
    given = zip(at["person_id"], at["event_id"], strict=True)
    kept[named] = np.array([pair not in pairs for pair in given], dtype=np.bool_)
    return events.filter(pa.array(kept))


def _group(events: pa.Table, persons: Ints, times: Ints, answers: Ints) -> Ints:
    """Return a number an event that those share which are one, as `Person.from_events` has it."""
    watch_ids, videos = _encode(events["watch_id"]), _encode(events["video_id"])
    kinds = _encode(events["type"])
    names = _to_numpy(events["type"])
    plays = (names == EventType.WATCH.value) & (watch_ids >= 0)
    shows = (names == EventType.IMPRESSION.value) & (answers > 0)
    told = (times != UNTIMED) & (videos >= 0)
    keys = np.select(
        [plays, shows, told],
        [watch_ids, _pair(answers, videos), _pair(times, videos)],
        np.arange(len(times)),
    )
    ways = np.select([plays, shows, told], [0, 1, 2 + 2 * kinds], 3 + 2 * kinds)
    return _pair(_pair(persons, keys), ways)


def _find_firsts(groups: Ints) -> tuple[Ints, Ints]:
    """Return where each group has its first event, rising, and each event's group."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(first)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    return first[order], ranks[inverse]


def _attribute(columns: _Columns, events: Ints, shown: Ints) -> Ints:
    """Return which impression each event is a result of, -1 for none.

    That of the same person, video and answer where the event names the answer; else the latest of
    the person and video in the half hour before. ``shown`` and the result number impressions.
    """
    found = np.full(len(events), -1, dtype=np.int64)
    if not len(shown):
        return found
    both = np.concatenate([shown, events])
    pairs = _pair(columns.persons[both], columns.videos[both])
    answered = _pair(pairs, columns.answers[both])
    times = columns.times[both]
    named = (columns.answers[events] > 0) & (columns.videos[events] >= 0)
    for keys, wanted in ((answered, named), (pairs, columns.videos[events] >= 0)):
        latest = _find_latest(keys, times, len(shown))
        near = times[len(shown) :] - times[latest] <= ATTRIBUTED_MS
        linked = wanted & (latest >= 0) & (found < 0) & (named & (keys is answered) | near)
        found[linked] = latest[linked]
    return found


def _find_latest(keys: Ints, times: Ints, shown: int) -> Ints:
    """Return for each event after the first ``shown`` the last of these with its key, or -1."""
    order = np.lexsort((np.arange(len(keys)) >= shown, times, keys))
    places = np.where(order < shown, np.arange(len(order)), -1)
    latest = np.maximum.accumulate(places)
    before = np.where(latest >= 0, order[latest], -1)
    before = np.where((before >= 0) & (keys[before] == keys[order]), before, -1)
    found = np.empty(len(keys), dtype=np.int64)
    found[order] = before
    return found[shown:]


def _number_pages(columns: _Columns, shown: Ints) -> tuple[Ints, Ints]:
    """Return the page of each impression, and where that page's first is."""
    persons, times, answers = columns.persons[shown], columns.times[shown], columns.answers[shown]
    # A log may name an answer for each video that it shows.
    answers = np.where(np.bincount(answers)[answers] > 1, answers, 0)
    breaks = np.ones(len(shown), dtype=np.bool_)
    breaks[1:] = (np.diff(persons) != 0) | (np.diff(times) > ATTRIBUTED_MS)
    pages = _pair(np.where(answers > 0, persons, -1 - np.cumsum(breaks)), answers)
    return pages, np.unique(pages, return_index=True)[1][pages]


def _pair(first: Ints, second: Ints) -> Ints:
    """Return numbers from 0 that are equal where both of two numbers are."""
    _, dense = np.unique(second, return_inverse=True)
    both = (first - first.min(initial=0)) * (dense.max(initial=0) + 1) + dense
    numbers: Ints = np.unique(both, return_inverse=True)[1]
    return numbers


def _encode(texts: pa.ChunkedArray) -> Ints:
    """Return numbers of texts, -1 for none."""
    codes = texts.combine_chunks().dictionary_encode().indices
    return _to_numpy(codes.fill_null(-1)).astype(np.int64)


def _find_rows(video_ids: pa.ChunkedArray, rows: Mapping[str, int]) -> Ints:
    encoded = video_ids.combine_chunks().dictionary_encode()
    known = [rows.get(one, -1) for one in encoded.dictionary.to_pylist()]
    found: Ints = np.array([*known, -1], np.int64)[_to_numpy(encoded.indices.fill_null(len(known)))]
    return found


def _to_milliseconds(moments: pa.ChunkedArray) -> Ints:
    micros = moments.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return np.where(
        _to_numpy(micros.is_null()), UNTIMED, _to_numpy(micros.fill_null(0)) // 1000
    ).astype(np.int64)


def _to_numpy(array: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _to_floats(column: pa.ChunkedArray) -> Floats:
    return _to_numpy(column.cast(pa.float64())).astype(np.float64)
