"""What many people watch now: counts of people, halved with time, by language and region."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from twinlens.events.event import EventType
from twinlens.events.log import EventLog
from twinlens.recommender.person import COMPLETED_S, COMPLETED_SHARE
from twinlens.stores.base import ScoredVideo

Trend = Literal["popular", "trending"]
_DAY_S: Final = 86_400.0
# After so long a person who watched counts half. docs/decisions/0042-the-feed.md has why.
HALF_LIVES_S: Final[Mapping[Trend, float]] = {"popular": 3 * _DAY_S, "trending": _DAY_S / 2}
MOST_RANKED: Final = 2_000
REFRESH_EVERY_S: Final = 2.0
# A count this old is less than a thousandth of what it was.
_HORIZON_S: Final = 10 * max(HALF_LIVES_S.values())
# A language or a region counts as much as everyone once so many people have been counted in it.
_PRIOR_PEOPLE: Final = 20.0
# What bounds memory: languages and regions, counts of a video in one, people on one day.
_MOST_SCOPES: Final = 256
_MOST_COUNTS: Final = 1_000_000
_MOST_SEEN: Final = 4_000_000
_MOST_REMEMBERED: Final = 256
# Weights grow with time, so that old ones need not shrink; beyond this they are scaled down.
_MOST_HALVINGS: Final = 400.0
_ROWS: Final = 50_000
_EVERYONE: Final = ("", "")
_SCOPE_BITS: Final = 40

_log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Scope = tuple[str, str]


class Popularity:
    """Counts people who watched a video whole or liked it, from an event log, as events arrive.

    Each counts once a video and day, however often the video was played, and half as much after
    each half-life. Only the latest 30 days before the latest event are looked at. An event without
    a time counts as if it were the latest. What is kept is bounded: of many videos the least
    popular are forgotten, and of many people on many days the earliest days.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        every_s: float = REFRESH_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        most_counts: int = _MOST_COUNTS,
    ) -> None:
        self._log = log
        self._every_s = every_s
        self._clock, self._now = clock, now
        self._most_counts = most_counts
        self._reading = threading.Lock()  # held by the one thread that reads the log
        self._due = -math.inf
        self._place = 0
        self._counted = _CountedOnce()
        self._counts = _Counts()  # replaced as a whole
        self._closing = threading.Event()
        self.is_followed = False

    @property
    def is_empty(self) -> bool:
        """Whether nobody has been counted."""
        return not self._counts.keys.size

    def follow(self) -> None:
        """Read what is new in the log again and again, in a thread of its own, until ``close``."""
        self.is_followed = True
        threading.Thread(target=self._keep_reading, name="follow-popularity", daemon=True).start()

    def refresh(self) -> None:
        """Count what is new in the log, unless that was done just now, or another thread does.

        Raises:
            StoreError: the log can't be read; what was counted stays.
        """
        if self._clock() < self._due or not self._reading.acquire(blocking=False):
            return
        try:
            types = (EventType.WATCH, EventType.LIKE)
            for table, place in self._log.scan(after=self._place, types=types, batch_size=_ROWS):
                self._counts = self._count(table)
                self._place = place
            self._due = self._clock() + self._every_s
        finally:
            self._reading.release()

    def rank(
        self, trend: Trend, *, language: str | None = None, region: str | None = None
    ) -> Sequence[ScoredVideo]:
        """Return at most ``MOST_RANKED`` videos, those first that most people watch.

        The score is the share of all counted people, plus that of the people of this language, plus
        that of this region; a share of few people counts less.
        """
        return self._counts.rank(trend, (("language", language), ("region", region)))

    def close(self) -> None:
        """Read no more."""
        self._closing.set()

    def _keep_reading(self) -> None:
        failed = False
        while True:
            try:
                self.refresh()
                failed = False
            except Exception as error:  # noqa: BLE001 - the log may be back at the next look
                if not failed:
                    _log.warning("popularity stands still: %s", error)
                failed = True
            if self._closing.wait(self._every_s):
                return

    def _count(self, table: pa.Table) -> _Counts:
        table = table.filter(pa.array(_are_positive(table)))
        at = _read_seconds(table)
        timed = at[~np.isnan(at)]
        latest = min(max(self._counts.latest, timed.max(initial=-math.inf)), self._now())
        if latest == -math.inf:
            latest = self._now()
        at = np.where(np.isnan(at), latest, np.minimum(at, latest))
        recent = at > latest - _HORIZON_S
        table, at = table.filter(pa.array(recent)), at[recent]
        if not at.size:
            return self._counts
        days = np.floor(at / _DAY_S).astype(np.int64)
        new = self._counted.find_new(_hash_pairs(table), days)
        table, at = table.take(pa.array(new)), at[new]
        return self._counts.add(table, at, latest).forget_least(self._most_counts)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts by scope and video, in two rows, one a trend; ``keys`` rise, as scope and video do.

    Texts are only ever added, so that several of these may share them.
    """

    names: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    scopes: dict[Scope, int] = field(default_factory=lambda: {_EVERYONE: 0})
    keys: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    counts: Floats = field(default_factory=lambda: np.empty((len(HALF_LIVES_S), 0)))
    latest: float = -math.inf
    origin: float = 0.0
    ranked: dict[object, Sequence[ScoredVideo]] = field(default_factory=dict)

    def add(self, events: pa.Table, at: Floats, latest: float) -> Self:
        """Return these counts with one person for each event, which happened ``at``."""
        moved = self._move_origin(latest)
        places, video_ids = _encode(events["video_id"])
        videos = np.array([moved._number(one) for one in video_ids], dtype=np.int64)[places]
        rows, keys = [np.arange(videos.size)], [videos]
        for kind in ("language", "region"):
            places, values = _encode(events[kind])
            scopes = np.array([moved._find_scope((kind, one)) for one in values], dtype=np.int64)
            of = scopes[places]
            having = np.flatnonzero(of)
            rows.append(having)
            keys.append((of[having] << _SCOPE_BITS) + videos[having])
        found, inverse = np.unique(np.concatenate(keys), return_inverse=True)
        ages = (at - moved.origin)[np.concatenate(rows)]
        weights = [
            np.bincount(inverse, 2.0 ** (ages / half_life), minlength=found.size)
            for half_life in HALF_LIVES_S.values()
        ]
        return moved._merge(found, np.array(weights), latest)

    def forget_least(self, most: int) -> Self:
        """Return these counts, or of more than ``most`` the largest, three quarters of it."""
        if self.keys.size <= most:
            return self
        kept = np.sort(np.argpartition(-self.counts[0], most * 3 // 4)[: most * 3 // 4])
        keys = self.keys[kept]
        scope, old = keys >> _SCOPE_BITS, keys & ((1 << _SCOPE_BITS) - 1)
        used, renumbered = np.unique(old, return_inverse=True)
        names = [self.names[one] for one in used.tolist()]
        # The order of the numbers stays, so the keys still rise.
        return replace(
            self,
            names=names,
            numbers={name: number for number, name in enumerate(names)},
            keys=(scope << _SCOPE_BITS) + renumbered,
            counts=self.counts[:, kept],
            ranked={},
        )

    def rank(self, trend: Trend, scopes: Sequence[tuple[str, str | None]]) -> Sequence[ScoredVideo]:
        known = [
            self.scopes[kind, value]
            for kind, value in scopes
            if value is not None and (kind, value) in self.scopes
        ]
        asked = (trend, *known)
        if asked not in self.ranked:
            if len(self.ranked) >= _MOST_REMEMBERED:
                self.ranked.clear()
            self.ranked[asked] = self._rank(list(HALF_LIVES_S).index(trend), known)
        return self.ranked[asked]

    def _rank(self, row: int, scopes: Sequence[int]) -> Sequence[ScoredVideo]:
        videos, counts = self._read(row, 0)
        if not videos.size:
            return []
        half_life = list(HALF_LIVES_S.values())[row]
        # In people at the time of the latest event.
        scale = 2.0 ** ((self.origin - self.latest) / half_life)
        scores = counts * scale / (counts.sum() * scale + _PRIOR_PEOPLE)
        for scope in scopes:
            mine, here = self._read(row, scope)
            at = np.minimum(np.searchsorted(videos, mine), videos.size - 1)
            both = videos[at] == mine
            scores[at[both]] += here[both] * scale / (here.sum() * scale + _PRIOR_PEOPLE)
        best = np.argpartition(-scores, min(MOST_RANKED, scores.size) - 1)[:MOST_RANKED]
        found = [
            ScoredVideo(self.names[video], score)
            for video, score in zip(videos[best].tolist(), scores[best].tolist(), strict=True)
        ]
        return sorted(found, key=lambda one: (-one.score, one.video_id))

    def _read(self, row: int, scope: int) -> tuple[Ints, Floats]:
        start, end = np.searchsorted(self.keys, [scope << _SCOPE_BITS, (scope + 1) << _SCOPE_BITS])
        return self.keys[start:end] - (scope << _SCOPE_BITS), self.counts[row, start:end]

    def _number(self, video_id: str) -> int:
        number = self.numbers.setdefault(video_id, len(self.names))
        if number == len(self.names):
            self.names.append(video_id)
        return number

    def _find_scope(self, scope: tuple[str, str | None]) -> int:
        """Return the number of a scope, 0 where it has no value or there are too many."""
        kind, value = scope
        if not value:
            return 0
        if len(self.scopes) < _MOST_SCOPES:
            return self.scopes.setdefault((kind, value), len(self.scopes))
        return self.scopes.get((kind, value), 0)

    def _merge(self, keys: Ints, weights: Floats, latest: float) -> Self:
        at = np.searchsorted(self.keys, keys)
        old = np.zeros(keys.size, dtype=np.bool_)
        if self.keys.size:
            old = self.keys[np.minimum(at, self.keys.size - 1)] == keys
        counts = self.counts.copy()
        counts[:, at[old]] += weights[:, old]
        return replace(
            self,
            keys=np.insert(self.keys, at[~old], keys[~old]),
            counts=np.insert(counts, at[~old], weights[:, ~old], axis=1),
            latest=latest,
            ranked={},
        )

    def _move_origin(self, latest: float) -> Self:
        """Return the same counts, of a later origin where weights would become too large."""
        if not self.keys.size:
            return replace(self, origin=latest)
        shift = latest - self.origin
        if shift / min(HALF_LIVES_S.values()) < _MOST_HALVINGS:
            return self
        factors = [2.0 ** -(shift / half_life) for half_life in HALF_LIVES_S.values()]
        return replace(self, origin=latest, counts=self.counts * np.array(factors)[:, None])


class _CountedOnce:
    """Which person has been counted for which video on which day, as hashes of 64 bits."""

    def __init__(self) -> None:
        self._by_day: dict[int, npt.NDArray[np.uint64]] = {}

    def find_new(self, pairs: npt.NDArray[np.uint64], days: Ints) -> Ints:
        """Return the places of the first of each pair and day; from now on they are known."""
        new = np.zeros(pairs.size, dtype=np.bool_)
        for day in np.unique(days).tolist():
            rows = np.flatnonzero(days == day)
            found, first = np.unique(pairs[rows], return_index=True)
            known = self._by_day.get(day, np.empty(0, dtype=np.uint64))
            unknown = ~np.isin(found, known, assume_unique=True)
            new[rows[first[unknown]]] = True
            self._by_day[day] = np.concatenate([known, found[unknown]])
        while len(self._by_day) > 1 and sum(map(len, self._by_day.values())) > _MOST_SEEN:
            del self._by_day[min(self._by_day)]
        return np.flatnonzero(new)


def _are_positive(events: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which are likes, or completed watches as ``is_completed`` has it."""
    watched, duration = (
        events[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
        for name in ("watched_s", "duration_s")
    )
    known = np.isnan(watched) | (watched >= COMPLETED_S)
    completed = known | ((duration > 0) & (watched >= COMPLETED_SHARE * duration))
    liked = pc.equal(events["type"].cast(pa.string()), EventType.LIKE.value).to_numpy()
    named = events["video_id"].is_valid().to_numpy()
    positive: npt.NDArray[np.bool_] = (liked | completed) & named
    return positive


def _read_seconds(table: pa.Table) -> Floats:
    """Return the time of each row in seconds since 1970, NaN where there is none."""
    micros = table["at"].cast(pa.int64()).cast(pa.float64())
    seconds: Floats = pc.fill_null(micros, math.nan).to_numpy() / 1e6
    return seconds


def _encode(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Return the place of each text among the texts that there are, null among them, and those."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    places = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return places, encoded.dictionary.to_pylist()


def _hash_pairs(events: pa.Table) -> npt.NDArray[np.uint64]:
    """Return a hash of the person and the video of each; another process would have another."""
    people, videos = (
        np.array([hash(one) for one in texts], dtype=np.int64)[places].view(np.uint64)
        for places, texts in (_encode(events["person_id"]), _encode(events["video_id"]))
    )
    mixed: npt.NDArray[np.uint64] = (people * np.uint64(0x9E3779B97F4A7C15)) ^ videos
    return mixed
