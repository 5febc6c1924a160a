"""What steers a ranking after the fusion: boosts, an order, at most so many of a channel, pins."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from twinlens.catalog.fields import FieldKind, Fields
from twinlens.stores.base import Order, Payload, StoredVideo
from twinlens.stores.browsing import read_sort_value
from twinlens.stores.filters import AnyOf, matches

# docs/decisions/0048-the-owner-steers.md says why so little.
DEFAULT_BOOST: Final = 0.1
MOST_BOOSTS: Final = 10
_MICROSECONDS_OF_A_DAY: Final = 86_400_000_000

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boost:
    """Raises the scores of hits by what they have in a field, by at most ``weight`` of each.

    A number counts by its logarithm, the largest of the window whole; a moment by its age, half
    after each ``half_life_days``; of a keyword, those that have ``value`` whole, and no others.
    """

    field: str
    weight: float = DEFAULT_BOOST
    half_life_days: float | None = None
    value: str | None = None

    def find_fault(self, fields: Fields) -> tuple[str, str] | None:
        """Return which part can't be used over videos that have ``fields``, and why; or None."""
        kind = fields.find_kind(self.field)
        given = self.half_life_days is not None, self.value is not None
        match kind:
            case FieldKind.COUNT | FieldKind.DURATION:
                wanted, takes = (False, False), "a number takes neither half_life_days nor value"
            case FieldKind.MOMENT:
                wanted, takes = (True, False), "a moment takes half_life_days, and no value"
            case FieldKind.KEYWORD | FieldKind.KEYWORDS:
                wanted, takes = (False, True), "a keyword takes a value, and no half_life_days"
            case None:
                return "field", f"there is no field {self.field!r}"
            case _:
                return "field", f"{self.field} is {kind}: nothing to boost by"
        for name, is_given, is_wanted in zip(
            ("half_life_days", "value"), given, wanted, strict=True
        ):
            if is_given != is_wanted:
                return name, f"{self.field}: {takes}"
        return None


class Gain(NamedTuple):
    """The share by which a boost of ``field`` has raised a score."""

    field: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """How a request puts the hits of its window in order; nothing of it is the default.

    ``boosts`` raise scores; None leaves them to whoever answers. ``sort`` orders all hits by a
    field, equal ones by score. Of each channel come at most ``max_per_channel`` hits, over all
    pages. A channel is told by its id, where it has one.
    """

    boosts: Sequence[Boost] | None = None
    sort: Order | None = None
    max_per_channel: int | None = None

    @property
    def is_active(self) -> bool:
        """Whether any of it changes an order."""
        is_boosted = any(one.weight for one in self.boosts or ())
        return is_boosted or self.sort is not None or self.max_per_channel is not None

    def list_deciding(self) -> tuple[object, ...]:
        """Return what decides which hits there are, of a stable ``repr``."""
        boosts = [
            (one.field, float(one.weight), one.half_life_days, one.value)
            for one in self.boosts or ()
            if one.weight
        ]
        return boosts, self.sort, self.max_per_channel


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the owner's rules say of one request.

    ``pins`` come first, in this order; ``hides`` never come; a search asks for ``texts``, too.
    """

    pins: tuple[str, ...] = ()
    hides: frozenset[str] = frozenset()
    texts: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """What tells it from others; empty where it says nothing."""
        if not (self.pins or self.hides or self.texts):
            return ""
        said = repr((self.pins, sorted(self.hides), self.texts)).encode()
        return hashlib.blake2b(said, digest_size=8).hexdigest()


NO_STEERING: Final = Steering()
NO_RULING: Final = Ruling()


def measure_gains(
    boosts: Iterable[Boost], videos: Sequence[StoredVideo], fields: Fields, now: datetime | None
) -> list[list[Gain]]:
    """Return, for each of ``videos``, what each boost gives it, from 0 to the boost's weight.

    ``now`` is the moment that ages are counted to; None is the latest of the ``videos``. A video
    without the field gains nothing.
    """
    columns = [
        (boost, _measure_shares(boost, videos, fields, now)) for boost in boosts if boost.weight
    ]
    return [
        [Gain(boost.field, boost.weight * shares[at]) for boost, shares in columns if shares[at]]
        for at in range(len(videos))
    ]


def _measure_shares(
    boost: Boost, videos: Sequence[StoredVideo], fields: Fields, now: datetime | None
) -> list[float]:
    if boost.value is not None:
        wanted = AnyOf(boost.field, (boost.value,))
        return [float(matches(wanted, video.payload)) for video in videos]
    values = [read_sort_value(video, boost.field, fields) for video in videos]
    known = [value for value in values if value is not None]
    if not known:
        return [0.0] * len(videos)
    if boost.half_life_days is None:
        most = math.log1p(max(0.0, *known, 0.0))
        return [math.log1p(max(0.0, value or 0.0)) / most if most else 0.0 for value in values]
    latest = max(known) if now is None else _to_microseconds(now)
    half_life = boost.half_life_days * _MICROSECONDS_OF_A_DAY
    return [
        0.0 if value is None else 2.0 ** -(max(0.0, latest - value) / half_life) for value in values
    ]


def _to_microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def sort_by_field(
    items: Sequence[ItemT], find: Callable[[ItemT], StoredVideo], order: Order, fields: Fields
) -> list[ItemT]:
    """Return ``items`` by the field of their videos; equal ones stay as they are.

    Those without the field come last, whichever way.
    """
    sign = -1 if order.descending else 1

    def rank(item: ItemT) -> tuple[bool, float]:
        value = read_sort_value(find(item), order.field, fields)
        return value is None, sign * (value or 0)

    return sorted(items, key=rank)


def cap_channels(
    items: Iterable[ItemT], find: Callable[[ItemT], StoredVideo], most: int, kept: Iterable[ItemT]
) -> list[ItemT]:
    """Return the first ``most`` of ``items`` of each channel, those of ``kept`` counted before.

    A video of no known channel always stays.
    """
    counts = Counter(name_channel(find(one).payload) for one in kept)
    left = []
    for one in items:
        channel = name_channel(find(one).payload)
        if channel is None or counts[channel] < most:
            counts[channel] += 1
            left.append(one)
    return left


def name_channel(payload: Payload) -> str | None:
    """Return what tells a video's channel from others: its id or else its name."""
    values: Mapping[str, object] = payload
    found = values.get("channel_id") or values.get("channel")
    return found if isinstance(found, str) else None
