"""What people did, as arrays: completed watches and searches of each person, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from twinlens.events.event import EventType
from twinlens.recommender.person import COMPLETED_S, COMPLETED_SHARE
from twinlens.recommender.videos import VideoTable

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# What is known of the moment of an event, and what is known of a person beside events.
CONTEXT: Final = ("region", "device", "language")
_NEEDED: Final = (
    "type",
    "event_id",
    "person_id",
    "at",
    "video_id",
    "watch_id",
    "watched_s",
    "duration_s",
    "text",
    "undoes",
    *CONTEXT,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Texts:
    """Texts by code, and the code of each entry; -1 is none."""

    values: Sequence[str]
    codes: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Demographics:
    """What a site knows of each person beside events; NaN and -1 where it doesn't.

    ``ages`` are years; ``logged_in`` is 0 or 1.
    """

    genders: Texts
    ages: Floats
    logged_in: Floats

    @classmethod
    def read(cls, people: pa.Table | None, person_ids: Sequence[str]) -> Self:
        """Return those of ``person_ids``, from the columns person_id, gender, age, logged_in."""
        count = len(person_ids)
        if people is None:
            people = pa.table({"person_id": pa.array([], pa.string())})
        known = pa.array(people["person_id"].to_pylist(), pa.string())
        at = pc.index_in(pa.array(person_ids, pa.string()), value_set=known)

        def take(name: str, type_: pa.DataType) -> Any:
            if name not in people.column_names:
                return pa.nulls(count, type_)
            return people[name].combine_chunks().cast(type_).take(at)

        return cls(
            genders=_encode(take("gender", pa.string())),
            ages=_to_floats(take("age", pa.float64())),
            logged_in=_to_floats(take("logged_in", pa.float64())),
        )

    def forget(self) -> Demographics:
        """Return those of as many people of whom nothing is known."""
        genders = Texts(values=(), codes=self.genders.codes * 0 - 1)
        return Demographics(genders=genders, ages=self.ages * np.nan, logged_in=self.ages * np.nan)


@dataclass(frozen=True, eq=False, kw_only=True)
class Interactions:
    """The completed watches of catalogued videos, by person and then in order; and the searches.

    Person p has the watches ``starts[p]`` to ``starts[p + 1]``, and so the searches by
    ``search_starts``. ``places`` and ``search_places`` are places in the order of all events, so
    that a search comes before a watch if its place does. ``ordinals`` number all watches, completed
    or not. ``times`` are seconds since 1970, NaN where only the order is known.
    """

    person_ids: Sequence[str]
    starts: Ints
    videos: npt.NDArray[np.int32]
    times: Floats
    places: Ints
    ordinals: Ints
    contexts: Mapping[str, Texts]
    search_starts: Ints
    search_places: Ints
    searches: Sequence[str]
    demographics: Demographics
    unknown_videos: int

    @classmethod
    def from_events(
        cls,
        tables: pa.Table | Iterable[pa.Table],
        videos: VideoTable,
        people: pa.Table | None = None,
    ) -> Self:
        """Return what tables of ``EVENT_SCHEMA``, read one after the other, say of ``videos``.

        Playbacks are merged and what was undone is left out as ``Person.from_events`` does.
        ``people`` may say more of them: person_id, gender, age, logged_in.
        """
        given = [tables] if isinstance(tables, pa.Table) else list(tables)
        events = pa.concat_tables([_narrow(table) for table in given] or [_EMPTY])
        events = _sort(events)
        persons = events["person_id"].combine_chunks().dictionary_encode()
        codes = persons.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        person_ids = persons.dictionary.to_pylist()
        kinds, undone = _to_numpy(events["type"]), _find_undone(events)
        watches = _merge_playbacks(events, codes, np.flatnonzero(kinds == EventType.WATCH))
        watches = watches.select(~undone[watches.rows])
        rows = _find_rows(events["video_id"].take(watches.rows), videos)
        kept = watches.completed & (rows >= 0)
        at = watches.rows[kept]
        searches = np.flatnonzero(
            (kinds == EventType.SEARCH) & _to_numpy(events["text"].is_valid()) & ~undone
        )
        return cls(
            person_ids=person_ids,
            starts=_count_up(codes[at], len(person_ids)),
            videos=rows[kept].astype(np.int32),
            times=_to_seconds(events["at"].take(at)),
            places=at,
            ordinals=np.flatnonzero(kept),
            contexts={name: _encode(events[name].combine_chunks().take(at)) for name in CONTEXT},
            search_starts=_count_up(codes[searches], len(person_ids)),
            search_places=searches,
            searches=events["text"].take(searches).to_pylist(),
            demographics=Demographics.read(people, person_ids),
            unknown_videos=int((rows < 0).sum()),
        )

    def __len__(self) -> int:
        return len(self.videos)

    @cached_property
    def persons(self) -> Ints:
        """The person of each watch."""
        counts = np.diff(self.starts)
        return np.repeat(np.arange(len(counts)), counts)

    @property
    def is_timed(self) -> bool:
        """Whether a time is known of some watch."""
        return bool((~np.isnan(self.times)).any())

    def keep(self, kept: npt.NDArray[np.bool_]) -> Interactions:
        """Return these without the watches that are not ``kept``; searches stay."""
        return replace(
            self,
            starts=_count_up(self.persons[kept], len(self.person_ids)),
            videos=self.videos[kept],
            times=self.times[kept],
            places=self.places[kept],
            ordinals=self.ordinals[kept],
            contexts={
                name: Texts(values=of.values, codes=of.codes[kept])
                for name, of in self.contexts.items()
            },
        )

    def shuffle(self, rng: np.random.Generator) -> Interactions:
        """Return these in an order drawn by lot for each person, with no times and no searches."""
        order = np.lexsort((rng.random(len(self)), self.persons))
        return replace(
            self.forget_searches(),
            videos=self.videos[order],
            times=np.full(len(self), np.nan),
            contexts={
                name: Texts(values=of.values, codes=of.codes[order])
                for name, of in self.contexts.items()
            },
        )

    def forget_searches(self) -> Interactions:
        """Return these without searches."""
        none = self.search_starts * 0
        return replace(self, searches=(), search_places=none[:0], search_starts=none)


@dataclass(frozen=True)
class _Watches:
    """The first event of each playback, and whether it came to be a completed watch."""

    rows: Ints
    completed: npt.NDArray[np.bool_]

    def select(self, mask: npt.NDArray[np.bool_]) -> _Watches:
        return _Watches(self.rows[mask], self.completed[mask])


def _narrow(table: pa.Table) -> pa.Table:
    table = table.select(list(_NEEDED))
    return table.set_column(0, "type", table["type"].cast(pa.string()))


_EMPTY: Final = pa.schema([(name, pa.string()) for name in _NEEDED]).empty_table()


def _sort(events: pa.Table) -> pa.Table:
    """Sort by person, in each by time, those without one first; as they came among equals."""
    persons = events["person_id"].combine_chunks().dictionary_encode()
    codes = persons.indices.to_numpy(zero_copy_only=False)
    ranks = np.argsort(np.argsort(_to_numpy(persons.dictionary).astype(str), kind="stable"))
    times = _to_seconds(events["at"])
    order = np.lexsort((np.where(np.isnan(times), -np.inf, times), ranks[codes]))
    return events if (np.diff(order) == 1).all() else events.take(order)


def _find_undone(events: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which events their own person took back."""
    undone = np.zeros(events.num_rows, dtype=np.bool_)
    undoes = events.filter(pc.equal(events["type"], EventType.UNDO))
    if undoes.num_rows:
        pairs = {*zip(undoes["person_id"].to_pylist(), undoes["undoes"].to_pylist(), strict=True)}
        named = pc.is_in(events["event_id"], value_set=undoes["undoes"].combine_chunks())
        rows = np.flatnonzero(_to_numpy(named))
        persons, ids = (events[name].take(rows).to_pylist() for name in ("person_id", "event_id"))
        undone[rows] = [pair in pairs for pair in zip(persons, ids, strict=True)]
    return undone


def _merge_playbacks(events: pa.Table, persons: Ints, rows: Ints) -> _Watches:
    """Merge the events at ``rows`` that share a person and a ``watch_id``: most seconds count."""
    ids = events["watch_id"].take(rows).combine_chunks().dictionary_encode().indices
    playbacks = np.where(
        _to_numpy(ids.is_valid()),
        _to_numpy(ids.fill_null(0)).astype(np.int64),
        -1 - np.arange(len(rows)),
    )
    order = np.lexsort((rows, playbacks, persons[rows]))
    same = np.zeros(len(rows), dtype=np.bool_)
    same[1:] = (np.diff(playbacks[order]) == 0) & (np.diff(persons[rows][order]) == 0)
    first = np.flatnonzero(~same)
    watched = _to_floats(events["watched_s"].take(rows))[order]
    durations = _to_floats(events["duration_s"].take(rows))[order]
    if len(first):
        watched = np.fmax.reduceat(watched, first)
        # Of one playback a video has one length.
        durations = np.fmax.reduceat(durations, first)
    with np.errstate(invalid="ignore"):
        completed = np.isnan(watched) | (watched >= COMPLETED_S)
        completed |= (durations > 0) & (watched >= COMPLETED_SHARE * durations)
    firsts = rows[order][first]
    back = np.argsort(firsts, kind="stable")
    return _Watches(firsts[back], completed[back])


def _find_rows(video_ids: pa.ChunkedArray, videos: VideoTable) -> Ints:
    """Return the row of each video, -1 where it is not in the catalogue."""
    encoded = video_ids.combine_chunks().dictionary_encode()
    rows = np.array([videos.rows.get(one, -1) for one in encoded.dictionary.to_pylist()], np.int64)
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    known = _to_numpy(encoded.indices.is_valid())
    return np.where(known, rows[codes] if len(rows) else -1, -1)


def _encode(texts: pa.Array) -> Texts:
    encoded = texts.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Texts(values=encoded.dictionary.to_pylist(), codes=codes)


def _count_up(sorted_codes: npt.NDArray[np.integer], groups: int) -> Ints:
    """Return where each group begins, and at last where the last one ends."""
    return np.searchsorted(sorted_codes, np.arange(groups + 1))


def _to_numpy(array: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _to_floats(array: pa.Array | pa.ChunkedArray) -> Floats:
    return _to_numpy(array.cast(pa.float64())).astype(np.float64)


def _to_seconds(moments: pa.ChunkedArray) -> Floats:
    """Return seconds since 1970, NaN where there is no moment."""
    micros = moments.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    seconds = _to_numpy(micros.fill_null(0)).astype(np.float64) / 1e6
    return np.where(_to_numpy(micros.is_valid()), seconds, np.nan)
