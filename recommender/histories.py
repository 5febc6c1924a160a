"""What people did, as arrays in which what was known of someone at a moment is found by bisection.

Moments are whole milliseconds since 1970, and sums are of whole numbers: so they are the same to
the bit for a log of many people as for one person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from twinlens.events.event import Event, EventType
from twinlens.recommender.person import MOST_KNOWN, Person

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# The moment of what has none: before all others, as `Event.at` has it.
UNTIMED: Final = -1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
ENDED: Final = "ended"
# No event is older than 2005; 2**40 ms later it is 2039.
_EARLIEST: Final = 1_104_537_600_000
_BITS: Final = 40
# A log has a row for what was served and one for what was seen; a person is known by both.
WINDOWS: Final[Mapping[EventType, int]] = {
    EventType.WATCH: MOST_KNOWN[EventType.WATCH],
    EventType.IMPRESSION: MOST_KNOWN[EventType.IMPRESSION] // 2,
    EventType.CLICK: MOST_KNOWN[EventType.CLICK],
    EventType.LIKE: MOST_KNOWN[EventType.LIKE],
    EventType.DISLIKE: MOST_KNOWN[EventType.DISLIKE],
    EventType.NOT_INTERESTED: MOST_KNOWN[EventType.NOT_INTERESTED],
}
# Of these, one without a moment is left out: a log of the order of watches says not of all of them
# whether they were clicked, and rates would be wrong.
TIMED: Final = frozenset({EventType.IMPRESSION, EventType.CLICK})


class Spans(NamedTuple):
    """For each of n questions, which events of a track were known: ``first`` to before ``last``."""

    first: Ints
    last: Ints

    @property
    def sizes(self) -> Ints:
        """How many events each has."""
        return self.last - self.first


@dataclass(frozen=True, eq=False, kw_only=True)
class Track:
    """Events of one kind by person, in order of time.

    ``persons`` are numbers that rise; ``times`` are milliseconds; ``videos`` are rows of a
    catalogue, -1 of a video that it lacks. Of watches, ``watched_ms`` and ``watched_permille`` say
    how long each lasted, -1 where this isn't known. ``most``: how many of the latest are looked at.
    """

    persons: Ints
    times: Ints
    videos: Ints
    most: int
    watched_ms: Ints
    watched_permille: Ints

    @classmethod
    def create(
        cls,
        kind: EventType,
        persons: Ints,
        times: Ints,
        videos: Ints,
        seconds: npt.NDArray[np.float32],
        durations_s: Floats,
    ) -> Self:
        """Return the track of events that are sorted; NaN is a number of seconds not known."""
        known = ~np.isnan(seconds)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = np.minimum(seconds / durations_s, 1.0)
        measured = ~np.isnan(shares)
        return cls(
            persons=persons,
            times=times,
            videos=videos,
            most=WINDOWS[kind],
            watched_ms=np.where(known, np.rint(np.where(known, seconds, 0) * 1e3), -1).astype(int),
            watched_permille=np.where(
                measured, np.rint(np.where(measured, shares, 0) * 1e3), -1
            ).astype(int),
        )

    def __len__(self) -> int:
        return len(self.times)

    def find_known(self, persons: Ints, moments: Ints) -> Spans:
        """Return which events of each person came before a moment: the latest ``most``."""
        last = np.searchsorted(_place(self.persons, self.times), _place(persons, moments))
        start = np.searchsorted(self.persons, persons)
        return Spans(np.maximum(start, last - self.most), last)

    def to_ended(self) -> Track:
        """Return watches as what is known of their length: at the moment when they had lasted so.

        A log that is read later says how long a watch came to be that was still under way.
        """
        lasted = self.times + np.maximum(self.watched_ms, 0)
        ends = np.where(self.times == UNTIMED, UNTIMED, lasted)
        order = np.lexsort((ends, self.persons))
        return Track(
            persons=self.persons,
            times=ends[order],
            videos=self.videos[order],
            most=self.most,
            watched_ms=self.watched_ms[order],
            watched_permille=self.watched_permille[order],
        )


class Histories:
    """The tracks of people by kind of event, and ``ENDED``: watches at their ends."""

    def __init__(self, tracks: Mapping[str, Track]) -> None:
        self.tracks: Mapping[str, Track] = {**tracks, ENDED: tracks[EventType.WATCH].to_ended()}

    @classmethod
    def from_person(
        cls,
        person: Person,
        rows: Mapping[str, int],
        durations_s: Floats,
        *,
        counts_served: bool = False,
    ) -> Histories:
        """Return the tracks of one person, number 0, by a catalogue's rows and durations.

        Impressions count that were seen; with ``counts_served`` all that were served.
        """
        of_kind: Mapping[EventType, Sequence[Event]] = {
            EventType.WATCH: person.watches,
            EventType.IMPRESSION: [
                one for one in person.impressions if counts_served or one.seen is not False
            ],
            EventType.CLICK: person.clicks,
            EventType.LIKE: person.likes,
            EventType.DISLIKE: person.dislikes,
            EventType.NOT_INTERESTED: person.not_interested,
        }
        tracks: dict[str, Track] = {}
        for kind, given in of_kind.items():
            events = [one for one in given if one.at is not None or kind not in TIMED]
            tracks[kind] = _read(kind, events, rows, durations_s)
        return cls(tracks)


def to_milliseconds(moment: datetime) -> int:
    """Return whole milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def find_durations(durations_s: npt.NDArray[np.floating], videos: Ints, known_s: Floats) -> Floats:
    """Return how long each event's video is: as the event says, else as the catalogue does."""
    catalogued = np.append(known_s, np.nan)[videos]
    return np.where(np.isnan(durations_s), catalogued, durations_s)


def _read(
    kind: EventType, events: Sequence[Event], rows: Mapping[str, int], durations_s: Floats
) -> Track:
    videos = np.array([rows.get(one.video_id or "", -1) for one in events], dtype=np.int64)
    lengths = np.array([_or_nan(one.duration_s) for one in events], dtype=np.float32)
    return Track.create(
        kind,
        np.zeros(len(events), dtype=np.int64),
        np.array(
            [UNTIMED if one.at is None else to_milliseconds(one.at) for one in events], np.int64
        ),
        videos,
        np.array([_or_nan(one.watched_s) for one in events], dtype=np.float32),
        find_durations(lengths, videos, durations_s),
    )


def _or_nan(number: float | None) -> float:
    return np.nan if number is None else number


def _place(persons: Ints, times: Ints) -> Ints:
    """Return numbers that order by person, of whom there may be 8 million, and then by time."""
    return (persons << _BITS) + np.where(times == UNTIMED, 0, np.maximum(times - _EARLIEST, 1))


class KeyIndex:
    """Finds a person's events of one key (a video, a channel, a tag) among those of a span.

    ``keys`` has shape (events, k): so many of each event; -1 is none.
    """

    def __init__(self, keys: Ints) -> None:
        self._events = max(len(keys), 1)
        events, columns = np.nonzero(keys >= 0)
        self._entries = np.sort(keys[events, columns] * self._events + events)

    def find(self, spans: Spans, keys: Ints) -> Spans:
        """Return the entries of each question's keys (n, k), from its span.

        ``events`` says of which event an entry is.
        """
        known = np.maximum(keys, 0) * self._events
        begin = np.searchsorted(self._entries, known + spans.first[:, None])
        end = np.searchsorted(self._entries, known + spans.last[:, None])
        return Spans(begin, np.where(keys < 0, begin, end))

    @property
    def events(self) -> Ints:
        """The event of each entry."""
        return self._entries % self._events

    def find_latest(self, found: Spans) -> Ints:
        """Return the latest event of each key, -1 where there is none."""
        events = np.append(self.events, -1)
        return np.where(found.sizes > 0, events[found.last - 1], -1)

    def sum(self, found: Spans, amounts: Ints) -> Ints:
        """Return the sum, over each key's entries, of an amount an event."""
        return sum_spans(found, amounts[self.events])


def sum_spans(spans: Spans, amounts: Ints) -> Ints:
    """Return the sum of ``amounts`` over each span."""
    upto = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(amounts)])
    total: Ints = upto[spans.last] - upto[spans.first]
    return total
